"""What a developer is told in debug mode when the authorization server refuses, and nobody else ever is."""

import pytest

from tests.oauth2.fake_as import DISCOVERY, JWKS, RFC8414, TOKEN, USERINFO, document
from tests.oauth2.jwts import encode, hs256, make_key, signed
from tests.oauth2.steps import begin, come_back, log_in
from tests.oauth2.test_step_up import with_danger
from tests.tools.fake_xwms import CANARY, CLIENT_ID
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, LOGIN, TYPED

CASES = {
    "invalid_client": ("XWMS_CLIENT_AUTH", "XWMS_CLIENT_SECRET", CLIENT_ID, "private_key_jwt", "client_secret_post"),
    "invalid_request": ("PAR", "require_pushed_authorization_requests"),
    "unauthorized_client": ("authorization_code", CLIENT_ID),
    "invalid_scope": ("XWMS_SCOPES", "openid profile email"),
    "invalid_grant": ("https://app.example/xwms/validateToken",),
    "redirect_uri_mismatch": ("https://app.example/xwms/validateToken",),
    "temporarily_unavailable": ("XWMS_ISSUER", "XWMS_TIMEOUT"),
    "something_else": ("XWMS_ISSUER",),
}


@pytest.mark.parametrize(("error", "told"), CASES.items())
def test_a_developer_is_told_what_to_change_and_a_visitor_is_not(make_site, server, error, told):
    server.answer(TOKEN, document({"error": error, "error_description": "words of the server"}, 400))
    shown = log_in(make_site(debug=True).browser(), server).text
    for text in told:
        assert text in shown
    assert "words of the server" not in shown
    assert CANARY not in shown
    hidden = log_in(make_site().browser(), server).text
    for text in (*told, server.issuer, "Cause:"):
        assert text not in hidden


def test_an_issuer_without_a_document_is_told_with_what_to_name_instead(make_site, server):
    for path in (DISCOVERY, RFC8414):
        server.answer(path, document({}, 404))
    shown = make_site(debug=True).browser().get(LOGIN, FROM_HERE).text
    assert "XWMS_AUTHORIZATION_ENDPOINT" in shown
    assert server.issuer in shown


CLOCKS = "Compare the clocks"
NOW = 1_000_000_000
FAULTS = {
    "another client": (lambda server: {"aud": "another-app"}, "<code>XWMS_CLIENT_ID</code> must be"),
    "another party": (lambda server: {"azp": "another-app"}, "<code>XWMS_CLIENT_ID</code> must be"),
    "another issuer": (lambda server: {"iss": "https://other.example"}, "<code>XWMS_ISSUER</code> must equal"),
    "expired": (lambda server: {"exp": NOW}, CLOCKS),
    "from the future": (lambda server: {"iat": 4 * NOW}, CLOCKS),
    "not yet": (lambda server: {"nbf": 4 * NOW}, CLOCKS),
    "no nonce": (lambda server: {"nonce": None}, "must put the nonce"),
    "another access token": (lambda server: {"at_hash": "x"}, "at_hash is not that of"),
}


@pytest.mark.parametrize(("changes", "told"), FAULTS.values(), ids=FAULTS)
def test_the_hint_names_what_is_wrong_with_an_id_token_and_nothing_else(make_site, server, changes, told):
    server.claims = changes(server)
    shown = log_in(make_site(debug=True).browser(), server).text
    assert told in shown
    assert (CLOCKS in shown) == (told == CLOCKS)


FORGED = {
    "HS256": (lambda claims: encode({"alg": "HS256"}, claims, hs256(b"x")), "id_token_signed_response_alg", "HS256"),
    "none": (lambda claims: encode({"alg": "none"}, claims, lambda data: b""), "id_token_signed_response_alg", "none"),
    "of an unknown kid": (lambda claims: signed(make_key(kid="other"), claims), "not at the server", "kid"),
    "of another key": (lambda claims: signed(make_key(another=1), claims), "not at the server", "signature"),
}


@pytest.mark.parametrize(("forge", "told", "cause"), FORGED.values(), ids=FORGED)
def test_the_hint_names_what_is_wrong_with_a_signature(make_site, server, forge, told, cause):
    server.forge = forge
    shown = log_in(make_site(debug=True).browser(), server).text
    assert told in shown
    assert cause in shown
    assert CLOCKS not in shown


def test_the_hint_says_which_setting_brings_an_auth_time(make_site, server):
    browser = with_danger(make_site(debug=True)).browser()
    log_in(browser, server)
    sent = browser.get("/danger", TYPED).headers["location"]
    location = browser.get(sent, TYPED).headers["location"]
    shown = come_back(browser, server.consent(location)).text
    assert "require_auth_time" in shown
    assert CLOCKS not in shown


ANSWERS = {
    USERINFO: ("userinfo_endpoint", document({}, 200, Content_Type="text/html")),
    JWKS: ("jwks_uri", document({}, 200, Content_Type="text/html")),
}


@pytest.mark.parametrize("path", ANSWERS)
def test_the_hint_names_the_endpoint_whose_answer_is_none(make_site, server, path):
    name, reply = ANSWERS[path]
    server.answer(path, reply)
    shown = log_in(make_site(debug=True).browser(), server).text
    assert name in shown
    assert "text/html" in shown


def test_a_server_that_posts_to_the_redirect_uri_is_told_with_the_response_mode(make_site, server):
    browser = make_site(debug=True).browser()
    query = server.consent(begin(browser))
    answer = browser.post(CALLBACK, FROM_ELSEWHERE, data=query)
    assert answer.status_code == 405
    assert "form_post" in answer.text
    assert "form_post" not in browser.post(LOGIN, FROM_ELSEWHERE).text
    assert "form_post" not in make_site().browser().post(CALLBACK, FROM_ELSEWHERE, data=query).text
