"""Work in a task of its own, on asyncio and trio: whoever gives up waiting for it does not end it."""

import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import copy_context
from math import inf
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    import asyncio

Work = Callable[[], Awaitable[None]]


class Task(Protocol):
    """Work that has begun, with the context variables of that moment."""

    @property
    def has_ended(self) -> bool:
        """Whether it is over, however it ended."""
        ...

    async def wait(self, seconds: float = inf) -> None:
        """Wait until it has ended, but no longer than this."""

    def cancel(self) -> None:
        """Cancel it. Some work does not end for that, such as a function in a thread."""


def start_task(work: Work) -> Task | None:
    """Begin the work. None where neither asyncio nor trio runs."""
    # Which of them runs has been imported, and importing a door should load neither.
    for name, kind in (("asyncio", _OnAsyncio), ("trio", _OnTrio)):
        if (library := sys.modules.get(name)) is not None:
            with suppress(RuntimeError):  # it does not run here
                return kind(library, work)
    return None


def ends_task(error: BaseException) -> bool:
    """Whether the task that runs has to end with this error, since it is cancelled or the process ends.

    False for the cancellation of something that it has waited for, which is the same error, and for any other. A
    function that calls `sys.exit` means the process: that passes, although trio makes a crash of it in such a task.
    """
    if isinstance(error, Exception):
        return False
    if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
        return True
    if (asyncio := sys.modules.get("asyncio")) is not None:
        with suppress(RuntimeError):
            return bool(asyncio.current_task().cancelling())
    if (trio := sys.modules.get("trio")) is not None:
        with suppress(RuntimeError):
            return bool(trio.current_effective_deadline() == -inf)
    return True


Loop = Callable[..., object]
"""An event loop, as its function that other threads may call: the loop then soon calls what that is given."""


def loop_here() -> Loop | None:
    """The loop that runs in this thread, equal for the same one; None where neither asyncio nor trio does."""
    if (asyncio := sys.modules.get("asyncio")) is not None:
        with suppress(RuntimeError):
            return cast("Loop", asyncio.get_running_loop().call_soon_threadsafe)
    if (trio := sys.modules.get("trio")) is not None:
        with suppress(RuntimeError):
            return cast("Loop", trio.lowlevel.current_trio_token().run_sync_soon)
    return None


_running: set[Any] = set()
"""Keeps tasks alive: an event loop of asyncio holds only weak references to them."""


class _OnAsyncio:
    def __init__(self, library: Any, work: Work) -> None:
        loop = library.get_running_loop()
        self._library = library
        self._task: asyncio.Task[None] = loop.create_task(work())
        _running.add(self._task)
        self._task.add_done_callback(_forget)

    @property
    def has_ended(self) -> bool:
        return self._task.done()

    async def wait(self, seconds: float = inf) -> None:
        await self._library.wait({self._task}, timeout=None if seconds == inf else seconds)

    def cancel(self) -> None:
        self._task.cancel()


def _forget(task: "asyncio.Task[None]") -> None:
    _running.discard(task)
    if not task.cancelled():
        task.exception()  # marks it as retrieved


class _OnTrio:
    def __init__(self, trio: Any, work: Work) -> None:
        self._trio = trio
        self._work = work
        self._scope, self._ended = trio.CancelScope(), trio.Event()
        trio.lowlevel.spawn_system_task(self._run, context=copy_context())

    async def _run(self) -> None:
        try:
            with self._scope:
                await self._work()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001, S110  an error of a system task ends all of trio
            pass
        finally:
            self._ended.set()

    @property
    def has_ended(self) -> bool:
        return bool(self._ended.is_set())

    async def wait(self, seconds: float = inf) -> None:
        with self._trio.move_on_after(seconds):
            await self._ended.wait()

    def cancel(self) -> None:
        self._scope.cancel()
