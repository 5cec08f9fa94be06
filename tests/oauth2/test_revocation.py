"""Tokens that are given up are taken back at the server: at once, or when it can be told (OC-16)."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from tests.oauth2.fake_as import DISCOVERY, document
from tests.oauth2.local_as import LocalAS, log_in, token_page
from tests.oauth2.steps import begin, come_back
from tests.tools.clock import Clock
from tests.tools.site import FROM_HERE, LOGIN, LOGOUT, PROGRAM, Browser, Site
from xwms_auth.sandbox.faults.catalogue import parse_fault
from xwms_auth.stores.memory import MemoryStore

REVOKE, REFRESH = "oauth/revoke", "oauth/token"
DAY = 24 * 3600


@pytest.fixture
def server(local: LocalAS) -> LocalAS:
    return local


@pytest.fixture
def make(make_local: Callable[..., Site]) -> Callable[..., Site]:
    usual = {"session_store": "memory://", "provider_logout": False, "timeout": 3}
    return lambda **options: make_local(**(usual | options))


@pytest.fixture
def site(make: Callable[..., Site]) -> Site:
    return make()


def signed_in(site: Site, server: LocalAS) -> tuple[Browser, str]:
    """A browser, and its access token."""
    browser = site.browser()
    log_in(browser, server)
    return browser, browser.get("/token", PROGRAM).text


def refuses_to_revoke(server: LocalAS, how: str) -> Any:
    return server.server.inside.faults.add(parse_fault(how))


def mend(server: LocalAS) -> None:
    server.server.inside.faults.clear()


def start(site: Site) -> None:
    """Somebody begins a login."""
    assert site.browser().get(LOGIN, FROM_HERE).status_code == 302


def leave(browser: Browser) -> None:
    assert browser.post(LOGOUT, FROM_HERE).status_code == 303
    assert browser.who() is None


@pytest.mark.parametrize("fault", ["503:oauth/revoke", "redirect:oauth/revoke"])
def test_what_could_not_be_revoked_is_revoked_at_a_later_login(site, server, clock, caplog, fault):
    """OC-16: a 503 says that the token still exists."""
    caplog.set_level("INFO")
    browser, token = signed_in(site, server)
    refuses_to_revoke(server, fault)
    leave(browser)
    mend(server)
    assert server.is_active(token)
    start(site)
    assert server.is_active(token), "not within the minute"
    clock.advance(61)
    start(site)
    assert not server.is_active(token)
    assert "token_revoked_late" in caplog.text
    assert token not in caplog.text


def test_a_logout_that_is_heard_brings_the_next_one_with_it(site, server):
    """OC-16"""
    (one, first), (two, second) = signed_in(site, server), signed_in(site, server)
    refuses_to_revoke(server, "503:oauth/revoke:1")
    leave(one)
    assert server.is_active(first)
    leave(two)
    assert [server.is_active(token) for token in (first, second)] == [False, False]


def test_a_server_that_stays_away_is_asked_more_and_more_seldom(site, server, clock, caplog):
    caplog.set_level("INFO")
    browser, _ = signed_in(site, server)
    refuses_to_revoke(server, "503:oauth/revoke")
    leave(browser)
    asked = []
    for _ in range(60):
        clock.advance(60)
        start(site)
        asked.append(caplog.text.count("token_not_revoked"))
    assert asked[-1] == 6, "at once, and after about 1, 3, 7, 15 and 31 minutes"
    assert "token_revoked_late" not in caplog.text
    clock.advance(DAY)
    mend(server)
    start(site)
    assert server.calls(REVOKE) == 6, "after a day it is left to end by itself"


def test_a_logout_that_is_given_up_leaves_nothing_undone(server, clock, monkeypatch):
    """DS-10: the person closes the browser while the server is being told."""
    monkeypatch.setattr("tests.tools.site.Clock", lambda: clock)
    site = token_page(Site("asgi", server, session_store="memory://", timeout=20))
    browser, token = signed_in(site, server)
    refuses_to_revoke(server, "timeout:oauth/revoke:1")

    async def give_up() -> None:
        transport, cookies = httpx2.ASGITransport(site.app), browser.cookies()
        async with httpx2.AsyncClient(transport=transport, base_url=site.origin, cookies=cookies) as client:
            asked = asyncio.create_task(client.post(LOGOUT, headers=FROM_HERE))
            while server.server.inside.faults.active():
                await asyncio.sleep(0.01)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked

    asyncio.run(give_up())
    mend(server)
    assert browser.who() is None
    clock.advance(61)
    start(site)
    assert not server.is_active(token)


def test_tokens_that_come_for_a_session_that_has_ended_meanwhile_are_taken_back(make, server, clock):
    """The logout knew the older refresh token only, which the server has changed into these."""

    class LoggedOutMeanwhile(MemoryStore):
        def renew(self, handle: str, session: Any, *, until: int, now: int) -> Any:
            if session.tokens is not None and session.tokens.access_token.reveal() not in known:
                known.append(session.tokens.access_token.reveal())
                self.drop(handle, why=None, now=now)
            return super().renew(handle, session, until=until, now=now)

    known: list[str] = []
    site = make(session_store=LoggedOutMeanwhile())
    browser, token = signed_in(site, server)
    known.append(token)
    clock.advance(600)
    assert browser.get("/token", PROGRAM).status_code == 401
    assert browser.who() is None
    assert server.calls(REFRESH) == 2
    (new,) = set(known) - {token}
    assert not server.is_active(new)


def test_a_logout_by_the_older_of_two_cookies_takes_the_newer_tokens_back(make, server, clock):
    """With the cookie store a request that was under way may bring what has been refreshed since."""
    site = make(session_store="cookie")
    browser, _ = signed_in(site, server)
    older = browser.cookies()
    clock.advance(250)
    new = browser.get("/token", PROGRAM).text
    assert server.is_active(new)
    late = site.browser()
    late.client.cookies.update(older)
    leave(late)
    assert not server.is_active(new)


def test_a_server_that_is_silent_is_waited_for_once(edge, make_as, monkeypatch):
    """A process that has just been started knows nothing of the server; the person is out all the same."""
    server = make_as()
    clock = Clock()
    monkeypatch.setattr("tests.tools.site.Clock", lambda: clock)
    server.tokens = {"refresh_token": "a-refresh-token"}
    site = Site(edge, server, session_store="cookie", timeout=3)
    browser = site.browser()
    come_back(browser, server.consent(begin(browser)))
    other = site.restarted().browser()
    other.client.cookies.update(browser.cookies())
    asked = len(server.requests)
    server.answer(DISCOVERY, document({}, 503))
    assert other.post(LOGOUT, FROM_HERE).headers["location"] == "/"
    assert len(server.requests) == asked + 1
