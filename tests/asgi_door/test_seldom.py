"""What seldom comes: endpoints that cannot be guarded, forms in pieces, and visitors who leave in the middle of one."""

import anyio
import pytest
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from tests.tools.site import FROM_HERE, HTTPS_URI, LOGOUT, PROGRAM, Site
from xwms_auth import StoreUnavailable
from xwms_auth.starlette import XWMSAuthMiddleware, current_user, login_required, passive
from xwms_auth.stores import SessionStore
from xwms_auth.stores.memory import MemoryStore


@pytest.fixture
def edge():
    return "asgi"


def test_a_guarded_endpoint_has_to_get_the_request():
    @login_required
    async def page(number):
        return PlainTextResponse(str(number))

    with pytest.raises(TypeError, match="request or"):
        anyio.run(page, 7)


def test_a_guarded_class_has_to_be_an_endpoint():
    with pytest.raises(TypeError, match="Endpoint"):

        @login_required
        class Page:
            pass


def test_a_class_may_look_without_renewing_and_so_may_a_function_outside_of_requests(site):
    @passive
    class Poll(HTTPEndpoint):
        async def get(self, request):
            return PlainTextResponse(current_user.sub or "nobody")

    @passive
    def nobody():
        return current_user.sub

    assert nobody() is None
    site.app = XWMSAuthMiddleware(Starlette(routes=[Route("/poll", Poll)]), site.config, clock=site.clock)
    browser = site.browser()
    browser.log_in("1001")
    site.clock.advance(3600)
    polled = browser.get("/poll")
    assert polled.text == "1001"
    assert "set-cookie" not in polled.headers


def test_an_answer_of_the_applications_own_may_be_awaited(site):
    async def unauthorized(request, problem):
        return PlainTextResponse(f"{request.url.path}: {problem['code']}", 401)

    @login_required
    async def page(request):
        return PlainTextResponse("in")

    inner = Starlette(routes=[Route("/page", page)])
    site.app = XWMSAuthMiddleware(inner, site.config, clock=site.clock, unauthorized=unauthorized)
    answer = site.browser().get("/page", PROGRAM)
    assert (answer.status_code, answer.text) == (401, "/page: login_required")


def posted(app, *messages):
    """The status of a logout whose form comes in these messages."""
    headers = {**FROM_HERE, "Host": "app.example", "Content-Type": "application/x-www-form-urlencoded"}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": LOGOUT,
        "raw_path": LOGOUT.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    waiting, sent = list(messages), []

    async def receive():
        return waiting.pop(0)

    async def send(message):
        sent.append(message)

    anyio.run(app, scope, receive, send)
    return sent[0]["status"]


def test_a_form_may_come_in_pieces_and_its_visitor_may_leave(site):
    piece = {"type": "http.request", "body": b"csrf_", "more_body": True}
    rest = {"type": "http.request", "body": b"token=x", "more_body": False}
    assert posted(site.app, piece, rest) == 303
    assert posted(site.app, piece, {"type": "http.disconnect"}) == 303


class Down(MemoryStore):
    def load(self, handle, *, now):
        raise StoreUnavailable("switched off")


def test_a_middleware_inside_another_says_that_the_store_is_down_too(site, edge, fx):
    async def page(request):
        return PlainTextResponse(current_user.sub or "nobody")

    assert isinstance(Down(), SessionStore)
    outer = Site(edge, fx, session_store=Down(), redirect_uris=HTTPS_URI)
    inner = XWMSAuthMiddleware(Starlette(routes=[Route("/page", page)]), outer.config, clock=outer.clock)
    app = XWMSAuthMiddleware(Starlette(routes=[Mount("/in", inner)]), outer.config, clock=outer.clock)
    with TestClient(app, base_url="https://app.example") as client:
        name = outer.session_cookie
        answer = client.get("/in/page", headers={**PROGRAM, "Cookie": f"{name}=whatever"})
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
