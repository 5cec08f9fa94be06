"""What an application can do with a websocket that was closed here, and what a server hears of it, by hand."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
import trio
from starlette.websockets import WebSocketDisconnect

from tests.asgi_door.by_hand import Server
from tests.asgi_door.rooms import Place, cookie_of, enter, without_framework
from tests.asgi_door.test_ending_websockets import LOGGED_OUT, until
from tests.asgi_door.test_open_websockets import Members
from tests.asgi_door.test_open_websockets_on_servers import Wire
from tests.tools.site import FROM_HERE, HTTPS_URI, LOGOUT
from xwms_auth import LoginRequired, XWMSConfig
from xwms_auth._core.adapters.asgi.websocket import WebSocketClosed
from xwms_auth.asgi import XWMSAuthMiddleware, require_user

ACCEPT = {"type": "websocket.accept"}
TICK = {"type": "websocket.send", "text": "tick"}
REFUSED = {"type": "websocket.close", "code": 1008, "reason": "login_required"}
OWN_CLOSE = {"type": "websocket.close", "code": 1000, "reason": ""}
DENIAL = {"type": "websocket.http.response.start", "status": 403, "headers": []}
DENIAL_BODY = {"type": "websocket.http.response.body", "body": b"no"}


async def alone(send: Any) -> None:
    for _ in range(1000):
        await send(TICK)
        await asyncio.sleep(0)
    raise AssertionError("it would never end")


async def two_tasks(send: Any) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(alone(send))
        tasks.create_task(alone(send))


async def two_tasks_in_one_of_their_own(send: Any) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(two_tasks(send))


@pytest.mark.parametrize("by", ["the timer", "a message"])
@pytest.mark.parametrize("sends", [alone, two_tasks, two_tasks_in_one_of_their_own])
def test_an_application_that_only_sends_ends_and_its_server_hears_of_no_error(fx, sends, by):
    def make(room: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                require_user(scope)
                await receive()
                await send(ACCEPT)
                client.post(LOGOUT, headers=FROM_HERE)
                place.clock.advance(61)
                if by == "the timer":
                    await until(lambda: len(wire.sent) == 2)
                await sends(send)

        return app

    place = Place(fx, make)
    client = place.visitor()
    wire = Wire(cookie_of(client))
    asyncio.run(place.app(wire.scope, wire.inbox.get, wire.send))
    assert wire.sent == [ACCEPT, LOGGED_OUT]


class SlowWire(Wire):
    """A server that sends a close later than everything else."""

    def __init__(self, cookie: str) -> None:
        super().__init__(cookie)
        self.is_closing, self.may_close = False, asyncio.Event()

    async def send(self, message: Any) -> None:
        if message["type"] == "websocket.close":
            self.is_closing = True
            await self.may_close.wait()
        await super().send(message)


@pytest.mark.parametrize("how", ["sends", "returns", "fails"])
def test_the_server_has_the_close_before_the_application_is_over(fx, how):
    """Or else it makes one of its own, and nobody learns why."""
    steps: list[str] = []

    def make(room: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "websocket":
                return
            require_user(scope)
            await receive()
            await send(ACCEPT)
            client.post(LOGOUT, headers=FROM_HERE)
            place.clock.advance(61)
            await until(lambda: wire.is_closing)
            steps.append("ends")
            if how == "sends":
                await alone(send)
            if how == "fails":
                raise WebSocketClosed("as its framework raises it")

        return app

    async def story() -> None:
        nonlocal wire
        wire = SlowWire(cookie)
        running = asyncio.create_task(place.app(wire.scope, wire.inbox.get, wire.send))
        await until(lambda: steps)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not running.done()
        wire.may_close.set()
        await running
        assert wire.sent == [ACCEPT, LOGGED_OUT]

    place = Place(fx, make)
    client = place.visitor()
    cookie = cookie_of(client)
    wire: Any = None
    asyncio.run(story())


def test_an_application_that_was_refused_and_only_sends_ends_too():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(ACCEPT)
        with suppress(LoginRequired):
            require_user(scope)
        await alone(send)

    server = Server(app)
    server.call({}, type="websocket", cookie=False)
    assert server.sent == [ACCEPT, REFUSED]


@pytest.mark.parametrize(
    "error",
    [
        LookupError("its own"),
        OSError("of the server"),
        ExceptionGroup("both", [WebSocketClosed("late"), LookupError("its own")]),
    ],
    ids=repr,
)
def test_another_error_after_our_close_is_the_servers(error):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with suppress(LoginRequired):
            require_user(scope)
        await send(ACCEPT)
        raise error

    server = Server(app)
    with pytest.raises(type(error)):
        server.call({}, type="websocket", cookie=False)
    assert server.sent == [REFUSED]


def test_what_another_socket_raises_is_the_servers_where_this_one_was_not_closed_here():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        require_user(scope)
        await send(ACCEPT)
        raise WebSocketClosed("another")

    server = Server(app)
    with pytest.raises(WebSocketClosed):
        server.call({}, type="websocket")
    assert server.sent == [ACCEPT]


def test_whoever_keeps_the_send_of_a_socket_is_told_when_that_has_ended():
    kept: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kept.append(send)
        await send(ACCEPT)

    server = Server(app)
    server.call({}, type="websocket")
    with pytest.raises(OSError, match=r"^the websocket has ended$"):
        asyncio.run(kept[0](TICK))
    assert server.sent == [ACCEPT]


@pytest.mark.parametrize(
    ("before", "after"),
    [([ACCEPT, OWN_CLOSE], []), ([DENIAL, DENIAL_BODY], []), ([DENIAL], [DENIAL_BODY])],
    ids=["closed", "denied", "being denied"],
)
@pytest.mark.parametrize("catches", [True, False])
def test_who_is_refused_after_an_end_of_the_applications_own_gets_no_second_one(before, after, catches):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        for message in before:
            await send(message)
        try:
            require_user(scope)
        except LoginRequired:
            for message in after:
                await send(message)
            if not catches:
                raise

    server = Server(app)
    if catches:
        server.call({}, type="websocket", cookie=False)
    else:
        with pytest.raises(LoginRequired):
            server.call({}, type="websocket", cookie=False)
    assert server.sent == [*before, *after]


@pytest.mark.parametrize("ends", ["logged out", "refused"])
@pytest.mark.parametrize("loop", ["trio", "asyncio"])
def test_whoever_gives_up_waiting_for_a_message_does_not_take_back_the_close(fx, ends, loop):
    """As an application that polls with no time to wait, or whose task is cancelled at that moment."""

    async def hasty(send: Any) -> None:
        if loop == "trio":
            with trio.move_on_after(0):
                await send(TICK)
        else:
            task = asyncio.create_task(send(TICK))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def make(room: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "websocket":
                return
            await send(ACCEPT)
            with suppress(LoginRequired):
                require_user(scope)
            if ends == "logged out":
                client.post(LOGOUT, headers=FROM_HERE)
                place.clock.advance(61)
            await hasty(send)
            with suppress(OSError):
                for _ in range(1000):
                    await send(TICK)
                    await (trio if loop == "trio" else asyncio).sleep(0)
            await closed.wait()

        return app

    place = Place(fx, make)
    client = place.visitor()
    wire = Wire(cookie_of(client) if ends == "logged out" else "")
    closed: Any = None

    async def send(message: Any) -> None:
        await (trio if loop == "trio" else asyncio).sleep(0)
        wire.sent.append(message)
        if message["type"] == "websocket.close":
            closed.set()

    async def receive() -> Any:
        raise AssertionError("it only sends")

    async def story() -> None:
        nonlocal closed
        closed = trio.Event() if loop == "trio" else asyncio.Event()
        if loop == "trio":
            with trio.fail_after(10):
                await place.app(wire.scope, receive, send)
        else:
            async with asyncio.timeout(10):
                await place.app(wire.scope, receive, send)

    trio.run(story) if loop == "trio" else asyncio.run(story())
    assert wire.sent == [ACCEPT, LOGGED_OUT if ends == "logged out" else REFUSED]


def test_without_an_event_loop_a_visitor_who_has_gone_raises_nothing_either():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with suppress(LoginRequired):
            require_user(scope)
        await send(ACCEPT)

    async def receive() -> Any:
        raise AssertionError("it only sends")

    async def send(message: Any) -> None:
        raise OSError("gone")

    server = Server(app)
    with pytest.raises(StopIteration):
        server.auth(server.scope({}, type="websocket", cookie=False), receive, send).send(None)


def test_a_nested_application_that_is_set_up_wrongly_is_so_for_a_websocket_too(fx):
    """As for a page: what it was given would never be asked."""

    def make(room: Any) -> Any:
        config = XWMSConfig(**fx.options(redirect_uris=HTTPS_URI, session_store="memory://"))
        return XWMSAuthMiddleware(without_framework(room), config, linker=Members())

    place = Place(fx, make)
    with pytest.raises(WebSocketDisconnect) as closed, enter(place.visitor()):
        pass
    assert (closed.value.code, closed.value.reason) == (1008, "config")
