"""The targets by name: what is fed, what it is fed with at first, and short pieces that the engines put in between.

A target raises `AssertionError`, or anything else, where its oracle is contradicted.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One function of bytes with an oracle. `figure` is how many distinct values the full run feeds it."""

    run: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]
    pieces: Sequence[bytes] = field(default=())
    variants: Callable[[bytes], Iterable[bytes]] = lambda data: (data,)
    """The values that the engines feed for one that they have made: itself, and others that are as good."""

    longest: int = 4096
    """Bytes of a value that an engine makes. Seeds may be longer: long ones take long, and say little more."""

    figure: int = 100_000

    @property
    def name(self) -> str:
        return self.run.__name__
