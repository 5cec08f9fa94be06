"""What an ASGI server is told of a websocket whose application fails, by hand."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from tests.asgi_door.by_hand import Answer, Server
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


def test_an_error_after_a_websocket_was_closed_is_the_servers():
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
