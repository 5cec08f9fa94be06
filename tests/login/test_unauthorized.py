"""An application's own answer where a login is needed: `unauthorized=`.

Without it, or where it gives None, the answer is ours, whatever error handlers the application has.
"""

from datetime import timedelta
from typing import Annotated, Any

import flask
import httpx2
import pytest
from fastapi import FastAPI
from flask.views import MethodView
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

import xwms_auth.asgi
import xwms_auth.fastapi
import xwms_auth.flask
import xwms_auth.starlette
from tests.tools.clock import Clock
from tests.tools.site import FROM_ELSEWHERE, FROM_HERE, HTTPS_URI, LOGIN, ME, NAVIGATION, PROGRAM
from xwms_auth import User, XWMSConfig
from xwms_auth.fastapi import CurrentUser, fresh_user

ORIGIN = "https://app.example"
FRESH = timedelta(minutes=5)


@pytest.fixture
def fx(make_fx):
    return make_fx()


@pytest.fixture
def clock():
    return Clock()


def settings(fx, **options):
    return XWMSConfig(**fx.options(redirect_uris=HTTPS_URI, **options))


def log_in(client, fx):
    location = client.get(LOGIN, headers=FROM_HERE).headers["location"]
    token = fx.approve(location.rpartition("/")[2], sub="17")
    assert client.get(f"/xwms/validateToken?token={token}", headers=FROM_ELSEWHERE).status_code == 303


class Handler:
    """Answers with what it was given, or with what it is told to; keeps what it saw."""

    def __init__(self, door: str, answer: Any = ...) -> None:
        self.door, self.answer = door, answer
        self.seen: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, request: Any, problem: dict[str, Any]) -> Any:
        assert isinstance(request, flask.Request if self.door == "flask" else Request)
        self.seen.append((request.path if self.door == "flask" else request.url.path, problem))
        if self.answer is not ...:
            return self.answer
        text = f"own {problem['code']} {problem['login_url']}"
        return (text, 418) if self.door == "flask" else PlainTextResponse(text, 418)


class AsyncHandler(Handler):
    async def __call__(self, request: Any, problem: dict[str, Any]) -> Any:
        return super().__call__(request, problem)


def flask_app(config, clock, handler) -> flask.Flask:
    app = flask.Flask(__name__)
    guard = xwms_auth.flask.login_required

    @app.get("/function")
    @guard
    def function() -> str:
        return "in"

    @app.get("/async")
    @guard
    async def asynchronous() -> str:
        return "in"

    class View(MethodView):
        decorators = [guard]

        def get(self) -> str:
            return "in"

    app.add_url_rule("/class", view_func=View.as_view("view"))

    @app.get("/fresh")
    @guard(fresh=FRESH)
    def fresh() -> str:
        return "in"

    @app.get("/scoped")
    @guard(scopes=["more"])
    def scoped() -> str:
        return "in"

    app.register_error_handler(401, lambda error: ("the application's 401", 401))
    xwms_auth.flask.XWMSAuth(app, config, clock=clock, unauthorized=handler)
    return app


def starlette_app(config, clock, handler) -> Any:
    guard = xwms_auth.starlette.login_required

    @guard
    async def function(request: Any) -> Any:
        return PlainTextResponse("in")

    @guard
    def synchronous(request: Any) -> Any:
        return PlainTextResponse("in")

    @guard
    class View(HTTPEndpoint):
        async def get(self, request: Any) -> Any:
            return PlainTextResponse("in")

    @guard(fresh=FRESH)
    async def fresh(request: Any) -> Any:
        return PlainTextResponse("in")

    @guard(scopes=["more"])
    async def scoped(request: Any) -> Any:
        return PlainTextResponse("in")

    @guard
    async def socket(websocket: Any) -> None:
        await websocket.accept()

    views = {"function": function, "async": synchronous, "class": View, "fresh": fresh, "scoped": scoped}
    routes = [*(Route(f"/{path}", view) for path, view in views.items()), WebSocketRoute("/socket", socket)]
    app = Starlette(routes=routes, exception_handlers={401: lambda request, error: PlainTextResponse("no", 401)})
    return xwms_auth.starlette.XWMSAuthMiddleware(app, config, clock=clock, unauthorized=handler)


def fastapi_app(config, clock, handler) -> Any:
    app = FastAPI()

    @app.exception_handler(401)
    async def own_401(request: Any, error: Any) -> Any:
        return JSONResponse("the application's 401", 401)

    @app.get("/function")
    @app.get("/class")
    async def function(user: CurrentUser) -> str:
        return "in"

    @app.get("/async")
    @xwms_auth.starlette.login_required
    async def decorated(request: Request) -> str:
        return "in"

    @app.get("/fresh")
    async def fresh(user: Annotated[User, fresh_user(FRESH)]) -> str:
        return "in"

    @app.middleware("http")
    async def passing(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    app.add_middleware(xwms_auth.fastapi.XWMSAuthMiddleware, config=config, clock=clock, unauthorized=handler)
    return app


APPS = {"flask": flask_app, "starlette": starlette_app, "fastapi": fastapi_app}


@pytest.fixture(params=APPS)
def door(request):
    return request.param


def client_of(app):
    if isinstance(app, flask.Flask):
        return httpx2.Client(transport=httpx2.WSGITransport(app, raise_app_exceptions=False), base_url=ORIGIN)
    return TestClient(app, base_url=ORIGIN, follow_redirects=False, raise_server_exceptions=False)


@pytest.fixture
def visit(door, fx, clock):
    """Make the application with a handler; gives a client of it."""
    return lambda handler=None, **options: client_of(APPS[door](settings(fx, **options), clock, handler))


@pytest.mark.parametrize("kind", [Handler, AsyncHandler])
def test_the_application_answers_in_our_place_at_every_guard(visit, door, kind):
    handler = kind(door)
    client = visit(handler)
    for headers in (NAVIGATION, PROGRAM):
        for path in ("/function", "/async", "/class"):
            answer = client.get(path, headers=headers)
            assert (answer.status_code, answer.text) == (418, f"own login_required /xwms/auth?next={path}")
            assert answer.headers["cache-control"] == "no-store"
            assert "cookie" in answer.headers["vary"].lower()
    assert [path for path, _ in handler.seen] == ["/function", "/async", "/class"] * 2
    for _, problem in handler.seen:
        assert {"type", "title", "status", "code", "detail", "login_url"} == set(problem)
        assert (problem["status"], problem["type"]) == (401, "urn:xwms-auth:error:login_required")


@pytest.mark.parametrize("kind", [Handler, AsyncHandler])
def test_an_answer_of_none_is_ours(visit, door, kind):
    handler = kind(door, None)
    for client in (visit(handler), visit()):
        for path in ("/function", "/async", "/class"):
            assert client.get(path, headers=NAVIGATION).headers["location"] == f"/xwms/auth?next={path}"
            answer = client.get(path, headers=PROGRAM)
            assert (answer.status_code, answer.json()["code"]) == (401, "login_required")
            assert client.get(path, headers={"HX-Request": "true"}).headers["hx-redirect"]
    assert len(handler.seen) == 9


def test_with_everything_protected_it_answers_too(visit, door):
    handler = Handler(door)
    client = visit(handler, protect="all", public="/open")
    for path in ("/function", "/missing"):
        answer = client.get(path, headers=NAVIGATION)
        assert (answer.status_code, answer.text) == (418, f"own login_required /xwms/auth?next={path}")
        assert answer.headers["cache-control"] == "no-store"
    assert client.get("/open").status_code == 404
    handler.answer = None
    assert client.get("/function", headers=NAVIGATION).headers["location"] == "/xwms/auth?next=/function"
    assert len(handler.seen) == 3


def test_a_login_that_is_too_old_and_the_reason_why_a_session_ended_are_told(visit, door, fx, clock):
    handler = Handler(door)
    client = visit(handler)
    log_in(client, fx)
    assert "in" in client.get("/fresh").text
    clock.advance(600)
    answer = client.get("/fresh", headers=NAVIGATION)
    assert answer.text == "own login_too_old /xwms/auth?next=/fresh&fresh=300"
    assert answer.headers["cache-control"] == "no-store"
    assert "in" in client.get("/function").text
    clock.advance(100_000)
    assert client.get("/function").status_code == 418
    assert handler.seen[-1][1]["reason"] == "session_idle"


def test_it_is_not_asked_where_no_login_would_help(visit, door, fx):
    handler = Handler(door)
    client = visit(handler)
    assert client.get("/missing").status_code == 404
    assert client.get(ME, headers=PROGRAM).json()["user"] is None
    log_in(client, fx)
    assert "in" in client.get("/function").text
    if door != "fastapi":
        assert client.get("/scoped", headers=PROGRAM).json()["code"] == "not_approved"
    assert handler.seen == []


def test_a_websocket_is_refused_as_ever(fx, clock):
    handler = Handler("starlette")
    client = client_of(starlette_app(settings(fx), clock, handler))
    with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("wss://app.example/socket"):
        pass
    assert (refused.value.code, refused.value.reason) == (1008, "login_required")
    assert handler.seen == []


@pytest.mark.parametrize("protect", ["marked", "all"])
def test_flask_takes_whatever_a_view_may_return(fx, clock, protect):
    handler = Handler("flask")
    app = flask_app(settings(fx, protect=protect), clock, handler)
    app.register_error_handler(403, lambda error: ("the application's 403", 403))
    app.register_error_handler(500, lambda error: ("the application's 500", 500))
    client = client_of(app)
    answers = ["text", {"a": 1}, ("text", 402), flask.Response("text", headers={"Cache-Control": "public"})]
    for given, status in zip(answers, (200, 200, 402, 200), strict=True):
        handler.answer = given
        answer = client.get("/function")
        assert (answer.status_code, "no-store" in answer.headers["cache-control"]) == (status, True)

    def fails(request: Any, problem: Any) -> Any:
        if request.args:
            raise ValueError
        flask.abort(403)

    client = client_of(_again(app, fails))
    assert client.get("/function").text == "the application's 403"
    assert client.get("/function?a=b").text == "the application's 500"


def _again(app: flask.Flask, handler: Any) -> flask.Flask:
    """The same application with another handler."""
    config, clock = app.extensions["xwms_auth"].context.config, Clock()
    made = flask_app(config, clock, handler)
    made.error_handler_spec = app.error_handler_spec
    return made


def test_any_asgi_application_may_be_the_answer(fx):
    async def inner(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("this is never served")

    async def own(scope: Any, receive: Any, send: Any) -> None:
        assert scope["user"].is_authenticated is False
        await send({"type": "http.response.start", "status": 402})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    seen = []

    def handler(scope: Any, problem: dict[str, object]) -> Any:
        seen.append(problem["code"])
        return own

    app = xwms_auth.asgi.XWMSAuthMiddleware(inner, settings(fx, protect="all"), unauthorized=handler)
    answer = client_of(app).get("/page")
    assert (answer.status_code, answer.text, seen) == (402, "/page", ["login_required"])
    assert answer.headers["cache-control"] == "no-store"


def test_an_answer_may_be_a_stream_and_pass_other_middlewares(fx, clock):
    async def chunks() -> Any:
        yield b"a"
        yield b"b"

    class Passing(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Any:
            response = await call_next(request)
            response.headers["x-passed"] = "1"
            return response

    def handler(request: Any, problem: dict[str, object]) -> Any:
        return StreamingResponse(chunks())

    inner = starlette_app(settings(fx), clock, None)
    for app in (inner.app, Mount("/", inner.app)):
        passing = Passing(app)
        wrapped = xwms_auth.starlette.XWMSAuthMiddleware(passing, settings(fx), unauthorized=handler)
        answer = client_of(wrapped).get("/function")
        assert (answer.text, answer.headers["x-passed"]) == ("ab", "1")


def test_the_inner_of_two_middlewares_of_one_client_has_its_own(fx, clock):
    outer, inner = Handler("starlette"), Handler("starlette", PlainTextResponse("inner"))
    app = starlette_app(settings(fx), clock, inner)
    part = starlette_app(settings(fx), clock, None)
    routes = [Mount("/part", app), Mount("/other", part)]
    site = xwms_auth.starlette.XWMSAuthMiddleware(Starlette(routes=routes), settings(fx), unauthorized=outer)
    client = client_of(site)
    assert client.get("/part/function").text == "inner"
    assert client.get("/other/function").status_code == 418
