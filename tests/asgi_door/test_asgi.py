"""What is ASGI's own: Starlette's and FastAPI's endpoints, websockets, lifespan, `scope["user"]`."""

import json
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.templating import Jinja2Templates
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from tests.tools.fake_xwms import CANARY
from tests.tools.site import FROM_HERE, NAVIGATION, PROGRAM, log_in
from xwms_auth import ConfigError, User, XWMSConfig
from xwms_auth.asgi import XWMSAuthMiddleware
from xwms_auth.fastapi import CurrentUser, OptionalUser
from xwms_auth.starlette import current_user, login_required, template_context

ORIGIN = "https://app.example"


@pytest.fixture
def config(fx):
    return XWMSConfig(**fx.options(redirect_uris=f"{ORIGIN}/xwms/validateToken"))


def visit(app):
    return TestClient(app, base_url=ORIGIN, follow_redirects=False)


def starlette_app():
    @login_required
    class Endpoint(HTTPEndpoint):
        async def get(self, request):
            return PlainTextResponse(f"endpoint {request.user.sub}")

    @login_required
    class Socket(WebSocketEndpoint):
        async def on_connect(self, websocket):
            await websocket.accept()
            await websocket.send_text(f"socket {websocket.user.sub}")
            await websocket.close()

    @login_required()
    async def function(websocket):
        await websocket.accept()
        await websocket.send_text(f"function {websocket.user.sub}")
        await websocket.close()

    @login_required
    def plain(request):
        return PlainTextResponse(f"plain {current_user.sub} {current_user(request).sub}")

    @requires("authenticated")
    async def starlettes_own(request):
        return PlainTextResponse("requires")

    async def kinds(request):
        user = request.user
        return PlainTextResponse(f"{isinstance(user, User)} {user == current_user(request)} {hash(user) != 0} {user!r}")

    templates = Jinja2Templates(
        env=__import__("jinja2").Environment(autoescape=True), context_processors=[template_context]
    )
    page = templates.env.from_string(
        "{{ current_user.is_authenticated }}|{{ xwms_login_button(locale='de') }}|{{ xwms_logout_form() }}"
    )

    async def template(request):
        return PlainTextResponse(page.render(template_context(request)))

    return Starlette(
        routes=[
            Route("/endpoint", Endpoint),
            Route("/plain", plain),
            Route("/requires", starlettes_own),
            Route("/kinds", kinds),
            Route("/template", template),
            WebSocketRoute("/socket", Socket),
            WebSocketRoute("/function", function),
        ]
    )


def test_endpoints_of_every_kind_are_guarded(fx, config):
    client = visit(XWMSAuthMiddleware(starlette_app(), config))
    for path in ("/endpoint", "/plain"):
        assert client.get(path, headers=PROGRAM).status_code == 401
        assert client.get(path, headers=NAVIGATION).headers["location"] == f"/xwms/auth?next={path}"
    assert client.get("/requires").status_code == 403
    log_in(client, fx)
    assert client.get("/endpoint").text == "endpoint 17"
    assert client.get("/plain").text == "plain 17 17"
    assert client.get("/requires").text == "requires"


@pytest.mark.parametrize("path", ["/socket", "/function"])
def test_websockets_are_guarded(fx, config, path):
    client = visit(XWMSAuthMiddleware(starlette_app(), config))
    with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect(f"wss://app.example{path}"):
        pass
    assert (refused.value.code, refused.value.reason) == (1008, "login_required")
    log_in(client, fx)
    with client.websocket_connect(f"wss://app.example{path}") as socket:
        assert socket.receive_text() == f"{path[1:]} 17"


def test_the_user_in_the_scope_behaves_as_a_user(fx, config):
    client = visit(XWMSAuthMiddleware(starlette_app(), config))
    assert client.get("/kinds").text.startswith("False True True Anonymous(")
    log_in(client, fx)
    assert client.get("/kinds").text.startswith("True True True User(")


def test_templates_get_the_same_names_as_flasks(fx, config):
    who, button, form = visit(XWMSAuthMiddleware(starlette_app(), config)).get("/template").text.split("|")
    assert who == "False"
    assert 'action="/xwms/auth?next=/template"' in button
    assert "Mit XWMS anmelden" in button
    assert 'action="/xwms/logout"' in form


def fastapi_app(config):
    app = FastAPI()
    app.add_middleware(XWMSAuthMiddleware, config=config)
    called = []

    @app.get("/person")
    async def person(user: CurrentUser):
        called.append(user.sub)
        return {"sub": user.sub}

    @app.get("/maybe")
    def maybe(user: OptionalUser):
        return {"sub": user.sub if user else None}

    @app.websocket("/ws")
    async def ws(websocket: WebSocket, user: CurrentUser):
        await websocket.accept()
        await websocket.send_text(user.sub)
        await websocket.close()

    return app, called


def test_fastapis_dependencies_give_the_person_or_the_documented_refusal(fx, config):
    app, called = fastapi_app(config)
    client = visit(app)
    assert client.get("/maybe").json() == {"sub": None}
    problem = client.get("/person", headers=PROGRAM)
    assert problem.status_code == 401
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["code"] == "login_required"
    sent = client.get("/person?a=b", headers=NAVIGATION)
    assert (sent.status_code, sent.headers["location"], sent.content) == (302, "/xwms/auth?next=/person%3Fa%3Db", b"")
    assert called == []
    log_in(client, fx)
    assert client.get("/person").json() == {"sub": "17"}
    assert client.get("/maybe").json() == {"sub": "17"}
    assert client.get("/person").headers["cache-control"] == "private, no-store"


def test_fastapis_websockets_are_guarded(fx, config):
    client = visit(fastapi_app(config)[0])
    with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("wss://app.example/ws"):
        pass
    assert refused.value.code == 1008
    log_in(client, fx)
    with client.websocket_connect("wss://app.example/ws") as socket:
        assert socket.receive_text() == "17"


def test_openapi_says_how_to_be_somebody(config):
    spec = fastapi_app(config)[0].openapi()
    scheme = spec["components"]["securitySchemes"]["XWMS login"]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "cookie", "__Host-xwms_session_TAG")
    assert spec["paths"]["/person"]["get"]["security"] == [{"XWMS login": []}]


def test_se_14_openapi_says_nothing_that_is_secret(config):
    """SE-14"""
    app, _ = fastapi_app(config)
    told = json.dumps(app.openapi()) + visit(app).get("/openapi.json").text + visit(app).get("/docs").text
    assert [secret for secret in (CANARY, *(key.reveal() for key in config.session_keys)) if secret in told] == []


def test_a_lifespan_passes_through_and_connections_to_xwms_are_kept_under_it(fx, config):
    seen = []

    @asynccontextmanager
    async def lifespan(app):
        seen.append("up")
        yield
        seen.append("down")

    app = XWMSAuthMiddleware(Starlette(lifespan=lifespan, routes=[]), config)
    with visit(app) as client:
        log_in(client, fx)
        assert seen == ["up"]
    assert seen == ["up", "down"]
    assert fx.connections == 1
    log_in(visit(app), fx)
    assert fx.connections == 3


def test_a_mounted_application_has_its_prefix_in_its_addresses(fx):
    prefix = "/desk"
    config = XWMSConfig(
        **fx.options(
            redirect_uris=f"{ORIGIN}{prefix}/back",
            login_path=f"{prefix}/in",
            logout_path=f"{prefix}/out",
            me_path=f"{prefix}/me",
            after_login=f"{prefix}/endpoint",
            protect="all",
            public="/open",
        )
    )
    inner = XWMSAuthMiddleware(starlette_app(), config)
    client = visit(Starlette(routes=[Mount(prefix, app=inner)]))
    assert client.get(f"{prefix}/open").status_code == 404
    sent = client.get(f"{prefix}/endpoint", headers=NAVIGATION)
    assert sent.headers["location"] == f"{prefix}/in?next={prefix}/endpoint"
    location = client.get(f"{prefix}/in", headers=FROM_HERE).headers["location"]
    back = client.get(f"{prefix}/back", params={"token": fx.approve(location.rpartition("/")[2], sub="17")})
    assert back.headers["location"] == f"{prefix}/endpoint"
    assert client.get(f"{prefix}/endpoint").text == "endpoint 17"


def test_without_settings_the_middleware_says_all_that_is_missing(monkeypatch):
    for name in ("XWMS_CLIENT_ID", "XWMS_CLIENT_SECRET", "XWMS_REDIRECT_URI", "XWMS_SESSION_SECRET"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError) as caught:
        XWMSAuthMiddleware(starlette_app())
    told = "\n".join(caught.value.problems)
    assert all(name in told for name in ("client_id", "client_secret", "redirect_uris", "session_secret"))


def test_an_endpoint_without_the_middleware_is_a_wiring_mistake_that_is_told():
    with pytest.raises(RuntimeError, match="XWMSAuthMiddleware is not installed"):
        visit(starlette_app()).get("/plain")
