"""What is each framework's own about access tokens: views and endpoints of every kind, websockets, OpenAPI, start."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import flask
import httpx2
import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from flask.views import MethodView
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

import xwms_auth
import xwms_auth.fastapi
import xwms_auth.flask
import xwms_auth.starlette
from tests.oauth2.steps import code_of
from tests.tools.site import HTTPS_URI
from xwms_auth import AccessToken, ConfigError, XWMSConfig
from xwms_auth.fastapi import BearerToken, bearer_token
from xwms_auth.starlette import XWMSAuthMiddleware

ORIGIN = "https://app.example"
SIGN_TOKEN = {
    "client_id": "id",
    "client_secret": "secret",
    "redirect_uris": HTTPS_URI,
    "session_secret": "r7Qw2mZx9KfT4vLbN6cYpHs1JdGe8Ua3",
}


@pytest.fixture
def config(server):
    return XWMSConfig(**server.options(redirect_uris=HTTPS_URI))


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


# --- Flask ---


def flask_client(app):
    return httpx2.Client(transport=httpx2.WSGITransport(app), base_url=ORIGIN)


def test_flasks_views_of_every_kind(server, config):
    from xwms_auth.flask import current_token, login_required, token_required

    app = flask.Flask(__name__)

    class Page(MethodView):
        decorators = [token_required(scopes=["read"])]

        def get(self, number):
            return f"{number} {current_token.client_id}"

        def post(self, number):
            flask.abort(409)

    @app.get("/stream")
    @token_required
    def stream():
        return flask.stream_with_context(iter(["a ", f"{current_token.sub}"]))

    @app.get("/both")
    @login_required
    @token_required
    def both():
        return "both"

    @app.get("/open")
    def unguarded():
        return f"{current_token.sub}"

    app.add_url_rule("/page/<int:number>", view_func=Page.as_view("page"))
    xwms_auth.flask.XWMSAuth(app, config)
    app.testing = True
    client, token = flask_client(app), server.give()
    assert client.get("/page/5", headers=bearer(token)).text == "5 fx-client"
    assert code_of(client.get("/page/5")) == (401, "token_required")
    conflict = client.post("/page/5", headers=bearer(token))
    assert (conflict.status_code, conflict.headers["vary"]) == (409, "Authorization")
    streamed = client.get("/stream", headers=bearer(token))
    assert (streamed.text, streamed.headers["cache-control"]) == ("a xwms-user-1234", "private, no-store")
    assert code_of(client.get("/both", headers=bearer(token))) == (401, "login_required")
    with pytest.raises(RuntimeError, match="without token_required"):
        client.get("/open", headers=bearer(token))


def test_a_flask_application_without_xwms_auth_says_so():
    app = flask.Flask(__name__)
    app.testing = True
    app.add_url_rule("/", "x", xwms_auth.flask.token_required(lambda: "x"))
    with pytest.raises(RuntimeError, match="no XWMSAuth"):
        flask_client(app).get("/")


# --- ASGI ---


def asgi_client(app):
    return TestClient(app, base_url=ORIGIN, follow_redirects=False)


def rooms():
    @xwms_auth.starlette.token_required(scopes=["read"])
    async def room(websocket):
        await websocket.accept()
        await websocket.send_text(f"{websocket.auth.token.sub}")
        await websocket.close()

    @xwms_auth.starlette.token_required(scopes=["read"])
    class Room(WebSocketEndpoint):
        async def on_connect(self, websocket):
            await websocket.accept()
            await websocket.send_text(f"{xwms_auth.starlette.current_token(websocket).sub}")
            await websocket.close()

    fast = FastAPI()

    @fast.websocket("/ws")
    async def fast_room(websocket: WebSocket, token: Annotated[AccessToken, bearer_token(scopes=["read"])]):
        await websocket.accept()
        await websocket.send_text(f"{token.sub}")
        await websocket.close()

    routes = [WebSocketRoute("/function", room), WebSocketRoute("/class", Room), Mount("/fast", fast)]
    return Starlette(routes=routes)


@pytest.mark.parametrize("path", ["/function", "/class", "/fast/ws"])
def test_a_websocket_is_opened_with_a_token_and_refused_without(server, config, path):
    client = asgi_client(XWMSAuthMiddleware(rooms(), config))
    with client.websocket_connect(path, headers=bearer(server.give())) as socket:
        assert socket.receive_text() == "xwms-user-1234"
    for headers, code in (
        ({}, "token_required"),
        (bearer("a b"), "invalid_bearer_request"),
        (bearer("junk"), "invalid_token"),
        (bearer(server.give(scope="write")), "insufficient_scope"),
    ):
        with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect(path, headers=headers):
            pass
        assert (refused.value.code, refused.value.reason) == (1008, code)


def test_a_stream_is_marked_too_and_the_token_is_gone_with_the_request(server, config):
    kept = []

    @xwms_auth.starlette.token_required
    async def stream(request):
        kept.append(xwms_auth.starlette.current_token(request))

        async def pieces():
            yield "a "
            yield f"{xwms_auth.starlette.current_token.sub}"

        return StreamingResponse(pieces())

    async def unguarded(request):
        assert request.auth.token is None
        return PlainTextResponse(f"{xwms_auth.starlette.current_token.sub}")

    app = Starlette(routes=[Route("/", stream), Route("/open", unguarded)])
    client = asgi_client(XWMSAuthMiddleware(app, config))
    answer = client.get("/", headers=bearer(server.give()))
    assert (answer.text, answer.headers["vary"]) == ("a xwms-user-1234", "Authorization")
    assert kept[0].sub == "xwms-user-1234"
    with pytest.raises(RuntimeError, match="outside a request"):
        xwms_auth.starlette.current_token.sub  # noqa: B018
    with pytest.raises(RuntimeError, match="without token_required"):
        client.get("/open", headers=bearer(server.give()))


def test_openapi_names_the_scheme_and_the_scopes():
    app = FastAPI()

    @app.get("/any")
    def any_token(token: BearerToken) -> None: ...

    @app.get("/read")
    def read(token: Annotated[AccessToken, bearer_token(scopes=["read", "more"])]) -> None: ...

    document = app.openapi()
    (scheme,) = document["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert document["paths"]["/any"]["get"]["security"] == [{"Access token": []}]
    assert document["paths"]["/read"]["get"]["security"] == [{"Access token": ["read", "more"]}]


# --- at start ---


@pytest.mark.parametrize("guard", [xwms_auth.flask.token_required, xwms_auth.starlette.token_required, bearer_token])
def test_what_cannot_be_a_scope_is_said_when_it_is_written(guard):
    for scopes in (['rea"d'], ["read write"], [""], [5], "über", ["a\r\nX: y"], ["a\\b"]):
        with pytest.raises(ValueError, match="scope"):
            pytest.fail(f"{scopes!r} gave {guard(scopes=scopes)!r}")


def guarded_applications():
    @xwms_auth.starlette.token_required
    async def endpoint(request):
        raise AssertionError("not asked")

    @xwms_auth.starlette.token_required
    class Room(WebSocketEndpoint):
        pass

    fast, deep = FastAPI(), FastAPI()

    @fast.get("/")
    def one(token: BearerToken) -> None: ...

    def caller(token: Annotated[AccessToken, bearer_token(scopes="x")]) -> str:
        return token.client_id

    from fastapi import Depends

    @deep.get("/", dependencies=[Depends(caller)])
    def two() -> None: ...

    return {
        "a route": Starlette(routes=[Route("/", endpoint)]),
        "a websocket": Starlette(routes=[WebSocketRoute("/", Room)]),
        "mounted": Starlette(routes=[Mount("/a", routes=[Mount("/b", Starlette(routes=[Route("/", endpoint)]))])]),
        "fastapi": fast,
        "a dependency of a dependency": deep,
    }


def test_sign_token_has_no_access_tokens_and_an_asgi_application_that_needs_some_does_not_start(caplog):
    for name, app in guarded_applications().items():
        caplog.clear()
        with pytest.raises(ConfigError, match="XWMS_FLOW"):
            XWMSAuthMiddleware(app, XWMSConfig(**SIGN_TOKEN))
        assert "needs oauth2" in caplog.text, name


def test_so_too_where_the_middleware_is_inside_the_application():
    @xwms_auth.starlette.token_required
    async def endpoint(request):
        raise AssertionError("not asked")

    middleware = [Middleware(XWMSAuthMiddleware, XWMSConfig(**SIGN_TOKEN))]
    app = Starlette(routes=[Route("/", endpoint)], middleware=middleware)
    with pytest.raises(ConfigError, match="XWMS_FLOW"):
        asgi_client(app).get("/")


def test_sign_token_has_no_access_tokens_and_a_flask_application_that_needs_some_does_not_start():
    app = flask.Flask(__name__)
    app.add_url_rule("/", "x", xwms_auth.flask.token_required(lambda: "x"))
    with pytest.raises(ConfigError, match="XWMS_FLOW"):
        xwms_auth.flask.XWMSAuth(app, XWMSConfig(**SIGN_TOKEN))


def test_a_view_that_is_added_later_is_closed_and_the_log_says_why(caplog):
    app = flask.Flask(__name__)
    xwms_auth.flask.XWMSAuth(app, XWMSConfig(**SIGN_TOKEN))
    app.add_url_rule("/", "x", xwms_auth.flask.token_required(lambda: "x"))
    assert code_of(flask_client(app).get("/", headers=bearer("abc"))) == (500, "config")
    assert "XWMS_FLOW" in caplog.text


def test_applications_without_access_tokens_start_with_sign_token_and_load_nothing_of_authlib():
    code = """
import sys, flask, xwms_auth.flask, xwms_auth.starlette, xwms_auth.fastapi
from xwms_auth import XWMSConfig
config = XWMSConfig(client_id="id", client_secret="s", redirect_uris="https://app.example/cb",
                    session_secret="r7Qw2mZx9KfT4vLbN6cYpHs1JdGe8Ua3", api_url="http://127.0.0.1:9/api/")
xwms_auth.flask.XWMSAuth(flask.Flask("app"), config)
xwms_auth.starlette.XWMSAuthMiddleware(None, config)
print(sorted({m.partition('.')[0] for m in sys.modules} & {'authlib', 'joserfc'}))
"""
    root = Path(xwms_auth.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "[]"


def test_a_wrong_option_is_a_fault_that_names_it():
    for changes, named in (
        ({"token_validation": "jwt"}, "XWMS_AUDIENCE"),
        ({"token_validation": "none"}, "XWMS_TOKEN_VALIDATION"),
        ({"audience": 'a"b'}, "XWMS_AUDIENCE"),
        ({"audience": "a b"}, "XWMS_AUDIENCE"),
        ({"audience": ["https://api.example"]}, "XWMS_AUDIENCE"),
        ({"audience": "x" * 256}, "XWMS_AUDIENCE"),
    ):
        with pytest.raises(ConfigError, match=named):
            pytest.fail(f"{XWMSConfig(**SIGN_TOKEN, flow='oauth2', issuer='https://id.example.org', **changes)!r}")


def test_the_options_come_from_the_environment_and_are_no_fault_beside_sign_token():
    environ = {"XWMS_CLIENT_ID": "id", "XWMS_CLIENT_SECRET": "secret", "XWMS_REDIRECT_URI": HTTPS_URI}
    assert XWMSConfig.from_env({**environ, "XWMS_TOKEN_VALIDATION": "jwt"}).flow == "sign-token"
    oauth2 = {"XWMS_FLOW": "oauth2", "XWMS_ISSUER": "https://id.example.org", "XWMS_AUDIENCE": "https://api.example"}
    config = XWMSConfig.from_env({**environ, **oauth2, "XWMS_TOKEN_VALIDATION": "jwt"})
    assert (config.token_validation, config.audience) == ("jwt", "https://api.example")
    assert XWMSConfig.from_env({**environ, **oauth2}).token_validation == "introspection"


def test_a_router_that_is_included_needs_tokens_too(make_fx):
    """Told at the start: FastAPI keeps an included router as a router."""
    router, app = APIRouter(), FastAPI()

    @router.get("/api")
    async def api(token: BearerToken) -> str:
        return token.client_id

    app.include_router(router)
    with pytest.raises(ConfigError, match="oauth2"):
        XWMSAuthMiddleware(app, XWMSConfig(**make_fx().options()))
