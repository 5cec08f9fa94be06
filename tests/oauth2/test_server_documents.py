"""The discovery document and the keys: completed by settings, served oddly, demanding what this client does not speak,
renewed one asker at a time, and used a while longer when the server is down.
"""

import json
import time

import pytest

from tests.oauth2.apis import APISite
from tests.oauth2.fake_as import DISCOVERY, INTROSPECT, JWKS, RFC8414, TOKEN, USERINFO, document
from tests.oauth2.jwts import make_key, signed
from tests.oauth2.steps import begin, code_of, log_in
from tests.oauth2.test_bearer_introspection import at_once
from tests.tools.site import FROM_HERE, LOGIN, LOGOUT, Site

HOUR = 3600
GRACE = HOUR
STRANGE = (502, "xwms_bad_answer")
DOWN = (503, "xwms_unreachable")
AUDIENCE = "https://api.example"


def start(site):
    return site.browser().get(LOGIN, FROM_HERE)


# --- completed by settings ---


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        ("userinfo_endpoint", "/named-userinfo"),
        ("introspection_endpoint", "/named-introspection"),
        ("revocation_endpoint", "/named-revocation"),
        ("end_session_endpoint", "/named-logout"),
    ],
)
@pytest.mark.parametrize("says", ["nothing", "another", "nonsense"])
def test_a_named_endpoint_completes_and_replaces_what_the_document_says(make_as, edge, endpoint, path, says):
    server = make_as()
    server.metadata.pop(endpoint, None)
    if says != "nothing":
        server.metadata[endpoint] = f"{server.url}/of-the-document" if says == "another" else 5
    server.answer("/named-userinfo", document({"sub": "xwms-user-1234", "name": "Named"}))
    server.answer("/named-introspection", document({"active": False}))
    server.answer("/named-revocation", document({}))
    api = APISite(edge, server, **{endpoint: server.url + path})
    site = Site(edge, server, **{endpoint: server.url + path})
    browser = site.browser()
    assert log_in(browser, server).status_code == 303
    api.call("opaque")
    location = browser.post(LOGOUT, FROM_HERE).headers["location"]
    assert location.startswith(server.url + path) if path == "/named-logout" else server.calls(path) == 1
    assert server.calls("/of-the-document") == 0
    assert server.calls(TOKEN) == 1


def test_where_no_revocation_is_possible_the_log_says_so_now_and_then(site, server, caplog):
    for _ in range(3):
        browser = site.browser()
        log_in(browser, server)
        assert browser.post(LOGOUT, FROM_HERE).status_code == 303
    assert caplog.text.count("tokens_not_revocable") == 1
    assert "XWMS_REVOCATION_ENDPOINT" in caplog.text
    site.clock.advance(HOUR)
    server.claims = {"exp": int(site.clock()) + HOUR}
    browser = site.browser()
    log_in(browser, server)
    browser.post(LOGOUT, FROM_HERE)
    assert caplog.text.count("tokens_not_revocable") == 2


def test_without_an_introspection_endpoint_the_log_names_the_setting(edge, server, caplog):
    del server.metadata["introspection_endpoint"]
    assert code_of(APISite(edge, server).call("opaque")) == STRANGE
    assert "XWMS_INTROSPECTION_ENDPOINT" in caplog.text


# --- served oddly ---

ODD = ["text/plain", "TEXT/PLAIN; charset=utf-8", "application/octet-stream", "binary/octet-stream", "text/json", None]


@pytest.mark.parametrize("media_type", ODD)
@pytest.mark.parametrize("which", [DISCOVERY, JWKS])
def test_a_document_of_a_static_file_server_is_read(browser, server, which, media_type):
    body = server.metadata if which == DISCOVERY else {"keys": server.keys}
    server.answer(which, document(body, Content_Type=media_type))
    assert log_in(browser, server).status_code == 303


@pytest.mark.parametrize(
    ("media_type", "shown"),
    [
        ("text/html", "text/html"),
        ("text/html; charset=x", "text/html"),
        ("application/x-yaml", "application/x-yaml"),
        ("\x1b[2Jx/y", "no known type"),
        ("x" * 200, "no known type"),
    ],
)
@pytest.mark.parametrize("which", [DISCOVERY, JWKS])
def test_a_document_of_another_type_is_refused_with_its_type(browser, server, caplog, which, media_type, shown):
    body = server.metadata if which == DISCOVERY else {"keys": server.keys}
    server.answer(which, document(body, Content_Type=media_type))
    server.answer(RFC8414, document({}, 404))
    if which == DISCOVERY:
        answer = browser.get(LOGIN, FROM_HERE)
        assert "RFC 8414: the server answered 404" in caplog.text
    else:
        answer = log_in(browser, server)
    assert code_of(answer) == STRANGE
    assert f"the response is {shown}" in caplog.text or f"of {shown}" in caplog.text
    assert "\x1b" not in caplog.text


@pytest.mark.parametrize("which", [TOKEN, USERINFO, INTROSPECT])
def test_other_answers_are_never_read_as_plain_text(edge, server, which):
    api = APISite(edge, server)
    usual = server.usual

    def plainly(at):
        reply = usual(at)
        return document(json.loads(reply.body), Content_Type="text/plain")

    server.answer(which, plainly)
    if which == INTROSPECT:
        assert code_of(api.call(server.give())) == STRANGE
    else:
        assert code_of(log_in(Site(edge, server).browser(), server)) == STRANGE


NO_URLS = ["http://evil.example/x", "/x", "javascript:alert(1)", "https://id.example.org/#x", "", 5, [], {}]


@pytest.mark.parametrize("endpoint", ["revocation_endpoint", "introspection_endpoint", "end_session_endpoint"])
def test_a_broken_endpoint_that_no_login_needs_is_left_out_with_a_warning(make_site, server, caplog, endpoint):
    for value in NO_URLS:
        server.metadata[endpoint] = value
        caplog.clear()
        browser = make_site().browser()
        assert log_in(browser, server).status_code == 303, value
        assert "endpoint_not_usable" in caplog.text, value
        assert endpoint in caplog.text, value
        location = browser.post(LOGOUT, FROM_HERE).headers["location"]
        assert location == "/", "it is used for nothing"


def test_a_broken_endpoint_that_says_who_logs_in_ends_the_login(make_site, server):
    """With openid the keys, without it userinfo."""
    usual = dict(server.metadata)
    for options, endpoint in (({}, "jwks_uri"), ({"scopes": "profile"}, "userinfo_endpoint")):
        server.metadata = {**usual, endpoint: "/x"}
        assert code_of(start(make_site(**options))) == STRANGE


# --- what it demands ---

DEMANDS = {
    "PAR": ({"require_pushed_authorization_requests": True}, ("PAR", "require_pushed_authorization_requests")),
    "JAR": ({"require_signed_request_object": True}, ("JAR", "require_signed_request_object")),
    "form_post": ({"response_modes_supported": ["form_post", "fragment"]}, ("form_post", "response mode query")),
    "no code": ({"response_types_supported": ["id_token"]}, ("response type code",)),
    "private_key_jwt": (
        {"token_endpoint_auth_methods_supported": ["private_key_jwt", "tls_client_auth"]},
        ("private_key_jwt", "client_secret_basic"),
    ),
    "the other method": (
        {"token_endpoint_auth_methods_supported": ["client_secret_post"]},
        ("XWMS_CLIENT_AUTH=client_secret_post",),
    ),
}


@pytest.mark.parametrize(("says", "told"), DEMANDS.values(), ids=DEMANDS)
def test_what_a_server_demands_and_this_client_does_not_speak_is_refused_by_name(make_site, server, caplog, says, told):
    server.metadata |= says
    answer = start(make_site(debug=True))
    assert answer.status_code == 502
    for text in told:
        assert text in caplog.text
        assert text in answer.text
    assert server.calls(TOKEN) == 0


def test_what_a_server_demands_of_a_login_keeps_no_access_token_out(edge, server):
    server.metadata |= {"require_pushed_authorization_requests": True}
    assert APISite(edge, server).call(server.give()).status_code == 200
    assert APISite(edge, server, token_validation="jwt", audience=AUDIENCE).call(server.access_jwt()).status_code == 200


def test_a_thread_that_began_a_little_before_the_fetch_fetches_nothing_again(site, server):
    begin(site.browser())
    site.clock.advance(-2)
    begin(site.browser())
    assert server.calls(DISCOVERY) == 1


@pytest.mark.parametrize(
    "says",
    [
        {"require_pushed_authorization_requests": False, "pushed_authorization_request_endpoint": "https://x/par"},
        {"response_modes_supported": ["query", "form_post"], "response_types_supported": ["code", "id_token"]},
        {"response_modes_supported": [], "token_endpoint_auth_methods_supported": None},
        {"response_modes_supported": "query", "response_types_supported": {"code": 1}},
        {"token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_basic"]},
    ],
)
def test_what_a_server_only_offers_is_no_demand(browser, server, says):
    server.metadata |= says
    assert log_in(browser, server).status_code == 303


# --- keys that change ---


def test_a_key_that_is_rotated_right_after_a_fetch_is_fetched_at_once(site, server):
    assert log_in(site.browser(), server).status_code == 303
    server.rotate(make_key(kid="key-2"))
    assert log_in(site.browser(), server).status_code == 303
    assert server.calls(JWKS) == 2


def test_keys_that_are_unknown_again_and_again_are_asked_for_once_a_minute(site, server):
    assert log_in(site.browser(), server).status_code == 303
    server.forge = lambda claims: signed(make_key(kid="no-such-key"), claims)
    for _ in range(3):
        assert code_of(log_in(site.browser(), server)) == (401, "token_rejected")
    assert server.calls(JWKS) == 2
    site.clock.advance(61)
    for _ in range(3):
        assert code_of(log_in(site.browser(), server)) == (401, "token_rejected")
    assert server.calls(JWKS) == 3


def test_a_flood_of_invented_keys_does_not_delay_the_logins_after_a_rotation(edge, server):
    api = APISite(edge, server, token_validation="jwt", audience=AUDIENCE)
    assert api.call(server.access_jwt()).status_code == 200
    for number in range(3):
        api.call(server.access_jwt(header={"kid": f"invented {number}"}))
    assert server.calls(JWKS) == 2
    server.rotate(make_key(kid="key-2"))
    if edge == "flask":
        browser = api.browser()
        answer = log_in(browser, server)
        assert answer.status_code == 303, answer.text
        assert server.calls(JWKS) == 3
    assert api.call(server.access_jwt()).status_code == (200 if edge == "flask" else 401)


# --- a server that is down at the hour of their end ---

OUTAGES = {"refused": "close", "busy": document({}, 503), "broken": document({}, 500), "silent": "hang"}


@pytest.mark.parametrize("fault", OUTAGES.values(), ids=OUTAGES)
def test_old_documents_are_used_a_while_when_the_server_is_down(edge, server, caplog, fault):
    api = APISite(edge, server, token_validation="jwt", audience=AUDIENCE, timeout=0.5)
    token = server.access_jwt(exp=int(time.time()) + 9 * HOUR)
    assert api.call(token).status_code == 200
    for path in (DISCOVERY, RFC8414, JWKS):
        server.answer(path, fault)
    api.clock.advance(HOUR)
    asked = len(server.requests)
    for _ in range(4):
        assert api.call(token).status_code == 200
    assert "server_documents_not_renewed" in caplog.text
    tried = len(server.requests) - asked
    assert tried <= 3, "not for each request"
    for path in (DISCOVERY, RFC8414, JWKS):
        server.answer(path)
    api.clock.advance(61)
    assert api.call(token).status_code == 200
    assert server.calls(JWKS) >= 2
    assert len(server.requests) == asked + tried + 2, "renewed as soon as it is back"


def test_old_documents_are_not_used_for_ever(edge, server):
    api = APISite(edge, server, token_validation="jwt", audience=AUDIENCE)
    token = server.access_jwt(exp=int(time.time()) + 9 * HOUR)
    assert api.call(token).status_code == 200
    for path in (DISCOVERY, JWKS):
        server.answer(path, document({}, 503))
    api.clock.advance(HOUR + GRACE - 1)
    assert api.call(token).status_code == 200
    api.clock.advance(1)
    assert code_of(api.call(token)) == DOWN


def test_a_document_that_has_become_another_issuers_has_no_grace(site, server):
    begin(site.browser())
    server.metadata["issuer"] = "https://evil.example"
    site.clock.advance(HOUR)
    assert code_of(start(site)) == STRANGE


def test_a_clock_that_was_set_back_makes_no_document_last_longer(site, server):
    begin(site.browser())
    site.clock.advance(-HOUR)
    server.answer(DISCOVERY, document({}, 503))
    assert code_of(start(site)) == DOWN


# --- one asker at a time ---


@pytest.mark.parametrize("when", ["at first", "an hour later"])
def test_many_requests_at_once_fetch_each_document_once(edge, server, when):
    api = APISite(edge, server, token_validation="jwt", audience=AUDIENCE)
    token = server.access_jwt(exp=int(time.time()) + 9 * HOUR)
    before = 0
    if when == "an hour later":
        assert api.call(token).status_code == 200
        api.clock.advance(HOUR)
        before = 1
    assert at_once(api, token, 20) == [200] * 20
    assert server.calls(DISCOVERY) == server.calls(JWKS) == before + 1


def test_many_requests_with_a_new_key_wait_for_one_fetch(edge, server):
    api = APISite(edge, server, token_validation="jwt", audience=AUDIENCE)
    assert api.call(server.access_jwt()).status_code == 200
    server.rotate(make_key(kid="key-2"))
    assert at_once(api, server.access_jwt(), 20) == [200] * 20
    assert server.calls(JWKS) == 2


def test_whoever_waited_for_a_fetch_that_failed_is_told_the_same(edge, server):
    api = APISite(edge, server, token_validation="jwt", audience=AUDIENCE)
    server.metadata["issuer"] = "https://evil.example"
    assert set(at_once(api, server.access_jwt(), 10)) == {502}
    server.metadata["issuer"] = server.issuer
    assert api.call(server.access_jwt()).status_code == 200
