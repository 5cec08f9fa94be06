"""The sandbox's pages: choosing a person, being somebody else, cancelling, and every way it may not work."""

import html
import logging
import re

import pytest

from tests.sandbox.local_xwms import REDIRECT
from tests.sandbox.office import faults_at_fields, faults_led_to, title
from xwms_auth.sandbox.domain.people import PEOPLE


def policy(answer) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in answer.headers["Content-Security-Policy"].split(";"))
    return {name: value for name, _, value in parts}


def test_the_page_says_who_asks_and_offers_everybody(xwms):
    answer = xwms.http.get(xwms.sign_token()["url"])
    text = html.unescape(answer.text)
    assert answer.status_code == 200
    assert 'Sign in to <span class="app">localhost</span>' in text
    assert "Local XWMS for development" in text
    assert len(re.findall("<h1", text)) == 1
    for person in PEOPLE:
        assert f'name="person" value="{person.sub}"' in text
        assert person.name in text
    assert text.count('class="badge">unverified') == sum(not person.email_verified for person in PEOPLE)
    assert '<a href="http://localhost:5000/">Cancel</a>' in text


def test_the_ready_made_people_are_the_awkward_cases():
    assert len({person.sub for person in PEOPLE}) == len(PEOPLE)
    verified = [person.email for person in PEOPLE if person.email_verified]
    assert len(set(verified)) < len(verified)
    assert any(not person.email_verified and person.email in verified for person in PEOPLE)
    assert any(person.family_name is None for person in PEOPLE)
    assert any(person.sub.isdigit() and float(person.sub) != int(person.sub) for person in PEOPLE)
    assert any(not person.sub.isdigit() for person in PEOPLE)
    assert any(len(person.name) > 50 and not person.name.isascii() for person in PEOPLE)


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.sub)
def test_everybody_on_the_list_can_sign_in(xwms, person):
    token = xwms.sign_token()["token"]
    answer = xwms.choose(token, person=person.sub)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{REDIRECT}?token={token}")
    assert answer.data == b""
    data = xwms.verify(token).json["data"]
    assert (data["sub"], data["name"], data["email"]) == (person.sub, person.name, person.email)
    assert (data["family_name"], data["email_verified"]) == (person.family_name, person.email_verified)


def test_a_redirect_url_with_a_query_keeps_it(make_xwms):
    xwms = make_xwms(redirect_uris=("http://localhost:5000/cb?a=%C3%A9",))
    token = xwms.sign_token("http://localhost:5000/cb?a=%C3%A9")["token"]
    assert xwms.choose(token).headers["Location"] == f"http://localhost:5000/cb?a=%C3%A9&token={token}"


def test_somebody_else_can_sign_in(xwms, subtests):
    for form, expected in [
        (
            {"sub": " 42 ", "name": "Jo  van Dam", "email": "jo@example.com", "email_verified": "1"},
            {"name": "Jo van Dam", "given_name": "Jo", "family_name": "van Dam", "email_verified": True},
        ),
        (
            {"sub": "42", "name": "", "email": ""},
            {"name": "42", "given_name": "42", "family_name": None, "email": None, "email_verified": False},
        ),
        ({"sub": "42", "name": "<b>"}, {"name": "<b>"}),
    ]:
        with subtests.test(form=form, expected=expected):
            token = xwms.sign_token()["token"]
            assert xwms.choose(token, **form).status_code == 303
            data = xwms.verify(token).json["data"]
            assert data["sub"] == "42"
            assert {key: data[key] for key in expected} == expected


def test_a_faulty_form_is_shown_again_and_nobody_is_signed_in(xwms, subtests):
    for form, fault in [
        ({"sub": ""}, "The sub needs 1 to 255 printable characters."),
        ({"unknown": "field"}, "The sub needs 1 to 255 printable characters."),
        ({"sub": "x" * 256}, "The sub needs 1 to 255 printable characters."),
        ({"sub": "a\nb"}, "The sub needs 1 to 255 printable characters."),
        ({"sub": "1", "name": "x" * 201}, "The name may have at most 200 printable characters."),
        ({"sub": "1", "email": "nonsense"}, "That is not an e-mail address."),
        ({"sub": "1", "email_verified": "1"}, "Without an e-mail address there is nothing to verify."),
        ({"person": "nobody"}, "That person is not on the list."),
    ]:
        with subtests.test(form=form, fault=fault):
            token = xwms.sign_token()["token"]
            answer = xwms.choose(token, **form)
            assert answer.status_code == 422
            assert fault in answer.text
            assert xwms.verify(token).status_code == 401
            assert xwms.choose(token).status_code == 303


def test_every_fault_of_somebody_else_is_said_at_once_and_each_at_its_field(xwms):
    typed = {"sub": " ", "name": "a\x00b", "email": "nonsense", "email_verified": "1"}
    answer = xwms.choose(xwms.sign_token()["token"], **typed)
    assert answer.status_code == 422
    assert list(faults_at_fields(answer)) == ["sub", "name", "email"]
    assert faults_led_to(answer) == {"sub", "name", "email"}
    assert title(answer) == "Error: Sign in to localhost · Local XWMS"
    assert answer.text.count(" autofocus") == 1
    assert 'value="nonsense"' in answer.text


def test_what_was_typed_comes_back_escaped(xwms):
    answer = xwms.choose(xwms.sign_token()["token"], sub='"><script>alert(1)</script>', email="nonsense")
    assert "<script" not in answer.text
    assert "&lt;script&gt;" in answer.text


def test_a_sign_in_page_works_once(xwms):
    token = xwms.sign_token()["token"]
    assert xwms.choose(token, person="1001").status_code == 303
    again = xwms.choose(token, person="1003")
    assert again.status_code == 410
    assert "This sign-in has ended" in again.text
    assert xwms.http.get(f"/sign-in/{token}").status_code == 410
    assert xwms.verify(token).json["data"]["sub"] == "1001"


def test_who_comes_second_gets_no_token_of_their_own(make_xwms):
    xwms = make_xwms(callback_token="fresh")
    token = xwms.sign_token()["token"]
    first = xwms.choose(token, person="1001")
    second = xwms.choose(token, person="1003")
    assert (first.status_code, second.status_code) == (303, 410)
    assert "Location" not in second.headers
    assert xwms.verify(first.headers["Location"].rpartition("=")[2]).json["data"]["sub"] == "1001"


def test_an_expired_sign_in_page_is_gone(xwms):
    token = xwms.sign_token()["token"]
    xwms.clock.now += 600
    assert xwms.http.get(f"/sign-in/{token}").status_code == 410
    assert xwms.choose(token).status_code == 410


def test_an_unknown_sign_in_page_is_a_friendly_404(xwms, subtests):
    for token in ("nope", "%00", "%ff", "a" * 5000):
        with subtests.test(token=token):
            answer = xwms.http.get(f"/sign-in/{token}")
            assert answer.status_code == 404
            assert answer.mimetype == "text/html"
            assert "Go back to the app" in answer.text


def test_another_site_cannot_choose(xwms, subtests):
    for site, status in [("cross-site", 403), ("same-site", 403), ("same-origin", 303), ("none", 303)]:
        with subtests.test(site=site, status=status):
            token = xwms.sign_token()["token"]
            answer = xwms.http.post(f"/sign-in/{token}", data={"person": "1001"}, headers={"Sec-Fetch-Site": site})
            assert answer.status_code == status
            assert xwms.verify(token).status_code == (200 if status == 303 else 401)


@pytest.mark.parametrize("sub", ["1003", "somebody-not-on-the-list"])
def test_auto_login_approves_at_once(make_xwms, sub):
    xwms = make_xwms(auto_login=sub)
    token = xwms.sign_token()["token"]
    assert xwms.http.head(f"/sign-in/{token}").status_code == 200
    answer = xwms.http.get(f"/sign-in/{token}")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{REDIRECT}?token={token}")
    assert xwms.verify(token).json["data"]["sub"] == sub
    assert xwms.http.get(f"/sign-in/{token}").status_code == 410


def test_every_answer_has_the_headers(xwms, subtests):
    for path in ("/", "/sign-in/nope", "/nowhere", "/static/sandbox.css", "/api/info", "/api/nowhere"):
        with subtests.test(path=path):
            with xwms.http.get(path) as answer:
                headers = answer.headers
            assert headers["Cache-Control"] == "no-store"
            assert headers["Referrer-Policy"] == "no-referrer"
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
            assert "Set-Cookie" not in headers


@pytest.mark.parametrize(
    ("redirect_uri", "source"),
    [
        (REDIRECT, "http://localhost:5000"),
        ("https://app.example/callback", "https://app.example"),
        ("http://[::1]:5000/callback", "http:"),
    ],
)
def test_the_form_may_lead_to_the_app_and_nowhere_else(make_xwms, redirect_uri, source):
    xwms = make_xwms(redirect_uris=(redirect_uri,))
    answer = xwms.http.get(xwms.sign_token(redirect_uri)["url"])
    assert policy(answer)["form-action"] == f"'self' {source}"
    assert policy(answer)["default-src"] == "'none'"
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert not re.search(r"<script|<style|style=| on\w+=", answer.text)


def test_the_front_page_says_what_this_is_and_nothing_secret(xwms):
    token = xwms.sign_token()["token"]
    text = xwms.http.get("/").text
    assert "http://127.0.0.1:8800/api/" in text
    assert REDIRECT in text
    assert xwms.headers["X-Client-Secret"] not in text
    assert token not in text


def test_a_huge_form_is_refused(xwms):
    assert xwms.choose(xwms.sign_token()["token"], sub="x" * 70_000).status_code == 413


def test_a_foreign_host_is_refused_for_pages_and_api(xwms, subtests):
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "a,localhost", ""):
        with subtests.test(host=host):
            page = xwms.http.get("/", headers={"Host": host})
            assert (page.status_code, page.mimetype) == (421, "text/html")
            api = xwms.http.get("/api/info", headers={"Host": host})
            assert (api.status_code, api.json["status"]) == (421, "error")
            # The right address is the one of the settings; nothing of the Host header comes back.
            links = re.findall(r'(?:href|src|action)="([^"]*)"', page.text)
            assert [link for link in links if not link.startswith("/static/")] == ["http://127.0.0.1:8800/"]
            assert "http://127.0.0.1:8800/" in api.json["message"]
            assert not host or host not in page.text + api.text
            for link in links[:-1]:
                with xwms.http.get(link, headers={"Host": host}) as file:
                    assert file.status_code == 200, link


def test_loopback_names_are_answered(xwms, subtests):
    for host in ("localhost", "LocalHost:8800", "127.0.0.1:8800", "127.8.8.8", "[::1]:8800", "app.localhost"):
        with subtests.test(host=host):
            assert xwms.http.get("/api/info", headers={"Host": host}).status_code == 200


def test_its_own_public_host_is_answered(make_xwms):
    xwms = make_xwms(public_url="http://xwms.test")
    assert xwms.http.get("/api/info", headers={"Host": "xwms.test"}).status_code == 200
    assert xwms.http.get("/api/info", headers={"Host": "evil.test"}).status_code == 421


def test_a_foreign_host_at_the_dashboard_of_a_server_for_others_is_told_which_address_it_has(make_xwms):
    xwms = make_xwms(any_host=True, public_url="http://192.0.2.7:8800")
    page = xwms.http.get("/dashboard", headers={"Host": "xwms.lan"})
    assert page.status_code == 421
    assert 'href="http://192.0.2.7:8800/"' in page.text


def test_any_host_is_answered_when_told_so(make_xwms):
    assert make_xwms(any_host=True).http.get("/api/info", headers={"Host": "xwms.lan"}).status_code == 200


def test_the_front_page_shows_every_client_and_whether_it_is_disabled(xwms):
    client_id, secret = xwms.another_client()
    with xwms.client() as client:
        client.enabled = False
    text = xwms.http.get("/").text
    assert client_id in text
    assert "other.example" in text
    assert secret not in text
    assert text.count('<span class="badge">disabled</span>') == 1
    assert "lost when the server stops" in text
    assert '<a href="/dashboard">' in text


def test_the_front_page_does_not_say_forgotten_where_a_file_remembers(make_xwms, tmp_path):
    assert "forgotten" not in make_xwms(database=tmp_path / "xwms.db").http.get("/").text


@pytest.mark.parametrize(
    "switch_off",
    [
        lambda client: setattr(client, "enabled", False),
        lambda client: setattr(client.domains[0], "active", False),
        lambda client: setattr(client.domains[0], "allow_login", False),
        lambda client: setattr(client.redirect_uris[0], "active", False),
    ],
)
@pytest.mark.parametrize("auto_login", [None, "1001"])
def test_a_sign_in_that_may_no_longer_end_there_ends_nowhere(make_xwms, auto_login, switch_off):
    xwms = make_xwms(auto_login=auto_login)
    token = xwms.sign_token()["token"]
    with xwms.client() as client:
        switch_off(client)
    for answer in (xwms.http.get(f"/sign-in/{token}"), xwms.choose(token)):
        assert answer.status_code == 403
        assert "Location" not in answer.headers


def test_no_token_reaches_the_log(xwms, caplog):
    caplog.set_level(logging.DEBUG)
    token = xwms.sign_token()["token"]
    xwms.choose(token)
    xwms.verify(token)
    assert "POST /sign-in/<token> 303" in caplog.text
    assert token not in caplog.text
    assert xwms.headers["X-Client-Secret"] not in caplog.text
