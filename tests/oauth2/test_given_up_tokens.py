"""Tokens that nobody uses any more without a logout are taken back too, after an answer and never instead of one."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tests.oauth2.fake_as import FakeAS, document
from tests.oauth2.local_as import log_in
from tests.oauth2.steps import begin, come_back
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, LOGIN, PROGRAM, Site
from xwms_auth import NotAllowed
from xwms_auth.accounts import Hooks
from xwms_auth.flask import XWMSAuth
from xwms_auth.sandbox.faults.catalogue import parse_fault

REVOKE = "oauth/revoke"

stores = pytest.mark.parametrize("store", ["cookie", "memory://"])


def token_of(browser) -> str:
    return browser.get("/token", PROGRAM).text


@stores
@pytest.mark.parametrize("sub", ["1001", "1003"])
def test_a_login_takes_back_the_tokens_of_the_session_that_it_replaces(make_local, local, store, sub):
    browser = make_local(session_store=store).browser()
    tabs = [begin(browser), begin(browser)]
    come_back(browser, local.consent(tabs[0], "1001"))
    first = token_of(browser)
    assert come_back(browser, local.consent(tabs[1], sub)).status_code == 303
    second = token_of(browser)
    assert [local.is_active(token) for token in (first, second)] == [False, True]
    assert local.calls(REVOKE) == 1


def test_a_login_ends_well_while_the_server_refuses_to_take_tokens_back(make_local, local, clock):
    site = make_local(session_store="memory://", timeout=3)
    browser = site.browser()
    tabs = [begin(browser), begin(browser)]
    come_back(browser, local.consent(tabs[0]))
    first = token_of(browser)
    local.server.inside.faults.add(parse_fault(f"503:{REVOKE}"))
    assert come_back(browser, local.consent(tabs[1])).status_code == 303
    assert browser.who() == "1001"
    assert local.is_active(first)
    local.server.inside.faults.clear()
    clock.advance(61)
    site.browser().get(LOGIN, FROM_HERE)
    assert not local.is_active(first)


@stores
@pytest.mark.parametrize("limit", ["session_idle", "session_lifetime"])
def test_the_tokens_of_a_session_that_is_too_old_are_taken_back_once(make_local, local, clock, store, limit):
    site = make_local(session_store=store, **{"session_idle": 300, "session_lifetime": 300, limit: 100})
    browser = site.browser()
    log_in(browser, local)
    token = token_of(browser)
    clock.advance(101)
    for _ in range(3):
        assert browser.who() is None
    assert local.is_active(token), "a page waits for nothing"
    log_in(browser, local)
    assert not local.is_active(token)
    assert local.is_active(token_of(browser))
    assert local.calls(REVOKE) == 1


@pytest.mark.parametrize("edge", ["flask"])
def test_the_browser_has_its_answer_before_the_server_is_told(make_local, local):
    site = make_local(session_store="memory://")
    browser = site.browser()
    tabs = [begin(browser), begin(browser)]
    come_back(browser, local.consent(tabs[0]))
    first = token_of(browser)
    query = local.consent(tabs[1])
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies().items())
    answered: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": CALLBACK,
        "QUERY_STRING": "&".join(f"{name}={value}" for name, value in query.items()),
        "HTTP_HOST": "app.example",
        "HTTP_COOKIE": cookies,
        "wsgi.url_scheme": "https",
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in FROM_ELSEWHERE.items()},
    }
    body = site.app.wsgi_app(environ, lambda status, headers: answered.append(status))
    chunks = iter(body)
    next(chunks)
    assert answered == ["303 See Other"]
    assert local.is_active(first)
    assert list(chunks) == []
    assert not local.is_active(first)


# What the fake server is told.


@pytest.fixture
def told(server: FakeAS) -> Callable[[], list[str]]:
    """The tokens that the fake server was told to take back."""
    server.metadata["revocation_endpoint"] = f"{server.url}/revoke"
    server.answer("/revoke", document({}))
    return lambda: [dict(parse_qsl(request.body.decode()))["token"] for request in server.to("/revoke")]


def finish(browser, server: FakeAS, begun: str, token: str, *, sid: str | None, sub: str = "1001") -> None:
    """Finish a login; `token` is the refresh token that it brings."""
    server.tokens, server.claims = {"refresh_token": token}, {"sid": sid}
    assert come_back(browser, server.consent(begun, sub=sub)).status_code == 303


@stores
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (("1001", "s1"), ("1001", "s2"), ["one"]),
        (("1001", "s1"), ("1002", "s1"), ["one"]),
        (("1001", None), ("1002", None), ["one"]),
        # Google, for example, ends all of a person's tokens with one.
        (("1001", None), ("1001", None), []),
        # Keycloak, for example, ends all tokens of a login with one.
        (("1001", "s1"), ("1001", "s1"), []),
    ],
)
def test_no_token_is_taken_back_with_which_the_new_ones_might_go(
    make_site, server, told, store, first, second, expected
):
    browser = make_site(session_store=store).browser()
    tabs = [begin(browser), begin(browser)]
    for begun, token, (sub, sid) in zip(tabs, ("one", "two"), (first, second), strict=True):
        finish(browser, server, begun, token, sub=sub, sid=sid)
    assert browser.who() == second[0]
    assert told() == expected


@pytest.mark.parametrize("sid", [None, "s1"])
@pytest.mark.parametrize("ending", ["a logout", "its age"])
def test_what_could_not_be_taken_back_in_time_takes_no_new_tokens_along(make_site, server, told, ending, sid):
    """The server may end all tokens of a person, or of a login, with one: those of the next login too."""
    site = make_site(session_store="memory://", session_idle=100)
    browser = site.browser()
    server.answer("/revoke", document({}, status=503))
    finish(browser, server, begin(browser), "one", sid=sid)
    if ending == "a logout":
        browser.log_out()
    else:
        site.clock.advance(101)
    finish(browser, server, begin(browser), "two", sid=sid)
    assert told() == ["one"], "in vain"
    server.answer("/revoke", document({}))
    site.clock.advance(61)
    site.browser().get(LOGIN, FROM_HERE)
    assert told() == ["one"], "and not again"
    # Another person's, and those of another login at the server, go as before.
    other = site.browser()
    tabs = [begin(other), begin(other)]
    for begun, token in zip(tabs, ("three", "four"), strict=True):
        finish(other, server, begun, token, sid=token, sub="1003")
    assert told() == ["one", "three"]


@stores
def test_a_session_that_is_too_old_here_keeps_its_tokens_as_long_as_it_may_go_on_elsewhere(
    make_site, server, told, store, tmp_path
):
    """Two applications share the session, each with its own limits."""
    shared = {"session_store": store if store == "cookie" else f"sqlite:///{tmp_path / 'sessions'}"}
    desk, shop = make_site(session_idle=100, **shared), make_site(session_idle=1000, **shared)
    at_desk, at_shop = desk.browser(), shop.browser()
    finish(at_shop, server, begin(at_shop), "one", sid="s1")
    at_desk.carry("; ".join(f"{name}={value}" for name, value in at_shop.cookies().items()))

    def too_old_at_the_desk() -> None:
        for site in (desk, shop):
            site.clock.advance(101)
        assert at_desk.who() is None
        desk.browser().get(LOGIN, FROM_HERE)
        assert told() == []

    too_old_at_the_desk()
    assert at_shop.who() == "1001"
    too_old_at_the_desk()
    finish(at_desk, server, begin(at_desk), "two", sid="s2")
    assert told() == ["one"], "now it has ended at both"


def test_tokens_that_do_not_fit_into_the_cookie_are_taken_back(make_site, server, told):
    browser = make_site(session_store="cookie").browser()
    server.tokens = {"access_token": "a" * 4000}
    server.claims = {"at_hash": None}
    come_back(browser, server.consent(begin(browser)))
    assert browser.who() is not None
    assert told() == ["a" * 4000]


def test_tokens_that_fit_stay(make_site, server, told):
    for store in ("cookie", "memory://"):
        browser = make_site(session_store=store).browser()
        finish(browser, server, begin(browser), "kept", sid="s1")
        assert browser.who() is not None
    assert told() == []


@pytest.mark.parametrize("edge", ["flask"])
def test_the_tokens_of_a_login_that_the_application_refuses_are_taken_back(edge, server, told):
    def refuse(event: Any) -> None:
        raise NotAllowed("not you")

    site = Site(edge, server, session_store="memory://")
    site.app = type(site.app)(__name__)
    XWMSAuth(site.app, site.config, hooks=Hooks(login=refuse))
    browser = site.browser()
    server.tokens = {"refresh_token": "unused"}
    assert come_back(browser, server.consent(begin(browser))).status_code == 403
    assert told() == ["unused"]


@pytest.mark.parametrize("edge", ["flask"])
@pytest.mark.parametrize(
    ("sub", "sid", "expected"), [("1001", "s1", []), ("1001", "s2", ["two"]), ("1002", "s1", ["two"])]
)
def test_a_login_that_the_application_refuses_takes_nothing_from_the_session_of_the_same_login(
    edge, server, told, sub, sid, expected
):
    refused: list[str] = []

    def perhaps(event: Any) -> None:
        if refused:
            raise NotAllowed("not now")

    site = Site(edge, server, session_store="memory://")
    site.app = type(site.app)(__name__)
    XWMSAuth(site.app, site.config, hooks=Hooks(login=perhaps))
    browser = site.browser()
    tabs = [begin(browser), begin(browser)]
    finish(browser, server, tabs[0], "one", sid="s1")
    refused.append(sub)
    server.tokens, server.claims = {"refresh_token": "two"}, {"sid": sid}
    assert come_back(browser, server.consent(tabs[1], sub=sub)).status_code == 403
    assert told() == expected


def test_an_error_that_is_not_ours_while_tokens_are_taken_back_breaks_no_login(make_site, server, told, monkeypatch):
    browser = make_site(session_store="memory://").browser()
    tabs = [begin(browser), begin(browser)]
    finish(browser, server, tabs[0], "one", sid="s1")
    monkeypatch.setattr("xwms_auth._core.oauth2.token_revocation.metadata_for", lambda *_, **__: 1 / 0)
    finish(browser, server, tabs[1], "two", sid="s2")
    assert browser.who() == "1001"
    assert told() == []
