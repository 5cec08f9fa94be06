"""What a fault does to an answer: the honest one goes in, the spoiled one comes out.

`install_faults` is all that an app needs: two hooks, which see the endpoint and the answer of every call.

- Before the call, and instead of it: `503`, `redirect`, `expired-token`, `disabled-client`. No token is spent.
- After the call: all others. The call was performed, so a token is spent even if its answer never arrives.

Pages, unknown paths and wrong methods are never spoiled.

Knows: HTTP, the envelope, and the connection of the local server.
Must not: know clients, tokens or people, or decide which fault strikes (`faults.py`).
"""

import functools
import json
import re
import selectors
import socket
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, repeat
from typing import Final, cast

from flask import Flask, Response, request
from werkzeug.serving import WSGIRequestHandler

from xwms_auth.sandbox.faults.catalogue import ENDPOINTS, FAULTS, MAX_HOLD, Fault, Faults
from xwms_auth.sandbox.web.responses import API_PREFIX

BIG: Final = 100 * 1024 * 1024  # bytes of `huge`, and of an unpacked `gzip-bomb`
BEHIND: Final = timedelta(hours=1)
REDIRECTED: Final = "http://redirected.invalid/api/"  # RFC 6761: a name that nobody can have

_DRIP = 0.1  # seconds between two bytes: far below any timeout per read
_LOOK = 0.25  # seconds between two looks whether the client is still there
_CHUNK = 65536
_FAULT_KEY = "xwms_sandbox.fault"
_JSON = "application/json"
_PORTAL = "<!doctype html><title>Welcome</title><p>Sign in to use this network."
_DOWN = "<!doctype html><title>503 Service Unavailable</title><p>No server is available."
_HEAD, _TAIL = b'{"status": "success", "message": "OK", "data": {"fill": "', b'"}}'
_MOMENT = re.compile(r'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)((?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?)"')


def install_faults(app: Flask, faults: Faults) -> None:
    """Let `faults` strike the API of this app.

    Call it after the `before_request` hooks that guard the door, so that those whom it turns away use up no fault.
    Call it before the other `after_request` hooks: they run in reverse, and so see the honest answer, which ends.
    """

    def choose() -> Response | None:
        rule = request.url_rule
        endpoint = "" if rule is None else rule.rule.removeprefix(f"{API_PREFIX}/").removeprefix("/")
        fault = faults.take(endpoint) if endpoint in ENDPOINTS else None
        if fault is None:
            return None
        request.environ[_FAULT_KEY] = fault
        return None if fault.performed else answer_instead(fault, endpoint)

    def strike(answer: Response) -> Response:
        fault = fault_of_request()
        if fault is None or not fault.performed:
            return answer
        return spoil(fault, answer, Line(faults=faults, connection=request.environ.get("werkzeug.socket")))

    app.before_request(choose)
    app.after_request(strike)


def fault_of_request() -> Fault | None:
    """The fault that strikes the current request, for logs. Needs Flask's request."""
    return cast("Fault | None", request.environ.get(_FAULT_KEY))


def with_fault(reason: str) -> str:
    """The reason for the API log, and what a fault will do to this answer before it is sent. Needs Flask's request."""
    fault = fault_of_request()
    if fault is None:
        return reason
    return f"{reason or 'The call was carried out.'} Then the fault “{fault.name}” struck: {FAULTS[fault.name]}"


def instead_of_the_call() -> str:
    """The reason for the API log where a fault answers instead of the call; "" elsewhere. Needs Flask's request."""
    fault = fault_of_request()
    if fault is None or fault.performed:
        return ""
    return f"The call was not made, because the fault “{fault.name}” struck: {FAULTS[fault.name]}"


class HandlerWithFaults(WSGIRequestHandler):
    """Werkzeug's request handler, with a Date header that is an hour behind under `wrong-clock`.

    The handler writes that header itself, and would send a second one beside the app's.
    """

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The Date header; `timestamp` in seconds since 1970."""
        # A line that is no HTTP is refused before there is an environ.
        environ: Mapping[str, object] = getattr(self, "environ", {})
        fault = environ.get(_FAULT_KEY)
        now = time.time() if timestamp is None else timestamp
        if isinstance(fault, Fault) and fault.name == "wrong-clock":
            now -= BEHIND.total_seconds()
        return super().date_time_string(now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The line to one client. `connection` is its socket where the server tells; without it nobody sees it leave."""

    faults: Faults
    connection: socket.socket | None = None

    def hold(self, seconds: float) -> bool:
        """Wait that long; False, and at once, when the server stops, and soon after the client has left."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.faults.wait(min(left, _LOOK)) or self._has_left():
                return False
        return True

    def cut(self) -> Iterable[bytes]:
        """Close the connection, without the end of an answer."""
        if self.connection is not None:
            # The server itself would wait for more from the client: for the next request where nothing was sent, and
            # for the rest of this one where the app has not read it.
            with suppress(OSError):  # the client was faster
                self.connection.shutdown(socket.SHUT_RDWR)
        raise ConnectionAbortedError("cut by a fault of the sandbox")

    def _has_left(self) -> bool:
        if self.connection is None:
            return False
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self.connection, selectors.EVENT_READ)
                return bool(selector.select(0)) and not self.connection.recv(1, socket.MSG_PEEK)
        except (OSError, ValueError):
            return True


# --- instead of the call ---------------------------------------------------------------------------------------------


def answer_instead(fault: Fault, endpoint: str) -> Response:
    """The answer of a fault that strikes before the call is performed."""
    oauth = endpoint.startswith("oauth/")
    match fault.name:
        case "expired-token" if endpoint == "oauth/userinfo":
            answer = _oauth_refusal(401, "invalid_token", "The access token has expired.")
            answer.headers["WWW-Authenticate"] = 'Bearer realm="XWMS", error="invalid_token"'
            return answer
        case "expired-token" if oauth:
            return _oauth_refusal(400, "invalid_grant", "The code or refresh token has expired.")
        case "disabled-client" if oauth:
            return _oauth_refusal(400, "unauthorized_client", "The client is disabled.")
        case "expired-token":
            return _refusal(401, "The token is invalid, expired or already used.")
        case "disabled-client":
            return _refusal(403, "The client is disabled.")
        case "redirect":
            return Response(status=307, headers={"Location": REDIRECTED + endpoint})
        case "503":
            return Response(_DOWN, 503, mimetype="text/html", headers={"Retry-After": "10"})
        case name:
            raise ValueError(f"{name} strikes after the call.")


def _refusal(status: int, message: str) -> Response:
    return Response(_error(message), status, mimetype=_JSON)


def _oauth_refusal(status: int, error: str, description: str) -> Response:
    return Response(json.dumps({"error": error, "error_description": description}), status, mimetype=_JSON)


def _error(message: str) -> str:
    return json.dumps({"status": "error", "message": message, "data": {}})


# --- after the call --------------------------------------------------------------------------------------------------


def spoil(fault: Fault, answer: Response, line: Line) -> Response:
    """Spoil the honest answer in place and return it. Any answer will do, also a refusal.

    A fault that takes away what is not there (`no-sub` from a refusal) leaves the answer as it is.
    Waiting is done while the answer is sent, when the request is over for the app.
    """
    match fault.name:
        case "slow":
            body = answer.get_data()
            _stream(answer, _late(body, fault.delay, line), length=len(body))
        case "timeout":
            _stream(answer, _never(line), length=None)
        case "drip":
            _stream(answer, _endless(answer.get_data(), line), length=None)
        case "truncated":
            body = answer.get_data()
            _stream(answer, _half(body, line), length=len(body) + 1)
        case "huge":
            _replace(answer, b"")
            _stream(answer, _flood(line), length=BIG)
        case name:
            _REWRITES[name](answer)
    return answer


def _stream(answer: Response, chunks: Iterable[bytes], *, length: int | None) -> None:
    answer.response = chunks
    if length is None:
        answer.headers.pop("Content-Length", None)
    else:
        answer.content_length = length


def _late(body: bytes, seconds: float, line: Line) -> Iterator[bytes]:
    line.faults.wait(seconds)
    yield body


def _never(line: Line) -> Iterator[bytes]:
    line.hold(MAX_HOLD)
    yield from line.cut()


def _endless(body: bytes, line: Line) -> Iterator[bytes]:
    # Blanks after the JSON are still JSON: no reader can tell that it has seen everything.
    end = time.monotonic() + MAX_HOLD
    for byte in chain(body, repeat(ord(" "))):
        yield bytes([byte])
        if not line.hold(_DRIP) or time.monotonic() > end:
            break
    yield from line.cut()


def _half(body: bytes, line: Line) -> Iterator[bytes]:
    yield body[: len(body) // 2]
    yield from line.cut()


def _flood(line: Line) -> Iterator[bytes]:
    for chunk in _big_body():
        if line.faults.closed:
            yield from line.cut()
        yield chunk


def _big_body() -> Iterator[bytes]:
    """A long success that is otherwise as documented, so that nothing but its size is wrong with it."""
    yield _HEAD
    left = BIG - len(_HEAD) - len(_TAIL)
    chunk = b" " * _CHUNK
    for _ in range(left // _CHUNK):
        yield chunk
    yield chunk[: left % _CHUNK]
    yield _TAIL


@functools.cache
def _bomb() -> bytes:
    packer = zlib.compressobj(wbits=31)
    return b"".join([*(packer.compress(chunk) for chunk in _big_body()), packer.flush()])


def _replace(answer: Response, body: str | bytes, *, status: int = 200, mimetype: str = _JSON) -> None:
    answer.status_code = status
    answer.mimetype = mimetype
    answer.set_data(body)


def _500(answer: Response) -> None:
    _replace(answer, _error("Something went wrong."), status=500)


def _html(answer: Response) -> None:
    _replace(answer, _PORTAL, mimetype="text/html")


def _gzip_bomb(answer: Response) -> None:
    _replace(answer, _bomb())
    answer.headers["Content-Encoding"] = "gzip"


def _wrong_envelope(answer: Response) -> None:
    ok = answer.status_code < 400
    answer.set_data(json.dumps({"ok": ok, "result": _object(answer).get("data")}))


def _no_sub(answer: Response) -> None:
    document = _object(answer)
    data = _member(document, "data")
    people = [person for person in (document, data, _member(data, "user")) if "sub" in person]
    for person in people:
        del person["sub"]
    if people:
        answer.set_data(json.dumps(document))


def _duplicate_keys(answer: Response) -> None:
    honest = {"status": "success"} | _object(answer)
    answer.set_data(f'{json.dumps(honest)[:-1]}, "status": "error"}}')


def _wrong_clock(answer: Response) -> None:
    # In the text and not in the parsed document: nothing else changes, not the order of keys nor a digit of a number.
    answer.set_data(_MOMENT.sub(_an_hour_earlier, answer.get_data(as_text=True)))


def _an_hour_earlier(found: re.Match[str]) -> str:
    try:
        told = datetime.fromisoformat(found[1]) - BEHIND
    except (ValueError, OverflowError):
        return found[0]  # 2027-13-45T99:00:00 looks like a time and is none
    return f'"{told.isoformat()}{found[2]}"'


def _object(answer: Response) -> dict[str, object]:
    try:
        return _if_object(json.loads(answer.get_data()))
    except (ValueError, RecursionError):
        return {}


def _member(parent: Mapping[str, object], name: str) -> dict[str, object]:
    return _if_object(parent.get(name))


def _if_object(value: object) -> dict[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


_REWRITES: Final[Mapping[str, Callable[[Response], None]]] = {
    "500": _500,
    "html": _html,
    "gzip-bomb": _gzip_bomb,
    "wrong-envelope": _wrong_envelope,
    "no-sub": _no_sub,
    "duplicate-keys": _duplicate_keys,
    "wrong-clock": _wrong_clock,
}
