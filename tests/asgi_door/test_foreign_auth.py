"""Another middleware that says who is there: Starlette's `AuthenticationMiddleware`, inside ours.

It puts its own `scope["auth"]` and `scope["user"]` in the place of ours, and its backend reads the headers, for which
Starlette puts a new list of them into the scope.
"""

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from tests.tools.session_pages import enter
from tests.tools.site import HTTPS_URI, PROGRAM
from xwms_auth import XWMSConfig
from xwms_auth.starlette import XWMSAuthMiddleware, current_user, login_required

SUB = "1001"


@pytest.fixture
def edge() -> str:
    return "asgi"


class ByKey(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser] | None:
        return (AuthCredentials(["key"]), SimpleUser("machine")) if "x-key" in conn.headers else None


def with_a_copy(app: Any) -> Any:
    """The application, which is given a copy of the scope."""

    async def called(scope: Any, receive: Any, send: Any) -> None:
        await app(dict(scope), receive, send)

    return called


@login_required
async def page(request: Request) -> Response:
    return PlainTextResponse(f"{current_user(request).sub} {current_user.sub} {request.user.display_name}")


@login_required
async def talk(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(f"{current_user(websocket).sub}")
    await websocket.close()


PAGES = Starlette(routes=[Route("/page", page), WebSocketRoute("/ws", talk)])


@pytest.mark.parametrize("between", [lambda app: app, with_a_copy])
def test_a_guard_inside_another_authentication_still_knows_who_is_there(site, between):
    app = between(AuthenticationMiddleware(PAGES, backend=ByKey()))
    site.app = XWMSAuthMiddleware(app, site.config, clock=site.clock)
    browser = site.browser()
    assert browser.get("/page", PROGRAM).json()["code"] == "login_required"
    assert enter(browser, "/ws") == "1008"
    browser.log_in(SUB)
    assert browser.get("/page", {**PROGRAM, "X-Key": "k"}).text == f"{SUB} {SUB} machine"
    assert enter(browser, "/ws") == SUB


@pytest.mark.parametrize("between", [lambda app: app, with_a_copy])
def test_sm_02_one_client_around_and_inside_another_authentication_is_one(site, between):
    """SM-02: a session that ends by the inner limits is not there for the outer one either."""
    inner = XWMSConfig(**site.fx.options(redirect_uris=HTTPS_URI, protect="all", session_lifetime=3600))
    app = between(AuthenticationMiddleware(XWMSAuthMiddleware(PAGES, inner, clock=site.clock), backend=ByKey()))
    site.app = XWMSAuthMiddleware(app, site.config, clock=site.clock)
    browser = site.browser()
    browser.log_in(SUB)
    answer = browser.get("/page", PROGRAM)
    assert answer.text.startswith(f"{SUB} {SUB}")
    assert answer.headers.get_list("vary") == ["Cookie"]
    site.clock.advance(3600)
    assert browser.get("/page", PROGRAM).status_code == 401


def test_a_request_made_inside_another_one_is_its_own(site):
    """Mixed up people: it has equal headers, and is asked for itself."""
    alone = Starlette(routes=[Route("/page", page)])

    async def ask(request: Request) -> Response:
        assert current_user.sub == SUB
        with TestClient(alone, raise_server_exceptions=False, headers=dict(request.headers)) as client:
            return PlainTextResponse(str(client.get("/page").status_code))

    site.app = XWMSAuthMiddleware(Starlette(routes=[Route("/ask", ask)]), site.config, clock=site.clock)
    browser = site.browser()
    browser.log_in(SUB)
    assert browser.get("/ask").text == "500", "no middleware of ours is around it"
