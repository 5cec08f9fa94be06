"""The RS256 key for ID tokens and logout tokens. It is created when first needed and kept in the database.

Never reveals its private part.
"""

import functools
import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias, cast

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey
from sqlalchemy import select
from sqlalchemy.orm import Session

from xwms_auth.sandbox.db.schema import SigningKey

ALGORITHM: Final = "RS256"
"""The algorithm that every OpenID provider must support (OpenID Connect Discovery, section 3)."""

Key: TypeAlias = RSAKey
"""A key with its private part."""

_BITS: Final = 2048
_MAX_ID_TOKEN: Final = 16_384  # characters; ours have a few hundred


def sign(session: Session, claims: Mapping[str, object], *, kind: str, now: float) -> str:
    """A signed JWT with these claims. Token confusion: `kind` is its `typ`, which `read` checks."""
    return sign_with(_key(session, now=now), claims, kind=kind)


def sign_with(key: Key, claims: Mapping[str, object], *, kind: str) -> str:
    """The same with a key that is not in a database."""
    header = {"alg": ALGORITHM, "kid": key.kid, "typ": kind}
    return jwt.encode(cast("dict[str, Any]", header), dict(claims), key, [ALGORITHM])


def read(session: Session, token: str, *, kind: str, now: float) -> Mapping[str, object] | None:
    """The claims of a token that was signed here, also an expired one; None for any other."""
    if len(token) > _MAX_ID_TOKEN or not token.isascii():
        return None
    try:
        read = jwt.decode(token, _key(session, now=now), [ALGORITHM])
    except (JoseError, ValueError):
        return None
    return read.claims if read.header.get("typ") == kind else None


def public_keys(session: Session, *, now: float) -> Mapping[str, object]:
    """The JWK set with the public key (RFC 7517)."""
    return public_set(_key(session, now=now))


def public_set(key: Key) -> Mapping[str, object]:
    """The JWK set of this key."""
    return dict(KeySet([key]).as_dict(private=False))


def new_key() -> Key:
    """A new key. Finding one takes a tenth of a second, sometimes several."""
    return RSAKey.generate_key(_BITS, {"use": "sig", "alg": ALGORITHM}, auto_kid=True)


def keep(session: Session, key: Key, *, now: float) -> None:
    """Keep a key in the database: from now on it signs."""
    jwk = {name: str(value) for name, value in key.as_dict(private=True).items()}
    session.add(SigningKey(kid=jwk["kid"], jwk=jwk, created_at=now))
    session.flush()


def _key(session: Session, *, now: float) -> RSAKey:
    kept = session.scalar(select(SigningKey).order_by(SigningKey.created_at.desc()))
    if kept is not None:
        return _imported(json.dumps(kept.jwk, sort_keys=True))
    key = new_key()
    keep(session, key, now=now)
    return key


@functools.lru_cache(maxsize=4)
def _imported(jwk: str) -> RSAKey:
    # Cached, because validating a private key takes longer than everything else for a token.
    return RSAKey.import_key(json.loads(jwk))
