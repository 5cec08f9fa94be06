"""Send commands to Redis with redis-py, sync and async.

redis-py retries ten times by default: four seconds if nothing listens, nine if nothing responds. Here a command is sent
once, with half a second for each wait, and after two timeouts in a row commands fail at once for a second (a circuit
breaker).

redis-py knows no trio: there, commands are sent in a thread.

Never reveals a part of the URL, which may contain a password.
"""

from typing import Any, TypeVar, cast

import anyio.to_thread
import redis
from redis.asyncio.cluster import RedisCluster as AsyncRedisCluster
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException
from redis.retry import Retry

from .._core.base.errors import StoreUnavailable
from .._core.base.memory.limits import CircuitBreaker
from .._core.base.models import Secret
from .event_loop import current_loop, is_trio
from .redis import Commands, EveryKey, Request
from .redis_pool import AsyncRedisPool, RedisPool
from .thread_limit import ThreadLimit

T = TypeVar("T")

REDIS_TIMEOUT = 0.5
"""Seconds to wait for a connection, and for each response."""

MAX_TIMEOUTS = 2
"""Timeouts in a row after which the circuit breaker opens."""

OPEN_SECONDS = 1.0
"""Seconds that it stays open, so that a stalled Redis does not block every worker. Then one run of commands tries."""

MAX_REDIS_THREADS = 64
"""Threads of one process that send commands on trio."""

SCAN_COUNT = 1000

CLUSTER = "+cluster://"
"""In a URL: use `RedisCluster`, for which redis-py has no scheme."""

# `RedisClusterException`, for a cluster without a reachable node, is not a RedisError.
_ERRORS = (redis.RedisError, RedisClusterException, OSError, TimeoutError)
_TIMEOUTS = (redis.TimeoutError, TimeoutError)


def _options() -> dict[str, Any]:
    return {
        "socket_timeout": REDIS_TIMEOUT,
        "socket_connect_timeout": REDIS_TIMEOUT,
        "retry": Retry(NoBackoff(), 0),
        # Also switches off redis-py's maintenance notifications, for which older versions have no option.
        "protocol": 2,
    }


class _Attempt:
    """One run of commands: the circuit breaker learns what became of it. Raises `StoreUnavailable` if it is open."""

    def __init__(self, breaker: CircuitBreaker) -> None:
        self._breaker = breaker
        self._tries = breaker.is_open
        if breaker.wait():
            raise StoreUnavailable("Redis has just timed out")

    def succeeded(self) -> None:
        self._breaker.answered()

    def failed(self, error: Exception) -> StoreUnavailable:
        # A single timeout may come from a busy machine and does not open the breaker; other errors come at once.
        if isinstance(error, _TIMEOUTS):
            self._breaker.failed()
        else:
            self.ended()
        return StoreUnavailable(f"Redis: {type(error).__name__}")

    def ended(self) -> None:
        """It has ended without showing whether Redis responds."""
        if self._tries:
            self._breaker.unknown()


class _Server:
    """One Redis server, for sync code."""

    def __init__(self, url: Secret) -> None:
        self._pool = RedisPool(url, _options())

    def send(self, request: Request) -> list[Any]:
        if not isinstance(request, EveryKey):
            return self._pool.send(request)
        names, cursor = list[Any](), 0
        while True:
            ((at, found),) = self._pool.send([("SCAN", cursor, "MATCH", request.pattern, "COUNT", SCAN_COUNT)])
            names += found
            cursor = int(at)
            if cursor == 0:
                return names

    def close(self) -> None:
        self._pool.close()


class _Cluster:
    """A cluster, for sync code."""

    def __init__(self, url: Secret) -> None:
        self._client: Any = redis.RedisCluster.from_url(_cluster_url(url), **_cluster_options())

    def send(self, request: Request) -> list[Any]:
        if isinstance(request, EveryKey):
            return list(self._client.scan_iter(match=request.pattern, count=SCAN_COUNT))
        if len(request) == 1:
            return [self._client.execute_command(*request[0])]
        with self._client.pipeline(transaction=False) as pipe:
            for command in request:
                pipe.execute_command(*command)
            return cast("list[Any]", pipe.execute())

    def close(self) -> None:
        self._client.close()


def _cluster_url(url: Secret) -> str:
    return url.reveal().replace(CLUSTER, "://")


def _cluster_options() -> dict[str, Any]:
    options = _options()
    del options["protocol"]
    # This does not execute a command twice: a node that responds MOVED or is gone has not executed it.
    return {**options, "retry": Retry(NoBackoff(), 1)}


class RedisExecutor:
    """The sync executor. Its connections are shared by the threads of a process."""

    def __init__(self, url: Secret) -> None:
        self._url = url
        self._breaker = CircuitBreaker(outages=MAX_TIMEOUTS, seconds=OPEN_SECONDS)
        self._server: _Server | _Cluster | None = None

    def run(self, commands: Commands[T]) -> T:
        """Raises `StoreUnavailable`."""
        attempt = _Attempt(self._breaker)
        try:
            result = self._run(self._open(), commands)
        except _ERRORS as error:
            unavailable = attempt.failed(error)
        else:
            attempt.succeeded()
            return result
        raise unavailable

    def _run(self, server: _Server | _Cluster, commands: Commands[T]) -> T:
        try:
            request = next(commands)
            while True:
                request = commands.send(server.send(request))
        except StopIteration as end:
            return cast("T", end.value)

    def _open(self) -> _Server | _Cluster:
        if self._server is None:
            self._server = _Cluster(self._url) if CLUSTER in self._url.reveal() else _Server(self._url)
        return self._server

    def keep_connections(self) -> None:
        """Does nothing: sync code always keeps its connections."""

    def close(self) -> None:
        """Close the connections. The executor can be used again afterwards."""
        server, self._server = self._server, None
        if server is not None:
            server.close()


class _AsyncServer:
    """One Redis server, for asyncio."""

    def __init__(self, url: Secret) -> None:
        self._pool = AsyncRedisPool(url, _options(), timeout=REDIS_TIMEOUT)

    async def send(self, request: Request) -> list[Any]:
        if not isinstance(request, EveryKey):
            return await self._pool.send(request)
        names, cursor = list[Any](), 0
        while True:
            ((at, found),) = await self._pool.send([("SCAN", cursor, "MATCH", request.pattern, "COUNT", SCAN_COUNT)])
            names += found
            cursor = int(at)
            if cursor == 0:
                return names

    async def close(self) -> None:
        await self._pool.close()


class _AsyncCluster:
    """A cluster, for asyncio."""

    def __init__(self, url: Secret) -> None:
        self._client: Any = AsyncRedisCluster.from_url(_cluster_url(url), **_cluster_options())

    async def send(self, request: Request) -> list[Any]:
        if isinstance(request, EveryKey):
            return [name async for name in self._client.scan_iter(match=request.pattern, count=SCAN_COUNT)]
        if len(request) == 1:
            return [await self._client.execute_command(*request[0])]
        async with self._client.pipeline(transaction=False) as pipe:
            for command in request:
                pipe.execute_command(*command)
            return cast("list[Any]", await pipe.execute())

    async def close(self) -> None:
        await self._client.aclose()


class AsyncRedisExecutor:
    """The executor for asyncio and trio.

    Connections of asyncio belong to an event loop and are kept only after `keep_connections`. Otherwise they would stay
    open when a loop ends without `close`, as a test client's does after each request.
    """

    def __init__(self, url: Secret) -> None:
        self._url = url
        self._breaker = CircuitBreaker(outages=MAX_TIMEOUTS, seconds=OPEN_SECONDS)
        self._server: _AsyncServer | _AsyncCluster | None = None
        self._kept_for: object = None
        self._in_thread = RedisExecutor(url)

    async def run(self, commands: Commands[T]) -> T:
        """Raises `StoreUnavailable`."""
        if is_trio():
            return await anyio.to_thread.run_sync(self._in_thread.run, commands, limiter=_threads.limiter())
        attempt = _Attempt(self._breaker)
        try:
            result = await self._run(commands)
        # uvloop raises RuntimeError for a connection that Redis has closed.
        except (*_ERRORS, RuntimeError) as error:
            unavailable = attempt.failed(error)
        except BaseException:
            attempt.ended()
            raise
        else:
            attempt.succeeded()
            return result
        raise unavailable

    async def _run(self, commands: Commands[T]) -> T:
        # Kept connections are used only in the loop that will close them, not in one of a script or after a fork.
        if self._kept_for == current_loop():
            if self._server is None:
                self._server = self._new_server()
            return await self._run_with(self._server, commands)
        server = self._new_server()
        try:
            return await self._run_with(server, commands)
        finally:
            await server.close()

    async def _run_with(self, server: _AsyncServer | _AsyncCluster, commands: Commands[T]) -> T:
        try:
            request = next(commands)
            while True:
                request = commands.send(await server.send(request))
        except StopIteration as end:
            return cast("T", end.value)

    def _new_server(self) -> _AsyncServer | _AsyncCluster:
        return _AsyncCluster(self._url) if CLUSTER in self._url.reveal() else _AsyncServer(self._url)

    def keep_connections(self) -> None:
        """Keep connections open in this event loop from now on; `close` must be called in the same loop."""
        if not is_trio() and self._kept_for != current_loop():
            self._server, self._kept_for = None, current_loop()

    async def close(self) -> None:
        """Close the kept connections, and keep none from now on."""
        self._in_thread.close()
        if is_trio() or self._kept_for != current_loop():
            return
        server, self._server, self._kept_for = self._server, None, None
        if server is not None:
            await server.close()


_threads = ThreadLimit("xwms_auth_redis", MAX_REDIS_THREADS)
