"""How many threads a store takes in async code.

With a limit of its own: the threads for an application's sync endpoints may all be busy.
"""

import anyio
from anyio.lowlevel import RunVar


class ThreadLimit:
    """So many threads at once in each event loop."""

    def __init__(self, name: str, threads: int) -> None:
        self._threads = threads
        self._limiters: RunVar[anyio.CapacityLimiter] = RunVar(name)

    def limiter(self) -> anyio.CapacityLimiter:
        """The limiter of the running event loop."""
        limiter = self._limiters.get(None)
        if limiter is None:
            limiter = anyio.CapacityLimiter(self._threads)
            self._limiters.set(limiter)
        return limiter
