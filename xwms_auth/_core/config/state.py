"""Everything that one process remembers for one client, each thing with its bound beside it.

Nothing here is shared between processes, so nothing that protects a person may rest on it alone: what has to hold
everywhere is claimed in the store (`SessionStore.claim`).

Knows: rates, sizes, and for how long each thing counts.
Must not: keep a token in clear, except one that is still to be revoked, or grow without bound.
"""

import threading

from ..base.expiring import ExpiringMap, ExpiringSet
from ..base.models import AccessToken, TokenSet
from ..base.rate_limit import TokenBucket
from ..base.secrets import Secret
from ..base.signing import digest
from .server_metadata import ServerCache

LOGIN_RATE, LOGIN_BURST = 50, 100
"""Logins a process starts a second: each is a call to XWMS, so a flood here would be a flood there."""

INVALIDATION_RATE, INVALIDATION_BURST = 2, 3
"""Foreign tokens a process redeems a second so that nobody else can, at most five in any one (docs/security.md)."""

LOGOUT_TOKEN_RATE, LOGOUT_TOKEN_BURST = 2, 5
"""Logout tokens a second for which a process asks its authorization server who it is and what its keys are."""


class ProcessState:
    """What one process remembers for one client. Safe to share between threads."""

    def __init__(self) -> None:
        # How often something may happen.
        self.login_starts = TokenBucket(rate=LOGIN_RATE, burst=LOGIN_BURST)
        self.invalidations = TokenBucket(rate=INVALIDATION_RATE, burst=INVALIDATION_BURST)
        # Where the store is down nobody knows which tokens were issued, so as many may be spent as can be started.
        self.invalidations_without_store = TokenBucket(rate=LOGIN_RATE, burst=LOGIN_BURST)
        self.logout_tokens = TokenBucket(rate=LOGOUT_TOKEN_RATE, burst=LOGOUT_TOKEN_BURST)
        # What has been seen, by name.
        self.foreign_tokens = ExpiringSet()
        self.same_token_seen = False
        self.renewals = ExpiringSet()
        self.revalidations = ExpiringSet()
        self.outages = ExpiringSet()
        self.ended_logins = ExpiringSet()
        # What OAuth 2.0 needs besides.
        self.server = ServerCache()
        self.validated_tokens = ValidatedTokens()
        self.refreshed_tokens = RefreshedTokens()
        self.pending_revocations = PendingRevocations()


VALIDATED = 30
"""Seconds that an answer about an access token counts: so long a token may still work that was revoked."""

REJECTED = 10
"""Seconds that a no counts. Short, for a token that has not reached every machine of the server yet."""

WAS_VALID = 3600
"""Seconds that it is remembered that a token was good, which gives it a larger share of the calls."""

MAX_VALIDATED = 10_000
"""Tokens of each kind that are remembered, the ones used last; about 5 MB."""

NEW_RATE, NEW_BURST = 20, 60
"""Tokens never found good before that a process asks about a second."""

AGAIN_RATE, AGAIN_BURST = 200, 400
"""The same for tokens that were good the last time."""

CLOCK_STEP = 5
"""Seconds that two threads' looks at the clock may be apart. What is from further ahead is of a clock that was set."""


class ValidatedTokens:
    """What the authorization server said about access tokens a moment ago, by `name`, the hash of a token.

    An API is called often with one token, and junk costs its sender nothing. So an answer counts for a while, one call
    asks for all that wait for the same answer, and tokens that nobody has seen before share a rate: a flood of them
    here is no flood at the server, and does not touch those who came with a good token before.
    """

    def __init__(self) -> None:
        self._good: ExpiringMap[tuple[int, AccessToken]] = ExpiringMap(MAX_VALIDATED)
        self._bad: ExpiringMap[bool] = ExpiringMap(MAX_VALIDATED, longest=REJECTED + CLOCK_STEP)
        self._asked = ExpiringSet()
        self._new = TokenBucket(rate=NEW_RATE, burst=NEW_BURST)
        self._again = TokenBucket(rate=AGAIN_RATE, burst=AGAIN_BURST)

    def get(self, name: str, *, now: int) -> AccessToken | None:
        """The token, if it was found good and that still counts."""
        found = self._good.get(name, now=now)
        if found is None or not now < found[0] <= now + VALIDATED + CLOCK_STEP:
            return None
        self._good.touch(name)
        return found[1]

    def is_bad(self, name: str, *, now: int) -> bool:
        """Whether the token was found bad and that still counts."""
        return self._bad.get(name, now=now) is not None

    def may_ask(self, name: str, *, now: int) -> bool:
        """Whether the server may be asked about this token now."""
        return (self._again if name in self._good else self._new).take(now)

    def begin(self, name: str, *, until: int, now: int) -> bool:
        """Ask about the token for everybody; False if somebody is doing so. Ends with `end`, or by itself."""
        return self._asked.add(name, until=until, now=now)

    def end(self, name: str) -> None:
        """Nobody asks any more, whatever came of it."""
        self._asked.remove(name)

    def learn(self, name: str, token: AccessToken | None, *, now: int) -> None:
        """Remember what the token was found to be: None for a bad one."""
        if token is None:
            self._good.remove(name)
            self._bad.put(name, value=True, until=now + REJECTED, now=now)
            return
        self._bad.remove(name)
        fresh = now + VALIDATED if token.expires_at is None else min(now + VALIDATED, token.expires_at)
        self._good.put(name, (fresh, token), until=now + WAS_VALID, now=now)


REFRESHED = 3600
"""Seconds that a process remembers what it refreshed. A browser that got two answers at once may have kept the cookie
with the older tokens, and brings it when the next ones are due."""

MAX_REFRESHED = 10_000
"""Refreshes that are remembered; the oldest go first."""


class RefreshedTokens:
    """What this process has changed refresh tokens into, by the SHA-256 of the old one.

    With the cookie store a refreshed token is in one answer's cookie only, and requests that came at the same time
    still bring the old one, which may be worth nothing any more.
    """

    def __init__(self) -> None:
        self._kept: ExpiringMap[TokenSet] = ExpiringMap(MAX_REFRESHED)

    def put(self, old: Secret, tokens: TokenSet, *, now: int) -> None:
        """Remember the tokens that came for an old refresh token."""
        self._kept.put(digest(old.reveal()), tokens, until=now + REFRESHED, now=now)

    def newest(self, tokens: TokenSet, *, now: int) -> TokenSet:
        """What this process has changed these tokens into a while ago, or these."""
        while tokens.refresh_token is not None:
            newer = self._kept.get(digest(tokens.refresh_token.reveal()), now=now)
            # Of a server that does not rotate, the session may bring what was refreshed elsewhere since.
            if newer is None or newer.number <= tokens.number:
                break
            tokens = newer
        return tokens


BACKOFF, MAX_BACKOFF = 60, 3600
"""Seconds without another try after one that failed; doubled each time, up to an hour."""

REVOCATION_KEPT = 24 * 3600
"""Seconds. After a day the tokens are left to end by themselves."""

MAX_REVOCATIONS = 1000
"""Logins whose tokens wait; about 1 MB. The oldest are given up first."""


class PendingRevocations:
    """Tokens that were given up here and that the server could not be told of (RFC 7009 2.2.1: they still exist there).

    They are tried again beside what people ask of the server anyway: no thread of ours runs in somebody's application.
    """

    def __init__(self) -> None:
        self._waiting: ExpiringMap[tuple[int, TokenSet]] = ExpiringMap(MAX_REVOCATIONS)
        self._backoff, self._not_before = BACKOFF, 0
        self._lock = threading.Lock()

    def keep(self, tokens: TokenSet, *, since: int, now: int) -> None:
        """Keep tokens whose revocation has just failed. `since` is when they were given up."""
        name = digest(tokens.access_token.reveal())
        self._waiting.put(name, (since, tokens), until=since + REVOCATION_KEPT, now=now)
        with self._lock:
            if now >= self._not_before:
                self._not_before, self._backoff = now + self._backoff, min(2 * self._backoff, MAX_BACKOFF)

    def take(self, *, now: int) -> tuple[int, TokenSet] | None:
        """Tokens to try now, and since when they wait. Whoever takes them revokes them or keeps them again."""
        with self._lock:
            # A clock that was set back must not make a pause of hours.
            if now < self._not_before <= now + MAX_BACKOFF:
                return None
        return self._waiting.pop_oldest(now=now)

    def answered(self) -> None:
        """The server has revoked a token: it can be asked again."""
        with self._lock:
            self._backoff, self._not_before = BACKOFF, 0
