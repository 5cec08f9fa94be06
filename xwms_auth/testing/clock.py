"""The clock of a test: the time of this machine, and what the test has added to it."""

import math
import time
from datetime import timedelta


class Clock:
    """Seconds since 1970, as `clock()`. It goes on by itself."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self._ahead

    def advance(self, by: timedelta | float) -> None:
        """Let this much time pass, a timedelta or seconds. Raises ValueError for a time that is not ahead."""
        seconds = by.total_seconds() if isinstance(by, timedelta) else float(by)
        if not (math.isfinite(seconds) and seconds >= 0):
            raise ValueError("a clock goes forward: a timedelta, or a number of seconds that is not negative")
        self._ahead += seconds
