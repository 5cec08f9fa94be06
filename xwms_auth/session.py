"""What a session means now: alive, due for renewal, or over.

Knows: lifetimes, and the record that a store keeps.
Must not: know where a record is kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final, Self, cast

from .models import Ending, Session, User, parse_sub, plain_text
from .options import MAX_LIFETIME
from .secret import Secret
from .token_set import TokenSet

FUTURE_TOLERANCE = 60
"""Seconds that two machines' clocks may differ. A session from further in the future is refused."""

RENEWAL_DIVISOR = 20
MAX_RENEWAL_INTERVAL = 600
"""A session is renewed after a twentieth of its idle time, at the latest after ten minutes, never on every request."""

MIN_FRESH = 30
"""Seconds. A page that asks for a fresher login could not be reached: the way back from XWMS takes a moment."""

REMEMBERED = 86_400
"""Seconds that a store and a browser keep a session which has ended by itself, so that its person can be told why."""


def distinct(keys: Mapping[str, str]) -> Mapping[str, str]:
    """The keys of a record. Raises ValueError where two fields have one key, and would be read as each other."""
    if len(set(keys.values())) != len(keys):
        raise ValueError("two fields have the same key")
    return keys


KEYS: Final = distinct(
    {
        "id": "i",
        "started_at": "t",
        "seen_at": "a",
        "checked_at": "c",
        "counts_from": "l",
        "proved_at": "o",
        "device": "d",
        "tokens": "k",
        "sub": "s",
        "name": "n",
        "given_name": "g",
        "family_name": "f",
        "email": "e",
        "email_verified": "v",
        "picture": "u",
        # 0.1.0 kept both under this one, where the picture won. Never written any more.
        "proved_at or picture": "p",
    }
)
"""The key of each field of a session and of its person. All of a record's are here, so that none can be used twice."""

_LATER = ("checked_at", "counts_from")
_CLAIMS = ("name", "given_name", "family_name", "email", "picture")


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

    def ending(self, session: Session, now: int) -> Ending | None:
        """Which limit ended a session that is not alive; None for one from the future, which is told nothing."""
        if now >= session.started_at + self.absolute:
            return Ending.LIFETIME
        return Ending.IDLE if now >= session.seen_at + self.idle else None

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
class Demand:
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


ANY_LOGIN = Demand()


def to_record(session: Session) -> dict[str, Any]:
    """The session as small JSON."""
    user = session.user
    record: dict[str, Any] = {
        KEYS["id"]: session.id,
        KEYS["started_at"]: session.started_at,
        KEYS["seen_at"]: session.seen_at,
        KEYS["sub"]: user.sub,
    }
    for name in _LATER:
        if (at := getattr(session, name)) > session.started_at:
            record[KEYS[name]] = at
    if session.proved_at is not None:
        record[KEYS["proved_at"]] = session.proved_at
    if session.device is not None:
        record[KEYS["device"]] = session.device
    if session.tokens is not None:
        record[KEYS["tokens"]] = _tokens_to_record(session.tokens)
    if user.verified_email:
        record[KEYS["email_verified"]] = True
    for name in _CLAIMS:
        if (value := getattr(user, name)) is not None:
            record[KEYS[name]] = value
    return record


def from_record(record: object, *, issuer: str) -> Session | None:
    """Read a record, or None where it is not one. Records are sealed, so this guards against our own older versions."""
    if not isinstance(record, Mapping):
        return None
    fields = cast("Mapping[str, Any]", record)
    started_at, seen_at, session_id = (fields.get(KEYS[name]) for name in ("started_at", "seen_at", "id"))
    if type(started_at) is not int or type(seen_at) is not int or not isinstance(session_id, str):
        return None
    try:
        sub = parse_sub(fields.get(KEYS["sub"]))
    except ValueError:
        return None
    claims = {name: _text(fields.get(KEYS[name])) for name in _CLAIMS}
    proved_at = _whole(fields.get(KEYS["proved_at"]))
    if (either := fields.get(KEYS["proved_at or picture"])) is not None:
        # A picture may have taken the place of a proof: nobody knows when there was one, so no page takes it for fresh.
        claims["picture"], proved_at = _text(either), _whole(either) or 0
    verified = fields.get(KEYS["email_verified"]) is True
    later = {name: at for name in _LATER if (at := _whole(fields.get(KEYS[name]))) is not None}
    return Session(
        id=session_id,
        user=User(issuer=issuer, sub=sub, email_verified=verified, **claims),
        started_at=started_at,
        seen_at=seen_at,
        device=plain_text(fields.get(KEYS["device"])),
        tokens=_tokens_from_record(fields.get(KEYS["tokens"])),
        proved_at=proved_at,
        **later,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: object) -> int | None:
    return value if type(value) is int else None


def _tokens_to_record(tokens: TokenSet) -> list[Any]:
    refresh = None if tokens.refresh_token is None else tokens.refresh_token.reveal()
    return [tokens.access_token.reveal(), refresh, " ".join(tokens.scope), tokens.expires_at, tokens.sid, tokens.number]


def _tokens_from_record(record: object) -> TokenSet | None:
    match record:
        case [str(access), str() | None as refresh, str(scope), int() | None as ends, str() | None as sid, int(number)]:
            return TokenSet(
                access_token=Secret(access),
                refresh_token=None if refresh is None else Secret(refresh),
                id_token=None,
                scope=tuple(scope.split()),
                expires_at=ends,
                sid=sid,
                number=number,
            )
        case _:
            return None
