"""The way to Redis, in two colours: send commands together, hand the answers back.

redis-py retries ten times by default: four seconds when nobody listens, nine when nobody answers. Here a command is
sent once, with half a second for each wait, and after two that timed out nobody waits again for a second.

Knows: redis-py.
Must not: know what a command means, or let out what a URL holds.
"""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import redis
import redis.asyncio
from redis.asyncio.cluster import RedisCluster as AsyncRedisCluster
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from .._core.base.errors import StoreUnavailable
from .._core.base.secrets import Secret
from .redis import Command, Commands, EveryKey

T = TypeVar("T")

PATIENCE = 0.5
"""Seconds to wait for a connection, and for each answer."""

STALLED = 2
"""Time-outs in a row after which Redis counts as stalled."""

REST = 1.0
"""Seconds without a try then, so that a stalled Redis does not hold every worker."""

MAX_CONNECTIONS = 64
"""Connections of one process under async code; further commands wait their turn."""

SCANNED_AT_ONCE = 1000

CLUSTER = "+cluster://"
"""In a URL: what redis-py knows as RedisCluster, which it gives no scheme of its own."""

# What a cluster of which no node can be reached raises is no RedisError.
_FAULTS = (redis.RedisError, RedisClusterException, OSError, TimeoutError)
_TIMEOUTS = (redis.TimeoutError, TimeoutError)


def _options() -> dict[str, Any]:
    return {
        "socket_timeout": PATIENCE,
        "socket_connect_timeout": PATIENCE,
        "retry": Retry(NoBackoff(), 0),
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        "protocol": 2,
    }


class _Rest:
    """Remembers time-outs in a row, so that the next to come do not wait for the same thing."""

    def __init__(self) -> None:
        self._timeouts = 0
        self._until = 0.0

    def check(self) -> None:
        if time.monotonic() < self._until:
            raise StoreUnavailable("Redis did not answer a moment ago")

    def answered(self) -> None:
        self._timeouts = 0

    def told(self, fault: BaseException) -> StoreUnavailable:
        if isinstance(fault, _TIMEOUTS):
            self._timeouts += 1
            # One alone may be a busy machine's, and is no reason to turn everybody away.
            if self._timeouts >= STALLED:
                self._until = time.monotonic() + REST
        return StoreUnavailable(f"Redis: {type(fault).__name__}")


class RedisExecutor:
    """Plays in plain code. One pool for the process; threads may share it."""

    def __init__(self, url: Secret) -> None:
        self._url = url
        self._rest = _Rest()
        self._client: Any = None

    def play(self, commands: Commands[T]) -> T:
        """Raises `StoreUnavailable`."""
        self._rest.check()
        try:
            result = self._play(self._open(), commands)
        except _FAULTS as fault:
            error = self._rest.told(fault)
        else:
            self._rest.answered()
            return result
        raise error

    def _play(self, client: Any, commands: Commands[T]) -> T:
        try:
            asked = next(commands)
            while True:
                asked = commands.send(_send(client, asked))
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
        """Plain code keeps its connections anyway."""

    def close(self) -> None:
        """Close the connections. The player can be used again afterwards."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _cluster_options() -> dict[str, Any]:
    options = _options()
    del options["maint_notifications_config"], options["protocol"]
    # Not a retry of a command: a node that says "moved" or is gone has not carried it out.
    return {**options, "retry": Retry(NoBackoff(), 1)}


def _send(client: Any, asked: Sequence[Command] | EveryKey) -> list[Any]:
    if isinstance(asked, EveryKey):
        return list(client.scan_iter(match=asked.pattern, count=SCANNED_AT_ONCE))
    if len(asked) == 1:
        return [client.execute_command(*asked[0])]
    with client.pipeline(transaction=False) as pipe:
        for command in asked:
            pipe.execute_command(*command)
        return cast("list[Any]", pipe.execute())


class AsyncRedisExecutor:
    """Plays on asyncio. Connections belong to an event loop and are kept only once `keep_connections` was called.

    A loop that ends without anybody closing them, as a test client's does after each request, would leave them open.
    """

    def __init__(self, url: Secret) -> None:
        self._url = url
        self._rest = _Rest()
        self._client: Any = None
        self._kept_for: object = None

    async def play(self, commands: Commands[T]) -> T:
        """Raises `StoreUnavailable`."""
        self._rest.check()
        try:
            async with self._client_for_play() as client:
                result = await self._play(client, commands)
        except _FAULTS as fault:
            error = self._rest.told(fault)
        else:
            self._rest.answered()
            return result
        raise error

    async def _play(self, client: Any, commands: Commands[T]) -> T:
        try:
            asked = next(commands)
            while True:
                asked = commands.send(await _asend(client, asked))
        except StopIteration as end:
            return cast("T", end.value)

    @asynccontextmanager
    async def _client_for_play(self) -> AsyncGenerator[Any]:
        # Not in another loop than the one in which they will be closed: a script's beside the server's, a fork's.
        if self._kept_for != _here():
            once = self._new_client()
            try:
                yield once
            finally:
                await once.aclose()
            return
        if self._client is None:
            self._client = self._new_client()
        yield self._client

    def _new_client(self) -> Any:
        if CLUSTER in self._url.reveal():
            options = _cluster_options()
            return AsyncRedisCluster.from_url(self._url.reveal().replace(CLUSTER, "://"), **options)
        pool = cast("Any", redis.asyncio.BlockingConnectionPool).from_url(
            self._url.reveal(), max_connections=MAX_CONNECTIONS, timeout=PATIENCE, **_options()
        )
        return redis.asyncio.Redis.from_pool(pool)

    def keep_connections(self) -> None:
        """From now on keep connections open in this event loop; `close` will be called in it too."""
        if self._kept_for != _here():
            self._client, self._kept_for = None, _here()

    async def close(self) -> None:
        """Close kept connections, and keep none from now on."""
        if self._kept_for != _here():
            return
        client, self._client, self._kept_for = self._client, None, None
        if client is not None:
            await client.aclose()


def _here() -> object:
    """This event loop of this process."""
    return os.getpid(), asyncio.get_running_loop()


async def _asend(client: Any, asked: Sequence[Command] | EveryKey) -> list[Any]:
    if isinstance(asked, EveryKey):
        return [name async for name in client.scan_iter(match=asked.pattern, count=SCANNED_AT_ONCE)]
    if len(asked) == 1:
        return [await client.execute_command(*asked[0])]
    async with client.pipeline(transaction=False) as pipe:
        for command in asked:
            pipe.execute_command(*command)
        return cast("list[Any]", await pipe.execute())
