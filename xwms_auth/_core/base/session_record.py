"""The form of a session in a store or a cookie: a JSON array with the fields in a fixed order.

The order must not change, and what is new goes to the end: a record of an older version ends earlier, and a newer one
has more than this version reads. What is None at the end is left out.
"""

from dataclasses import fields
from typing import Any, Final, cast

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
    found = cast("list[object]", record)
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
    user = _new(User)
    _issuer(user, issuer)
    _sub(user, sub)
    _name(user, name if type(name) is str else None)
    _given_name(user, given_name if type(given_name) is str else None)
    _family_name(user, family_name if type(family_name) is str else None)
    _email(user, email if type(email) is str else None)
    _email_verified(user, verified == 1)
    _picture(user, picture if type(picture) is str else None)
    session = _new(Session)
    _id(session, session_id)
    _user(session, user)
    _started_at(session, started_at)
    _seen_at(session, seen_at)
    _checked_at(session, checked_at if type(checked_at) is int and checked_at > started_at else started_at)
    _counts_from(session, counts_from if type(counts_from) is int and counts_from > started_at else started_at)
    _device(session, device if type(device) is str else None)
    _tokens(session, None if tokens is None else _tokens_from_record(tokens))
    _proved_at(session, proved_at if type(proved_at) is int else None)
    return session


# A frozen class takes three times as long to fill its own instance. A record is authenticated and was one before, so
# there is nothing that the constructor would find.
_new = object.__new__
_issuer, _sub, _name, _given_name, _family_name, _email, _email_verified, _picture = (
    vars(User)[field.name].__set__ for field in fields(User)
)
_id, _user, _started_at, _seen_at, _checked_at, _counts_from, _device, _tokens, _proved_at = (
    vars(Session)[field.name].__set__ for field in fields(Session)
)


def _tokens_to_record(tokens: TokenSet) -> list[Any]:
    refresh = None if tokens.refresh_token is None else tokens.refresh_token.reveal()
    scope, id_token = " ".join(tokens.scope), tokens.id_token
    record = [tokens.access_token.reveal(), refresh, scope, tokens.expires_at, tokens.sid, tokens.number]
    return record if id_token is None else [*record, id_token.reveal()]


def _tokens_from_record(record: object) -> TokenSet | None:
    found = cast("list[object]", record) if isinstance(record, list) else []
    match [*found, None][:7]:  # the last one is there for the logout of some servers only
        case [
            str(access),
            str() | None as refresh,
            str(scope),
            int() | None as expires,
            str() | None as sid,
            int(number),
            str() | None as id_token,
        ]:
            return TokenSet(
                access_token=Secret(access),
                refresh_token=None if refresh is None else Secret(refresh),
                id_token=None if id_token is None else Secret(id_token),
                scope=tuple(scope.split()),
                expires_at=expires,
                sid=sid,
                number=number,
            )
        case _:
            return None
