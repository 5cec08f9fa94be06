"""What a session means now: alive, due for renewal, or over.

Knows: lifetimes, and the record that a store keeps.
Must not: know where a record is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from .models import OPTIONAL_CLAIMS, Session, User, parse_sub

FUTURE_TOLERANCE = 60
"""Seconds that two machines' clocks may differ. A session from further in the future is refused."""

RENEWAL_DIVISOR = 20
MAX_RENEWAL_INTERVAL = 600
"""A session is renewed after a twentieth of its idle time, at the latest after ten minutes, never on every request."""

_SHORT = {"id": "i", "started_at": "t", "seen_at": "a", "sub": "s", "email_verified": "v"}
_CLAIMS = {"name": "n", "given_name": "g", "family_name": "f", "email": "e", "picture": "p"}


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

    def due(self, session: Session, now: int) -> bool:
        """Whether the idle limit should be moved."""
        return now - session.seen_at > self.renewal_interval

    def renewed(self, session: Session, now: int) -> Session:
        """The same session, seen now."""
        return replace(session, seen_at=now)

    def max_age(self, session: Session, now: int) -> int:
        """Seconds after which the browser may forget the cookie. Only tidiness: the limits are ours to enforce."""
        return max(1, min(session.seen_at + self.idle, session.started_at + self.absolute) - now)


def to_record(session: Session, *, without: int = 0) -> dict[str, Any]:
    """The session as small JSON. `without` leaves out that many of the optional claims, the least needed first."""
    user = session.user
    dropped = OPTIONAL_CLAIMS[:without]
    record: dict[str, Any] = {
        _SHORT["id"]: session.id,
        _SHORT["started_at"]: session.started_at,
        _SHORT["seen_at"]: session.seen_at,
        _SHORT["sub"]: user.sub,
    }
    if user.verified_email and "email" not in dropped:
        record[_SHORT["email_verified"]] = True
    for name, short in _CLAIMS.items():
        if (value := getattr(user, name)) is not None and name not in dropped:
            record[short] = value
    return record


def from_record(record: object, *, issuer: str) -> Session | None:
    """Read a record, or None where it is not one. Records are signed, so this guards against our own older versions."""
    if not isinstance(record, Mapping):
        return None
    fields = cast("Mapping[str, Any]", record)
    started_at, seen_at, session_id = (fields.get(_SHORT[name]) for name in ("started_at", "seen_at", "id"))
    if type(started_at) is not int or type(seen_at) is not int or not isinstance(session_id, str):
        return None
    try:
        sub = parse_sub(fields.get(_SHORT["sub"]))
    except ValueError:
        return None
    claims = {name: fields.get(short) for name, short in _CLAIMS.items()}
    verified = fields.get(_SHORT["email_verified"]) is True
    user = User(issuer=issuer, sub=sub, email_verified=verified, **claims)
    return Session(id=session_id, user=user, started_at=started_at, seen_at=seen_at)
