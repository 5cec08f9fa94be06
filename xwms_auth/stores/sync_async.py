"""One implementation for sync and async code: continue with a result that may be an awaitable."""

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TypeVar, cast

T = TypeVar("T")
R = TypeVar("R")


def then(result: T | Awaitable[T], callback: Callable[[T], R]) -> R | Awaitable[R]:
    """`callback(result)`, at once for a plain result, otherwise as an awaitable."""
    if isawaitable(result):
        return _await_then(cast("Awaitable[T]", result), callback)
    return callback(result)


async def _await_then(result: Awaitable[T], callback: Callable[[T], R]) -> R:
    return callback(await result)
