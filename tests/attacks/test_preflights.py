"""SM-17: CORS preflights pass every guard, what they pass to is an answer to OPTIONS only, and a 401 can be read."""

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


def guard_in_before_request(blueprint: flask.Blueprint) -> None:
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


def test_the_options_method_of_a_guarded_method_view_answers(make_config):
    app = flask.Flask(__name__)
    app.add_url_rule("/api", view_func=with_options(xwms_auth.flask.login_required).as_view("api"))
    client = flask_client(app, make_config())
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
    client = TestClient(app, base_url="https://app.example")
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
    client = TestClient(app, base_url="https://app.example")
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
    client = TestClient(app, base_url="https://app.example")
    for path, status in (("/endpoint", 200), ("/own", 200), ("/both", 401)):
        assert client.options(path, headers=PREFLIGHT).status_code == status, path
        assert client.options(path, headers={"Origin": FRONT}).status_code == 401, path
