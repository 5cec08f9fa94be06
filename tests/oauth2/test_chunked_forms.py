"""A form in chunks, without Content-Length, to a route of ours: read as any other, and as far as any other.

Werkzeug's server, uvicorn and gunicorn take the chunks apart, each in its own way.
"""

import io

import pytest

from tests.attacks.real_servers import gunicorn, listening
from tests.oauth2.jwts import signed
from tests.oauth2.test_backchannel_logout import PATH, claims_of
from tests.tools.site import Site

FORM = b"Content-Type: application/x-www-form-urlencoded"
CHUNKED = b"Transfer-Encoding: chunked"
MAX_FORM = 64 * 1024

APP = """
import flask, xwms_auth, xwms_auth.flask
app = flask.Flask("mine")
xwms_auth.flask.XWMSAuth(app, xwms_auth.XWMSConfig(**{options!r}, session_store="memory://"))
"""


def chunks(body: bytes, size: int) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))


def told(line, body: bytes) -> int:
    return line.request(PATH.encode(), FORM, CHUNKED, method=b"POST", body=body).status


def token_of(server, **changes: object) -> bytes:
    return b"logout_token=" + signed(server.key, claims_of(server, **changes)).encode()


def check(line, server) -> None:
    for size in (7, 100_000):
        assert told(line, chunks(token_of(server), size)) == 200
    room = MAX_FORM - len(token_of(server)) - 20
    assert told(line, chunks(token_of(server) + b"&x=" + b"y" * room, 9000)) == 200
    assert told(line, chunks(token_of(server) + b"&x=" + b"y" * MAX_FORM, 9000)) == 400
    assert told(line, chunks(b"logout_token=a.b.c", 5)) == 400


def test_a_form_in_chunks_is_read(make_site, server):
    with listening(make_site(session_store="memory://")) as line:
        check(line, server)


def test_gunicorn_hands_it_over_too(server, tmp_path):
    with gunicorn(tmp_path, APP.format(options=server.options())) as line:
        check(line, server)


class Endless(io.RawIOBase):
    """A connection that nobody ends: to read it to its end would be to wait."""

    def read(self, size: int = -1) -> bytes:
        raise AssertionError("read without an end in sight")


class Broken(io.RawIOBase):
    """What Werkzeug and gunicorn do where there should be a chunk."""

    def read(self, size: int = -1) -> bytes:
        raise OSError("Invalid chunk header")


@pytest.mark.parametrize(("body", "ends"), [(Endless(), False), (Broken(), True)])
def test_what_has_no_end_or_breaks_off_is_no_form(server, body, ends):
    site = Site("flask", server, session_store="memory://")
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": PATH,
        "HTTP_HOST": "app.example",
        "SERVER_NAME": "app.example",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "HTTP_TRANSFER_ENCODING": "chunked",
        "wsgi.url_scheme": "https",
        "wsgi.input": body,
        "wsgi.input_terminated": ends,
    }
    said: list[str] = []
    list(site.app(environ, lambda status, *_: said.append(status)))
    assert said == ["400 Bad Request"]
