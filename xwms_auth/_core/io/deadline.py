"""The deadline of an async call, on asyncio and trio, which may be extended; and what goes on without its request."""

import asyncio
import sys
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from math import inf
from typing import Any, TypeVar

import anyio

from ...stores.event_loop import is_trio
from ..base.effects import SourceReading
from ..config.secret_sources import SOURCE_SECONDS
from .connections import Attempt

T = TypeVar("T")

LATE_READ = 0.02
"""Seconds that async code gives a response that has arrived to be read, before it gives up a call."""


async def within(attempt: Attempt, exchange: Awaitable[T]) -> T:
    """The result of the exchange. Raises TimeoutError when its time is over."""
    if is_trio():
        return await _within_trio(attempt, exchange)
    with anyio.CancelScope() as scope:
        timer = _Timer(attempt, scope)
        try:
            return await exchange
        finally:
            timer.cancel()
    raise TimeoutError


class _Timer:
    """Cancels a scope of asyncio when the time of a call is over. A task for this would cost as much as the call."""

    def __init__(self, attempt: Attempt, scope: anyio.CancelScope) -> None:
        self._attempt = attempt
        self._scope = scope
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None
        self._check()

    def _check(self) -> None:
        try:
            seconds = self._attempt.remaining(TimeoutError)
        except TimeoutError:
            self._scope.cancel()
        else:
            self._handle = self._loop.call_later(seconds, self._wait_for_late_read)

    def _wait_for_late_read(self) -> None:
        # If the event loop was busy, the response may be there and has not been read.
        self._handle = self._loop.call_later(LATE_READ, self._check)

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()


async def _within_trio(attempt: Attempt, exchange: Awaitable[T]) -> T:
    outcome: T | None = None
    fault: Exception | None = None

    async def watch() -> None:
        with suppress(TimeoutError):
            while True:
                await anyio.sleep(attempt.remaining(TimeoutError))
                await anyio.sleep(LATE_READ)
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        try:
            outcome = await exchange
        except Exception as error:  # noqa: BLE001  raised below: the task group would put it into another one
            fault = error
        group.cancel_scope.cancel()
    if fault is not None:
        raise fault
    if outcome is None:
        raise TimeoutError
    return outcome


_running_tasks: set[asyncio.Task[Any]] = set()
"""Keeps shielded tasks alive: an event loop holds only weak references to its tasks."""


def in_background(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Do this in a task of its own, which does not end with the request."""
    task = asyncio.create_task(work)
    _running_tasks.add(task)
    task.add_done_callback(_done)
    return task


async def finish_reading(reading: SourceReading) -> None:
    """Read an async source of the client secret, within its deadline."""
    # Denial of service: whoever cancels requests must not end what others wait for.
    with anyio.move_on_after(SOURCE_SECONDS, shield=True):
        await reading.finish()


def begin_on_trio(reading: SourceReading) -> None:
    """The same, on trio and without waiting for it: a source may shield itself from every deadline."""
    trio: Any = sys.modules["trio"]  # it runs, so it has been imported

    async def finish() -> None:
        try:
            await finish_reading(reading)
        except BaseException:
            # Whatever leaves a system task ends the program, and the reading has its outcome.
            if trio.current_effective_deadline() == -inf:
                raise

    trio.lowlevel.spawn_system_task(finish, context=copy_context())


def _done(task: asyncio.Task[Any]) -> None:
    _running_tasks.discard(task)
    if not task.cancelled():
        task.exception()  # marks it as retrieved, also if nobody awaits the task any more; the steps have logged it
