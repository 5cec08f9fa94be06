"""What an ASGI server is told of a websocket whose application fails, by hand."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from tests.asgi_door.by_hand import Answer, Server
from tests.wsgi_door.by_hand import HOST
from xwms_auth import LoginRequired, StoreUnavailable
from xwms_auth.asgi import require_user


def test_a_websocket_whose_application_fails_because_of_us_is_closed_with_our_code():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        require_user(scope)

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        try:
            require_user(scope)
        except LoginRequired as error:
            raise LookupError from error

    for one in (app, wrapped):
        answer = Server(one).call({}, type="websocket", cookie=False)
        assert answer.closed == (1008, "login_required")


def test_a_websocket_that_nobody_can_know_about_is_closed_and_logged_as_a_page_is(caplog):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["user"].sub

    server = Server(app)
    server.store.error = StoreUnavailable("x")
    answer = server.call({}, type="websocket")
    assert answer.closed == (1008, "store_unavailable")
    assert "refused code=store_unavailable" in caplog.text


def test_a_websocket_of_a_visitor_who_has_gone_ends_without_a_word():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        require_user(scope)

    server = Server(app)
    gone = server.scope({}, type="websocket", cookie=False)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        raise OSError("gone")

    asyncio.run(server.auth(gone, receive, send))


def test_an_error_after_a_websocket_was_closed_is_the_servers(caplog):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with suppress(StoreUnavailable):
            assert scope["user"].sub
        await send({"type": "websocket.close", "code": 1000, "reason": ""})
        raise LookupError

    async def caused(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.close", "code": 1000, "reason": ""})
        try:
            assert scope["user"].sub
        except StoreUnavailable as error:
            raise LookupError from error

    for one in (app, caused):
        server = Server(one)
        server.store.error = StoreUnavailable("x")
        with pytest.raises(LookupError):
            server.call({}, type="websocket")
        assert Answer(server.sent).closed == (1000, "")
        assert len(server.sent) == 1
    assert "refused" not in caplog.text


CRASHED = [
    {"type": "websocket.close", "code": 1011, "reason": ""},
    {"type": "websocket.close", "code": 4500, "reason": ""},
    {"type": "websocket.http.response.start", "status": 500, "headers": []},
]
OWN = [
    {"type": "websocket.close", "code": 1000, "reason": ""},
    {"type": "websocket.close", "code": 4400, "reason": ""},
    {"type": "websocket.http.response.start", "status": 403, "headers": []},
]


@pytest.mark.parametrize("message", [*CRASHED, *OWN], ids=str)
@pytest.mark.parametrize("is_down", [True, False])
def test_the_answer_of_a_framework_to_an_error_of_ours_becomes_our_own_and_no_other_answer_does(message, is_down):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with suppress(StoreUnavailable):
            assert scope["user"].sub
        await send(message)
        await send({"type": "websocket.http.response.body", "body": b""})

    server = Server(app)
    server.store.error = StoreUnavailable("x") if is_down else None
    server.call({}, type="websocket")
    if is_down and message in CRASHED:
        assert server.sent == [{"type": "websocket.close", "code": 1008, "reason": "store_unavailable"}]
    else:
        assert server.sent == [message, {"type": "websocket.http.response.body", "body": b""}]


def test_a_websocket_that_was_refused_is_closed_once_and_logged_each_time_that_a_guard_refuses_it(caplog):
    caplog.set_level("INFO", "xwms_auth")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with suppress(LoginRequired):
            require_user(scope)
        await send({"type": "websocket.accept"})
        with pytest.raises(OSError, match="the websocket has been closed: login_required"):
            await send({"type": "websocket.send", "text": "x"})
        await send({"type": "websocket.close"})
        require_user(scope)

    server = Server(app)
    server.call({}, type="websocket", cookie=False)
    assert server.sent == [{"type": "websocket.close", "code": 1008, "reason": "login_required"}]
    assert caplog.text.count("refused code=login_required") == 2


@pytest.mark.parametrize("gone", [None, RuntimeError("closed"), OSError("gone")], ids=["here", "closed", "gone"])
@pytest.mark.parametrize("refused", [True, False])
def test_a_websocket_that_its_application_leaves_open_is_closed_only_if_it_was_refused(refused, gone):
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with suppress(LoginRequired):
            require_user(scope)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if gone is not None:
            raise gone

    server = Server(app)
    asyncio.run(server.auth(server.scope({}, type="websocket", cookie=not refused), receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": "login_required"}] * refused


def test_an_error_of_the_applications_own_is_the_servers_to_handle():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        require_user(scope)
        raise LookupError

    server = Server(app)
    with pytest.raises(LookupError):
        server.call({}, type="websocket")
    assert server.sent == []


@pytest.mark.parametrize(
    "halves", [("", f"https://{HOST}"), ("https://", HOST), (f"https://{HOST}", f"https://{HOST}")]
)
def test_two_origins_are_not_the_applications_own_whatever_they_make_together(halves):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("it is not asked")

    server = Server(app)
    opened = server.scope({}, type="websocket")
    opened["headers"] += [(b"origin", half.encode()) for half in halves]
    assert server.run(opened).closed == (1008, "cross_site")
