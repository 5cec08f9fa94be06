"""The tokens that an authorization server gave for one person (RFC 6749 5.1).

Knows: what there is of them, how long it lasts, and what this process has just renewed.
Must not: show one: each is a `Secret`.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from .secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSet:
    """One answer of a token endpoint.

    `scope` is what was granted, which may be less or more than was asked for; `expires_at` is in seconds since 1970,
    or None if the server gave no lifetime. `id_token` is as it came; it is read at the login and not kept.
    `sid` is the server's name for the login that the tokens belong to, for a logout that begins there.
    """

    access_token: Secret
    refresh_token: Secret | None
    id_token: Secret | None
    scope: tuple[str, ...]
    expires_at: int | None
    sid: str | None = None


KEPT = 60
"""Seconds that a process remembers what it refreshed: longer than requests that came together last."""

MAX_KEPT = 10_000
"""Refreshes that are remembered; the oldest go first."""


class RefreshedTokens:
    """What this process has changed refresh tokens into, by the old one's SHA-256. Times are seconds since 1970.

    With the cookie store a refreshed token is in one answer's cookie only, and requests that came at the same time
    still bring the old one.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[int, TokenSet]] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, name: str, tokens: TokenSet, *, now: int) -> None:
        """Remember the tokens that came for an old one."""
        with self._lock:
            while self._kept and (len(self._kept) >= MAX_KEPT or next(iter(self._kept.values()))[0] <= now):
                self._kept.popitem(last=False)
            self._kept[name] = (now + KEPT, tokens)

    def get(self, name: str, *, now: int) -> TokenSet | None:
        """The tokens that came for an old one, if this process has changed it a moment ago."""
        until, tokens = self._kept.get(name, (0, None))
        return tokens if now < until else None
