"""The format of session records, shared by the server stores.

Others may be able to read or even write a store: through a backup, an open port, or as a colleague. So the key of a
record is the SHA-256 of the handle, which nobody can turn into a cookie (CVE-2019-16782), and the record is encrypted
and bound to that key: it reveals no addresses, cannot be forged without the session secret, and cannot be copied to
another key.
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
    """Whether this has the form of our keys and session ids. Nothing else may become part of a key in a store."""
    return _KEY.fullmatch(text) is not None


def distinct(keys: Mapping[str, str]) -> Mapping[str, str]:
    """The keys of a record. Raises ValueError if two fields have the same key, since one would be read as the other."""
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
    }
)
"""The key of each field of a session and of its user. All are listed here, so that no key can be used twice."""


_LATER = ("checked_at", "counts_from")


_RECORD_CLAIMS = ("name", "given_name", "family_name", "email", "picture")


class Records:
    """Writes sessions as encrypted records, each bound to its key, and reads them."""

    def __init__(self, seal: Sealed, *, issuer: str) -> None:
        self._seal = seal
        self._issuer = issuer

    def write(self, session: Session, *, key: str) -> bytes:
        """The session as an encrypted record for this key."""
        return self._seal.seal(to_record(session), place=key)

    def read(self, sealed: object, *, key: str) -> Session | EndReason:
        """The session, or `KEY_ROTATED` for a record that no current key opens: its key has since been removed.

        Others who can write to the store may have put any value here; one that is not bytes is not a record.
        """
        opened = self._seal.open(sealed, place=key) if isinstance(sealed, bytes) else None
        session = from_record(opened, issuer=self._issuer)
        return EndReason.KEY_ROTATED if session is None else replace(session, id=key)


def ending_of(code: str) -> EndReason:
    """The reason for a code in a store. An unknown code, of a newer version, still means that the session ended."""
    try:
        return EndReason(code)
    except ValueError:
        return EndReason.REVOKED


def to_record(session: Session) -> dict[str, Any]:
    """The session as a compact JSON object."""
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
    for name in _RECORD_CLAIMS:
        if (value := getattr(user, name)) is not None:
            record[KEYS[name]] = value
    return record


def from_record(record: object, *, issuer: str) -> Session | None:
    """Parse a record; None if it is invalid. Records are authenticated, so an invalid one is of another version."""
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
    claims = {name: _text(fields.get(KEYS[name])) for name in _RECORD_CLAIMS}
    verified = fields.get(KEYS["email_verified"]) is True
    later = {name: at for name in _LATER if (at := _int(fields.get(KEYS[name]))) is not None}
    return Session(
        id=session_id,
        user=User(issuer=issuer, sub=sub, email_verified=verified, **claims),
        started_at=started_at,
        seen_at=seen_at,
        device=plain_text(fields.get(KEYS["device"])),
        tokens=_tokens_from_record(fields.get(KEYS["tokens"])),
        proved_at=_int(fields.get(KEYS["proved_at"])),
        **later,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _int(value: object) -> int | None:
    return value if type(value) is int else None


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
