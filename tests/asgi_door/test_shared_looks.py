"""One look for all who wait for it, on asyncio and on trio: how long they wait, and what none of them can end."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar, copy_context
from typing import Any

import anyio
import anyio.to_thread
import pytest
import trio

from tests.asgi_door.rooms import Place, cookie_of
from tests.asgi_door.test_ending_websockets import LOGGED_OUT
from tests.asgi_door.test_open_websockets import CountingStore, Members
from tests.asgi_door.test_open_websockets_on_servers import Wire
from tests.asgi_door.test_websocket_looks import after_logout, told
from tests.tools.site import FROM_HERE, LOGOUT
from xwms_auth import Identity, NotAllowed, User
from xwms_auth._core.adapters.asgi import websocket
from xwms_auth._core.adapters.asgi.tasks import loop_here
from xwms_auth.accounts import Linked
from xwms_auth.asgi import current_account, refuse, require_user

ACCEPT = {"type": "websocket.accept"}
BLOCKED = {"type": "websocket.close", "code": 4401, "reason": "not_allowed"}
BROKEN = {"type": "websocket.close", "code": 1011, "reason": "internal_error"}
BACKENDS = ["asyncio", "trio"]


def said(text: str) -> dict[str, str]:
    return {"type": "websocket.send", "text": text}


def heard(text: str) -> dict[str, str]:
    return {"type": "websocket.receive", "text": text}


class AnyWire(Wire):
    """A server's side of one socket, on either loop."""

    def __init__(self, cookie: str) -> None:
        super().__init__(cookie)
        self._inbox, self._outbox = anyio.create_memory_object_stream[Any](1000)
        self.says({"type": "websocket.connect"})

    def says(self, *messages: Any) -> None:
        for message in messages:
            self._inbox.send_nowait(message)

    async def receive(self) -> Any:
        return await self._outbox.receive()

    async def send(self, message: Any) -> None:
        await anyio.sleep(0)
        self.sent.append(message)


async def until(is_so: Callable[[], Any]) -> None:
    with anyio.fail_after(60):
        while not is_so():
            await anyio.sleep(0.001)


@asynccontextmanager
async def running(place: Place, cookie: str) -> Any:
    """The socket, once it has been accepted."""
    wire = AnyWire(cookie)
    with wire._inbox, wire._outbox:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(place.app, wire.scope, wire.receive, wire.send)
            await until(lambda: wire.sent)
            yield wire
            tasks.cancel_scope.cancel()


def guarded(talk: Callable[[Any, Any, Any], Awaitable[None]]) -> Callable[[Any], Any]:
    """An application that accepts who has the role `a`, and then talks."""

    def make(room: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket" and not await refuse(scope, receive, send, role="a"):
                await receive()
                await send(ACCEPT)
                await talk(scope, receive, send)

        return app

    return make


async def echo(scope: Any, receive: Any, send: Any) -> None:
    while (message := await receive())["type"] == "websocket.receive":
        await send(said(message["text"]))


class Roles:
    """A function for roles that does something else at the next look."""

    def __init__(self) -> None:
        self.asked = 0
        self.instead: Callable[[], Awaitable[None]] | None = None

    async def of(self, user: Any) -> set[str]:
        self.asked += 1
        if self.instead is not None:
            await self.instead()
        return {"a"}


async def for_ever() -> None:
    await anyio.sleep_forever()


# --- one look for all ---


class SlowMembers(Members):
    may_go_on: Any = None
    is_loading = False

    async def load(self, identity: Identity, *, session: Any = None) -> str:
        if self.may_go_on is not None:
            self.is_loading = True
            await self.may_go_on.wait()
        return await super().load(identity, session=session)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_message_passes_while_the_timer_asks_for_an_account_that_is_blocked(fx, backend):
    members, got = SlowMembers(), list[Any]()

    def make(room: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                await current_account(scope, members)
                await receive()
                await send(ACCEPT)
                with suppress(OSError):
                    while True:
                        got.append(await receive())
                        if got[-1]["type"] == "websocket.disconnect":
                            break

        return app

    place = Place(fx, make, linker=members)
    cookie = cookie_of(place.visitor())

    async def story() -> None:
        async with running(place, cookie) as wire:
            members.blocked, members.may_go_on = True, anyio.Event()
            place.clock.advance(61)
            await until(lambda: members.is_loading)
            wire.says(heard("order 1000 pieces"))
            await until(lambda: not wire._outbox.statistics().current_buffer_used)
            members.may_go_on.set()
            await until(lambda: got and wire.sent[1:])
        assert wire.sent == [ACCEPT, BLOCKED]

    anyio.run(story, backend=backend)
    assert [message["type"] for message in got] == ["websocket.disconnect"]
    assert members.loads == 2


class ChangingMembers(Members):
    """Says of each refreshed person that their row has changed, so that it has to be loaded again."""

    def refresh(self, user: User) -> Any:
        return Linked(key=user.sub)


def test_an_account_that_has_to_be_loaded_again_is_looked_at_all_the_same(fx):
    members = Members()

    def make(room: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                await current_account(scope, members)
                scope["auth"].account = None  # as after `refresh_profile`
                await receive()
                await send(ACCEPT)
                await echo(scope, receive, send)

        return app

    place = Place(fx, make, linker=members)
    cookie = cookie_of(place.visitor())

    async def story() -> None:
        async with running(place, cookie) as wire:
            members.blocked = True
            place.clock.advance(61)
            await until(lambda: len(wire.sent) == 2)
        assert wire.sent == [ACCEPT, BLOCKED]

    anyio.run(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_five_hundred_messages_at_once_cost_one_look(fx, backend):
    roles = Roles()

    async def talk(scope: Any, receive: Any, send: Any) -> None:
        roles.asked, roles.instead = 0, lambda: anyio.sleep(0.01)
        place.clock.advance(61)
        async with anyio.create_task_group() as tasks:
            for number in range(500):
                tasks.start_soon(send, said(str(number)))
        over.append(roles.asked)

    over: list[int] = []
    place = Place(fx, guarded(talk), roles=roles.of)
    cookie = cookie_of(place.visitor())

    async def story() -> None:
        async with running(place, cookie) as wire:
            await until(lambda: over)
        assert sorted(wire.sent[1:], key=lambda one: int(one["text"])) == [said(str(number)) for number in range(500)]

    anyio.run(story, backend=backend)
    assert over == [1]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.usefixtures("no_timer")
def test_whoever_gives_up_waiting_does_not_end_the_look_for_the_others(fx, backend):
    roles, results = Roles(), list[str]()

    async def first(send: Any) -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await send(said("given up"))

    async def second(send: Any) -> None:
        await send(said("sent"))
        results.append("sent")

    async def talk(scope: Any, receive: Any, send: Any) -> None:
        may_go_on = anyio.Event()
        roles.asked, roles.instead = 0, may_go_on.wait
        place.clock.advance(61)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first, send)
            await until(lambda: roles.asked)
            tasks.start_soon(second, send)
            await anyio.wait_all_tasks_blocked()
            scopes[0].cancel()
            await anyio.wait_all_tasks_blocked()
            assert results == []
            may_go_on.set()
        results.append(f"{roles.asked} look")

    scopes: list[anyio.CancelScope] = []
    place = Place(fx, guarded(talk), roles=roles.of)
    cookie = cookie_of(place.visitor())

    async def story() -> None:
        async with running(place, cookie) as wire:
            await until(lambda: len(results) == 2)
        assert wire.sent == [ACCEPT, said("sent")]

    anyio.run(story, backend=backend)
    assert results == ["sent", "1 look"]


@pytest.mark.usefixtures("no_timer")
def test_whoever_waits_for_the_look_that_ends_the_socket_waits_for_the_close_as_well(fx):
    """Its application may return then, and a server closes what was left open with a code of its own."""
    order: list[str] = []

    async def talk(scope: Any, receive: Any, send: Any) -> None:
        place.clock.advance(61)
        order.append((await receive())["type"])

    async def send(message: Any) -> None:
        wire.sent.append(message)
        if message["type"] == "websocket.close":
            for _ in range(20):
                await asyncio.sleep(0)
            order.append("closed")

    async def roles(user: Any) -> set[str]:
        return set() if wire.sent else {"a"}

    place = Place(fx, guarded(talk), roles=roles)
    wire = Wire(cookie_of(place.visitor()))
    wire.inbox.put_nowait(heard("hello"))
    asyncio.run(place.app(wire.scope, wire.inbox.get, send))
    assert order == ["closed", "websocket.disconnect"]


def test_a_message_that_was_begun_before_the_end_and_is_sent_after_it_causes_no_look(fx):
    roles = Roles()
    own_close = {"type": "websocket.close", "code": 1000, "reason": ""}

    async def talk(scope: Any, receive: Any, send: Any) -> None:
        place.clock.advance(61)
        begun = send(said("late"))
        await send(own_close)
        await begun

    place = Place(fx, guarded(talk), roles=roles.of)
    wire = Wire(cookie_of(place.visitor()))
    asyncio.run(place.app(wire.scope, wire.inbox.get, wire.send))
    assert wire.sent[1:] == [own_close, said("late")]  # the server's to judge
    assert roles.asked == 1


@pytest.fixture
def no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens is done by messages: the timer comes too late."""
    monkeypatch.setattr(websocket, "start_timer", lambda *_: None)


# --- a look that hangs ---


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("says", [True, False], ids=["says something", "silent"])
def test_a_look_that_hangs_counts_as_failed_after_a_minute(fx, says, backend, caplog):
    roles, is_over = Roles(), list[bool]()
    place = Place(fx, guarded(echo), roles=roles.of)
    cookie = cookie_of(place.visitor())

    async def hang() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            is_over.append(True)

    async def story() -> None:
        async with running(place, cookie) as wire:
            roles.instead = hang
            place.clock.advance(61)
            if says:
                wire.says(heard("too late"))
            await until(lambda: roles.asked == 2)
            place.clock.advance(59)
            await anyio.wait_all_tasks_blocked()
            assert wire.sent == [ACCEPT]
            place.clock.advance(1)
            await until(lambda: len(wire.sent) == 2 and is_over)
        assert wire.sent == [ACCEPT, BROKEN]

    anyio.run(story, backend=backend)
    assert caplog.text.count("websocket_not_checked") == 1
    assert roles.asked == 2


class Stubborn:
    """Does not end where it is cancelled, as what runs in a thread may not."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()

    async def __call__(self) -> None:
        while not self.may_end.is_set():
            with suppress(asyncio.CancelledError):
                await self.may_end.wait()


def test_a_look_that_cannot_be_cancelled_keeps_no_socket_open(fx):
    roles, stubborn = Roles(), Stubborn()
    place = Place(fx, guarded(echo), roles=roles.of)
    cookie = cookie_of(place.visitor())

    async def story() -> None:
        async with running(place, cookie) as wire:
            roles.instead = stubborn
            place.clock.advance(61)
            await until(lambda: roles.asked == 2)
            place.clock.advance(60)
            await until(lambda: len(wire.sent) == 2)
            stubborn.may_end.set()
        assert wire.sent == [ACCEPT, BROKEN]

    anyio.run(story)


@pytest.mark.parametrize("outcome", ["goes on", "has lost a role", "fails", "never ends"])
@pytest.mark.usefixtures("no_timer")
def test_a_look_that_outlives_its_socket_closes_nothing(fx, outcome, caplog):
    roles, stubborn, got = Roles(), Stubborn(), list[Any]()
    own_close = {"type": "websocket.close", "code": 1000, "reason": ""}

    async def look() -> None:
        await stubborn()
        if outcome == "fails":
            raise LookupError
        if outcome == "has lost a role":
            raise NotAllowed("it is gone")

    async def talk(scope: Any, receive: Any, send: Any) -> None:
        async def read() -> None:
            got.append(await receive())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await until(lambda: roles.asked == 2)
            await send(own_close)
            if outcome == "never ends":
                place.clock.advance(60)
            else:
                stubborn.may_end.set()

    place = Place(fx, guarded(talk), roles=roles.of)
    cookie = cookie_of(place.visitor())

    async def story() -> None:
        async with running(place, cookie) as wire:
            roles.instead = look
            place.clock.advance(61)
            wire.says(heard("the last"))
            await until(lambda: got)
            stubborn.may_end.set()
            await anyio.wait_all_tasks_blocked()
        assert wire.sent == [ACCEPT, own_close]

    anyio.run(story)
    assert got == [heard("the last")]
    assert "websocket_" not in caplog.text


@pytest.mark.parametrize("answers", [True, False])
def test_the_last_look_of_the_minute_has_ten_seconds_to_answer(fx, answers):
    """A store that is there again may be slow at first."""
    store, roles = CountingStore(), Roles()
    place = Place(fx, guarded(echo), session_store=store, roles=roles.of)
    cookie = cookie_of(place.visitor())

    async def story() -> None:
        async with running(place, cookie) as wire:
            looks, store.down = store.looks, True
            place.clock.advance(61)
            await until(lambda: store.looks == looks + 1)
            may_go_on = anyio.Event()
            store.down, roles.instead = False, may_go_on.wait
            place.clock.advance(60)
            await until(lambda: roles.asked == 2)
            place.clock.advance(9)
            await anyio.wait_all_tasks_blocked()
            assert wire.sent == [ACCEPT]
            if answers:
                may_go_on.set()
                wire.says(heard("hello"))
            else:
                place.clock.advance(1)
            await until(lambda: len(wire.sent) == 2)
        assert wire.sent == [ACCEPT, said("hello") if answers else BROKEN]

    anyio.run(story)


# --- a look that raises anything ---


class Odd(BaseException):
    """Of a library that does not think of others."""


def cancelled_elsewhere() -> BaseException:
    """What trio has raised in a task that was cancelled, and somebody has kept."""
    kept: list[BaseException] = []

    async def wait() -> None:
        with trio.move_on_after(0):
            try:
                await trio.sleep_forever()
            except trio.Cancelled as error:
                kept.append(error)
                raise

    trio.run(wait)
    return kept[0]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "make_error",
    [Odd, lambda: BaseExceptionGroup("both", [Odd()]), asyncio.CancelledError, cancelled_elsewhere],
    ids=["odd", "group", "asyncio", "trio"],
)
def test_whatever_a_look_raises_ends_neither_the_looks_nor_the_loop(fx, backend, make_error, caplog):
    roles = Roles()
    place = Place(fx, guarded(echo), roles=roles.of)
    client = place.visitor()
    cookie, error = cookie_of(client), make_error()

    async def fail() -> None:
        raise error

    async def story() -> None:
        async with running(place, cookie) as wire:
            roles.instead = fail
            place.clock.advance(61)
            await until(lambda: "websocket_not_checked" in caplog.text)
            roles.instead = None
            await anyio.to_thread.run_sync(lambda: client.post(LOGOUT, headers=FROM_HERE))
            place.clock.advance(11)
            await until(lambda: len(wire.sent) == 2)
        assert wire.sent == [ACCEPT, LOGGED_OUT]

    anyio.run(story, backend=backend)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_a_look_that_ends_the_process_ends_it(fx, error):
    roles = Roles()
    place = Place(fx, guarded(echo), roles=roles.of)
    cookie = cookie_of(place.visitor())

    async def fail() -> None:
        raise error

    async def story() -> None:
        async with running(place, cookie):
            roles.instead = fail
            place.clock.advance(61)
            await for_ever()

    with pytest.raises(error):
        asyncio.run(story())


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_loop_that_ends_during_a_look_counts_as_no_failure(fx, backend, caplog):
    roles = Roles()
    place = Place(fx, guarded(echo), roles=roles.of)
    cookie = cookie_of(place.visitor())

    async def story() -> None:
        async with running(place, cookie):
            roles.instead = for_ever
            place.clock.advance(61)
            await until(lambda: roles.asked == 2)

    anyio.run(story, backend=backend)
    assert "websocket_not_checked" not in caplog.text


def test_a_loop_of_asyncio_that_ends_before_the_application_counts_as_no_failure(fx, caplog):
    """`asyncio.run` cancels all tasks at once, and the application may take its time."""
    roles = Roles()

    async def talk(scope: Any, receive: Any, send: Any) -> None:
        roles.instead = for_ever
        place.clock.advance(61)
        try:
            await for_ever()
        except asyncio.CancelledError:
            for _ in range(10):
                await asyncio.sleep(0)
            raise

    place = Place(fx, guarded(talk), roles=roles.of)
    wire = Wire(cookie_of(place.visitor()))

    async def story() -> None:
        tasks.append(asyncio.create_task(place.app(wire.scope, wire.inbox.get, wire.send)))
        await until(lambda: roles.asked == 2)

    tasks: list[Any] = []
    asyncio.run(story())
    assert tasks[0].cancelled()
    assert "websocket_not_checked" not in caplog.text


# --- a guard in another thread ---


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("when", ["before it waits", "while it waits"])
@pytest.mark.parametrize("has_loop", [False, True], ids=["thread", "thread with a loop"])
def test_a_guard_in_a_thread_has_a_silent_socket_looked_at(fx, backend, when, has_loop):
    def ask(scope: Any) -> None:
        async def story() -> None:
            require_user(scope)

        asyncio.run(story()) if has_loop else require_user(scope)

    def make(room: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "websocket":
                return
            await receive()
            await send(ACCEPT)
            if when == "before it waits":
                await anyio.to_thread.run_sync(ask, scope)
                asked.append(True)
                await receive()
            else:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(receive)
                    await anyio.wait_all_tasks_blocked()
                    await anyio.to_thread.run_sync(ask, scope)
                    asked.append(True)

        return app

    asked: list[bool] = []
    place = Place(fx, make)
    client = place.visitor()
    cookie = cookie_of(client)

    async def story() -> None:
        async with running(place, cookie) as wire:
            await until(lambda: asked)
            await anyio.to_thread.run_sync(lambda: client.post(LOGOUT, headers=FROM_HERE))
            place.clock.advance(61)
            await until(lambda: len(wire.sent) == 2)
        assert wire.sent == [ACCEPT, LOGGED_OUT]

    anyio.run(story, backend=backend)


def test_a_socket_that_a_thread_accepts_is_looked_at_too(fx):
    """`run_coroutine_threadsafe(send(…), loop)` calls `send` in the thread."""

    def make(room: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                require_user(scope)
                loop = asyncio.get_running_loop()
                await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(send(ACCEPT), loop).result())
                await receive()
                await receive()

        return app

    place = Place(fx, make)
    client = place.visitor()
    cookie = cookie_of(client)

    async def story() -> None:
        async with running(place, cookie) as wire:
            await anyio.to_thread.run_sync(lambda: client.post(LOGOUT, headers=FROM_HERE))
            place.clock.advance(61)
            await until(lambda: len(wire.sent) == 2)
        assert wire.sent == [ACCEPT, LOGGED_OUT]

    anyio.run(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_look_has_the_context_variables_of_the_guard_in_a_thread(fx, backend):
    tenant: ContextVar[str] = ContextVar("tenant", default="nobody's")
    asked: list[str] = []

    class OfTenant(Members):
        async def load(self, identity: Identity, *, session: Any = None) -> str:
            asked.append(tenant.get())
            return identity.sub

    def ask(scope: Any) -> None:
        tenant.set("the first")
        require_user(scope)

    def make(room: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                await receive()
                await send(ACCEPT)
                await anyio.to_thread.run_sync(ask, scope)
                await scope["auth"].load_account(members, scope["user"].identity, None)
                await receive()

        return app

    members = OfTenant()
    place = Place(fx, make, linker=members)
    cookie = cookie_of(place.visitor())

    async def story() -> None:
        async with running(place, cookie):
            await until(lambda: asked)
            place.clock.advance(61)
            await until(lambda: len(asked) == 2)

    anyio.run(story, backend=backend)
    assert asked == ["nobody's", "the first"]


def test_without_a_loop_of_its_own_a_socket_is_looked_at_by_its_messages(fx):
    """Driven by hand, where only the guard has a loop."""

    def make(room: Any) -> Any:
        async def guard(scope: Any) -> None:
            require_user(scope)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                await receive()
                await send(ACCEPT)
                asyncio.run(guard(scope))
                await receive()

        return app

    place = Place(fx, make)
    client = place.visitor()
    sent = told(place, cookie_of(client), after_logout(place, client, 61))
    assert sent == [ACCEPT, LOGGED_OUT]


def test_a_guard_that_asks_when_the_loop_has_ended_starts_no_timer(fx):
    def make(room: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                await receive()
                await send(ACCEPT)
                await asyncio.Event().wait()

        return app

    place, context = Place(fx, make), copy_context()
    wire = Wire(cookie_of(place.visitor()))
    call = place.app(wire.scope, wire.inbox.get, wire.send)

    async def story() -> None:
        asyncio.get_running_loop().create_task(call, context=context)
        while not wire.sent:
            await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(story())
    loop.close()
    assert wire.scope["auth"].require_user().sub == "17"
    context.run(call.close)


def test_a_socket_that_has_ended_before_its_loop_hears_of_the_guard_gets_no_timer(fx, monkeypatch):
    timers: list[Any] = []
    monkeypatch.setattr(websocket, "start_timer", lambda *given: timers.append(given))

    def make(room: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                await receive()
                await send(ACCEPT)
                thread = threading.Thread(target=require_user, args=(scope,))
                thread.start()
                thread.join()
                await send({"type": "websocket.close", "code": 1000, "reason": ""})
                await asyncio.sleep(0)

        return app

    place = Place(fx, make)
    wire = Wire(cookie_of(place.visitor()))
    asyncio.run(place.app(wire.scope, wire.inbox.get, wire.send))
    assert [message["type"] for message in wire.sent] == ["websocket.accept", "websocket.close"]
    assert timers == []


def test_a_loop_is_told_from_another_one():
    async def story() -> tuple[Any, Any]:
        return loop_here(), loop_here()

    (one, same), (other, _) = asyncio.run(story()), asyncio.run(story())
    assert one == same
    assert one != other
    assert loop_here() is None
