"""An ASGI server of a test around an application in ours, with a person who is signed in without a login."""

import asyncio
from typing import Any

from tests.tools.site import NAVIGATION
from tests.wsgi_door.by_hand import HOST, AnyServer, Store
from xwms_auth.asgi import XWMSAuthMiddleware, refuse

PLAIN = (b"content-type", b"text/plain")


class Remote(Store):
    """A store whose look-ups need I/O, and so are made ahead of the application."""

    loads_at_once = False


class Answer:
    """What a server was told."""

    def __init__(self, sent: list[dict[str, Any]]) -> None:
        self.sent = sent
        starts = [message for message in sent if message["type"] == "http.response.start"]
        self.statuses = [message["status"] for message in starts]
        self.status = self.statuses[-1] if starts else None
        self.headers = {name.decode(): value.decode() for name, value in starts[-1]["headers"]} if starts else {}
        self.body = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")

    @property
    def closed(self) -> tuple[int, str] | None:
        """Code and reason with which a websocket was closed."""
        return next(((one["code"], one["reason"]) for one in self.sent if one["type"] == "websocket.close"), None)


class Server(AnyServer):
    """An ASGI server."""

    door = XWMSAuthMiddleware

    def scope(self, headers: Any = NAVIGATION, *, cookie: bool = True, host: str = HOST, **more: Any) -> dict[str, Any]:
        named = {"host": host, **headers, **({"cookie": self.cookie} if cookie else {})}
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "https",
            "path": "/page",
            "raw_path": None,
            "query_string": b"",
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in named.items()],
            "client": None,
            "server": None,
            **more,
        }

    def run(self, scope: dict[str, Any]) -> Answer:
        """One request, or one websocket that sends nothing."""
        sent: list[dict[str, Any]] = []
        connects = [{"type": "websocket.connect"}]

        async def receive() -> dict[str, Any]:
            if scope["type"] == "websocket":
                return connects.pop() if connects else {"type": "websocket.disconnect", "code": 1000}
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        try:
            asyncio.run(self.auth(scope, receive, send))  # type: ignore[arg-type]
        finally:
            self.sent = sent
        return Answer(sent)

    def call(self, headers: Any = NAVIGATION, **more: Any) -> Answer:
        return self.run(self.scope(headers, **more))


def start(*headers: tuple[bytes, bytes], status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": [PLAIN, *headers]}


def body(data: bytes = b"", *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def who(scope: Any, receive: Any, send: Any) -> None:
    sub = str(scope["user"].sub)
    await send(start())
    await send(body(sub.encode()))


async def guarded(scope: Any, receive: Any, send: Any) -> None:
    if not await refuse(scope, receive, send):
        await who(scope, receive, send)


def requiring(role: str) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(2):
            if await refuse(scope, receive, send, role=role):
                return
        await who(scope, receive, send)

    return app
