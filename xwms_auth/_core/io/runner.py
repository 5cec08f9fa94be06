"""The only two loops: they perform what a story asks for and send the answer back in.

Knows: generators, and that async code may be cancelled where it waits.
Must not: know what any effect means but `Shielded`. The two differ in what async code needs and must stay so.
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
    """Play a story to its end in plain code. `runtime` must not hold anything async."""
    try:
        effect = next(steps)
        while True:
            try:
                answer = run(effect.steps, runtime) if isinstance(effect, Shielded) else effect.perform(runtime)
            except XWMSError as error:
                effect = steps.throw(error)
            else:
                if isawaitable(answer):
                    raise TypeError(f"{type(effect).__name__} is async; use arun")
                effect = steps.send(answer)
    except StopIteration as end:
        return cast("T", end.value)


async def arun(steps: Steps[T], runtime: Runtime) -> T:
    """Play a story to its end in async code. What is plain is not awaited: a store in memory costs no task switch."""
    try:
        effect = next(steps)
        while True:
            try:
                answer = _whole(effect.steps, runtime) if isinstance(effect, Shielded) else effect.perform(runtime)
                if isinstance(answer, Awaitable):
                    answer = await cast("Awaitable[object]", answer)
            except XWMSError as error:
                effect = steps.throw(error)
            else:
                effect = steps.send(answer)
    except StopIteration as end:
        return cast("T", end.value)


async def _whole(steps: Steps[T], runtime: Runtime) -> T:
    """Play steps that nothing may cut short. Each call in them has a deadline of its own."""
    if _is_trio():
        with anyio.CancelScope(shield=True):
            return await arun(steps, runtime)
    task = asyncio.create_task(arun(steps, runtime))
    _under_way.add(task)
    task.add_done_callback(_done)
    return await asyncio.shield(task)


def _is_trio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False


_under_way: set[asyncio.Task[Any]] = set()
"""An event loop keeps only weak references to its tasks."""


def _done(task: asyncio.Task[Any]) -> None:
    _under_way.discard(task)
    if not task.cancelled():
        task.exception()  # seen, also where nobody waits any more; the story has logged it
