"""Real servers for a real browser: the same small app behind Flask and Starlette, and pages of a hostile site.

The app has these routes, all HTML, each with a log-out form while somebody is signed in:
  /          says who is there, or "nobody"        /private   the same, for people who are signed in; shows its query
  /welcome   has the login button that we ship     and `pages`, as given: path to HTML, or a script at `.js`
Every server listens on a free port of 127.0.0.1 and writes down what it is asked (`Asked`).

Knows: sockets, threads, TLS.
Must not: know a test, or decide anything about a login.
"""

import datetime
import html
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from threading import Condition, Thread
from typing import Any, Literal

import flask
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from werkzeug.serving import WSGIRequestHandler, make_server

import xwms_auth.flask
import xwms_auth.starlette
from xwms_auth import XWMSConfig

WAIT = 15.0  # seconds; an upper limit only, nothing ever waits this long unless it fails

Edge = Literal["flask", "starlette"]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as a server saw it; header names are lower-case."""

    method: str
    path: str
    headers: Mapping[str, str]


@dataclass(slots=True)
class Journal:
    """What a server was asked, in order; written by its threads and read by the test."""

    entries: list[Asked] = field(default_factory=list)
    _changed: Condition = field(default_factory=Condition)

    def note(self, asked: Asked) -> None:
        with self._changed:
            self.entries.append(asked)
            self._changed.notify_all()

    def to(self, path: str, **headers: str) -> list[Asked]:
        """The requests for a path that had these headers (`sec_fetch_dest="image"`)."""
        wanted = {name.replace("_", "-"): value for name, value in headers.items()}
        return [
            asked
            for asked in list(self.entries)
            if asked.path == path and all(asked.headers.get(name) == value for name, value in wanted.items())
        ]

    def wait_for(self, path: str, **headers: str) -> Asked:
        """The first such request; waits for it, because a browser loads some things after the page."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.to(path, **headers), WAIT), f"nobody asked for {path} {headers}"
        return self.to(path, **headers)[0]


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate for localhost that nobody has signed but itself."""

    certificate: Path
    key: Path


def self_signed(folder: Path, *hosts: str) -> Certificate:
    """Make a certificate and its key in `folder`, for localhost or for these names."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    known = map(x509.DNSName, hosts or ("localhost",))
    names = x509.SubjectAlternativeName([*known, x509.IPAddress(IPv4Address("127.0.0.1"))])
    builder = x509.CertificateBuilder(subject_name=name, issuer_name=name, public_key=key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).add_extension(names, critical=False)
    builder = builder.not_valid_before(now - day).not_valid_after(now + day)
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    made.certificate.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made


class _QuietHandler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        pass


@contextmanager
def listener() -> Iterator[socket.socket]:
    """A listening socket on a free port. What connects before a server runs simply waits."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as sock:
        yield sock


def port_of(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])


@contextmanager
def serve_wsgi(app: Any, sock: socket.socket, certificate: Certificate | None) -> Iterator[None]:
    """A WSGI app behind Werkzeug, in threads."""
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate, certificate.key)
    server = make_server(
        "127.0.0.1",
        port_of(sock),
        app,
        threaded=True,
        request_handler=_QuietHandler,
        ssl_context=context,
        fd=sock.fileno(),
    )
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def serve_asgi(
    app: Any, sock: socket.socket, certificate: Certificate | None, *, websockets: bool = False
) -> Iterator[None]:
    """An ASGI app behind uvicorn, in a thread."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        ws="websockets-sansio" if websockets else "none",
        timeout_graceful_shutdown=1,
        ssl_certfile=certificate.certificate if certificate else None,
        ssl_keyfile=certificate.key if certificate else None,
    )
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


def recording_wsgi(app: Any, journal: Journal) -> Any:
    def recording(environ: dict[str, Any], start_response: Any) -> Any:
        headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name[:5] == "HTTP_"}
        journal.note(Asked(environ["REQUEST_METHOD"], environ["PATH_INFO"], headers))
        return app(environ, start_response)

    return recording


def recording_asgi(app: Any, journal: Journal) -> Any:
    async def recording(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            journal.note(Asked(scope["method"], scope["path"], headers))
        await app(scope, receive, send)

    return recording


def document(user: Any, query: str, logout: str) -> str:
    """The app's one page."""
    who = html.escape(user.name) if user.is_authenticated else "nobody"
    return (
        '<!doctype html><html lang="en"><title>The app</title><link rel="icon" href="data:,">'
        f'<p id="who">{who}</p><p id="query">{html.escape(query)}</p>'
        f'<p><a href="/">Home</a> <a href="/private">Private</a></p>{logout if user.is_authenticated else ""}'
    )


def welcome(button: str) -> str:
    return f'<!doctype html><html lang="en"><title>Welcome</title><link rel="icon" href="data:,">{button}'


def media_type(path: str) -> str:
    return "text/javascript" if path.endswith(".js") else "text/html"


def flask_app(config: XWMSConfig, pages: Mapping[str, str]) -> Any:
    app = flask.Flask(__name__)

    def show() -> str:
        form = xwms_auth.flask.xwms_logout_form()
        return document(xwms_auth.flask.current_user, flask.request.query_string.decode(), form)

    app.add_url_rule("/", "home", show)
    app.add_url_rule("/private", "private", xwms_auth.flask.login_required(show))
    app.add_url_rule("/welcome", "welcome", lambda: welcome(xwms_auth.flask.xwms_login_button(next="/private")))
    for path, page in pages.items():
        app.add_url_rule(path, path, partial(flask.Response, page, mimetype=media_type(path)))
    xwms_auth.flask.XWMSAuth(app, config)
    return app


def starlette_app(config: XWMSConfig, pages: Mapping[str, str]) -> Any:
    form = f'<form method="post" action="{config.logout_path}"><button>Log out</button></form>'

    def show(request: Request) -> HTMLResponse:
        return HTMLResponse(document(request.user, request.url.query, form))

    def greet(request: Request) -> HTMLResponse:
        button = xwms_auth.starlette.template_context(request)["xwms_login_button"]
        return HTMLResponse(welcome(button(next="/private")))

    def show_page(request: Request) -> Response:
        return Response(pages[request.url.path], media_type=media_type(request.url.path))

    routes = [Route("/", show), Route("/private", xwms_auth.starlette.login_required(show)), Route("/welcome", greet)]
    routes += [Route(path, show_page) for path in pages]
    return xwms_auth.starlette.XWMSAuthMiddleware(Starlette(routes=routes), config)


@contextmanager
def serve_app(
    edge: Edge,
    config: XWMSConfig,
    sock: socket.socket,
    certificate: Certificate | None,
    pages: Mapping[str, str] | None = None,
) -> Iterator[Journal]:
    """The app behind its framework's own server; gives what it is asked. `pages` are more pages of it, for anybody."""
    journal = Journal()
    if edge == "flask":
        serving = serve_wsgi(recording_wsgi(flask_app(config, pages or {}), journal), sock, certificate)
    else:
        serving = serve_asgi(recording_asgi(starlette_app(config, pages or {}), journal), sock, certificate)
    with serving:
        yield journal


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Another site's server. `pages` may be filled at any time: path to HTML."""

    port: int
    pages: dict[str, str]

    def url(self, path: str, *, host: str = "127.0.0.1") -> str:
        """127.0.0.1 is cross-site to localhost; another port of localhost is same-site over http."""
        return f"http://{host}:{self.port}{path}"


@contextmanager
def serve_elsewhere() -> Iterator[Elsewhere]:
    pages: dict[str, str] = {}

    def app(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
        page = pages.get(environ["PATH_INFO"])
        start_response("200 OK" if page else "404 Not Found", [("Content-Type", "text/html; charset=utf-8")])
        return [f'<!doctype html><title>Elsewhere</title><link rel="icon" href="data:,">{page}'.encode()]

    with listener() as sock, serve_wsgi(app, sock, None):
        yield Elsewhere(port_of(sock), pages)
