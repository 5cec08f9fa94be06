"""One application behind both doors, over an XWMS that is a function from the bytes of a request to those of an answer.

Everything is real but the network: what a call sends is given to `Wire.answer`, and what that returns is read as if it
had come from a socket, in two pieces. Keys, client and clock are fixed, so that a cookie in a seed stays valid.
"""

import asyncio
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from typing import Any, Final, NamedTuple
from zlib import crc32

import httpcore2

from tests.attacks import forge
from tests.tools.clock import Clock
from tests.tools.fake_xwms import CANARY, CLIENT_ID
from tests.tools.site import HTTPS_URI, asgi_app, flask_app
from xwms_auth import XWMSConfig
from xwms_auth._core.io import connections

HOST: Final = "app.example"
ORIGIN: Final = f"https://{HOST}"
START: Final = 1_900_000_000
TOKEN: Final = "3f1c9a7be2d84c05a6b1e0f79d2c8b4e"
SUB: Final = "xwms-user-1234"
DEFAULTS: Final = (("Accept", "application/json"),)

Headers = Sequence[tuple[str, str]]


class Answer(NamedTuple):
    """A response of a door; `lines` is what was logged meanwhile."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    lines: str

    def all(self, name: str) -> list[str]:
        """The values of the headers with this name, which is in lower case."""
        return [value for key, value in self.headers if key == name]

    @property
    def code(self) -> str | None:
        """The stable code of a refusal, from its document or its page."""
        if b'"code"' in self.body[:400]:
            return str(json.loads(self.body)["code"])
        found = re.search(rb'<span dir="ltr"><code>([a-z_]+)</code>', self.body)
        return found[1].decode() if found else None


# --- the network ------------------------------------------------------------------------------------------------------


class Wire:
    """What stands in for the network while a request is served."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self.answer = answer
        self.requests: list[bytes] = []

    def pieces(self, sent: bytes) -> list[bytes]:
        """The answer to what was sent, cut in two."""
        self.requests.append(sent)
        answer = self.answer(sent)
        return [piece for piece in (answer[: len(answer) // 3], answer[len(answer) // 3 :]) if piece]

    @contextmanager
    def answering(self, answer: Callable[[bytes], bytes]) -> Iterator[None]:
        """Answer like this for a while."""
        usual, self.answer = self.answer, answer
        try:
            yield
        finally:
            self.answer = usual

    @contextmanager
    def plugged(self) -> Iterator[None]:
        """Connections of the package lead here."""
        real, real_async = connections.connect, connections.connect_async

        async def connect_async(addresses: object) -> httpcore2.AsyncNetworkStream:
            return _AsyncLine(self)

        connections.connect = lambda addresses, deadline: _Line(self)  # type: ignore[assignment,return-value]
        connections.connect_async = connect_async
        try:
            yield
        finally:
            connections.connect, connections.connect_async = real, real_async


class _Line:
    """As much of a socket as a connection of the package uses."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._sent = b""
        self._left: list[bytes] | None = None

    def settimeout(self, seconds: float) -> None:
        pass

    def send(self, data: bytes) -> int:
        self._sent += bytes(data)
        return len(data)

    def recv(self, most: int) -> bytes:
        if self._left is None:
            self._left = self._wire.pieces(self._sent)
        if not self._left:
            return b""
        piece = self._left.pop(0)
        if len(piece) > most:
            self._left.insert(0, piece[most:])
        return piece[:most]

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        pass


class _AsyncLine(httpcore2.AsyncNetworkStream):
    def __init__(self, wire: Wire) -> None:
        self._line = _Line(wire)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._line.recv(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._line.send(buffer)

    async def aclose(self) -> None:
        pass

    def get_extra_info(self, info: str) -> Any:
        return None


def http_answer(body: bytes, *, status: bytes = b"200 OK") -> bytes:
    """A plain answer of XWMS's."""
    head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


def well_behaved(sent: bytes) -> bytes:
    """XWMS as documented: a login page for `sign-token`, a person for `sign-token-verify`."""
    path = sent.split(b" ", 2)[1]
    if path == b"/api/sign-token":
        data: object = {"token": TOKEN, "url": "http://127.0.0.1:9/sign-in/1"}
    else:
        data = {"sub": SUB, "name": "Ada Lovelace"}
    return http_answer(json.dumps({"status": "success", "message": "OK", "data": data}).encode())


# --- the doors --------------------------------------------------------------------------------------------------------


class _Log(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(self.format(record))


Make = Callable[[XWMSConfig, Clock], Any]


class House:
    """The application with these options. `send` asks one of its doors, `both` asks both and wants one answer.

    `makers` make the applications of the two doors, if they are not those of `tests/tools/site.py`.
    """

    def __init__(self, *, makers: tuple[Make, Make] = (flask_app, asgi_app), **options: Any) -> None:
        usual = {"client_id": CLIENT_ID, "client_secret": CANARY, "redirect_uris": (HTTPS_URI,)}
        usual |= {"api_url": "http://127.0.0.1:9/api/", "session_secret": forge.KEY}
        self.config = XWMSConfig(**{**usual, **options})
        self.clock = Clock(START)
        self.session_cookie = f"__Host-xwms_session_{self.config.cookie_tag}"
        self.login_prefix = f"__Host-xwms_login_{self.config.cookie_tag}_"
        self.wire = Wire(well_behaved)
        self._log = _Log()
        self.loop = asyncio.new_event_loop()
        with self.heard():
            self.wsgi, self.asgi = (make(self.config, self.clock) for make in makers)

    @contextmanager
    def heard(self) -> Iterator[list[str]]:
        """What the package logs meanwhile, at DEBUG."""
        self._log.records.clear()
        logger = logging.getLogger("xwms_auth")
        level, propagate = logger.level, logger.propagate
        logger.addHandler(self._log)
        if level != logging.DEBUG:  # each change clears the caches of all loggers
            logger.setLevel(logging.DEBUG)
        logger.propagate = False
        try:
            yield self._log.records
        finally:
            logger.removeHandler(self._log)
            if level != logging.DEBUG:
                logger.setLevel(level)
            logger.propagate = propagate

    def send(
        self,
        door: str,
        path: str,
        *,
        method: str = "GET",
        query: str = "",
        headers: Headers = DEFAULTS,
        body: bytes = b"",
        host: str | None = HOST,
        peer: str | None = None,
    ) -> Answer:
        """Send exactly this to one door: a decoded path; a raw query and raw headers as Latin-1.

        With `host` None the headers have it, or nothing does. `peer` is the client's address as the server tells it.
        """
        self.wire.requests.clear()
        fields = [*(() if host is None else (("Host", host),)), *headers]
        with self.heard() as lines, self.wire.plugged():
            if door == "flask":
                status, got, sent = _ask_wsgi(self.wsgi, method, path, query, fields, body, peer)
            else:
                asked = _ask_asgi(self.asgi, method, path, query, fields, body, peer)
                status, got, sent = self.loop.run_until_complete(asked)
        return Answer(status, got, sent, "\n".join(lines))

    def both(self, path: str, **request: Any) -> Answer:
        """Ask both doors at the same moment; they have to agree on status, code and where the browser is sent."""
        first, second = (self.send(door, path, **request) for door in ("flask", "asgi"))
        assert first.status == second.status, (first, second)
        assert first.code == second.code, (first, second)
        assert first.all("location") == second.all("location"), (first, second)
        return first

    def person(self, *, sub: str = SUB) -> list[object]:
        """A session record of now."""
        now = int(self.clock.now)
        return ["an-id-of-a-session-0123456789abcdef01234567", now, now, sub, "Ada Lovelace"]

    def session(self, *, sub: str = SUB) -> str:
        """The value of a session cookie of now."""
        return forge.session_cookie(self, json.dumps(self.person(sub=sub)).encode())  # type: ignore[arg-type]

    def pending(self, token: str, *, number: int = 0) -> str:
        """A whole cookie of a pending login for this token."""
        name = f"{number:08x}"
        login = forge.pending(self, token, id=f"{name}-of-fuzz")  # type: ignore[arg-type]
        return forge.login_cookie(self, login, place=name)  # type: ignore[arg-type]


def doors_for(data: bytes) -> tuple[str, ...]:
    """The doors that this value is brought to: one of them for most, by turns, since what reads it is behind both."""
    number = crc32(data)
    return ("flask", "asgi") if number % 8 == 0 else (("flask", "asgi")[number % 2],)


def _ask_wsgi(
    app: Any, method: str, path: str, query: str, fields: Headers, body: bytes, peer: str | None
) -> tuple[int, list[tuple[str, str]], bytes]:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path.encode("utf-8", "surrogateescape").decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": HOST,
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "CONTENT_LENGTH": str(len(body)),
        **({} if peer is None else {"REMOTE_ADDR": peer}),
    }
    for name, value in fields:
        key = name.upper().replace("-", "_")
        key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
        joint = "; " if key == "HTTP_COOKIE" else ", "
        environ[key] = f"{environ[key]}{joint}{value}" if key in environ else value
    got: list[Any] = []

    def start_response(status: str, headers: Headers, exc_info: Any = None) -> Callable[[bytes], None]:
        got[:] = [status, headers]
        return lambda data: None

    chunks = app(environ, start_response)
    data = b"".join(chunks)
    if hasattr(chunks, "close"):
        chunks.close()
    return int(got[0][:3]), [(name.lower(), value) for name, value in got[1]], data


async def _ask_asgi(
    app: Any, method: str, path: str, query: str, fields: Headers, body: bytes, peer: str | None
) -> tuple[int, list[tuple[str, str]], bytes]:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": None,
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields],
        "client": None if peer is None else (peer, 50_000),
        "server": None,
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in sent[0]["headers"]]
    return sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:])


@cache
def house(use: str = "", /, **options: Any) -> House:
    """The application with these options, made once for each use, since each moves the clock."""
    return House(**options)
