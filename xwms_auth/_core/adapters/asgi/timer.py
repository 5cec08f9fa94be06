"""A timer of asyncio or trio: something is done again and again until it is stopped.

On asyncio it needs no task while it waits, since there may be thousands of them.
"""

import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio

Tick = Callable[[], Awaitable[float | None]]
"""Returns in how many seconds it wants to be called again; None for never. Raises nothing."""


class Timer(Protocol):
    """A timer that runs."""

    def stop(self) -> None:
        """Stop it, and what it is doing."""


def start_timer(tick: Tick, seconds: float) -> Timer | None:
    """Call `tick` in so many seconds, with the context variables of now. None where no event loop runs."""
    # Which of them runs has been imported, and importing a door should load neither.
    for name, kind in (("asyncio", _OnAsyncio), ("trio", _OnTrio)):
        if (library := sys.modules.get(name)) is not None:
            with suppress(RuntimeError):  # it does not run here
                return kind.started(library, tick, seconds)
    return None


class _OnAsyncio:
    def __init__(self, loop: "asyncio.AbstractEventLoop", tick: Tick, seconds: float) -> None:
        self._loop = loop
        self._tick = tick
        # The application's functions may ask a variable whose request this is.
        self._context: Context | None = copy_context()
        self._task: asyncio.Task[None] | None = None
        self._handle = self._call_in(seconds)

    @classmethod
    def started(cls, library: Any, tick: Tick, seconds: float) -> "_OnAsyncio":
        return cls(library.get_running_loop(), tick, seconds)

    def _call_in(self, seconds: float) -> "asyncio.TimerHandle":
        # A stopped timer waits for its turn to be forgotten, and its context would keep a whole request until then. An
        # empty one of its own, because the loops of two threads cannot both be in the same.
        return self._loop.call_later(seconds, self._begin, context=Context())

    def _begin(self) -> None:
        self._task = self._loop.create_task(self._run(), context=self._context)

    async def _run(self) -> None:
        again = await self._tick()
        self._task = None
        if again is not None:
            self._handle = self._call_in(again)

    def stop(self) -> None:
        self._context = None
        self._handle.cancel()
        if self._task is not None:
            self._task.cancel()


class _OnTrio:
    def __init__(self, trio: Any, tick: Tick) -> None:
        self._trio = trio
        self._tick = tick
        self._scope = trio.CancelScope()

    @classmethod
    def started(cls, library: Any, tick: Tick, seconds: float) -> "_OnTrio":
        timer = cls(library, tick)
        library.lowlevel.spawn_system_task(timer._run, seconds, context=copy_context())
        return timer

    async def _run(self, seconds: float | None) -> None:
        with self._scope:
            while seconds is not None:
                await self._trio.sleep(seconds)
                seconds = await self._tick()

    def stop(self) -> None:
        self._scope.cancel()
