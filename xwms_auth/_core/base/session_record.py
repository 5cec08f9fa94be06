"""The form of a session in a store or a cookie: a JSON array with the fields in a fixed order.

The order must not change, and what is new goes to the end: a record of an older version ends earlier, and a newer one
has more than this version reads. What is None at the end is left out.
"""

from typing import Any, Final

from .models import Secret, TokenSet, User
from .session import Session
from .strict_json import parse_sub

FIELDS: Final = (
    "id",
    "started_at",
    "seen_at",
    "sub",
    "name",
    "given_name",
    "family_name",
    "email",
    "email_verified",
    "picture",
    "device",
    "checked_at",
    "counts_from",
    "proved_at",
    "tokens",
)
_REQUIRED = FIELDS.index("sub") + 1


def to_record(session: Session) -> list[Any]:
    """The session as a compact JSON array."""
    user, started_at = session.user, session.started_at
    record = [
        session.id,
        started_at,
        session.seen_at,
        user.sub,
        user.name,
        user.given_name,
        user.family_name,
        user.email,
        1 if user.verified_email else None,
        user.picture,
        session.device,
        session.checked_at if session.checked_at > started_at else None,
        session.counts_from if session.counts_from > started_at else None,
        session.proved_at,
        None if session.tokens is None else _tokens_to_record(session.tokens),
    ]
    while record[-1] is None:
        record.pop()
    return record


def from_record(record: object, *, issuer: str) -> Session | None:
    """Parse a record; None if it is invalid. Records are authenticated, so an invalid one is of another version."""
    if not isinstance(record, list):
        return None
    found: list[Any] = record
    if len(found) < _REQUIRED:
        return None
    found += [None] * (len(FIELDS) - len(found))
    session_id, started_at, seen_at, sub, name, given_name, family_name, email, verified, picture, *rest = found
    device, checked_at, counts_from, proved_at, tokens, *_ = rest
    if type(started_at) is not int or type(seen_at) is not int or type(session_id) is not str:
        return None
    try:
        sub = parse_sub(sub)
    except ValueError:
        return None
    return Session(
        id=session_id,
        user=User(
            issuer=issuer,
            sub=sub,
            name=name if type(name) is str else None,
            given_name=given_name if type(given_name) is str else None,
            family_name=family_name if type(family_name) is str else None,
            email=email if type(email) is str else None,
            email_verified=verified == 1,
            picture=picture if type(picture) is str else None,
        ),
        started_at=started_at,
        seen_at=seen_at,
        checked_at=checked_at if type(checked_at) is int else started_at,
        counts_from=counts_from if type(counts_from) is int else started_at,
        device=device if type(device) is str else None,
        tokens=None if tokens is None else _tokens_from_record(tokens),
        proved_at=proved_at if type(proved_at) is int else None,
    )


def _tokens_to_record(tokens: TokenSet) -> list[Any]:
    refresh = None if tokens.refresh_token is None else tokens.refresh_token.reveal()
    return [tokens.access_token.reveal(), refresh, " ".join(tokens.scope), tokens.expires_at, tokens.sid, tokens.number]


def _tokens_from_record(record: object) -> TokenSet | None:
    match record:
        case [
            str(access),
            str() | None as refresh,
            str(scope),
            int() | None as expires,
            str() | None as sid,
            int(number),
        ]:
            return TokenSet(
                access_token=Secret(access),
                refresh_token=None if refresh is None else Secret(refresh),
                id_token=None,
                scope=tuple(scope.split()),
                expires_at=expires,
                sid=sid,
                number=number,
            )
        case _:
            return None
