"""The default store: the sealed session *is* the cookie, so there is nothing to run and nothing to lose.

What it cannot do: end a session in another process or machine before it expires by itself. This process remembers the
sessions that were ended in it; docs/security.md says what a stolen cookie can do and for how long.

Knows: sealing, and the size of cookies.
Must not: keep anything that another process would need.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator

from ..cookies import HTTPS, fits
from ..marks import Marks
from ..models import OPTIONAL_CLAIMS, Session
from ..session import from_record, to_record
from ..tokens import Signed

MAX_CACHED = 4096
"""Verified cookies kept ready, about 8 MB. A cookie that failed is never kept, so junk cannot push out good ones."""


class CookieStore:
    """Follows `SessionStore`; every method is plain and quick."""

    def __init__(self, seal: Signed, *, issuer: str, lifetime: int) -> None:
        self._seal = seal
        self._issuer = issuer
        self._lifetime = lifetime
        self._cache: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()
        self._spent = Marks()
        self._ended = Marks()

    def create(self, session: Session, *, now: int) -> str:
        handle = next(handle for handle in self._seals(session) if fits(HTTPS.session, handle))
        self._remember(handle, session)
        return handle

    def _seals(self, session: Session) -> Iterator[str]:
        """The session in ever smaller cookies: optional claims go before a login fails for want of room."""
        for without in range(len(OPTIONAL_CLAIMS) + 1):
            yield self._seal.dumps(to_record(session, without=without))

    def recall(self, handle: str) -> Session | None:
        return self._cache.get(handle)

    def load(self, handle: str, *, now: int) -> Session | None:
        session = self._cache.get(handle) or from_record(self._seal.loads(handle), issuer=self._issuer)
        return session if session and self._remember(handle, session) else None

    def _remember(self, handle: str, session: Session) -> bool:
        """Keep a verified session ready, unless it has ended: what is in the cache has not."""
        with self._lock:
            if session.id in self._ended:
                return False
            if len(self._cache) >= MAX_CACHED:
                self._cache.popitem(last=False)
            self._cache[handle] = session
            return True

    def renew(self, handle: str, session: Session, *, now: int) -> str | None:
        return None if session.id in self._ended else self.create(session, now=now)

    def drop(self, handle: str, *, now: int) -> None:
        session = self.load(handle, now=now)
        if session is not None:
            with self._lock:
                self._ended.add(session.id, until=session.started_at + self._lifetime, now=now)
                # A renewed session has had several cookies; all of them end.
                for other in [other for other, kept in self._cache.items() if kept.id == session.id]:
                    del self._cache[other]

    def spend(self, login_id: str, *, until: int, now: int) -> bool:
        return self._spent.add(login_id, until=until, now=now)

    def unspend(self, login_id: str) -> None:
        self._spent.remove(login_id)
