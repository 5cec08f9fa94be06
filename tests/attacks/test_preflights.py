"""SM-17: guards answer CORS preflights, nothing that is no answer to OPTIONS runs for one, and a 401 can be read."""

import functools
from collections.abc import Callable
from typing import Any

import flask
import flask_cors
import httpx2
import pytest
from fastapi import APIRouter, Depends, FastAPI
from flask.views import MethodView
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

import xwms_auth.fastapi
import xwms_auth.flask
import xwms_auth.starlette
from tests.tools.fake_xwms import FakeXWMS
from tests.tools.site import HTTPS_URI
from xwms_auth import XWMSConfig

FRONT = "https://front.example.net"
PREFLIGHT = {"Origin": FRONT, "Access-Control-Request-Method": "GET"}
CALL = {"Origin": FRONT, "Accept": "application/json", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "cross-site"}
SECRET = "what only people see"


@pytest.fixture
def make_config(fx: FakeXWMS) -> Callable[..., XWMSConfig]:
    return lambda **options: XWMSConfig(**fx.options(redirect_uris=HTTPS_URI, **options))


def flask_client(app: flask.Flask, config: XWMSConfig, *, cors: str = "before") -> httpx2.Client:
    """Flask-CORS is set up before the login, or after it, or not at all."""
    if cors == "before":
        flask_cors.CORS(app, origins=[FRONT], supports_credentials=True)
    xwms_auth.flask.XWMSAuth(app, config)
    if cors == "after":
        flask_cors.CORS(app, origins=[FRONT], supports_credentials=True)
    return httpx2.Client(transport=httpx2.WSGITransport(app), base_url="https://app.example")


def asgi_client(app: Any) -> TestClient:
    return TestClient(app, base_url="https://app.example")


def readable(answer: httpx2.Response) -> bool:
    """Whether a page of the front end may read it."""
    return answer.headers.get("access-control-allow-origin") == FRONT


def assert_passes(client: httpx2.Client, path: str = "/api") -> None:
    """The preflight is answered, the call itself is refused, and both can be read."""
    allowed, refused = client.options(path, headers=PREFLIGHT), client.get(path, headers=CALL)
    assert (allowed.status_code, readable(allowed), SECRET in allowed.text) == (200, True, False)
    assert (refused.status_code, readable(refused), refused.json()["code"]) == (401, True, "login_required")


# --- Flask ---


def require_in_before_request(blueprint: flask.Blueprint) -> None:
    blueprint.before_request(lambda: xwms_auth.flask.require_user() and None)


def guard_in_before_request(blueprint: flask.Blueprint | flask.Flask) -> None:
    @blueprint.before_request
    @xwms_auth.flask.login_required
    def _work_for_the_user() -> None:
        raise AssertionError("nobody is signed in")


@pytest.mark.parametrize("guard", [require_in_before_request, guard_in_before_request])
@pytest.mark.parametrize("kind", ["function", "method view"])
def test_a_guard_in_before_request_lets_preflights_pass(make_config, guard, kind):
    app, blueprint = flask.Flask(__name__), flask.Blueprint("api", __name__)
    guard(blueprint)
    if kind == "function":
        blueprint.add_url_rule("/api", "api", lambda: SECRET)
    else:
        blueprint.add_url_rule("/api", view_func=with_options().as_view("api"))
    app.register_blueprint(blueprint)
    assert_passes(flask_client(app, make_config()))


def with_options(*decorators: Any) -> type[MethodView]:
    class WithOptions(MethodView):
        def get(self) -> str:
            return SECRET

        def options(self) -> flask.Response:
            return flask.Response("", headers={"X-Answered-By": "the application"})

    WithOptions.decorators = decorators
    return WithOptions


@pytest.mark.parametrize("protect", ["all", "marked"])
def test_the_options_method_of_a_guarded_method_view_answers(make_config, protect):
    app = flask.Flask(__name__)
    guards = [xwms_auth.flask.login_required] if protect == "marked" else []
    app.add_url_rule("/api", view_func=with_options(*guards).as_view("api"))
    client = flask_client(app, make_config(protect=protect))
    assert_passes(client)
    assert client.options("/api", headers=PREFLIGHT).headers["x-answered-by"] == "the application"
    # Without both headers it is no preflight.
    assert client.options("/api", headers={"Origin": FRONT}).status_code == 401


@pytest.mark.parametrize("protect", ["all", "marked"])
def test_a_function_that_takes_options_shows_nobody_what_it_shows_to_people(make_config, protect):
    app = flask.Flask(__name__)
    app.add_url_rule("/api", "api", xwms_auth.flask.login_required(lambda: SECRET), methods=["GET", "OPTIONS"])
    app.add_url_rule("/plain", "plain", lambda: SECRET, methods=["GET", "OPTIONS"])
    client = flask_client(app, make_config(protect=protect), cors="none")
    for path in ("/api", "/plain") if protect == "all" else ("/api",):
        answer = client.options(path, headers=PREFLIGHT)
        assert (answer.status_code, SECRET in answer.text) == (401, False), path


@pytest.mark.parametrize("cors", ["before", "after"])
def test_everything_protected_in_flask_lets_preflights_pass_and_the_refusal_be_read(make_config, cors):
    app = flask.Flask(__name__)
    app.add_url_rule("/api", "api", lambda: SECRET)
    client = flask_client(app, make_config(protect="all"), cors=cors)
    assert_passes(client)
    assert client.options("/nothing", headers=PREFLIGHT).status_code == 401
    assert client.options("/api", headers={"Origin": FRONT}).status_code == 401


def test_an_after_request_function_that_relies_on_another_one_does_not_break_the_refusal(make_config):
    """It runs for Flask-CORS, although no `before_request` function of the application has."""
    app = flask.Flask(__name__)
    app.add_url_rule("/api", "api", lambda: SECRET)
    app.before_request(lambda: setattr(flask.g, "start", 0))
    app.after_request(lambda response: response if flask.g.start == 0 else None)
    client = flask_client(app, make_config(protect="all"), cors="none")
    assert client.get("/api", headers=CALL).json()["code"] == "login_required"


def test_an_application_that_is_mounted_inside_is_no_part_of_what_flask_would_answer(make_config):
    app = flask.Flask(__name__)
    app.add_url_rule("/<path:path>", "any", lambda path: SECRET)
    inner, mounted = app.wsgi_app, lambda environ, start: (start("200 OK", []), [SECRET.encode()])[1]
    app.wsgi_app = lambda environ, start: (mounted if environ["PATH_INFO"] == "/shop" else inner)(environ, start)
    client = flask_client(app, make_config(protect="all"), cors="none")
    assert client.options("/shop", headers=PREFLIGHT).status_code == 401


# --- ASGI ---


def starlette_app() -> Starlette:
    @xwms_auth.starlette.login_required
    async def api(request: Request) -> PlainTextResponse:
        return PlainTextResponse(SECRET)

    async def required(request: Request) -> PlainTextResponse:
        return PlainTextResponse(SECRET + xwms_auth.starlette.require_user(request).sub)

    return Starlette(routes=[Route("/api", api), Route("/required", required)])


def fastapi_app() -> FastAPI:
    app = FastAPI()
    router = APIRouter(dependencies=[Depends(xwms_auth.fastapi.require_user)])
    router.add_api_route("/api", lambda: SECRET)
    router.add_api_route("/required", lambda: SECRET)
    app.include_router(router)
    return app


@pytest.mark.parametrize("make_app", [starlette_app, fastapi_app])
@pytest.mark.parametrize("protect", ["all", "marked"])
def test_outside_of_the_login_cors_middleware_answers_all_preflights_and_lets_a_401_be_read(
    make_config, make_app, protect
):
    app = make_app()
    app.add_middleware(xwms_auth.starlette.XWMSAuthMiddleware, config=make_config(protect=protect))
    app.add_middleware(CORSMiddleware, allow_origins=[FRONT], allow_credentials=True)
    client = asgi_client(app)
    assert_passes(client)
    assert_passes(client, "/required")


@pytest.mark.parametrize("make_app", [starlette_app, fastapi_app])
@pytest.mark.parametrize("wrapped", [False, True])
def test_inside_of_the_login_cors_middleware_still_answers_all_preflights(make_config, make_app, wrapped):
    """But it does not see a refusal of the middleware itself, so a page of another origin cannot read that."""
    app, config = make_app(), make_config(protect="all")
    app.add_middleware(CORSMiddleware, allow_origins=[FRONT], allow_credentials=True)
    if wrapped:
        app = xwms_auth.starlette.XWMSAuthMiddleware(app, config)
    else:
        app.add_middleware(xwms_auth.starlette.XWMSAuthMiddleware, config=config)
    client = asgi_client(app)
    allowed, refused = client.options("/api", headers=PREFLIGHT), client.get("/api", headers=CALL)
    assert (allowed.status_code, readable(allowed)) == (200, True)
    assert (refused.status_code, readable(refused)) == (401, False)


def test_without_cors_middleware_everything_protected_stays_so(make_config):
    app = Starlette(routes=[Route("/api", lambda request: PlainTextResponse(SECRET), methods=["GET", "OPTIONS"])])
    client = TestClient(xwms_auth.starlette.XWMSAuthMiddleware(app, make_config(protect="all")))
    answer = client.options("/api", headers=PREFLIGHT)
    assert (answer.status_code, SECRET in answer.text) == (401, False)


def test_the_applications_own_answers_to_options_pass_and_what_takes_options_besides_does_not(make_config):
    @xwms_auth.starlette.login_required
    class Endpoint(HTTPEndpoint):
        async def get(self, request: Request) -> PlainTextResponse:
            return PlainTextResponse(SECRET)

        async def options(self, request: Request) -> PlainTextResponse:
            return PlainTextResponse("")

    app = FastAPI(routes=[Route("/endpoint", Endpoint)])
    router = APIRouter(dependencies=[Depends(xwms_auth.fastapi.require_user)])
    router.add_api_route("/own", lambda: "", methods=["OPTIONS"])
    router.add_api_route("/both", lambda: SECRET, methods=["GET", "OPTIONS"])
    app.include_router(router)
    app.add_middleware(xwms_auth.starlette.XWMSAuthMiddleware, config=make_config())
    client = asgi_client(app)
    for path, status in (("/endpoint", 200), ("/own", 200), ("/both", 401)):
        assert client.options(path, headers=PREFLIGHT).status_code == status, path
        assert client.options(path, headers={"Origin": FRONT}).status_code == 401, path


# --- What may run for a preflight that is no answer to OPTIONS ---

OVERRIDE = "X-HTTP-Method-Override"


class OverridingRequest(flask.Request):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.method = self.headers.get(OVERRIDE, self.method)


class OverridingFlask(flask.Flask):
    def wsgi_app(self, environ: Any, start_response: Any) -> Any:
        environ["REQUEST_METHOD"] = environ.get("HTTP_X_HTTP_METHOD_OVERRIDE", environ["REQUEST_METHOD"])
        return super().wsgi_app(environ, start_response)


def override_in_flask() -> None:
    flask.request.method = flask.request.headers.get(OVERRIDE, flask.request.method)


def answers_from_a_cache(view: Any) -> Any:
    return functools.wraps(view)(lambda **_: SECRET)


Build = Callable[[Callable[..., XWMSConfig]], Any]
"""Makes the client of an application whose `/api` is guarded."""


def in_flask(
    *before: Any, guard: str = "all", make: type[flask.Flask] = flask.Flask, request: Any = flask.Request
) -> Build:
    """These functions are in `before_request`, after the guard if that is there too."""

    def build(make_config: Callable[..., XWMSConfig]) -> httpx2.Client:
        app, view = make(__name__), lambda: SECRET
        app.request_class = request
        if guard == "before_request":
            guard_in_before_request(app)
        for function in before:
            app.before_request(function)
        guarded = xwms_auth.flask.login_required(view) if guard == "view" else view
        app.add_url_rule("/api", "api", guarded, methods=["GET", "DELETE"])
        return flask_client(app, make_config(protect="all" if guard == "all" else "marked"))

    return build


def in_method_view(*decorators: Any, **members: Any) -> Build:
    def build(make_config: Callable[..., XWMSConfig]) -> httpx2.Client:
        app = flask.Flask(__name__)
        view = type("View", (with_options(*decorators, xwms_auth.flask.login_required),), members)
        app.add_url_rule("/api", view_func=view.as_view("api"))
        return flask_client(app, make_config())

    return build


def options(_view: MethodView) -> str:
    return SECRET + xwms_auth.flask.require_user().sub


async def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse(SECRET)


async def override(request: Request, call_next: Any) -> Any:
    request.scope["method"] = request.headers.get(OVERRIDE, request.method)
    return await call_next(request)


async def answer_from_a_cache(request: Request, call_next: Any) -> PlainTextResponse:
    return PlainTextResponse(SECRET)


def outside_of_cors(dispatch: Any, *, wrapped: bool, make: Any = Starlette) -> Build:
    """The function is a middleware between the login and `CORSMiddleware`."""

    def build(make_config: Callable[..., XWMSConfig]) -> TestClient:
        config = make_config(protect="all")
        login = [] if wrapped else [Middleware(xwms_auth.starlette.XWMSAuthMiddleware, config=config)]
        between = Middleware(BaseHTTPMiddleware, dispatch=dispatch)
        cors = Middleware(CORSMiddleware, allow_origins=[FRONT])
        app = make(routes=[Route("/api", page, methods=["GET", "DELETE"])], middleware=[*login, between, cors])
        return asgi_client(xwms_auth.starlette.XWMSAuthMiddleware(app, config) if wrapped else app)

    return build


class GuardedEndpoint(HTTPEndpoint):
    async def get(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse(SECRET)


class EndpointWithOwnDispatch(GuardedEndpoint):
    async def options(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse("")

    async def dispatch(self) -> None:
        await PlainTextResponse(SECRET)(self.scope, self.receive, self.send)


class EndpointWhoseOptionsIsGet(GuardedEndpoint):
    options = GuardedEndpoint.get


def as_endpoint(endpoint: Any) -> Build:
    def build(make_config: Callable[..., XWMSConfig]) -> TestClient:
        app = Starlette(routes=[Route("/api", xwms_auth.starlette.login_required(endpoint))])
        return asgi_client(xwms_auth.starlette.XWMSAuthMiddleware(app, make_config()))

    return build


def one_function_at_two_routes(make_config: Callable[..., XWMSConfig]) -> TestClient:
    app, router = FastAPI(), APIRouter(dependencies=[Depends(xwms_auth.fastapi.require_user)])
    router.options("/api")(router.get("/api")(lambda: SECRET))
    app.include_router(router)
    app.add_middleware(xwms_auth.starlette.XWMSAuthMiddleware, config=make_config())
    return asgi_client(app)


@pytest.mark.parametrize(
    "build",
    {
        "flask: request class, guarded view": in_flask(guard="view", request=OverridingRequest),
        "flask: request class, all": in_flask(request=OverridingRequest),
        "flask: before_request changes the method, guarded view": in_flask(override_in_flask, guard="view"),
        "flask: before_request changes the method, all": in_flask(override_in_flask),
        "flask: wsgi_app changes the method": in_flask(make=OverridingFlask),
        "flask: before_request answers": in_flask(lambda: SECRET),
        "flask: before_request changes the method after the guard": in_flask(override_in_flask, guard="before_request"),
        "flask: before_request answers after the guard": in_flask(lambda: SECRET, guard="before_request"),
        "flask: dispatch_request of its own": in_method_view(dispatch_request=lambda _view: SECRET),
        "flask: options is get": in_method_view(options=with_options().get),
        "flask: options requires the user": in_method_view(options=options),
        "flask: a decorator answers": in_method_view(answers_from_a_cache),
        "starlette: changes the method, wrapped": outside_of_cors(override, wrapped=True),
        "starlette: changes the method": outside_of_cors(override, wrapped=False),
        "starlette: answers, wrapped": outside_of_cors(answer_from_a_cache, wrapped=True),
        "fastapi: changes the method": outside_of_cors(override, wrapped=False, make=FastAPI),
        "fastapi: answers": outside_of_cors(answer_from_a_cache, wrapped=False, make=FastAPI),
        "starlette: dispatch of its own": as_endpoint(EndpointWithOwnDispatch),
        "starlette: options is get": as_endpoint(EndpointWhoseOptionsIsGet),
        "fastapi: one function at two routes": one_function_at_two_routes,
    }.items(),
    ids=lambda case: case[0],
)
def test_nothing_but_an_answer_to_options_runs_for_a_preflight(make_config, build):
    client = build[1](make_config)
    for overridden in ({}, {OVERRIDE: "GET"}, {OVERRIDE: "DELETE"}):
        assert SECRET not in client.options("/api", headers={**PREFLIGHT, **overridden}).text
    assert client.get("/api", headers=CALL).status_code == 401
