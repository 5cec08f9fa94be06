"""WSGI's environments as `Request`, and `Response` back (PEP 3333).

Knows: the shapes servers deliver.
Must not: know what a request means.
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..http.messages import MAX_FORM, Request, Response, is_form, parse_form

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def request_of(environ: "WSGIEnvironment", *, debug: bool = False, body: bool = True) -> Request:
    """A WSGI environment as a `Request`. Without `body` that is left unread, for the application."""
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
        form=_form(environ) if body else {},
        debug=debug,
    )


def _form(environ: "WSGIEnvironment") -> dict[str, str]:
    """A small urlencoded body of a POST to one of our routes; anything else is nothing."""
    if environ["REQUEST_METHOD"] != "POST" or not is_form(environ.get("CONTENT_TYPE", "")):
        return {}
    return dict(parse_form(_small_body(environ).decode("latin-1")))


def _small_body(environ: "WSGIEnvironment") -> bytes:
    length = environ.get("CONTENT_LENGTH") or ""
    if length:
        is_small = length.isascii() and length.isdigit() and len(length) < 8 and int(length) <= MAX_FORM
        return environ["wsgi.input"].read(int(length)) if is_small else b""
    # A body in chunks has no length. Only where the server promises an end may it be read to there: elsewhere the
    # read would wait for the connection's.
    if not environ.get("wsgi.input_terminated"):
        return b""
    body = bytearray()
    try:
        # More than once: a server may give one chunk at a time.
        while len(body) <= MAX_FORM and (piece := environ["wsgi.input"].read(MAX_FORM + 1 - len(body))):
            body += piece
    except OSError:  # no chunks, or a connection that ended among them
        return b""
    return bytes(body) if len(body) <= MAX_FORM else b""


def decoded(path: str) -> str:
    # WSGI hands paths over as bytes in the clothes of Latin-1 (PEP 3333).
    return path.encode("latin-1").decode("utf-8", "surrogateescape")


def send(answer: Response, start_response: "StartResponse") -> Iterable[bytes]:
    start_response(_status_line(answer.status), answer.header_list())
    return [answer.body.encode()]


def _status_line(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"
