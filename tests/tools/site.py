"""The same small application behind each edge, and browsers to visit it with.

A test that takes the fixture `edge` ("flask", "asgi") or `site` runs once per edge; it must demand the same of both.
"wsgi", the layer of "flask" without Flask, has the journeys of tests/login/test_journeys.py.

`Site` is the application over a fake XWMS (tests/tools/fake_xwms.py). It has these routes:
  /          "home", never asks who is there            /who      the sub; a program gets 401 when nobody is signed in
  /hello     "hello NAME" or "hello nobody"             /private  like /who, for a person in a browser
  /cached    asks who is there, sets its own Cache-Control: public, max-age=60 and Vary: Accept
A `Browser` is an HTTP client with a cookie jar that follows no redirect by itself. It speaks to the application in
process; `raw()` gives the bare answer to a request whose path, headers or query no client library would send.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

import flask
import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

import xwms_auth.flask
import xwms_auth.starlette
import xwms_auth.wsgi
from tests.tools.clock import Clock
from tests.tools.fake_xwms import FakeXWMS
from xwms_auth import XWMSConfig

# What a browser sends with a top-level navigation.
NAVIGATION = {"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
FROM_HERE = {**NAVIGATION, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-User": "?1"}
TYPED = {**NAVIGATION, "Sec-Fetch-Site": "none", "Sec-Fetch-User": "?1"}
FROM_ELSEWHERE = {**NAVIGATION, "Sec-Fetch-Site": "cross-site"}
FROM_SIBLING = {**NAVIGATION, "Sec-Fetch-Site": "same-site"}
PROGRAM = {"Accept": "application/json"}

HTTPS_URI = "https://app.example/xwms/validateToken"
LOGIN, LOGOUT, ME, CALLBACK = "/xwms/auth", "/xwms/logout", "/xwms/me", "/xwms/validateToken"


class Browser:
    """One browser. `get` and `post` take a path or a whole address; headers given replace the usual ones."""

    def __init__(self, client: httpx2.Client, site: "Site") -> None:
        self.client = client
        self.site = site

    def get(self, url: str, headers: Mapping[str, str] = FROM_HERE, **more: Any) -> httpx2.Response:
        return self.client.get(url, headers=dict(headers), **more)

    def post(self, url: str, headers: Mapping[str, str] = FROM_HERE, **more: Any) -> httpx2.Response:
        return self.client.post(url, headers=dict(headers), **more)

    def start(self, next: str | None = None, headers: Mapping[str, str] = FROM_HERE) -> str:
        """Start a login; gives sign-token's token, which the address of XWMS's sign-in page ends with."""
        answer = self.get(LOGIN, headers, params={} if next is None else {"next": next})
        assert answer.status_code == 302, answer.text
        return urlsplit(answer.headers["location"]).path.rpartition("/")[2]

    def come_back(self, token: str, headers: Mapping[str, str] = FROM_ELSEWHERE) -> httpx2.Response:
        """Open the callback with a token, as XWMS's redirect does."""
        return self.get(CALLBACK, headers, params={"token": token})

    def log_in(self, sub: object = "xwms-user-1234", next: str | None = None, **claims: object) -> httpx2.Response:
        """The whole story; gives the answer to the callback."""
        return self.come_back(self.site.fx.approve(self.start(next), sub=sub, **claims))

    def who(self) -> str | None:
        """The sub of who is signed in, or None. Anything else than 200 and 401 is a failure."""
        answer = self.get("/who", PROGRAM)
        assert answer.status_code in (200, 401), answer.text
        return answer.text if answer.status_code == 200 else None

    def log_out(self, headers: Mapping[str, str] = FROM_HERE, **more: Any) -> httpx2.Response:
        return self.post(LOGOUT, headers, **more)

    def cookies(self) -> dict[str, str]:
        """The jar: name to value."""
        return {cookie.name: cookie.value or "" for cookie in self.client.cookies.jar}

    def logins(self) -> dict[str, str]:
        """The cookies of the pending logins."""
        return {name: value for name, value in self.cookies().items() if name.startswith(self.site.login_prefix)}

    def pending(self) -> str:
        """A Cookie header with the pending logins, kept from now on whatever the jar does."""
        return "; ".join(f"{name}={value}" for name, value in self.logins().items())

    def carry(self, header: str) -> None:
        """Put the cookies of a header into the jar."""
        for pair in header.split("; "):
            name, _, value = pair.partition("=")
            self.client.cookies.set(name, value)


class Site:
    """The application over a fake XWMS, behind one edge."""

    def __init__(self, edge: str, fx: FakeXWMS, **options: Any) -> None:
        self.edge = edge
        self.fx = fx
        self.clock = Clock()
        options.setdefault("redirect_uris", HTTPS_URI)
        self.config = XWMSConfig(**fx.options(**options))
        uri = self.config.registered[0]
        self.origin = uri.origin
        self.secure = uri.secure
        start, tag = "__Host-xwms_" if self.secure else "xwms_", self.config.cookie_tag
        self.session_cookie = f"{start}session_{tag}"
        self.login_prefix = f"{start}login_{tag}_"
        self.app: Any = WSGI_APPS.get(edge, asgi_app)(self.config, self.clock)

    def browser(self, origin: str | None = None, *, address: str | None = None) -> Browser:
        """A new browser with an empty jar, at this address as the server tells it."""
        base = origin or self.origin
        if self.edge in WSGI_APPS:
            transport = httpx2.WSGITransport(self.app, remote_addr=address or "127.0.0.1")
            return Browser(httpx2.Client(transport=transport, base_url=base), self)
        app = self.app if address is None else _ToldOf(self.app, (address, 50000))
        return Browser(TestClient(app, base_url=base, follow_redirects=False), self)

    def raw(
        self,
        path: str,
        *,
        method: str = "GET",
        query: str = "",
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        host: str | None = None,
        peer: object = None,
    ) -> httpx2.Response:
        """Send exactly this: a decoded path, a raw query, raw headers (Latin-1; names may repeat).

        `peer` is what the server tells of the client, as `REMOTE_ADDR` or as the client of the scope.
        """
        fields = [("Host", urlsplit(self.origin).netloc if host is None else host), *headers]
        sender = _raw_wsgi if self.edge in WSGI_APPS else _raw_asgi
        return sender(self.app, method, path, query, fields, body, peer)

    def restarted(self, **options: Any) -> "Site":
        """The same application in another process with other options: same fake XWMS, same clock."""
        site = Site(self.edge, self.fx, **options)
        site.clock.now = self.clock.now
        return site


def flask_app(config: XWMSConfig, clock: Callable[[], float]) -> flask.Flask:
    app = flask.Flask(__name__)
    user = xwms_auth.flask.current_user

    @app.get("/")
    def home() -> str:
        return "home"

    @app.get("/hello")
    def hello() -> str:
        return f"hello {user.name if user.is_authenticated else 'nobody'}"

    @app.get("/cached")
    def cached() -> flask.Response:
        return flask.Response(f"{user.sub}", headers={"Cache-Control": "public, max-age=60", "Vary": "Accept"})

    def who() -> str:
        return f"{user.sub}"

    app.add_url_rule("/who", "who", xwms_auth.flask.login_required(who), methods=["GET", "POST"])
    app.add_url_rule("/private", "private", xwms_auth.flask.login_required(who), methods=["GET", "POST"])
    xwms_auth.flask.XWMSAuth(app, config, clock=clock)
    return app


def asgi_app(config: XWMSConfig, clock: Callable[[], float]) -> Any:
    async def home(request: Request) -> Response:
        return PlainTextResponse("home")

    async def hello(request: Request) -> Response:
        user = request.user
        return PlainTextResponse(f"hello {user.name if user.is_authenticated else 'nobody'}")

    async def cached(request: Request) -> Response:
        return PlainTextResponse(
            f"{request.user.sub}", headers={"Cache-Control": "public, max-age=60", "Vary": "Accept"}
        )

    @xwms_auth.starlette.login_required
    async def who(request: Request) -> Response:
        return PlainTextResponse(f"{request.user.sub}")

    routes = [
        Route("/", home),
        Route("/hello", hello),
        Route("/cached", cached),
        Route("/who", who, methods=["GET", "POST"]),
        Route("/private", who, methods=["GET", "POST"]),
    ]
    return xwms_auth.starlette.XWMSAuthMiddleware(Starlette(routes=routes), config, clock=clock)


def wsgi_app(config: XWMSConfig, clock: Callable[[], float]) -> Any:
    user = xwms_auth.wsgi.current_user

    def page(text: Callable[[], str], *headers: tuple[str, str]) -> Any:
        def app(environ: Any, start_response: Any) -> Any:
            body = text().encode()
            start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8"), *headers])
            return [body]

        return app

    who = xwms_auth.wsgi.login_required(page(lambda: f"{user.sub}"))
    pages = {
        "/": page(lambda: "home"),
        "/hello": page(lambda: f"hello {user.name if user.is_authenticated else 'nobody'}"),
        "/cached": page(lambda: f"{user.sub}", ("Cache-Control", "public, max-age=60"), ("Vary", "Accept")),
        "/who": who,
        "/private": who,
    }

    def routed(environ: Any, start_response: Any) -> Any:
        found = pages.get(environ["PATH_INFO"])
        if found is not None:
            return found(environ, start_response)
        start_response("404 Not Found", [("Content-Length", "0")])
        return []

    return xwms_auth.wsgi.XWMSAuth(routed, config, clock=clock)


WSGI_APPS = {"flask": flask_app, "wsgi": wsgi_app}


class _ToldOf:
    """An ASGI application whose server tells this client, which not every `TestClient` can be asked for."""

    def __init__(self, app: Any, client: tuple[str, int]) -> None:
        self._app, self._client = app, client

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope if scope["type"] == "lifespan" else {**scope, "client": self._client}, receive, send)


def _raw_wsgi(
    app: Any, method: str, path: str, query: str, headers: list[tuple[str, str]], body: bytes, peer: object
) -> httpx2.Response:

    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path.encode("utf-8", "surrogateescape").decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": "server",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": BytesIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "CONTENT_LENGTH": str(len(body)),
        **({} if peer is None else {"REMOTE_ADDR": peer}),
    }
    for name, value in headers:
        key = name.upper().replace("-", "_")
        key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
        # As WSGI servers do: cookies joined by a semicolon, other repeated headers by a comma.
        joint = "; " if key == "HTTP_COOKIE" else ","
        environ[key] = f"{environ[key]}{joint}{value}" if key in environ else value
    got: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        got[:] = [status, headers]
        return lambda data: None

    chunks = app(environ, start_response)
    data = b"".join(chunks)
    if hasattr(chunks, "close"):
        chunks.close()
    return httpx2.Response(int(got[0].split()[0]), headers=got[1], content=data)


def _raw_asgi(
    app: Any, method: str, path: str, query: str, headers: list[tuple[str, str]], body: bytes, peer: object
) -> httpx2.Response:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": None,
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        "client": peer,
        "server": None,
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    start = sent[0]
    data = b"".join(message.get("body", b"") for message in sent[1:])
    return httpx2.Response(start["status"], headers=start["headers"], content=data)


def log_in(client: httpx2.Client, fx: FakeXWMS, sub: str = "17") -> httpx2.Response:
    """The whole story, with a client of an application of a test's own; gives the answer to the callback."""
    location = client.get(LOGIN, headers=FROM_HERE).headers["location"]
    token = fx.approve(location.rpartition("/")[2], sub=sub)
    return client.get(CALLBACK, params={"token": token}, headers=FROM_ELSEWHERE)


def query_of(location: str) -> dict[str, list[str]]:
    """The query of a Location."""
    return parse_qs(urlsplit(location).query)


@asynccontextmanager
async def alive(app: Any) -> AsyncIterator[None]:
    """The application as a server has it, from its start to its end, so that connections are kept."""
    inbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    life = asyncio.create_task(app({"type": "lifespan", "asgi": {"version": "3.0"}}, inbox.get, outbox.put))
    await inbox.put({"type": "lifespan.startup"})
    assert (await outbox.get())["type"] == "lifespan.startup.complete"
    yield
    await inbox.put({"type": "lifespan.shutdown"})
    assert (await outbox.get())["type"] == "lifespan.shutdown.complete"
    await life
