"""An open websocket behind a guard is looked at again, and closed with 4401 when its session has ended."""

import asyncio
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

import xwms_auth.asgi
import xwms_auth.fastapi
import xwms_auth.starlette
from tests.asgi_door.rooms import (
    APPS,
    Place,
    Room,
    echo,
    end_of,
    enter,
    with_decorator,
)
from tests.tools.site import FROM_HERE, HTTPS_URI, LOGOUT, log_in
from xwms_auth import Identity, NotAllowed, StoreUnavailable, User, XWMSConfig
from xwms_auth.accounts import Linked
from xwms_auth.starlette import XWMSAuthMiddleware, login_required
from xwms_auth.stores import MemoryStore


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


def test_the_shorter_limits_of_a_nested_application_count_at_the_handshake_too(fx):
    def make(room: Room) -> Any:
        inner = XWMSConfig(**fx.options(redirect_uris=HTTPS_URI, session_store="memory://", session_lifetime=600))
        return XWMSAuthMiddleware(with_decorator(room), inner, clock=lambda: place.clock())

    place = Place(fx, make)
    client = place.visitor()
    place.clock.advance(599)
    with enter(client) as socket:
        assert echo(socket) == "hello 17"
    place.clock.advance(1)
    with pytest.raises(WebSocketDisconnect) as refused, enter(client):
        pass
    assert (refused.value.code, refused.value.reason) == (1008, "login_required")


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


@pytest.mark.parametrize(
    ("outer", "inner", "end"),
    [
        ({"staff"}, {"editor"}, None),
        (set(), {"editor", "staff"}, 4403),
        ({"staff", "editor"}, {"staff"}, 4403),
    ],
)
def test_the_roles_of_a_guard_are_those_of_the_application_it_is_in(fx, outer, inner, end):
    roles: dict[str, set[str]] = {"outer": {"staff"}, "inner": {"editor"}}

    def make(room: Room) -> Any:
        config = XWMSConfig(**fx.options(redirect_uris=HTTPS_URI, session_store="memory://"))
        within = XWMSAuthMiddleware(
            Starlette(routes=[WebSocketRoute("/room", xwms_auth.starlette.require(role="editor")(room.talk))]),
            config,
            roles=lambda user: roles["inner"],
        )

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "websocket" or not await xwms_auth.asgi.refuse(scope, receive, send, role="staff"):
                await within(scope, receive, send)

        return app

    place = Place(fx, make, roles=lambda user: roles["outer"])
    with enter(place.visitor()) as socket:
        assert echo(socket) == "hello 17"
        roles.update(outer=outer, inner=inner)
        place.clock.advance(61)
        if end is None:
            assert echo(socket) == "hello 17"
        else:
            assert end_of(socket) == (end, "not_allowed")


# --- what must not end the looks ---


def test_a_clock_that_was_set_back_does_not_put_the_look_off(fx):
    place = Place(fx)
    client = place.visitor()
    with enter(client) as socket:
        place.clock.advance(7200)
        assert echo(socket) == "hello 17"
        client.post(LOGOUT, headers=FROM_HERE)
        place.clock.advance(-3600)
        assert end_of(socket) == (4401, "login_required")


def test_a_clock_that_was_set_back_does_not_lengthen_the_minute_without_a_store(fx):
    store = CountingStore()
    place = Place(fx, session_store=store)
    with enter(place.visitor()) as socket:
        store.down = True
        place.clock.advance(61)
        assert echo(socket) == "hello 17"
        before = store.looks
        place.clock.advance(-3600)
        wait_until(lambda: store.looks > before)
        place.clock.advance(61)
        assert end_of(socket) == (1013, "store_unavailable")


def wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not is_so() and time.monotonic() < until:
        time.sleep(0.01)
    assert is_so()


def test_roles_are_asked_for_with_the_context_variables_of_the_socket(fx):
    tenant: ContextVar[str] = ContextVar("tenant", default="nobody's")
    asked: list[str] = []

    def roles(user: Any) -> set[str]:
        asked.append(tenant.get())
        return {"editor"} if tenant.get() == "the first" else set()

    def make(room: Room) -> Any:
        async def endpoint(socket: WebSocket) -> None:
            tenant.set("the first")
            await xwms_auth.starlette.require(role="editor")(login_required(room.talk))(socket)

        return Starlette(routes=[WebSocketRoute("/room", endpoint)])

    place = Place(fx, make, roles=roles)
    with enter(place.visitor()) as socket:
        assert echo(socket) == "hello 17"
        place.clock.advance(61)
        wait_until(lambda: len(asked) > 1)
        assert echo(socket) == "hello 17"
    assert set(asked) == {"the first"}


@pytest.mark.parametrize("messages", [True, False], ids=["messages", "silent"])
def test_roles_that_wait_for_something_cancelled_do_not_end_the_looks(fx, messages, caplog):
    cancelled = False

    async def roles(user: Any) -> set[str]:
        if cancelled:
            shared: asyncio.Future[set[str]] = asyncio.get_running_loop().create_future()
            shared.cancel()
            return await shared
        return {"editor"}

    place = Place(
        fx,
        lambda room: Starlette(
            routes=[WebSocketRoute("/room", xwms_auth.starlette.require(role="editor")(login_required(room.talk)))]
        ),
        roles=roles,
    )
    with enter(place.visitor()) as socket:
        assert echo(socket) == "hello 17"
        cancelled = True
        place.clock.advance(61)
        if messages:
            assert echo(socket) == "hello 17"
        else:
            wait_until(lambda: "websocket_not_checked" in caplog.text)
        place.clock.advance(61)
        assert end_of(socket) == (1011, "internal_error")


class Members:
    """Accounts in memory. One may be blocked, and loading it may fail."""

    def __init__(self) -> None:
        self.blocked = False
        self.fails: Callable[[], BaseException] | None = None
        self.loads = 0

    def sign_in(self, user: User) -> Linked:
        return Linked(key=user.sub)

    def link(self, user: User, key: str) -> Linked:
        return Linked(key=key)

    def refresh(self, user: User) -> None:
        return None

    def find(self, identity: Identity) -> str:
        return identity.sub

    def key_of(self, account: object) -> str:
        return str(account)

    async def load(self, identity: Identity, *, session: Any = None) -> str:
        self.loads += 1
        if self.fails is not None:
            raise self.fails()
        if self.blocked:
            raise NotAllowed("the account is blocked")
        return identity.sub


@pytest.mark.parametrize(
    "fails",
    [lambda: StoreUnavailable("down"), RuntimeError, asyncio.CancelledError],
    ids=["down", "broken", "cancelled"],
)
def test_an_account_that_could_not_be_loaded_once_is_asked_for_again(fx, fails):
    members = Members()

    def make(room: Room) -> Any:
        async def endpoint(socket: WebSocket) -> None:
            await xwms_auth.starlette.current_account(socket, members)
            await room.talk(socket)

        return Starlette(routes=[WebSocketRoute("/room", endpoint)])

    place = Place(fx, make, linker=members)
    with enter(place.visitor()) as socket:
        assert echo(socket) == "hello 17"
        members.fails = fails
        place.clock.advance(61)
        assert echo(socket) == "hello 17"
        members.fails, members.blocked = None, True
        place.clock.advance(11)
        assert end_of(socket) == (4401, "not_allowed")
