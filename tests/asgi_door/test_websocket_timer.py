"""When the timer of an open websocket looks at its session, and when it stops: the test is the event loop."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from tests.asgi_door.rooms import Place, cookie_of
from tests.asgi_door.test_ending_websockets import END, LOGGED_OUT
from tests.asgi_door.test_open_websockets import CountingStore
from tests.asgi_door.test_open_websockets_on_servers import Wire
from tests.tools.clock import Clock
from tests.tools.site import FROM_HERE, HTTPS_URI, LOGOUT
from xwms_auth import LoginRequired, StoreUnavailable, XWMSConfig
from xwms_auth.asgi import XWMSAuthMiddleware, refuse, require_user

WEBSOCKET = "xwms_auth._core.adapters.asgi.websocket"
ACCEPT = {"type": "websocket.accept"}
HELLO = {"type": "websocket.receive", "text": "hello"}
LEFT = {"type": "websocket.disconnect", "code": 1001, "reason": ""}


class Loop:
    """Takes the timers that are started, and lets a test be their time."""

    def __init__(self) -> None:
        self.timers: list[Loop] = []
        self.tick: Any = None
        self.seconds: float | None = None
        self.stopped = False

    def start(self, tick: Any, seconds: float) -> "Loop":
        timer = Loop()
        timer.tick, timer.seconds = tick, seconds
        self.timers.append(timer)
        return timer

    def run(self) -> float | None:
        """What the timer does when its time has come: in how many seconds it wants to be called again."""
        assert not self.stopped
        with pytest.raises(StopIteration) as ended:
            self.tick().send(None)
        self.seconds = ended.value.value
        return self.seconds

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    loop = Loop()
    monkeypatch.setattr(f"{WEBSOCKET}.start_timer", loop.start)
    return loop


def open_socket(place: Place, cookie: str, between: Callable[[list[Any]], object]) -> list[Any]:
    """What is sent to a visitor who says hello twice and leaves. What `between` does comes before the second hello."""
    sent: list[Any] = []
    messages = iter([{"type": "websocket.connect"}, HELLO, HELLO, LEFT])

    async def receive() -> Any:
        message = next(messages)
        if message is HELLO and len(heard) == 2:
            between(sent)
        heard.append(message)
        return message

    async def send(message: Any) -> None:
        sent.append(message)

    heard: list[Any] = []
    with pytest.raises(StopIteration):
        place.app(Wire(cookie).scope, receive, send).send(None)
    return sent


def listening(got: list[Any], *, asks: bool = True, refused: bool = False) -> Callable[[Any], Any]:
    """An application that asks for its guard once it has accepted, and then only listens."""

    def make(room: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "websocket":
                return
            await receive()
            await send(ACCEPT)
            if refused:
                with pytest.raises((LoginRequired, StoreUnavailable)):
                    require_user(scope)
            elif asks:
                require_user(scope)
            for _ in range(3):
                got.append(await receive())
                if got[-1]["type"] == "websocket.disconnect":
                    break

        return app

    return make


def test_nothing_is_looked_up_before_its_time_and_everything_from_then_on(fx, loop):
    store = CountingStore()
    place = Place(fx, listening([]), session_store=store)
    client = place.visitor()
    looks: list[int] = []

    def look_after(seconds: int) -> None:
        place.clock.advance(seconds)
        before = store.looks
        assert timer().run() == 0.05
        looks.append(store.looks - before)

    def timer() -> Loop:
        (timer,) = loop.timers
        return timer

    def between(sent: list[Any]) -> None:
        assert timer().seconds == 0.05
        for seconds in (0, 59, 1, 0, 59, 1, 61, 1):
            look_after(seconds)

    open_socket(place, cookie_of(client), between)
    assert looks == [0, 0, 1, 0, 0, 1, 1, 0]
    assert timer().stopped


def test_a_clock_that_was_set_back_brings_the_next_look_forward(fx, loop):
    store = CountingStore()
    place = Place(fx, listening([]), session_store=store)
    looks: list[int] = []

    def between(sent: list[Any]) -> None:
        for seconds in (10, -10, -1, 59, 1):
            before = store.looks
            place.clock.advance(seconds)
            loop.timers[0].run()
            looks.append(store.looks - before)

    open_socket(place, cookie_of(place.visitor()), between)
    assert looks == [0, 0, 1, 0, 1]


class Machine:
    """The clocks of the machine: one that tells the time, and one that nobody sets."""

    def __init__(self) -> None:
        self.time, self.monotonic = Clock(), Clock(1000.5)

    def advance(self, seconds: float, *, was_set: float = 0) -> None:
        self.monotonic.advance(seconds)
        self.time.advance(seconds + was_set)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(f"{WEBSOCKET}.time", machine)
    return machine


def test_by_the_clock_of_the_machine_the_timer_sleeps_until_the_next_look(fx, loop, machine):
    place = Place(fx, listening([]), clock=machine.time)
    slept: list[float | None] = []

    def between(sent: list[Any]) -> None:
        slept.append(loop.timers[0].seconds)
        for seconds in (0, 20, 39, 1, 60, 100, 20):
            machine.advance(seconds)
            slept.append(loop.timers[0].run())

    open_socket(place, cookie_of(place.visitor()), between)
    assert slept == [60, 60, 40, 1, 60, 60, 60, 40]


@pytest.mark.parametrize("was_set", [-20, -65, 3600])
def test_a_clock_of_the_machine_that_is_set_again_and_again_puts_no_look_off(fx, loop, machine, was_set):
    store = CountingStore()
    place = Place(fx, listening([]), session_store=store, clock=machine.time)
    looks: list[int] = []

    def between(sent: list[Any]) -> None:
        for _ in range(3):
            before = store.looks
            for _ in range(3):
                machine.advance(20, was_set=was_set)
                loop.timers[0].run()
            looks.append(store.looks - before)

    cookie = cookie_of(place.visitor())
    machine.advance(1000)  # nobody logs in in the future
    open_socket(place, cookie, between)
    assert looks == [1, 1, 1]


def test_a_clock_that_was_set_between_the_handshake_and_the_guard_moves_no_look(fx, loop, machine):
    def make(room: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                machine.advance(20)
                await send(ACCEPT)
                machine.advance(10, was_set=-500)
                require_user(scope)
                await receive()

        return app

    place = Place(fx, make, clock=machine.time)
    open_socket(place, cookie_of(place.visitor()), lambda sent: None)
    assert [timer.seconds for timer in loop.timers] == [30]


def test_a_look_that_fails_is_made_again_after_ten_seconds(fx, loop, machine):
    store = CountingStore()
    place = Place(fx, listening([]), session_store=store, clock=machine.time)
    slept: list[float | None] = []

    def between(sent: list[Any]) -> None:
        store.down = True
        for seconds in (60, 10, 10, 10, 10, 10):
            machine.advance(seconds)
            slept.append(loop.timers[0].run())
        store.down = False
        machine.advance(9)
        slept.append(loop.timers[0].run())
        machine.advance(1)
        slept.append(loop.timers[0].run())

    open_socket(place, cookie_of(place.visitor()), between)
    assert slept == [10, 10, 10, 10, 10, 10, 1, 60]


def test_the_next_look_comes_an_interval_after_the_beginning_of_the_one_before(fx, loop):
    """A look that takes long has read the session at its beginning."""
    asked: list[float] = []

    async def roles(user: Any) -> set[str]:
        asked.append(place.clock.now - began)
        place.clock.advance(50)
        return {"a"}

    def make(room: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket" and not await refuse(scope, receive, send, role="a"):
                await receive()
                await send(ACCEPT)
                while (await receive())["type"] != "websocket.disconnect":
                    pass

        return app

    place = Place(fx, make, roles=roles)
    cookie, began = cookie_of(place.visitor()), place.clock.now

    def between(sent: list[Any]) -> None:
        for seconds in (9, 1, 9, 1):
            place.clock.advance(seconds)
            loop.timers[0].run()

    open_socket(place, cookie, between)
    assert asked == [0, 60, 120]


def test_a_second_guard_starts_no_second_timer_and_puts_no_look_off(fx, loop):
    store = CountingStore()

    def make(room: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                await receive()
                require_user(scope)
                assert loop.timers == []  # it has not been accepted yet
                await send(ACCEPT)
                for _ in range(2):
                    require_user(scope)
                    await receive()

        return app

    place = Place(fx, make, session_store=store)
    looks: list[int] = []
    cookie = cookie_of(place.visitor())
    sent: list[Any] = []

    async def receive() -> Any:
        for seconds in (30, 29, 1) if sent else ():
            before = store.looks
            place.clock.advance(seconds)
            (timer,) = loop.timers
            timer.run()
            looks.append(store.looks - before)
        return HELLO

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(StopIteration):
        place.app(Wire(cookie).scope, receive, send).send(None)
    assert looks == [0, 0, 1, 0, 0, 1]


def test_a_guard_after_the_end_starts_no_timer(fx, loop):
    def make(room: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                await receive()
                await send(ACCEPT)
                while (await receive())["type"] != "websocket.disconnect":
                    pass
                require_user(scope)

        return app

    place = Place(fx, make)
    open_socket(place, cookie_of(place.visitor()), lambda sent: None)
    assert loop.timers == []


@pytest.mark.parametrize("guard", ["scopes", "requires"])
def test_a_socket_that_only_starlettes_own_guard_has_let_in_is_looked_at(fx, loop, guard):
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        if guard == "scopes":
            assert websocket.auth.scopes == ["authenticated"]
        while (await websocket.receive())["type"] != "websocket.disconnect":
            pass

    def make(room: Any) -> Any:
        guarded = requires("authenticated")(endpoint) if guard == "requires" else endpoint
        return Starlette(routes=[WebSocketRoute("/room", guarded)])

    place = Place(fx, make)
    client = place.visitor()

    def between(sent: list[Any]) -> None:
        client.post(LOGOUT, headers=FROM_HERE)
        place.clock.advance(60)
        assert loop.timers[0].run() is None

    assert open_socket(place, cookie_of(client), between)[1:] == [LOGGED_OUT]


@pytest.mark.parametrize(
    ("outer", "inner", "is_looked_at"), [(60, 30, True), (0, 30, True), (30, 60, False), (30, 0, False)]
)
def test_the_interval_of_a_nested_application_counts_also_where_it_is_reached_later(
    fx, loop, outer, inner, is_looked_at
):
    store = CountingStore()

    def make(room: Any) -> Any:
        async def endpoint(scope: Any, receive: Any, send: Any) -> None:
            await receive()

        config = XWMSConfig(**fx.options(redirect_uris=HTTPS_URI, session_store=store, websocket_recheck=inner))
        nested = XWMSAuthMiddleware(endpoint, config)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                require_user(scope)
                await receive()
                await send(ACCEPT)
                await receive()  # names the room
                timers.extend(loop.timers)
                await nested(scope, receive, send)

        return app

    place = Place(fx, make, session_store=store, websocket_recheck=outer)
    looks: list[int] = []
    timers: list[Loop] = []

    def between(sent: list[Any]) -> None:
        for seconds in (29, 1):
            before = store.looks
            place.clock.advance(seconds)
            loop.timers[-1].run()
            looks.append(store.looks - before)

    open_socket(place, cookie_of(place.visitor()), between)
    assert looks == [0, 1]
    assert len(loop.timers) - len(timers) == is_looked_at
    assert all(timer.stopped for timer in timers)


def test_a_nested_application_that_is_reached_after_a_look_counts_from_that_look(fx, loop):
    store = CountingStore()

    def make(room: Any) -> Any:
        async def endpoint(scope: Any, receive: Any, send: Any) -> None:
            await receive()

        config = XWMSConfig(**fx.options(redirect_uris=HTTPS_URI, session_store=store, websocket_recheck=30))
        nested = XWMSAuthMiddleware(endpoint, config)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                require_user(scope)
                await receive()
                await send(ACCEPT)
                await receive()
                look_after(60)
                place.clock.advance(10)
                await nested(scope, receive, send)

        return app

    place = Place(fx, make, session_store=store)
    looks: list[int] = []

    def look_after(seconds: int) -> None:
        before = store.looks
        place.clock.advance(seconds)
        loop.timers[-1].run()
        looks.append(store.looks - before)

    def between(sent: list[Any]) -> None:
        look_after(19)
        look_after(1)

    open_socket(place, cookie_of(place.visitor()), between)
    assert looks == [1, 0, 1]


def test_a_timer_that_finds_the_end_runs_no_more_and_the_application_gets_it(fx, loop):
    got: list[Any] = []
    place = Place(fx, listening(got))
    client = place.visitor()

    def between(sent: list[Any]) -> None:
        client.post(LOGOUT, headers=FROM_HERE)
        place.clock.advance(60)
        assert loop.timers[0].run() is None
        assert loop.timers[0].stopped

    sent = open_socket(place, cookie_of(client), between)
    assert sent == [ACCEPT, LOGGED_OUT]
    assert got == [HELLO, END]  # what the visitor said meanwhile is not handed over


@pytest.mark.parametrize("closes", [True, False], ids=["closes", "returns"])
def test_the_timer_ends_with_the_application(fx, loop, closes):
    def make(room: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                require_user(scope)
                await receive()
                await send(ACCEPT)
                await receive()
                assert not loop.timers[0].stopped
                if closes:
                    await send({"type": "websocket.close", "code": 1000})
                    assert loop.timers[0].stopped

        return app

    place = Place(fx, make)
    open_socket(place, cookie_of(place.visitor()), lambda sent: None)
    assert [timer.stopped for timer in loop.timers] == [True]


@pytest.mark.parametrize(("down", "store"), [(True, None), (False, None), (False, "cookie")])
def test_who_was_refused_after_accepting_and_goes_on_listening_is_looked_at_too(fx, loop, down, store, caplog):
    store, got = store or CountingStore(), list[Any]()
    place = Place(fx, listening(got, refused=True), session_store=store)
    cookie = cookie_of(place.visitor()) if down else ""

    def between(sent: list[Any]) -> None:
        if down:
            store.down = False
        place.clock.advance(59)
        assert loop.timers[0].run() == 0.05
        assert sent == [ACCEPT]
        place.clock.advance(1)
        assert loop.timers[0].run() == (0.05 if down else None)

    if down:
        store.down = True
    sent = open_socket(place, cookie, between)
    if down:
        assert got == [HELLO, HELLO, LEFT]
    else:
        assert sent == [ACCEPT, LOGGED_OUT]
        assert got == [HELLO, END]
    assert "websocket_not_checked" not in caplog.text


def test_nobody_is_looked_at_who_was_not_asked_for(fx, loop):
    place = Place(fx, listening([], asks=False))
    client = place.visitor()

    def between(sent: list[Any]) -> None:
        client.post(LOGOUT, headers=FROM_HERE)
        place.clock.advance(3600)

    assert open_socket(place, cookie_of(client), between) == [ACCEPT]
    assert loop.timers == []
