"""What a guard requires beside a login is asked for at each look of an open websocket: by hand, without a timer."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.asgi_door.rooms import Place, cookie_of
from tests.asgi_door.test_open_websockets import Members
from tests.asgi_door.test_websocket_looks import after, told
from tests.tools.site import HTTPS_URI
from xwms_auth import ConfigError, XWMSConfig
from xwms_auth.asgi import current_account
from xwms_auth.starlette import XWMSAuthMiddleware, login_required, require

ACCEPTED = {"type": "websocket.accept", "subprotocol": None, "headers": []}
SAID = {"type": "websocket.send", "text": "said"}


def room(endpoint: Callable[[WebSocket], Any]) -> Callable[[Any], Any]:
    """An application that has one endpoint, for websockets."""

    def make(_room: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                socket = WebSocket(scope, receive, send)
                with suppress(WebSocketDisconnect):
                    await endpoint(socket)

        return app

    return make


def talking(*later: Callable[[WebSocket], Any]) -> Callable[[WebSocket], Any]:
    """Accepts, answers each message with "said", and before the answer does one of these."""

    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        for one in later:
            await socket.receive_text()
            await one(socket)
        await socket.receive()

    return talk


async def say(socket: WebSocket) -> None:
    await socket.send_text("said")


@pytest.mark.parametrize(
    ("guards", "times"),
    [
        ([], 0),
        ([{"domain": "example.org"}], 0),
        ([{"role": "a"}], 1),
        ([{"role": "a"}, {"role": "b"}], 1),
        ([{"role": "a"}, {"domain": "example.org"}, {"role": "b"}], 1),
    ],
)
def test_a_look_asks_for_the_roles_once_if_a_guard_wants_some(fx, guards, times):
    asked: list[object] = []

    async def roles(user: Any) -> set[str]:
        asked.append(user)
        return {"a", "b"}

    talk = talking(say, say)
    for guard in reversed(guards):
        talk = require(**guard)(talk)
    place = Place(fx, room(login_required(talk)), roles=roles)
    sent = told(place, cookie_of(place.visitor()), after(place, 0), asked.clear, after(place, 60))
    assert sent == [ACCEPTED, SAID, SAID]
    assert len(asked) == times


def test_the_application_goes_on_with_the_roles_of_the_last_look(fx):
    current = {"a"}

    async def roles(user: Any) -> set[str]:
        return set(current)

    talk = talking(say, require(role="b")(say))
    place = Place(fx, room(require(role="a")(talk)), roles=roles)

    def promote() -> None:
        current.add("b")
        place.clock.advance(60)

    assert told(place, cookie_of(place.visitor()), after(place, 0), promote) == [ACCEPTED, SAID, SAID]


@pytest.mark.parametrize("looks", [True, False])
def test_the_roles_of_an_outer_application_are_not_those_of_a_nested_one(fx, looks):
    async def of_outer(user: Any) -> set[str]:
        return {"outer"}

    async def of_inner(user: Any) -> set[str]:
        return {"inner"}

    inner = room(talking(say, require(role="outer")(say)))(None)
    options = {"redirect_uris": HTTPS_URI, "session_store": "memory://"}
    nested = XWMSAuthMiddleware(inner, XWMSConfig(**fx.options(**options)), roles=of_inner)

    @require(role="outer")
    async def within(socket: WebSocket) -> None:
        await nested(socket.scope, socket.receive, socket.send)

    place = Place(fx, room(within), roles=of_outer)
    sent = told(place, cookie_of(place.visitor()), after(place, 0), after(place, 60 if looks else 0))
    assert sent == [ACCEPTED, SAID, {"type": "websocket.close", "code": 1008, "reason": "not_allowed"}]


def test_roles_that_fail_by_a_setting_end_the_socket_after_a_minute_as_any_failure(fx, caplog):
    fails = False

    async def roles(user: Any) -> set[str]:
        if fails:
            raise ConfigError(["the test says so"])
        return {"a"}

    def fail() -> None:
        nonlocal fails
        fails = True
        place.clock.advance(60)

    place = Place(fx, room(require(role="a")(talking(*[say] * 4))), roles=roles)
    sent = told(place, cookie_of(place.visitor()), after(place, 0), fail, after(place, 59), after(place, 1))
    assert sent == [ACCEPTED, SAID, SAID, SAID, {"type": "websocket.close", "code": 1011, "reason": "config"}]
    assert caplog.text.count("websocket_not_checked") == 1


def test_an_account_that_is_as_it_was_is_worth_no_word(fx, caplog):
    members = Members()

    async def account(socket: WebSocket) -> None:
        assert await current_account(socket.scope, members) == "17"
        await talking(say, say)(socket)

    place = Place(fx, room(account), linker=members)
    sent = told(place, cookie_of(place.visitor()), after(place, 0), after(place, 60))
    assert sent == [ACCEPTED, SAID, SAID]
    assert members.loads == 2
    assert "websocket_not_checked" not in caplog.text
