"""What this process has changed refresh tokens into.

With the cookie store a refreshed token is in one answer's cookie only, and requests that came at the same time still
bring the old one, which may be worth nothing any more.

Knows: the tokens of the last minute.
Must not: remember them for longer, or grow without bound.
"""

import threading
from collections import OrderedDict

from .secret import Secret
from .token_set import TokenSet
from .tokens import digest

KEPT = 60
"""Seconds that a process remembers what it refreshed: longer than requests that came together last."""

MAX_KEPT = 10_000
"""Refreshes that are remembered; the oldest go first."""


MAX_STEPS = 8
"""Refreshes of one session that are followed; more than there can be in a minute."""


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
        """What this process has changed these tokens into a moment ago, or these."""
        for _ in range(MAX_STEPS):
            old = tokens.refresh_token
            until, newer = (0, None) if old is None else self._kept.get(digest(old.reveal()), (0, None))
            if newer is None or now >= until:
                break
            if newer.refresh_token == old:
                # A server that does not rotate: what the session has may have been refreshed elsewhere since.
                return max(newer, tokens, key=lambda one: one.expires_at or 0)
            tokens = newer
        return tokens
