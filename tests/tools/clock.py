"""The one clock of the tests."""

import time


class Clock:
    """A clock that a test moves. Starts now, because XWMS, local or fake, may say in real time when something ends."""

    def __init__(self, now: float | None = None) -> None:
        self.now = float(int(time.time())) if now is None else now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float = 0, *, minutes: float = 0) -> None:
        self.now += seconds + minutes * 60
