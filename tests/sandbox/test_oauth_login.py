"""Logging in over OAuth at the sandbox: what an app may ask, who answers, and what a code is worth."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.sandbox.local_xwms import NOON, REDIRECT
from tests.sandbox.oauth_app import CLIENT_ID, EVERYTHING, Login, challenge_of, half_hash, refused, said
from xwms_auth.sandbox.domain import client_domains


def test_the_whole_story_from_the_login_to_the_last_token(app):
    login = Login()
    page = app.begin(login)
    assert "Anna de Vries" in app.http.get(page).text
    consent = app.http.post(page, data={"person": "1001"})
    assert "Allow <span" in consent.text
    for words in ("Know that it is you", "Name and picture", "E-mail address", "Stay signed in while you are away"):
        assert words in consent.text
    back = said(app.allow(page))
    assert back == {"code": back["code"], "state": login.state, "iss": app.server.url}

    answer = app.redeem(back["code"], login)
    tokens = answer.json()
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert {name: tokens[name] for name in ("token_type", "expires_in", "scope")} == {
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": EVERYTHING,
    }
    assert app.userinfo(tokens["access_token"]).json()["sub"] == "1001"
    assert app.introspect(tokens["access_token"])["active"] is True
    refreshed = app.refresh(tokens["refresh_token"]).json()
    assert app.userinfo(refreshed["access_token"]).json()["email"] == "anna@example.com"
    assert app.revoke(refreshed["refresh_token"]).status_code == 200
    assert app.userinfo(refreshed["access_token"]).status_code == 401


def test_the_id_token_says_who_logged_in_when_and_to_whom(app):
    login = Login()
    tokens = app.log_in(login=login)
    claims = app.verified(tokens["id_token"])
    assert claims.pop("sid")
    assert claims == {
        "iss": app.server.url,
        "sub": "1001",
        "aud": CLIENT_ID,
        "azp": CLIENT_ID,
        "iat": int(NOON),
        "exp": int(NOON) + 300,
        "auth_time": int(NOON),
        "nonce": login.nonce,
        "at_hash": half_hash(tokens["access_token"]),
        "name": "Anna de Vries",
        "given_name": "Anna",
        "family_name": "de Vries",
        "picture": f"{app.server.url}/static/person.png",
        "email": "anna@example.com",
        "email_verified": True,
    }


def test_an_app_learns_what_the_scope_allows_and_no_more(app, subtests):
    for scope, known in [
        ("openid", {"sub"}),
        ("openid profile", {"sub", "name", "given_name", "picture"}),
        ("openid email", {"sub", "email", "email_verified"}),
    ]:
        with subtests.test(scope=scope, known=known):
            tokens = app.log_in(sub="1003", scope=scope)  # somebody without a family name: the claim is left out
            assert tokens["scope"] == scope
            assert "refresh_token" not in tokens
            assert app.userinfo(tokens["access_token"]).json().keys() == known
            about = {"iss", "aud", "azp", "iat", "exp", "auth_time", "nonce", "at_hash", "sid"}
            assert app.verified(tokens["id_token"]).keys() - about == known


def test_without_openid_there_is_no_id_token_and_no_userinfo(app):
    tokens = app.log_in(scope="profile")
    assert "id_token" not in tokens
    assert refused(app.userinfo(tokens["access_token"]), 403) == "insufficient_scope"


# --- codes ---


def test_a_code_that_comes_back_is_refused_and_ends_what_came_of_it(app):
    login = Login()
    code = app.code(login)
    tokens = app.redeem(code, login).json()
    assert refused(app.redeem(code, login)) == "invalid_grant"
    assert app.introspect(tokens["access_token"]) == {"active": False}
    assert app.userinfo(tokens["access_token"]).status_code == 401
    assert refused(app.refresh(tokens["refresh_token"])) == "invalid_grant"


def test_oc_07_a_code_with_a_wrong_verifier_or_redirect_uri_is_refused_and_lost(app, subtests):
    for changes in (
        {"code_verifier": "x" * 43},
        {"redirect_uri": "https://app.example/callback"},
        {"redirect_uri": REDIRECT + "/"},
    ):
        with subtests.test(changes=changes):
            login = Login()
            code = app.code(login)
            assert refused(app.redeem(code, login, **changes)) == "invalid_grant"
            assert refused(app.redeem(code, login)) == "invalid_grant"


def test_a_redemption_without_a_proper_verifier_is_an_invalid_request(app, subtests):
    for changes in ({"code_verifier": None}, {"code_verifier": "short"}):
        with subtests.test(changes=changes):
            login = Login()
            assert refused(app.redeem(app.code(login), login, **changes)) == "invalid_request"


@pytest.mark.parametrize(("later", "status"), [(59, 200), (60, 400)])
def test_a_code_is_good_for_a_minute(app, clock, later, status):
    login = Login()
    code = app.code(login)
    clock.now += later
    assert app.redeem(code, login).status_code == status


def test_a_code_of_another_client_is_refused_and_not_spent(app):
    login = Login()
    code = app.code(login)
    other = app.another()
    assert refused(other.redeem(code, login)) == "invalid_grant"
    assert app.redeem(code, login).status_code == 200


# --- the authorization request ---


def test_oc_01_what_is_wrong_with_a_request_is_told_to_the_app_with_state_and_iss(app, subtests):
    for changes, error in [
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": "s256"}, "invalid_request"),
        ({"code_challenge": "x" * 42}, "invalid_request"),
        ({"code_challenge": "x" * 44}, "invalid_request"),
        ({"code_challenge": "~" * 43}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": 'code"\\é'}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"request": "e30.e30."}, "request_not_supported"),
        ({"request_uri": "https://app.example/r"}, "request_uri_not_supported"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
        ({"scope": "openid everything"}, "invalid_scope"),
        ({"scope": "openid userinfo"}, "invalid_scope"),
        ({"prompt": "none"}, "login_required"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "dance"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"nonce": "n" * 2001}, "invalid_request"),
    ]:
        with subtests.test(changes=changes, error=error):
            login = Login()
            logged = len(app.log())
            told = said(app.authorize(login.parameters(**changes)))
            assert told.pop("error_description")
            assert told == {"error": error, "state": login.state, "iss": app.server.url}
            assert app.log()[0][:2] == ("oauth/authorize", 303)
            assert len(app.log()) == logged + 1
            assert app.log()[0][2]


def test_a_parameter_that_is_there_twice_is_refused(app, subtests):
    for name in ("state", "scope", "nonce", "code_challenge", "prompt"):
        with subtests.test(name=name):
            parameters = [*Login().parameters().items(), (name, "another")]
            answer = app.authorize(parameters if name != "prompt" else [*parameters, ("prompt", "login")])
            assert said(answer)["error"] == "invalid_request"


def test_an_address_that_is_not_registered_gets_a_page_and_nobody_is_sent_there(app, subtests):
    for uri in [
        REDIRECT + "/",
        REDIRECT.upper(),
        REDIRECT.replace("localhost", "127.0.0.1"),
        REDIRECT.replace("http:", "https:"),
        REDIRECT + "?x=1",
        REDIRECT + "#x",
        REDIRECT.replace("localhost", "localhost.evil.example"),
        "https://evil.example/",
        "javascript:alert(1)",
        "//evil.example",
        'http://localhost:5000/"><script>\\é',
        "\x00",
        "",
        None,
    ]:
        with subtests.test(uri=uri):
            logged = len(app.log())
            answer = app.authorize(Login().parameters(redirect_uri=uri))
            assert answer.status_code == 400
            assert "Location" not in answer.headers
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            assert "evil.example" not in answer.text
            assert app.log()[0][:2] == ("oauth/authorize", 400)
            assert len(app.log()) == logged + 1


def test_two_addresses_or_two_clients_get_a_page(app):
    parameters = list(Login().parameters().items())
    for twice in (("redirect_uri", "https://evil.example/"), ("redirect_uri", REDIRECT), ("client_id", "other")):
        answer = app.authorize([*parameters, twice])
        assert (answer.status_code, "Location" in answer.headers) == (400, False)


def test_an_unknown_client_gets_a_page(app):
    answer = app.authorize(Login().parameters(client_id="nobody"))
    assert (answer.status_code, "Location" in answer.headers) == (400, False)


def test_an_address_that_is_switched_off_or_not_https_where_the_domain_is_live_gets_a_page(app):
    page = app.begin(Login())
    with app.settings() as client:
        client.redirect_uris[0].active = False
    assert app.authorize(Login().parameters()).status_code == 400
    assert app.allow(page).status_code == 403  # it was open when that happened
    with app.settings() as client:
        client.redirect_uris[0].active = True
        client.domains[0].live = True
    assert app.authorize(Login().parameters()).status_code == 400
    assert app.authorize(Login().parameters(redirect_uri="https://app.example/callback")).status_code == 303


def test_a_redirect_uri_keeps_its_own_query_byte_for_byte(make_app):
    uri = "http://localhost:5000/cb?a=%2f&b=x+y"
    app = make_app(redirect_uris=(uri,))
    login = Login()
    answer = app.allow(app.begin(login, redirect_uri=uri))
    assert answer.headers["Location"].startswith(f"{uri}&code=")


def test_a_request_may_be_posted(app):
    login = Login()
    answer = app.http.post("/oauth/authorize", data=login.parameters())
    assert app.redeem(said(app.allow(answer.headers["Location"]))["code"], login).status_code == 200


def test_a_link_checker_signs_nobody_in(make_app):
    app = make_app(auto_login="1001")
    answer = app.http.head("/oauth/authorize", params=Login().parameters())
    assert "code=" not in answer.headers["Location"]


# --- the person ---


def test_whoever_says_no_is_told_to_the_app_as_access_denied(app):
    login = Login()
    page = app.begin(login)
    told = said(app.http.post(page, data={"answer": "no"}))
    assert told == {
        "error": "access_denied",
        "error_description": told["error_description"],
        "state": login.state,
        "iss": app.server.url,
    }
    assert app.http.get(page).status_code == app.allow(page).status_code == 410


def test_the_consent_page_can_be_left_by_a_button_too(app):
    page = app.begin(Login())
    consent = app.http.post(page, data={"person": "1001"}).text
    assert '<button name="answer" value="no">Cancel</button>' in consent
    assert said(app.http.post(page, data={"answer": "no"}))["error"] == "access_denied"


def test_somebody_else_can_be_typed_in_and_who_cancels_has_changed_nobodys_name(app):
    typed = {"sub": "1001", "name": "Annie", "email": "annie@example.com"}
    page = app.begin(Login())
    assert ">Annie<" in app.http.post(page, data=typed).text
    app.http.post(page, data={"answer": "no"})
    assert app.userinfo(app.log_in()["access_token"]).json()["name"] == "Anna de Vries"
    login = Login()
    answer = app.http.post(app.begin(login), data=typed | {"scope": EVERYTHING.split()})
    tokens = app.redeem(said(answer)["code"], login).json()
    assert app.userinfo(tokens["access_token"]).json()["name"] == "Annie"
    assert app.http.post(app.begin(Login()), data={"sub": ""}).status_code == 422


def test_who_has_agreed_before_is_asked_again_only_for_more_or_where_the_app_wants_it(app):
    app.log_in(scope="openid")
    page = app.begin(Login(), scope="openid")
    assert "code" in said(app.http.post(page, data={"person": "1001"}))
    for changes in ({"scope": "openid email"}, {"scope": "openid", "prompt": "consent"}):
        page = app.begin(Login(), **changes)
        assert "Allow <span" in app.http.post(page, data={"person": "1001"}).text


def test_a_scope_that_was_not_on_the_page_is_not_agreed_to(app):
    page = app.begin(Login())
    asked = app.allow(page, scope="openid profile")
    assert asked.status_code == 200
    assert 'value="offline_access"' in asked.text


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_cannot_answer(app, site):
    page = app.begin(Login())
    form = {"person": "1001", "scope": EVERYTHING.split()}
    assert app.http.post(page, data=form, headers={"Sec-Fetch-Site": site}).status_code == 403
    assert app.allow(page).status_code == 303


def test_a_sign_in_page_works_once_and_for_ten_minutes(app, clock):
    page, other = app.begin(Login()), app.begin(Login())
    assert app.allow(page).status_code == 303
    assert app.allow(page).status_code == 410
    clock.now += 600
    assert app.allow(other).status_code == 410
    assert app.http.get(f"{app.server.url}/oauth/sign-in/unknown").status_code == 404


def test_every_page_is_kept_out_of_caches_frames_and_referrers(app):
    page = app.begin(Login())
    answers = [
        app.http.get(page),
        app.http.post(page, data={"person": "1001"}),
        app.authorize({}),
        app.http.get("/oauth/logout"),
    ]
    for answer in answers:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert "Set-Cookie" not in answer.headers
    # The form leads back to the app, and browsers hold a form's redirect to this too.
    assert "form-action 'self' http://localhost:5000" in answers[0].headers["Content-Security-Policy"]


def test_auto_login_approves_at_once_also_without_a_prompt(make_app):
    app = make_app(auto_login="7007")
    for prompt in (None, "none", "login", "consent"):
        login = Login()
        code = said(app.authorize(login.parameters(prompt=prompt)))["code"]
        assert app.verified(app.redeem(code, login).json()["id_token"])["sub"] == "7007"


@pytest.mark.parametrize("prompt", ["login", "select_account"])
def test_everybody_logs_in_anew_which_is_what_max_age_and_prompt_ask_for(app, clock, prompt):
    app.log_in()
    clock.now += 100
    login = Login()
    code = app.code(login, prompt=prompt, max_age="0")
    assert app.verified(app.redeem(code, login).json()["id_token"])["auth_time"] == int(NOON) + 100


def test_a_client_that_may_not_log_anybody_in_is_told_so(app):
    def off(client) -> None:
        client.enabled = False

    def no_login(client) -> None:
        client.domains[0].allow_login = False

    def no_domain(client) -> None:
        client.domains[0].active = False

    for switch in (no_login, no_domain, off):
        with app.settings() as client:
            switch(client)
        assert said(app.authorize(Login().parameters()))["error"] == "unauthorized_client"


def test_the_domain_of_a_login_is_the_one_of_its_redirect_uri(make_app):
    uris = ("https://shop.example/cb", "https://www.shop.example/cb", "https://elsewhere.example/cb")
    app = make_app(redirect_uris=uris)
    with app.settings() as client:
        client_domains.add_domain(client, "shop.example").allow_login = False
    errors = [
        dict(parse_qsl(urlsplit(app.authorize(Login().parameters(redirect_uri=uri)).headers["Location"]).query))
        for uri in uris
    ]
    assert [error.get("error") for error in errors] == ["unauthorized_client", "unauthorized_client", None]


def test_a_challenge_is_what_the_rfc_says():
    # RFC 7636, appendix B: the hand-written client above would otherwise agree with itself only.
    assert challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
