"""The sessions of the dashboard. The browser has only a random id, so that a copied cookie is worthless once it ended.

They are in memory: the key that signs the cookies is new at every start too.
"""

import secrets
from collections import OrderedDict
from threading import Lock
from typing import Final

_MAX_SESSIONS: Final = 1000  # the one that began first ends, so that a script cannot fill the memory


class Sessions:
    """The members who are signed in, by the id of their session. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._members: OrderedDict[str, int] = OrderedDict()

    def begin(self, member_id: int) -> str:
        """Begin a session of this member; returns its id."""
        session_id = secrets.token_urlsafe(32)
        with self._lock:
            self._members[session_id] = member_id
            if len(self._members) > _MAX_SESSIONS:
                self._members.popitem(last=False)
        return session_id

    def member_of(self, session_id: str) -> int | None:
        """The id of the member; None if the session has ended."""
        with self._lock:
            return self._members.get(session_id)

    def end(self, session_id: str) -> None:
        """End a session, if it has not ended yet."""
        with self._lock:
            self._members.pop(session_id, None)
