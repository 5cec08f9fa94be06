"""An open websocket behind a guard is looked at again, and closed with 4401 when its session has ended."""

import asyncio
import gc
import time
import weakref
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import xwms_auth.asgi
import xwms_auth.fastapi
import xwms_auth.starlette
from tests.browser.servers import listener, port_of, serve_asgi
from tests.tools.clock import Clock
from tests.tools.fake_xwms import FakeXWMS
from tests.tools.site import FROM_HERE, HTTPS_URI, LOGOUT, log_in
from xwms_auth import StoreUnavailable, XWMSConfig
from xwms_auth.fastapi import CurrentUser, require_user
from xwms_auth.starlette import XWMSAuthMiddleware, login_required
from xwms_auth.stores import MemoryStore

ORIGIN = "https://app.example"
Ends = list[tuple[int, str]]


class Room:
    """An echo, which writes down how each socket ended, and what it could not send any more."""

    def __init__(self) -> None:
        self.ends: Ends = []
        self.heard: list[str] = []

    async def talk(self, socket: WebSocket) -> None:
        await socket.accept()
        try:
            while True:
                self.heard.append(await socket.receive_text())
                await socket.send_text(f"{self.heard[-1]} {socket.user.sub}")
        except WebSocketDisconnect as left:
            self.ends.append((left.code, left.reason))
            await socket._send({"type": "websocket.send", "text": "too late"})
            await socket._send({"type": "websocket.close"})


def with_decorator(room: Room) -> Any:
    return Starlette(routes=[WebSocketRoute("/room", login_required(room.talk))])


def with_class(room: Room) -> Any:
    @login_required
    class Endpoint(WebSocketEndpoint):
        encoding = "text"

        async def on_receive(self, websocket, data):
            room.heard.append(data)
            await websocket.send_text(f"{data} {websocket.user.sub}")

        async def on_disconnect(self, websocket, close_code):
            room.ends.append((close_code, "login_required"))

    return Starlette(routes=[WebSocketRoute("/room", Endpoint)])


def with_call(room: Room) -> Any:
    async def endpoint(socket: WebSocket) -> None:
        xwms_auth.starlette.require_user(socket)
        await room.talk(socket)

    return Starlette(routes=[WebSocketRoute("/room", endpoint)])


def with_current_user(room: Room) -> Any:
    app = FastAPI()

    @app.websocket("/room")
    async def endpoint(socket: WebSocket, _user: CurrentUser) -> None:
        await room.talk(socket)

    return app


def with_router(room: Room) -> Any:
    app, router = FastAPI(), APIRouter(dependencies=[Depends(require_user)])

    @router.websocket("/room")
    async def endpoint(socket: WebSocket) -> None:
        await room.talk(socket)

    app.include_router(router)
    return app


def without_framework(room: Room) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket" and not await xwms_auth.asgi.refuse(scope, receive, send):
            await room.talk(WebSocket(scope, receive, send))

    return app


def after_accepting(room: Room) -> Any:
    """As Sanic, which accepts before its handler can ask."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            return
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        xwms_auth.asgi.require_user(scope)
        await room.talk(Accepted(scope, socket.receive, socket.send))

    return app


class Accepted(WebSocket):
    async def accept(self, *_: Any, **__: Any) -> None:
        """It is already."""

    async def receive_text(self) -> str:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message["code"], message["reason"])
        return str(message["text"])

    async def send_text(self, data: str) -> None:
        await self._send({"type": "websocket.send", "text": data})


APPS: list[Callable[[Room], Any]] = [
    with_decorator,
    with_class,
    with_call,
    with_current_user,
    with_router,
    without_framework,
    after_accepting,
]


class Place:
    """The room behind the middleware, with a clock that the test moves."""

    def __init__(self, fx: FakeXWMS, make: Callable[[Room], Any] = with_decorator, **options: Any) -> None:
        doors = {key: options.pop(key) for key in ("roles",) if key in options}
        self.fx, self.room, self.clock = fx, Room(), options.pop("clock", None) or Clock()
        options = {"session_store": "memory://", "redirect_uris": HTTPS_URI, **options}
        self.config = XWMSConfig(**fx.options(**options))
        self.app = XWMSAuthMiddleware(make(self.room), self.config, clock=self.clock, **doors)

    def visitor(self, sub: str = "17") -> TestClient:
        client = TestClient(self.app, base_url=ORIGIN, follow_redirects=False)
        assert log_in(client, self.fx, sub).status_code == 303
        return client


def enter(client: TestClient) -> Any:
    return client.websocket_connect("wss://app.example/room")


def echo(socket: Any, text: str = "hello") -> str:
    socket.send_text(text)
    return str(socket.receive_text())


def end_of(socket: Any) -> tuple[int, str]:
    with pytest.raises(WebSocketDisconnect) as closed:
        socket.receive_text()
    return closed.value.code, closed.value.reason


@pytest.mark.parametrize("make", APPS)
def test_a_message_after_the_session_has_ended_closes_the_socket_and_is_not_handed_over(fx, make):
    place = Place(fx, make)
    client = place.visitor()
    with enter(client) as socket:
        assert echo(socket) == "hello 17"
        client.post(LOGOUT, headers=FROM_HERE)
        place.clock.advance(61)
        socket.send_text("after the logout")
        assert end_of(socket) == (4401, "login_required")
    assert place.room.ends == [(4401, "login_required")]
    assert place.room.heard == ["hello"]


@pytest.mark.parametrize("make", APPS)
def test_a_silent_socket_is_closed_too(fx, make):
    place = Place(fx, make)
    client = place.visitor()
    with enter(client) as socket:
        assert echo(socket) == "hello 17"
        client.post(LOGOUT, headers=FROM_HERE)
        place.clock.advance(61)
        assert end_of(socket) == (4401, "login_required")
    assert place.room.ends == [(4401, "login_required")]


@pytest.mark.parametrize("store", ["cookie", "memory://"])
@pytest.mark.parametrize("end", ["logged out", "idle", "lifetime", "revoked"])
def test_a_socket_ends_with_its_session_however_that_ends(fx, end, store):
    if (end, store) == ("revoked", "cookie"):
        store_options: dict[str, Any] = {"session_store": "cookie", "revocation_store": "memory://"}
    else:
        store_options = {"session_store": store}
    place = Place(fx, session_idle=3600, session_lifetime=3600 if end == "lifetime" else 7200, **store_options)
    client = place.visitor()
    with enter(client) as socket:
        place.clock.advance(120)
        assert echo(socket) == "hello 17"
        if end == "logged out":
            client.post(LOGOUT, headers=FROM_HERE)
        elif end == "revoked":
            place.clock.advance(2)
            asyncio.run(place.app.sessions.revoke_all("17"))
        place.clock.advance(120 if end in ("logged out", "revoked") else 3600)
        assert end_of(socket) == (4401, "login_required")


def test_a_session_that_lives_keeps_its_socket_and_costs_one_look_an_interval(fx):
    store = CountingStore()
    place = Place(fx, session_store=store, websocket_recheck=60)
    with enter(place.visitor()) as socket:
        echo(socket)
        before = store.looks
        for _ in range(50):
            echo(socket)
        assert store.looks == before
        for _ in range(3):
            place.clock.advance(60)
            echo(socket)
        assert 3 <= store.looks - before <= 6  # a message and the timer may look at the same moment
    assert place.room.ends == [(1000, "")]


class CountingStore(MemoryStore):
    """Counts who is looked up, and may be down."""

    looks = 0
    down = False

    def load(self, handle, *, now):
        self.looks += 1
        if self.down:
            raise StoreUnavailable("the test says so")
        return super().load(handle, now=now)

    def recall(self, handle, *, now):
        return None


@pytest.mark.parametrize("seconds", [0, 3600])
def test_how_often_is_an_option_and_zero_is_never(fx, seconds):
    place = Place(fx, websocket_recheck=seconds)
    client = place.visitor()
    with enter(client) as socket:
        client.post(LOGOUT, headers=FROM_HERE)
        place.clock.advance(3599)
        assert echo(socket) == "hello 17"
        place.clock.advance(86400)
        if seconds:
            assert end_of(socket) == (4401, "login_required")
        else:
            assert echo(socket) == "hello 17"


def test_a_store_that_is_down_for_less_than_a_minute_closes_nothing(fx):
    store = CountingStore()
    place = Place(fx, session_store=store)
    with enter(place.visitor()) as socket:
        store.down = True
        for _ in range(6):
            place.clock.advance(60 if store.looks == 0 else 9)
            assert echo(socket) == "hello 17"
        store.down = False
        place.clock.advance(61)
        assert echo(socket) == "hello 17"
        place.clock.advance(3600)  # the next outage has a minute of its own
        store.down = True
        assert echo(socket) == "hello 17"


def test_a_store_that_is_down_for_a_minute_closes_the_socket_with_try_again_later(fx):
    store = CountingStore()
    place = Place(fx, session_store=store)
    with enter(place.visitor()) as socket:
        store.down = True
        place.clock.advance(61)
        assert echo(socket) == "hello 17"
        place.clock.advance(60)
        assert end_of(socket) == (1013, "store_unavailable")
    assert place.room.ends == [(1013, "store_unavailable")]


def test_somebody_who_has_lost_a_role_is_closed_with_4403(fx):
    roles = {"editor"}
    place = Place(
        fx,
        lambda room: Starlette(
            routes=[WebSocketRoute("/room", xwms_auth.starlette.require(role="editor")(login_required(room.talk)))]
        ),
        roles=lambda user: roles,
    )
    with enter(place.visitor()) as socket:
        place.clock.advance(61)
        assert echo(socket) == "hello 17"
        roles.clear()
        place.clock.advance(61)
        assert end_of(socket) == (4403, "not_allowed")


def test_how_old_a_login_may_be_counts_at_the_handshake_only(fx):
    place = Place(fx, lambda room: Starlette(routes=[WebSocketRoute("/room", login_required(fresh=300)(room.talk))]))
    with enter(place.visitor()) as socket:
        place.clock.advance(301)
        assert echo(socket) == "hello 17"


def test_a_new_login_in_the_same_browser_ends_the_sockets_of_the_old_one(fx):
    place = Place(fx)
    client = place.visitor()
    with enter(client) as socket:
        client.post(LOGOUT, headers=FROM_HERE)
        log_in(client, fx, "18")
        place.clock.advance(61)
        assert end_of(socket) == (4401, "login_required")
    with enter(client) as socket:
        assert echo(socket) == "hello 18"


def test_a_socket_that_no_guard_has_let_in_is_left_alone(fx):
    room = Room()

    async def open_to_all(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())

    place = Place(fx, lambda _: Starlette(routes=[WebSocketRoute("/room", open_to_all)]))
    client = place.visitor()
    with enter(client) as socket:
        client.post(LOGOUT, headers=FROM_HERE)
        place.clock.advance(86400)
        assert echo(socket) == "hello"
    assert room.ends == []


def test_where_all_is_protected_every_socket_is_looked_at(fx):
    place = Place(fx, lambda room: Starlette(routes=[WebSocketRoute("/room", room.talk)]), protect="all")
    client = place.visitor()
    with enter(client) as socket:
        client.post(LOGOUT, headers=FROM_HERE)
        place.clock.advance(61)
        assert end_of(socket) == (4401, "login_required")


def test_the_shorter_limits_of_a_nested_application_count(fx):
    def make(room: Room) -> Any:
        inner = XWMSConfig(**fx.options(redirect_uris=HTTPS_URI, session_store="memory://", session_lifetime=600))
        return XWMSAuthMiddleware(with_decorator(room), inner)

    place = Place(fx, make)
    with enter(place.visitor()) as socket:
        place.clock.advance(599)
        assert echo(socket) == "hello 17"
        place.clock.advance(61)
        assert end_of(socket) == (4401, "login_required")


# --- in the server's own terms ---


class Wire:
    """A server's side of one socket: what is sent to it, and what it lets the application receive."""

    def __init__(self, cookie: str) -> None:
        self.sent: list[Any] = []
        self.inbox: asyncio.Queue[Any] = asyncio.Queue()
        headers = [(b"host", b"app.example"), (b"cookie", cookie.encode())]
        self.scope = {"type": "websocket", "path": "/room", "query_string": b"", "headers": headers, "subprotocols": []}
        self.inbox.put_nowait({"type": "websocket.connect"})

    async def send(self, message: Any) -> None:
        await asyncio.sleep(0)
        self.sent.append(message)


def cookie_of(client: TestClient) -> str:
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar)


@asynccontextmanager
async def running(place: Place, wire: Wire) -> Any:
    task = asyncio.create_task(place.app(wire.scope, wire.inbox.get, wire.send))
    while not wire.sent:
        await asyncio.sleep(0)
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_one_close_is_sent_and_nothing_after_it(fx):
    place = Place(fx)
    client = place.visitor()
    wire = Wire(cookie_of(client))

    async def story() -> None:
        async with running(place, wire) as task:
            client.post(LOGOUT, headers=FROM_HERE)
            place.clock.advance(61)
            for _ in range(3):
                wire.inbox.put_nowait({"type": "websocket.receive", "text": "x"})
            await asyncio.wait_for(task, 10)

    asyncio.run(story())
    assert [message["type"] for message in wire.sent] == ["websocket.accept", "websocket.close"]
    assert wire.sent[1] == {"type": "websocket.close", "code": 4401, "reason": "login_required"}


def test_whoever_ignores_the_disconnect_and_asks_again_waits(fx):
    got: list[Any] = []

    async def deaf(socket: WebSocket) -> None:
        await socket.accept()
        while True:
            got.append(await socket._receive())

    place = Place(fx, lambda room: Starlette(routes=[WebSocketRoute("/room", login_required(deaf))]))
    client = place.visitor()
    wire = Wire(cookie_of(client))

    async def story() -> None:
        async with running(place, wire):
            client.post(LOGOUT, headers=FROM_HERE)
            place.clock.advance(61)
            for _ in range(5):
                wire.inbox.put_nowait({"type": "websocket.receive", "text": "x"})
            async with asyncio.timeout(10):
                while not (got and wire.inbox.empty()):
                    await asyncio.sleep(0.01)

    asyncio.run(story())
    assert got == [{"type": "websocket.disconnect", "code": 4401, "reason": "login_required"}]


def test_a_message_that_came_while_its_reader_gave_up_is_not_lost(fx):
    heard: list[str] = []

    async def impatient(socket: WebSocket) -> None:
        await socket.accept()
        while True:
            task = asyncio.ensure_future(socket.receive_text())
            while not task.done():
                await asyncio.sleep(0)
                if store.is_looking:
                    task.cancel()
                    store.may_go_on.set()
                    await asyncio.gather(task, return_exceptions=True)
            if not task.cancelled():
                heard.append(task.result())

    store = SlowStore()
    place = Place(
        fx, lambda room: Starlette(routes=[WebSocketRoute("/room", login_required(impatient))]), session_store=store
    )
    wire = Wire(cookie_of(place.visitor()))

    async def story() -> None:
        async with running(place, wire):
            store.is_slow = True
            place.clock.advance(61)
            wire.inbox.put_nowait({"type": "websocket.receive", "text": "kept"})
            async with asyncio.timeout(10):
                while not heard:
                    await asyncio.sleep(0.01)

    asyncio.run(story())
    assert heard == ["kept"]


class SlowStore(MemoryStore):
    """Answers at once, but the next look waits until the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.is_slow = self.is_looking = False
        self.may_go_on = asyncio.Event()

    def recall(self, handle, *, now):
        return None

    def load(self, handle, *, now):
        found = super().load(handle, now=now)
        return self._late(found) if self.is_slow else found

    async def _late(self, found):
        self.is_slow, self.is_looking = False, True
        try:
            await self.may_go_on.wait()
        finally:
            self.is_looking = False
        return found


def test_nothing_is_left_of_sockets_that_have_ended(fx):
    place = Place(fx, websocket_recheck=86400)
    cookie = cookie_of(place.visitor())
    left: list[weakref.ref[Any]] = []

    async def story() -> int:
        before = len(asyncio.all_tasks())
        for _ in range(200):
            wire = Wire(cookie)
            wire.inbox.put_nowait({"type": "websocket.receive", "text": "x"})
            wire.inbox.put_nowait({"type": "websocket.disconnect", "code": 1001, "reason": ""})
            await place.app(wire.scope, wire.inbox.get, wire.send)
            left.append(weakref.ref(wire.scope["auth"]))
            assert len(asyncio.all_tasks()) == before
        return sum(one() is not None for one in left)

    gc.disable()
    try:
        assert asyncio.run(story()) <= 1  # without the garbage collector
    finally:
        gc.enable()


def test_thousands_of_sockets_wait_without_a_task_of_ours(fx):
    place = Place(fx, clock=time.time)
    cookie = cookie_of(place.visitor())

    async def story() -> None:
        wires = [Wire(cookie) for _ in range(2000)]
        tasks = [asyncio.create_task(place.app(wire.scope, wire.inbox.get, wire.send)) for wire in wires]
        while not all(wire.sent for wire in wires):
            await asyncio.sleep(0.01)
        assert len(asyncio.all_tasks()) == len(tasks) + 1
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(story())


def test_the_timer_of_the_machines_own_clock_closes_a_silent_socket(fx):
    client = Place(fx, clock=time.time, websocket_recheck=1).visitor()
    with enter(client) as socket:
        client.post(LOGOUT, headers=FROM_HERE)
        assert end_of(socket) == (4401, "login_required")


def test_on_trio_a_silent_socket_is_closed_too(fx):
    place = Place(fx, without_framework)
    client = TestClient(place.app, base_url=ORIGIN, follow_redirects=False, backend="trio")
    log_in(client, fx)
    with enter(client) as socket:
        assert echo(socket) == "hello 17"
        place.clock.advance(61)
        assert echo(socket) == "hello 17"
        client.post(LOGOUT, headers=FROM_HERE)
        place.clock.advance(61)
        assert end_of(socket) == (4401, "login_required")
    with enter(place.visitor()) as socket:
        assert echo(socket) == "hello 17"  # and one that ends before its timer


@pytest.mark.more_packages  # uvicorn and websockets of today
@pytest.mark.parametrize("make", [with_decorator, with_current_user, without_framework])
def test_over_a_real_server_the_client_is_told_why(fx, make):
    with listener() as sock:
        origin = f"http://localhost:{port_of(sock)}"
        place = Place(fx, make, redirect_uris=f"{origin}/xwms/validateToken")
        client = TestClient(place.app, base_url=origin, follow_redirects=False)
        log_in(client, fx)
        headers = {"Cookie": cookie_of(client)}
        url = origin.replace("http", "ws") + "/room"
        with serve_asgi(place.app, sock, None, websockets=True), connect(url, additional_headers=headers) as socket:
            socket.send("hello")
            assert socket.recv(20) == "hello 17"
            client.post(LOGOUT, headers=FROM_HERE)
            place.clock.advance(61)
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(20)
    told = closed.value.rcvd
    assert told is not None
    assert (told.code, told.reason) == (4401, "login_required")
    assert place.room.ends == [(4401, "login_required")]
