"""How many files of the package a request passes through, and how often it goes over from one file to another.

Five journeys, each on both doors, in process and over a fake XWMS: a page that asks who is signed in, the start of a
login, the callback, the logout; and, with `flow` "oauth2" over a fake authorization server, a page that needs a new
access token. Each is made twice, with a new browser, and the second time is counted, so that nothing is imported and
nothing is learned for the first time.

*files* are those of which a function was called or went on. A *switch* is a call of a function, or a generator that
goes on, whose file is another than that of the call or return before it. Only the package's own files count: what a
framework does between two of them does not.

    python benchmarks/files_passed.py            # a table, in a few seconds
    python benchmarks/files_passed.py --list     # and the names of the files, with the calls in each
    python benchmarks/files_passed.py --json     # the same for programs
"""

import argparse
import asyncio
import json
import logging
import sys
import threading
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout, installed or not

import flask
import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import xwms_auth
import xwms_auth.flask
import xwms_auth.starlette
from tests.oauth2 import steps
from tests.oauth2.fake_as import FakeAS
from tests.tools.fake_xwms import FakeXWMS
from tests.tools.site import PROGRAM, Browser, Site, alive

PACKAGE = str(Path(xwms_auth.__file__).parent) + "/"
DOORS = {"flask": "Flask", "asgi": "Starlette"}
ALMOST = 245
"""Seconds after which less than one of an access token's five minutes is left."""

Act = Callable[[], httpx2.Response]


@dataclass(slots=True)
class Passed:
    """What one request passed: the calls in each file, and the switches between files."""

    calls: Counter[str] = field(default_factory=Counter[str])
    switches: int = 0
    last: str | None = None

    def enter(self, file: str) -> None:
        self.calls[file] += 1
        self.switches += self.last is not None and self.last != file
        self.last = file


@contextmanager
def traced() -> Generator[Passed, None, None]:
    """Watch this thread and those that are started meanwhile."""
    passed, lock = Passed(), threading.Lock()

    def called(frame: FrameType, event: str, arg: object) -> Any:
        file = frame.f_code.co_filename
        if not file.startswith(PACKAGE):
            return None
        frame.f_trace_lines = False
        with lock:
            passed.enter(file.removeprefix(PACKAGE))
        return returned

    def returned(frame: FrameType, event: str, arg: object) -> Any:
        if event == "return":
            with lock:
                passed.last = frame.f_code.co_filename.removeprefix(PACKAGE)
        return returned

    threading.settrace(called)
    sys.settrace(called)
    try:
        yield passed
    finally:
        sys.settrace(None)
        threading.settrace(None)


# the journeys: each makes what has to be there before, and gives the request that is counted --------------------------


def signed_in_request(site: Site) -> Act:
    browser = site.browser()
    browser.log_in()
    return lambda: browser.get("/who", PROGRAM)


def login_start(site: Site) -> Act:
    browser = site.browser()
    return lambda: browser.get(site.config.login_path)


def callback(site: Site) -> Act:
    browser = site.browser()
    token = site.fx.approve(browser.start())
    return lambda: browser.come_back(token)


def logout(site: Site) -> Act:
    browser = site.browser()
    browser.log_in()
    return browser.log_out


def token_refresh(site: Site) -> Act:
    browser, server = site.browser(), site.fx
    assert isinstance(server, FakeAS)
    steps.log_in(browser, server)
    site.clock.advance(ALMOST)

    def act() -> httpx2.Response:
        answer = browser.get("/token", PROGRAM)
        assert server.forms()[-1]["grant_type"] == "refresh_token"
        return answer

    return act


@dataclass(frozen=True, kw_only=True)
class Journey:
    name: str
    prepare: Callable[[Site], Act]
    status: int
    oauth: bool = False


JOURNEYS = (
    Journey(name="signed-in request", prepare=signed_in_request, status=200),
    Journey(name="login start", prepare=login_start, status=302),
    Journey(name="callback", prepare=callback, status=303),
    Journey(name="logout", prepare=logout, status=303),
    Journey(name="token refresh", prepare=token_refresh, status=200, oauth=True),
)


@contextmanager
def site_of(door: str, journey: Journey) -> Generator[Site, None, None]:
    """The application that a journey is made on."""
    if not journey.oauth:
        with FakeXWMS() as fx:
            yield Site(door, fx)
        return
    with FakeAS() as server:
        server.tokens = {"refresh_token": "the-refresh-token"}
        site = Site(door, server)
        site.app = app_with_tokens(site)
        yield site


def app_with_tokens(site: Site) -> Any:
    """An application with one page, which answers with the access token of whoever is signed in."""
    if site.edge == "flask":
        app = flask.Flask(__name__)
        auth = xwms_auth.flask.XWMSAuth(app, site.config, clock=site.clock)
        app.add_url_rule("/token", "token", auth.access_token)
        return app

    async def token(request: Request) -> Response:
        return PlainTextResponse(await request.auth.access_token())

    inner = Starlette(routes=[Route("/token", token)])
    return xwms_auth.starlette.XWMSAuthMiddleware(inner, site.config, clock=site.clock)


class InLoop(httpx2.BaseTransport):
    """Serves one ASGI application in one event loop, as a server does: connections to XWMS outlive a request."""

    def __init__(self, app: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._inner = httpx2.ASGITransport(app)
        self._loop = loop

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return self._loop.run_until_complete(self._answer(request))

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        asked = httpx2.Request(request.method, request.url, headers=request.headers, content=request.read())
        answer = await self._inner.handle_async_request(asked)
        return httpx2.Response(answer.status_code, headers=answer.headers, content=await answer.aread())


@contextmanager
def served(site: Site) -> Generator[None, None, None]:
    """Serve an ASGI application from its startup to its shutdown; a WSGI one has neither."""
    if site.edge == "flask":
        yield
        return
    loop = asyncio.new_event_loop()
    life = alive(site.app)
    loop.run_until_complete(life.__aenter__())
    transport = InLoop(site.app, loop)
    site.browser = lambda origin=None: Browser(  # type: ignore[method-assign]
        httpx2.Client(transport=transport, base_url=origin or site.origin), site
    )
    try:
        yield
    finally:
        loop.run_until_complete(life.__aexit__(None, None, None))
        loop.close()


# the figures ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Row:
    journey: str
    door: str
    files: int
    switches: int
    calls: dict[str, int]


def row_of(journey: Journey, door: str) -> Row:
    with site_of(door, journey) as site, served(site):
        warm_up = journey.prepare(site)()
        assert warm_up.status_code == journey.status, (journey.name, warm_up.status_code, warm_up.text)
        act = journey.prepare(site)
        with traced() as passed:
            answer = act()
        assert answer.status_code == journey.status, (journey.name, answer.status_code, answer.text)
    calls = dict(sorted(passed.calls.items()))
    return Row(journey=journey.name, door=DOORS[door], files=len(calls), switches=passed.switches, calls=calls)


def table(rows: list[Row]) -> str:
    lines = ["| journey | door | files | switches |", "|---|---|--:|--:|"]
    lines += [f"| {row.journey} | {row.door} | {row.files} | {row.switches} |" for row in rows]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--list", action="store_true", help="name the files, with the calls in each")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    logging.getLogger().addHandler(logging.NullHandler())  # log lines are made, and not shown
    rows = [row_of(journey, door) for journey in JOURNEYS for door in DOORS]
    if asked.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    print(table(rows))
    for row in rows if asked.list else ():
        print(f"\n{row.journey}, {row.door}:")
        for file, calls in row.calls.items():
            print(f"    {calls:4} {file}")


if __name__ == "__main__":
    main()
