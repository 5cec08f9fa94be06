"""The sync and the async executor of steps: they perform each effect and send its result back into the generator.

They interpret no effect other than `Shielded`. They differ only in what async code needs: awaiting, and cancellation
at every await.
"""

import asyncio
from collections.abc import Awaitable
from inspect import isawaitable
from typing import Any, TypeVar, cast

import anyio

from ..base.effects import Runtime, Shielded, Steps
from ..base.errors import XWMSError

T = TypeVar("T")


def run(steps: Steps[T], runtime: Runtime) -> T:
    """Run steps to their end in sync code. `runtime` must not hold anything async."""
    try:
        effect = next(steps)
        while True:
            try:
                result = run(effect.steps, runtime) if isinstance(effect, Shielded) else effect.perform(runtime)
            except XWMSError as error:
                effect = steps.throw(error)
            else:
                if isawaitable(result):
                    raise TypeError(f"{type(effect).__name__} is async; use arun")
                effect = steps.send(result)
    except StopIteration as end:
        return cast("T", end.value)


async def arun(steps: Steps[T], runtime: Runtime) -> T:
    """Run steps to their end in async code. Sync results are not awaited: a memory store causes no task switch."""
    try:
        effect = next(steps)
        while True:
            try:
                result = _shielded(effect.steps, runtime) if isinstance(effect, Shielded) else effect.perform(runtime)
                if isinstance(result, Awaitable):
                    result = await cast("Awaitable[object]", result)
            except XWMSError as error:
                effect = steps.throw(error)
            else:
                effect = steps.send(result)
    except StopIteration as end:
        return cast("T", end.value)


async def _shielded(steps: Steps[T], runtime: Runtime) -> T:
    """Run steps shielded from cancellation. Each call in them has a deadline of its own."""
    if _is_trio():
        with anyio.CancelScope(shield=True):
            return await arun(steps, runtime)
    task = asyncio.create_task(arun(steps, runtime))
    _running_tasks.add(task)
    task.add_done_callback(_done)
    return await asyncio.shield(task)


def _is_trio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False


_running_tasks: set[asyncio.Task[Any]] = set()
"""Keeps shielded tasks alive: an event loop holds only weak references to its tasks."""


def _done(task: asyncio.Task[Any]) -> None:
    _running_tasks.discard(task)
    if not task.cancelled():
        task.exception()  # marks it as retrieved, also if nobody awaits the task any more; the steps have logged it
