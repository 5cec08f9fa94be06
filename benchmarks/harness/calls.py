"""One request to an application, in process, as a server makes it: http, websocket, or a stream of many chunks.

Every call gives the status and the body, so that a benchmark can check that the application did its work.
"""

import sys
from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any

HOST = "app.example"
CHUNKS = 10_000
"""Messages of one stream: so many that its beginning does not count."""

# What Chromium sends with a navigation.
BROWSER = {
    "host": HOST,
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0",
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "accept-encoding": "gzip, deflate, br, zstd",
    "accept-language": "en-GB,en;q=0.9",
    "connection": "keep-alive",
    "sec-fetch-dest": "document",
    "sec-fetch-mode": "navigate",
    "sec-fetch-site": "same-origin",
    "sec-fetch-user": "?1",
    "upgrade-insecure-requests": "1",
}
HANDSHAKE = {
    **{name: BROWSER[name] for name in ("host", "user-agent", "accept-encoding", "accept-language")},
    "origin": f"https://{HOST}",
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-fetch-dest": "empty",
    "sec-fetch-mode": "websocket",
    "sec-fetch-site": "same-origin",
}

Answer = tuple[int, bytes]
Call = Callable[[Any, bytes | None, str], Awaitable[Answer]]

SCOPE: dict[str, Any] = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1"}
SCOPE |= {"method": "GET", "scheme": "https", "query_string": b"", "root_path": ""}
SCOPE |= {"client": ("192.0.2.1", 50000), "server": ("192.0.2.2", 443)}
WEBSOCKET = {**SCOPE, "type": "websocket", "scheme": "wss", "subprotocols": []}
del WEBSOCKET["method"]
ASGI_HEADERS = [(name.encode(), value.encode()) for name, value in BROWSER.items()]
WEBSOCKET_HEADERS = [(name.encode(), value.encode()) for name, value in HANDSHAKE.items()]
WSGI: dict[str, Any] = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "QUERY_STRING": "", "REMOTE_ADDR": "192.0.2.1"}
WSGI |= {"SERVER_NAME": "192.0.2.2", "SERVER_PORT": "443", "SERVER_PROTOCOL": "HTTP/1.1"}
WSGI |= {"wsgi.version": (1, 0), "wsgi.url_scheme": "https", "wsgi.run_once": False}
WSGI |= {"wsgi.multithread": True, "wsgi.multiprocess": False}
WSGI |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in BROWSER.items()}


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def receive_connect() -> dict[str, Any]:
    return {"type": "websocket.connect"}


def scope_of(base: dict[str, Any], base_headers: list[tuple[bytes, bytes]], cookie: bytes | None, path: str) -> Any:
    # As a server would: new objects for every request, so that no hash is known beforehand.
    headers = [*base_headers, (b"cookie", bytes(bytearray(cookie)))] if cookie else [*base_headers]
    return {**base, "path": path, "raw_path": path.encode(), "headers": headers, "state": {}}


async def call_asgi(app: Any, cookie: bytes | None, path: str) -> Answer:
    status, body = 0, b""

    async def send(message: Any) -> None:
        nonlocal status, body
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            body += message["body"]

    await app(scope_of(SCOPE, ASGI_HEADERS, cookie, path), receive, send)
    return status, body


async def call_stream(app: Any, cookie: bytes | None, path: str) -> Answer:
    """`body` is the last chunk."""
    status, last = 0, b""

    async def send(message: Any) -> None:
        nonlocal status, last
        if message["type"] == "http.response.body":
            last = message["body"]
        else:
            status = message["status"]

    await app(scope_of(SCOPE, ASGI_HEADERS, cookie, path), receive, send)
    return status, last


async def call_websocket(app: Any, cookie: bytes | None, path: str) -> Answer:
    """A handshake, one message from the application, and the end. An accepted one has the status 101."""
    status, text = 403, ""

    async def send(message: Any) -> None:
        nonlocal status, text
        if message["type"] == "websocket.accept":
            status = 101
        elif message["type"] == "websocket.send":
            text = message["text"]

    await app(scope_of(WEBSOCKET, WEBSOCKET_HEADERS, cookie, path), receive_connect, send)
    return status, text.encode()


async def call_wsgi(app: Any, cookie: bytes | None, path: str) -> Answer:
    environ: dict[str, Any] = {**WSGI, "PATH_INFO": path, "wsgi.input": BytesIO(), "wsgi.errors": sys.stderr}
    if cookie:
        environ["HTTP_COOKIE"] = cookie.decode("latin-1")
    status = ""

    def start_response(line: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], None]:
        nonlocal status
        status = line
        return lambda data: None

    chunks = app(environ, start_response)
    body = b"".join(chunks)
    if hasattr(chunks, "close"):
        chunks.close()
    return int(status[:3]), body


CALLS: dict[str, Call] = {
    "ASGI": call_asgi,
    "Flask": call_wsgi,
    "FastAPI": call_asgi,
    "websocket": call_websocket,
    "stream": call_stream,
}
