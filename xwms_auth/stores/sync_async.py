"""One body for plain and async code: what to do with an answer that may have to be waited for.

Knows: awaitables.
Must not: know what is asked.
"""

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TypeVar, cast

T = TypeVar("T")
R = TypeVar("R")


def then(answer: T | Awaitable[T], go_on: Callable[[T], R]) -> R | Awaitable[R]:
    """`go_on(answer)`, now if the answer is here, otherwise as an awaitable."""
    if isawaitable(answer):
        return _later(cast("Awaitable[T]", answer), go_on)
    return go_on(answer)


async def _later(answer: Awaitable[T], go_on: Callable[[T], R]) -> R:
    return go_on(await answer)
