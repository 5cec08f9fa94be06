"""Conversion of ASGI scopes to `Request`, and of `Response` to ASGI messages."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping, Sequence
from copy import copy
from typing import Any, cast
from urllib.parse import quote, unquote

from ...config.context import Context
from ...http.messages import MAX_FORM, Request, Response, is_form, parse_form
from ...http.preflight import is_preflight
from ...http.urls import is_below

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_CORS_MIDDLEWARE = ("starlette.middleware.cors", "CORSMiddleware")

ENDED_SCOPE: Scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
"""Stands in for the scope of a request that has ended."""

POLICY_VIOLATION = 1008
"""The websocket close code of a refused handshake (RFC 6455 7.4.1)."""

INTERNAL_ERROR = 1011
"""The websocket close code of a server that cannot go on (RFC 6455 7.4.1)."""


def decoded(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
    return ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers)


def encoded(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def header_of(scope: Scope, name: bytes, joint: str) -> str:
    """Return a header of the request; the values of a repeated one are joined by `joint`.

    HTTP/2 may split the Cookie header. Two Host headers joined are the name of no host, so they match none of ours.
    """
    return header_in(scope["headers"], name, joint)


def header_in(headers: Iterable[tuple[bytes, bytes]], name: bytes, joint: str) -> str:
    """As `header_of`."""
    found: bytes | None = None
    for key, value in headers:
        if key == name:
            if found is not None:
                return joint.join(value.decode("latin-1") for key, value in headers if key == name)
            found = value
    return "" if found is None else found.decode("latin-1")


def is_with(headers: list[tuple[bytes, bytes]], scope: Scope) -> bool:
    """Whether a scope has these headers: not equal ones, but the same objects, which no other request has.

    Starlette puts a new list of them into a scope whose headers it reads.
    """
    theirs: list[tuple[bytes, bytes]] = scope.get("headers") or []
    return theirs is headers or (bool(headers) and {id(header) for header in theirs}.issuperset(map(id, headers)))


def missing_prefix(scope: Scope, context: Context) -> str:
    """Return what is missing in front of `scope["path"]`, for the path as the browser sees it; mostly nothing.

    A proxy may strip a prefix, which the server then names in `root_path`. uvicorn puts it back into the path;
    hypercorn, granian, daphne and `FastAPI(root_path=…)` do not. A `root_path` that the redirect URI is not below is
    not what the browser sees, as where FastAPI's is set and there is no proxy.
    """
    if not scope.get("root_path"):
        return ""
    # Starlette adds the prefixes of mounts to `root_path`, and keeps the server's own.
    root: str = scope.get("app_root_path", scope["root_path"])
    if not root or not (root := root.strip("/")) or is_below(scope["path"], root := f"/{root}"):
        return ""
    uri = context.redirect_uri_for(header_of(scope, b"host", ", "))
    return root if uri is not None and is_below(uri.path, root) else ""


def request_of(
    scope: Scope, *, prefix: str = "", form: dict[str, str] | None = None, app: ASGIApp | None = None
) -> Request:
    """Convert an ASGI scope to a `Request`. `prefix` is what `missing_prefix` returns.

    `app` is the application that the middleware wraps, for its debug mode.
    """
    headers: dict[str, str] = {}
    for name, value in decoded(scope["headers"]):
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    query = scope.get("query_string", b"").decode("latin-1")
    raw: bytes = scope.get("raw_path") or quote(scope["path"], errors="surrogateescape").encode()
    target = raw.partition(b"?")[0].decode("latin-1")
    if prefix and not is_below(unquote(target), prefix):  # whoever shortens the path may leave `raw_path` whole
        target = quote(prefix) + target
    return Request(
        method=scope.get("method", "GET"),
        path=prefix + scope["path"],
        query=query,
        target=target + (f"?{query}" if query else ""),
        headers=headers,
        cookie=header_of(scope, b"cookie", "; "),
        address=_address_in(scope.get("client")),
        form=form or {},
        debug=is_debugged(scope, app),
        bare=lambda: {**scope, "query_string": b""},  # a token may be in it
    )


def _address_in(client: object) -> object:
    """The address in `scope["client"]`, which is a pair of host and port, or None, as with a unix socket."""
    return cast("Sequence[object]", client)[0] if isinstance(client, tuple | list) and client else None


def is_debugged(scope: Scope, app: ASGIApp | None) -> bool:
    """Whether the application of a request is in debug mode. `app` is the one that the middleware wraps."""
    return _in_debug_mode(scope.get("app")) or _in_debug_mode(app)


def _in_debug_mode(app: object) -> bool:
    # `is True`: a merely truthy value must not show developer hints to visitors.
    return getattr(app, "debug", None) is True


async def form_of(scope: Scope, receive: Receive) -> dict[str, str]:
    """Return the fields of an urlencoded POST to one of our routes; none for any other or a too large body."""
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


async def send_response(response: Response, send: Send, *, reserved: int = 0) -> None:
    headers = encoded(response.header_list(reserved=reserved))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body.encode()})


async def discard(message: Message) -> None:
    """Takes a message that is not sent now, or not at all because the response was replaced."""


def is_cors_preflight(scope: Scope) -> bool:
    """Whether this is a CORS preflight, which never carries cookies."""
    if scope.get("method") != "OPTIONS":
        return False
    names = {key.lower() for key, _ in scope["headers"]}
    return is_preflight("OPTIONS", origin=b"origin" in names, asks_for=b"access-control-request-method" in names)


def preflight_answer(app: object, refusal: Callable[[Scope, Receive, Send], Awaitable[object]]) -> ASGIApp | None:
    """Return the `CORSMiddleware` of Starlette that is the outermost in this application, around `refusal` instead.

    So it answers a preflight, and nothing else of the application runs, whatever it takes for one. None if something
    else is the outermost: that may see a preflight before, and answer it or change its method.
    """
    if _is_cors_middleware(type(app)):
        alone = cast("Any", copy(app))
        alone.app = refusal
        return cast("ASGIApp", alone)
    middlewares = getattr(app, "user_middleware", None)
    if not middlewares or not _is_cors_middleware(getattr(middlewares[0], "cls", None)):
        return None
    cls, args, options = middlewares[0]
    return cast("ASGIApp", cls(refusal, *args, **options))


def _is_cors_middleware(cls: object) -> bool:
    return (getattr(cls, "__module__", ""), getattr(cls, "__qualname__", "")) == _CORS_MIDDLEWARE


async def refuse_websocket(receive: Receive, send: Send, reason: str) -> None:
    await receive()
    await send(close_of(reason))


def close_of(reason: str) -> Message:
    """The message that refuses or closes a websocket. `reason` is the code of an error."""
    return {"type": "websocket.close", "code": POLICY_VIOLATION, "reason": reason}


def is_server_error(message: Message) -> bool:
    """Whether a framework ends a websocket with this message because the application raised an exception.

    1011 is RFC 6455's code for that; Litestar adds 4000 to the status of HTTP.
    """
    if message["type"] == "websocket.close":
        code: int = message.get("code", 1000)
        return code == INTERNAL_ERROR or 4500 <= code < 4600
    status: int = message["status"]
    return status >= 500
