"""A circuit breaker: after several outages in a row calls fail at once, instead of waiting for the same timeout."""

import threading
import time
from collections.abc import Callable


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
