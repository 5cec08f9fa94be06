"""A token bucket: how often something may happen in this process.

Knows: a rate and a burst.
Must not: know what is being counted.
"""

import threading

CLOCK_STEP = 60
"""Seconds. A clock that goes back further than this has been set."""


class TokenBucket:
    """Lets `burst` things through at once and `rate` a second after that. Safe to share between threads."""

    def __init__(self, *, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._left = float(burst)
        self._at = 0.0
        self._lock = threading.Lock()

    def take(self, now: float) -> bool:
        """Whether one more may happen at this time (seconds). A clock that goes back earns nothing."""
        with self._lock:
            self._left = min(self._burst, self._left + max(0.0, now - self._at) * self._rate)
            # A small step back is another thread that looked at the clock a moment ago; a large one is a clock set.
            if now > self._at or self._at - now > CLOCK_STEP:
                self._at = now
            if self._left < 1:
                return False
            self._left -= 1
            return True
