"""`require`: a role in the application, a verified e-mail address, or one of a domain; on every door."""

from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any

import flask
import httpx2
import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from flask.views import MethodView
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

import xwms_auth.asgi
import xwms_auth.fastapi
import xwms_auth.flask
import xwms_auth.starlette
import xwms_auth.wsgi
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, HTTPS_URI, LOGIN, NAVIGATION, PROGRAM
from xwms_auth import NotAllowed, StoreUnavailable, User, XWMSConfig
from xwms_auth._core.responses.login_requirement import LoginRequirement, domain_of

ORIGIN = "https://app.example"
RULES: dict[str, dict[str, Any]] = {
    "/admin": {"role": "admin"},
    "/staff": {"role": ["editor", "admin"]},
    "/verified": {"verified_email": True},
    "/ours": {"domain": "example.org"},
    "/theirs": {"domain": ("partner.example", "Bücher.example.")},
    "/all": {"role": "admin", "domain": "example.org"},
}
Roles = Callable[[User], Any]


@pytest.fixture
def config(fx):
    return XWMSConfig(**fx.options(redirect_uris=HTTPS_URI))


def flask_app(config: XWMSConfig, **options: Any) -> Any:
    app = flask.Flask(__name__)
    for path, rule in RULES.items():
        guard = xwms_auth.flask.require(**rule)
        app.add_url_rule(path, path, guard(lambda: xwms_auth.flask.current_user.sub))

        async def view() -> str:
            return str(xwms_auth.flask.current_user.sub)

        app.add_url_rule(f"/async{path}", f"async{path}", guard(view))

        class View(MethodView):
            decorators = [guard]

            def get(self) -> str:
                return str(xwms_auth.flask.current_user.sub)

        app.add_url_rule(f"/class{path}", view_func=View.as_view(f"class{path}"))
    xwms_auth.flask.XWMSAuth(app, config, **options)
    return app


def starlette_app(config: XWMSConfig, **options: Any) -> Any:
    routes = []
    for path, rule in RULES.items():
        guard = xwms_auth.starlette.require(**rule)

        def plain(request: Request) -> PlainTextResponse:
            return PlainTextResponse(request.user.sub)

        async def asynchronous(request: Request) -> PlainTextResponse:
            return PlainTextResponse(request.user.sub)

        @guard
        class Endpoint(HTTPEndpoint):
            async def get(self, request: Request) -> PlainTextResponse:
                return PlainTextResponse(request.user.sub)

        routes += [Route(path, guard(plain)), Route(f"/async{path}", guard(asynchronous))]
        routes.append(Route(f"/class{path}", Endpoint))
    return xwms_auth.starlette.XWMSAuthMiddleware(Starlette(routes=routes), config, **options)


def fastapi_app(config: XWMSConfig, **options: Any) -> Any:
    app = FastAPI()
    for path, rule in RULES.items():
        dependency = xwms_auth.fastapi.require(**rule)

        async def page(user: Annotated[User, dependency]) -> str:
            return user.sub

        def plain(request: Request) -> str:
            return str(request.user.sub)

        part = APIRouter(dependencies=[dependency])
        part.add_api_route(f"/class{path}", plain)
        app.add_api_route(path, page)
        app.add_api_route(f"/async{path}", plain, dependencies=[dependency])
        app.include_router(part)
    app.add_middleware(xwms_auth.fastapi.XWMSAuthMiddleware, config=config, **options)
    return app


def asgi_app(config: XWMSConfig, **options: Any) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"].removeprefix("/async").removeprefix("/class")
        if await xwms_auth.asgi.refuse(scope, receive, send, **RULES[path]):
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["user"].sub.encode()})

    return xwms_auth.asgi.XWMSAuthMiddleware(app, config, **options)


def wsgi_app(config: XWMSConfig, **options: Any) -> Any:
    def page(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [str(xwms_auth.wsgi.current_user.sub).encode()]

    pages = {path: xwms_auth.wsgi.require(**rule)(page) for path, rule in RULES.items()}

    def app(environ: Any, start_response: Any) -> Any:
        path = environ["PATH_INFO"].removeprefix("/async").removeprefix("/class")
        return pages[path](environ, start_response)

    return xwms_auth.wsgi.XWMSAuth(app, config, **options)


APPS = {"flask": flask_app, "wsgi": wsgi_app, "starlette": starlette_app, "fastapi": fastapi_app, "asgi": asgi_app}


@pytest.fixture(params=APPS)
def door(request):
    return request.param


def client_of(app: Any, door: str) -> httpx2.Client:
    if door in ("flask", "wsgi"):
        return httpx2.Client(transport=httpx2.WSGITransport(app), base_url=ORIGIN)
    return TestClient(app, base_url=ORIGIN, follow_redirects=False)


def log_in(client: httpx2.Client, fx: Any, sub: str, **claims: object) -> None:
    location = client.get(LOGIN, headers=FROM_HERE).headers["location"]
    token = fx.approve(location.rpartition("/")[2], sub=sub, **claims)
    assert client.get(CALLBACK, params={"token": token}, headers=FROM_ELSEWHERE).status_code == 303


ROLES: dict[str, Any] = {"1": ["admin", "editor"], "2": {"editor"}, "3": (), "4": None, "5": "admin"}


def by_sub(user: User) -> Any:
    return ROLES[user.sub]


async def by_sub_later(user: User) -> Any:
    return ROLES[user.sub]


VERIFIED = {"email": "a@example.org", "email_verified": True}
PEOPLE: tuple[tuple[str, dict[str, object], set[str]], ...] = (
    ("1", VERIFIED, {"/admin", "/staff", "/verified", "/ours", "/all"}),
    ("2", {"email": "a@EXAMPLE.org", "email_verified": True}, {"/staff", "/verified", "/ours"}),
    ("3", {"email": "a@example.org", "email_verified": False}, set()),
    ("4", {"email": "a@xn--bcher-kva.example", "email_verified": True}, {"/verified", "/theirs"}),
    ("5", {"email": None, "email_verified": True}, {"/admin", "/staff"}),
    ("2", {"email": '"x@example.org"@evil.example', "email_verified": True}, {"/staff", "/verified"}),
    ("2", {"email": "a@sub.example.org", "email_verified": True}, {"/staff", "/verified"}),
    ("2", {"email": "a@example.org.evil.example", "email_verified": True}, {"/staff", "/verified"}),
    ("2", {"email": "a@notexample.org", "email_verified": True}, {"/staff", "/verified"}),
    ("2", {"email": "example.org", "email_verified": True}, {"/staff", "/verified"}),
)


@pytest.mark.parametrize("roles", [by_sub, by_sub_later], ids=["sync", "async"])
def test_whoever_has_it_gets_in_and_others_get_a_403(door, config, fx, roles):
    if door == "wsgi" and roles is by_sub_later:
        roles = by_sub  # WSGI has no event loop
    for sub, claims, allowed in PEOPLE:
        client = client_of(APPS[door](config, roles=roles), door)
        log_in(client, fx, sub, **claims)
        for path in RULES:
            for kind in ("", "/async", "/class"):
                answer = client.get(kind + path, headers=PROGRAM)
                if path in allowed:
                    assert (answer.status_code, answer.text.strip('"')) == (200, sub), (path, claims)
                else:
                    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed"), (path, claims)
                assert "private" in answer.headers["cache-control"] or "no-store" in answer.headers["cache-control"]


def test_a_person_in_a_browser_gets_a_page_that_says_so(door, config, fx):
    client = client_of(APPS[door](config, roles=by_sub), door)
    log_in(client, fx, "3")
    answer = client.get("/admin", headers=NAVIGATION)
    assert answer.status_code == 403
    assert "You may not see this page" in answer.text
    assert "/xwms/auth" not in answer.text  # another login of the same person does not help
    assert "admin" not in answer.text.replace("/admin", "")  # which role it is, is nobody's business


def test_nobody_is_asked_to_log_in(door, config):
    client = client_of(APPS[door](config, roles=by_sub), door)
    for path in RULES:
        answer = client.get(path, headers=NAVIGATION)
        assert (answer.status_code, answer.headers["location"]) == (302, f"/xwms/auth?next={path}")
        assert client.get(path, headers=PROGRAM).json()["code"] == "login_required"


def test_roles_are_asked_for_once_in_a_request_and_only_where_one_is_required(door, config, fx):
    asked: list[str] = []

    def roles(user: User) -> list[str]:
        asked.append(user.sub)
        return ["admin"]

    client = client_of(APPS[door](config, roles=roles), door)
    client.get("/admin", headers=PROGRAM)
    assert asked == []
    log_in(client, fx, "1", **VERIFIED)
    for path in ("/verified", "/ours"):
        assert client.get(path, headers=PROGRAM).status_code == 200
    assert asked == []
    assert client.get("/admin", headers=PROGRAM).status_code == 200
    assert asked == ["1"]
    assert client.get("/admin", headers=PROGRAM).status_code == 200
    assert asked == ["1", "1"]  # a role that was taken away is gone with the next request


def test_a_role_without_anything_that_knows_roles_is_a_fault_of_the_settings(door, config, fx, caplog):
    client = client_of(APPS[door](config), door)
    log_in(client, fx, "1", **VERIFIED)
    answer = client.get("/admin", headers=PROGRAM)
    assert (answer.status_code, answer.json()["code"]) == (500, "config")
    assert "roles=" in caplog.text
    assert client.get("/ours", headers=PROGRAM).status_code == 200


def test_an_error_of_the_application_lets_nobody_in(door, config, fx):
    def roles(user: User) -> list[str]:
        raise LookupError("the database of roles is down")

    client = client_of(APPS[door](config, roles=roles), door)
    log_in(client, fx, "1", **VERIFIED)
    with suppress(LookupError):  # the server's to answer, as any error of the application
        assert client.get("/admin", headers=PROGRAM).status_code == 500


@pytest.mark.parametrize(
    ("error", "answer"),
    [(NotAllowed("blocked"), (403, "not_allowed")), (StoreUnavailable("down"), (503, "store_unavailable"))],
    ids=["blocked", "down"],
)
def test_one_of_our_errors_in_the_roles_is_the_answer(door, config, fx, error, answer):
    def roles(user: User) -> list[str]:
        raise error

    client = client_of(APPS[door](config, roles=roles), door)
    log_in(client, fx, "1", **VERIFIED)
    for kind in ("", "/async", "/class"):
        got = client.get(f"{kind}/admin", headers=PROGRAM)
        assert (got.status_code, got.json()["code"]) == answer


def test_a_store_that_is_down_is_a_503(door, fx, tmp_path):
    folder = tmp_path / "sessions"
    folder.mkdir()
    config = XWMSConfig(**fx.options(redirect_uris=HTTPS_URI, session_store=f"sqlite:///{folder}/sessions.sqlite3"))
    client = client_of(APPS[door](config, roles=by_sub), door)
    log_in(client, fx, "1", **VERIFIED)
    folder.rename(tmp_path / "elsewhere")
    for path in RULES:
        answer = client.get(path, headers=PROGRAM)
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")


# --- websockets ---


def on_starlette(config: XWMSConfig) -> Any:
    @xwms_auth.starlette.require(role="admin")
    async def socket(websocket: Any) -> None:
        await websocket.accept()
        await websocket.send_text(websocket.user.sub)
        await websocket.close()

    app = Starlette(routes=[WebSocketRoute("/socket", socket)])
    return xwms_auth.starlette.XWMSAuthMiddleware(app, config, roles=by_sub)


def on_fastapi(config: XWMSConfig) -> Any:
    app = FastAPI()

    @app.websocket("/socket")
    async def socket(websocket: WebSocket, user: Annotated[User, xwms_auth.fastapi.require(role="admin")]) -> None:
        await websocket.accept()
        await websocket.send_text(user.sub)
        await websocket.close()

    app.add_middleware(xwms_auth.fastapi.XWMSAuthMiddleware, config=config, roles=by_sub_later)
    return app


@pytest.mark.parametrize("make", [on_starlette, on_fastapi])
def test_a_websocket_of_somebody_else_is_closed_with_1008(make, config, fx):
    for sub, allowed in (("1", True), ("3", False)):
        client = client_of(make(config), "starlette")
        log_in(client, fx, sub)
        if allowed:
            with client.websocket_connect("wss://app.example/socket") as socket:
                assert socket.receive_text() == sub
        else:
            with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect("wss://app.example/socket"):
                pytest.fail("accepted")
            assert (closed.value.code, closed.value.reason) == (1008, "not_allowed")


# --- what may be required ---


@pytest.mark.parametrize(
    "module", [xwms_auth.flask, xwms_auth.wsgi, xwms_auth.starlette, xwms_auth.fastapi], ids=lambda one: one.__name__
)
def test_what_requires_nothing_or_no_domain_is_refused_where_it_is_written(module):
    for wrong in ({}, {"role": ()}, {"verified_email": False}):
        with pytest.raises(ValueError, match="require needs"):
            module.require(**wrong)
    for domain in (
        "",
        "@example.org",
        "a@example.org",
        "*.example.org",
        "localhost",
        "example",
        "exa mple.org",
        "x..y",
    ):
        with pytest.raises(ValueError, match="is not a domain"):
            module.require(domain=domain)


def test_the_domain_of_an_address():
    for address, domain in {
        "a@example.org": "example.org",
        "a@EXAMPLE.ORG.": "example.org",
        "a@bücher.example": "xn--bcher-kva.example",
        '"a@b"@example.org': None,  # read in several ways
        "a@b, c@example.org": None,
        "a@stra\u00dfe.example": None,  # another domain than strasse.example today
        "a@": None,
        "example.org": None,
        "a@[192.0.2.1]": None,
        "a@localhost": None,
        "a@exam ple.org": None,
        "a@\x00.org": None,
    }.items():
        assert domain_of(address) == domain, address


def test_verified_email_comes_with_a_domain():
    """Account takeover: an address that nobody has verified proves nothing."""
    requirement = LoginRequirement.of_person(domain="example.org")
    user = User(issuer="https://xwms.nl", sub="1", email="a@example.org")
    assert not requirement.is_met_by(user)
