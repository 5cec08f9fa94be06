"""What this process has changed refresh tokens into.

With the cookie store a refreshed token is in one answer's cookie only, and requests that came at the same time still
bring the old one, which may be worth nothing any more.

Knows: the tokens of the last hour.
Must not: remember them for longer, or grow without bound.
"""

import threading
from collections import OrderedDict

from ..base.models import TokenSet
from ..base.secrets import Secret
from ..base.signing import digest

KEPT = 3600
"""Seconds that a process remembers what it refreshed. A browser that got two answers at once may have kept the cookie
with the older tokens, and brings it when the next ones are due."""

MAX_KEPT = 10_000
"""Refreshes that are remembered; the oldest go first."""


class RefreshedTokens:
    """By the SHA-256 of the old refresh token. Safe to share between threads; times are seconds since 1970."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[int, TokenSet]] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, old: Secret, tokens: TokenSet, *, now: int) -> None:
        """Remember the tokens that came for an old refresh token."""
        with self._lock:
            while self._kept and (len(self._kept) >= MAX_KEPT or next(iter(self._kept.values()))[0] <= now):
                self._kept.popitem(last=False)
            self._kept[digest(old.reveal())] = (now + KEPT, tokens)

    def newest(self, tokens: TokenSet, *, now: int) -> TokenSet:
        """What this process has changed these tokens into a while ago, or these."""
        while tokens.refresh_token is not None:
            until, newer = self._kept.get(digest(tokens.refresh_token.reveal()), (0, None))
            # Of a server that does not rotate, the session may bring what was refreshed elsewhere since.
            if newer is None or now >= until or newer.number <= tokens.number:
                break
            tokens = newer
        return tokens
