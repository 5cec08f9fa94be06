"""Fault injection: how a fault changes the response of a call.

`install_faults` adds two hooks to an app, which get the endpoint and the response of every call.

- Instead of the call: `503`, `redirect`, `expired-token`, `disabled-client`. No token is spent.
- After the call: all others. The call was performed, so a token is spent even if its response never arrives.

Pages, unknown paths and wrong methods are never affected.
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

from xwms_auth.sandbox.domain.urls import API_PREFIX
from xwms_auth.sandbox.faults.catalogue import ENDPOINTS, FAULTS, MAX_HOLD, Fault, Faults

BIG: Final = 100 * 1024 * 1024  # bytes of `huge`, and of an unpacked `gzip-bomb`
BEHIND: Final = timedelta(hours=1)
REDIRECTED: Final = "http://redirected.invalid/api/"  # RFC 6761: a name that never resolves

_DRIP = 0.1  # seconds between two bytes: far below any read timeout
_CHECK_INTERVAL = 0.25  # seconds between two checks whether the client is still connected
_CHUNK = 65536
_FAULT_KEY = "xwms_sandbox.fault"
_JSON = "application/json"
_PORTAL = "<!doctype html><title>Welcome</title><p>Sign in to use this network."
_DOWN = "<!doctype html><title>503 Service Unavailable</title><p>No server is available."
_HEAD, _TAIL = b'{"status": "success", "message": "OK", "data": {"fill": "', b'"}}'
_TIMESTAMP = re.compile(r'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)((?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?)"')


def install_faults(app: Flask, faults: Faults) -> None:
    """Inject `faults` into the API of this app.

    Call it after adding the `before_request` hooks that refuse requests, so that those use up no fault. Call it before
    adding the other `after_request` hooks: they run in reverse order, and so get the unchanged response.
    """

    def choose() -> Response | None:
        rule = request.url_rule
        endpoint = "" if rule is None else rule.rule.removeprefix(f"{API_PREFIX}/").removeprefix("/")
        fault = faults.take(endpoint) if endpoint in ENDPOINTS else None
        if fault is None:
            return None
        request.environ[_FAULT_KEY] = fault
        return None if fault.performed else answer_instead(fault, endpoint)

    def strike(response: Response) -> Response:
        fault = fault_of_request()
        if fault is None or not fault.performed:
            return response
        return spoil(fault, response, Line(faults=faults, connection=request.environ.get("werkzeug.socket")))

    app.before_request(choose)
    app.after_request(strike)


def fault_of_request() -> Fault | None:
    """The fault that strikes the current request, for logs. Needs Flask's request."""
    return cast("Fault | None", request.environ.get(_FAULT_KEY))


def with_fault(reason: str) -> str:
    """The reason for the API log, with the fault that will change this response. Needs Flask's request."""
    fault = fault_of_request()
    if fault is None:
        return reason
    return f"{reason or 'The call was performed.'} Then the fault “{fault.name}” struck: {FAULTS[fault.name]}"


def instead_of_the_call() -> str:
    """The reason for the API log if a fault replaces the call; "" otherwise. Needs Flask's request."""
    fault = fault_of_request()
    if fault is None or fault.performed:
        return ""
    return f"The call was not performed, because the fault “{fault.name}” struck: {FAULTS[fault.name]}"


class HandlerWithFaults(WSGIRequestHandler):
    """Werkzeug's request handler, with a Date header that is an hour behind under `wrong-clock`.

    The handler writes that header itself, and would send a second one if the app set it.
    """

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The Date header; `timestamp` in seconds since 1970."""
        # A request line that is not HTTP is refused before there is an environ.
        environ: Mapping[str, object] = getattr(self, "environ", {})
        fault = environ.get(_FAULT_KEY)
        now = time.time() if timestamp is None else timestamp
        if isinstance(fault, Fault) and fault.name == "wrong-clock":
            now -= BEHIND.total_seconds()
        return super().date_time_string(now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The connection to one client. `connection` is its socket if known; otherwise a disconnect is not noticed."""

    faults: Faults
    connection: socket.socket | None = None

    def hold(self, seconds: float) -> bool:
        """Wait this long. Returns False early when the server stops, or soon after the client has disconnected."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.faults.wait(min(left, _CHECK_INTERVAL)) or self._is_disconnected():
                return False
        return True

    def cut(self) -> Iterable[bytes]:
        """Close the connection without completing the response."""
        if self.connection is not None:
            # The server would otherwise wait for the client: for the next request if nothing was sent, and for the
            # rest of this one if the app has not read it.
            with suppress(OSError):  # the client has disconnected
                self.connection.shutdown(socket.SHUT_RDWR)
        raise ConnectionAbortedError("closed by a fault of the sandbox")

    def _is_disconnected(self) -> bool:
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
    """The response of a fault that replaces the call."""
    oauth = endpoint.startswith("oauth/")
    match fault.name:
        case "expired-token" if endpoint == "oauth/userinfo":
            response = _oauth_refusal(401, "invalid_token", "The access token has expired.")
            response.headers["WWW-Authenticate"] = 'Bearer realm="XWMS", error="invalid_token"'
            return response
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


def spoil(fault: Fault, response: Response, line: Line) -> Response:
    """Change the response in place and return it. It may be any response, also a refusal.

    A fault that removes something that is missing (`no-sub` from a refusal) leaves the response unchanged.
    Delays happen while the response is sent, after the app has handled the request.
    """
    match fault.name:
        case "slow":
            body = response.get_data()
            _stream(response, _late(body, fault.delay, line), length=len(body))
        case "timeout":
            _stream(response, _never(line), length=None)
        case "drip":
            _stream(response, _endless(response.get_data(), line), length=None)
        case "truncated":
            body = response.get_data()
            _stream(response, _half(body, line), length=len(body) + 1)
        case "huge":
            _replace(response, b"")
            _stream(response, _flood(line), length=BIG)
        case name:
            _REWRITES[name](response)
    return response


def _stream(response: Response, chunks: Iterable[bytes], *, length: int | None) -> None:
    response.response = chunks
    if length is None:
        response.headers.pop("Content-Length", None)
    else:
        response.content_length = length


def _late(body: bytes, seconds: float, line: Line) -> Iterator[bytes]:
    line.faults.wait(seconds)
    yield body


def _never(line: Line) -> Iterator[bytes]:
    line.hold(MAX_HOLD)
    yield from line.cut()


def _endless(body: bytes, line: Line) -> Iterator[bytes]:
    # Spaces after the JSON are still valid JSON, so that no parser can tell that the response is complete.
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
    """A success response as documented, except for its size."""
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


def _replace(response: Response, body: str | bytes, *, status: int = 200, mimetype: str = _JSON) -> None:
    response.status_code = status
    response.mimetype = mimetype
    response.set_data(body)


def _500(response: Response) -> None:
    _replace(response, _error("Something went wrong."), status=500)


def _html(response: Response) -> None:
    _replace(response, _PORTAL, mimetype="text/html")


def _gzip_bomb(response: Response) -> None:
    _replace(response, _bomb())
    response.headers["Content-Encoding"] = "gzip"


def _wrong_envelope(response: Response) -> None:
    ok = response.status_code < 400
    response.set_data(json.dumps({"ok": ok, "result": _object(response).get("data")}))


def _no_sub(response: Response) -> None:
    document = _object(response)
    data = _member(document, "data")
    people = [person for person in (document, data, _member(data, "user")) if "sub" in person]
    for person in people:
        del person["sub"]
    if people:
        response.set_data(json.dumps(document))


def _duplicate_keys(response: Response) -> None:
    document = {"status": "success"} | _object(response)
    response.set_data(f'{json.dumps(document)[:-1]}, "status": "error"}}')


def _wrong_clock(response: Response) -> None:
    # In the text instead of the parsed document, so that the order of keys and the digits of numbers stay the same.
    response.set_data(_TIMESTAMP.sub(_an_hour_earlier, response.get_data(as_text=True)))


def _an_hour_earlier(match: re.Match[str]) -> str:
    try:
        earlier = datetime.fromisoformat(match[1]) - BEHIND
    except (ValueError, OverflowError):
        return match[0]  # 2027-13-45T99:00:00 has the form of a time but is not one
    return f'"{earlier.isoformat()}{match[2]}"'


def _object(response: Response) -> dict[str, object]:
    try:
        return _if_object(json.loads(response.get_data()))
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
