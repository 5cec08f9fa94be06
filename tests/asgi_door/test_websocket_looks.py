"""When an open websocket is looked at, to the second, and what it is told: by hand, without a loop or a timer."""

import itertools
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.asgi_door.rooms import Place, cookie_of, without_framework
from tests.asgi_door.test_ending_websockets import ACCEPTED, END, LOGGED_OUT
from tests.asgi_door.test_open_websockets import CountingStore, Members
from tests.asgi_door.test_open_websockets_on_servers import Wire
from tests.tools.site import FROM_HERE, HTTPS_URI, LOGOUT
from xwms_auth import LoginRequired, NotAllowed, StoreUnavailable, XWMSConfig
from xwms_auth.asgi import current_account, require_user
from xwms_auth.starlette import XWMSAuthMiddleware

SAID = {"type": "websocket.send", "text": "x 17"}
DOWN = {"type": "websocket.close", "code": 1013, "reason": "store_unavailable"}


def told(place: Place, cookie: str, *before: Callable[[], object]) -> list[Any]:
    """What is sent to a visitor who says something after each of these calls, until they leave after the last."""
    sent: list[Any] = []
    has_left = False
    steps = iter(before)

    async def receive() -> Any:
        nonlocal has_left
        if not sent:
            return {"type": "websocket.connect"}
        if (step := next(steps, None)) is None:
            has_left = True
            return {"type": "websocket.disconnect", "code": 1001, "reason": ""}
        step()
        return {"type": "websocket.receive", "text": "x"}

    async def send(message: Any) -> None:
        if not has_left:
            sent.append(message)

    with pytest.raises(StopIteration):
        place.app(Wire(cookie).scope, receive, send).send(None)
    return sent


def after(place: Place, seconds: int) -> Callable[[], object]:
    return lambda: place.clock.advance(seconds)


def after_logout(place: Place, client: TestClient, seconds: int) -> Callable[[], object]:
    """The visitor logs out, and so much time goes by."""

    def log_out() -> None:
        client.post(LOGOUT, headers=FROM_HERE)
        place.clock.advance(seconds)

    return log_out


@pytest.mark.parametrize(
    ("outer", "inner", "interval"), [(60, 60, 60), (30, 50, 30), (50, 30, 30), (0, 40, 40), (40, 0, 40), (0, 0, None)]
)
@pytest.mark.parametrize("before", [0, 1000], ids=["at first", "later"])
def test_the_shortest_interval_of_the_nested_applications_counts(fx, outer, inner, interval, before):
    def make(room: Any) -> Any:
        options = {"redirect_uris": HTTPS_URI, "session_store": "memory://", "websocket_recheck": inner}
        return XWMSAuthMiddleware(without_framework(room), XWMSConfig(**fx.options(**options)))

    place = Place(fx, make, websocket_recheck=outer)
    client = place.visitor()

    log_out = after_logout(place, client, (interval or 100_000) - 1)
    seen = told(place, cookie_of(client), after(place, before), log_out, after(place, 1))
    assert seen == [ACCEPTED, SAID, SAID, LOGGED_OUT if interval else SAID]
    assert len(place.room.heard) == (2 if interval else 3)


@pytest.mark.parametrize("listens", [True, False], ids=["listens", "sends"])
def test_an_application_that_has_its_guard_only_after_accepting_is_looked_at_too(fx, listens):
    got: list[Any] = []

    def make(room: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.accept"})
                require_user(scope)
                for before in (after(place, 1000), after(place, 59), log_out):
                    if listens:
                        got.append(await receive())
                    else:
                        before()
                        await send(SAID)

        return app

    place = Place(fx, make)
    client = place.visitor()

    log_out = after_logout(place, client, 1)
    sent = told(place, cookie_of(client), after(place, 1000), after(place, 59), log_out)[1:]
    assert sent == ([LOGGED_OUT] if listens else [SAID, SAID, LOGGED_OUT])
    assert [message["type"].partition(".")[2] for message in got] == ["receive", "receive", "disconnect"] * listens


@pytest.mark.parametrize("is_down", [True, False], ids=["nobody knows", "nobody"])
def test_a_socket_that_no_guard_has_let_in_is_left_to_its_application(fx, is_down):
    store, got = CountingStore(), list[Any]()

    def make(room: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                with pytest.raises(StoreUnavailable if is_down else LoginRequired):
                    require_user(scope)
                await receive()
                await send({"type": "websocket.accept"})
                got.extend([await receive() for _ in range(3)])

        return app

    place = Place(fx, make, session_store=store)
    cookie = cookie_of(place.visitor()) if is_down else ""
    store.down = is_down
    told(place, cookie, after(place, 0), after(place, 3600))
    assert [message["type"].partition(".")[2] for message in got] == ["receive", "receive", "disconnect"]
    assert got[-1]["code"] == 1001


@pytest.mark.parametrize(
    ("accepted_after", "sent"),
    [
        (0, [{"type": "websocket.accept"}, SAID, LOGGED_OUT]),
        (59, [{"type": "websocket.accept"}, SAID, LOGGED_OUT]),
        (60, [LOGGED_OUT]),
        (3600, [LOGGED_OUT]),
    ],
)
def test_the_first_look_comes_an_interval_after_the_handshake_whenever_the_socket_is_accepted(fx, accepted_after, sent):
    def make(room: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                require_user(scope)
                await receive()
                client.post(LOGOUT, headers=FROM_HERE)
                place.clock.advance(accepted_after)
                await send({"type": "websocket.accept"})
                while (await receive())["type"] == "websocket.receive":
                    await send(SAID)

        return app

    place = Place(fx, make)
    client = place.visitor()
    assert told(place, cookie_of(client), after(place, max(59 - accepted_after, 0)), after(place, 1)) == sent


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_guard_that_asks_long_after_the_handshake_is_looked_at_with_the_next_message(fx, tmp_path, kind):
    """What it finds may be as old as the handshake, where a store is looked up ahead of the application."""
    store = "memory://" if kind == "memory" else f"sqlite:///{tmp_path}/sessions.sqlite3"

    def make(room: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.accept"})
                await receive()
                with suppress(LoginRequired):
                    require_user(scope)
                await send(SAID)

        return app

    place = Place(fx, make, session_store=store)
    client = place.visitor()

    log_out = after_logout(place, client, 3600)
    assert [message["type"] for message in told(place, cookie_of(client), log_out)] == [
        "websocket.accept",
        "websocket.close",
    ]


def test_whoever_asks_again_after_the_end_gets_it_again_once_the_server_has_it_and_no_message_before(fx):
    got, said = list[Any](), list[str]()

    def make(room: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                require_user(scope)
                await receive()
                await send({"type": "websocket.accept"})
                for _ in range(2):
                    got.append((await receive(), list(said)))

        return app

    place = Place(fx, make)
    client = place.visitor()

    log_out = after_logout(place, client, 60)
    told(place, cookie_of(client), log_out, lambda: said.append("one"), lambda: said.append("two"))
    assert got == [(END, []), (END, ["one", "two"])]


def test_nobody_looks_after_a_socket_that_was_refused_while_it_was_open(fx, caplog):
    caplog.set_level("INFO", "xwms_auth")
    members, got = Members(), list[Any]()
    members.blocked = True

    def make(room: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                require_user(scope)
                await receive()
                await send({"type": "websocket.accept"})
                with pytest.raises(NotAllowed):
                    await current_account(scope, members)
                await send(SAID)
                got.extend([await receive(), await receive()])

        return app

    place = Place(fx, make, linker=members)
    client = place.visitor()

    log_out = after_logout(place, client, 60)
    refused = {"type": "websocket.close", "code": 1008, "reason": "not_allowed"}
    assert told(place, cookie_of(client), log_out)[1:] == [refused]
    assert [message["type"].partition(".")[2] for message in got] == ["receive", "disconnect"]
    assert "websocket_closed" not in caplog.text


def test_a_store_that_is_down_is_asked_again_every_ten_seconds_and_the_socket_ends_after_a_minute(fx, caplog):
    caplog.set_level("INFO", "xwms_auth")
    store = CountingStore()
    place = Place(fx, without_framework, session_store=store)
    cookie = cookie_of(place.visitor())
    looks: list[int] = []
    seconds = (0, 60, 9, 1, 9, 1, 39, 1, 1)

    def step(number: int) -> Callable[[], object]:
        def before() -> None:
            store.down = number > 0
            looks.append(store.looks)
            place.clock.advance(seconds[number])

        return before

    assert told(place, cookie, *map(step, range(len(seconds)))) == [ACCEPTED, *[SAID] * 7, DOWN]
    looks.append(store.looks)
    # The last look is in time for the end of the minute, however soon after the one before.
    assert [later - before for before, later in itertools.pairwise(looks)] == [0, 1, 0, 1, 0, 1, 1, 1]
    assert re.findall(r"(websocket_\w+) (.*)", caplog.text) == [
        ("websocket_not_checked", "cause='the test says so'"),
        ("websocket_closed", "code=1013 reason=store_unavailable path='/room'"),
    ]


@pytest.mark.parametrize("interval", [5, 60])
def test_after_a_failure_the_next_look_comes_no_later_than_usual(fx, interval):
    store = CountingStore()
    place = Place(fx, without_framework, session_store=store, websocket_recheck=interval)
    again = min(interval, 10)

    def fail() -> None:
        store.down = True
        place.clock.advance(interval)

    def recover() -> None:
        store.down = False
        place.clock.advance(again - 1)
        looks.append(store.looks)

    def look() -> None:
        looks.append(store.looks)
        place.clock.advance(1)

    looks: list[int] = []
    told(place, cookie_of(place.visitor()), fail, recover, look, lambda: looks.append(store.looks))
    assert [one - looks[0] for one in looks] == [0, 0, 1]


def test_a_store_that_was_down_before_has_a_minute_again(fx, caplog):
    store = CountingStore()
    place = Place(fx, without_framework, session_store=store)

    def turn(*, down: bool) -> Callable[[], object]:
        def before() -> None:
            store.down = down
            place.clock.advance(60)

        return before

    before = [turn(down=down) for down in (True, False, True)]
    assert told(place, cookie_of(place.visitor()), *before, after(place, 59)) == [ACCEPTED, *[SAID] * 4]
    assert caplog.text.count("websocket_not_checked") == 2
