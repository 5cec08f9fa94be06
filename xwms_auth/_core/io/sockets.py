"""TLS contexts, name resolution and TCP connections, each within the deadline of a call.

A server may have several addresses, of which one drops packets: the next one is tried soon, while the first still may
answer (RFC 8305, Happy Eyeballs). A resolver has timeouts of its own, often twenty seconds: a lookup runs in one of a
few threads and is abandoned at the deadline.
"""

import _thread
import errno
import os
import re
import selectors
import socket
import ssl
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import anyio
import httpcore2

T = TypeVar("T")

MAX_LOOKUPS = 8
"""Threads of a process that look names up; those that are abandoned count until the resolver gives up."""

LOOKUP_POLL_INTERVAL = 0.02
"""Seconds between two checks whether a lookup is done, or may begin."""

NEXT_ADDRESS = 0.25
"""Seconds after which the next address of a server is tried as well (RFC 8305 8)."""

# Where OpenSSL's own paths lead nowhere: a Python that was built on another system.
_CA_BUNDLES = (
    "/etc/ssl/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/cert.pem",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/ca-bundle.pem",
)


def tls_context() -> ssl.SSLContext:
    """A context for TLS 1.2 or newer with the operating system's trust store.

    One for the whole process, since it reads all certificates; but a new one for each connection where truststore is
    used, whose contexts let one handshake at a time through.
    """
    if sys.platform in ("darwin", "win32"):
        import truststore  # noqa: PLC0415  not installed elsewhere

        return _with_limits(truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    # gevent puts a class of its own there, perhaps after the first use. A context of the old one would fail with its
    # sockets.
    return openssl_context(ssl.SSLContext)


@cache
def openssl_context(kind: type[ssl.SSLContext]) -> ssl.SSLContext:
    """The context of this process, with the certificates that the system trusts at its first use."""
    # Not `ssl.create_default_context`, which writes session keys to the file named by SSLKEYLOGFILE.
    context = _with_limits(kind(ssl.PROTOCOL_TLS_CLIENT))
    context.load_default_certs()
    directory = ssl.get_default_verify_paths().capath
    if not context.cert_store_stats()["x509_ca"] and not (directory and _holds_certificates(Path(directory))):
        bundle = next((path for path in _CA_BUNDLES if Path(path).is_file()), None)
        if bundle is not None:
            context.load_verify_locations(cafile=bundle)
    return context


def _holds_certificates(directory: Path) -> bool:
    return any(re.fullmatch(r"[0-9a-f]{8}\.[0-9]+", path.name) for path in directory.iterdir())


def _with_limits(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


class Deadline(Protocol):
    """The deadline of a sync call."""

    def remaining(self, error: type[Exception]) -> float:
        """Seconds that the next wait may take, after which to ask again. Raises `error` when the time is over."""
        ...

    def wait(self, operation: Callable[[float], T], error: type[Exception]) -> T:
        """The result of an operation that takes a timeout and may be repeated after a `TimeoutError`."""
        ...


class _Resolver:
    """Looks names up in daemon threads: they keep no process from ending, and the application's own stay free.

    Nobody waits at a lock: one that was made before gevent patched the standard library stops all greenlets.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin with all threads free, as after a fork, where those of the parent do not go on."""
        self._free = deque(range(MAX_LOOKUPS))

    def addresses(self, host: str, port: int, deadline: Deadline) -> list[Any]:
        """The entries of `socket.getaddrinfo`, in the order in which to try them."""
        if is_address(host):
            return _checked(_look_up(host, port))
        deadline.wait(self._acquire, httpcore2.ConnectTimeout)
        return _in_order(_checked(deadline.wait(self._start(host, port).result, httpcore2.ConnectTimeout)))

    async def addresses_async(self, host: str, port: int) -> list[Any]:
        """The same for async code, within the deadline that the caller sets."""
        if is_address(host):
            return _checked(_look_up(host, port))
        while not self._take():
            await anyio.sleep(LOOKUP_POLL_INTERVAL)
        found = self._start(host, port)
        pause = LOOKUP_POLL_INTERVAL / 32  # most names are at hand
        while not found.done():
            await anyio.sleep(pause)
            pause = min(2 * pause, LOOKUP_POLL_INTERVAL)
        return _in_order(_checked(found.result()))

    def _take(self) -> bool:
        try:
            self._free.pop()
        except IndexError:
            return False
        return True

    def _acquire(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._take():
            if time.monotonic() >= until:
                raise TimeoutError
            time.sleep(LOOKUP_POLL_INTERVAL)

    def _start(self, host: str, port: int) -> "Future[list[Any] | str]":
        found: Future[list[Any] | str] = Future()
        try:
            # Not `threading.Thread`, whose start waits for the thread to run: an event loop would wait.
            _thread.start_new_thread(_run, (found, host, port, self._free))
        except BaseException:
            self._free.append(0)
            raise
        return found


def _run(found: "Future[list[Any] | str]", host: str, port: int, free: deque[int]) -> None:
    try:
        found.set_result(_look_up(host, port))
    finally:
        free.append(0)


resolver = _Resolver()

picture_resolver = _Resolver()
"""For the names of pictures' servers, which others choose: if those are slow to resolve, no login waits for it."""

if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=resolver.reset)
    os.register_at_fork(after_in_child=picture_resolver.reset)


def _look_up(host: str, port: int) -> list[Any] | str:
    """The addresses of a host, or why there are none."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return str(error)


def _checked(found: list[Any] | str) -> list[Any]:
    if isinstance(found, str):
        raise httpcore2.ConnectError(found)
    return found


def is_address(host: str) -> bool:
    """Whether the host is an address itself, not a name."""
    return ":" in host or host.replace(".", "").isdigit()


def _in_order(found: Sequence[Any]) -> list[Any]:
    """The resolver's order, but with both families by turns, so that one that does not work costs one wait only."""
    first = [entry for entry in found if entry[0] == found[0][0]]
    other = [entry for entry in found if entry[0] != found[0][0]]
    return [entry for pair in zip_longest(first, other) for entry in pair if entry is not None]


def connect(addresses: Sequence[Any], deadline: Deadline) -> socket.socket:
    """Connect to the first of the addresses that answers. Raises `ConnectError` or `ConnectTimeout`."""
    fault: Exception = httpcore2.ConnectError("the host has no address")
    waiting = deque(addresses)
    next_at = time.monotonic()
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or selector.get_map():
                if waiting and (time.monotonic() >= next_at or not selector.get_map()):
                    try:
                        selector.register(_begin(waiting.popleft()), selectors.EVENT_WRITE)
                    except OSError as error:
                        fault = httpcore2.ConnectError(str(error))
                        continue
                    next_at = time.monotonic() + NEXT_ADDRESS
                seconds = deadline.remaining(httpcore2.ConnectTimeout)
                if waiting:
                    seconds = min(seconds, max(0.0, next_at - time.monotonic()))
                for key, _ in selector.select(seconds):
                    selector.unregister(key.fileobj)
                    sock = cast("socket.socket", key.fileobj)
                    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if code == 0:
                        return sock
                    sock.close()
                    fault = httpcore2.ConnectError(os.strerror(code))
        finally:
            for key in list(selector.get_map().values()):
                cast("socket.socket", key.fileobj).close()
    raise fault


def _begin(entry: Any) -> socket.socket:
    family, kind, protocol, _, address = entry
    sock = socket.socket(family, kind, protocol)
    try:
        sock.settimeout(0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = sock.connect_ex(address)
        if code not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
            raise OSError(code, os.strerror(code))
    except BaseException:
        sock.close()
        raise
    return sock


async def connect_async(addresses: Sequence[Any]) -> httpcore2.AsyncNetworkStream:
    """The same for async code, on asyncio or trio, within the deadline that the caller sets."""
    backend = cast("httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend())
    streams: list[httpcore2.AsyncNetworkStream] = []
    faults: list[Exception] = [httpcore2.ConnectError("the host has no address")]

    async def attempt(host: str, port: int, ended: anyio.Event) -> None:
        try:
            streams.append(await backend.connect_tcp(host, port))
            attempts.cancel_scope.cancel()
        except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
            faults.append(error)
        finally:
            ended.set()

    try:
        async with anyio.create_task_group() as attempts:
            for *_, address in addresses:
                ended = anyio.Event()
                attempts.start_soon(attempt, str(address[0]), int(address[1]), ended)
                with anyio.move_on_after(NEXT_ADDRESS):
                    await ended.wait()
    except BaseException:
        await _close(streams)
        raise
    await _close(streams[1:])  # two were connected at the same moment
    if not streams:
        raise faults[-1]
    return streams[0]


async def _close(streams: Sequence[httpcore2.AsyncNetworkStream]) -> None:
    with anyio.CancelScope(shield=True):
        for stream in streams:
            await stream.aclose()
