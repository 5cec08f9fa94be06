"""What a request costs with somebody signed in, over the same route without any login library.

Four kinds of visitor: *warm* (a session this process has seen), *first seen* (a good session cookie it has not seen),
*anonymous* (no cookie) and *forged* (a cookie whose payload was altered). Each asks a route that says who is signed in,
in process, through the application's own ASGI or WSGI callable; no server, no socket, no event loop per request.

Every session holds the same person. Processor time is counted, not time on the wall, and all subjects take turns in
every round, so a busy machine disturbs them little and alike. The overhead is the median over the rounds
of the difference to the bare route in the same round. The collector runs between the measurements, never within one.

    python benchmarks/request_cost.py [--json] [--rounds N]
"""

import argparse
import asyncio
import gc
import json
import platform
import statistics
import sys
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import cycle, islice, repeat
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout, installed or not

import flask
import flask_login
import itsdangerous
import starlette.middleware.sessions
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import xwms_auth.flask
import xwms_auth.starlette
from xwms_auth import User, XWMSConfig
from xwms_auth._core.base.session import Session
from xwms_auth._core.base.signing import new_key
from xwms_auth._core.config.context import Context
from xwms_auth.stores import open_store

REQUESTS = 40
"""Requests in one measurement: a few milliseconds, shorter than most disturbances."""

SUB = "xwms-user-1234"
KEY = "benchmark-only-0123456789abcdef-0123456789abcdef"
HOST = "app.example"
OTHERS = "theme=dark; locale=en-GB; _ga=GA1.1.1193046471.1763900000; "
"""Cookies of the site that are not about the login: browsers send these with every request too."""

VISITORS = ("warm", "first seen", "anonymous", "forged")

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

Call = Callable[[Any, bytes | None], Awaitable[tuple[int, bytes]]]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One way to know who is there. `make` gives a new application, `mint` a new good session cookie for it."""

    edge: str
    name: str
    make: Callable[[], Any]
    mint: Callable[[], str]
    cookie: str
    remembers: bool = False
    """Whether it keeps anything between requests, so that a cookie can be new to it only once."""


# ours ----------------------------------------------------------------------------------------------------------------

CONFIG = XWMSConfig(
    client_id="benchmark",
    client_secret="benchmark-secret",
    redirect_uris=f"https://{HOST}/xwms/validateToken",
    session_secret=KEY,
)
COOKIE = f"__Host-xwms_session_{CONFIG.cookie_tag}"
PERSON = User(
    issuer=CONFIG.issuer,
    sub=SUB,
    name="Ada Lovelace",
    given_name="Ada",
    family_name="Lovelace",
    email="ada@example.com",
    email_verified=True,
    picture="https://xwms.nl/pictures/1234.png",
)
CLAIMS = PERSON.claims()  # what the other sessions hold: the same person
ELSEWHERE = open_store(Context.of(CONFIG))  # the process that signed the person in


def our_cookie() -> str:
    now = int(time.time())
    session = Session(id=new_key(), user=PERSON, started_at=now, seen_at=now)
    handle = ELSEWHERE.create(session, until=now + 86_400, now=now)
    assert isinstance(handle, str)
    return handle


def our_asgi(endpoint: Callable[[Request], Awaitable[Response]], config: XWMSConfig = CONFIG) -> Any:
    return xwms_auth.starlette.XWMSAuthMiddleware(Starlette(routes=[Route("/who", endpoint)]), config)


def our_flask(view: Callable[[], str], config: XWMSConfig = CONFIG) -> flask.Flask:
    app = flask.Flask("ours")
    app.add_url_rule("/who", "who", view)
    xwms_auth.flask.XWMSAuth(app, config)
    return app


async def by_request_user(request: Request) -> Response:
    return PlainTextResponse(request.user.sub or "nobody")


async def by_current_user(request: Request) -> Response:
    return PlainTextResponse(xwms_auth.starlette.current_user.sub or "nobody")


def by_flask_current_user() -> str:
    return xwms_auth.flask.current_user.sub or "nobody"


# the others ----------------------------------------------------------------------------------------------------------


def bare_asgi() -> Any:
    async def who(request: Request) -> Response:
        return PlainTextResponse(SUB)

    return Starlette(routes=[Route("/who", who)])


async def by_session(request: Request) -> Response:
    return PlainTextResponse(request.session["sub"] if request.session else "nobody")


def session_middleware() -> Any:
    app = Starlette(routes=[Route("/who", by_session)])
    return starlette.middleware.sessions.SessionMiddleware(app, secret_key=KEY)


def session_middleware_cookie() -> str:
    return itsdangerous.TimestampSigner(KEY).sign(b64encode(json.dumps(CLAIMS).encode())).decode()


def bare_flask() -> flask.Flask:
    app = flask.Flask("bare")
    app.add_url_rule("/who", "who", lambda: SUB)
    return app


def flask_session() -> flask.Flask:
    app = flask.Flask("session")
    app.secret_key = KEY
    app.add_url_rule("/who", "who", lambda: flask.session.get("sub") or "nobody")
    return app


def flask_session_cookie() -> str:
    app = flask.Flask("session")
    app.secret_key = KEY
    serializer = flask.sessions.SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    return str(serializer.dumps(CLAIMS))


class Member(flask_login.UserMixin):  # type: ignore[misc]  # Flask-Login has no types
    def __init__(self, sub: str) -> None:
        self.id = sub


def with_flask_login() -> flask.Flask:
    app = flask.Flask("flask-login")
    app.secret_key = KEY
    flask_login.LoginManager(app).user_loader(Member)
    user = flask_login.current_user
    app.add_url_rule("/who", "who", lambda: user.id if user.is_authenticated else "nobody")
    app.add_url_rule("/login", "login", lambda: str(flask_login.login_user(Member(SUB))))
    return app


def flask_login_cookie() -> str:
    answer = with_flask_login().test_client().get("/login", headers=BROWSER, environ_base={"REMOTE_ADDR": "192.0.2.1"})
    return answer.headers["Set-Cookie"].partition(";")[0].removeprefix("session=")


OURS = partial(Subject, mint=our_cookie, cookie=COOKIE, remembers=True)
GUARD, FLASK_GUARD = xwms_auth.starlette.login_required, xwms_auth.flask.login_required
SUBJECTS = (
    Subject(edge="ASGI", name="bare", make=bare_asgi, mint=our_cookie, cookie=COOKIE),
    OURS(edge="ASGI", name="ours, request.user", make=partial(our_asgi, by_request_user)),
    OURS(edge="ASGI", name="ours, current_user", make=partial(our_asgi, by_current_user)),
    OURS(edge="ASGI", name="ours, @login_required", make=partial(our_asgi, GUARD(by_request_user))),
    Subject(
        edge="ASGI", name="SessionMiddleware", make=session_middleware, mint=session_middleware_cookie, cookie="session"
    ),
    Subject(edge="Flask", name="bare", make=bare_flask, mint=our_cookie, cookie=COOKIE),
    OURS(edge="Flask", name="ours, current_user", make=partial(our_flask, by_flask_current_user)),
    OURS(edge="Flask", name="ours, @login_required", make=partial(our_flask, FLASK_GUARD(by_flask_current_user))),
    Subject(edge="Flask", name="Flask session", make=flask_session, mint=flask_session_cookie, cookie="session"),
    Subject(edge="Flask", name="Flask-Login", make=with_flask_login, mint=flask_login_cookie, cookie="session"),
)
PEER = {"ASGI": "SessionMiddleware", "Flask": "Flask session"}


# requests ------------------------------------------------------------------------------------------------------------

SCOPE: dict[str, Any] = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1"}
SCOPE |= {"method": "GET", "scheme": "https", "path": "/who", "raw_path": b"/who", "query_string": b"", "root_path": ""}
SCOPE |= {"client": ("192.0.2.1", 50000), "server": ("192.0.2.2", 443)}
ASGI_HEADERS = [(name.encode(), value.encode()) for name, value in BROWSER.items()]
WSGI: dict[str, Any] = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/who",
    "QUERY_STRING": "",
    "REMOTE_ADDR": "192.0.2.1",
}
WSGI |= {"SERVER_NAME": "192.0.2.2", "SERVER_PORT": "443", "SERVER_PROTOCOL": "HTTP/1.1"}
WSGI |= {"wsgi.version": (1, 0), "wsgi.url_scheme": "https", "wsgi.run_once": False}
WSGI |= {"wsgi.multithread": True, "wsgi.multiprocess": False}
WSGI |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in BROWSER.items()}


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def call_asgi(app: Any, cookie: bytes | None) -> tuple[int, bytes]:
    # As a server would: new objects for every request, so that no hash is known beforehand.
    headers = [*ASGI_HEADERS, (b"cookie", bytes(bytearray(cookie)))] if cookie else [*ASGI_HEADERS]
    scope: dict[str, Any] = {**SCOPE, "headers": headers, "state": {}}
    status, body = 0, b""

    async def send(message: Any) -> None:
        nonlocal status, body
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            body += message["body"]

    await app(scope, receive, send)
    return status, body


async def call_wsgi(app: Any, cookie: bytes | None) -> tuple[int, bytes]:
    environ: dict[str, Any] = {**WSGI, "wsgi.input": BytesIO(), "wsgi.errors": sys.stderr}
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


CALLS: dict[str, Call] = {"ASGI": call_asgi, "Flask": call_wsgi}


class Cell:
    """One subject with one kind of visitor: its own application, and the cookies to come."""

    def __init__(self, subject: Subject, visitor: str, requests: int, clock: Callable[[], float]) -> None:
        self.subject, self.visitor, self.clock = subject, visitor, clock
        self.app, self.call = subject.make(), CALLS[subject.edge]
        self.cookies = self._cookies(requests)
        self.times: list[float] = []

    def _cookies(self, requests: int) -> Iterator[bytes | None]:
        if self.visitor == "anonymous":
            return repeat(None)
        if self.visitor == "first seen":
            new = [self._header(self.subject.mint()) for _ in range(requests if self.subject.remembers else REQUESTS)]
            return cycle(new)
        good = self.subject.mint()
        return repeat(self._header(_forged(good) if self.visitor == "forged" else good))

    def _header(self, value: str) -> bytes:
        return f"{OTHERS}{self.subject.cookie}={value}".encode()

    async def check(self) -> None:
        """One request, not counted: warms everything up and makes sure that the subject does its work."""
        answer = await self.call(self.app, next(self.cookies))
        known = self.visitor in ("warm", "first seen") or self.subject.name == "bare"
        refuses = "login_required" in self.subject.name
        expected = (200, SUB.encode()) if known else (302, b"") if refuses else (200, b"nobody")
        assert answer == expected, (self.subject, self.visitor, answer)

    async def measure(self) -> None:
        app, call, clock, cookies = self.app, self.call, self.clock, list(islice(self.cookies, REQUESTS))
        gc.collect()
        gc.disable()
        began = clock()
        for cookie in cookies:
            await call(app, cookie)
        self.times.append((clock() - began) / REQUESTS * 1e6)
        gc.enable()


def _forged(value: str) -> str:
    """The payload altered in its tenth character, the form and the signature as they were."""
    return value[:9] + ("A" if value[9] != "A" else "B") + value[10:]


# the table -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """Microseconds per request. `times_less` is the peer's overhead divided by this one's."""

    edge: str
    visitor: str
    subject: str
    us: float
    multiple: float
    overhead_us: float
    times_less: float | None


async def measured(rounds: int, *, subjects=SUBJECTS, visitors=VISITORS, clock=time.process_time) -> list[Row]:
    requests = (rounds + 2) * REQUESTS
    cells = [Cell(subject, visitor, requests, clock) for visitor in visitors for subject in subjects]
    for cell in cells:
        await cell.check()
    gc.collect()
    gc.freeze()  # what lives through all rounds is not looked at again
    for number in range(rounds):
        turn = number % len(cells)
        for cell in cells[turn:] + cells[:turn]:
            await cell.measure()
    found = {(cell.subject.edge, cell.visitor, cell.subject.name): cell.times for cell in cells}
    return [_row(found, *key) for key in sorted(found, key=lambda key: (key[0], VISITORS.index(key[1])))]


def _row(found: dict[tuple[str, str, str], list[float]], edge: str, visitor: str, name: str) -> Row:
    def overhead(subject: str) -> float:
        pairs = zip(found[edge, visitor, subject], found[edge, visitor, "bare"], strict=True)
        return statistics.median(mine - bare for mine, bare in pairs)

    us, bare = (statistics.median(found[edge, visitor, subject]) for subject in (name, "bare"))
    times_less = overhead(PEER[edge]) / overhead(name) if name.startswith("ours") else None
    return Row(edge, visitor, name, us, us / bare, overhead(name), times_less)


def show(rows: list[Row]) -> None:
    print(f"{platform.python_implementation()} {platform.python_version()}; µs per request, medians\n")
    print(f"{'':5} {'visitor':10} {'subject':32} {'µs':>7} {'of bare':>8} {'overhead':>9}  times less than the peer's")
    for row in rows:
        less = f"{row.times_less:5.1f} x less than {PEER[row.edge]}" if row.times_less is not None else ""
        print(
            f"{row.edge:5} {row.visitor:10} {row.subject:32} {row.us:7.1f} {row.multiple:7.2f}x"
            f" {row.overhead_us:9.1f}  {less}".rstrip()
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="What a request costs with somebody signed in.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--rounds", type=int, default=50, help="more rounds, steadier medians (default: %(default)s)")
    options = parser.parse_args()
    rows = asyncio.run(measured(options.rounds))
    if options.json:
        print(json.dumps({"python": platform.python_version(), "rows": [vars(row) for row in rows]}, indent=2))
    else:
        show(rows)


if __name__ == "__main__":
    main()
