"""Wherever an application asks for the user while the store is down, the answer is the documented 503.

Its own error pages, hooks, streams, exception groups and websockets: nothing ends in a bare 500 of the server, and
nobody is told that they are signed out.

Knows: the public names, and a SQLite file that is taken away.
Must not: look inside the package.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import anyio
import fastapi
import flask
import httpx2
import pytest
from fastapi import Depends, FastAPI
from litestar import Litestar, WebSocket, websocket
from quart import Quart
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from werkzeug.middleware.dispatcher import DispatcherMiddleware

import xwms_auth.flask
import xwms_auth.starlette
from tests.tools.site import FROM_HERE, HTTPS_URI, PROGRAM, Site
from xwms_auth import XWMSConfig
from xwms_auth.asgi import XWMSAuthMiddleware
from xwms_auth.fastapi import CurrentUser, OptionalUser

ORIGIN = "https://app.example"


class Store:
    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.url = f"sqlite:///{folder / 'sessions.sqlite3'}"

    def fail(self) -> None:
        self._folder.rename(self._folder.with_name("elsewhere"))


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "sessions")


@pytest.fixture
def signed_in(make_fx, store) -> tuple[XWMSConfig, str]:
    """The settings, and a Cookie header of somebody whose store is down by now."""
    site = Site("flask", make_fx(), redirect_uris=HTTPS_URI, session_store=store.url)
    browser = site.browser()
    browser.log_in()
    cookie = f"{site.session_cookie}={browser.cookies()[site.session_cookie]}"
    store.fail()
    return site.config, cookie


def require_503(answer: Any) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.json()["code"] == "store_unavailable"
    assert answer.headers["cache-control"] == "no-store"
    assert int(answer.headers["retry-after"]) > 0


# --- Flask ---


def flask_app() -> flask.Flask:
    app = flask.Flask(__name__)
    user = xwms_auth.flask.current_user

    @app.get("/fails")
    def fails() -> str:
        raise ValueError

    @app.get("/forbidden")
    def forbidden() -> str:
        flask.abort(403)

    @app.get("/plain")
    def plain() -> str:
        return "plain"

    @app.get("/stream")
    def stream() -> Any:
        def chunks() -> Any:
            yield f"{user.sub}"

        return flask.stream_with_context(chunks()), {"Content-Type": "text/plain"}

    @app.get("/late-stream")
    def late_stream() -> Any:
        def chunks() -> Any:
            yield ""
            yield f"{user.sub}"

        return flask.stream_with_context(chunks()), {"Content-Type": "text/plain"}

    return app


def flask_error_pages(app: flask.Flask) -> None:
    page, user = "{{ user.name }}", xwms_auth.flask.current_user
    for code in (403, 404, 500):
        app.register_error_handler(code, lambda error, code=code: (flask.render_template_string(page, user=user), code))


def flask_error_page_for_all(app: flask.Flask) -> None:
    app.register_error_handler(Exception, lambda error: f"{xwms_auth.flask.current_user.name}")


def flask_after_request(app: flask.Flask) -> None:
    app.after_request(lambda response: (xwms_auth.flask.current_user.name, response)[1])


def flask_teardown(app: flask.Flask) -> None:
    app.teardown_request(lambda error: str(xwms_auth.flask.current_user.name))


def flask_before_request(app: flask.Flask) -> None:
    app.before_request(lambda: xwms_auth.flask.current_user.name and None)


def flask_context_processor(app: flask.Flask) -> None:
    app.context_processor(lambda: {"name": xwms_auth.flask.current_user.name})
    app.register_error_handler(404, lambda error: (flask.render_template_string("{{ name }}"), 404))


def flask_middleware(app: flask.Flask) -> None:
    inner = app.wsgi_app

    def outer(environ: Any, start_response: Any) -> Any:
        with app.request_context(environ):
            assert xwms_auth.flask.current_user.sub
        return inner(environ, start_response)

    app.wsgi_app = outer  # type: ignore[method-assign]


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(
    ("hook", "paths"),
    [
        (lambda app: None, ["/stream"]),
        (flask_error_pages, ["/missing", "/fails", "/forbidden"]),
        (flask_error_page_for_all, ["/missing", "/fails", "/forbidden"]),
        (flask_after_request, ["/plain", "/missing"]),
        (flask_before_request, ["/plain", "/missing"]),
        (flask_teardown, ["/plain", "/missing"]),
        (flask_context_processor, ["/missing"]),
        (flask_middleware, ["/plain", "/missing"]),
    ],
)
def test_flask_answers_503_wherever_the_user_is_asked_for(signed_in, hook, paths, debug):
    """SL-11"""
    config, cookie = signed_in
    app = flask_app()
    app.debug = debug
    hook(app)
    xwms_auth.flask.XWMSAuth(app, config)
    with httpx2.Client(transport=httpx2.WSGITransport(app, raise_app_exceptions=False), base_url=ORIGIN) as client:
        for path in paths:
            if debug and path == "/fails":
                continue  # the debugger's, before any page for 500
            require_503(client.get(path, headers={**PROGRAM, "Cookie": cookie}))


def test_an_application_that_is_mounted_below_answers_503_too(signed_in):
    """SL-11"""
    config, cookie = signed_in
    app, inner = flask_app(), flask_app()
    inner.add_url_rule("/asks", "asks", lambda: f"{xwms_auth.flask.current_user.name}")
    flask_error_pages(inner)
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/below": inner})  # type: ignore[method-assign]
    xwms_auth.flask.XWMSAuth(app, config)
    with httpx2.Client(transport=httpx2.WSGITransport(app, raise_app_exceptions=False), base_url=ORIGIN) as client:
        for path in ("/below/asks", "/below/missing", "/below/fails"):
            require_503(client.get(path, headers={**PROGRAM, "Cookie": cookie}))


def test_an_error_page_of_flask_that_nobody_asks_for_the_user_is_the_applications(signed_in):
    config, cookie = signed_in
    app = flask_app()
    app.register_error_handler(404, lambda error: ("not here", 404))
    xwms_auth.flask.XWMSAuth(app, config)
    with httpx2.Client(transport=httpx2.WSGITransport(app, raise_app_exceptions=False), base_url=ORIGIN) as client:
        headers = {**PROGRAM, "Cookie": cookie}
        assert client.get("/missing", headers=headers).text == "not here"
        assert client.get("/fails", headers=headers).status_code == 500


# --- ASGI ---


def asks(request: Any) -> Any:
    return PlainTextResponse(f"{request.user.name}")


async def error_page(request: Any, error: Exception) -> Any:
    return PlainTextResponse(f"{request.user.name}", 500)


async def fails(request: Any) -> Any:
    raise ValueError


async def grouped(request: Any) -> Any:
    async def ask() -> None:
        assert request.user.name

    async with anyio.create_task_group() as group:
        group.start_soon(ask)


async def stream(request: Any) -> Any:
    async def chunks() -> Any:
        yield f"{request.user.name}"

    return StreamingResponse(chunks())


async def background(request: Any) -> Any:
    return PlainTextResponse("sent", background=BackgroundTask(lambda: request.user.name))


class Asking(BaseHTTPMiddleware):
    async def dispatch(self, request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        assert xwms_auth.starlette.current_user.name
        return response


ROUTES = [Route(f"/{page.__name__}", page) for page in (asks, fails, grouped, stream, background)]
PAGES: dict[Any, Any] = {404: error_page, 500: error_page}


def fastapi_app() -> FastAPI:
    app = FastAPI(routes=ROUTES, exception_handlers=PAGES)

    @app.get("/optional")
    def optional(user: OptionalUser) -> str:
        return f"{user}"

    @app.get("/current")
    def current(user: CurrentUser) -> str:
        return user.sub

    def depends(request: fastapi.Request) -> str:
        return f"{request.user.name}"

    @app.get("/depends")
    def dependent(name: Annotated[str, Depends(depends)]) -> str:
        return name

    return app


async def bare_app(scope: Any, receive: Any, send: Any) -> None:
    """An application without a framework, which answers nothing."""
    if scope["type"] == "lifespan":
        raise NotImplementedError
    try:
        raise KeyError
    except KeyError:
        await grouped(type("Request", (), {"user": scope["user"]}))


@pytest.mark.parametrize(
    ("made", "paths"),
    [
        (lambda: Starlette(routes=ROUTES), ["/asks", "/grouped", "/stream"]),
        (lambda: Starlette(routes=ROUTES, exception_handlers=PAGES), ["/missing", "/fails", "/asks", "/grouped"]),
        (lambda: Starlette(routes=ROUTES, exception_handlers={HTTPException: error_page}), ["/missing"]),
        (lambda: Starlette(routes=ROUTES, middleware=[Middleware(Asking)]), ["/missing", "/asks"]),
        (lambda: Starlette(routes=ROUTES, exception_handlers=PAGES, debug=True), ["/missing", "/asks"]),
        (fastapi_app, ["/missing", "/fails", "/asks", "/optional", "/current", "/depends"]),
        (lambda: bare_app, ["/"]),
    ],
)
def test_asgi_answers_503_wherever_the_user_is_asked_for(signed_in, made: Callable[[], Any], paths):
    """SL-11"""
    config, cookie = signed_in
    client = TestClient(XWMSAuthMiddleware(made(), config), base_url=ORIGIN, raise_server_exceptions=False)
    for path in paths:
        require_503(client.get(path, headers={**PROGRAM, "Cookie": cookie}))


def test_quarts_own_error_pages_end_in_503_too(signed_in):
    """SL-11"""
    config, cookie = signed_in
    app = Quart(__name__)

    @app.errorhandler(404)
    async def missing(error: Any) -> Any:
        return f"{xwms_auth.starlette.current_user.name}", 404

    async def story() -> Any:
        transport = httpx2.ASGITransport(XWMSAuthMiddleware(app, config))
        async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            return await client.get("/missing", headers={**PROGRAM, "Cookie": cookie})

    require_503(asyncio.run(story()))


def test_an_answer_that_was_already_sent_stays(signed_in):
    config, cookie = signed_in
    app = XWMSAuthMiddleware(Starlette(routes=ROUTES), config)
    client = TestClient(app, base_url=ORIGIN, raise_server_exceptions=False)
    answer = client.get("/background", headers={**PROGRAM, "Cookie": cookie})
    assert (answer.status_code, answer.text) == (200, "sent")


# --- websockets ---


@xwms_auth.starlette.login_required
async def guarded(socket: Any) -> None:
    await socket.accept()


async def asks_first(socket: Any) -> None:
    assert socket.user.name
    await socket.accept()


async def asks_later(socket: Any) -> None:
    await socket.accept()
    assert socket.user.name


async def asks_in_a_group(socket: Any) -> None:
    await socket.accept()
    await grouped(socket)


async def has_its_own_answer(socket: Any) -> None:
    try:
        assert socket.user.name
    except Exception:  # noqa: BLE001
        await socket.close(1013, "later")


def socket_app() -> FastAPI:
    sockets = (guarded, asks_first, asks_later, asks_in_a_group, has_its_own_answer)
    app = FastAPI(routes=[WebSocketRoute(f"/{socket.__name__}", socket) for socket in sockets])

    @app.websocket("/current")
    async def current(socket: fastapi.WebSocket, user: CurrentUser) -> None:
        await socket.accept()

    @app.websocket("/optional")
    async def optional(socket: fastapi.WebSocket, user: OptionalUser) -> None:
        await socket.accept()

    return app


def litestar_app() -> Litestar:
    @websocket("/asks")
    async def asks(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        assert socket.scope["user"].name

    @websocket("/asks-first")
    async def asks_first(socket: WebSocket[Any, Any, Any]) -> None:
        assert socket.scope["user"].name

    return Litestar([asks, asks_first], logging_config=None)


def ending(app: Any, path: str, cookie: str) -> tuple[int, str]:
    """With which code and reason a websocket ends."""
    client = TestClient(app, base_url=ORIGIN)
    with (
        pytest.raises(WebSocketDisconnect) as ended,
        client.websocket_connect(f"wss://app.example{path}", headers={"Cookie": cookie}) as socket,
    ):
        socket.receive_text()
    return ended.value.code, ended.value.reason


@pytest.mark.parametrize(
    ("made", "paths"),
    [
        (socket_app, ["/guarded", "/asks_first", "/asks_later", "/asks_in_a_group", "/current", "/optional"]),
        (litestar_app, ["/asks", "/asks-first"]),
    ],
)
def test_a_websocket_is_told_that_the_store_is_down(signed_in, made: Callable[[], Any], paths):
    """SL-11"""
    config, cookie = signed_in
    app = XWMSAuthMiddleware(made(), config)
    assert {path: ending(app, path, cookie) for path in paths} == dict.fromkeys(paths, (1008, "store_unavailable"))


def test_with_everything_protected_a_websocket_is_told_the_same(make_fx, store):
    """SL-11"""
    site = Site("flask", make_fx(), redirect_uris=HTTPS_URI, session_store=store.url, protect="all")
    browser = site.browser()
    browser.log_in()
    cookie = f"{site.session_cookie}={browser.cookies()[site.session_cookie]}"
    app = XWMSAuthMiddleware(socket_app(), site.config)
    assert ending(app, "/guarded", "a=b") == (1008, "login_required")
    store.fail()
    assert ending(app, "/guarded", cookie) == (1008, "store_unavailable")
    assert browser.get("/", FROM_HERE).status_code == 503


def test_a_websocket_that_has_its_own_answer_gives_it(signed_in):
    config, cookie = signed_in
    assert ending(XWMSAuthMiddleware(socket_app(), config), "/has_its_own_answer", cookie) == (1013, "later")
