"""Connections to one Redis server: redis-py's, sync and async, in pools of our own.

redis-py's clients and pools spend more time on a command than its socket does, on retries and metrics that are not used
here. What matters stays: a connection is used by one command at a time and checked before, and is closed if anything
but a whole response came out of it. Otherwise the next command would be given the response of this one
(CVE-2023-28858).
"""

import asyncio
import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

import redis
import redis.asyncio

from .._core.base.models import Secret

MAX_ASYNC_CONNECTIONS = 64
"""Connections of one event loop; further commands wait for a free one."""

Command = Sequence[str | bytes | int]


class RedisPool:
    """Connections for sync code: safe for threads, and never used across a fork."""

    def __init__(self, url: Secret, options: dict[str, Any]) -> None:
        self._url, self._options = url, options
        self._begin()

    def _begin(self) -> None:
        self._factory = cast("Any", redis.ConnectionPool).from_url(self._url.reveal(), **self._options)
        self._idle: deque[Any] = deque()
        self._is_open = True
        self._process = os.getpid()  # last: from now on other threads take what is idle

    def send(self, commands: Sequence[Command]) -> list[Any]:
        """Send the commands together and return their results. Raises what redis-py does."""
        if self._process != os.getpid():
            self._begin()  # the parent goes on using its connections
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._factory.make_connection()
        try:
            _ensure(connection)
            connection.send_packed_command(connection.pack_commands(commands))
            results = [_result(connection) for _ in commands]
        except BaseException:
            connection.disconnect()
            raise
        finally:
            if self._is_open:
                self._idle.append(connection)
            else:
                connection.disconnect()
        return _checked(results)

    def close(self) -> None:
        """Close the connections: the idle ones now, the others when they are done."""
        self._is_open = False
        with suppress(IndexError):
            while True:
                self._idle.pop().disconnect()


def _ensure(connection: Any) -> None:
    """Connect. A connection that Redis has closed since its last use, or that has data to be read, is replaced."""
    connection.connect()
    try:
        is_ready = not connection.can_read()
    except (redis.ConnectionError, redis.TimeoutError, OSError):
        is_ready = False
    if not is_ready:
        connection.disconnect()
        connection.connect()


def _result(connection: Any) -> Any:
    # The results of the other commands have to be read all the same.
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error


def _checked(results: list[Any]) -> list[Any]:
    for result in results:
        if isinstance(result, redis.ResponseError):
            raise result
    return results


class AsyncRedisPool:
    """Connections of one event loop of asyncio."""

    def __init__(self, url: Secret, options: dict[str, Any], *, timeout: float) -> None:
        self._factory = cast("Any", redis.asyncio.ConnectionPool).from_url(url.reveal(), **options)
        self._timeout = timeout
        self._idle: deque[Any] = deque()
        self._free = asyncio.Semaphore(MAX_ASYNC_CONNECTIONS)
        self._is_open = True

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """Send the commands together and return their results. Raises what redis-py does."""
        if self._free.locked():
            await self._wait()
        else:
            await self._free.acquire()  # at once
        try:
            connection = self._idle.pop() if self._idle else self._factory.make_connection()
        except BaseException:
            self._free.release()
            raise
        try:
            await self._factory.ensure_connection(connection)
            await connection.send_packed_command(connection.pack_commands(commands))
            results = [await _async_result(connection) for _ in commands]
        except BaseException:
            # Also if the request was cancelled: without a pause, so that this cannot be cancelled too.
            await connection.disconnect(nowait=True)
            raise
        finally:
            self._free.release()
            if self._is_open:
                self._idle.append(connection)
            else:
                await connection.disconnect(nowait=True)
        return _checked(results)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._free.acquire()
        except TimeoutError:
            is_free = False
        else:
            is_free = True
        if not is_free:
            # Not a timeout: it does not show that Redis is slow.
            raise redis.ConnectionError("no connection is free")

    async def close(self) -> None:
        """Close the connections: the idle ones now, the others when they are done."""
        self._is_open = False
        while self._idle:
            await self._idle.pop().disconnect()


async def _async_result(connection: Any) -> Any:
    try:
        return await connection.read_response()
    except redis.ResponseError as error:
        return error
