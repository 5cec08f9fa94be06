"""Sessions in the memory of this process: for tests, for development, and as the simplest example of a store.

Never keeps a handle in clear text, so that a memory dump does not reveal sessions.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from .._core.base.crypto.digests import digest, new_key
from .._core.base.dataclass import dataclass
from .._core.base.memory.expiring import LocalClaims
from .._core.base.models import EndReason, Identity
from .._core.base.session import Session, latest
from .._core.base.store_protocols import LoadsAtOnce

V = TypeVar("V")

MAX_SESSIONS = 100_000
"""About 100 MB. Beyond that the oldest sessions are removed."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A session, or why it ended, and when it is forgotten."""

    kept: Session | EndReason
    until: int


class MemoryStore(LoadsAtOnce):
    """Implements `SessionStore` and `RevocationStore`; every method is sync and fast."""

    def __init__(self) -> None:
        self._rows: OrderedDict[str, _Row] = OrderedDict()
        self._lock = threading.Lock()
        self._claims = LocalClaims()
        self._not_before: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def create(self, session: Session, *, until: int, now: int) -> str:
        handle = new_key()
        key = digest(handle)
        with self._lock:
            _remove_oldest(self._rows, lambda row: row.until <= now)
            self._rows[key] = _Row(replace(session, id=key), until)
        return handle

    def load(self, handle: str, *, now: int) -> Session | EndReason | None:
        row = self._rows.get(digest(handle))
        return row.kept if row and now < row.until else None

    def recall(self, handle: str, *, now: int) -> Session | None:
        kept = self.load(handle, now=now)
        return kept if isinstance(kept, Session) else None

    def renew(self, handle: str, session: Session, *, until: int, now: int) -> str | None:
        key = digest(handle)
        with self._lock:
            row = self._rows.get(key)
            if row is None or isinstance(row.kept, EndReason):
                return None
            self._rows[key] = _Row(replace(latest(row.kept, session), id=key), until)
        return handle

    def drop(self, handle: str, *, why: EndReason | None, now: int) -> None:
        with self._lock:
            if why is None:
                self._rows.pop(digest(handle), None)
            else:
                self._end(digest(handle), why)

    def _end(self, key: str, why: EndReason) -> bool:
        row = self._rows.get(key)
        if row is None or isinstance(row.kept, EndReason):
            return False
        self._rows[key] = _Row(why, row.until)
        return True

    def list(self, identity: Identity, *, now: int) -> Sequence[Session]:
        with self._lock:
            kept = [row.kept for row in self._rows.values() if now < row.until]
        return [one for one in kept if isinstance(one, Session) and one.user.identity == identity]

    def list_login(self, sid: str, *, issuer: str, now: int) -> Sequence[Session]:
        with self._lock:
            kept = [row.kept for row in self._rows.values() if now < row.until]
        mine = (one for one in kept if isinstance(one, Session) and one.user.issuer == issuer)
        return [one for one in mine if one.tokens is not None and one.tokens.sid == sid]

    def revoke(self, session_id: str, *, now: int) -> bool:
        with self._lock:
            return self._end(session_id, EndReason.REVOKED)

    def revoke_all(self, identity: Identity, *, now: int) -> None:
        for session in self.list(identity, now=now):
            self.revoke(session.id, now=now)

    def revoke_client(self, *, now: int) -> None:
        with self._lock:
            for key in self._rows:
                self._end(key, EndReason.REVOKED)

    def claim(self, name: str, *, until: int, now: int) -> bool:
        return self._claims.claim(name, until=until, now=now)

    def release(self, name: str) -> None:
        self._claims.release(name)

    def claimed(self, names: Sequence[str], *, now: int) -> Sequence[bool]:
        return [self._claims.is_claimed(name, now=now) for name in names]

    def not_before(self, names: Sequence[str], *, now: int) -> Sequence[int]:
        with self._lock:
            times = [self._not_before.get(name, (0, 0)) for name in names]
        return [at if now < until else 0 for at, until in times]

    def forbid(self, name: str, *, upto: int, until: int, now: int) -> None:
        with self._lock:
            before, _ = self._not_before.pop(name, (0, 0))
            _remove_oldest(self._not_before, lambda entry: entry[1] <= now)
            self._not_before[name] = (max(upto, before + 1), until)


def _remove_oldest(entries: OrderedDict[str, V], is_expired: Callable[[V], bool]) -> None:
    """Remove at most two of the oldest entries before one is added, so that no request waits for a long cleanup."""
    for _ in range(2):
        if entries and (len(entries) >= MAX_SESSIONS or is_expired(next(iter(entries.values())))):
            entries.popitem(last=False)
