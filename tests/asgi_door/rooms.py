"""An echo behind a guard of each kind, with a clock that a test moves: for tests of open websockets."""

from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

import xwms_auth.asgi
import xwms_auth.fastapi
import xwms_auth.starlette
from tests.tools.clock import Clock
from tests.tools.fake_xwms import FakeXWMS
from tests.tools.site import HTTPS_URI, log_in
from xwms_auth import XWMSConfig
from xwms_auth.fastapi import CurrentUser, require_user
from xwms_auth.starlette import XWMSAuthMiddleware, login_required

ORIGIN = "https://app.example"
Ends = list[tuple[int, str]]


class Room:
    """An echo, which writes down how each socket ended, and goes on sending."""

    def __init__(self) -> None:
        self.ends: Ends = []
        self.heard: list[str] = []

    async def talk(self, socket: WebSocket) -> None:
        await socket.accept()
        try:
            while True:
                self.heard.append(await socket.receive_text())
                await socket.send_text(f"{self.heard[-1]} {socket.user.sub}")
        except WebSocketDisconnect as left:
            self.ends.append((left.code, left.reason))
            with nullcontext() if left.code in (1000, 1001) else pytest.raises((OSError, WebSocketDisconnect)):
                await socket._send({"type": "websocket.send", "text": "too late"})
            with suppress(RuntimeError):  # Starlette's own, where the message has come through it
                await socket._send({"type": "websocket.close"})


def with_decorator(room: Room) -> Any:
    return Starlette(routes=[WebSocketRoute("/room", login_required(room.talk))])


def with_class(room: Room) -> Any:
    @login_required
    class Endpoint(WebSocketEndpoint):
        encoding = "text"

        async def on_receive(self, websocket, data):
            room.heard.append(data)
            await websocket.send_text(f"{data} {websocket.user.sub}")

        async def on_disconnect(self, websocket, close_code):
            room.ends.append((close_code, "login_required"))

    return Starlette(routes=[WebSocketRoute("/room", Endpoint)])


def with_call(room: Room) -> Any:
    async def endpoint(socket: WebSocket) -> None:
        xwms_auth.starlette.require_user(socket)
        await room.talk(socket)

    return Starlette(routes=[WebSocketRoute("/room", endpoint)])


def with_current_user(room: Room) -> Any:
    app = FastAPI()

    @app.websocket("/room")
    async def endpoint(socket: WebSocket, _user: CurrentUser) -> None:
        await room.talk(socket)

    return app


def with_router(room: Room) -> Any:
    app, router = FastAPI(), APIRouter(dependencies=[Depends(require_user)])

    @router.websocket("/room")
    async def endpoint(socket: WebSocket) -> None:
        await room.talk(socket)

    app.include_router(router)
    return app


def without_framework(room: Room) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket" and not await xwms_auth.asgi.refuse(scope, receive, send):
            await room.talk(WebSocket(scope, receive, send))

    return app


def after_accepting(room: Room) -> Any:
    """As Sanic, which accepts before its handler can ask."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            return
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        xwms_auth.asgi.require_user(scope)
        await room.talk(Accepted(scope, socket.receive, socket.send))

    return app


class Accepted(WebSocket):
    async def accept(self, *_: Any, **__: Any) -> None:
        """It is already."""

    async def receive_text(self) -> str:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message["code"], message["reason"])
        return str(message["text"])

    async def send_text(self, data: str) -> None:
        await self._send({"type": "websocket.send", "text": data})


APPS: list[Callable[[Room], Any]] = [
    with_decorator,
    with_class,
    with_call,
    with_current_user,
    with_router,
    without_framework,
    after_accepting,
]


class Place:
    """The room behind the middleware, with a clock that the test moves."""

    def __init__(self, fx: FakeXWMS, make: Callable[[Room], Any] = with_decorator, **options: Any) -> None:
        doors = {key: options.pop(key) for key in ("roles", "linker") if key in options}
        self.fx, self.room, self.clock = fx, Room(), options.pop("clock", None) or Clock()
        options = {"session_store": "memory://", "redirect_uris": HTTPS_URI, **options}
        self.config = XWMSConfig(**fx.options(**options))
        self.app = XWMSAuthMiddleware(make(self.room), self.config, clock=self.clock, **doors)

    def visitor(self, sub: str = "17") -> TestClient:
        client = TestClient(self.app, base_url=ORIGIN, follow_redirects=False)
        assert log_in(client, self.fx, sub).status_code == 303
        return client


def enter(client: TestClient) -> Any:
    return client.websocket_connect("wss://app.example/room")


def echo(socket: Any, text: str = "hello") -> str:
    socket.send_text(text)
    return str(socket.receive_text())


def end_of(socket: Any) -> tuple[int, str]:
    with pytest.raises(WebSocketDisconnect) as closed:
        socket.receive_text()
    return closed.value.code, closed.value.reason


def cookie_of(client: TestClient) -> str:
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar)
