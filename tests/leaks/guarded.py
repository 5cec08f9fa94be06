"""One application behind the leak guard of each door, and what has reached its server."""

import base64
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import anyio
import pytest

from xwms_auth import XWMSConfig
from xwms_auth.asgi import XWMSAuthMiddleware
from xwms_auth.wsgi import XWMSAuth

CLIENT_SECRET = "q7/Zt+9v&K3%dW'e\"Xm1<u8RbP"
SESSION_SECRET = "Session-secret-of-the-guard-0123456789"
HALVES = CLIENT_SECRET[:13], CLIENT_SECRET[13:]
SECRETS = {"the client secret": CLIENT_SECRET, "a session secret": SESSION_SECRET}

FORMS = {
    "plain": lambda secret: secret.encode(),
    "URL-escaped": lambda secret: quote(secret, safe="").replace("-", "%2D").encode(),
    "JSON-escaped": lambda secret: "".join(f"\\u{ord(one):04x}" for one in secret).encode(),
    "HTML-escaped": lambda secret: html.escape(secret).replace("e", "&#101;").encode(),
    "hex": lambda secret: secret.encode().hex().encode(),
    **{
        f"base64 {before}": lambda secret, before=before: base64.b64encode(b"id:"[:before] + secret.encode() + b"}")
        for before in range(3)
    },
    "UTF-16": lambda secret: secret.encode("utf-16-le"),
}


def config(**options: Any) -> XWMSConfig:
    given = {"client_id": "desk", "client_secret": CLIENT_SECRET, "session_secret": SESSION_SECRET, "leak_guard": True}
    return XWMSConfig(**{**given, "redirect_uris": "https://app.example/xwms/validateToken", **options})


@dataclass
class Sent:
    """What reached the server: status, headers and body, and whether it was cut off."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    cut: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def all(self) -> bytes:
        return b"\n".join([*(part for header in self.headers for part in header), self.body])


Headers = Sequence[tuple[bytes, bytes]]


def over_wsgi(pieces: Iterable[bytes] | Any, headers: Headers, settings: Any, *, path: str = "/", **how: Any) -> Sent:
    sent = Sent()

    def application(environ: Any, start_response: Any) -> Any:
        head = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        write = start_response(how.get("status", "200 OK"), head)
        given = pieces(environ) if callable(pieces) else pieces
        if how.get("write"):
            for piece in given:
                write(piece)
            return []
        whole = how.get("whole")
        return (whole if whole in (list, tuple) else list if whole else iter)(given)

    def start_response(status: str, given: Any, exc_info: Any = None) -> Any:
        assert exc_info or not sent.status, "the headers came twice"
        sent.status = int(status[:3])
        sent.headers = [(name.encode("latin-1").lower(), value.encode("latin-1")) for name, value in given]
        return lambda data: setattr(sent, "body", sent.body + data)

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "HTTP_HOST": "app.example", "HTTP_ACCEPT": "text/html"}
    environ |= {"HTTP_SEC_FETCH_MODE": "navigate", **how.get("environ", {})}
    try:
        body = XWMSAuth(application, settings)(environ, start_response)
        for piece in body:
            assert sent.status, "a piece of the body came before the headers"
            sent.body += piece
        getattr(body, "close", lambda: None)()
    except Exception as error:  # noqa: BLE001  as a server does: it closes the connection
        sent.cut = f"{type(error).__name__}: {error}"
    return sent


def over_asgi(pieces: Any, headers: Headers, settings: Any, *, path: str = "/", **how: Any) -> Sent:
    sent = Sent()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        given = [b"".join(pieces)] if "whole" in how else [*pieces, b""]
        for place, piece in enumerate(given, 1):
            await send({"type": "http.response.body", "body": piece, "more_body": place < len(given)})

    run(sent, application, settings, {"type": "http", "method": "GET", "path": path})
    return sent


def run(sent: Sent, application: Any, settings: Any, scope: dict[str, Any]) -> None:
    async def send(message: Any) -> None:
        sent.messages.append(message)
        if message["type"].endswith("response.start"):
            sent.status, sent.headers = message["status"], list(message["headers"])
        sent.body += message.get("body", b"")

    async def receive() -> Any:
        return {"type": "websocket.connect"} if scope["type"] == "websocket" else {"type": "http.request"}

    given = [(b"host", b"app.example"), (b"accept", b"text/html"), (b"sec-fetch-mode", b"navigate")]
    whole = {"query_string": b"", "headers": given, "asgi": {"version": "3.0"}, **scope}
    try:
        anyio.run(XWMSAuthMiddleware(application, settings), whole, receive, send)
    except Exception as error:  # noqa: BLE001  as above
        sent.cut = f"{type(error).__name__}: {error}"


def over_websocket(*messages: dict[str, Any]) -> Sent:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        for message in messages:
            await send(message)

    sent = Sent()
    run(sent, application, config(), {"type": "websocket", "path": "/live"})
    return sent


DOORS = {"wsgi": over_wsgi, "asgi": over_asgi}
HTML = (b"content-type", b"text/html; charset=utf-8")
ACCEPT = {"type": "websocket.accept"}
CLOSED = {"type": "websocket.close", "code": 1011, "reason": "secret_in_response"}


def assert_page(sent: Sent, caplog: pytest.LogCaptureFixture, *told: str) -> None:
    assert (sent.status, sent.cut) == (500, "")
    assert b"<code>secret_in_response</code>" in sent.body
    assert dict(sent.headers)[b"cache-control"] == b"no-store"
    assert dict(sent.headers)[b"content-length"] == str(len(sent.body)).encode()
    line = next(record for record in caplog.records if "secret_in_response" in record.message)
    assert line.levelname == "ERROR"
    for part in told:
        assert part in line.message
