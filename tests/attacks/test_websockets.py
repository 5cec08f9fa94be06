"""HP-12: websockets and the lifespan, which pass an ASGI middleware beside http.

Flask has neither.
"""

from contextlib import asynccontextmanager
from itertools import product
from typing import Any

from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.attacks.real_servers import listening
from tests.corpus.tokens import PLAUSIBLE
from tests.tools.fake_xwms import FakeXWMS
from tests.tools.site import CALLBACK, LOGIN, Site
from xwms_auth import XWMSConfig
from xwms_auth.starlette import XWMSAuthMiddleware, login_required

GUARDED = {"protect": "all", "public": ("/public", "/static/*")}
SESSION = "__Host-xwms_session_rooms"


def cookie_of_somebody(fx: FakeXWMS) -> str:
    """The Cookie header of somebody who has just logged in."""
    browser = Site("asgi", fx, cookie_tag="rooms").browser()
    browser.log_in()
    return f"{SESSION}={browser.cookies()[SESSION]}"


class Rooms:
    """An ASGI application with three websockets, which counts who came in, and a lifespan."""

    def __init__(self, fx: FakeXWMS, **options: Any) -> None:
        rooms = self
        self.entered = 0
        self.lived: list[str] = []

        async def open_room(websocket: WebSocket) -> None:
            rooms.entered += 1
            await websocket.accept()
            await websocket.send_text(str(websocket.user.is_authenticated))
            await websocket.close()

        class ClosedRoom(WebSocketEndpoint):
            async def on_connect(self, websocket: WebSocket) -> None:
                await open_room(websocket)

        @asynccontextmanager
        async def lifespan(app: Starlette) -> Any:
            rooms.lived.append("startup")
            yield {"state": "kept"}
            rooms.lived.append("shutdown")

        routes = [WebSocketRoute("/open", open_room), WebSocketRoute("/guarded", login_required(open_room))]
        routes += [WebSocketRoute("/class", login_required(ClosedRoom)), WebSocketRoute(CALLBACK, open_room)]
        options = {"redirect_uris": "https://app.example/xwms/validateToken", "cookie_tag": "rooms", **options}
        app = Starlette(routes=routes, lifespan=lifespan)
        self.app = XWMSAuthMiddleware(app, XWMSConfig(**fx.options(**options)))

    def enter(self, path: str, *, host: str = "app.example", **headers: str) -> str:
        """What the room says, or how the handshake was refused."""
        client = TestClient(self.app, base_url=f"https://{host}")
        try:
            with client.websocket_connect(f"wss://{host}{path}", headers=headers) as room:
                return room.receive_text()
        except WebSocketDisconnect as refused:
            return f"{refused.code} {refused.reason}"


def test_hp_12_a_guarded_websocket_refuses_the_handshake_of_nobody(make_fx):
    """HP-12: with 1008, before a line of the application has run."""
    rooms = Rooms(make_fx())
    cookies = ("", f"{SESSION}=", f"{SESSION}=forged", f"{SESSION}=a; {SESSION}=a", "other=a")
    for path, cookie in product(("/guarded", "/class"), cookies):
        refused = rooms.enter(path, cookie=cookie, origin="https://app.example")
        assert refused == "1008 login_required", (path, cookie)
        assert rooms.entered == 0, (path, cookie)


def test_hp_12_where_all_is_protected_so_is_every_websocket(make_fx):
    """HP-12: the routes of ours among them, which are for http only."""
    fx = make_fx()
    rooms = Rooms(fx, **GUARDED)
    for path in ("/open", "/guarded", "/nowhere", "/static/../open", "//open", CALLBACK, LOGIN):
        assert rooms.enter(path) == "1008 login_required", path
        assert rooms.enter(f"{path}?token={PLAUSIBLE}&x=/public") == "1008 login_required", path
        assert (rooms.entered, fx.requests) == (0, []), path


def test_hp_12_somebody_signed_in_comes_in(make_fx):
    """HP-12: the tables around this one refuse for the right reason."""
    fx = make_fx()
    cookie = cookie_of_somebody(fx)
    rooms = Rooms(fx)
    assert rooms.enter("/open") == "False"
    for path in ("/open", "/guarded", "/class"):
        assert rooms.enter(path, cookie=cookie, origin="https://app.example") == "True"
        assert rooms.enter(path, cookie=cookie) == "True"  # no browser: those always name their page


FOREIGN = (
    "https://evil.example",
    "http://app.example",
    "https://app.example:8443",
    "https://app.example.evil.example",
    "https://sub.app.example",
    "https://app.example/",
    "https://APP.example",
    "https://app.example, https://evil.example",
    "null",
    "",
    "wss://app.example",
    "file://",
    "\xe9",
)


def test_hp_12_a_page_of_another_origin_cannot_open_a_websocket(make_fx):
    """HP-12: cookies travel with it, so it is refused before the application runs, guarded or not."""
    fx = make_fx()
    rooms = Rooms(fx)
    cookie = cookie_of_somebody(fx)
    for path, origin in product(("/open", "/guarded", "/nowhere"), FOREIGN):
        sent: Any = origin.encode("latin-1")
        assert rooms.enter(path, cookie=cookie, origin=sent) == "1008 cross_site", (path, origin)
        assert rooms.entered == 0, (path, origin)


def test_hp_12_a_page_on_another_host_of_ours_cannot_open_a_websocket_either(make_fx):
    """HP-12: two hosts are two origins; SameSite does not keep a sibling's page from using our cookies."""
    fx = make_fx()
    rooms = Rooms(fx, redirect_uris=("https://one.app.example/cb", "https://two.app.example/cb"))
    assert rooms.enter("/open", host="one.app.example", origin="https://one.app.example") == "False"
    assert rooms.enter("/open", host="two.app.example", origin="https://one.app.example") == "1008 cross_site"
    assert rooms.enter("/open", host="evil.example", origin="https://one.app.example") == "1008 cross_site"
    assert rooms.entered == 1


def test_hp_12_over_a_real_server_a_refused_handshake_is_403(make_fx):
    """HP-12: what the server makes of a close before accept."""
    fx = make_fx()
    site = Site("asgi", fx, **GUARDED)
    upgrade = (b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13")
    upgrade = (*upgrade, b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    with listening(site) as line:
        for origin in (b"https://app.example", b"https://evil.example"):
            head = [b"GET /open HTTP/1.1", b"Host: app.example", *upgrade, b"Origin: " + origin, b"", b""]
            assert line.send(b"\r\n".join(head)).status == 403


def test_hp_12_the_lifespan_passes_through_untouched(make_fx):
    """HP-12: though all is protected."""
    rooms = Rooms(make_fx(), **GUARDED)
    with TestClient(rooms.app) as client:
        assert rooms.lived == ["startup"]
        assert client.app_state["state"] == "kept"
    assert rooms.lived == ["startup", "shutdown"]


def test_hp_12_a_page_of_a_trusted_origin_may_open_a_websocket_at_any_host_of_ours(make_fx):
    """HP-12: `trusted_origins` names other sites of the application, and nobody else."""
    fx = make_fx()
    uris = ("https://one.app.example/cb", "https://two.app.example/cb")
    rooms = Rooms(fx, redirect_uris=uris, trusted_origins="https://front.example")
    for host in ("one.app.example", "two.app.example"):
        assert rooms.enter("/open", host=host, origin="https://front.example") == "False"
        assert rooms.enter("/open", host=host, origin="https://front.example.evil.example") == "1008 cross_site"
    assert rooms.enter("/open", host="evil.example", origin="https://front.example") == "1008 cross_site"
