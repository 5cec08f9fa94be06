"""A WSGI application's answers pass through as they are: a bare one beside the same one inside `XWMSAuth`.

`XWMSAuth` is that of Flask, and that of any WSGI application.

Both run on the server of the standard library, and what they write is compared byte for byte; ours may only add
headers of its own after those of the application.

Knows: what PEP 3333 leaves open.
Must not: look inside the package.
"""

import io
import itertools
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.handlers import SimpleHandler
from wsgiref.util import FileWrapper

import flask
import pytest

import xwms_auth.wsgi
from tests.tools.visitors import kinds_of_visitors
from xwms_auth import XWMSConfig
from xwms_auth.flask import XWMSAuth, current_user

OURS = {"vary", "cache-control", "set-cookie"}
PLAIN = ("Content-Type", "text/plain")
LENGTH = ("Content-Length", "5")
Read = Callable[[], None]
Application = Callable[[dict[str, Any], Any, Read], Any]


@pytest.fixture(scope="module")
def visitors() -> Iterator[tuple[XWMSConfig, dict[str, str]]]:
    """The settings, and the Cookie headers of visitors."""
    with kinds_of_visitors("flask") as found:
        yield found


class Chunks:
    """A body that counts how often it was closed."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = iter(chunks)
        self.closed = 0
        CLOSED.append(self)

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        self.closed += 1


CLOSED: list[Chunks] = []


class Boom(Exception):
    pass


def answers(headers: Any, *chunks: bytes, status: str = "200 OK", body: Callable[..., Any] = Chunks) -> Application:
    """An application that answers so; `headers` makes the headers."""

    def app(environ: Any, start_response: Any, read: Read) -> Any:
        read()
        start_response(status, headers())
        return body(*chunks)

    return app


def late(environ: Any, start_response: Any, read: Read) -> Any:
    start_response("200 OK", [PLAIN])
    read()
    yield b"a"
    read()
    yield b"b"


def with_empty_chunks(environ: Any, start_response: Any, read: Read) -> Any:
    start_response("200 OK", [PLAIN])
    yield b""
    read()
    yield b"a"
    yield b""
    yield b"b"


def fails_before(environ: Any, start_response: Any, read: Read) -> Any:
    read()
    raise Boom


def fails_after_its_start(environ: Any, start_response: Any, read: Read) -> Any:
    start_response("200 OK", [PLAIN, LENGTH])
    read()
    raise Boom


def fails_in_the_middle(environ: Any, start_response: Any, read: Read) -> Any:
    start_response("200 OK", [PLAIN])
    yield b"a"
    read()
    raise Boom


def fails_before_its_first_chunk(environ: Any, start_response: Any, read: Read) -> Any:
    start_response("200 OK", [PLAIN])
    read()
    if environ:
        raise Boom
    yield b"a"


def starts_again(headers: list[tuple[str, str]]) -> Application:
    def app(environ: Any, start_response: Any, read: Read) -> Any:
        start_response("200 OK", headers)
        read()
        try:
            raise Boom
        except Boom:
            start_response("500 Oops", [PLAIN, ("Content-Length", "4")], exc_info=sys.exc_info())
        return [b"oops"]

    return app


def starts_again_too_late(environ: Any, start_response: Any, read: Read) -> Any:
    start_response("200 OK", [PLAIN])
    yield b"a"
    try:
        raise Boom
    except Boom:
        start_response("500 Oops", [PLAIN], sys.exc_info())
    yield b"b"


def starts_twice(headers: list[tuple[str, str]]) -> Application:
    def app(environ: Any, start_response: Any, read: Read) -> Any:
        start_response("200 OK", headers)
        start_response("404 Not Found", headers)
        return [b"hello"]

    return app


def writes(*chunks: bytes, then: Any = ()) -> Application:
    def app(environ: Any, start_response: Any, read: Read) -> Any:
        write = start_response("200 OK", [PLAIN])
        for chunk in chunks:
            write(chunk)
            read()
        return list(then)

    return app


def file_of(environ: Any, start_response: Any, read: Read) -> Any:
    read()
    start_response("200 OK", [PLAIN])
    return environ["wsgi.file_wrapper"](io.BytesIO(b"hello"), 2)


def never_starts(environ: Any, start_response: Any, read: Read) -> Any:
    return [b"hello"]


class Subclass(list[Any]):
    """Headers that are more than a list."""


HEADERS: dict[str, Callable[[], Any]] = {
    "a list": lambda: [PLAIN, LENGTH],
    "no length": lambda: [PLAIN],
    "none": list,
    "two of one name": lambda: [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), PLAIN],
    "small letters": lambda: [("content-type", "text/plain"), ("content-length", "5"), ("vary", "accept")],
    "latin letters": lambda: [("X-Any", "".join(map(chr, range(160, 256)))), ("X-Empty", ""), LENGTH],
    "its own caching": lambda: [("Vary", "Accept"), ("Cache-Control", "private"), LENGTH],
}
SHAPES: dict[str, Application] = {
    **{f"headers: {name}": answers(made, b"hello") for name, made in HEADERS.items()},
    **{f"headers: {name}, a list": answers(made, b"hello", body=lambda *a: list(a)) for name, made in HEADERS.items()},
    "no content": answers(list, status="204 No Content", body=lambda *a: []),
    "not modified": answers(lambda: [("ETag", '"1"')], status="304 Not Modified", body=tuple),
    "a redirect": answers(lambda: [("Location", "/next")], status="303 See Other"),
    "a status of its own": answers(lambda: [PLAIN], b"tea", status="418 I'm short and stout"),
    "a list with one chunk": answers(lambda: [PLAIN], b"hello", body=lambda *a: list(a)),
    "a tuple with one chunk": answers(lambda: [PLAIN], b"hello", body=lambda *a: a),
    "a list with two chunks": answers(lambda: [PLAIN], b"hel", b"lo", body=lambda *a: list(a)),
    "chunks": answers(lambda: [PLAIN], b"a", b"b", b"c"),
    "empty chunks": answers(lambda: [PLAIN], b"", b"a", b"", b"b", b""),
    "only empty chunks": answers(lambda: [PLAIN], b"", b""),
    "an iterator": answers(lambda: [PLAIN], b"a", b"b", body=lambda *a: iter(a)),
    "a file": file_of,
    "a generator": late,
    "a generator with empty chunks": with_empty_chunks,
    "write": writes(b"a", b"b"),
    "write, and a body": writes(b"a", then=[b"b"]),
    "write of nothing first": writes(b"", b"a"),
    "fails before": fails_before,
    "fails after its start": fails_after_its_start,
    "fails before its first chunk": fails_before_its_first_chunk,
    "fails in the middle": fails_in_the_middle,
    "starts again": starts_again([PLAIN]),
    "starts again, of known length": starts_again([PLAIN, LENGTH]),
    "starts again too late": starts_again_too_late,
    "starts twice": starts_twice([PLAIN]),
    "starts twice, of known length": starts_twice([LENGTH]),
    "never starts": never_starts,
}


class Server(SimpleHandler):
    """The standard library's server for one request."""

    wsgi_multithread = False
    error: str | None = None

    def log_exception(self, exc_info: Any) -> None:
        self.error = exc_info[0].__name__


def serve(app: Any, cookie: str, method: str = "GET") -> tuple[list[str], bytes, str | None]:
    """The lines of the head, the body, and the name of the error."""
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": "/page",
        "QUERY_STRING": "",
        "SERVER_NAME": "app.example",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "app.example",
        "HTTP_COOKIE": cookie,
    }
    output = io.BytesIO()
    server = Server(io.BytesIO(), output, io.StringIO(), environ)
    server.origin_server = True
    server.run(app)
    head, _, body = output.getvalue().partition(b"\r\n\r\n")
    lines = [line for line in head.decode("latin-1").split("\r\n") if not line.startswith(("Date:", "Server:"))]
    return lines, body, server.error


def bare(shape: Application) -> Any:
    return lambda environ, start_response: shape(environ, start_response, lambda: None)


def wrapped(shape: Application, config: XWMSConfig, *, reads: bool) -> Any:
    app = flask.Flask(__name__)

    def inner(environ: Any, start_response: Any) -> Any:
        def read() -> None:
            with app.request_context(environ):
                assert current_user.is_authenticated in (True, False)

        return shape(environ, start_response, read if reads else lambda: None)

    app.wsgi_app = inner  # type: ignore[method-assign]
    XWMSAuth(app, config)
    return app.wsgi_app


def wrapped_without_flask(shape: Application, config: XWMSConfig, *, reads: bool) -> Any:
    def read() -> None:
        assert xwms_auth.wsgi.current_user.is_authenticated in (True, False)

    def app(environ: Any, start_response: Any) -> Any:
        return shape(environ, start_response, read if reads else lambda: None)

    return xwms_auth.wsgi.XWMSAuth(app, config)


def without_ours(lines: list[str], own: list[str]) -> list[str]:
    """The head without the headers that are ours."""
    left = list(lines)
    for line in lines:
        if left != own and line not in own and re.split(":", line)[0].lower() in OURS:
            left.remove(line)
    return left


@pytest.mark.parametrize("wrap", [wrapped, wrapped_without_flask])
@pytest.mark.parametrize("shape", SHAPES)
def test_sm_05_what_an_application_answers_arrives_as_it_is(visitors, shape, wrap):
    """SM-05"""
    config, cookies = visitors
    for visitor, reads, method in itertools.product(cookies, (False, True), ("GET", "HEAD")):
        told = f"{visitor}, reads: {reads}, {method}"
        CLOSED.clear()
        own = serve(bare(SHAPES[shape]), cookies[visitor], method)
        closed = [one.closed for one in CLOSED]
        CLOSED.clear()
        head, body, error = serve(wrap(SHAPES[shape], config, reads=reads), cookies[visitor], method)
        assert (without_ours(head, own[0]), body, error) == own, told
        assert [one.closed for one in CLOSED] == closed, told


def test_a_list_that_the_application_uses_again_is_left_alone(visitors):
    """Also one that it changes before the body."""
    config, cookies = visitors
    headers = [PLAIN]

    def app(environ: Any, start_response: Any, read: Read) -> Any:
        start_response("200 OK", headers)
        headers.append(("X-Late", "1"))
        read()
        yield b"a"
        assert headers == [PLAIN, ("X-Late", "1")]

    head, body, error = serve(wrapped(app, config, reads=True), cookies["somebody"])
    assert (body, error) == (b"a", None)
    assert not [line for line in head if line.startswith("X-Late")]


@pytest.mark.parametrize("made", ["a tuple", "a generator", "a subclass"])
def test_headers_may_be_any_iterable_though_pep_3333_says_a_list(visitors, made):
    config, cookies = visitors
    kinds: dict[str, Callable[[], Any]] = {
        "a tuple": lambda: (PLAIN, LENGTH),
        "a generator": lambda: iter([PLAIN, LENGTH]),
        "a subclass": lambda: Subclass([PLAIN, LENGTH]),
    }
    for reads in (False, True):
        head, body, error = serve(wrapped(answers(kinds[made], b"hello"), config, reads=reads), cookies["somebody"])
        assert (head[1:3], body, error) == (["Content-Type: text/plain", "Content-Length: 5"], b"hello", None)


def test_a_file_reaches_the_server_as_what_it_can_send_by_itself(visitors):
    """PEP 3333: an optional platform-specific file handling."""
    config, _ = visitors
    for wrap in (wrapped, wrapped_without_flask):
        app = wrap(file_of, config, reads=False)
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "wsgi.file_wrapper": FileWrapper, "HTTP_COOKIE": ""}
        assert isinstance(app(environ, lambda status, headers: None), FileWrapper)
