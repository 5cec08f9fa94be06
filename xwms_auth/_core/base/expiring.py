"""What one process remembers for a while: a bounded map whose entries each count until a time of their own.

Knows: keys, values, and until when each counts (seconds since 1970).
Must not: grow without bound, or be taken for a store: another process does not see it.
"""

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

V = TypeVar("V")

MAX_ENTRIES = 100_000
"""About 20 MB of names. Beyond it the oldest entries go first."""


class ExpiringMap(Generic[V]):
    """A map of at most `size` entries, the oldest of which make room. Safe to share between threads.

    With `longest`, in seconds, an entry that would count for longer than that from now does not count: it was put
    before the clock was set back.
    """

    def __init__(self, size: int = MAX_ENTRIES, *, longest: int | None = None) -> None:
        self._size = size
        self._longest = longest
        self._entries: OrderedDict[str, tuple[int, V]] = OrderedDict()
        self._lock = threading.Lock()
        self.peek = self._entries.get
        """The time and the value of a key, or None, whether they count or not: the quickest look there is."""

    def get(self, key: str, *, now: int) -> V | None:
        """The value, if it counts."""
        entry = self._entries.get(key)
        return entry[1] if entry is not None and self._counts(entry[0], now) else None

    def put(self, key: str, value: V, *, until: int, now: int) -> None:
        """Set the value of a key, as the newest entry."""
        with self._lock:
            self._set(key, value, until, now)

    def put_new(self, key: str, value: V, *, until: int, now: int) -> bool:
        """Set the value of a key that has none; True for exactly one of all callers until it ends or is removed."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and self._counts(entry[0], now):
                return False
            self._set(key, value, until, now)
            return True

    def touch(self, key: str) -> None:
        """Make an entry the newest, so that it is the last to make room."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)

    def remove(self, key: str) -> V | None:
        """Take an entry away; gives its value, counting or not."""
        with self._lock:
            entry = self._entries.pop(key, None)
            return None if entry is None else entry[1]

    def pop_oldest(self, *, now: int) -> V | None:
        """Take the oldest entry that counts."""
        with self._lock:
            while self._entries:
                until, value = self._entries.popitem(last=False)[1]
                if self._counts(until, now):
                    return value
            return None

    def clear(self) -> None:
        """Take all entries away."""
        with self._lock:
            self._entries.clear()

    def items(self) -> list[tuple[str, V]]:
        """All keys and values, counting or not."""
        with self._lock:
            return [(key, value) for key, (_, value) in self._entries.items()]

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __bool__(self) -> bool:
        return bool(self._entries)

    def _counts(self, until: int, now: int) -> bool:
        return now < until and (self._longest is None or until <= now + self._longest)

    def _set(self, key: str, value: V, until: int, now: int) -> None:
        self._entries.pop(key, None)  # an old one stands in an old place
        # Two of the oldest at the most: nobody must have to wait while the traces of a flood are cleared away.
        for _ in range(2):
            if self._entries and (len(self._entries) >= self._size or not self._counts(self._oldest(), now)):
                self._entries.popitem(last=False)
        self._entries[key] = (until, value)

    def _oldest(self) -> int:
        return next(iter(self._entries.values()))[0]


class ExpiringSet:
    """The same for names without a value: something that was done, and is not to be done again for a while."""

    def __init__(self, size: int = MAX_ENTRIES) -> None:
        self._names: ExpiringMap[bool] = ExpiringMap(size)

    def add(self, name: str, *, until: int, now: int) -> bool:
        """Add a name; True for exactly one of all callers until it ends or is removed."""
        return self._names.put_new(name, value=True, until=until, now=now)

    def remove(self, name: str) -> None:
        """Take a name away."""
        self._names.remove(name)

    def holds(self, name: str, *, now: int) -> bool:
        """Whether the name is there and counts."""
        return self._names.get(name, now=now) is not None

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def __bool__(self) -> bool:
        return bool(self._names)


class LocalClaims:
    """`SessionStore.claim` and `release` within one process.

    Each kind of names (`login/…`, `token/…`) is bounded by itself: of some kinds anybody can make as many as they like,
    and those push out none that cost a login to make.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, ExpiringSet] = {}

    def claim(self, name: str, *, until: int, now: int) -> bool:
        """As in `SessionStore`."""
        return self._kinds.setdefault(_kind(name), ExpiringSet()).add(name, until=until, now=now)

    def release(self, name: str) -> None:
        """As in `SessionStore`."""
        if (names := self._kinds.get(_kind(name))) is not None:
            names.remove(name)

    def is_claimed(self, name: str, *, now: int) -> bool:
        """Whether somebody has the name."""
        names = self._kinds.get(_kind(name))
        return names is not None and names.holds(name, now=now)


def _kind(name: str) -> str:
    return name[: name.find("/") + 1]
