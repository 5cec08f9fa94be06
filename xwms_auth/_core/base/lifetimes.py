"""What a session means now: alive, due for renewal, or over.

Knows: lifetimes, and the record that a store keeps.
Must not: know where a record is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Self

from .models import EndReason, Session

MAX_LIFETIME = timedelta(days=400)
"""Browsers keep no cookie longer (RFC 6265bis 5.5)."""

FUTURE_TOLERANCE = 60
"""Seconds that two machines' clocks may differ. A session from further in the future is refused."""

RENEWAL_DIVISOR = 20
MAX_RENEWAL_INTERVAL = 600
"""A session is renewed after a twentieth of its idle time, at the latest after ten minutes, never on every request."""

MIN_FRESH = 30
"""Seconds. A page that asks for a fresher login could not be reached: the way back from XWMS takes a moment."""

REMEMBERED = 86_400
"""Seconds that a store and a browser keep a session which has ended by itself, so that its person can be told why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long sessions live. Seconds."""

    idle: int
    """Without a request."""

    absolute: int
    """At the most, however busy."""

    renewal_interval: int = field(init=False)
    """Between two renewals of a busy session."""

    def __post_init__(self) -> None:
        interval = min(self.idle // RENEWAL_DIVISOR, MAX_RENEWAL_INTERVAL)
        object.__setattr__(self, "renewal_interval", interval)

    def alive(self, session: Session, now: int) -> bool:
        """Whether the session counts at this moment."""
        return (
            now < session.seen_at + self.idle
            and now < session.started_at + self.absolute
            and session.seen_at <= now + FUTURE_TOLERANCE
            and session.started_at <= session.seen_at
        )

    def ending(self, session: Session, now: int) -> EndReason | None:
        """Which limit ended a session that is not alive; None for one from the future, which is told nothing."""
        if now >= session.started_at + self.absolute:
            return EndReason.LIFETIME
        return EndReason.IDLE if now >= session.seen_at + self.idle else None

    def due(self, session: Session, now: int) -> bool:
        """Whether the idle limit should be moved."""
        return now - session.seen_at > self.renewal_interval

    def renewed(self, session: Session, now: int) -> Session:
        """The same session, seen now; on a machine whose clock is behind, not before it was seen last."""
        return replace(session, seen_at=max(now, session.seen_at))

    def keep_until(self, session: Session) -> int:
        """When a store and the browser may forget the session. Only tidiness: the limits are ours to enforce."""
        return min(session.seen_at + self.idle, session.started_at + self.absolute) + REMEMBERED


@dataclass(frozen=True, slots=True)
class LoginRequirement:
    """What a page asks of a login beyond that there is one: how long ago, in seconds, and which scopes were granted."""

    fresh: int | None = None
    scopes: frozenset[str] = frozenset()

    @classmethod
    def of(cls, *, fresh: timedelta | float | None, scopes: Sequence[str] = ()) -> Self:
        """Read what a developer wrote; one string may name several scopes. ValueError for less than `MIN_FRESH`."""
        names = frozenset(scopes.split() if isinstance(scopes, str) else scopes)
        if fresh is None:
            return cls(scopes=names)
        seconds = fresh.total_seconds() if isinstance(fresh, timedelta) else fresh
        if not seconds >= MIN_FRESH:
            raise ValueError(f"fresh must be at least {MIN_FRESH} seconds")
        return cls(fresh=int(min(seconds, MAX_LIFETIME.total_seconds())), scopes=names)

    def is_fresh(self, session: Session, now: int) -> bool:
        """Whether the login is recent enough: what counts is when the person proved who they are, if that is told."""
        proved_at = session.started_at if session.proved_at is None else session.proved_at
        return self.fresh is None or now - proved_at <= self.fresh

    def is_granted(self, session: Session) -> bool:
        """Whether the person granted the scopes at this login."""
        return not self.scopes or (session.tokens is not None and self.scopes.issubset(session.tokens.scope))


ANY_LOGIN = LoginRequirement()
