"""Calls a store, sync or async, once or concurrently."""

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
"""Concurrent callers in a race."""


class StoreHarness:
    """Calls sync and async methods alike, on one event loop per test."""

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
        """Register a store: its connections are kept during the test and closed after it."""
        if isinstance(store, KeepsConnections):
            self._loop.run(_call(store.keep_connections))
        self._opened.append(store)
        return store

    def ask(self, result: Any) -> Any:
        """The result of a method, awaited if it is awaitable."""
        return self._loop.run(_wait(result)) if isawaitable(result) else result

    def at_once(self, *calls: Callable[[], Any]) -> list[Any]:
        """The results of these calls, all made at the same moment, each in its own thread."""
        return self._loop.run(_at_once(calls))


async def _call(call: Callable[[], None]) -> None:
    call()


async def _wait(result: Any) -> Any:
    return await result


async def _at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    barrier = threading.Barrier(len(calls))
    loop = asyncio.get_running_loop()

    def start(call: Callable[[], Any]) -> Any:
        barrier.wait(timeout=20)
        return call()

    async def run(call: Callable[[], Any]) -> Any:
        result = await loop.run_in_executor(threads, start, call)
        return await result if isawaitable(result) else result

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(await asyncio.gather(*map(run, calls)))
