"""Send commands to Redis with redis-py, sync and async.

redis-py retries ten times by default: four seconds if nothing listens, nine if nothing responds. Here a command is sent
once, with half a second for each wait, and after two timeouts in a row commands fail at once for a second (a circuit
breaker).

redis-py knows no trio: there, commands are sent in a thread.

Never reveals a part of the URL, which may contain a password.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import anyio.to_thread
import redis
import redis.asyncio
from redis.asyncio.cluster import RedisCluster as AsyncRedisCluster
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException
from redis.retry import Retry

from .._core.base.errors import StoreUnavailable
from .._core.base.limits import CircuitBreaker
from .._core.base.models import Secret
from .redis import Command, Commands, EveryKey
from .thread_limit import ThreadLimit

T = TypeVar("T")

REDIS_TIMEOUT = 0.5
"""Seconds to wait for a connection, and for each response."""

MAX_TIMEOUTS = 2
"""Timeouts in a row after which the circuit breaker opens."""

OPEN_SECONDS = 1.0
"""Seconds that it stays open, so that a stalled Redis does not block every worker. Then one run of commands tries."""

MAX_REDIS_CONNECTIONS = 64
"""Connections, or threads on trio, of one process in async code; further commands wait for a free one."""

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


class RedisExecutor:
    """The sync executor. One connection pool for the process, shared by threads."""

    def __init__(self, url: Secret) -> None:
        self._url = url
        self._breaker = CircuitBreaker(outages=MAX_TIMEOUTS, seconds=OPEN_SECONDS)
        self._client: Any = None

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

    def _run(self, client: Any, commands: Commands[T]) -> T:
        try:
            request = next(commands)
            while True:
                request = commands.send(_send(client, request))
        except StopIteration as end:
            return cast("T", end.value)

    def _open(self) -> Any:
        if self._client is None:
            if CLUSTER in self._url.reveal():
                options = _cluster_options()
                self._client = redis.RedisCluster.from_url(self._url.reveal().replace(CLUSTER, "://"), **options)
            else:
                self._client = cast("Any", redis.Redis).from_url(self._url.reveal(), **_options())
        return self._client

    def keep_connections(self) -> None:
        """Does nothing: sync code always keeps its connections."""

    def close(self) -> None:
        """Close the connections. The executor can be used again afterwards."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _cluster_options() -> dict[str, Any]:
    options = _options()
    del options["protocol"]
    # This does not execute a command twice: a node that responds MOVED or is gone has not executed it.
    return {**options, "retry": Retry(NoBackoff(), 1)}


def _send(client: Any, request: Sequence[Command] | EveryKey) -> list[Any]:
    if isinstance(request, EveryKey):
        return list(client.scan_iter(match=request.pattern, count=SCAN_COUNT))
    if len(request) == 1:
        return [client.execute_command(*request[0])]
    with client.pipeline(transaction=False) as pipe:
        for command in request:
            pipe.execute_command(*command)
        return cast("list[Any]", pipe.execute())


class AsyncRedisExecutor:
    """The executor for asyncio and trio.

    Connections of asyncio belong to an event loop and are kept only after `keep_connections`. Otherwise they would stay
    open when a loop ends without `close`, as a test client's does after each request.
    """

    def __init__(self, url: Secret) -> None:
        self._url = url
        self._breaker = CircuitBreaker(outages=MAX_TIMEOUTS, seconds=OPEN_SECONDS)
        self._client: Any = None
        self._kept_for: object = None
        self._in_thread = RedisExecutor(url)

    async def run(self, commands: Commands[T]) -> T:
        """Raises `StoreUnavailable`."""
        if _is_trio():
            return await anyio.to_thread.run_sync(self._in_thread.run, commands, limiter=_threads.limiter())
        attempt = _Attempt(self._breaker)
        try:
            async with self._client_for_run() as client:
                result = await self._run(client, commands)
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

    async def _run(self, client: Any, commands: Commands[T]) -> T:
        try:
            request = next(commands)
            while True:
                request = commands.send(await _send_async(client, request))
        except StopIteration as end:
            return cast("T", end.value)

    @asynccontextmanager
    async def _client_for_run(self) -> AsyncGenerator[Any]:
        # Kept connections are used only in the loop that will close them, not in one of a script or after a fork.
        if self._kept_for != _current_loop():
            client = self._new_client()
            try:
                yield client
            finally:
                await client.aclose()
            return
        if self._client is None:
            self._client = self._new_client()
        yield self._client

    def _new_client(self) -> Any:
        if CLUSTER in self._url.reveal():
            options = _cluster_options()
            return AsyncRedisCluster.from_url(self._url.reveal().replace(CLUSTER, "://"), **options)
        pool = cast("Any", redis.asyncio.BlockingConnectionPool).from_url(
            self._url.reveal(), max_connections=MAX_REDIS_CONNECTIONS, timeout=REDIS_TIMEOUT, **_options()
        )
        return redis.asyncio.Redis.from_pool(pool)

    def keep_connections(self) -> None:
        """Keep connections open in this event loop from now on; `close` must be called in the same loop."""
        if not _is_trio() and self._kept_for != _current_loop():
            self._client, self._kept_for = None, _current_loop()

    async def close(self) -> None:
        """Close the kept connections, and keep none from now on."""
        self._in_thread.close()
        if _is_trio() or self._kept_for != _current_loop():
            return
        client, self._client, self._kept_for = self._client, None, None
        if client is not None:
            await client.aclose()


def _is_trio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False


_threads = ThreadLimit("xwms_auth_redis", MAX_REDIS_CONNECTIONS)


def _current_loop() -> object:
    """The running event loop, and the process it belongs to."""
    return os.getpid(), asyncio.get_running_loop()


async def _send_async(client: Any, request: Sequence[Command] | EveryKey) -> list[Any]:
    if isinstance(request, EveryKey):
        return [name async for name in client.scan_iter(match=request.pattern, count=SCAN_COUNT)]
    if len(request) == 1:
        return [await client.execute_command(*request[0])]
    async with client.pipeline(transaction=False) as pipe:
        for command in request:
            pipe.execute_command(*command)
        return cast("list[Any]", await pipe.execute())
