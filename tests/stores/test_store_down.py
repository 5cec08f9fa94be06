"""What visitors see while the session store is down: a real Redis on ASGI, and SQLite and PostgreSQL on Flask.

What each store does with each fault in either colour is in test_redis_faults.py and its like.

Knows: the routes of tests/tools/site.py, and what happens to stores.
Must not: look inside the package.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import fastapi
import flask
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

import xwms_auth.flask
import xwms_auth.starlette
from tests.stores.questions import BOUND, DEADLINE
from tests.tools.postgres_server import PostgresServer
from tests.tools.redis_server import RedisServer, redis_server
from tests.tools.site import FROM_ELSEWHERE, FROM_HERE, LOGIN, LOGOUT, ME, PROGRAM, Browser, Site
from xwms_auth import StoreUnavailable, XWMSConfig
from xwms_auth.fastapi import CurrentUser, OptionalUser

HTMX = {"HX-Request": "true", "Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
SUB = "xwms-user-1234"


class Place(Protocol):
    """A store that can be taken away and given back with all it held."""

    url: str

    def fail(self) -> None: ...

    def mend(self) -> None: ...


class RedisPlace:
    def __init__(self, server: RedisServer) -> None:
        self.url, self.fail, self.mend = server.url, server.kill, server.start


class SQLitePlace:
    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder, self._elsewhere = folder, folder.with_name("elsewhere")
        self.url = f"sqlite:///{folder / 'sessions.sqlite3'}"

    def fail(self) -> None:
        self._folder.rename(self._elsewhere)

    def mend(self) -> None:
        self._elsewhere.rename(self._folder)


class PostgresPlace:
    def __init__(self, server: PostgresServer) -> None:
        self.url, self.fail, self.mend = server.url("psycopg"), server.kill, server.start


@pytest.fixture
def server(tmp_path) -> Iterator[RedisServer]:
    with redis_server(tmp_path, durable=True) as made:
        yield made


@pytest.fixture(params=["redis", "sqlite", "postgres"])
def place(request, tmp_path) -> Iterator[Place]:
    if request.param == "sqlite":
        yield SQLitePlace(tmp_path / "sessions")
    elif request.param == "redis":
        yield RedisPlace(request.getfixturevalue("server"))
    else:
        server = request.getfixturevalue("postgres")
        yield PostgresPlace(server)
        server.stop()
        server.start()


@pytest.fixture
def edge(place: Place) -> str:
    return "asgi" if isinstance(place, RedisPlace) else "flask"


@pytest.fixture
def site(make_site: Callable[..., Site], place: Place) -> Site:
    return make_site(session_store=place.url)


@pytest.fixture
def browser(site: Site) -> Iterator[Browser]:
    """A browser of an application that has begun its life, so that connections to the store are kept."""
    made = site.browser()
    with made.client:
        yield made


def require_page(answer: Any) -> None:
    """A page for a person that says it, and promises nothing about who they are."""
    assert (answer.status_code, answer.headers["content-type"]) == (503, "text/html; charset=utf-8"), answer.text
    assert "store_unavailable" in answer.text
    require_neither_signed_out_nor_stored(answer)


def require_problem(answer: Any) -> None:
    """The same for a program, as RFC 9457 has it."""
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json"), answer.text
    said = answer.json()
    assert (said["status"], said["code"]) == (503, "store_unavailable")
    assert {"login_url", "reason", "user"}.isdisjoint(said)
    require_neither_signed_out_nor_stored(answer)


def require_neither_signed_out_nor_stored(answer: Any) -> None:
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers.get_list("set-cookie") == []
    assert "hx-redirect" not in answer.headers


def test_pages_that_need_the_person_say_so_and_all_is_well_when_the_store_is_back(place, browser):
    """SL-11"""
    browser.log_in()
    place.fail()
    for path in ("/private", "/hello", LOGIN):
        require_page(browser.get(path))
    for path in ("/who", "/hello", "/cached", ME):
        require_problem(browser.get(path, PROGRAM))
    require_problem(browser.get("/who", HTMX))
    assert browser.get("/").text == "home"
    place.mend()
    assert browser.who() == SUB
    assert browser.get(ME, PROGRAM).json()["user"]["sub"] == SUB
    assert browser.get("/hello").text == "hello Ada Lovelace"


def test_whoever_brings_no_cookie_is_served_as_always(place, site, browser):
    """SL-11: there is nothing to look up, so nothing that could not be."""
    place.fail()
    assert browser.get("/hello").text == "hello nobody"
    assert browser.get("/private").status_code == 302
    assert browser.get("/who", PROGRAM).json()["code"] == "login_required"
    assert browser.get(ME, PROGRAM).json()["user"] is None
    # A login is another matter: what it begins has to be known to all who may see its end.
    require_page(browser.get(LOGIN))


def test_a_cookie_that_nobody_can_judge_is_not_taken_for_a_bad_one(place, site):
    """SL-11"""
    place.fail()
    for value in ("x", "A" * 43, "null"):
        answer = site.raw("/who", headers=[*PROGRAM.items(), ("Cookie", f"{site.session_cookie}={value}")])
        require_problem(answer)


def test_with_everything_protected_only_public_pages_are_served(place, make_site):
    """SL-11"""
    site = make_site(session_store=place.url, protect="all", public=("/about/*",))
    browser = site.browser()
    with browser.client:
        browser.log_in()
        place.fail()
        for path in ("/", "/who", "/nowhere"):
            require_page(browser.get(path))
            require_problem(browser.get(path, PROGRAM))
        assert browser.get("/about/us").status_code == 404
        place.mend()
        assert browser.get("/").text == "home"


def test_a_login_that_comes_back_before_the_store_does_asks_xwms_nothing(place, site, browser):
    """SL-11, RP-11"""
    token = site.fx.approve(browser.start())
    place.fail()
    answer = browser.come_back(token)
    assert (answer.status_code, answer.headers["retry-after"].isdigit()) == (503, True)
    assert "store_unavailable" in answer.text
    assert site.session_cookie not in browser.cookies()
    assert site.fx.calls("sign-token-verify") == 0
    place.mend()
    assert browser.who() is None
    browser.log_in()
    assert browser.who() == SUB


def test_a_login_whose_store_goes_down_while_xwms_is_asked_begins_nothing(place, site, browser):
    """SL-11: XWMS has said yes, and still nobody is signed in, then or later."""
    token = site.fx.approve(browser.start())
    with site.fx.hold("sign-token-verify") as gate, ThreadPoolExecutor(1) as thread:
        coming = thread.submit(browser.come_back, token)
        site.fx.wait_for_calls("sign-token-verify")
        place.fail()
        gate.set()
        answer = coming.result()
    assert (answer.status_code, answer.headers["retry-after"].isdigit()) == (503, True)
    assert "store_unavailable" in answer.text
    assert site.session_cookie not in browser.cookies()
    place.mend()
    assert browser.who() is None
    assert browser.come_back(token).status_code in (400, 401)
    assert browser.who() is None
    browser.log_in()
    assert browser.who() == SUB


def test_a_new_login_over_a_store_that_went_down_leaves_the_old_session_as_it_was(place, site, browser):
    """SL-11, SF-03"""
    browser.log_in("first")
    site.clock.advance(60)
    started = browser.get(LOGIN, FROM_HERE, params={"fresh": "30"})
    token = site.fx.approve(started.headers["location"].rpartition("/")[2], sub="second")
    with site.fx.hold("sign-token-verify") as gate, ThreadPoolExecutor(1) as thread:
        coming = thread.submit(browser.come_back, token)
        site.fx.wait_for_calls("sign-token-verify")
        place.fail()
        gate.set()
        assert coming.result().status_code == 503
    place.mend()
    assert browser.who() == "first"


def test_a_logout_that_cannot_be_carried_out_is_not_called_one(place, site, browser):
    """LO-06: the browser forgets its session; whoever kept the cookie is told the truth, and can log out later."""
    browser.log_in()
    kept = [*PROGRAM.items(), ("Cookie", f"{site.session_cookie}={browser.cookies()[site.session_cookie]}")]
    place.fail()
    answer = browser.log_out()
    assert (answer.status_code, answer.headers["retry-after"].isdigit()) == (503, True)
    assert "store_unavailable" in answer.text
    assert site.session_cookie not in browser.cookies()
    place.mend()
    assert site.raw("/who", headers=kept).status_code == 200
    own = ("Origin", site.origin)
    assert site.raw(LOGOUT, method="POST", headers=[*kept, own]).status_code == 303
    assert site.raw("/who", headers=kept).status_code == 401


def test_another_site_cannot_use_a_store_that_is_down_to_sign_anybody_out(place, browser):
    """LO-06, LO-02"""
    browser.log_in()
    place.fail()
    answer = browser.log_out(FROM_ELSEWHERE)
    assert answer.status_code in (403, 503)
    assert answer.headers.get_list("set-cookie") == []
    place.mend()
    assert browser.who() == SUB


@pytest.mark.usefixtures("short_store_timeouts")
@pytest.mark.parametrize("edge", ["flask", "asgi"])
def test_a_stalled_store_holds_a_page_up_for_a_moment_only(server, make_site):
    """SL-11"""
    site = make_site(session_store=server.url)
    browser = site.browser()
    with browser.client:
        browser.log_in()
        server.pause()
        try:
            for path in ("/private", "/", "/hello"):
                began = time.monotonic()
                answer = browser.get(path)
                assert time.monotonic() - began < BOUND
                assert answer.status_code == (200 if path == "/" else 503)
        finally:
            server.resume()
        deadline = time.monotonic() + DEADLINE
        while (answer := browser.get("/who", PROGRAM)).status_code == 503:
            assert time.monotonic() < deadline
        assert answer.text == SUB


def test_a_page_that_was_made_before_the_store_went_down_is_still_given(edge, place, make_fx):
    """Renewing the session can wait for the next page."""
    site = Site(edge, make_fx(), session_store=place.url)
    fails = threading.Event()
    site.app = _application(edge, site, lambda user: (fails.is_set() and place.fail(), f"{user.sub}")[1])
    browser = site.browser()
    with browser.client:
        browser.log_in()
        site.clock.advance(3600)
        fails.set()
        answer = browser.get("/page")
        assert (answer.status_code, answer.text) == (200, SUB)
        fails.clear()
        place.mend()
        assert browser.get("/page").text == SUB


def _application(edge: str, site: Site, page: Callable[[Any], str]) -> Any:
    """An application with one page, which is made of who is there."""
    if edge == "flask":
        app = flask.Flask(__name__)
        app.add_url_rule("/page", "page", lambda: page(xwms_auth.flask.current_user._get_current_object()))
        xwms_auth.flask.XWMSAuth(app, site.config, clock=site.clock)
        return app

    async def endpoint(request: Request) -> Response:
        return PlainTextResponse(page(xwms_auth.starlette.current_user(request)))

    inner = Starlette(routes=[Route("/page", endpoint)])
    return xwms_auth.starlette.XWMSAuthMiddleware(inner, site.config, clock=site.clock)


def test_a_view_that_has_its_own_answer_gives_it(edge, place, make_fx):
    """SL-11"""
    site = Site(edge, make_fx(), session_store=place.url)
    if edge == "flask":
        site.app = flask.Flask(__name__)
        user = xwms_auth.flask.current_user

        @site.app.get("/page")
        def caught() -> tuple[str, int]:
            try:
                return f"{user.sub}", 200
            except StoreUnavailable:
                return "we are moving house", 500

        xwms_auth.flask.XWMSAuth(site.app, site.config, clock=site.clock)
    else:

        async def endpoint(request: Request) -> Response:
            try:
                return PlainTextResponse(f"{request.user.sub}")
            except StoreUnavailable:
                return PlainTextResponse("we are moving house", 200)

        site.app = xwms_auth.starlette.XWMSAuthMiddleware(
            Starlette(routes=[Route("/page", endpoint)]), site.config, clock=site.clock
        )
    browser = site.browser()
    with browser.client:
        browser.log_in()
        place.fail()
        answer = browser.get("/page")
        assert answer.text == "we are moving house"
        assert "Cookie" in answer.headers["vary"]


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application without a framework; it lets our exception out."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = b"home" if scope["path"] == "/" else f"{scope['user'].sub}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def in_starlette(config: XWMSConfig, clock: Any) -> Any:
    """Below Starlette's own error page, as `middleware=[…]` puts it."""

    async def home(request: Request) -> Response:
        return PlainTextResponse("home")

    async def hello(request: Request) -> Response:
        return PlainTextResponse(f"{request.user.sub}")

    ours = Middleware(xwms_auth.starlette.XWMSAuthMiddleware, config=config, clock=clock)
    return Starlette(routes=[Route("/", home), Route("/hello", hello)], middleware=[ours])


def in_fastapi(config: XWMSConfig, clock: Any) -> Any:
    app = fastapi.FastAPI()

    @app.get("/")
    async def home() -> str:
        return "home"

    @app.get("/hello")
    async def hello(user: OptionalUser) -> str:
        return user.sub if user else "nobody"

    @app.get("/needed")
    async def needed(user: CurrentUser) -> str:
        return user.sub

    app.add_middleware(xwms_auth.starlette.XWMSAuthMiddleware, config=config, clock=clock)
    return app


def around(make: Callable[..., Any]) -> Callable[[XWMSConfig, Any], Any]:
    return lambda config, clock: xwms_auth.starlette.XWMSAuthMiddleware(make(), config, clock=clock)


@pytest.mark.parametrize(
    ("place", "make"),
    [("redis", in_starlette), ("sqlite", in_fastapi), ("sqlite", around(lambda: bare))],
    ids=["starlette", "fastapi", "bare"],
    indirect=["place"],
)
def test_an_asgi_application_that_lets_the_exception_out_answers_503_and_not_500(place, make_fx, make):
    """SL-11"""
    site = Site("asgi", make_fx(), session_store=place.url)
    site.app = make(site.config, site.clock)
    browser = Browser(TestClient(site.app, base_url=site.origin, follow_redirects=False), site)
    with browser.client:
        browser.log_in()
        assert SUB in browser.get("/hello").text
        place.fail()
        for path in ("/hello", "/needed") if make is in_fastapi else ("/hello",):
            require_page(browser.get(path))
            require_problem(browser.get(path, PROGRAM))
        assert "home" in browser.get("/").text
        place.mend()
        assert SUB in browser.get("/hello").text
