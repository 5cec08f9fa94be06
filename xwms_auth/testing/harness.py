"""Asks a store, plain or async, and asks it many things at the same moment.

Knows: event loops and threads.
Must not: know what a store promises.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from inspect import isawaitable
from typing import Any, TypeVar

import pytest

from .._core.base.store_protocols import KeepsConnections

T = TypeVar("T")

AT_ONCE = 24
"""Callers of a race."""


class StoreHarness:
    """Runs plain and async methods alike, on one event loop per test."""

    _loop: asyncio.Runner

    @pytest.fixture(autouse=True)
    def event_loop(self) -> Iterator[None]:
        self._opened: list[object] = []
        with asyncio.Runner() as self._loop:
            yield
            for store in self._opened:
                if isinstance(store, KeepsConnections):
                    self.ask(store.close())

    def opened(self, store: T) -> T:
        """Note a store, so that its connections are kept during the test and closed after it."""
        if isinstance(store, KeepsConnections):
            self._loop.run(_call(store.keep_connections))
        self._opened.append(store)
        return store

    def ask(self, answer: Any) -> Any:
        """The answer of a method, waited for if it has to be."""
        return self._loop.run(_wait(answer)) if isawaitable(answer) else answer

    def at_once(self, *calls: Callable[[], Any]) -> list[Any]:
        """What these calls give when all are made at the same moment, each in a thread of its own."""
        return self._loop.run(_at_once(calls))


async def _call(call: Callable[[], None]) -> None:
    call()


async def _wait(answer: Any) -> Any:
    return await answer


async def _at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    barrier = threading.Barrier(len(calls))
    loop = asyncio.get_running_loop()

    def begin(call: Callable[[], Any]) -> Any:
        barrier.wait(timeout=20)
        return call()

    async def whole(call: Callable[[], Any]) -> Any:
        answer = await loop.run_in_executor(threads, begin, call)
        return await answer if isawaitable(answer) else answer

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(await asyncio.gather(*map(whole, calls)))
