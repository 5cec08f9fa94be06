"""What the token endpoint and userinfo may answer, and where the client secret goes: OC-13 to OC-15, OC-18, SE-02."""

import base64
import json
from urllib.parse import parse_qs, unquote_plus, urlsplit

import pytest

from tests.oauth2.fake_as import DISCOVERY, JWKS, TOKEN, USERINFO, document
from tests.oauth2.jwts import make_key
from tests.oauth2.local_as import token_page
from tests.oauth2.steps import begin, code_of, come_back, log_in
from tests.tools.clock import Clock
from tests.tools.fake_xwms import CANARY, CLIENT_ID
from tests.tools.faults import Reply
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, PROGRAM, Site
from xwms_auth import XWMSConfig
from xwms_auth._core.base.effects import CallXWMS
from xwms_auth._core.base.effects import UpstreamResponse as Answered
from xwms_auth._core.base.errors import BadAnswer
from xwms_auth._core.config.context import Context
from xwms_auth._core.http.messages import Request
from xwms_auth._core.login import routes
from xwms_auth._core.oauth2.code_flow import OAuth2Provider
from xwms_auth._core.oauth2.endpoints import read_tokens

PLAIN = "profile"
# For what is decided of an answer, in which no edge has a part.
one_edge = pytest.mark.parametrize("edge", ["flask"])


def explicit(server, **changes):
    """Options of a client that names its endpoints, for plain OAuth 2.0."""
    named = {"authorization_endpoint": f"{server.url}/authorize", "token_endpoint": server.url + TOKEN}
    return {**named, "userinfo_endpoint": server.url + USERINFO, "issuer": "", "scopes": PLAIN, **changes}


# --- where the secret goes ---


def test_oc_18_the_secret_is_in_the_authorization_header_of_the_token_request_only(browser, server):
    """OC-18: client_secret_basic, with id and secret form-encoded before they are joined (RFC 6749 2.3.1)."""
    assert log_in(browser, server).status_code == 303
    (request,) = server.to(TOKEN)
    (header,) = request.all("Authorization")
    given = base64.b64decode(header.removeprefix("Basic ")).decode()
    assert given == f"{CLIENT_ID}:canary%2Bsecret%2F0123456789%3DABCDEF"
    assert request.all("Content-Type") == ["application/x-www-form-urlencoded"]
    assert set(parse_qs(request.body.decode())) == {"grant_type", "code", "redirect_uri", "code_verifier"}
    for other in server.requests:
        assert "?" not in other.target
        assert "canary" not in other.target + other.body.decode()
        if other is not request:
            assert header not in str(other.headers)
        assert not other.all("X-Client-Secret")
        assert not other.all("Cookie")


def test_oc_18_the_secret_is_in_the_body_where_the_client_is_set_to_post(make_site, server):
    """OC-18: client_secret_post."""
    assert log_in(make_site(client_auth="client_secret_post").browser(), server).status_code == 303
    (request,) = server.to(TOKEN)
    form = parse_qs(request.body.decode())
    assert (form["client_id"], form["client_secret"]) == ([CLIENT_ID], [CANARY])
    assert "?" not in request.target
    assert request.all("Authorization") == []


@one_edge
@pytest.mark.parametrize("client_auth", ["client_secret_basic", "client_secret_post"])
@pytest.mark.parametrize("written", ["a b", "a+b", "a%20b", "a:b", "100% & more=?/\\"])
def test_ids_and_secrets_of_any_printable_ascii_arrive_as_they_are(make_site, server, client_auth, written):
    """RFC 6749 2.3.1: form-encoded in the header too, so that a space or a colon is no end of it."""
    options = {"client_id": f"id {written}", "client_secret": f"secret {written}", "client_auth": client_auth}
    seen = []
    server.answer(TOKEN, lambda at: seen.append(credentials(at.request)) or document({"error": "invalid_client"}, 401))
    log_in(make_site(**options).browser(), server)
    assert seen == [(options["client_id"], options["client_secret"])]


def credentials(request):
    form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
    if "client_secret" in form:
        return form["client_id"], form["client_secret"]
    (header,) = request.all("Authorization")
    client_id, _, secret = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
    return unquote_plus(client_id), unquote_plus(secret)


@pytest.mark.parametrize("path", [TOKEN, USERINFO, JWKS, DISCOVERY])
def test_se_02_no_redirect_of_any_endpoint_is_followed(make_site, server, path):
    """SE-02: with a 307 the code, the verifier and the secret would go wherever the Location says."""
    for client_auth, status in (
        *(("client_secret_basic", status) for status in (301, 302, 303, 307, 308)),
        ("client_secret_post", 307),
    ):
        browser = make_site(client_auth=client_auth).browser()
        away = Reply(status=status, headers={"Location": f"http://{server.sink_host}/stolen"})
        asked = server.calls(path)
        if path == DISCOVERY:
            server.answer(DISCOVERY, away)
            server.answer("/.well-known/oauth-authorization-server", away)
            answer = browser.get("/xwms/auth")
        else:
            server.answer(path, away)
            answer = log_in(browser, server)
        assert server.calls(path) == asked + 1, (client_auth, status)
        assert code_of(answer) == (502, "xwms_bad_answer"), (client_auth, status)
        assert server.sink.connections == 0, (client_auth, status)
        assert browser.who() is None, (client_auth, status)


# --- the token endpoint ---

WRONG = {
    "an empty token type": {"token_type": ""},
    "a token bound to a key": {"token_type": "DPoP"},
    "another token type": {"token_type": "mac"},
    "a token type that is a list": {"token_type": ["Bearer"]},
    "no access token": {"access_token": None},
    "an empty access token": {"access_token": ""},
    "an access token that is a number": {"access_token": 5},
    "an access token with a line break": {"access_token": "a\r\nX-Evil: 1"},
    "a huge access token": {"access_token": "x" * 17_000},
    "a refresh token with a space": {"refresh_token": "a b"},
    "a scope that is a number": {"scope": 5},
    "a list with two scopes in one entry": {"scope": ["openid profile"]},
    "a list with an entry that is no scope": {"scope": ["openid", 5]},
    "a list of lists": {"scope": [["openid"]]},
    "a list that is too long": {"scope": ["x" * 100] * 100},
    "an empty ID token": {"id_token": ""},
    "200 with an error": {"error": "invalid_grant"},
    "200 with an error that is no text": {"error": {}},
    "an expires_in in words": {"expires_in": "soon"},
}


@one_edge
def test_oc_14_a_token_answer_that_is_none_logs_nobody_in(site, server, caplog):
    """OC-14"""
    for name, changes in WRONG.items():
        server.tokens = changes
        browser = site.browser()
        caplog.clear()
        assert code_of(log_in(browser, server)) == (502, "xwms_bad_answer"), name
        assert browser.who() is None, name
        (member,) = changes
        assert member in caplog.text, "the cause names what is wrong"


LENIENT = {
    "no token type": {"token_type": None},
    "no refresh token, as an empty one": {"refresh_token": ""},
    "an error that is null": {"error": None},
    "an error that is empty": {"error": ""},
    "scopes in a list": {"scope": ["openid", "profile"]},
    "no scopes, in a list": {"scope": []},
    "a lifetime with a fraction, as text": {"expires_in": "299.5"},
}


@one_edge
@pytest.mark.parametrize("changes", LENIENT.values(), ids=LENIENT)
def test_what_real_servers_write_otherwise_is_read_as_they_mean_it(make_site, server, changes):
    server.answer(TOKEN, lambda at: reply_with(server.usual(at), changes))
    site = token_page(make_site(session_store="memory://"))
    browser = site.browser()
    assert log_in(browser, server).status_code == 303
    assert browser.get("/token", PROGRAM).status_code == 200


def reply_with(reply, changes):
    """The reply with these members; a token type of None is left out, an error of None is null."""
    body = json.loads(reply.body) | changes
    if body["token_type"] is None:
        del body["token_type"]
    return document(body)


@one_edge
def test_the_token_type_may_be_written_in_any_case(site, server):
    for kind in ("bearer", "BEARER", "Bearer"):
        server.tokens = {"token_type": kind}
        assert log_in(site.browser(), server).status_code == 303, kind


NONSENSE = ("200 html", "500 html", "wrong content type", "no content type", "empty", "gzip", "two lengths")


@pytest.mark.parametrize("path", [TOKEN, USERINFO])
def test_oc_14_html_and_other_nonsense_log_nobody_in(site, server, path):
    """OC-14"""
    for fault in NONSENSE:
        server.answer(path, fault)
        browser = site.browser()
        answer = log_in(browser, server)
        assert answer.status_code in (502, 503), fault
        assert "Sign in" not in answer.text, fault
        assert browser.who() is None, fault
    server.answer(path)
    assert log_in(site.browser(), server).status_code == 303


REFUSALS = [
    (401, {"error": "invalid_client"}, (500, "credentials_rejected")),
    (400, {"error": "invalid_client"}, (500, "credentials_rejected")),
    (401, {"error": "<b>"}, (500, "credentials_rejected")),
    (400, {"error": "unauthorized_client"}, (503, "client_disabled")),
    (400, {"error": "invalid_grant"}, (401, "token_rejected")),
    (400, {"error": "redirect_uri_mismatch"}, (500, "redirect_not_registered")),
    (400, {"error": "invalid_scope"}, (500, "request_rejected")),
    (400, {"error": "unsupported_grant_type"}, (500, "request_rejected")),
    (400, {"error": 5}, (502, "xwms_bad_answer")),
    (404, {}, (502, "xwms_bad_answer")),
    (429, {}, (503, "xwms_unreachable")),
    (503, {}, (503, "xwms_unreachable")),
    (500, {}, (502, "xwms_bad_answer")),
    (201, {}, (502, "xwms_bad_answer")),
]


@one_edge
def test_a_refusal_of_the_token_endpoint_has_a_code_of_ours(site, server, caught):
    for status, body, expected in REFUSALS:
        told = {**body, "error_description": "<svg> secret-of-the-server"}
        server.answer(TOKEN, document(told, status))
        browser = site.browser()
        answer = log_in(browser, server)
        assert code_of(answer) == expected, (status, body)
        assert "svg" not in answer.text + caught(), (status, body)
        assert browser.who() is None, (status, body)


def test_credentials_that_are_wrong_are_told_as_such(make_site, server):
    browser = make_site(client_secret="another-secret-0123456789").browser()
    assert code_of(log_in(browser, server)) == (500, "credentials_rejected")


# --- when the network fails ---


@pytest.fixture
def nobody(make_as):
    """The address of a server that is not there any more."""
    closed = make_as()
    closed.__exit__(None, None, None)
    return closed.url


def test_a_code_that_never_left_can_be_used_after_a_reload(browser, server, nobody):
    server.metadata["token_endpoint"] = nobody + TOKEN
    query = server.consent(begin(browser))
    answer = come_back(browser, query)
    assert code_of(answer) == (503, "xwms_unreachable")
    assert answer.headers.get_list("set-cookie") == []
    assert code_of(come_back(browser, query)) == (503, "xwms_unreachable")


def test_what_never_left_after_the_code_had_gives_nothing_back(make_site, server, nobody):
    usual = dict(server.metadata)
    for name in ("userinfo_endpoint", "jwks_uri"):
        server.metadata = {**usual, name: nobody + JWKS}
        browser = make_site().browser()
        query = server.consent(begin(browser))
        answer = come_back(browser, query)
        assert code_of(answer) == (503, "xwms_unreachable"), name
        assert "Max-Age=0" in answer.headers["set-cookie"], name
        assert code_of(come_back(browser, query)) == (400, "login_not_started"), name


def test_after_the_code_has_left_no_failure_gives_the_login_back(make_site, server):
    for path in (TOKEN, USERINFO, JWKS):
        server.answer(path, "close")
        browser = make_site().browser()
        query = server.consent(begin(browser))
        answer = come_back(browser, query)
        assert code_of(answer) == (503, "xwms_unreachable"), path
        assert "Max-Age=0" in answer.headers["set-cookie"], path
        server.answer(path)
        assert code_of(come_back(browser, query)) == (400, "login_not_started"), path


def test_a_slow_endpoint_ends_at_the_deadline(make_site, server):
    """One that is silent, whichever it is; and one that never comes to an end."""
    for path, fault in ((TOKEN, "hang"), (USERINFO, "hang"), (JWKS, "hang"), (TOKEN, "drip body")):
        browser = make_site(timeout=0.4).browser()
        server.answer(path, fault)
        assert code_of(log_in(browser, server)) == (504, "xwms_timeout"), (path, fault)
        server.answer(path)


def test_an_answer_that_is_too_large_is_refused(browser, server):
    server.answer(USERINFO, document({"sub": "xwms-user-1234", "name": "x" * 70_000}))
    assert code_of(log_in(browser, server)) == (502, "xwms_bad_answer")


# --- userinfo ---


def test_oc_13_userinfo_of_another_person_logs_nobody_in(site, server):
    """OC-13: the access token was swapped (OpenID Connect Core 5.3.2)."""
    for sub in ("another", "XWMS-USER-1234", "xwms-user-1234 ", None, "", 1234, ["xwms-user-1234"]):
        server.answer(USERINFO, document({"sub": sub, "name": "Somebody"}))
        browser = site.browser()
        assert code_of(log_in(browser, server)) == (401, "token_rejected"), sub
        assert browser.who() is None, sub


@one_edge
def test_a_userinfo_that_says_no_logs_nobody_in(site, server):
    for status, code in ((401, "token_rejected"), (403, "not_approved"), (404, "xwms_bad_answer")):
        server.answer(USERINFO, document({}, status))
        browser = site.browser()
        assert code_of(log_in(browser, server))[1] == code, status
        assert browser.who() is None, status


def test_userinfo_is_asked_with_the_access_token_in_a_header_and_nothing_else(browser, server):
    server.tokens = {"access_token": "the-access-token"}
    server.claims = {"at_hash": None}
    assert log_in(browser, server).status_code == 303
    (request,) = server.to(USERINFO)
    assert (request.method, request.target, request.body) == ("GET", USERINFO, b"")
    assert request.all("Authorization") == ["Bearer the-access-token"]


def person(browser):
    return browser.get("/xwms/me").json()["user"]


def test_a_verified_address_is_never_made_of_two_sources(browser, server):
    """The ID token has a verified address; userinfo has another one and says nothing about it."""
    server.claims = {"email": "old@example.org", "email_verified": True}
    server.answer(USERINFO, document({"sub": "xwms-user-1234", "email": "new@example.org"}))
    assert log_in(browser, server).status_code == 303
    assert (person(browser)["email"], person(browser)["email_verified"]) == ("new@example.org", False)


@one_edge
def test_userinfo_verifies_no_address_of_the_id_tokens(site, server):
    """The other way round: whoever may write anything into one source would have it verified by the other."""
    server.claims = {"email": "victim@example.org", "email_verified": False}
    addresses: list[dict[str, object]] = [{}, {"email": None}, {"email": 5}, {"email": ""}]
    for address in addresses:
        server.answer(USERINFO, document({"sub": "xwms-user-1234", "email_verified": True, **address}))
        browser = site.browser()
        assert log_in(browser, server).status_code == 303, address
        assert person(browser)["email_verified"] is False, address


def test_claims_of_the_id_token_do_where_the_server_has_no_userinfo(make_site, server):
    del server.metadata["userinfo_endpoint"]
    server.claims = {"name": "Ada", "email": "ada@example.org", "email_verified": True}
    browser = make_site().browser()
    assert log_in(browser, server).status_code == 303
    assert (person(browser)["name"], person(browser)["email_verified"]) == ("Ada", True)


def test_plain_oauth_asks_userinfo_who_it_is_and_sends_no_nonce(make_site, server):
    browser = make_site(**explicit(server)).browser()
    location = begin(browser)
    assert "nonce" not in parse_qs(urlsplit(location).query)
    query = server.consent(location, sub="17")
    query.pop("iss")
    assert come_back(browser, query).status_code == 303
    assert browser.who() == "17"
    assert person(browser)["issuer"] == server.url
    assert server.calls(JWKS) + server.calls(DISCOVERY) == 0


@one_edge
def test_a_person_without_a_usable_sub_is_a_bad_answer(make_site, server):
    site = make_site(**explicit(server))
    for sub in (None, "", "\x00", True, 0, [], "x" * 256):
        server.answer(USERINFO, document({"sub": sub, "name": "Somebody"}))
        browser = site.browser()
        query = server.consent(begin(browser))
        query.pop("iss")
        assert code_of(come_back(browser, query)) == (502, "xwms_bad_answer"), sub
        assert browser.who() is None, sub


# --- scope ---


def answered(**changes: object) -> Answered:
    body = {"access_token": "an-access-token", "token_type": "bearer", **changes}
    return Answered(status=200, content_type="application/json", body=json.dumps(body).encode())


def test_oc_15_the_login_asks_for_what_is_configured_and_no_more(make_site):
    """OC-15"""
    for scopes, sent in ((("openid",), "openid"), ("openid offline_access", "openid offline_access")):
        location = begin(make_site(scopes=scopes).browser())
        assert parse_qs(urlsplit(location).query)["scope"] == [sent]


def test_oc_15_what_was_granted_is_told_be_it_more_or_less():
    """OC-15: an answer without a scope has granted what was asked for (RFC 6749 5.1)."""
    for said, granted in (
        ({"scope": "openid"}, ("openid",)),
        ({"scope": "openid email admin"}, ("openid", "email", "admin")),
        ({"scope": ""}, ()),
        ({}, ("openid", "email")),
    ):
        tokens = read_tokens(answered(**said), asked=("openid", "email"), now=0)
        assert tokens.scope == granted, said


def test_tokens_show_themselves_to_nobody():
    tokens = read_tokens(answered(refresh_token="a-refresh-token", id_token="an.id.token"), asked=(), now=0)
    for secret in ("an-access-token", "a-refresh-token", "an.id.token"):
        assert secret not in repr(tokens)
    assert tokens.refresh_token is not None
    assert tokens.refresh_token.reveal() == "a-refresh-token"


def test_an_answer_that_is_no_answer_is_named_without_its_words():
    with pytest.raises(BadAnswer) as raised:
        read_tokens(answered(access_token="with a space"), asked=(), now=0)
    assert "space" not in str(raised.value)


# --- without any I/O ---


def test_a_start_asks_for_the_document_and_then_for_nothing(server):

    site = Context.of(XWMSConfig(**server.options()))
    headers = {name.lower(): value for name, value in FROM_HERE.items()}
    steps = routes.serve(site, OAuth2Provider(), Request(method="GET", path="/xwms/auth", headers=headers), now=1)
    effect = next(steps)
    assert isinstance(effect, CallXWMS)
    assert effect.call.url == server.url + DISCOVERY
    assert effect.call.secret is None
    body = json.dumps(server.metadata).encode()
    with pytest.raises(StopIteration) as end:
        steps.send(Answered(status=200, content_type="application/json", body=body))
    assert end.value.value.status == 302


def test_the_callback_may_bring_parameters_that_nobody_knows(browser, server):
    query = {**server.consent(begin(browser)), "session_state": "x", "scope": "openid"}
    assert browser.get(CALLBACK, FROM_ELSEWHERE, params=query).status_code == 303


@pytest.mark.parametrize("store", ["cookie", "memory://"])
def test_a_server_that_does_not_rotate_is_refreshed_again_and_again(edge, server, store, monkeypatch):
    """RFC 6749 6: no new refresh token comes, and the old one goes on."""
    clock = Clock()
    monkeypatch.setattr("tests.tools.site.Clock", lambda: clock)
    server.tokens = {"refresh_token": "stays-the-same", "expires_in": 120}
    browser = token_page(Site(edge, server, session_store=store, scopes="profile")).browser()
    log_in(browser, server)
    seen = []
    for _ in range(4):
        clock.advance(100)
        seen += [browser.get("/token", PROGRAM).text, browser.get("/token", PROGRAM).text]
        clock.advance(200)
    assert seen[::2] == seen[1::2]
    assert len(set(seen)) == 4, "one for each time, and it is used until it expires"


@pytest.mark.parametrize(("sub", "good"), [("xwms-user-1234", True), ("somebody-else", False)])
def test_oc_13_a_refresh_that_brings_another_persons_id_token_ends_the_session(edge, server, sub, good, monkeypatch):
    """OC-13, OpenID Connect Core 12.2: whoever the server mixed up, this session is not to act as them."""
    clock = Clock()
    monkeypatch.setattr("tests.tools.site.Clock", lambda: clock)
    server.tokens = {"refresh_token": "stays-the-same", "expires_in": 120}
    browser = token_page(Site(edge, server, session_store="memory://")).browser()
    log_in(browser, server)
    server.refreshed_sub = sub
    clock.advance(100)
    answer = browser.get("/token", PROGRAM)
    assert answer.status_code == (200 if good else 401), answer.text
    assert browser.who() == ("xwms-user-1234" if good else None)


@pytest.mark.parametrize("store", ["cookie", "memory://"])
def test_keys_that_are_not_to_be_had_cost_nobody_their_refreshed_tokens(edge, server, store, monkeypatch, caplog):
    """The refresh token is used up by then. A cache in front of the server may have its old keys for a while."""
    clock = Clock()
    monkeypatch.setattr("tests.tools.site.Clock", lambda: clock)
    server.tokens = {"refresh_token": "stays-the-same", "expires_in": 120}
    browser = token_page(Site(edge, server, session_store=store)).browser()
    log_in(browser, server)
    server.refreshed_sub = "xwms-user-1234"
    published = server.keys
    server.rotate(make_key(another=1))
    server.keys = published
    clock.advance(100)
    assert browser.get("/token", PROGRAM).status_code == 200
    assert browser.who() == "xwms-user-1234"
    assert "id_token_not_verified" in caplog.text
