"""Health checks: whether the store answers in time, and what the transport remembers of XWMS.

A store that hangs must not make a health check hang, so it is asked in a thread or a task of its own, which goes on
after the time is over. The next check waits for the same one: however many come, one process asks once.
"""

import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ...base import events
from ...base.effects import Runtime, Steps, arun, claim, claimed, release, run
from ...base.errors import StoreUnavailable
from ...base.health import Health, KnowsUpstream, Upstream, health_of
from ...base.unexpected import internal_error

if TYPE_CHECKING:
    import asyncio

_NAME = "health"


def _ask(now: int) -> Steps[None]:
    if (yield from claimed((_NAME,), now=now)) is None and (yield from claim(_NAME, until=now + 1, now=now)):
        yield from release(_NAME)


def _failed(error: Exception) -> None:
    cause = error.cause if isinstance(error, StoreUnavailable) else internal_error(error).code
    events.warning("store_unhealthy", cause=cause)


class _Probe(threading.Thread):
    def __init__(self, runtime: Runtime, now: int) -> None:
        super().__init__(name="xwms-auth-health", daemon=True)
        self._runtime, self._now, self.answered = runtime, now, False

    def run(self) -> None:
        try:
            run(_ask(self._now), self._runtime)
            self.answered = True
        except Exception as error:  # noqa: BLE001  a store of anybody's may raise anything
            _failed(error)


async def _probe(runtime: Runtime, now: int) -> bool:
    try:
        await arun(_ask(now), runtime)
    except Exception as error:  # noqa: BLE001  as above
        _failed(error)
        return False
    return True


class HealthCheck:
    """The checks of one client."""

    def __init__(self, runtime: Runtime, now: Callable[[], int]) -> None:
        self.runtime, self.now = runtime, now
        self._thread: _Probe | None = None
        self._task: asyncio.Task[bool] | None = None

    def begin(self) -> _Probe:
        """Begin to ask the store, if nobody is asking it."""
        thread = self._thread
        if thread is None or not thread.is_alive():
            self._thread = thread = _Probe(self.runtime, self.now())
            thread.start()
        return thread

    def begin_task(self, loop: "asyncio.AbstractEventLoop") -> "asyncio.Task[bool]":
        """The same in async code."""
        task = self._task
        if task is None or task.done() or task.get_loop() is not loop:
            self._task = task = loop.create_task(_probe(self.runtime, self.now()))
        return task

    def upstream(self) -> Upstream:
        """What the transport remembers."""
        transport = self.runtime.transport
        return transport.upstream() if isinstance(transport, KnowsUpstream) else Upstream()


def check(checks: Sequence[HealthCheck], *, timeout: float) -> Health:
    """The health of all of these together, after at most so many seconds."""
    until = time.monotonic() + timeout
    probes = [one.begin() for one in checks]
    for probe in probes:
        probe.join(max(0.0, until - time.monotonic()))
    return _health(checks, [probe.answered for probe in probes], late=any(probe.is_alive() for probe in probes))


async def acheck(checks: Sequence[HealthCheck], *, timeout: float) -> Health:
    """The same in async code."""
    import asyncio  # noqa: PLC0415  no WSGI application needs it

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return await _acheck_trio(checks, timeout=timeout)
    tasks = [one.begin_task(loop) for one in checks]
    done, late = await asyncio.wait(tasks, timeout=max(0.0, timeout))
    return _health(checks, [task in done and not task.cancelled() and task.result() for task in tasks], late=bool(late))


async def _acheck_trio(checks: Sequence[HealthCheck], *, timeout: float) -> Health:
    answered = [False] * len(checks)
    with sys.modules["trio"].move_on_after(max(0.0, timeout)) as scope:
        for number, one in enumerate(checks):
            answered[number] = await _probe(one.runtime, one.now())
    return _health(checks, answered, late=scope.cancelled_caught)


def _health(checks: Sequence[HealthCheck], answered: Sequence[bool], *, late: bool) -> Health:
    if late:
        events.warning("store_unhealthy", cause="no answer in time")
    return health_of([one.upstream() for one in checks], store_reachable=all(answered))
