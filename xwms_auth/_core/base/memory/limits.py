"""Limits within a process: a rate limit, a circuit breaker, and a limit on calls that do not return.

Denial of service: with eight threads and a server that accepts connections and says nothing, nine login starts would
block the whole site until their deadline. Quick calls are not limited, since many people may log in at the same moment.
What is limited is how many are older than `QUICK`: one that gets there while enough others are is given up, and as long
as there are so many no other one begins. A wait for what another request is doing counts as well. All clients and
applications of a process share one count, because they share its workers.
"""

import os
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from ..effects import Pause, Steps, ask
from ..errors import Unreachable
from ..health import Circuit

CLOCK_SET_BACK = 60
"""Seconds. A clock that goes back by more than this has been set."""


class TokenBucket:
    """Allows `burst` events at once and `rate` a second after that. Thread-safe."""

    def __init__(self, *, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._left = float(burst)
        self._at = 0.0
        self._lock = threading.Lock()

    def take(self, now: float, *, leave: float = 0.0) -> bool:
        """Whether one more event is allowed at this time (seconds), so that `leave` others still are.

        A clock that goes back adds no tokens.
        """
        with self._lock:
            self._left = min(self._burst, self._left + max(0.0, now - self._at) * self._rate)
            # A small step back comes from a thread that read the clock a moment earlier, a large one from a clock that
            # was set.
            if now > self._at or self._at - now > CLOCK_SET_BACK:
                self._at = now
            if self._left < 1 + leave:
                return False
            self._left -= 1
            return True


class CircuitBreaker:
    """Opens after `outages` in a row, for `seconds` at a time; then one call at a time tries whether it works again.

    Any answer closes it. Thread-safe. The caller reports what became of each call that `wait` let through.
    """

    def __init__(self, *, outages: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = outages
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._outages = 0
        self._closed_until = 0.0  # for new calls, while it is open

    @property
    def is_open(self) -> bool:
        """Whether calls fail at once, but for the one that tries."""
        return self._outages >= self._limit

    @property
    def circuit(self) -> Circuit:
        """The state, for a health check. While one call tries, it is `open` for all others."""
        if not self.is_open:
            return "closed"
        return "open" if self._clock() < self._closed_until else "half_open"

    def wait(self, longest: float = 0.0) -> float:
        """Seconds until a call may be tried; 0 if this one may go.

        If it is the one that tries, no other one does until it is reported, or `longest` seconds have passed.
        """
        if not self.is_open:
            return 0.0
        with self._lock:
            now = self._clock()
            if now < self._closed_until:
                return self._closed_until - now
            self._closed_until = now + max(longest, self._seconds)
            return 0.0

    def answered(self) -> None:
        """Report an answer, whatever it says."""
        self._outages = 0

    def failed(self) -> None:
        """Report an outage."""
        with self._lock:
            self._outages += 1
            self._closed_until = self._clock() + self._seconds

    def unknown(self) -> None:
        """Report that the call that tried ended without showing anything: the next one may try at once.

        Denial of service: otherwise whoever cancels each try would keep the breaker open.
        """
        with self._lock:
            self._closed_until = self._clock()


QUICK = 1.0
"""Seconds that any number of calls may take."""


class _SlowCalls:
    """How many calls and waits of this process are older than `QUICK`."""

    def __init__(self) -> None:
        self._count = 0
        self._lock = threading.Lock()

    def is_full(self, limit: int) -> bool:
        return self._count >= limit

    def take(self, limit: int | None) -> bool:
        with self._lock:
            if limit is not None and self._count >= limit:
                return False
            self._count += 1
            return True

    def release(self) -> None:
        with self._lock:
            self._count -= 1


_slow_calls = _SlowCalls()


def _forked() -> None:
    # The calls of the parent do not go on here, and one of its threads may have held the lock.
    global _slow_calls  # noqa: PLW0603
    _slow_calls = _SlowCalls()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forked)


class Patience:
    """For one call or wait: whether it may go on for longer than `QUICK`. `end` has to be called, or use `with`.

    `limit` is how many may. With `must_finish` it goes on in any case once it has begun, because giving it up would
    lose something; it counts all the same.
    """

    def __init__(self, limit: int, *, must_finish: bool = False) -> None:
        self._slow_calls = _slow_calls
        self._limit = limit
        self._must_finish = must_finish
        self._is_slow = False

    def begin(self) -> None:
        """Raises `Unreachable` if it may not begin."""
        if self._slow_calls.is_full(self._limit):
            raise Unreachable(f"{self._limit} calls that began earlier have not been answered yet", sent=False)

    def may_go_on(self) -> bool:
        """Whether it may go on now that it is older than `QUICK`."""
        if not self._is_slow:
            self._is_slow = self._slow_calls.take(None if self._must_finish else self._limit)
        return self._is_slow

    def end(self) -> None:
        """The call or wait has ended."""
        if self._is_slow:
            self._is_slow = False
            self._slow_calls.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


class Waiting(Patience):
    """A wait for what another request is doing. `seconds` is how long it has waited."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.seconds = 0.0

    def pause(self, seconds: float) -> Steps[None]:
        """Wait a moment more. Raises `Unreachable` if it has to be given up."""
        if not self.seconds:
            self.begin()
        if self.is_long and not self.may_go_on():
            raise Unreachable("another request is making this call, and has not been answered yet", sent=False)
        yield from ask(Pause(seconds))
        self.seconds += seconds

    @property
    def is_long(self) -> bool:
        """Whether it has taken longer than `QUICK`."""
        return self.seconds >= QUICK
