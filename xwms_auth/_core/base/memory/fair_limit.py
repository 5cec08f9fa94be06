"""A rate limit that the sources of requests share; those that have used little of it lately go first.

Denial of service: with one bucket for everybody, one source takes all of it. A share for each would be too little where
many people have one address, because a NAT or a proxy hides theirs. So a source may use what others leave, but the more
it has used lately, the fuller the bucket has to be: it cannot take what those need that have used less.
"""

import math
import threading
from enum import Enum, auto

from ..dataclass import dataclass
from .expiring import ExpiringMap
from .limits import CLOCK_SET_BACK, TokenBucket

HALF_LIFE = 60.0
"""Seconds after which half of what a source has used is forgotten."""

NETWORK_SHARE = 16
"""A network counts as this many sources: an IPv6 /48 has 65,536 networks of the size that a source has."""

FORGOTTEN = 0.5
"""A use of half a request counts as none, so that a source that came once takes memory for one half-life."""

MAX_SOURCES = 10_000
"""Most sources and networks that are remembered, about 3 MB. A flood gets at most `rate` entries of each a second,
since what was refused is not counted, and forgetting a source favours it."""

_LONGEST = 20 * int(HALF_LIFE)
"""Seconds that an entry is kept at most: enough for half a million uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where requests come from, whose use is counted: its name, and the network that it is in.

    `may_be_many`: behind this address may be all visitors, so that nothing is held against it.
    """

    name: str
    network: str
    may_be_many: bool = False


UNKNOWN = Source(name="", network="", may_be_many=True)
"""All sources of which nothing is known."""


class Decision(Enum):
    """What a `FairLimit` says. The others are which limit was reached."""

    ALLOWED = auto()
    FOR_ALL = auto()
    FOR_SOURCE = auto()


class FairLimit:
    """Allows `burst` uses at once and `rate` a second after that. Thread-safe.

    Of these a source leaves up to `reserve` to those who have used less: nothing of it at its first use, all of it when
    it has had `rate` for minutes, and each time that its use doubles the same again. A network counts with a part of
    its use. `most` is how many uses within about a minute one source may have, whatever others leave: `most` at once,
    and 0.7 times as many a minute for long.
    """

    def __init__(self, *, rate: float, burst: int, reserve: int, most: float = math.inf) -> None:
        self._bucket = TokenBucket(rate=rate, burst=burst)
        # What a source has used, in the end, that has had `rate` all the time, is its half-life times `rate` / ln 2.
        self._reserve_per_doubling = reserve / math.log2(1 + rate * HALF_LIFE / math.log(2))
        self._reserve = reserve
        self._most = most
        self._used: ExpiringMap[tuple[float, float]] = ExpiringMap(MAX_SOURCES, longest=_LONGEST, entry_bytes=300)
        self._lock = threading.Lock()

    def take(self, source: Source, now: float) -> Decision:
        """Whether this source may do it once more at this time (seconds). What is refused is not counted."""
        if source.may_be_many:
            return Decision.ALLOWED if self._bucket.take(now) else Decision.FOR_ALL
        with self._lock:
            own, network = self._use_of(f"s{source.name}", now), self._use_of(f"n{source.network}", now)
            if own >= self._most:
                return Decision.FOR_SOURCE
            used = max(own, network / NETWORK_SHARE)
            # Whole uses: less than one is of no use to anybody else.
            leave = min(self._reserve, math.ceil(self._reserve_per_doubling * math.log2(1 + used)))
            if not self._bucket.take(now, leave=leave):
                return Decision.FOR_ALL
            self._set(f"s{source.name}", own + 1, now)
            self._set(f"n{source.network}", network + 1, now)
            return Decision.ALLOWED

    def _use_of(self, key: str, now: float) -> float:
        entry = self._used.get(key, now=int(now))
        if entry is None or entry[1] - now > CLOCK_SET_BACK:
            return 0.0
        used, at = entry
        return used * math.exp2(-max(0.0, now - at) / HALF_LIFE)

    def _set(self, key: str, used: float, now: float) -> None:
        kept = min(_LONGEST, math.ceil(HALF_LIFE * math.log2(used / FORGOTTEN)))
        self._used.put(key, (used, now), until=int(now) + kept, now=int(now))
