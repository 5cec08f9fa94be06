"""The metadata and keys of the authorization server that one process has fetched, and who fetches them now."""

import threading
from typing import Generic, TypeVar

from ...base.errors import APIError
from ...base.memory.expiring import ExpiringSet
from ...base.strict_json import JSONObject
from .metadata import Metadata

T = TypeVar("T")

METADATA_MAX_AGE = 3600
"""Seconds that metadata and keys are used before they are fetched again."""

METADATA_GRACE = 3600
"""Seconds that they are used longer while the server is down. Not longer: a key may have been withdrawn meanwhile."""

GRACE_RETRY = 60
"""Seconds between two attempts to fetch them meanwhile."""

REFETCH_KEYS = 60
"""Seconds between two fetches of the keys because of an unknown key id."""


THREAD_CLOCK_SKEW = 5
"""Seconds by which the clock readings of two threads may differ: one may have begun a little before the fetch."""


class Fetched(Generic[T]):
    """One document of the server. Times are seconds since 1970. Thread-safe."""

    def __init__(self) -> None:
        self._kept: tuple[int, int, T] | None = None  # when it was fetched, until when it is used
        self._fetching = ExpiringSet(1)
        self.attempts = 0
        """How many fetches have ended, well or not."""
        self.error: APIError | None = None
        """Why the last one failed."""

    def get(self, now: int) -> T | None:
        """The document, or None if it has to be fetched. A clock that was set back does not make it last longer."""
        kept = self._kept
        return kept[2] if kept is not None and kept[0] - THREAD_CLOCK_SKEW <= now < kept[1] else None

    def old(self, now: int) -> T | None:
        """The document if it is not too old to be used while the server is down."""
        kept = self._kept
        if kept is None or not kept[0] - THREAD_CLOCK_SKEW <= now < kept[0] + METADATA_MAX_AGE + METADATA_GRACE:
            return None
        return kept[2]

    def begin(self, *, until: int, now: int) -> bool:
        """Begin to fetch it, for all who need it; False if another request is doing so, until that time at most."""
        return self._fetching.add("", until=until, now=now)

    def is_being_fetched(self, now: int) -> bool:
        """Whether a request is fetching it."""
        return self._fetching.holds("", now=now)

    def learn(self, document: T, now: int) -> None:
        """Keep a document that has just been fetched, and end what `begin` began."""
        self._kept = (now, now + METADATA_MAX_AGE, document)
        self._end(None)

    def failed(self, error: APIError) -> None:
        """Note that it could not be fetched, and end what `begin` began."""
        self._end(error)

    def cancelled(self) -> None:
        """End what `begin` began, without a result."""
        self._fetching.remove("")

    def extend(self, now: int) -> None:
        """Use the old document until the next attempt."""
        if (kept := self._kept) is not None:
            last = kept[0] + METADATA_MAX_AGE + METADATA_GRACE
            self._kept = (kept[0], min(now + GRACE_RETRY, last), kept[2])

    def _end(self, error: APIError | None) -> None:
        self.error = error
        self.attempts += 1
        self._fetching.remove("")


class ServerCache:
    """What is fetched from the authorization server."""

    def __init__(self) -> None:
        self.metadata: Fetched[Metadata] = Fetched()
        self.keys: Fetched[tuple[JSONObject, ...]] = Fetched()
        self._refetched: dict[bool, int] = {}
        self._lock = threading.Lock()

    def may_refetch_keys(self, now: int, *, is_direct: bool) -> bool:
        """Rate limit: whether the keys may be fetched again for an unknown key id; True for one caller a minute.

        Anybody can put an unknown key id into a token, so one `is_direct` from the token endpoint has its own limit:
        a flood of others does not delay the logins after a key rotation.
        """
        with self._lock:
            last = self._refetched.get(is_direct)
            if last is not None and 0 <= now - last < REFETCH_KEYS:
                return False
            self._refetched[is_direct] = now
            return True
