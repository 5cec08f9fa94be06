"""A token bucket: a rate limit within this process."""

import threading

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

    def take(self, now: float) -> bool:
        """Whether one more event is allowed at this time (seconds). A clock that goes back adds no tokens."""
        with self._lock:
            self._left = min(self._burst, self._left + max(0.0, now - self._at) * self._rate)
            # A small step back comes from a thread that read the clock a moment earlier, a large one from a clock that
            # was set.
            if now > self._at or self._at - now > CLOCK_SET_BACK:
                self._at = now
            if self._left < 1:
                return False
            self._left -= 1
            return True
