"""Pools of connections to XWMS, for sync and for async code: who may use which connection.

The HTTP library has pools, but they look at every idle connection whenever a call begins or ends, which with 64 of them
costs more than the call. Here a call looks at the one that it is about to use, the one that was used last. The library
still does all of HTTP on it.
"""

import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Generic, TypeVar

import anyio
import httpcore2

from .connections import AsyncBackend, Backend
from .sockets import tls_context

MAX_XWMS_CONNECTIONS = 64
"""Most open connections to XWMS; further calls wait for a free one, within their deadline."""

KEEPALIVE = 4.0
"""Seconds an idle connection is kept.

A call that meets a connection which its server is just closing may have been carried out or not, and a single-use token
cannot be sent again. Common servers close after five seconds (Apache, Node) or more, so none of ours is used then.
"""

C = TypeVar("C", httpcore2.HTTP11Connection, httpcore2.AsyncHTTP11Connection)
E = TypeVar("E", threading.Event, anyio.Event)

Origin = httpcore2.Origin


class _Places(Generic[C, E]):
    """The connections that are idle, the number of those in use, and who waits for one. No I/O, and no lock."""

    def __init__(self) -> None:
        self._idle: deque[tuple[C, Origin, float]] = deque()  # the one that was used last is on the right
        self._in_use = 0
        self._waiting: deque[E] = deque()

    def enter(self, waiting: E) -> bool:
        """Take a place. False if there is none: then `waiting` is set when this call has got one."""
        if self._in_use >= MAX_XWMS_CONNECTIONS:
            self._waiting.append(waiting)
            return False
        self._in_use += 1
        return True

    def leave(self) -> None:
        """Give the place to the next call."""
        if self._waiting:
            self._waiting.popleft().set()
        else:
            self._in_use -= 1

    def give_up(self, waiting: E) -> None:
        """Stop waiting. If the place has come meanwhile, it goes to the next."""
        if waiting.is_set():
            self.leave()
        else:
            self._waiting.remove(waiting)

    def take(self, origin: Origin) -> C | None:
        """An idle connection to the origin, which the caller still has to check."""
        for at in reversed(range(len(self._idle))):
            if self._idle[at][1] == origin:
                connection = self._idle[at][0]
                del self._idle[at]
                return connection
        return None

    def put(self, connection: C, origin: Origin) -> None:
        """Keep a connection that is idle now."""
        self._idle.append((connection, origin, time.monotonic()))

    def expired(self) -> list[C]:
        """Remove the connections that have been idle for too long. The caller closes them."""
        since = time.monotonic() - KEEPALIVE
        removed: list[C] = []
        while self._idle and self._idle[0][2] < since:
            removed.append(self._idle.popleft()[0])
        return removed

    def make_room(self) -> list[C]:
        """Before a new connection: remove one of another origin if there would be too many. The caller closes it."""
        return [self._idle.popleft()[0]] if self._idle and len(self._idle) + self._in_use > MAX_XWMS_CONNECTIONS else []

    def clear(self) -> list[C]:
        """Remove all idle connections. The caller closes them."""
        removed = [connection for connection, _, _ in self._idle]
        self._idle.clear()
        return removed


class Pool:
    """The connections of sync code. Thread-safe."""

    def __init__(self) -> None:
        self._places: _Places[httpcore2.HTTP11Connection, threading.Event] = _Places()
        self._lock = threading.Lock()
        self._is_closed = False

    @contextmanager
    def connection(self, origin: Origin, *, timeout: float) -> Generator[httpcore2.HTTP11Connection]:
        """A connection for one request. Raises `PoolTimeout` if none gets free in time."""
        self._enter(timeout)
        connection = None
        try:
            connection = self._take(origin) or _connect(origin)
            yield connection
        finally:
            self._leave(connection, origin)

    def _enter(self, timeout: float) -> None:
        waiting = threading.Event()
        with self._lock:
            has_place = self._places.enter(waiting)
        if has_place:
            return
        is_free = False
        try:
            is_free = waiting.wait(timeout)
        finally:
            if not is_free:
                with self._lock:
                    self._places.give_up(waiting)
        if not is_free:
            raise httpcore2.PoolTimeout

    def _take(self, origin: Origin) -> httpcore2.HTTP11Connection | None:
        while True:
            with self._lock:
                connection = self._places.take(origin)
                closing = self._places.make_room() if connection is None else []
            if connection is not None and connection.has_expired():
                connection.close()
                continue
            _close(closing)
            return connection

    def _leave(self, connection: httpcore2.HTTP11Connection | None, origin: Origin) -> None:
        with self._lock:
            if connection is not None and connection.is_idle() and not self._is_closed:
                self._places.put(connection, origin)
                connection = None
            self._places.leave()
            closing = self._places.expired()
        if connection is not None:
            closing.append(connection)
        _close(closing)

    def close(self) -> None:
        """Close idle connections, and keep no more."""
        with self._lock:
            self._is_closed = True
            idle = self._places.clear()
        _close(idle)


def _close(connections: list[httpcore2.HTTP11Connection]) -> None:
    for connection in connections:
        connection.close()


def _connect(origin: Origin) -> httpcore2.HTTP11Connection:
    host, port = origin.host.decode("ascii"), origin.port
    stream = Backend().connect_tcp(host, port)
    if origin.scheme == b"https":
        stream = stream.start_tls(tls_context(), host)
    return httpcore2.HTTP11Connection(origin, stream, keepalive_expiry=KEEPALIVE)


class AsyncPool:
    """The connections of async code, of one event loop. It keeps them if `keep` is set."""

    def __init__(self, *, keep: bool) -> None:
        self._places: _Places[httpcore2.AsyncHTTP11Connection, anyio.Event] = _Places()
        self._keep = keep

    @asynccontextmanager
    async def connection(self, origin: Origin) -> AsyncGenerator[httpcore2.AsyncHTTP11Connection]:
        """A connection for one request. Waits for a free one until it is cancelled."""
        waiting = anyio.Event()
        if not self._places.enter(waiting):
            try:
                await waiting.wait()
            except BaseException:
                self._places.give_up(waiting)
                raise
        connection = None
        try:
            connection = await self._take(origin) or await _connect_async(origin)
            yield connection
        finally:
            await self._leave(connection, origin)

    async def _take(self, origin: Origin) -> httpcore2.AsyncHTTP11Connection | None:
        while True:
            connection = self._places.take(origin)
            if connection is None:
                await _close_async(self._places.make_room())
                return None
            if not connection.has_expired():
                return connection
            await _close_async([connection])

    async def _leave(self, connection: httpcore2.AsyncHTTP11Connection | None, origin: Origin) -> None:
        closing: list[httpcore2.AsyncHTTP11Connection] = []
        if connection is not None:
            if self._keep and connection.is_idle():
                self._places.put(connection, origin)
            else:
                closing.append(connection)
        self._places.leave()
        await _close_async(closing + self._places.expired())

    async def aclose(self) -> None:
        """Close idle connections, and keep no more."""
        self._keep = False
        await _close_async(self._places.clear())


async def _connect_async(origin: Origin) -> httpcore2.AsyncHTTP11Connection:
    host, port = origin.host.decode("ascii"), origin.port
    stream = await AsyncBackend().connect_tcp(host, port)
    if origin.scheme == b"https":
        stream = await stream.start_tls(tls_context(), host)
    return httpcore2.AsyncHTTP11Connection(origin, stream, keepalive_expiry=KEEPALIVE)


async def _close_async(connections: list[httpcore2.AsyncHTTP11Connection]) -> None:
    if connections:
        with anyio.CancelScope(shield=True):
            for connection in connections:
                await connection.aclose()
