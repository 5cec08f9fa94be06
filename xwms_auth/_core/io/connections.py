"""Network connections to XWMS: with an overall deadline, verified TLS, and reused only when that is safe.

Slow responses (Slowloris): the HTTP library's timeouts are per read, so a server that sends byte by byte could block a
worker for hours. Here every wait of a sync call is limited to the time left until the call's deadline. Async calls get
their deadline from the caller.

Response desynchronisation: XWMS defines where a response ends (RFC 9112 6.3). If more bytes follow it, an HTTP library
keeps them for the next request on that connection: a proxy that is off by one response would then deliver each user's
login to the next user. So a connection is reused only if the received bytes are one complete response and nothing else.
The HTTP library parses the response; `ResponseTap` only checks the same bytes, and when in doubt says no.
"""

import math
import re
import select
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar
from functools import cached_property
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
import httpcore2

from ..base.errors import APIError, Timeout, Unreachable
from ..base.memory.limits import QUICK, CircuitBreaker, Patience
from .sockets import connect, connect_async, resolver, tls_context

T = TypeVar("T")

OUTAGES = 5
"""Outages of a server in a row after which the circuit breaker opens for its origin."""

OPEN_SECONDS = 5.0
"""Seconds that it stays open; then one call at a time tries whether the server is back."""

_TIMEOUTS = (httpcore2.TimeoutException, TimeoutError)
_OUTAGES = (*_TIMEOUTS, httpcore2.ConnectError)


class Attempt:
    """One call, as a context manager. `sent` is whether a part of the request may have reached the server.

    `where` is for the log. Raises `Unreachable` if the call may not begin.
    """

    def __init__(self, where: str, breaker: CircuitBreaker, patience: Patience, *, timeout: float) -> None:
        self.sent = False
        self._where = where
        self._breaker = breaker
        self._patience = patience
        self._is_given_up = False
        self._is_outage: bool | None = None
        self._tries = breaker.is_open
        if seconds := breaker.wait(timeout + QUICK):
            cause = f"{where}: not tried, after {OUTAGES} outages in a row"
            raise Unreachable(cause, sent=False, retry_after=math.ceil(seconds))
        try:
            patience.begin()
        except Unreachable:
            self._report()
            raise
        self._until = time.monotonic() + timeout
        self._quick_until: float | None = None

    def begun(self) -> None:
        """Note that the server has something to do now. Waiting for a free connection is no sign of a slow server."""
        if self._quick_until is None:
            self._quick_until = time.monotonic() + QUICK

    def remaining(self, error: type[Exception]) -> float:
        """Seconds that the next wait may take, after which to ask again. Raises `error` when the time is over.

        That is at the deadline, or when the call is no longer quick and may not go on.
        """
        now = time.monotonic()
        if now >= self._until:
            raise error
        quick_until = now + QUICK if self._quick_until is None else self._quick_until
        if now < quick_until:
            return min(self._until, quick_until) - now
        self._is_given_up = not self._patience.may_go_on()
        if self._is_given_up:
            raise error
        return self._until - now

    def wait(self, operation: Callable[[float], T], error: type[Exception]) -> T:
        """The result of an operation that takes a timeout and may be repeated after a `TimeoutError`."""
        while True:
            seconds = self.remaining(error)
            with suppress(TimeoutError):
                return operation(seconds)

    def answered(self) -> None:
        """Note that the server has answered, whatever it says."""
        self._is_outage = False

    def failure(self, fault: BaseException) -> APIError:
        """Map an error of the HTTP library, which holds the request and so the secret, to one of ours."""
        cause = f"{self._where}: {type(fault).__name__}"
        if self._is_given_up:
            cause = f"{self._where}: given up, since others have not been answered for longer"
        elif isinstance(fault, _OUTAGES) and not isinstance(fault, httpcore2.PoolTimeout):
            self._is_outage = True
        if isinstance(fault, _TIMEOUTS):
            return Timeout(cause, sent=self.sent)
        return Unreachable(cause, sent=self.sent)

    def __enter__(self) -> Self:
        self._token = current_attempt.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        current_attempt.reset(self._token)
        self._patience.end()
        self._report()

    def _report(self) -> None:
        if self._is_outage:
            self._breaker.failed()
        elif self._is_outage is not None:
            self._breaker.answered()
        elif self._tries:
            self._breaker.unknown()


current_attempt: ContextVar[Attempt] = ContextVar("xwms_auth_attempt")
"""The call that a connection is used for now."""


def is_readable(sock: socket.socket) -> bool:
    """Whether there is something to read, or the connection has ended."""
    if sock.fileno() < 0 or (isinstance(sock, ssl.SSLSocket) and sock.pending()):
        return True
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


class _Stream(httpcore2.NetworkStream):
    """A connection on which every read and write is limited to the time left until the call's deadline."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._tap = ResponseTap()
        self._unsent = b""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        def receive(seconds: float) -> bytes:
            self._sock.settimeout(seconds)
            return self._sock.recv(max_bytes)

        if self._unsent:
            # A server may answer before it has read all, and close the connection: the response is read all the same.
            with suppress(httpcore2.WriteError):
                self._send()
        data = self._wait(receive, httpcore2.ReadTimeout, httpcore2.ReadError)
        self._tap.received(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # Head and body are sent as one TLS record: the HTTP library always reads when it has written both.
        self._unsent += buffer

    def _send(self) -> None:
        unsent, self._unsent = memoryview(self._unsent), b""

        def send(seconds: float) -> int:
            self._sock.settimeout(seconds)
            return self._sock.send(unsent)

        self._tap.begin_request()
        attempt = current_attempt.get()
        attempt.begun()
        attempt.sent = True
        while unsent:
            unsent = unsent[self._wait(send, httpcore2.WriteTimeout, httpcore2.WriteError) :]

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        # truststore verifies at the end of `wrap_socket`, so where it is used the handshake is done in it as well.
        at_once = sys.platform in ("darwin", "win32")

        def shake_hands(seconds: float) -> None:
            tls.settimeout(seconds)
            tls.do_handshake()

        try:
            self._sock.settimeout(current_attempt.get().remaining(httpcore2.ConnectTimeout))
            tls = tls_context().wrap_socket(
                self._sock, server_hostname=server_hostname, do_handshake_on_connect=at_once
            )
        except OSError as error:
            self.close()
            raise httpcore2.ConnectError(str(error)) from None
        stream = _Stream(tls)
        try:
            stream._wait(shake_hands, httpcore2.ConnectTimeout, httpcore2.ConnectError)
        except BaseException:
            stream.close()
            raise
        return stream

    def _wait(self, operation: Callable[[float], T], timeout: type[Exception], failure: type[Exception]) -> T:
        try:
            return current_attempt.get().wait(operation, timeout)
        except OSError as error:
            raise failure(str(error)) from None

    def close(self) -> None:
        self._sock.close()

    def get_extra_info(self, info: str) -> Any:
        if info != "is_readable":
            return None
        # The pool checks this before it reuses an idle connection, and drops one that is readable.
        return not self._tap.reusable or is_readable(self._sock)


class Backend(httpcore2.NetworkBackend):
    """Opens connections for sync code."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        attempt = current_attempt.get()
        attempt.begun()
        return _Stream(connect(resolver.addresses(host, port, attempt), attempt))


class _AsyncStream(httpcore2.AsyncNetworkStream):
    """A connection that tracks whether it may be reused."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream
        self._tap = ResponseTap()
        self._unsent = b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._unsent:  # as in `_Stream`
            with suppress(httpcore2.WriteError):
                await self._send()
        data = await self._stream.read(max_bytes, timeout)
        self._tap.received(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._unsent += buffer

    async def _send(self) -> None:
        unsent, self._unsent = self._unsent, b""
        self._tap.begin_request()
        attempt = current_attempt.get()
        attempt.begun()
        attempt.sent = True
        await self._stream.write(unsent)

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        try:
            return _AsyncStream(await self._stream.start_tls(tls_context(), server_hostname, timeout))
        except BaseException:
            # The HTTP library closes the connection after an error, but not when the deadline cancels the handshake.
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()
            raise

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        if info != "is_readable":
            return None
        return not self._tap.reusable or self._has_tls_data() or is_readable(self._socket)

    # Looked up once: the HTTP library makes a dictionary of all that there is to know, with the names of both ends.
    @cached_property
    def _socket(self) -> Any:
        return self._stream.get_extra_info("socket")

    @cached_property
    def _tls(self) -> Any:
        return self._stream.get_extra_info("ssl_object")

    def _has_tls_data(self) -> bool:
        """Whether TLS has buffered data: async TLS keeps records in memory, where polling the socket misses them."""
        if self._tls is None:
            return False
        try:
            self._tls.read(1)
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError:
            pass  # closed or broken: must not be reused either
        return True


class AsyncBackend(httpcore2.AsyncNetworkBackend):
    """Opens connections for async code, on asyncio or trio."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        current_attempt.get().begun()
        return _AsyncStream(await connect_async(await resolver.addresses_async(host, port)))


MAX_INSPECTED = 2 * 1024 * 1024
"""Bytes that are inspected. The longest response that is read has half of it; after more, the connection is dropped."""


# Responses that have a body, to the methods that are used (GET, POST): 1xx, 204 and 304 have none, whatever they claim.
_STATUS = re.compile(rb"HTTP/1\.1 (?:2(?!04)|3(?!04)|[45])[0-9]{2}(?: [\t -~\x80-\xff]*)?")
# A field line as in RFC 9112 5. Parsers disagree about folded lines and about a lone CR or LF as line end.
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*)")
# Not int(), which also accepts signs, spaces, underscores and 0x.
_LENGTH = re.compile(rb"[0-9]{1,16}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[^\r\n]*)?")


class ResponseTap:
    """Records the bytes received for one request, to tell whether they are one complete response and nothing else."""

    def __init__(self) -> None:
        self._received = bytearray()

    def begin_request(self) -> None:
        """Start over: the bytes received from now on are the response to a new request."""
        self._received.clear()

    def received(self, data: bytes) -> None:
        """Record received bytes."""
        if len(self._received) <= MAX_INSPECTED:
            self._received += data

    @property
    def reusable(self) -> bool:
        """Whether the connection may carry another request."""
        if len(self._received) > MAX_INSPECTED:
            return False
        head, separator, body = bytes(self._received).partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        fields = [found for line in lines if (found := _FIELD.fullmatch(line))]
        if not separator or len(fields) != len(lines) or not _STATUS.fullmatch(status):
            return False
        lengths = [found[2].rstrip(b" \t") for found in fields if found[1].lower() == b"content-length"]
        codings = [found[2].rstrip(b" \t").lower() for found in fields if found[1].lower() == b"transfer-encoding"]
        if len(lengths) == 1 and not codings:
            return _LENGTH.fullmatch(lengths[0]) is not None and len(body) == int(lengths[0])
        return codings == [b"chunked"] and not lengths and _is_one_chunked_body(body)


def _is_one_chunked_body(body: bytes) -> bool:
    at = 0
    while True:
        end = body.find(b"\r\n", at)
        line = _CHUNK_SIZE.fullmatch(body, at, end) if end >= 0 else None
        if line is None:
            return False
        size = int(line[1], 16)
        if size == 0:
            # The last chunk. Trailer fields are not accepted: XWMS sends none.
            return body[end:] == b"\r\n\r\n"
        at = end + 2 + size + 2
        if body[at - 2 : at] != b"\r\n":
            return False
