"""The default store: the cookie is the encrypted session, so there is no server to run and no data to lose.

By itself it cannot end a session in another process or machine before it expires. This process remembers the sessions
that were ended in it; docs/sessions.md says what an attacker can do with a stolen cookie and for how long. With a
revocation store it can: that keeps the times up to which a session, a person's sessions or all sessions are revoked.
"""

import threading
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .._core.base import events
from .._core.base.crypto.digests import identity_digest
from .._core.base.errors import ConfigError
from .._core.base.memory.expiring import ExpiringMap, ExpiringSet, LocalClaims, RecentMap
from .._core.base.models import EndReason, Identity, ever_smaller
from .._core.base.session import FUTURE_TOLERANCE, Session
from .._core.base.session_record import from_record, to_record
from .._core.base.store_protocols import FixedHandles, KeepsConnections, KnownHandle, KnowsClaims, RevocationStore
from .._core.http.messages import fits
from .records import is_key
from .sync_async import then

if TYPE_CHECKING:
    from .._core.base.crypto.sealing import Sealed

MAX_CACHED_BYTES = 32 * 1024 * 1024
"""Bytes of the cache of verified cookies: the seven thousand that were used last, and up to as many more. Invalid
cookies are never cached, so they cannot push out valid ones."""

ENTRY_BYTES = 1500
"""Bytes by which a process grows for an entry, beside what depends on the length of its cookie."""

MAX_CHECKED = 10_000
"""Sessions of which it is remembered that they were not revoked."""

REVOCATION_CACHE_AGE = 10
"""Seconds that a process uses a result of the revocation store: the delay of a revocation in another process."""

CLIENT = "client"
"""The name of a revocation that ends all sessions."""

_NO_LIST = (
    "session_store=cookie has no list of sessions, which list and a sub for revoke need; use sqlite:///… or redis://…"
)
_NO_REVOCATION = (
    "session_store=cookie cannot end a session elsewhere by itself; set XWMS_REVOCATION_STORE (revocation_store), "
    "or use sqlite:///… or redis://… as the session store"
)


class CookieStore(FixedHandles):
    """Implements `SessionStore`; without a revocation store every method is sync and fast. `lifetime` is in seconds."""

    def __init__(
        self, sealer: "Sealed", *, issuer: str, lifetime: int, revocations: RevocationStore | None = None
    ) -> None:
        self.loads_at_once = revocations is None
        self._sealer = sealer
        self._issuer = issuer
        self._lifetime = lifetime
        self._revocations = revocations
        self._cache: RecentMap[KnownHandle] = RecentMap(MAX_CACHED_BYTES)
        # Sessions that were not revoked when last checked. A time slightly ahead comes from a thread that read the
        # clock later, a time further ahead from a clock that was set.
        self._not_revoked: ExpiringMap[bool] = ExpiringMap(MAX_CHECKED, longest=2 * REVOCATION_CACHE_AGE - 1)
        self._lock = threading.Lock()
        self._claims = LocalClaims()
        self._ended = ExpiringSet()
        self._withdrawn = ExpiringSet()

    def keep_connections(self) -> None:
        if isinstance(self._revocations, KeepsConnections):
            self._revocations.keep_connections()

    def close(self) -> None | Awaitable[None]:
        return self._revocations.close() if isinstance(self._revocations, KeepsConnections) else None

    def create(self, session: Session, *, until: int, now: int) -> str | Awaitable[str]:
        if self._revocations is None:
            return self._write(session, now)

        def begin(not_before: Sequence[int]) -> str:
            # Later than every revocation so far, also one within the same second.
            counts_from = max(session.counts_from, *(at + 1 for at in not_before))
            return self._write(replace(session, counts_from=counts_from), now)

        return then(self._revocations.not_before((CLIENT, _person(session.user.identity)), now=now), begin)

    def _write(self, session: Session, now: int) -> str:
        # The device is shown in lists only, and this store has none.
        sealed = ((self._sealer.seal_text(to_record(kept)), kept) for kept in _reduced(replace(session, device=None)))
        handle, kept = next((handle, kept) for handle, kept in sealed if fits(handle))
        if session.tokens is not None and kept.tokens is None:
            events.warning("tokens_not_kept", hint="they do not fit into a cookie; use another session_store")
        self._remember(handle, kept)
        return handle

    def recall(self, handle: str, *, now: int) -> Session | None:
        # The caller checks whether the session is alive.
        known = self._cache.get(handle)
        return known.session if known is not None and self._is_checked(known.session, now) else None

    def _is_checked(self, session: Session, now: int) -> bool:
        """Whether the session needs no query for revocations now."""
        return self._revocations is None or self._not_revoked.get(session.id, now=now) is not None

    def find(self, handle: str) -> KnownHandle | EndReason | None:
        known = self._cache.get(handle)
        if known is not None:
            return known
        session = self._open(handle)
        if session is None:
            # A cookie with a removed key cannot be told from a forged one, so a forger may get this reason too.
            return EndReason.KEY_ROTATED if self._sealer.is_of_other_key(handle) else None
        known = self._remember(handle, session)
        if known is None:
            return EndReason.WITHDRAWN if session.id in self._withdrawn else None
        return known

    def load(self, handle: str, *, now: int) -> Session | EndReason | None | Awaitable[Session | EndReason | None]:
        known = self.find(handle)
        if not isinstance(known, KnownHandle):
            return known
        session = known.session
        if self._revocations is None or self._is_checked(session, now):
            return session
        names = (CLIENT, _person(session.user.identity), _session(session.id))

        def check(not_before: Sequence[int]) -> Session | EndReason:
            if session.counts_from <= max(not_before):
                return EndReason.REVOKED
            self._not_revoked.put(session.id, value=True, until=now + REVOCATION_CACHE_AGE, now=now)
            return session

        return then(self._revocations.not_before(names, now=now), check)

    def _open(self, handle: str) -> Session | None:
        return from_record(self._sealer.open_text(handle), issuer=self._issuer)

    def _remember(self, handle: str, session: Session) -> KnownHandle | None:
        """Cache a verified session. None if it has ended: the cache never holds a session that has."""
        with self._lock:
            if session.id in self._ended:
                return None
            known = KnownHandle(session)
            self._cache.put(handle, known, size=ENTRY_BYTES + 3 * len(handle))
            return known

    def renew(self, handle: str, session: Session, *, until: int, now: int) -> str | None | Awaitable[str | None]:
        def write(found: Session | EndReason | None) -> str | None:
            return self._write(session, now) if isinstance(found, Session) else None

        # Without the cached result: the session may have been logged out in another process since.
        self._not_revoked.remove(session.id)
        return then(self.load(handle, now=now), write)

    def drop(self, handle: str, *, why: EndReason | None, now: int) -> None | Awaitable[None]:
        session = self._open(handle)
        if session is None:
            return None
        until = session.started_at + self._lifetime
        with self._lock:
            self._ended.add(session.id, until=until, now=now)
            if why is EndReason.WITHDRAWN:
                self._withdrawn.add(session.id, until=until, now=now)
            # A renewed session has had several cookies; remove all of them.
            for other in [other for other, kept in self._cache.items() if kept.session.id == session.id]:
                self._cache.remove(other)
            # A flood of logouts may push it out of the ended ones.
            self._not_revoked.remove(session.id)
        if self._revocations is None:
            return None
        return self._revocations.forbid(_session(session.id), upto=until, until=until, now=now)

    def list(self, identity: Identity, *, now: int) -> Sequence[Session]:
        raise ConfigError([_NO_LIST])

    def revoke(self, session_id: str, *, now: int) -> bool | Awaitable[bool]:
        if not is_key(session_id):
            return False
        # Every session that exists now expires within one lifetime.
        result = self._forbid(_session(session_id), upto=now + self._lifetime, now=now)
        return then(result, lambda _: True)

    def revoke_all(self, identity: Identity, *, now: int) -> None | Awaitable[None]:
        # Includes logins on a machine whose clock is ahead by the tolerance.
        return self._forbid(_person(identity), upto=now + FUTURE_TOLERANCE, now=now)

    def revoke_client(self, *, now: int) -> None | Awaitable[None]:
        return self._forbid(CLIENT, upto=now + FUTURE_TOLERANCE, now=now)

    def _forbid(self, name: str, *, upto: int, now: int) -> None | Awaitable[None]:
        if self._revocations is None:
            raise ConfigError([_NO_REVOCATION])
        result = self._revocations.forbid(name, upto=upto, until=now + self._lifetime + FUTURE_TOLERANCE, now=now)

        def clear(_: None) -> None:
            # Not earlier: a query from before the revocation may have been cached in the meantime.
            self._not_revoked.clear()

        return then(result, clear)

    def claim(self, name: str, *, until: int, now: int) -> bool | Awaitable[bool]:
        if self._revocations is not None:
            return self._revocations.claim(name, until=until, now=now)
        return self._claims.claim(name, until=until, now=now)

    def release(self, name: str) -> None | Awaitable[None]:
        if self._revocations is not None:
            return self._revocations.release(name)
        self._claims.release(name)
        return None

    def claimed(self, names: Sequence[str], *, now: int) -> Sequence[bool] | None | Awaitable[Sequence[bool]]:
        """As in `KnowsClaims`; None if the revocation store cannot tell."""
        if self._revocations is None:
            return [self._claims.is_claimed(name, now=now) for name in names]
        return self._revocations.claimed(names, now=now) if isinstance(self._revocations, KnowsClaims) else None


def _reduced(session: Session) -> Iterator[Session]:
    """Smaller and smaller versions of the session, so that the login does not fail: without claims, then tokens."""
    tokens = session.tokens
    fewer = (None,) if tokens is None else (tokens, replace(tokens, id_token=None), None)
    return (replace(session, user=user, tokens=kept) for kept in fewer for user in ever_smaller(session.user))


# Each kind of name has a prefix, so that one cannot be passed for another: a person's can be derived from their sub.


def _person(identity: Identity) -> str:
    return f"person/{identity_digest(identity)}"


def _session(session_id: str) -> str:
    return f"session/{session_id}"
