"""`require_user`: the person, or the end of the request with what `login_required` answers.

Whatever error handlers the application has, and wherever it asks.
"""

import asyncio
from contextlib import suppress
from typing import Annotated, Any

import flask
import httpx2
import pytest
from fastapi import APIRouter, Depends, FastAPI
from flask.views import MethodView
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

import xwms_auth.asgi
import xwms_auth.fastapi
import xwms_auth.flask
import xwms_auth.starlette
from tests.tools.site import FROM_HERE, HTTPS_URI, NAVIGATION, PROGRAM, log_in
from xwms_auth import LoginRequired, User, XWMSConfig

ORIGIN = "https://app.example"


@pytest.fixture
def config(fx):
    return XWMSConfig(**fx.options(redirect_uris=HTTPS_URI))


def flask_app(config: XWMSConfig, **options: Any) -> Any:
    app = flask.Flask(__name__)
    require_user = xwms_auth.flask.require_user

    @app.get("/function")
    def function() -> str:
        return require_user().sub

    @app.get("/async")
    async def asynchronous() -> str:
        return require_user().sub

    class View(MethodView):
        def get(self) -> str:
            return require_user().sub

    app.add_url_rule("/class", view_func=View.as_view("view"))
    part = flask.Blueprint("part", __name__)

    @part.before_request
    def guard() -> None:
        require_user()

    part.add_url_rule("/part", "page", lambda: xwms_auth.flask.current_user.sub)
    app.register_blueprint(part)
    for kind in (401, 500, Exception):
        app.register_error_handler(kind, lambda error: ("the application's page", 200))
    xwms_auth.flask.XWMSAuth(app, config, **options)
    return app


def starlette_app(config: XWMSConfig, **options: Any) -> Any:
    require_user = xwms_auth.starlette.require_user

    async def function(request: Request) -> Any:
        return PlainTextResponse(require_user(request).sub)

    def synchronous(request: Request) -> Any:
        return PlainTextResponse(require_user(request).sub)

    async def stream(request: Request) -> Any:
        async def chunks() -> Any:
            yield require_user(request).sub

        return StreamingResponse(chunks())

    class Guard(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: Any) -> Any:
            if request.url.path == "/part":
                require_user(request)
            return await call_next(request)

    async def own(request: Any, error: Any) -> Any:
        return PlainTextResponse("the application's page")

    views = {"function": function, "async": synchronous, "class": stream, "part": function}
    routes = [Route(f"/{path}", view) for path, view in views.items()]
    handlers = {401: own, 500: own}
    app = Starlette(routes=routes, exception_handlers=handlers, middleware=[Middleware(Guard)])
    return xwms_auth.starlette.XWMSAuthMiddleware(app, config, **options)


def fastapi_app(config: XWMSConfig, **options: Any) -> Any:
    app = FastAPI()
    require_user = xwms_auth.fastapi.require_user

    @app.get("/function")
    @app.get("/async")
    async def function(user: Annotated[User, Depends(require_user)]) -> str:
        return user.sub

    @app.get("/class")
    def called(request: Request) -> str:
        return xwms_auth.starlette.require_user(request).sub

    part = APIRouter(dependencies=[Depends(require_user)])

    @part.get("/part")
    async def page(request: Request) -> str:
        return str(request.user.sub)

    app.include_router(part)

    @app.exception_handler(401)
    async def own(request: Any, error: Any) -> Any:
        return PlainTextResponse("the application's page")

    app.add_middleware(xwms_auth.fastapi.XWMSAuthMiddleware, config=config, **options)
    return app


def asgi_app(config: XWMSConfig, **options: Any) -> Any:
    require_user, refuse = xwms_auth.asgi.require_user, xwms_auth.asgi.refuse

    async def answer(send: Any, text: str) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text.encode()})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        match scope["path"]:
            case "/function":
                await answer(send, require_user(scope).sub)
            case "/async":
                try:
                    await answer(send, require_user(scope).sub)
                except LoginRequired:
                    await answer(send, "the application's page")
            case "/class":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                try:
                    text = require_user(scope).sub
                except LoginRequired:
                    text = "the application's page"
                await send({"type": "http.response.body", "body": text.encode()})
            case _:
                if await refuse(scope, receive, send):
                    return
                user = xwms_auth.asgi.current_user
                assert user(scope) == user(Request(scope)) == require_user(scope)
                await answer(send, user.sub)

    return xwms_auth.asgi.XWMSAuthMiddleware(app, config, **options)


APPS = {"flask": flask_app, "starlette": starlette_app, "fastapi": fastapi_app, "asgi": asgi_app}
PATHS = ("/function", "/async", "/class", "/part")


@pytest.fixture(params=APPS)
def door(request):
    return request.param


def client_of(app: Any) -> httpx2.Client:
    if isinstance(app, flask.Flask):
        return httpx2.Client(transport=httpx2.WSGITransport(app), base_url=ORIGIN)
    return TestClient(app, base_url=ORIGIN, follow_redirects=False)


def test_it_gives_the_person_or_ends_the_request_as_login_required_does(door, config, fx):
    client = client_of(APPS[door](config))
    for path in PATHS:
        refused = client.get(f"{path}?a=b", headers=NAVIGATION)
        assert (refused.status_code, refused.headers["location"]) == (302, f"/xwms/auth?next={path}%3Fa%3Db")
        assert "no-store" in refused.headers["cache-control"]
        assert "the application's page" not in refused.text
        program = client.get(path, headers=PROGRAM)
        assert (program.status_code, program.json()["code"]) == (401, "login_required")
        assert client.get(path, headers={"HX-Request": "true"}).headers["hx-redirect"]
    log_in(client, fx)
    for path in PATHS:
        page = client.get(path, headers=FROM_HERE)
        assert (page.status_code, page.text.strip('"')) == (200, "17")
        assert page.headers["cache-control"] == "private, no-store"


def test_the_application_may_answer_in_our_place(door, config):
    async def on_asgi(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": b"own"})

    answers = {"flask": ("own", 418), "asgi": on_asgi}
    answer = answers.get(door, PlainTextResponse("own", 418))
    client = client_of(APPS[door](config, unauthorized=lambda request, problem: answer))
    assert [(client.get(path).status_code, client.get(path).text) for path in PATHS] == [(418, "own")] * 4


def test_a_store_that_is_down_is_a_503(door, fx, tmp_path):
    folder = tmp_path / "sessions"
    folder.mkdir()
    config = XWMSConfig(**fx.options(redirect_uris=HTTPS_URI, session_store=f"sqlite:///{folder}/sessions.sqlite3"))
    client = client_of(APPS[door](config))
    log_in(client, fx)
    folder.rename(tmp_path / "elsewhere")
    for path in PATHS:
        answer = client.get(path, headers=PROGRAM)
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")


def test_fastapi_can_override_it_also_behind_current_user(config):
    app = FastAPI()

    @app.get("/")
    async def home(user: xwms_auth.fastapi.CurrentUser) -> str:
        return user.sub

    app.add_middleware(xwms_auth.fastapi.XWMSAuthMiddleware, config=config)
    client = client_of(app)
    assert client.get("/", headers=PROGRAM).status_code == 401
    app.dependency_overrides[xwms_auth.fastapi.require_user] = lambda: User(issuer="https://xwms.nl", sub="tester")
    assert client.get("/").json() == "tester"
    assert app.openapi()["paths"]["/"]["get"]["security"] == [{"XWMS login": []}]


# --- websockets ---


async def asks(socket: Any) -> None:
    xwms_auth.starlette.require_user(socket)
    await socket.accept()


async def asks_of_the_scope(socket: Any) -> None:
    xwms_auth.asgi.require_user(socket.scope)
    await socket.accept()


async def asks_and_accepts_all_the_same(socket: Any) -> None:
    with suppress(LoginRequired):
        xwms_auth.asgi.require_user(socket.scope)
    await socket.accept()


async def only_after_accepting(socket: Any) -> None:
    await socket.accept()
    xwms_auth.asgi.require_user(socket.scope)


async def refuses(scope: Any, receive: Any, send: Any) -> None:
    if not await xwms_auth.asgi.refuse(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})


def on_starlette(endpoint: Any) -> Any:
    return Starlette(routes=[WebSocketRoute("/socket", endpoint)])


def on_litestar() -> Any:
    from litestar import Litestar, WebSocket, websocket

    @websocket("/socket")
    async def socket(socket: WebSocket[Any, Any, Any]) -> None:
        xwms_auth.asgi.require_user(socket.scope)
        await socket.accept()
        await socket.close()

    return Litestar([socket], logging_config=None)


def on_quart() -> Any:
    from quart import Quart
    from quart import websocket as quart_websocket

    app = Quart(__name__)

    @app.websocket("/socket")
    async def socket() -> None:
        xwms_auth.asgi.require_user(quart_websocket.scope)
        await quart_websocket.accept()

    return app


SOCKETS = {
    "starlette": lambda: on_starlette(asks),
    "the scope": lambda: on_starlette(asks_of_the_scope),
    "accepted all the same": lambda: on_starlette(asks_and_accepts_all_the_same),
    "refuse": lambda: refuses,
    "litestar": pytest.param(on_litestar, marks=pytest.mark.more_packages),
    "quart": pytest.param(on_quart, marks=pytest.mark.more_packages),
}


@pytest.mark.parametrize("make", SOCKETS.values(), ids=SOCKETS)
def test_a_websocket_of_nobody_is_closed_with_1008(config, fx, make):
    client = client_of(xwms_auth.asgi.XWMSAuthMiddleware(make(), config))
    with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("wss://app.example/socket"):
        pass
    assert (refused.value.code, refused.value.reason) == (1008, "login_required")
    log_in(client, fx)
    with client.websocket_connect("wss://app.example/socket"):
        pass


def test_a_websocket_that_was_accepted_is_closed_too(config):
    client = client_of(xwms_auth.asgi.XWMSAuthMiddleware(on_starlette(only_after_accepting), config))
    with client.websocket_connect("wss://app.example/socket") as socket, pytest.raises(WebSocketDisconnect) as closed:
        socket.receive_text()
    assert closed.value.code == 1008


def test_a_websocket_that_its_framework_leaves_open_is_closed_too(config):
    async def sanic(scope: Any, receive: Any, send: Any) -> None:
        """It accepts each handshake, and returns without closing when the handler raises."""
        await send({"type": "websocket.accept"})
        with suppress(LoginRequired):
            xwms_auth.asgi.require_user(scope)

    async def connect() -> list[Any]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "websocket", "path": "/", "headers": [(b"host", b"app.example")], "query_string": b""}
        await xwms_auth.asgi.XWMSAuthMiddleware(sanic, config)(scope, None, send)
        return sent

    last = asyncio.run(connect())[-1]
    assert (last["type"], last.get("code"), last.get("reason")) == ("websocket.close", 1008, "login_required")


def test_without_the_middleware_it_says_so():
    with pytest.raises(RuntimeError, match="XWMSAuthMiddleware is not installed"):
        xwms_auth.asgi.require_user({"type": "http"})
    with pytest.raises(RuntimeError, match="XWMSAuthMiddleware is not installed"):
        asyncio.run(xwms_auth.asgi.refuse({"type": "http"}, None, None))  # type: ignore[arg-type]
    assert not xwms_auth.asgi.current_user.is_authenticated
