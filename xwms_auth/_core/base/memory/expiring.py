"""Bounded maps and sets in memory whose entries expire, or give way to others. Times are seconds since 1970.

They belong to one process: use a store for what other processes have to see. All of a process share one budget.
"""

import os
import threading
import weakref
from collections import OrderedDict
from typing import Generic, Protocol, TypeVar

V = TypeVar("V")

MAX_ENTRIES = 100_000
"""About 20 MB of names. Beyond that the oldest entries are removed."""

MAX_BYTES = 64 * 1024 * 1024
"""Bytes that all maps and sets of this process may take together. Beyond that the largest one loses its oldest entries:
whoever fills one with names that anybody can make up does not push out what is in the others."""

NAME_BYTES = 250
"""Bytes of an entry whose value is not worth mentioning, with its name."""

SETTLE_INTERVAL = 64
"""Entries that are added to a map before the budget is checked."""


class _Bounded(Protocol):
    @property
    def bytes(self) -> int: ...

    def remove_oldest(self, number: int) -> None: ...


class _Budget:
    def __init__(self) -> None:
        self._maps: weakref.WeakSet[_Bounded] = weakref.WeakSet()
        self._lock = threading.Lock()

    def add(self, one: _Bounded) -> None:
        with self._lock:
            self._maps.add(one)

    def settle(self) -> None:
        with self._lock:
            maps = list(self._maps)
            while sum(one.bytes for one in maps) > MAX_BYTES:
                max(maps, key=lambda one: one.bytes).remove_oldest(SETTLE_INTERVAL)

    def reset_after_fork(self) -> None:
        # A thread of the parent may have held it.
        self._lock = threading.Lock()


_budget = _Budget()

if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_budget.reset_after_fork)


class ExpiringMap(Generic[V]):
    """A map of at most `size` entries; the oldest are removed to make room. Thread-safe.

    `entry_bytes` is how much memory an entry takes, at a guess. With `longest`, in seconds, an entry that expires later
    than that from now counts as expired: it was added before the clock was set back.
    """

    def __init__(self, size: int = MAX_ENTRIES, *, longest: int | None = None, entry_bytes: int = NAME_BYTES) -> None:
        self._size = size
        self._longest = longest
        self._entry_bytes = entry_bytes
        self._added = 0
        self._entries: OrderedDict[str, tuple[int, V]] = OrderedDict()
        self._lock = threading.Lock()
        self.peek = self._entries.get
        """The expiry time and the value of a key, expired or not, or None. The fastest lookup."""
        _budget.add(self)

    @property
    def bytes(self) -> int:
        """How much memory it takes, at a guess."""
        return len(self._entries) * self._entry_bytes

    def get(self, key: str, *, now: int) -> V | None:
        """The value of a key, or None if it is missing or expired."""
        entry = self._entries.get(key)
        return entry[1] if entry is not None and self._is_valid(entry[0], now) else None

    def put(self, key: str, value: V, *, until: int, now: int) -> None:
        """Set the value of a key, as the newest entry."""
        with self._lock:
            self._set(key, value, until, now)
        self._settle()

    def put_new(self, key: str, value: V, *, until: int, now: int) -> bool:
        """Set the value of a key that has none; True for exactly one caller until the entry expires or is removed."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and self._is_valid(entry[0], now):
                return False
            self._set(key, value, until, now)
        self._settle()
        return True

    def touch(self, key: str) -> None:
        """Make an entry the newest, so that it is removed last."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)

    def remove(self, key: str) -> V | None:
        """Remove an entry and return its value, expired or not."""
        with self._lock:
            entry = self._entries.pop(key, None)
            return None if entry is None else entry[1]

    def pop_oldest(self, *, now: int) -> V | None:
        """Remove the oldest entry that has not expired, and return its value."""
        with self._lock:
            while self._entries:
                until, value = self._entries.popitem(last=False)[1]
                if self._is_valid(until, now):
                    return value
            return None

    def remove_oldest(self, number: int) -> None:
        """Remove that many of the oldest entries."""
        with self._lock:
            for _ in range(min(number, len(self._entries))):
                self._entries.popitem(last=False)

    def clear(self) -> None:
        """Remove all entries."""
        with self._lock:
            self._entries.clear()

    def items(self) -> list[tuple[str, V]]:
        """All keys and values, expired or not."""
        with self._lock:
            return [(key, value) for key, (_, value) in self._entries.items()]

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __bool__(self) -> bool:
        return bool(self._entries)

    def _is_valid(self, until: int, now: int) -> bool:
        return now < until and (self._longest is None or until <= now + self._longest)

    def _set(self, key: str, value: V, until: int, now: int) -> None:
        entries = self._entries
        entries.pop(key, None)  # so that the new entry goes to the end
        # Denial of service: remove at most two of the oldest entries, so that no request waits while the entries of a
        # flood are removed.
        for _ in range(2):
            oldest = next(iter(entries.values()), None)
            if oldest is None or (len(entries) < self._size and self._is_valid(oldest[0], now)):
                break
            entries.popitem(last=False)
        entries[key] = (until, value)

    def _settle(self) -> None:
        self._added += 1
        if self._added % SETTLE_INTERVAL == 0:
            _budget.settle()


class RecentMap(Generic[V]):
    """A map of at most about `max_bytes` that forgets what has not been used for longest. Thread-safe.

    It has two generations: what is added or used goes to the younger one, and when that has half of the bytes, the
    older one is forgotten and takes its place. So a lookup of what is in use costs no more than that of a `dict`.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._young: dict[str, tuple[V, int]] = {}
        self._old: dict[str, tuple[V, int]] = {}
        self._young_bytes = self._old_bytes = 0
        self._added = 0
        self._lock = threading.Lock()
        _budget.add(self)

    @property
    def bytes(self) -> int:
        """How much memory it takes, at a guess."""
        return self._young_bytes + self._old_bytes

    def get(self, key: str) -> V | None:
        """The value of a key, or None."""
        entry = self._young.get(key)
        if entry is not None:
            return entry[0]
        if key not in self._old:
            return None
        with self._lock:
            entry = self._take_old(key) or self._young.get(key)
            if entry is None:
                return None
            self._set(key, entry)
            return entry[0]

    def put(self, key: str, value: V, *, size: int) -> None:
        """Set the value of a key. `size` is how much memory the entry takes, in bytes, at a guess."""
        with self._lock:
            if key in self._old:
                self._take_old(key)
            self._set(key, (value, size))
            self._added += 1
            is_due = self._added % SETTLE_INTERVAL == 0
        if is_due:
            _budget.settle()

    def remove(self, key: str) -> None:
        """Remove an entry."""
        with self._lock:
            self._remove(key)

    def items(self) -> list[tuple[str, V]]:
        """All keys and values."""
        with self._lock:
            return [(key, value) for entries in (self._old, self._young) for key, (value, _) in entries.items()]

    def remove_oldest(self, number: int) -> None:
        """Remove that many of the oldest entries."""
        with self._lock:
            for _ in range(number):
                oldest = next(iter(self._old), None) or next(iter(self._young), None)
                if oldest is None:
                    break
                self._remove(oldest)

    def _take_old(self, key: str) -> tuple[V, int] | None:
        entry = self._old.pop(key, None)
        if entry is not None:
            self._old_bytes -= entry[1]
        return entry

    def _remove(self, key: str) -> None:
        self._take_old(key)
        entry = self._young.pop(key, None)
        if entry is not None:
            self._young_bytes -= entry[1]

    def _set(self, key: str, entry: tuple[V, int]) -> None:
        previous = self._young.get(key)
        self._young_bytes += entry[1] - (0 if previous is None else previous[1])
        self._young[key] = entry
        if 2 * self._young_bytes >= self._max_bytes:
            self._old, self._young = self._young, {}
            self._old_bytes, self._young_bytes = self._young_bytes, 0


class ExpiringSet:
    """A bounded set of names that expire."""

    def __init__(self, size: int = MAX_ENTRIES) -> None:
        self._names: ExpiringMap[bool] = ExpiringMap(size)

    def add(self, name: str, *, until: int, now: int) -> bool:
        """Add a name; True for exactly one caller until the name expires or is removed."""
        return self._names.put_new(name, value=True, until=until, now=now)

    def remove(self, name: str) -> None:
        """Remove a name."""
        self._names.remove(name)

    def holds(self, name: str, *, now: int) -> bool:
        """Whether the set has the name and it has not expired."""
        return self._names.get(name, now=now) is not None

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def __bool__(self) -> bool:
        return bool(self._names)


class LocalClaims:
    """`SessionStore.claim` and `release` within one process.

    Each kind of name (`login/…`, `token/…`) has its own bound: anybody can create names of some kinds without limit,
    and these must not push out names that require a login.
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
        """Whether the name is claimed."""
        names = self._kinds.get(_kind(name))
        return names is not None and names.holds(name, now=now)


def _kind(name: str) -> str:
    return name[: name.find("/") + 1]
