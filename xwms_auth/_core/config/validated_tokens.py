"""Which access tokens the authorization server was asked about a moment ago, and how often it may be asked.

An API is called often with one token, and junk costs its sender nothing. So an answer counts for a while, one call
asks for all that wait for the same answer, and tokens that nobody has seen before share a budget: a flood of them here
is no flood at the server, and does not touch those who came with a good token before.

Knows: hashes of tokens, and what they were found to be.
Must not: keep a token in clear, grow without bound, or let an answer count beyond the token's own end.
"""

import threading
from collections import OrderedDict

from ..base.models import AccessToken
from ..base.rate_limit import TokenBucket

MAX_AGE = 30
"""Seconds that an answer counts: so long a token may still work that was revoked."""

MAX_AGE_OF_NO = 10
"""Seconds that a no counts. Short, for a token that has not reached every machine of the server yet."""

MAX_KNOWN = 10_000
"""Tokens of each kind that are remembered, the ones used last; about 5 MB."""

CLOCK_STEP = 5
"""Seconds that two threads' looks at the clock may be apart. What is from further ahead is of a clock that was set."""

NEW_RATE, NEW_BURST = 20, 60
"""Tokens never found good before that a process asks about a second."""

AGAIN_RATE, AGAIN_BURST = 200, 400
"""The same for tokens that were good the last time."""


class ValidatedTokens:
    """By `name`, the hash of a token. Safe to share between threads; times are seconds since 1970."""

    def __init__(self) -> None:
        self._good: OrderedDict[str, tuple[int, AccessToken]] = OrderedDict()
        self._bad: OrderedDict[str, int] = OrderedDict()
        self._asked: dict[str, int] = {}
        self._new = TokenBucket(rate=NEW_RATE, burst=NEW_BURST)
        self._again = TokenBucket(rate=AGAIN_RATE, burst=AGAIN_BURST)
        self._lock = threading.Lock()

    def get(self, name: str, *, now: int) -> AccessToken | None:
        """The token, if it was found good and that still counts."""
        with self._lock:
            until, token = self._good.get(name, (now, None))
            if token is None or not now < until <= now + MAX_AGE + CLOCK_STEP:
                return None
            self._good.move_to_end(name)
            return token

    def is_bad(self, name: str, *, now: int) -> bool:
        """Whether the token was found bad and that still counts."""
        with self._lock:
            return now < self._bad.get(name, now) <= now + MAX_AGE_OF_NO + CLOCK_STEP

    def may_ask(self, name: str, *, now: int) -> bool:
        """Whether the server may be asked about this token now."""
        return (self._again if name in self._good else self._new).take(now)

    def begin(self, name: str, *, until: int, now: int) -> bool:
        """Ask about the token for everybody; False if somebody is doing so. Ends with `end`, or by itself."""
        with self._lock:
            if self._asked.get(name, now) > now:
                return False
            self._asked[name] = until
            return True

    def end(self, name: str) -> None:
        """Nobody asks any more, whatever came of it."""
        with self._lock:
            self._asked.pop(name, None)

    def learn(self, name: str, token: AccessToken | None, *, now: int) -> None:
        """Remember what the token was found to be: None for a bad one."""
        with self._lock:
            self._good.pop(name, None)
            self._bad.pop(name, None)
            if token is None:
                self._bad[name] = now + MAX_AGE_OF_NO
            else:
                until = now + MAX_AGE
                self._good[name] = (until if token.expires_at is None else min(until, token.expires_at), token)
            for known in (self._good, self._bad):
                if len(known) > MAX_KNOWN:
                    known.popitem(last=False)
