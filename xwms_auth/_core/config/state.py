"""Everything that one process remembers for one client, with the limit of each beside it.

Nothing here is shared between processes, so no protection may depend on it alone: what has to hold in all processes is
claimed in the store (`SessionStore.claim`).

Everything here is bounded, and tokens are looked up by their hash. A token itself is kept only if it replaces a
refreshed one or still has to be revoked.
"""

import math
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from ..base.crypto.digests import digest
from ..base.memory.expiring import ExpiringMap, ExpiringSet, RecentMap
from ..base.memory.fair_limit import FairLimit
from ..base.memory.limits import TokenBucket
from ..base.models import AccessToken, Identity, Secret, TokenSet
from ..base.strict_json import JSONObject
from .server.cache import ServerCache

LOGIN_RATE, LOGIN_BURST, LOGIN_RESERVE = 50, 130, 50
"""Rate limit: logins that a process starts per second, those at once, and how many of these are kept for clients that
start few; one address starts 100 at once. Each is a call to XWMS, so a flood here would be one there."""

INVALIDATION_RATE, INVALIDATION_BURST, INVALIDATION_RESERVE = 2, 5, 3
"""The same for foreign tokens that a process invalidates, by redeeming them; at most seven in any second
(docs/security.md)."""

MAX_UNSPENT = 10_000
"""Foreign tokens that wait to be invalidated because XWMS could not be asked; about 10 MB. The oldest go first."""

LOGOUT_TOKEN_RATE, LOGOUT_TOKEN_BURST = 2, 5
"""Rate limit: logout tokens per second for which a process fetches the metadata and keys of the server."""


class UnspentToken(NamedTuple):
    """A foreign token that XWMS could not be asked to invalidate, with its redirect URI. `until` is when to give up."""

    token: Secret
    uri: str
    until: int


class ProcessState:
    """What one process remembers for one client. Safe to share between threads."""

    def __init__(self, *, logins_per_address: int = 0) -> None:
        self.clock: Callable[[], float] = time.time
        """That of the application, where what is made has no time of a request at hand."""
        # Rate limits (`providers/rate_limits.py`).
        most = logins_per_address or math.inf
        self.login_starts = FairLimit(rate=LOGIN_RATE, burst=LOGIN_BURST, reserve=LOGIN_RESERVE, most=most)
        # No client has a limit of its own here: a token that is not spent may be redeemed elsewhere.
        self.invalidations = FairLimit(rate=INVALIDATION_RATE, burst=INVALIDATION_BURST, reserve=INVALIDATION_RESERVE)
        self.invalidations_without_store = FairLimit(rate=LOGIN_RATE, burst=LOGIN_BURST, reserve=LOGIN_RESERVE)
        self.logout_tokens = TokenBucket(rate=LOGOUT_TOKEN_RATE, burst=LOGOUT_TOKEN_BURST)
        # Names seen before.
        self.foreign_tokens = ExpiringSet()
        self.unspent_tokens: ExpiringMap[UnspentToken] = ExpiringMap(MAX_UNSPENT, entry_bytes=1000)
        self.same_token_seen = False
        self.address_told = False
        self.limit_warnings = ExpiringSet()
        self.renewals = ExpiringSet()
        self.revalidations = ExpiringSet()
        self.outages = ExpiringSet()
        self.clock_warnings = ExpiringSet()
        self.revocation_warnings = ExpiringSet()
        self.ended_logins = ExpiringSet()
        # For OAuth 2.0.
        self.server = ServerCache()
        self.validated_tokens = ValidatedTokens()
        self.verified_jwts = VerifiedJWTs()
        self.refreshed_tokens = RefreshedTokens()
        self.pending_revocations = PendingRevocations()
        self.given_up = ExpiringSet()

    def give_up(self, tokens: TokenSet, *, of: Identity, now: int) -> None:
        """Have these tokens revoked soon, or the newest that they were refreshed to: nobody will use them any more."""
        self.pending_revocations.add(self.refreshed_tokens.newest(tokens, now=now), of=of, now=now)


VALID_SECONDS = 30
"""Seconds that a valid access token is cached. A revoked token may still be accepted for this long."""

INVALID_SECONDS = 10
"""Seconds that an invalid token is cached. Short: a new token may not have reached every machine of the server."""

WAS_VALID = 3600
"""Seconds that a token is remembered as valid before, which gives it the higher rate limit."""

MAX_VALIDATED = 10_000
"""Most tokens that are remembered, valid and invalid ones each; the least recently used go first. About 5 MB."""

NEW_RATE, NEW_BURST = 20, 60
"""Rate limit: calls per second about tokens that have not been valid before."""

AGAIN_RATE, AGAIN_BURST = 200, 400
"""The same for tokens that were valid the last time."""

THREAD_CLOCK_SKEW = 5
"""Seconds by which the clock readings of two threads may differ. A time further ahead means that the clock was set."""


class ValidatedTokens:
    """A cache of the results of validating access tokens, by `name`, the hash of a token.

    An API is called often with the same token, and invalid tokens cost an attacker nothing. So a result is cached for a
    while, one call serves all requests that wait for the same token, and tokens that have not been valid before share
    a rate limit: a flood of them does not reach the server, and does not affect clients whose token was valid before.
    """

    def __init__(self) -> None:
        self._valid: ExpiringMap[tuple[int, AccessToken]] = ExpiringMap(MAX_VALIDATED, entry_bytes=1000)
        self._invalid: ExpiringMap[bool] = ExpiringMap(MAX_VALIDATED, longest=INVALID_SECONDS + THREAD_CLOCK_SKEW)
        self._in_progress = ExpiringSet()
        self._new = TokenBucket(rate=NEW_RATE, burst=NEW_BURST)
        self._again = TokenBucket(rate=AGAIN_RATE, burst=AGAIN_BURST)

    def get(self, name: str, *, now: int) -> AccessToken | None:
        """Return the token if it is cached as valid."""
        found = self._valid.get(name, now=now)
        if found is None or not now < found[0] <= now + VALID_SECONDS + THREAD_CLOCK_SKEW:
            return None
        self._valid.touch(name)
        return found[1]

    def is_bad(self, name: str, *, now: int) -> bool:
        """Whether the token is cached as invalid."""
        return self._invalid.get(name, now=now) is not None

    def may_ask(self, name: str, *, now: int) -> bool:
        """Whether the rate limit allows a call to the server about this token now."""
        return (self._again if name in self._valid else self._new).take(now)

    def begin(self, name: str, *, until: int, now: int) -> bool:
        """Begin to validate the token, for all requests with it; False if another request is doing so.

        It ends with `end`, or `until` that time.
        """
        return self._in_progress.add(name, until=until, now=now)

    def end(self, name: str) -> None:
        """End what `begin` began, whatever the result."""
        self._in_progress.remove(name)

    def learn(self, name: str, token: AccessToken | None, *, now: int) -> None:
        """Cache the result of a validation: None for an invalid token."""
        if token is None:
            self._valid.remove(name)
            self._invalid.put(name, value=True, until=now + INVALID_SECONDS, now=now)
            return
        self._invalid.remove(name)
        fresh = now + VALID_SECONDS if token.expires_at is None else min(now + VALID_SECONDS, token.expires_at)
        self._valid.put(name, (fresh, token), until=now + WAS_VALID, now=now)


MAX_VERIFIED_BYTES = 8 * 1024 * 1024
"""Bytes of the claims of verified JWTs that are kept, about 3,000 of them."""

MAX_SEEN_ONCE = 10_000
"""Names of verified JWTs that were seen once, about 2 MB; all are forgotten when it is full."""


class VerifiedJWTs:
    """The claims of access tokens whose signature this process has verified, by the hash of a token.

    An API is called often with the same token. Only the signature is not verified again, and only while the server's
    keys are those that it was verified with; the claims are validated for each request. They are kept when a token is
    seen for the second time: many tokens are used once.
    """

    def __init__(self) -> None:
        self._verified: RecentMap[tuple[tuple[JSONObject, ...], JSONObject]] = RecentMap(MAX_VERIFIED_BYTES)
        self._seen_once: set[str] = set()

    def get(self, name: str, keys: tuple[JSONObject, ...] | None) -> JSONObject | None:
        """Return the claims if the signature was verified with exactly these keys, as they were fetched."""
        found = self._verified.get(name)
        return found[1] if found is not None and found[0] is keys else None

    def learn(self, name: str, keys: tuple[JSONObject, ...], claims: JSONObject, *, length: int) -> None:
        """Keep the claims of a token of this length that one of these keys has signed, if it was seen before."""
        if name not in self._seen_once:
            if len(self._seen_once) >= MAX_SEEN_ONCE:
                self._seen_once.clear()
            self._seen_once.add(name)
            return
        self._verified.put(name, (keys, claims), size=1000 + 3 * length)


REFRESHED_SECONDS = 3600
"""Seconds that a process remembers a refresh. A browser that got two responses at once may have kept the cookie with
the older tokens, and still sends it when the next refresh is due."""

MAX_REFRESHED = 10_000
"""Most refreshes that are remembered; the oldest go first."""


class RefreshedTokens:
    """The new tokens that this process got for each refresh token, by the SHA-256 of the old one.

    With the cookie store, refreshed tokens are in the cookie of one response only. Requests sent at the same time still
    have the old refresh token, which may no longer be valid.
    """

    def __init__(self) -> None:
        self._by_old: ExpiringMap[TokenSet] = ExpiringMap(MAX_REFRESHED, entry_bytes=3000)

    def put(self, old: Secret, tokens: TokenSet, *, now: int) -> None:
        """Remember the tokens that an old refresh token was exchanged for."""
        self._by_old.put(digest(old.reveal()), tokens, until=now + REFRESHED_SECONDS, now=now)

    def newest(self, tokens: TokenSet, *, now: int) -> TokenSet:
        """Return the newest tokens that these were refreshed to in this process, or these."""
        while tokens.refresh_token is not None:
            newer = self._by_old.get(digest(tokens.refresh_token.reveal()), now=now)
            # If the server does not rotate refresh tokens, those of the session may come from a later refresh by
            # another process.
            if newer is None or newer.number <= tokens.number:
                break
            tokens = newer
        return tokens


BACKOFF, MAX_BACKOFF = 60, 3600
"""Seconds before the next retry after a failure; doubled each time, up to an hour."""

REVOCATION_KEPT = 24 * 3600
"""Seconds that a revocation is retried. After a day the tokens are left to expire."""

MAX_REVOCATIONS = 1000
"""Most logins with tokens that wait for their revocation; about 1 MB. The oldest go first."""


class PendingRevocation(NamedTuple):
    """Tokens to revoke. `of` is whose they are, `since` when they were to be revoked; `failed`: it was tried."""

    tokens: TokenSet
    of: Identity
    since: int
    failed: bool


class PendingRevocations:
    """Tokens that still exist at the server: their revocation failed (RFC 7009 2.2.1), or can wait for an answer.

    They are revoked after the answer of a login or logout, and before a login begins: this library starts no thread of
    its own in an application.
    """

    def __init__(self) -> None:
        self._pending: ExpiringMap[PendingRevocation] = ExpiringMap(MAX_REVOCATIONS, entry_bytes=3000)
        self._backoff, self._not_before = BACKOFF, 0
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._pending)

    def add(self, tokens: TokenSet, *, of: Identity, now: int) -> None:
        """Add tokens whose revocation can wait for an answer."""
        self._put(PendingRevocation(tokens, of, now, failed=False), now=now)

    def spare(self, of: Identity, sid: str | None) -> None:
        """Leave those of this person's login at the server to end by themselves, since new ones are of the same."""
        for name, pending in self._pending.items():
            if pending.of == of and pending.tokens.sid == sid:
                self._pending.remove(name)

    def _put(self, pending: PendingRevocation, *, now: int) -> None:
        name = digest(pending.tokens.access_token.reveal())
        self._pending.put(name, pending, until=pending.since + REVOCATION_KEPT, now=now)

    def keep(self, tokens: TokenSet, *, of: Identity, since: int, now: int) -> None:
        """Keep tokens whose revocation has just failed. `since` is when they were to be revoked."""
        self._put(PendingRevocation(tokens, of, since, failed=True), now=now)
        with self._lock:
            if now >= self._not_before:
                self._not_before, self._backoff = now + self._backoff, min(2 * self._backoff, MAX_BACKOFF)

    def take(self, *, now: int) -> PendingRevocation | None:
        """Remove and return tokens to revoke now. The caller revokes them or keeps them again."""
        with self._lock:
            # A clock that was set back must not cause a pause of hours.
            if now < self._not_before <= now + MAX_BACKOFF:
                return None
        return self._pending.pop_oldest(now=now)

    def answered(self) -> None:
        """Note that the server responded, which ends the pause."""
        with self._lock:
            self._backoff, self._not_before = BACKOFF, 0
