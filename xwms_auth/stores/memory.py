"""Sessions in this process's memory: for tests, for development, and as the plainest example of a store.

Knows: a dictionary.
Must not: keep a handle in clear, so that a memory dump does not hand out sessions.
"""

import threading
from collections import OrderedDict

from ..marks import Marks
from ..models import Session
from ..tokens import digest, new_key

MAX_SESSIONS = 100_000
"""About 100 MB. Beyond it the oldest sessions are forgotten."""


class MemoryStore:
    """Follows `SessionStore`; every method is plain and quick. `lifetime` is in seconds."""

    def __init__(self, *, lifetime: int = 0) -> None:
        self._lifetime = lifetime
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()
        self._spent = Marks()

    def create(self, session: Session, *, now: int) -> str:
        handle = new_key()
        with self._lock:
            if len(self._sessions) >= MAX_SESSIONS:
                self._sessions.popitem(last=False)
            self._sessions[digest(handle)] = session
        return handle

    def recall(self, handle: str) -> Session | None:
        return None

    def load(self, handle: str, *, now: int) -> Session | None:
        session = self._sessions.get(digest(handle))
        return session if session and session.started_at + self._lifetime > now else None

    def renew(self, handle: str, session: Session, *, now: int) -> str | None:
        with self._lock:
            if digest(handle) not in self._sessions:
                return None
            self._sessions[digest(handle)] = session
        return handle

    def drop(self, handle: str, *, now: int) -> None:
        with self._lock:
            self._sessions.pop(digest(handle), None)

    def spend(self, login_id: str, *, until: int, now: int) -> bool:
        return self._spent.add(login_id, until=until, now=now)

    def unspend(self, login_id: str) -> None:
        self._spent.remove(login_id)
