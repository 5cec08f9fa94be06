"""The sandbox's API, to the letter of XWMS: envelope, credentials, exact redirect URLs, single-use tokens."""

import json
from datetime import timedelta

from tests.sandbox.local_xwms import REDIRECT

INVALID_TOKEN = "The token is invalid, expired or already used."


def refused(answer, status: int, message: str) -> None:
    assert (answer.status_code, answer.json) == (status, {"status": "error", "message": message, "data": {}})


def test_info_is_open_and_says_what_it_is(xwms):
    answer = xwms.http.get("/api/info", headers={"User-Agent": "curl/8"})
    assert answer.json["status"] == "success"
    data = answer.json["data"]
    assert set(data["application"]) == {"name", "description", "version", "locale", "timezone", "time"}
    assert data["application"]["time"] == "2027-01-15T08:00:00+00:00"
    assert data["client"] == {"ip": "127.0.0.1", "user_agent": "curl/8"}
    assert data["api"]["endpoints"]["auth_signin"] == "http://127.0.0.1:8800/api/sign-token"


def test_sign_token_has_the_documented_shape(xwms):
    answer = xwms.call("sign-token", {"redirect_url": REDIRECT})
    assert answer.status_code == 200
    assert set(answer.json) == {"status", "message", "data"}
    data = answer.json["data"]
    assert set(data) == {"client_id", "token", "email", "expires_at", "url"}
    assert data["client_id"] == "sandbox-client"
    assert data["email"] is None
    assert data["expires_at"] == "2027-01-15T08:10:00+00:00"
    assert data["url"] == f"http://127.0.0.1:8800/sign-in/{data['token']}"


def test_the_sign_in_address_never_follows_the_host_header(make_xwms):
    xwms = make_xwms(public_url="http://127.0.0.1:9999/")
    answer = xwms.call("sign-token", {"redirect_url": REDIRECT}, Host="localhost:1", X_Forwarded_Host="evil.example")
    assert answer.json["data"]["url"].startswith("http://127.0.0.1:9999/sign-in/")


def test_a_chosen_person_is_told_once(xwms):
    token = xwms.sign_token()["token"]
    xwms.choose(token)
    answer = xwms.verify(token)
    assert answer.status_code == 200
    assert answer.json["data"] == {
        "sub": "1001",
        "name": "Anna de Vries",
        "given_name": "Anna",
        "family_name": "de Vries",
        "email": "anna@example.com",
        "email_verified": True,
        "picture": "http://127.0.0.1:8800/static/person.png",
    }
    refused(xwms.verify(token), 401, INVALID_TOKEN)


def test_verify_needs_no_redirect_url(xwms):
    token = xwms.sign_token()["token"]
    xwms.choose(token)
    assert xwms.call("sign-token-verify", {"token": token}).status_code == 200


def test_a_token_nobody_approved_is_refused_and_stays_usable(xwms):
    token = xwms.sign_token()["token"]
    refused(xwms.verify(token), 401, INVALID_TOKEN)
    xwms.choose(token)
    assert xwms.verify(token).status_code == 200


def test_an_unknown_token_is_refused(xwms):
    refused(xwms.verify("\ud800 no such token"), 401, INVALID_TOKEN)


def test_a_token_lives_until_its_expiry_and_not_a_moment_longer(make_xwms):
    for age, status in ((59.9, 200), (60, 401)):
        xwms = make_xwms(token_lifetime=timedelta(minutes=1))
        token = xwms.sign_token()["token"]
        xwms.choose(token)
        xwms.clock.now += age
        assert xwms.verify(token).status_code == status


def test_a_fresh_callback_token_replaces_the_first_one(make_xwms):
    xwms = make_xwms(callback_token="fresh")
    first = xwms.sign_token()["token"]
    location = xwms.choose(first).headers["Location"]
    second = location.removeprefix(f"{REDIRECT}?token=")
    assert second != first
    refused(xwms.verify(first), 401, INVALID_TOKEN)
    assert xwms.verify(second).json["data"]["sub"] == "1001"
    refused(xwms.verify(second), 401, INVALID_TOKEN)


def test_a_token_of_another_client_is_refused_and_not_spent(xwms):
    token = xwms.sign_token()["token"]
    xwms.choose(token)
    other_id, secret = xwms.another_client()
    refused(
        xwms.verify(token, X_Client_Id=other_id, X_Client_Secret=secret, X_Client_Domain="other.example"),
        401,
        INVALID_TOKEN,
    )
    assert xwms.verify(token).status_code == 200


def test_wrong_credentials_are_refused(xwms, subtests):
    for headers, said in [
        ({"X_Client_Id": None}, "the client ID is not known."),
        ({"X_Client_Id": "someone-else"}, "the client ID is not known."),
        ({"X_Client_Secret": None}, "the client secret is wrong."),
        ({"X_Client_Secret": ""}, "the client secret is wrong."),
        ({"X_Client_Secret": "wrong"}, "the client secret is wrong."),
        ({"X_Client_Secret": "gehe\u00edm"}, "the client secret is wrong."),
    ]:
        for name in ("sign-token", "sign-token-verify"):
            with subtests.test(name=name, headers=headers, said=said):
                refused(xwms.call(name, {}, **headers), 401, f"Invalid client credentials: {said}")


def test_a_foreign_domain_is_refused(xwms, subtests):
    for domain in (None, "", "example.com", "sub.localhost"):
        with subtests.test(domain=domain):
            refused(
                xwms.call("sign-token", {}, X_Client_Domain=domain), 403, "The domain is not known for this client."
            )


def test_a_disabled_client_is_refused_everywhere_until_enabled_again(xwms):
    token = xwms.sign_token()["token"]
    with xwms.client() as client:
        client.enabled = False
    refused(xwms.call("sign-token", {"redirect_url": REDIRECT}), 403, "The client is disabled.")
    refused(xwms.verify(token), 403, "The client is disabled.")
    assert xwms.http.get(f"/sign-in/{token}").status_code == 403
    with xwms.client() as client:
        client.enabled = True
    assert xwms.choose(token).status_code == 303


def test_a_redirect_url_that_is_taken_away_gets_nobody_any_more(xwms):
    token = xwms.sign_token()["token"]
    with xwms.client() as client:
        client.redirect_uris.clear()
    assert xwms.choose(token).status_code == 403


def test_redirect_urls_match_byte_for_byte(xwms, subtests):
    for redirect_url in [
        f"{REDIRECT}/",
        f"{REDIRECT}?",
        REDIRECT.replace("localhost", "LOCALHOST"),
        REDIRECT.replace("http:", "https:"),
        REDIRECT.replace(":5000", ""),
        "https://app.example:443/callback",
        "https://app.example/a/../callback",
        "https://evil.example/callback",
    ]:
        with subtests.test(redirect_url=redirect_url):
            answer = xwms.call("sign-token", {"redirect_url": redirect_url})
            refused(answer, 422, "The redirect URL is not registered for this client.")


def test_body_faults_are_named(xwms, subtests):
    for name, body, status, message in [
        ("sign-token", {}, 422, "The redirect_url field is required."),
        ("sign-token", {"redirect_url": None}, 422, "The redirect_url field is required."),
        ("sign-token", {"redirect_url": [REDIRECT]}, 422, "The redirect_url field must be a string."),
        ("sign-token-verify", {}, 422, "The token field is required."),
        ("sign-token-verify", {"token": ""}, 422, "The token field is required."),
        ("sign-token-verify", {"token": 12}, 422, "The token field must be a string."),
        ("sign-token-verify", {"token": "x", "redirect_url": 1}, 422, "The redirect_url field must be a string."),
        ("sign-token", [], 422, "The request body must be a JSON object."),
        ("sign-token", "text", 422, "The request body must be a JSON object."),
        ("sign-token", 1, 422, "The request body must be a JSON object."),
    ]:
        with subtests.test(name=name, body=body, status=status, message=message):
            refused(xwms.call(name, body), status, message)


def test_what_is_not_json_is_a_400(xwms, subtests):
    for raw in (b"", b"{", b"\xff\xfe", b"[" * 60_000, b"9" * 60_000, b'{"a": "\x00"}'):
        with subtests.test(raw=raw):
            answer = xwms.http.post("/api/sign-token", data=raw, content_type="application/json", headers=xwms.headers)
            refused(answer, 400, "The request body is not JSON.")


def test_a_form_is_not_json(xwms):
    answer = xwms.http.post("/api/sign-token", data={"redirect_url": REDIRECT}, headers=xwms.headers)
    refused(answer, 415, "The Content-Type must be application/json.")


def test_a_body_over_64_kib_is_refused(xwms):
    raw = json.dumps({"redirect_url": "x" * 65_536})
    answer = xwms.http.post("/api/sign-token", data=raw, content_type="application/json", headers=xwms.headers)
    refused(answer, 413, "Request Entity Too Large.")


def test_every_other_path_and_method_is_refused_in_the_envelope(xwms, subtests):
    for method, path, status, message in [
        ("GET", "/api", 404, "Not Found."),
        ("GET", "/api/", 404, "Not Found."),
        ("GET", "/api//info", 404, "Not Found."),
        ("POST", "/api/sign-token/", 404, "Not Found."),
        ("POST", "/api/oauth/token", 404, "Not Found."),
        ("GET", "/api/sign-token", 405, "Method Not Allowed."),
        ("OPTIONS", "/api/sign-token-verify", 405, "Method Not Allowed."),
        ("POST", "/api/info", 405, "Method Not Allowed."),
    ]:
        with subtests.test(method=method, path=path, status=status, message=message):
            refused(xwms.http.open(path, method=method), status, message)


def test_a_405_names_the_methods_that_are_allowed(xwms):
    assert xwms.http.get("/api/sign-token").headers["Allow"] == "POST"


def test_a_flood_of_sign_ins_forgets_the_oldest_and_time_forgets_the_rest(xwms, monkeypatch):
    monkeypatch.setattr("xwms_auth.sandbox.domain.sign_ins.MAX_SIGN_INS", 3)
    urls = [xwms.sign_token()["url"] for _ in range(5)]
    assert [xwms.http.get(url).status_code for url in urls] == [404, 404, 200, 200, 200]
    xwms.clock.now += 600
    assert xwms.http.get(urls[4]).status_code == 410
    xwms.clock.now += 3600
    xwms.sign_token()
    assert xwms.http.get(urls[4]).status_code == 404
