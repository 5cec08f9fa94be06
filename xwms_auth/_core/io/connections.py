"""Connections to XWMS: in time, trusted, and used again only when that is safe.

A library's timeouts are per read, so a dripping server could hold a worker for hours; here every wait of a plain call
gets what is left of the call's time. Async calls have their deadline from outside (`anyio.fail_after`).

Knows: sockets and TLS.
Must not: know what travels over them.
"""

import socket
import ssl
import time
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any, cast

import anyio
import httpcore2
import truststore

from .framing import ResponseTap


def tls_context() -> ssl.SSLContext:
    """Certificates as the operating system trusts them, TLS 1.2 or newer. Costs tens of milliseconds: made once.

    Not `ssl.create_default_context`, which writes session keys to the file named by SSLKEYLOGFILE.
    """
    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


deadline: ContextVar[float] = ContextVar("xwms_auth_deadline")
"""When the current plain call must be over, by `time.monotonic`."""


def _remaining(over: type[Exception] = httpcore2.ReadTimeout) -> float:
    """Seconds until the current call's deadline; every wait of the pool gets what is left of it."""
    left = deadline.get() - time.monotonic()
    if left <= 0:
        raise over
    return left


class _Stream(httpcore2.NetworkStream):
    """A connection whose every read and write has only what is left of the call's time."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream
        self._tap = ResponseTap()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self._stream.read(max_bytes, _remaining())
        self._tap.came(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._tap.asked()
        self._stream.write(buffer, _remaining())

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, _remaining()))

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        # The pool asks this before it uses an idle connection, and gives up one that has something to say.
        return (info == "is_readable" and not self._tap.exact) or self._stream.get_extra_info(info)


class Backend(httpcore2.NetworkBackend):
    """Opens connections for plain code."""

    def __init__(self) -> None:
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        # Address by address, each with what is left of the time. Only the resolver keeps its own.
        fault: Exception = httpcore2.ConnectError(f"{host} has no address")
        for *_, address in _addresses(host, port):
            try:
                ip = str(address[0])
                return _Stream(
                    self._sockets.connect_tcp(
                        ip, port, _remaining(httpcore2.ConnectTimeout), local_address, socket_options
                    )
                )
            except httpcore2.ConnectError as error:
                fault = error
        raise fault


def _addresses(host: str, port: int) -> list[Any]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore2.ConnectError(str(error)) from None


class _AsyncStream(httpcore2.AsyncNetworkStream):
    """A connection that knows whether it may be used again."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream
        self._tap = ResponseTap()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = await self._stream.read(max_bytes, timeout)
        self._tap.came(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._tap.asked()
        await self._stream.write(buffer, timeout)

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        try:
            return _AsyncStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))
        except BaseException:
            # The library closes the connection after an error, but not when the deadline cancels the handshake.
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()
            raise

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable" and (not self._tap.exact or self._has_a_record()):
            return True
        return self._stream.get_extra_info(info)

    def _has_a_record(self) -> bool:
        """Whether TLS has more to give: async TLS keeps records in memory, and the socket knows nothing of them."""
        tls = self._stream.get_extra_info("ssl_object")
        if tls is None:
            return False
        try:
            tls.read(1)
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError:
            pass  # closed or broken: not to be used again either
        return True


class AsyncBackend(httpcore2.AsyncNetworkBackend):
    """Opens connections for async code, on asyncio or trio."""

    def __init__(self) -> None:
        self._sockets = cast("httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        return _AsyncStream(await self._sockets.connect_tcp(host, port, timeout, local_address, socket_options))
