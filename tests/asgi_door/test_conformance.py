"""The application's messages pass through as they are: a bare ASGI application beside the same one in the middleware.

Both get the same messages in the same order; ours may only add headers of its own after those of the application.

Knows: what ASGI leaves open (HTTP & WebSocket 2.5, Lifespan 2.0, the extensions).
Must not: look inside the package.
"""

import asyncio
import itertools
from collections import UserDict
from collections.abc import Callable, Iterator
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import pytest

from tests.tools.visitors import kinds_of_visitors
from xwms_auth import XWMSConfig
from xwms_auth.asgi import XWMSAuthMiddleware

OURS = {b"vary", b"cache-control", b"set-cookie"}
PLAIN = (b"content-type", b"text/plain")
PRIVATE = (b"cache-control", b"private")  # a header of the application's that leaves nothing to add but Vary


def start(headers: Any = (PLAIN,), status: int = 200, **more: Any) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers, **more}


def body(data: Any = b"", **more: Any) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, **more}


class Once:
    """Headers that can be read once, and are no iterator."""

    def __init__(self, *headers: tuple[bytes, bytes]) -> None:
        self._headers = iter(headers)

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return self._headers


LENGTH = (b"content-length", b"5")
HEADERS: dict[str, Callable[[], Any]] = {
    "a list of tuples": lambda: [PLAIN, LENGTH],
    "a list of lists": lambda: [[b"content-type", b"text/plain"], [b"content-length", b"5"]],
    "a tuple": lambda: (PLAIN, LENGTH),
    "a generator": lambda: (header for header in (PLAIN, LENGTH, (b"location", b"/x"))),
    "a generator without length": lambda: (header for header in (PLAIN, (b"set-cookie", b"a=b"))),
    "an iterator": lambda: iter([PLAIN, LENGTH]),
    "a chain": lambda: itertools.chain([PLAIN], [LENGTH]),
    "a map": lambda: map(tuple, [PLAIN, LENGTH]),
    "what is read once": lambda: Once(PLAIN, LENGTH),
    "a view of a dictionary": lambda: dict([PLAIN, LENGTH]).items(),
    "a set": lambda: {LENGTH},
    "none": list,
    "two of one name": lambda: [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2; Path=/"), PLAIN],
    "capitals": lambda: [(b"Content-Type", b"text/plain"), (b"Content-Length", b"5"), (b"Vary", b"Accept")],
    "bytes of no charset": lambda: [(b"x-any", bytes(range(128, 256))), (b"x-empty", b""), LENGTH],
    "its own caching": lambda: [(b"vary", b"accept"), PRIVATE, LENGTH],
    "a body that is encoded": lambda: [(b"content-encoding", b"gzip"), (b"etag", b'"1"'), LENGTH],
}

Shape = Callable[[], list[Any]]
SHAPES: dict[str, Shape] = {
    **{f"headers: {name}": lambda made=made: [start(made()), body(b"hello")] for name, made in HEADERS.items()},
    "no headers at all": lambda: [{"type": "http.response.start", "status": 200}, body(b"hello")],
    "a body without its keys": lambda: [start(), {"type": "http.response.body"}],
    "the status of the standard library": lambda: [start(status=HTTPStatus.CREATED), body(b"hello")],
    "keys of the future": lambda: [start(reason=b"Fine"), body(b"hello", checksum=b"x")],
    "no content": lambda: [start((), 204), body()],
    "not modified": lambda: [start(((b"etag", b'"1"'),), 304), body()],
    "a redirect": lambda: [start(((b"location", b"/next"),), 303), body()],
    "a server error": lambda: [start(status=500), body(b"oops")],
    "chunks": lambda: [start(), body(b"a", more_body=True), body(b"b", more_body=True), body(b"c", more_body=False)],
    "an empty end": lambda: [start(), body(b"a", more_body=True), body()],
    "empty chunks": lambda: [start(), *(body(data, more_body=True) for data in (b"", b"", b"a", b"")), body(b"b")],
    "only empty chunks": lambda: [start(), body(more_body=True), body(more_body=True), body()],
    "other kinds of bytes": lambda: [start(), body(bytearray(b"a"), more_body=True), body(memoryview(b"b"))],
    "events": lambda: [start([(b"content-type", b"text/event-stream")]), body(b"data: 1\n\n", more_body=True), body()],
    "trailers": lambda: [
        start(trailers=True),
        body(b"a"),
        {"type": "http.response.trailers", "headers": ((b"x-sum", b"1") for _ in range(1)), "more_trailers": True},
        {"type": "http.response.trailers", "headers": [(b"x-more", b"2")]},
    ],
    "a file by its path": lambda: [start(), {"type": "http.response.pathsend", "path": "/srv/file"}],
    "a file without copying": lambda: [
        start(),
        {"type": "http.response.zerocopysend", "file": 3, "offset": 1, "count": 2, "more_body": True},
        body(b"end"),
    ],
    "early hints": lambda: [{"type": "http.response.early_hint", "links": [b"</a.css>"]}, start(), body(b"a")],
    "pushes": lambda: [
        {"type": "http.response.push", "path": "/a.css", "headers": []},
        start(),
        {"type": "http.response.push", "path": "/b.css", "headers": []},
        body(b"a"),
    ],
    "what a test client is told": lambda: [
        {"type": "http.response.debug", "info": {"template": "x"}},
        start(),
        body(b"a"),
    ],
    "messages of the future": lambda: [{"type": "x"}, start(), {"type": "y"}, body(b"a"), {"type": "z"}],
    "mappings that are no dict": lambda: [MappingProxyType(start()), UserDict(body(b"a"))],
    "no body": lambda: [start()],
    "a body without a start": lambda: [body(b"a")],
    "nothing": list,
    "two starts": lambda: [start(), start(status=404), body(b"a")],
    "two starts of known length": lambda: [start([LENGTH]), start([LENGTH], 404), body(b"hello")],
    "more than was promised": lambda: [start([LENGTH]), body(b"hello"), body(b"again")],
}  # fmt: skip

READS = ("never", "first", "late", "after")


@pytest.fixture(scope="module")
def visitors() -> Iterator[tuple[XWMSConfig, dict[str, str]]]:
    """The settings, and the Cookie headers of visitors."""
    with kinds_of_visitors("asgi") as found:
        yield found


class Boom(Exception):
    pass


def application(shape: Shape, reads: str, raises_at: int | None = None) -> Any:
    """An application that sends these messages, and may read who is there at some time. `raises_at` is how many it
    sends before it fails."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        def read() -> None:
            if (user := scope.get("user")) is not None:
                assert user.is_authenticated in (True, False)

        if reads == "first":
            read()
        messages = shape()
        for number, message in enumerate(messages):
            if number == raises_at:
                raise Boom
            await send(message)
            if reads == "late" and number == 0:
                read()
        if raises_at == len(messages):
            raise Boom
        if reads == "after":
            read()

    return app


def run(app: Any, cookie: str, **more: Any) -> tuple[list[dict[str, Any]], str | None]:
    """The messages that reach the server, and the name of the error."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": "/page",
        "query_string": b"",
        "headers": [(b"host", b"app.example"), (b"cookie", cookie.encode())],
        **more,
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect" if scope["type"] == "websocket" else "http.request"}

    async def send(message: Any) -> None:
        copied = dict(message)
        if "headers" in copied:  # as a server does: once, at once
            copied["headers"] = [(bytes(name), bytes(value)) for name, value in copied["headers"]]
        sent.append(copied)

    try:
        asyncio.run(app(scope, receive, send))
    except Exception as error:  # noqa: BLE001  an error is an outcome here
        return sent, type(error).__name__
    return sent, None


def without_ours(sent: list[dict[str, Any]], bare: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages without the headers that are ours: those after the application's."""
    left = [dict(message) for message in sent]
    for message, own in zip(left, bare, strict=False):
        if message["type"] == "http.response.start" and "headers" in message:
            count = len(own.get("headers", ()))
            assert {name for name, _ in message["headers"][count:]} <= OURS
            message["headers"] = message["headers"][:count]
            if not count and "headers" not in own:
                del message["headers"]
    return left


@pytest.mark.parametrize("shape", SHAPES)
def test_sm_05_what_an_application_sends_arrives_as_it_is(visitors, shape):
    """SM-05"""
    config, cookies = visitors
    for visitor, reads in itertools.product(cookies, READS):
        bare, error = run(application(SHAPES[shape], "never"), cookies[visitor])
        sent, raised = run(XWMSAuthMiddleware(application(SHAPES[shape], reads), config), cookies[visitor])
        assert (without_ours(sent, bare), raised) == (bare, error), f"{visitor}, read {reads}"


@pytest.mark.parametrize("raises_at", [0, 1, 2, 3])
def test_an_application_that_fails_has_sent_what_it_sent(visitors, raises_at):
    config, cookies = visitors
    shapes = {name: SHAPES[name] for name in ("chunks", "empty chunks", "headers: a generator", "no body", "trailers")}
    for (name, shape), visitor, reads in itertools.product(shapes.items(), cookies, READS[:3]):
        bare, error = run(application(shape, "never", raises_at), cookies[visitor])
        sent, raised = run(XWMSAuthMiddleware(application(shape, reads, raises_at), config), cookies[visitor])
        assert (without_ours(sent, bare), raised) == (bare, error), f"{name}, {visitor}, read {reads}"


@pytest.mark.parametrize("wanted", ["never", "first"])
def test_a_list_that_the_application_uses_again_is_left_alone(visitors, wanted):
    """Also one that it changes before the body: the response had the headers of its start."""
    config, cookies = visitors
    headers = [PLAIN]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if wanted == "first":
            assert scope["user"].is_authenticated
        await send(start(headers))
        assert headers == [PLAIN]
        headers.append((b"x-late", b"1"))
        await send(body(b"a"))

    sent, _ = run(XWMSAuthMiddleware(app, config), cookies["somebody"])
    assert [name for name, _ in sent[0]["headers"] if name not in OURS] == [b"content-type"]


@pytest.mark.parametrize("made", ["a generator", "a tuple", "what is read once", "none"])
def test_an_application_gets_the_headers_of_the_request_whatever_iterable_the_server_has(visitors, made):
    config, cookies = visitors
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(list(scope["headers"]))
        await send(start([]))
        await send(body(f"{scope['user'].is_authenticated}".encode()))

    given = [(b"host", b"app.example"), (b"cookie", cookies["somebody"].encode())]
    kinds: dict[str, Any] = {"a generator": iter(given), "a tuple": tuple(given), "what is read once": Once(*given)}
    sent, _ = run(XWMSAuthMiddleware(app, config), "", headers=kinds.get(made))
    assert seen == [given if made in kinds else []]
    assert sent[1]["body"] == f"{made in kinds}".encode()


def test_headers_that_are_sent_ahead_do_not_wait_for_the_body(visitors):
    """A script gets its answer from `fetch` with the headers, and may be what the first chunk waits for."""
    config, cookies = visitors

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"", more_body=True))
        assert [message["type"] for message in arrived] == ["http.response.start", "http.response.body"]
        name = b"vary" if scope["user"].is_authenticated else b""
        await send(body(name))

    arrived: list[Any] = []

    async def story() -> None:
        async def send(message: Any) -> None:
            arrived.append(message)

        scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"cookie", cookies["somebody"].encode())]}
        await XWMSAuthMiddleware(app, config)(scope, lambda: asyncio.sleep(0), send)

    asyncio.run(story())
    assert (b"vary", b"Cookie") in arrived[0]["headers"]  # the rest of the body may depend on who is there
    assert (b"cache-control", b"private, no-store") in arrived[0]["headers"]


SOCKET_SHAPES: dict[str, Shape] = {
    "a conversation": lambda: [
        {"type": "websocket.accept", "subprotocol": "chat", "headers": ((b"x-a", b"1") for _ in range(1))},
        {"type": "websocket.send", "text": "a"},
        {"type": "websocket.send", "bytes": b"b", "text": None},
        {"type": "websocket.close", "code": 1001, "reason": "bye"},
    ],
    "refused": lambda: [{"type": "websocket.close"}],
    "an error of its own": lambda: [{"type": "websocket.accept"}, {"type": "websocket.close", "code": 1011}],
    "refused with a response": lambda: [
        {"type": "websocket.http.response.start", "status": 403, "headers": iter([PLAIN])},
        {"type": "websocket.http.response.body", "body": b"a", "more_body": True},
        {"type": "websocket.http.response.body"},
    ],
    "a server error for a response": lambda: [
        {"type": "websocket.http.response.start", "status": 500, "headers": []},
        {"type": "websocket.http.response.body", "body": b"a"},
    ],
    "left open": lambda: [{"type": "websocket.accept"}],
    "a message of the future": lambda: [{"type": "websocket.accept"}, {"type": "websocket.ping"}],
}


@pytest.mark.parametrize("shape", SOCKET_SHAPES)
def test_what_a_websocket_sends_arrives_as_it_is(visitors, shape):
    """SM-05"""
    config, cookies = visitors
    for visitor, reads, raises_at in itertools.product(cookies, ("never", "first"), (None, 0, 1)):
        bare = run(application(SOCKET_SHAPES[shape], "never", raises_at), cookies[visitor], type="websocket")
        wrapped = XWMSAuthMiddleware(application(SOCKET_SHAPES[shape], reads, raises_at), config)
        assert run(wrapped, cookies[visitor], type="websocket") == bare, f"{visitor}, read {reads}, {raises_at}"


@pytest.mark.parametrize("kind", ["lifespan", "mail", "http.future"])
def test_what_is_neither_http_nor_a_websocket_is_not_ours(visitors, kind):
    config, _ = visitors

    def messages() -> list[Any]:
        return [{"type": f"{kind}.startup.complete"}, {"type": f"{kind}.shutdown.failed", "message": "x"}]

    for raises_at in (None, 0, 1):
        bare = run(application(messages, "never", raises_at), "", type=kind)
        assert run(XWMSAuthMiddleware(application(messages, "never", raises_at), config), "", type=kind) == bare
