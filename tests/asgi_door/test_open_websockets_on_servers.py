"""Open websockets in the terms of servers and event loops: what is sent, what is left of them, and over which loop."""

import asyncio
import gc
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.asgi_door.rooms import (
    ORIGIN,
    Place,
    cookie_of,
    echo,
    end_of,
    enter,
    with_current_user,
    with_decorator,
    without_framework,
)
from tests.browser.servers import listener, port_of, serve_asgi
from tests.tools.site import FROM_HERE, LOGOUT, log_in
from xwms_auth.starlette import login_required
from xwms_auth.stores import MemoryStore


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
        # Without the garbage collector: all 200 if anything keeps them. The last is in use, and seldom another one.
        assert asyncio.run(story()) < 5
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


def test_sockets_in_two_event_loops_are_each_looked_at(fx, monkeypatch):
    monkeypatch.setattr("xwms_auth._core.adapters.asgi.websocket.OTHER_CLOCK", 0.002)
    place = Place(fx)
    client = place.visitor()
    cookie = cookie_of(client)
    both_wait = threading.Barrier(3, timeout=20)

    async def story() -> list[Any]:
        wires = [Wire(cookie) for _ in range(200)]
        tasks = [asyncio.create_task(place.app(wire.scope, wire.inbox.get, wire.send)) for wire in wires]
        while not all(wire.sent for wire in wires):
            await asyncio.sleep(0.01)
        await asyncio.to_thread(both_wait.wait)  # the visitor logs out
        await asyncio.to_thread(both_wait.wait)
        await asyncio.wait(tasks, timeout=10)
        return [wire.sent[-1].get("code") for wire in wires]

    usual = sys.getswitchinterval()
    with ThreadPoolExecutor(2) as threads:
        rooms = [threads.submit(asyncio.run, story()) for _ in range(2)]
        sys.setswitchinterval(1e-6)
        try:
            both_wait.wait()
            time.sleep(0.5)  # some thousand looks at the clock
            client.post(LOGOUT, headers=FROM_HERE)
            place.clock.advance(61)
            both_wait.wait()
            assert [set(room.result()) for room in rooms] == [{4401}, {4401}]
        finally:
            sys.setswitchinterval(usual)
