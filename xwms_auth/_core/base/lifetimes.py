"""The lifetimes of a session: whether it is alive, due for renewal, or has ended."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Self

from .models import EndReason, Session

MAX_LIFETIME = timedelta(days=400)
"""Browsers keep no cookie longer (RFC 6265bis 5.5)."""

FUTURE_TOLERANCE = 60
"""Seconds by which the clocks of two machines may differ. A session from further in the future is refused."""

RENEWAL_DIVISOR = 20
MAX_RENEWAL_INTERVAL = 600
"""A session is renewed after a twentieth of the idle limit, at most ten minutes, so that not every request writes."""

MIN_FRESH = 30
"""Seconds. A page with a shorter limit could not be reached, because the way back from XWMS takes a moment."""

KEPT_AFTER_END = 86_400
"""Seconds that a store and a browser keep an expired session, so that the user can be told why it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """The limits of sessions, in seconds."""

    idle: int
    """Without a request."""

    absolute: int
    """Since the login, whatever the activity."""

    renewal_interval: int = field(init=False)
    """Between two renewals of a session in use."""

    def __post_init__(self) -> None:
        interval = min(self.idle // RENEWAL_DIVISOR, MAX_RENEWAL_INTERVAL)
        object.__setattr__(self, "renewal_interval", interval)

    def alive(self, session: Session, now: int) -> bool:
        """Whether the session is within both limits."""
        return (
            now < session.seen_at + self.idle
            and now < session.started_at + self.absolute
            and session.seen_at <= now + FUTURE_TOLERANCE
            and session.started_at <= session.seen_at
        )

    def ending(self, session: Session, now: int) -> EndReason | None:
        """The limit that ended a session which is not alive; None for one from the future, which gets no reason."""
        if now >= session.started_at + self.absolute:
            return EndReason.LIFETIME
        return EndReason.IDLE if now >= session.seen_at + self.idle else None

    def due(self, session: Session, now: int) -> bool:
        """Whether the session should be renewed."""
        return now - session.seen_at > self.renewal_interval

    def renewed(self, session: Session, now: int) -> Session:
        """The session, last seen now; `seen_at` never moves back, even if this machine's clock is behind."""
        return replace(session, seen_at=max(now, session.seen_at))

    def keep_until(self, session: Session) -> int:
        """When a store and the browser may delete the session. The limits are enforced by `alive`, not by this."""
        return min(session.seen_at + self.idle, session.started_at + self.absolute) + KEPT_AFTER_END


@dataclass(frozen=True, slots=True)
class LoginRequirement:
    """What a page requires of a login: its maximum age in seconds, and the scopes that were granted."""

    fresh: int | None = None
    scopes: frozenset[str] = frozenset()

    @classmethod
    def of(cls, *, fresh: timedelta | float | None, scopes: Sequence[str] = ()) -> Self:
        """Parse the arguments of a decorator; one string may name several scopes. ValueError below `MIN_FRESH`."""
        names = frozenset(scopes.split() if isinstance(scopes, str) else scopes)
        if fresh is None:
            return cls(scopes=names)
        seconds = fresh.total_seconds() if isinstance(fresh, timedelta) else fresh
        if not seconds >= MIN_FRESH:
            raise ValueError(f"fresh must be at least {MIN_FRESH} seconds")
        return cls(fresh=int(min(seconds, MAX_LIFETIME.total_seconds())), scopes=names)

    def is_fresh(self, session: Session, now: int) -> bool:
        """Whether the login is recent enough, counted from `proved_at`, or from the login if that is not known."""
        proved_at = session.started_at if session.proved_at is None else session.proved_at
        return self.fresh is None or now - proved_at <= self.fresh

    def is_granted(self, session: Session) -> bool:
        """Whether all required scopes were granted at this login."""
        return not self.scopes or (session.tokens is not None and self.scopes.issubset(session.tokens.scope))


ANY_LOGIN = LoginRequirement()
