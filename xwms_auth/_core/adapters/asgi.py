"""ASGI's scopes and messages as `Request` and `Response`, and back.

Knows: the shapes servers deliver, odd ones included.
Must not: know what a request means.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import Any
from urllib.parse import quote

from ..http.messages import MAX_FORM, Request, Response, is_form, parse_form

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY_VIOLATION = 1008
"""The websocket close code of a refused handshake (RFC 6455 7.4.1)."""


def decoded(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
    return ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers)


def encoded(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def header_of(scope: Scope, name: bytes, joint: str) -> str:
    """One header of any request. HTTP/2 may split the Cookie header; two hosts are no host of ours."""
    found: list[bytes] = [value for key, value in scope["headers"] if key == name]
    return found[0].decode("latin-1") if len(found) == 1 else joint.join(value.decode("latin-1") for value in found)


def route_path(scope: Scope) -> str:
    """The path as the application's routes have it: without the prefix it is mounted at."""
    root: str = scope.get("root_path", "")
    path: str = scope["path"]
    return path.removeprefix(root) if root and path.startswith(root + "/") else path


def request_of(scope: Scope, *, form: dict[str, str] | None = None, app: ASGIApp | None = None) -> Request:
    """An ASGI scope as a `Request`. `app` is what the middleware stands around, which may be in debug mode."""
    headers: dict[str, str] = {}
    for name, value in decoded(scope["headers"]):
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    query = scope.get("query_string", b"").decode("latin-1")
    raw: bytes = scope.get("raw_path") or quote(scope["path"], errors="surrogateescape").encode()
    return Request(
        method=scope.get("method", "GET"),
        path=scope["path"],
        query=query,
        target=raw.partition(b"?")[0].decode("latin-1") + (f"?{query}" if query else ""),
        headers=headers,
        cookie=header_of(scope, b"cookie", "; "),
        form=form or {},
        debug=_is_debugged(scope.get("app")) or _is_debugged(app),
    )


def _is_debugged(app: object) -> bool:
    # `is True`: what only looks like yes must not show a visitor what is for a developer.
    return getattr(app, "debug", None) is True


async def form_of(scope: Scope, receive: Receive) -> dict[str, str]:
    """A small urlencoded body of a POST to one of our routes; anything else is nothing."""
    content_type = dict(scope["headers"]).get(b"content-type", b"").decode("latin-1")
    if scope["method"] != "POST" or not is_form(content_type):
        return {}
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return {}
        body += message.get("body", b"")
        if len(body) > MAX_FORM:
            return {}
        if not message.get("more_body", False):
            return dict(parse_form(body.decode("latin-1")))


async def send_response(answer: Response, send: Send) -> None:
    headers = encoded(answer.header_list())
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body.encode()})


async def refuse_websocket(receive: Receive, send: Send, reason: str) -> None:
    await receive()
    await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": reason})
