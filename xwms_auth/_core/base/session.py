"""A session: what it holds, and how long it lives."""

from dataclasses import field, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

from .dataclass import dataclass
from .models import EndReason, TokenSet, User
from .output_only import output_only

MAX_LIFETIME = timedelta(days=400)
"""Browsers keep no cookie longer (RFC 6265bis 5.5)."""

FUTURE_TOLERANCE = 60
"""Seconds by which the clocks of two machines may differ. A session from further in the future is refused."""

RENEWAL_DIVISOR = 20
MAX_RENEWAL_INTERVAL = 600
"""A session is renewed after a twentieth of the idle limit, at most ten minutes, so that not every request writes."""

KEPT_AFTER_END = 86_400
"""Seconds that a store and a browser keep an expired session, so that the user can be told why it ended."""


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One login of one person in one browser. Times are seconds since 1970, UTC.

    `id` is random and cannot be turned into the cookie; it identifies the session in lists and is bound to the logout
    form. `started_at` is the time of the login: the absolute lifetime counts from it, and it never changes.
    `seen_at` is the last renewal: the idle limit counts from it.
    `checked_at` is when XWMS last confirmed the person: at the login, or at a re-check.
    `counts_from` is later than every revocation before the login; a later revocation ends the session.
    `device` is a name to recognise the browser by, such as "Firefox on Linux".
    `tokens` are those that an authorization server issued for the person; XWMS's own login has none.
    `proved_at` is when the person last authenticated there, by this machine's clock: a server with a session of its own
    may complete a login without asking. 0 if the server does not say, None if this kind of login does not report it.
    """

    id: str
    user: User
    started_at: int
    seen_at: int
    checked_at: int = 0
    counts_from: int = 0
    device: str | None = None
    tokens: TokenSet | None = None
    proved_at: int | None = None

    def __post_init__(self) -> None:
        if self.checked_at < self.started_at:
            object.__setattr__(self, "checked_at", self.started_at)
        if self.counts_from < self.started_at:
            object.__setattr__(self, "counts_from", self.started_at)


def latest(kept: Session, changed: Session) -> Session:
    """Merge two versions of a session: the one in the store, and one that a request read earlier and has changed.

    Lost update: a request that only renews the idle limit must not overwrite refreshed tokens, whose refresh token may
    be valid for one use only, or claims that were confirmed meanwhile.
    """
    checked = kept if kept.checked_at > changed.checked_at else changed
    tokens = [session.tokens for session in (changed, kept) if session.tokens is not None]
    return replace(
        changed,
        seen_at=max(kept.seen_at, changed.seen_at),
        user=checked.user,
        checked_at=checked.checked_at,
        tokens=max(tokens, key=lambda one: one.number, default=None),
    )


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """A session as an application may show it to its user. Times are in UTC.

    `seen_at` is exact to the renewal interval: a twentieth of the idle limit, at most ten minutes.
    `is_current` is True for the session of the current request.
    """

    id: str
    started_at: datetime
    seen_at: datetime
    device: str | None
    is_current: bool

    @classmethod
    def of(cls, session: Session, *, is_current: bool) -> Self:
        """The fields of a session that may be shown."""
        started_at, seen_at = (datetime.fromtimestamp(at, UTC) for at in (session.started_at, session.seen_at))
        return cls(id=session.id, started_at=started_at, seen_at=seen_at, device=session.device, is_current=is_current)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """The limits of sessions, in seconds."""

    idle: int
    """Without a request."""

    absolute: int
    """Since the login, whatever the activity."""

    valid_after: int = 0
    """A session that began before this time is over, in seconds since 1970: the administrator's `sessions_valid_after`,
    the same for every store."""

    renewal_interval: int = field(init=False)
    """Between two renewals of a session in use."""

    def __post_init__(self) -> None:
        interval = min(self.idle // RENEWAL_DIVISOR, MAX_RENEWAL_INTERVAL)
        object.__setattr__(self, "renewal_interval", interval)

    def alive(self, session: Session, now: int) -> bool:
        """Whether the session is within both limits, and did not begin before `valid_after`."""
        return (
            now < session.seen_at + self.idle
            and session.started_at >= self.valid_after
            and now < session.started_at + self.absolute
            and session.seen_at <= now + FUTURE_TOLERANCE
            and session.started_at <= session.seen_at
        )

    def ending(self, session: Session, now: int) -> EndReason | None:
        """What ended a session that is not alive; None for one from the future, which gets no reason."""
        if session.started_at < self.valid_after:
            return EndReason.REVOKED
        if now >= session.started_at + self.absolute:
            return EndReason.LIFETIME
        return EndReason.IDLE if now >= session.seen_at + self.idle else None

    def ahead(self, session: Session, now: int) -> int:
        """The seconds by which a session is from the future, if they are more than clocks may differ; otherwise 0."""
        seconds = session.seen_at - now
        return seconds if seconds > FUTURE_TOLERANCE else 0

    def due(self, session: Session, now: int) -> bool:
        """Whether the session should be renewed."""
        return now - session.seen_at > self.renewal_interval

    def is_settled(self, session: Session, now: int) -> bool:
        """Whether the session is alive and need not be renewed: `alive` and not `due`, for most requests at once."""
        begin, end = self.settled_between(session)
        return begin <= now < end

    def settled_between(self, session: Session) -> tuple[int, int]:
        """The first second in which the session is alive and need not be renewed, and the one after the last."""
        seen_at, started_at = session.seen_at, session.started_at
        if started_at > seen_at or started_at < self.valid_after:
            return 0, 0
        end = seen_at + self.renewal_interval + 1
        return seen_at - FUTURE_TOLERANCE, min(end, started_at + self.absolute)

    def renewed(self, session: Session, now: int) -> Session:
        """The session, last seen now; `seen_at` never moves back, even if this machine's clock is behind."""
        return replace(session, seen_at=max(now, session.seen_at))

    def keep_until(self, session: Session) -> int:
        """When a store and the browser may delete the session. The limits are enforced by `alive`, not by this."""
        return min(session.seen_at + self.idle, session.started_at + self.absolute) + KEPT_AFTER_END

    def longest(self, session: Session) -> int:
        """When the session is deleted at the latest, however often it is renewed."""
        return session.started_at + self.absolute + KEPT_AFTER_END


class AheadSession(NamedTuple):
    """What to know about a session that is refused because it is from the future (clock skew between two machines).

    `seconds` is by how much. `note` is a Set-Cookie value that notes the refusal in the browser. `is_second` means that
    another session of this browser was refused a moment ago: logging in again does not help.
    """

    seconds: int
    note: str
    is_second: bool


# Order matters: nearly every browser also claims to be Chrome, and Chrome to be Safari.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Safari/", "Safari"),
)
# Order matters: Android also claims to be Linux, and an iPhone "like Mac OS X".
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def device_name(header: str) -> str | None:
    """The browser and operating system that a User-Agent header names, such as "Firefox on Linux", or None.

    Such headers are unreliable for the sake of compatibility: use the name for display only, never for a decision. The
    header itself is not kept, since it would reveal more about the user than the list of their sessions needs.
    """
    browser, system = (
        next((name for product, name in known if product in header), None) for known in (_BROWSERS, _SYSTEMS)
    )
    if browser and system:
        return f"{browser} on {system}"
    return browser or system
