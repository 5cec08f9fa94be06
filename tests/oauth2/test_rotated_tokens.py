"""SM-13: a refresh token that was rotated reaches the browser or the store, whatever the answer is and says.

The local XWMS rotates refresh tokens, and takes one that is used twice for a thief's: it then ends everything. Two
sites over one store are two processes, and the second one has nothing but the browser's cookies.
"""

from collections.abc import Callable, Iterator
from typing import Any

import flask
import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

import xwms_auth.flask
from tests.corpus.cache_controls import NOT_SHARED, OTHERS, SHARED
from tests.oauth2.local_as import LocalAS, log_in
from tests.sessions.saying import a_cache_may_keep
from tests.tools.site import Browser, Clock, Site

EXPIRED = 600
SLOW = 30

Headers = tuple[tuple[str, str], ...]

CONTROLS = [NOT_SHARED[0], *SHARED[1:4:2], SHARED[11], SHARED[-1], *OTHERS[:2], OTHERS[-1]]


@pytest.fixture
def make(make_local: Callable[..., Site], place: Callable[[str], str]) -> Callable[..., Site]:
    return lambda kind: make_local(session_store="cookie" if kind == "cookie" else place(kind), session_lifetime=86_400)


def add_pages(site: Site, headers: Headers, clock: Clock) -> None:
    """/page answers with the token, /slow does so much later, /fails is an error of ours.

    /first asks in the first piece of its body, and /late in the second.
    """
    if site.edge == "flask":
        auth = xwms_auth.flask.XWMSAuth()

        def page() -> flask.Response:
            return flask.Response(auth.access_token(), headers=list(headers))

        def slow() -> flask.Response:
            answer = page()
            clock.advance(SLOW)
            return answer

        def fails() -> str:
            auth.access_token()
            return str(auth.sessions.list("1001"))

        def first() -> flask.Response:
            return flask.Response(flask.stream_with_context(auth.access_token() for _ in range(1)))

        def late() -> flask.Response:
            def pieces() -> Iterator[str]:
                yield "token: "
                yield auth.access_token()

            return flask.Response(flask.stream_with_context(pieces()))

        for view in (page, slow, fails, first, late):
            site.app.add_url_rule(f"/{view.__name__}", view.__name__, view)
        return

    async def apage(request: Request) -> Response:
        answer = PlainTextResponse(await request.auth.access_token())
        answer.raw_headers += [(name.lower().encode(), value.encode()) for name, value in headers]
        return answer

    async def aslow(request: Request) -> Response:
        answer = await apage(request)
        clock.advance(SLOW)
        return answer

    async def afails(request: Request) -> Response:
        await request.auth.access_token()
        return PlainTextResponse(str(await request.auth.sessions.list("1001")))

    async def afirst(request: Request) -> Response:
        async def piece() -> Any:
            yield await request.auth.access_token()

        return StreamingResponse(piece())

    async def alate(request: Request) -> Response:
        async def pieces() -> Any:
            yield "token: "
            yield await request.auth.access_token()

        return StreamingResponse(pieces())

    routes = site.app.app.router.routes
    routes += [Route("/page", apage), Route("/slow", aslow), Route("/fails", afails)]
    routes += [Route("/first", afirst), Route("/late", alate), WebSocketRoute("/socket", socket)]


async def socket(websocket: WebSocket) -> None:
    token = await websocket.scope["auth"].access_token()
    await websocket.accept()
    await websocket.send_text(token)
    await websocket.close()


def goes_on_elsewhere(site: Site, browser: Browser, server: LocalAS, clock: Clock) -> None:
    """Another process refreshes with what the browser or the store has, when that is due again."""
    other = site.browser()
    other.client.cookies.update(browser.cookies())
    clock.advance(EXPIRED)
    answer = other.get("/token")
    assert answer.status_code == 200, answer.text
    assert server.is_active(answer.text)


def rotated(site: Site, server: LocalAS, clock: Clock, path: str) -> tuple[Browser, httpx2.Response]:
    browser = site.browser()
    log_in(browser, server)
    clock.advance(EXPIRED)
    return browser, browser.get(path)


@pytest.mark.parametrize("kind", ["cookie", "sqlite"])
def test_whatever_a_page_says_to_caches_its_new_tokens_arrive(make, local, clock, kind):
    """SM-13: and an answer that carries them is for nobody else."""
    for headers in CONTROLS if kind == "cookie" else CONTROLS[:2]:
        site = make(kind)
        add_pages(site, headers, clock)
        browser, answer = rotated(site, local, clock, "/page")
        assert local.is_active(answer.text), headers
        if kind == "cookie":
            assert site.session_cookie in "".join(answer.headers.get_list("set-cookie")), headers
            assert not a_cache_may_keep(answer), headers
        goes_on_elsewhere(make(kind), browser, local, clock)


@pytest.mark.parametrize("path", ["/slow", "/first"])
def test_the_new_tokens_of_a_slow_or_a_streamed_page_arrive(make, local, clock, caught, path):
    """SM-13: a merely renewed session would stay behind by then."""
    site = make("cookie")
    add_pages(site, (), clock)
    browser, answer = rotated(site, local, clock, path)
    assert "tokens_not_saved" not in caught()
    assert local.is_active(answer.text)
    goes_on_elsewhere(make("cookie"), browser, local, clock)


def test_an_answer_of_ours_in_place_of_the_page_brings_the_new_tokens(make, local, clock):
    """SM-13: the cookie store has no list of sessions, which is a `ConfigError`."""
    site = make("cookie")
    add_pages(site, (), clock)
    browser, answer = rotated(site, local, clock, "/fails")
    assert answer.status_code == 500
    goes_on_elsewhere(make("cookie"), browser, local, clock)


def test_tokens_that_come_too_late_for_any_cookie_are_told_in_the_log(make, local, clock, caught):
    """SM-13: the headers have gone. This process goes on with them; another one could not."""
    site = make("cookie")
    add_pages(site, (), clock)
    browser, answer = rotated(site, local, clock, "/late")
    assert local.is_active(answer.text.removeprefix("token: "))
    assert "tokens_not_saved" in caught()
    token = browser.get("/token")  # saves them
    assert token.text == answer.text.removeprefix("token: ")
    goes_on_elsewhere(make("cookie"), browser, local, clock)


@pytest.mark.parametrize("edge", ["asgi"])
def test_a_page_that_asks_for_nobody_brings_what_a_check_has_rotated(make_local, local, clock, edge):
    """SM-13: under ASGI the session is looked up, and checked with XWMS, before the page is asked for."""
    options = {"session_lifetime": 86_400, "recheck": 60}
    site = make_local(**options)
    browser, answer = rotated(site, local, clock, "/")
    assert answer.text == "home"
    assert site.session_cookie in "".join(answer.headers.get_list("set-cookie"))
    assert not a_cache_may_keep(answer)
    goes_on_elsewhere(make_local(**options), browser, local, clock)


@pytest.mark.parametrize("edge", ["asgi"])
def test_a_websocket_can_bring_no_new_tokens_to_the_browser_and_the_log_says_so(make, local, clock, caught):
    site = make("cookie")
    add_pages(site, (), clock)
    browser = site.browser()
    log_in(browser, local)
    clock.advance(EXPIRED)
    with browser.client.websocket_connect("wss://app.example/socket") as talk:  # type: ignore[attr-defined]
        assert local.is_active(talk.receive_text())
    assert "tokens_not_saved" in caught()
