"""Conversion of WSGI environments to `Request`, and of `Response` to WSGI (PEP 3333)."""

from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ...http.messages import MAX_FORM, Request, Response, is_form, parse_form

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def request_of(environ: "WSGIEnvironment", *, debug: bool = False, body: bool = True) -> Request:
    """Convert a WSGI environment to a `Request`. With `body=False` the body is left unread, for the application."""
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    query = environ.get("QUERY_STRING", "")
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    return Request(
        method=environ["REQUEST_METHOD"],
        path=decoded(path),
        query=query,
        target=quote(path.encode("latin-1"), safe="/:@!$&'()*+,;=~") + (f"?{query}" if query else ""),
        headers=headers,
        cookie=environ.get("HTTP_COOKIE", ""),
        address=environ.get("REMOTE_ADDR"),
        form=_form(environ) if body else {},
        debug=debug,
        bare=lambda: _bare(environ),
    )


def _bare(environ: "WSGIEnvironment") -> "WSGIEnvironment":
    """A copy for a template: without the query, in which a token may be, and without the body, which has been read."""
    hidden = ("REQUEST_URI", "RAW_URI", "CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_TRANSFER_ENCODING")
    kept = {name: value for name, value in environ.items() if name not in hidden}
    return {**kept, "QUERY_STRING": "", "wsgi.input": BytesIO()}


def _form(environ: "WSGIEnvironment") -> dict[str, str]:
    """Return the fields of an urlencoded POST to one of our routes; none for any other or a too large body."""
    if environ["REQUEST_METHOD"] != "POST" or not is_form(environ.get("CONTENT_TYPE", "")):
        return {}
    return dict(parse_form(_small_body(environ).decode("latin-1")))


def _small_body(environ: "WSGIEnvironment") -> bytes:
    length = environ.get("CONTENT_LENGTH") or ""
    if length:
        # No body is not read: flup's SCGI server returns text at the end of its input.
        is_small = length.isascii() and length.isdigit() and len(length) < 8 and 0 < int(length) <= MAX_FORM
        return environ["wsgi.input"].read(int(length)) if is_small else b""
    # A chunked body has no Content-Length. It can be read to its end only if the server guarantees that input ends with
    # it; otherwise the read would wait for the end of the connection.
    if not environ.get("wsgi.input_terminated"):
        return b""
    body = bytearray()
    try:
        # In a loop, since a server may return one chunk per read.
        while len(body) <= MAX_FORM and (piece := environ["wsgi.input"].read(MAX_FORM + 1 - len(body))):
            body += piece
    except OSError:  # malformed chunks, or the connection was closed between them
        return b""
    return bytes(body) if len(body) <= MAX_FORM else b""


def decoded(path: str) -> str:
    # In WSGI a path is bytes decoded as Latin-1 (PEP 3333).
    return path.encode("latin-1").decode("utf-8", "surrogateescape")


def send(
    response: Response, start_response: "StartResponse", exc_info: Any = None, *, reserved: int = 0
) -> Iterable[bytes]:
    status, headers = _status_line(response.status), response.header_list(reserved=reserved)
    start_response(status, headers, exc_info) if exc_info else start_response(status, headers)
    return [response.body.encode()]


class Closing:
    """A body in place of the application's, which is closed with it (PEP 3333); then `after` is called."""

    __slots__ = ("_after", "_chunks", "_replaced")

    def __init__(self, chunks: Iterable[bytes], replaced: Iterable[bytes], after: Callable[[], object]) -> None:
        self._chunks, self._replaced, self._after = chunks, replaced, after

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def close(self) -> None:
        try:
            close(self._chunks)
        finally:
            close(self._replaced)
            self._after()


def close(body: Iterable[bytes]) -> None:
    """Close a body that can be closed (PEP 3333)."""
    closing: Callable[[], object] | None = getattr(body, "close", None)
    if closing is not None:
        closing()


def _status_line(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"
