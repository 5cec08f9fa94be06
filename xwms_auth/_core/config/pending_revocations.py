"""Tokens that were given up here and that the server could not be told of (RFC 7009 2.2.1: they still exist there).

They are tried again beside what people ask of the server anyway: no thread of ours runs in somebody's application.

Knows: which tokens wait, and when the next may be tried.
Must not: keep a token for longer than a day, or let people wait again and again for a server that does not answer.
"""

import threading
from collections import deque

from ..base.models import TokenSet

BACKOFF, MAX_BACKOFF = 60, 3600
"""Seconds without another try after one that failed; doubled each time, up to an hour."""

KEPT = 24 * 3600
"""Seconds. After a day the tokens are left to end by themselves."""

MAX_WAITING = 1000
"""Logins whose tokens wait; about 1 MB. The oldest are given up first."""


class PendingRevocations:
    """In this process, in memory. Safe to share between threads; times are seconds since 1970."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, TokenSet]] = deque(maxlen=MAX_WAITING)
        self._rest, self._not_before = BACKOFF, 0
        self._lock = threading.Lock()

    def keep(self, tokens: TokenSet, *, since: int, now: int) -> None:
        """Keep tokens whose revocation has just failed. `since` is when they were given up."""
        with self._lock:
            self._waiting.append((since, tokens))
            if now >= self._not_before:
                self._not_before, self._rest = now + self._rest, min(2 * self._rest, MAX_BACKOFF)

    def take(self, *, now: int) -> tuple[int, TokenSet] | None:
        """Tokens to try now, and since when they wait. Whoever takes them revokes them or keeps them again."""
        with self._lock:
            # A clock that was set back must not make a rest of hours.
            if now < self._not_before <= now + MAX_BACKOFF:
                return None
            while self._waiting:
                since, tokens = self._waiting.popleft()
                if now < since + KEPT:
                    return since, tokens
            return None

    def answered(self) -> None:
        """The server has revoked a token: it can be asked again."""
        with self._lock:
            self._rest, self._not_before = BACKOFF, 0
