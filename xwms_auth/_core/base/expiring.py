"""Marks that can be set once: used logins, ended sessions.

Knows: names and until when they matter.
Must not: grow without bound. In this process only; a store that is shared marks where it is shared.
"""

import threading
from collections import OrderedDict

MAX_MARKS = 100_000
"""About 20 MB. Beyond it the oldest marks go first; XWMS's own single use of tokens still holds then."""


class ExpiringMap:
    """A bounded set of names, each with a time (seconds) after which it may be forgotten."""

    def __init__(self) -> None:
        self._until: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, name: str, *, until: int, now: int) -> bool:
        """Set a mark; True for exactly one of all callers that name it before it is forgotten."""
        with self._lock:
            if self._until.get(name, now) > now:
                return False
            self._until.pop(name, None)  # one that is over stands in an old place
            # Two of the oldest at the most: nobody must have to wait while the traces of a flood are cleared away.
            for _ in range(2):
                if self._until and (len(self._until) >= MAX_MARKS or self._oldest_is_over(now)):
                    self._until.popitem(last=False)
            self._until[name] = until
            return True

    def _oldest_is_over(self, now: int) -> bool:
        return next(iter(self._until.values())) <= now

    def remove(self, name: str) -> None:
        """Take a mark away."""
        with self._lock:
            self._until.pop(name, None)

    def holds(self, name: str, *, now: int) -> bool:
        """Whether the mark is set and not over."""
        return self._until.get(name, now) > now

    def __contains__(self, name: str) -> bool:
        return name in self._until

    def __bool__(self) -> bool:
        return bool(self._until)


class LocalClaims:
    """Marks of several kinds, by what their names begin with (`login/…`, `token/…`), each kind bounded by itself.

    Of some kinds anybody can make as many as they like: they push out none of those that cost a login to make.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, ExpiringMap] = {}

    def add(self, name: str, *, until: int, now: int) -> bool:
        """As `ExpiringMap.add`."""
        return self._kinds.setdefault(_kind(name), ExpiringMap()).add(name, until=until, now=now)

    def remove(self, name: str) -> None:
        """As `ExpiringMap.remove`."""
        if (marks := self._kinds.get(_kind(name))) is not None:
            marks.remove(name)

    def holds(self, name: str, *, now: int) -> bool:
        """As `ExpiringMap.holds`."""
        marks = self._kinds.get(_kind(name))
        return marks is not None and marks.holds(name, now=now)


def _kind(name: str) -> str:
    return name[: name.find("/") + 1]
