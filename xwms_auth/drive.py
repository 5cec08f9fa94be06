"""The only two loops: they perform what a story asks for and send the answer back in.

Knows: generators.
Must not: know what any effect means. The two differ in one `await` and must stay so.
"""

from collections.abc import Awaitable
from inspect import isawaitable
from typing import TypeVar, cast

from .effects import Steps, World
from .errors import XWMSError

T = TypeVar("T")


def run(steps: Steps[T], world: World) -> T:
    """Play a story to its end in plain code. `world` must not hold anything async."""
    try:
        effect = next(steps)
        while True:
            try:
                answer = effect.perform(world)
            except XWMSError as error:
                effect = steps.throw(error)
            else:
                if isawaitable(answer):
                    raise TypeError(f"{type(effect).__name__} is async; use arun")
                effect = steps.send(answer)
    except StopIteration as end:
        return cast("T", end.value)


async def arun(steps: Steps[T], world: World) -> T:
    """Play a story to its end in async code. What is plain is not awaited: a store in memory costs no task switch."""
    try:
        effect = next(steps)
        while True:
            try:
                answer = effect.perform(world)
                if isinstance(answer, Awaitable):
                    answer = await cast("Awaitable[object]", answer)
            except XWMSError as error:
                effect = steps.throw(error)
            else:
                effect = steps.send(answer)
    except StopIteration as end:
        return cast("T", end.value)
