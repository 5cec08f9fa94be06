"""How FX misbehaves: requests and answers as values, and every named fault.

A behaviour knows one exchange only (a request and the bare connection); which call it answers is FX's business.
"""

import functools
import gzip
import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

DRIP = 0.02  # seconds between two bytes of a drip: far below any timeout per read
BIG = 100 * 1024 * 1024


# --- what is sent and received -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived; `call` is the path below `/api/`, or the whole path."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    raw_head: bytes
    connection: int

    @property
    def call(self) -> str:
        return self.target.split("?")[0].removeprefix("/api/")

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    def all(self, name: str) -> list[str]:
        """Every value of that header, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole, well-formed answer; `headers` replace the defaults of the same name, None removes one."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str | None] = field(default_factory=dict)

    def wire(self) -> bytes:
        plain: dict[str, str | None] = {"Content-Type": "application/json", "Content-Length": str(len(self.body))}
        lines = [f"{name}: {value}" for name, value in (plain | dict(self.headers)).items() if value is not None]
        return "\r\n".join([f"HTTP/1.1 {self.status} FX", *lines, "", ""]).encode("latin-1") + self.body


class Server(Protocol):
    """The part of FX that a behaviour may use."""

    closing: threading.Event
    host: str

    @property
    def sink_host(self) -> str: ...

    def usual(self, at: "Exchange") -> "Reply": ...


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a behaviour may use: the request, FX itself and the bare connection."""

    fx: Server
    request: Request
    connection: socket.socket

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def drip(self, pattern: bytes) -> None:
        """Byte after byte until the client has had enough."""
        while not self.fx.closing.wait(DRIP):
            for byte in pattern:
                self.send(bytes([byte]))
                if self.fx.closing.wait(DRIP):
                    return

    def wait_until_gone(self) -> None:
        while self.connection.recv(65536):
            pass


# A behaviour answers with a Reply, or writes by itself and returns None: then the connection is closed.
Behaviour: TypeAlias = Callable[[Exchange], Reply | None]


def envelope(data: object = None, *, status: str = "success", message: str = "OK", http: int = 200) -> Reply:
    """An answer in XWMS's envelope."""
    body = {"status": status, "message": message, "data": {} if data is None else data}
    return Reply(status=http, body=json.dumps(body).encode())


def refusal(http: int, message: str) -> Reply:
    return envelope(status="error", message=message, http=http)


# --- faults ----------------------------------------------------------------------------------------------------------


def redirect(status: int, location: str | None = None) -> Behaviour:
    """A redirect; to the sink unless a location is given (`{sink}` and `{fx}` in it are host and port)."""

    def answer(at: Exchange) -> Reply:
        target = (location or "http://{sink}/stolen").format(sink=at.fx.sink_host, fx=at.fx.host)
        return Reply(status=status, headers={"Location": target})

    return answer


def delayed(seconds: float, then: Behaviour | None = None) -> Behaviour:
    """The usual answer, late."""

    def answer(at: Exchange) -> Reply | None:
        at.fx.closing.wait(seconds)
        return (then or at.fx.usual)(at)

    return answer


def changed(**data: object) -> Behaviour:
    """The usual answer with these members of `data` changed."""

    def answer(at: Exchange) -> Reply:
        usual = at.fx.usual(at)
        document = json.loads(usual.body)
        document["data"].update(data)
        return Reply(status=usual.status, body=json.dumps(document).encode())

    return answer


def _with_headers(**headers: str | None) -> Behaviour:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda at: Reply(body=at.fx.usual(at).body, headers=named)


def _raw(data: bytes, *, after: Callable[[Exchange], object] | None = None) -> Behaviour:
    def answer(at: Exchange) -> None:
        at.send(data)
        if after is not None:
            after(at)

    return answer


def _hang(at: Exchange) -> None:
    at.wait_until_gone()


def _reset(at: Exchange) -> None:
    at.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _consumed(then: Behaviour) -> Behaviour:
    """XWMS does its work (a token is spent), but its answer never arrives."""

    def answer(at: Exchange) -> Reply | None:
        at.fx.usual(at)
        return then(at)

    return answer


def _flood(at: Exchange) -> None:
    at.send(b"HTTP/1.1 200 FX\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % BIG)
    for _ in range(BIG // 65536):
        at.send(b" " * 65536)


def _flood_chunked(at: Exchange) -> None:
    at.send(b"HTTP/1.1 200 FX\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(BIG // 65536):
        at.send(b"10000\r\n" + b" " * 65536 + b"\r\n")
    at.send(b"0\r\n\r\n")


@functools.cache
def _bomb() -> bytes:
    return gzip.compress(b" " * BIG, 6)


def _gzip_bomb(at: Exchange) -> Reply:
    return Reply(body=_bomb(), headers={"Content-Encoding": "gzip"})


def _gzip(at: Exchange) -> Reply:
    return Reply(body=gzip.compress(at.fx.usual(at).body), headers={"Content-Encoding": "gzip"})


def _echo_in_error(at: Exchange) -> Reply:
    """An XWMS (or a proxy before it) that repeats our own headers and body in its error."""
    said = "; ".join(f"{name}: {value}" for name, value in at.request.headers)
    return refusal(500, f"<b>{said}</b> {at.request.body.decode('utf-8', 'replace')}")


_HEAD = b"HTTP/1.1 200 FX\r\nContent-Type: application/json\r\n"
_HTML = b"<!doctype html><title>Sign in</title><p>Welcome"

FAULTS: Mapping[str, Behaviour] = {
    # time
    "hang": _hang,
    "drip body": _raw(_HEAD + b"Content-Length: 1000000\r\n\r\n", after=lambda at: at.drip(b" ")),
    "drip chunks": _raw(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", after=lambda at: at.drip(b"1\r\n \r\n")),
    "drip headers": _raw(_HEAD + b"X-Slow: ", after=lambda at: at.drip(b"x")),
    "drip informational": lambda at: at.drip(b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "body never ends": _raw(_HEAD + b"Content-Length: 100\r\n\r\n{", after=_hang),
    "consume then hang": _consumed(_hang),
    # connection
    "close": lambda at: None,
    "reset": _reset,
    "consume then close": _consumed(lambda at: None),
    "truncated": _raw(_HEAD + b'Content-Length: 1000\r\n\r\n{"status":"success"'),
    "truncated chunks": _raw(_HEAD + b'Transfer-Encoding: chunked\r\n\r\n20\r\n{"status'),
    "truncated headers": _raw(_HEAD),
    # not HTTP
    "not http": _raw(b"SSH-2.0-OpenSSH_9.9\r\n" * 20),
    "bad chunk size": _raw(_HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
    "two lengths": _raw(_HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    "huge header": _raw(_HEAD + b"X-Big: " + b"x" * 2_000_000 + b"\r\nContent-Length: 2\r\n\r\n{}"),
    # size
    "huge body": _flood,
    "huge chunks": _flood_chunked,
    "gzip bomb": _gzip_bomb,
    # content
    "gzip": _gzip,
    "empty": lambda at: Reply(),
    "200 html": lambda at: Reply(body=_HTML, headers={"Content-Type": "text/html"}),
    "500 html": lambda at: Reply(status=500, body=_HTML, headers={"Content-Type": "text/html"}),
    "wrong content type": _with_headers(Content_Type="text/html"),
    "no content type": _with_headers(Content_Type=None),
    "set-cookie": _with_headers(Set_Cookie="fx=tracked; Path=/"),
    "other token": changed(token="somebody-elses-token-0123456789abcdef"),
    "other client_id": changed(client_id="somebody-elses-client"),
    "echo in error": _echo_in_error,
}
