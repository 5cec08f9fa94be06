"""The access token where several operating-system processes serve one application, and where one of them dies.

The login happens in this process ten minutes ago; the servers, with real time, find an access token that has expired.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.oauth2.local_as import SCOPES, LocalAS, log_in
from tests.stores.conftest import KEY
from tests.stores.many_people import Answer, Gone, Line, request
from tests.stores.people_app import CALLBACK, served
from tests.tools.clock import Clock
from tests.tools.site import Site
from xwms_auth.sandbox.faults.catalogue import parse_fault

TOKEN = "oauth/token"
AT_ONCE, WORKERS = 50, 4
TIMEOUT = 3  # seconds for a call: a mark that somebody refreshes ends two seconds after that


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(-600)
    return clock


@pytest.fixture
def server(local: LocalAS) -> LocalAS:
    return local


@pytest.fixture
def store(kind: str, place: Callable[[str], str]) -> str:
    return place(kind)


@pytest.fixture
def cookies(edge: str, server: LocalAS, clock: Clock, store: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The cookies of somebody who logged in ten minutes ago."""
    monkeypatch.setattr("tests.tools.site.Clock", lambda: clock)
    site = Site(edge, server, session_store=store, session_secret=KEY)
    browser = site.browser()
    log_in(browser, server)
    assert browser.who() == "1001"
    clock.advance(600)
    return browser.cookies()


@pytest.fixture
def settings(server: LocalAS, store: str) -> dict[str, str]:
    return {
        "XWMS_CLIENT_ID": server.settings.client_id,
        "XWMS_CLIENT_SECRET": server.settings.client_secret,
        "XWMS_REDIRECT_URI": f"https://app.example{CALLBACK}",
        "XWMS_FLOW": "oauth2",
        "XWMS_ISSUER": server.server.url,
        "XWMS_SCOPES": SCOPES,
        "XWMS_SESSION_SECRET": KEY,
        "XWMS_SESSION_STORE": store,
        "XWMS_TIMEOUT": str(TIMEOUT),
    }


async def get(line: Line, path: str, cookies: dict[str, str]) -> Answer:
    await line.send(request(path, cookies, site=""))
    return await line.answer()


async def at_once(address: tuple[str, int], cookies: dict[str, str]) -> list[Answer]:
    """Fifty requests for the token, each on its own connection; the last bytes of all of them come together."""
    lines = [Line([address]) for _ in range(AT_ONCE)]
    asked = request("/token", cookies, site="")
    try:
        for line in lines:
            await line.send(asked[:-2])
        await asyncio.gather(*(line.send(asked[-2:]) for line in lines))
        return await asyncio.gather(*(line.answer() for line in lines))
    finally:
        for line in lines:
            line.leave()


@pytest.mark.parametrize(("edge", "kind"), [("asgi", "sqlite")])
def test_four_processes_with_an_expired_token_refresh_it_once(edge, server, cookies, settings, tmp_path):
    """A refresh token that is used twice would look like a thief's, and this XWMS would end everything."""
    log = tmp_path / "server.log"
    with served(edge, settings, log, workers=WORKERS) as address:
        answers = asyncio.run(at_once(address, cookies))
    assert {answer.status for answer in answers} == {200}, log.read_text()[-3000:]
    (token,) = {answer.body.decode() for answer in answers}
    assert server.calls(TOKEN) == 2, "the login's, and one refresh"
    assert server.is_active(token)


async def dies_in_the_middle(address: tuple[str, int], cookies: dict[str, str], asked: Callable[[], bool]) -> None:
    """Ask for the token, and kill the process when the server has given a new one that has not arrived."""
    line, other = Line([address]), Line([address])
    pid = int((await get(other, "/pid", {})).body)
    await line.send(request("/token", cookies, site=""))
    while not asked():
        await asyncio.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises((Gone, ConnectionError)):
        await line.answer()
    for one in (line, other):
        one.leave()


@pytest.mark.parametrize(("edge", "kind"), [("flask", "redis")])
def test_a_process_that_is_killed_between_refresh_and_saving_keeps_nobody_waiting(
    edge: str, server: LocalAS, cookies: dict[str, str], settings: dict[str, str], tmp_path: Path
) -> None:
    """The mark that it refreshes ends by itself. What it was given is lost, so at a server that rotates, the person
    is sent to log in; nobody stays between the two.
    """
    log = tmp_path / "server.log"
    faults = server.server.inside.faults
    faults.add(parse_fault(f"slow=60:{TOKEN}:1"))
    with served(edge, settings, log, workers=1) as doomed, served(edge, settings, log, workers=1) as other:
        # Once it is in the server's log it has been carried out, and only the answer is held back.
        asyncio.run(dies_in_the_middle(doomed, cookies, lambda: server.calls(TOKEN) == 2))
        faults.clear()

        async def ask_the_other() -> tuple[Answer, Answer]:
            line = Line([other])
            answers = await get(line, "/token", cookies), await get(line, "/who", cookies)
            line.leave()
            return answers

        began = time.monotonic()
        token, who = asyncio.run(ask_the_other())
    assert time.monotonic() - began < 60, "the bound is the mark's end, and the machine may be busy"
    assert server.calls(TOKEN) == 3, "the login's, the lost one, and one that came with the old refresh token"
    assert (token.status, who.status) == (401, 401), log.read_text()[-3000:]
    assert b"access_withdrawn" in token.body
