"""Open websockets that end, or whose session changes, at the very moment of a look; and loops that have no timer."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import nullcontext, suppress
from typing import Any

import pytest
import trio
from starlette.applications import Starlette
from starlette.exceptions import WebSocketException
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

import xwms_auth.starlette
from tests.asgi_door.rooms import ORIGIN, Place, cookie_of, echo, end_of, enter, without_framework
from tests.asgi_door.test_open_websockets import Members
from tests.asgi_door.test_open_websockets_on_servers import SlowStore, Wire, running
from tests.oauth2.fake_as import TOKEN, USERINFO, FakeAS
from tests.tools.clock import Clock
from tests.tools.fake_xwms import person
from tests.tools.faults import envelope
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, LOGIN, LOGOUT
from xwms_auth import Identity, NotAllowed, StoreUnavailable, XWMSConfig
from xwms_auth.starlette import XWMSAuthMiddleware, current_account, login_required
from xwms_auth.stores import MemoryStore

ACCEPTED = {"type": "websocket.accept", "subprotocol": None, "headers": []}
LOGGED_OUT = {"type": "websocket.close", "code": 4401, "reason": "login_required"}
END = {"type": "websocket.disconnect", "code": 4401, "reason": "login_required"}


def guarded_by(endpoint: Callable[[WebSocket], Coroutine[Any, Any, None]]) -> Callable[[Any], Any]:
    return lambda room: Starlette(routes=[WebSocketRoute("/room", login_required(endpoint))])


async def until(is_so: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not is_so():
            await asyncio.sleep(0.001)


@pytest.fixture
def no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens is done by messages: the timer comes too late."""
    monkeypatch.setattr("xwms_auth._core.adapters.asgi.websocket.OTHER_CLOCK", 3600)


# --- the application ---


def test_an_application_that_was_busy_gets_the_end_when_it_asks_and_again_when_the_server_has_it(fx):
    got: list[Any] = []

    async def busy(socket: WebSocket) -> None:
        await socket.accept()
        await until(lambda: len(wire.sent) == 2)
        got.append(await socket._receive())
        wire.inbox.put_nowait({"type": "websocket.receive", "text": "x"})
        wire.inbox.put_nowait({"type": "websocket.disconnect", "code": 1006, "reason": ""})
        got.append(await socket._receive())

    place = Place(fx, guarded_by(busy))
    client = place.visitor()
    wire = Wire(cookie_of(client))

    async def story() -> None:
        async with running(place, wire) as task:
            client.post(LOGOUT, headers=FROM_HERE)
            place.clock.advance(61)
            await asyncio.wait_for(task, 10)

    asyncio.run(story())
    assert wire.sent == [ACCEPTED, LOGGED_OUT]
    assert got == [END, END]


def test_whoever_catches_the_refusal_and_goes_on_listening_is_closed_by_what_it_sends(fx):
    async def deaf(socket: WebSocket) -> None:
        await socket.accept()
        with pytest.raises(WebSocketException):
            xwms_auth.starlette.require_user(socket)
        await socket.send_text(await socket.receive_text())

    place = Place(fx, lambda room: Starlette(routes=[WebSocketRoute("/room", deaf)]))
    wire = Wire("")
    wire.inbox.put_nowait({"type": "websocket.receive", "text": "a secret"})
    asyncio.run(place.app(wire.scope, wire.inbox.get, wire.send))
    assert [message["type"] for message in wire.sent] == ["websocket.accept", "websocket.close"]
    assert "secret" not in str(wire.sent)


@pytest.mark.parametrize("logged_out", [False, True])
@pytest.mark.usefixtures("no_timer")
def test_an_application_that_only_sends_is_looked_at_before_what_it_sends(fx, logged_out):
    async def pushing(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("at first")
        if logged_out:
            client.post(LOGOUT, headers=FROM_HERE)
        place.clock.advance(61)
        with pytest.raises(WebSocketDisconnect) if logged_out else nullcontext():
            await socket.send_text("later")

    place = Place(fx, guarded_by(pushing))
    client = place.visitor()
    wire = Wire(cookie_of(client))
    asyncio.run(place.app(wire.scope, wire.inbox.get, wire.send))
    said = [{"type": "websocket.send", "text": text} for text in ("at first", "later")]
    assert wire.sent == [ACCEPTED, said[0], LOGGED_OUT if logged_out else said[1]]


@pytest.mark.parametrize("outcome", ["goes on", "has ended", "nobody knows"])
@pytest.mark.usefixtures("no_timer")
def test_a_socket_that_the_application_closes_during_a_look_is_closed_once(fx, outcome, caplog):
    class Store(SlowStore):
        async def _late(self, found):
            found = await super()._late(found)
            if outcome == "nobody knows":
                raise StoreUnavailable("the test says so")
            return None if outcome == "has ended" else found

    got: list[Any] = []

    async def leaving(socket: WebSocket) -> None:
        await socket.accept()
        reader = asyncio.ensure_future(socket._receive())
        await until(lambda: store.is_looking)
        await socket.close()
        store.may_go_on.set()
        got.append(await reader)

    store = Store()
    place = Place(fx, guarded_by(leaving), session_store=store)
    wire = Wire(cookie_of(place.visitor()))

    async def story() -> None:
        async with running(place, wire) as task:
            store.is_slow = True
            place.clock.advance(61)
            wire.inbox.put_nowait({"type": "websocket.receive", "text": "the last"})
            await asyncio.wait_for(task, 10)

    asyncio.run(story())
    assert wire.sent == [ACCEPTED, {"type": "websocket.close", "code": 1000, "reason": ""}]
    assert got == [{"type": "websocket.receive", "text": "the last"}]
    assert "websocket_" not in caplog.text


def test_a_look_of_the_timer_ends_with_its_socket(fx, caplog):
    async def leaving(socket: WebSocket) -> None:
        await socket.accept()
        await until(lambda: store.is_looking)
        await socket.close()

    store = SlowStore()
    place = Place(fx, guarded_by(leaving), session_store=store)
    wire = Wire(cookie_of(place.visitor()))

    async def story() -> None:
        async with running(place, wire) as task:
            store.is_slow = True
            place.clock.advance(61)
            await asyncio.wait_for(task, 10)
            await until(lambda: not store.is_looking)  # it was cancelled, since nothing lets it go on
            await until(lambda: len(asyncio.all_tasks()) == 1)

    asyncio.run(story())
    assert wire.sent == [ACCEPTED, {"type": "websocket.close", "code": 1000, "reason": ""}]
    assert "websocket_" not in caplog.text


# --- what is looked at ---


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (NotAllowed("blocked"), (4403, "not_allowed")),
        (StoreUnavailable("down"), (1013, "store_unavailable")),
        (RuntimeError("broken"), (1011, "internal_error")),
    ],
)
def test_roles_that_are_refused_close_the_socket_and_those_that_nobody_knows_do_so_after_a_minute(fx, error, end):
    raises: list[Exception] = []

    async def roles(user: Any) -> set[str]:
        if raises:
            raise raises[0]
        return {"editor"}

    def make(room: Any) -> Any:
        guarded = xwms_auth.starlette.require(role="editor")(login_required(room.talk))
        return Starlette(routes=[WebSocketRoute("/room", guarded)])

    place = Place(fx, make, roles=roles)
    with enter(place.visitor()) as socket:
        assert echo(socket) == "hello 17"
        raises.append(error)
        place.clock.advance(61)
        if end[0] != 4403:
            assert echo(socket) == "hello 17"
            place.clock.advance(61)
        socket.send_text("too late")
        assert end_of(socket) == end


class NumberedMembers(Members):
    """The second loading waits for the test, and fails."""

    def __init__(self) -> None:
        super().__init__()
        self.may_fail = asyncio.Event()

    async def load(self, identity: Identity, *, session: Any = None) -> str:
        sub = await super().load(identity, session=session)
        number = self.loads
        if number == 2:
            await self.may_fail.wait()
            raise StoreUnavailable("the test says so")
        return f"{sub}, loaded as number {number}"


def test_an_account_that_the_application_loads_during_a_look_that_fails_is_kept(fx, caplog):
    members, found = NumberedMembers(), list[Any]()

    async def endpoint(socket: WebSocket) -> None:
        found.append(await current_account(socket, members))
        await socket.accept()
        await until(lambda: members.loads == 2)
        found.append(await current_account(socket, members))
        members.may_fail.set()
        await until(lambda: "websocket_not_checked" in caplog.text)
        found.append(await current_account(socket, members))
        members.blocked = True
        place.clock.advance(61)
        await until(lambda: len(wire.sent) == 2)

    place = Place(fx, guarded_by(endpoint), linker=members)
    wire = Wire(cookie_of(place.visitor()))

    async def story() -> None:
        async with running(place, wire) as task:
            place.clock.advance(61)
            await asyncio.wait_for(task, 10)

    asyncio.run(story())
    assert found == ["17, loaded as number 1", *["17, loaded as number 3"] * 2]
    assert wire.sent == [ACCEPTED, {"type": "websocket.close", "code": 4401, "reason": "not_allowed"}]


@pytest.mark.usefixtures("no_timer")
def test_what_xwms_says_at_a_look_is_saved_for_other_processes(fx):
    fx.answer("get/user/info", envelope({"user": person("17")}))
    store = MemoryStore()
    place = Place(fx, session_store=store, recheck=60)
    client = place.visitor()
    with enter(client) as socket:
        place.clock.advance(61)
        assert echo(socket) == "hello 17"
        assert fx.calls("get/user/info") == 1
    elsewhere = Place(fx, session_store=store, recheck=60, clock=place.clock)
    other = TestClient(elsewhere.app, base_url=ORIGIN, cookies=client.cookies)
    with enter(other) as socket:
        place.clock.advance(30)
        assert echo(socket) == "hello 17"
        assert other.get("/xwms/me").json()["user"]["sub"] == "17"
    assert fx.calls("get/user/info") == 1


@pytest.fixture
def server() -> Any:
    with FakeAS() as server:
        yield server


def with_tokens(server: FakeAS, make: Callable[[Any], Any] = without_framework, **options: Any) -> tuple[Place, Any]:
    """The room, and a visitor whose session has the tokens of an OAuth server."""
    place = Place(server, make, recheck=60, **options)
    client = TestClient(place.app, base_url=ORIGIN, follow_redirects=False)
    consented = server.consent(client.get(LOGIN, headers=FROM_HERE).headers["location"], sub="17")
    assert client.get(CALLBACK, headers=FROM_ELSEWHERE, params=consented).status_code == 303
    return place, client


@pytest.mark.more_packages  # Authlib
@pytest.mark.parametrize("nested", [False, True], ids=["one", "nested"])
@pytest.mark.parametrize("logs_out", [False, True], ids=["lifetime", "logout"])
@pytest.mark.usefixtures("no_timer")
def test_a_session_with_its_tokens_in_the_cookie_is_looked_at_without_asking_the_server(server, nested, logs_out):
    """No answer could carry new tokens to the browser. Its limits count all the same, a nested application's too."""
    options = {"session_store": "cookie", "session_lifetime": 7200}

    def make(room: Any) -> Any:
        app = without_framework(room)
        inner = {**options, "redirect_uris": f"{ORIGIN}{CALLBACK}", "session_lifetime": 3600, "recheck": 60}
        return XWMSAuthMiddleware(app, XWMSConfig(**server.options(**inner))) if nested else app

    place, client = with_tokens(server, make, **options)
    asked = server.calls(TOKEN), server.calls(USERINFO)
    with enter(client) as socket:
        for seconds in (100, 900, 1000, 1000):  # the access token lives for 300 seconds
            place.clock.advance(seconds)
            assert echo(socket) == "hello 17"
        if logs_out:
            client.post(LOGOUT, headers=FROM_HERE)
            place.clock.advance(61)
        else:
            place.clock.advance(1000)
            if not nested:
                assert echo(socket) == "hello 17"
                place.clock.advance(3300)
        socket.send_text("too late")
        assert end_of(socket) == (4401, "login_required")
    assert (server.calls(TOKEN), server.calls(USERINFO)) == asked


async def late(socket: WebSocket) -> None:
    """Accepts, and asks for its guard then; whatever it says, it goes on listening."""
    await socket.accept()
    with suppress(WebSocketException):
        xwms_auth.starlette.require_user(socket)
    with suppress(WebSocketDisconnect):
        while True:
            await socket.receive_text()


@pytest.mark.more_packages  # Authlib
@pytest.mark.parametrize("kind", ["one", "nested", "nested and too old"])
@pytest.mark.usefixtures("no_timer")
def test_a_websocket_uses_up_no_refresh_token_that_is_in_the_cookie(server, kind):
    """Neither its handshake, wherever it leads, nor a look: the browser would keep the one that has been used."""
    server.tokens = {"refresh_token": "a-refresh-token-0123456789"}
    options = {"session_store": "cookie", "session_lifetime": 7200}

    def make(room: Any) -> Any:
        app = Starlette(routes=[WebSocketRoute("/room", late)]) if kind == "nested and too old" else echoing(room)
        lifetime = 100 if kind == "nested and too old" else 3600
        inner = {**options, "redirect_uris": f"{ORIGIN}{CALLBACK}", "session_lifetime": lifetime, "recheck": 60}
        return XWMSAuthMiddleware(app, XWMSConfig(**server.options(**inner)), clock=clock)

    clock, echoing = Clock(), without_framework
    _, client = with_tokens(server, echoing if kind == "one" else make, clock=clock, **options)
    clock.advance(310)  # the access token has expired
    asked = server.calls(TOKEN), server.calls(USERINFO)
    with enter(client) as socket:
        for _ in range(2):
            clock.advance(61)
            socket.send_text("hello")
        if kind == "nested and too old":
            assert end_of(socket) == (4401, "login_required")
        else:
            assert socket.receive_text() == "hello 17"
    assert (server.calls(TOKEN), server.calls(USERINFO)) == asked


@pytest.mark.more_packages  # Authlib
@pytest.mark.usefixtures("no_timer")
def test_of_a_session_with_its_tokens_in_a_store_the_server_is_asked(server):
    place, client = with_tokens(server)
    before = server.calls(USERINFO)
    with enter(client) as socket:
        place.clock.advance(100)
        assert echo(socket) == "hello 17"
    assert server.calls(USERINFO) == before + 1


@pytest.mark.parametrize("says", [False, True], ids=["silent", "says something"])
def test_a_guard_behind_the_accepting_is_looked_at_without_a_message_and_before_the_first(fx, says):
    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        xwms_auth.starlette.require_user(socket)
        client.post(LOGOUT, headers=FROM_HERE)
        place.clock.advance(61)
        with suppress(WebSocketDisconnect):
            if says:
                await socket.send_text("for members only")
            await socket.receive_text()

    place = Place(fx, lambda room: Starlette(routes=[WebSocketRoute("/room", endpoint)]))
    client = place.visitor()
    with enter(client) as socket:
        assert end_of(socket) == (4401, "login_required")


@pytest.mark.usefixtures("no_timer")
def test_of_a_session_without_tokens_in_the_cookie_xwms_is_asked(fx):
    fx.answer("get/user/info", envelope({"user": person("17")}))
    place = Place(fx, session_store="cookie", recheck=60)
    with enter(place.visitor()) as socket:
        place.clock.advance(100)
        assert echo(socket) == "hello 17"
    assert fx.calls("get/user/info") == 1


@pytest.mark.usefixtures("no_timer")
def test_a_look_is_no_sign_that_the_person_is_active_even_if_it_changes_the_session(fx):
    fx.answer("get/user/info", *[envelope({"user": person("17")})] * 9)
    place = Place(fx, recheck=60, session_idle=600)
    with enter(place.visitor()) as socket:
        for _ in range(9):
            place.clock.advance(61)
            assert echo(socket) == "hello 17"
        place.clock.advance(61)
        socket.send_text("too late")
        assert end_of(socket) == (4401, "login_required")
    assert fx.calls("get/user/info") == 9


# --- event loops ---


def conversation(place: Place, cookie: str, *, between: Callable[[], object]) -> tuple[Any, list[Any]]:
    """The application's call for a socket that says something before and after, and what is sent meanwhile."""
    sent: list[Any] = []
    said = iter(["hello", "and on"])

    async def receive() -> Any:
        if not sent:
            return {"type": "websocket.connect"}
        if (text := next(said)) == "and on":
            between()
        return {"type": "websocket.receive", "text": text}

    async def send(message: Any) -> None:
        sent.append(message)

    return place.app(Wire(cookie).scope, receive, send), sent


@pytest.mark.parametrize("loop", ["trio", "neither", "neither, and trio is not there"])
@pytest.mark.usefixtures("no_timer")
def test_on_every_loop_a_message_is_looked_at_before_it_is_handed_over(fx, loop, monkeypatch):
    place = Place(fx, without_framework)
    client = place.visitor()

    def log_out() -> None:
        client.post(LOGOUT, headers=FROM_HERE)
        place.clock.advance(61)

    call, sent = conversation(place, cookie_of(client), between=log_out)
    if loop == "trio":

        async def story() -> None:
            await call

        trio.run(story)
    else:
        if "not there" in loop:
            monkeypatch.delitem(sys.modules, "trio")
        with pytest.raises(StopIteration):
            call.send(None)
    assert sent == [ACCEPTED, {"type": "websocket.send", "text": "hello 17"}, LOGGED_OUT]
    assert place.room.heard == ["hello"]


def test_on_trio_whoever_gives_up_waiting_during_a_look_gets_the_message_the_next_time(fx):
    heard: list[str] = []
    looking, may_go_on = trio.Event(), trio.Event()

    class Store(MemoryStore):
        is_slow = False

        def recall(self, handle, *, now):
            return None

        def load(self, handle, *, now):
            found = super().load(handle, now=now)
            return self._late(found) if self.is_slow else found

        async def _late(self, found: Any) -> Any:
            self.is_slow = False
            looking.set()
            await may_go_on.wait()
            return found

    async def impatient(socket: WebSocket) -> None:
        await socket.accept()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(socket.receive_text)
            await looking.wait()
            nursery.cancel_scope.cancel()
        may_go_on.set()
        heard.append(await socket.receive_text())

    store = Store()
    place = Place(fx, guarded_by(impatient), session_store=store)
    sent: list[Any] = []
    cookie = cookie_of(place.visitor())

    async def receive() -> Any:
        if not sent:
            return {"type": "websocket.connect"}
        store.is_slow = True
        place.clock.advance(61)
        return {"type": "websocket.receive", "text": "kept"}

    async def send(message: Any) -> None:
        sent.append(message)

    trio.run(place.app, Wire(cookie).scope, receive, send)
    assert heard == ["kept"]
