"""The default store: the sealed session *is* the cookie, so there is nothing to run and nothing to lose.

What it cannot do by itself: end a session in another process or machine before it expires. This process remembers the
sessions that were ended in it; docs/sessions.md says what a stolen cookie can do and for how long. With a revocation
store it can: that holds the times up to which a session, a person's sessions or everybody's no longer count.

Knows: sealing, the size of cookies, and how long a word of the revocation store is believed.
Must not: keep anything that another process would need.
"""

import threading
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import replace

from .._core.base import events
from .._core.base.errors import ConfigError
from .._core.base.expiring import ExpiringMap, ExpiringSet, LocalClaims
from .._core.base.lifetimes import FUTURE_TOLERANCE
from .._core.base.models import EndReason, Identity, Session, ever_smaller
from .._core.base.signing import Signed, identity_digest, is_shaped
from .._core.base.store_protocols import KeepsConnections, KnowsClaims, RevocationStore
from .._core.http.cookies import HTTPS, fits
from .records import from_record, is_key, to_record
from .sync_async import then

MAX_CACHED = 4096
"""Verified cookies kept ready, about 8 MB. A cookie that failed is never kept, so junk cannot push out good ones."""

BELIEVED = 10
"""Seconds a process goes on with what the revocation store said: how late a revocation may reach another process."""

CLIENT = "client"
"""The name of a revocation that ends everybody's sessions."""

_NO_LIST = "session_store=cookie has no list of sessions; use sqlite:///… or redis://…"
_NO_REACH = (
    "session_store=cookie cannot end a session elsewhere by itself; set XWMS_REVOCATION_STORE (revocation_store), "
    "or use sqlite:///… or redis://… as the session store"
)


class CookieStore:
    """Follows `SessionStore`; without a revocation store every method is plain and quick. `lifetime` is in seconds."""

    def __init__(self, seal: Signed, *, issuer: str, lifetime: int, revocations: RevocationStore | None = None) -> None:
        self._seal = seal
        self._issuer = issuer
        self._lifetime = lifetime
        self._revocations = revocations
        self._cache: ExpiringMap[Session] = ExpiringMap(MAX_CACHED)
        # Since when: what was heard a moment from now is of another thread's look at the clock, later is of a clock
        # that was set.
        self._heard: ExpiringMap[bool] = ExpiringMap(MAX_CACHED, longest=2 * BELIEVED - 1)
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
            # Later than what was revoked before, also where the two fall into one second.
            counts_from = max(session.counts_from, *(at + 1 for at in not_before))
            return self._write(replace(session, counts_from=counts_from), now)

        return then(self._revocations.not_before((CLIENT, _person(session.user.identity)), now=now), begin)

    def _write(self, session: Session, now: int) -> str:
        # The device is for lists, which this store has none of.
        sealed = ((self._seal.dumps(to_record(kept)), kept) for kept in _ever_smaller(replace(session, device=None)))
        handle, kept = next((handle, kept) for handle, kept in sealed if fits(HTTPS.session, handle))
        self._remember(handle, kept, now)
        return handle

    def recall(self, handle: str, *, now: int) -> Session | None:
        # Whether the session is alive is not looked at here; whoever recalls one does.
        entry = self._cache.peek(handle)
        return entry[1] if entry is not None and self._is_heard(entry[1], now) else None

    def _is_heard(self, session: Session, now: int) -> bool:
        return self._revocations is None or self._heard.get(session.id, now=now) is not None

    def load(self, handle: str, *, now: int) -> Session | EndReason | None | Awaitable[Session | EndReason | None]:
        session = self._verified(handle)
        if session is None:
            # Nobody can tell a cookie of a removed key from a forged one, and a forger may read this sentence too.
            return EndReason.KEY_ROTATED if is_shaped(handle) else None
        if not self._remember(handle, session, now):
            return EndReason.WITHDRAWN if session.id in self._withdrawn else None
        if self._revocations is None or self._is_heard(session, now):
            return session
        names = (CLIENT, _person(session.user.identity), _session(session.id))

        def judge(not_before: Sequence[int]) -> Session | EndReason:
            if session.counts_from <= max(not_before):
                return EndReason.REVOKED
            self._heard.put(session.id, value=True, until=now + BELIEVED, now=now)
            return session

        return then(self._revocations.not_before(names, now=now), judge)

    def _verified(self, handle: str) -> Session | None:
        entry = self._cache.peek(handle)
        return entry[1] if entry is not None else from_record(self._seal.loads(handle), issuer=self._issuer)

    def _remember(self, handle: str, session: Session, now: int) -> bool:
        """Keep a verified session ready, unless it has ended: what is in the cache has not."""
        with self._lock:
            if session.id in self._ended:
                return False
            self._cache.put(handle, session, until=session.started_at + self._lifetime, now=now)
            return True

    def renew(self, handle: str, session: Session, *, until: int, now: int) -> str | None | Awaitable[str | None]:
        def write(found: Session | EndReason | None) -> str | None:
            return self._write(session, now) if isinstance(found, Session) else None

        # Not by what was heard a moment ago: this answer may come after a logout at another process.
        self._heard.remove(session.id)
        return then(self.load(handle, now=now), write)

    def drop(self, handle: str, *, why: EndReason | None, now: int) -> None | Awaitable[None]:
        session = self._verified(handle)
        if session is None:
            return None
        until = session.started_at + self._lifetime
        with self._lock:
            self._ended.add(session.id, until=until, now=now)
            if why is EndReason.WITHDRAWN:
                self._withdrawn.add(session.id, until=until, now=now)
            # A renewed session has had several cookies; all of them end.
            for other in [other for other, kept in self._cache.items() if kept.id == session.id]:
                self._cache.remove(other)
            self._heard.remove(session.id)
        if self._revocations is None:
            return None
        return self._revocations.forbid(_session(session.id), upto=until, until=until, now=now)

    def list(self, identity: Identity, *, now: int) -> Sequence[Session]:
        raise ConfigError([_NO_LIST])

    def revoke(self, session_id: str, *, now: int) -> bool | Awaitable[bool]:
        if not is_key(session_id):
            return False
        # Whatever session it is, it ends within a lifetime from now.
        forbidden = self._forbid(_session(session_id), upto=now + self._lifetime, now=now)
        return then(forbidden, lambda _: True)

    def revoke_all(self, identity: Identity, *, now: int) -> None | Awaitable[None]:
        # A login at a machine whose clock is ahead, as far as it may be, has begun before this too.
        return self._forbid(_person(identity), upto=now + FUTURE_TOLERANCE, now=now)

    def revoke_client(self, *, now: int) -> None | Awaitable[None]:
        return self._forbid(CLIENT, upto=now + FUTURE_TOLERANCE, now=now)

    def _forbid(self, name: str, *, upto: int, now: int) -> None | Awaitable[None]:
        if self._revocations is None:
            raise ConfigError([_NO_REACH])
        done = self._revocations.forbid(name, upto=upto, until=now + self._lifetime + FUTURE_TOLERANCE, now=now)

        def forget(_: None) -> None:
            # Only now: what was asked before the store knew may have been heard meanwhile.
            self._heard.clear()

        return then(done, forget)

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
        """As in `KnowsClaims`; None where the revocation store is one that cannot tell."""
        if self._revocations is None:
            return [self._claims.is_claimed(name, now=now) for name in names]
        return self._revocations.claimed(names, now=now) if isinstance(self._revocations, KnowsClaims) else None


def _ever_smaller(session: Session) -> Iterator[Session]:
    """The session with ever less in it: optional claims go before a login fails for want of room, and then tokens."""
    for user in ever_smaller(session.user):
        yield replace(session, user=user)
    if session.tokens is not None:
        events.warning("tokens_not_kept", hint="they do not fit into a cookie; use another session_store")
        yield from _ever_smaller(replace(session, tokens=None))


# Kinds of names, so that nobody can pass the one for the other: a person's can be worked out from their sub.


def _person(identity: Identity) -> str:
    return f"person/{identity_digest(identity)}"


def _session(session_id: str) -> str:
    return f"session/{session_id}"
