"""The signing key: it makes ID tokens and logout tokens, and tells everybody how to check them.

Knows: one RS256 key, made when it is first needed and kept in the database.
Must not: show its private part, or know what it signs.
"""

import functools
import json
from collections.abc import Mapping
from typing import Any, Final, cast

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey
from sqlalchemy import select
from sqlalchemy.orm import Session

from xwms_auth.sandbox.db.schema import SigningKey

ALGORITHM: Final = "RS256"
"""The one that every OpenID provider has to know (OpenID Connect Discovery, section 3)."""

_BITS: Final = 2048
_LONGEST: Final = 16_384  # characters of an ID token that is read back; ours have a few hundred


def sign(session: Session, claims: Mapping[str, object], *, kind: str, now: float) -> str:
    """A signed JWT with these claims; `kind` is its `typ`, so that one cannot be taken for another."""
    key = _key(session, now=now)
    header = {"alg": ALGORITHM, "kid": key.kid, "typ": kind}
    return jwt.encode(cast("dict[str, Any]", header), dict(claims), key, [ALGORITHM])


def read(session: Session, token: str, *, kind: str, now: float) -> Mapping[str, object] | None:
    """The claims of a token that was signed here, expired or not; None for any other."""
    if len(token) > _LONGEST or not token.isascii():
        return None
    try:
        read = jwt.decode(token, _key(session, now=now), [ALGORITHM])
    except (JoseError, ValueError):
        return None
    return read.claims if read.header.get("typ") == kind else None


def public_keys(session: Session, *, now: float) -> Mapping[str, object]:
    """The JWK set that checks what is signed here (RFC 7517)."""
    return dict(KeySet([_key(session, now=now)]).as_dict(private=False))


def _key(session: Session, *, now: float) -> RSAKey:
    kept = session.scalar(select(SigningKey).order_by(SigningKey.created_at.desc()))
    if kept is not None:
        return _imported(json.dumps(kept.jwk, sort_keys=True))
    key = RSAKey.generate_key(_BITS, {"use": "sig", "alg": ALGORITHM}, auto_kid=True)
    whole = {name: str(value) for name, value in key.as_dict(private=True).items()}
    session.add(SigningKey(kid=whole["kid"], jwk=whole, created_at=now))
    session.flush()
    return key


@functools.lru_cache(maxsize=4)
def _imported(jwk: str) -> RSAKey:
    # Checking the numbers of a private key takes longer than everything else that a token needs.
    return RSAKey.import_key(json.loads(jwk))
