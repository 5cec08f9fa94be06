"""What server stores have in common: how a session is written down, and under which name.

A store may be read or even written by somebody else: a backup, a forgotten port, a colleague. So the name is the
SHA-256 of the handle, which nobody can turn into a cookie (CVE-2019-16782), and the record is sealed to that name:
it shows nobody's address, it cannot be made without the session secret, and it cannot be copied to another name.

Knows: names and records.
Must not: know where they are kept.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, cast

from .._core.base.models import EndReason, Session, TokenSet, User
from .._core.base.secrets import Secret
from .._core.base.signing import Sealed
from .._core.base.strict_json import parse_sub, plain_text

_KEY = re.compile(r"[A-Za-z0-9_-]{43}")


def is_key(text: str) -> bool:
    """Whether this could be a key or a session id of ours: only such a one becomes part of a name in a store."""
    return _KEY.fullmatch(text) is not None


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


class Records:
    """Sessions as bytes for one place each, and back."""

    def __init__(self, seal: Sealed, *, issuer: str) -> None:
        self._seal = seal
        self._issuer = issuer

    def write(self, session: Session, *, key: str) -> bytes:
        """The session sealed for this key."""
        return self._seal.seal(to_record(session), place=key)

    def read(self, sealed: object, *, key: str) -> Session | EndReason:
        """The session; one that no key of ours opens was sealed with a key that has since been removed.

        Whoever else writes to the store may put anything here: what is no bytes is no record either.
        """
        opened = self._seal.open(sealed, place=key) if isinstance(sealed, bytes) else None
        session = from_record(opened, issuer=self._issuer)
        return EndReason.KEY_ROTATED if session is None else replace(session, id=key)


def ending_of(code: str) -> EndReason:
    """The reason behind a code in a store; one of a newer version's is still an end."""
    try:
        return EndReason(code)
    except ValueError:
        return EndReason.REVOKED


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
