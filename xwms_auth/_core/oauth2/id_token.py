"""ID tokens: is what it says about a person meant for this login, of this client, now? (OpenID Connect Core 3.1.3.7)

Knows: claims.
Must not: look at claims of a token whose signature has not been verified.
"""

import base64
import hashlib
import hmac
from typing import cast

from ..base.errors import TokenRejected
from ..base.secrets import Secret
from ..base.strict_json import JSONObject, is_moment
from .jwt import VerifiedClaims

SKEW = 60
"""Seconds that the server's clock and ours may differ."""

MAX_SID = 255
"""Characters of a `sid` that is kept: it has its place in every session."""


def check_id_token(
    claims: VerifiedClaims,
    *,
    algorithm: str,
    issuer: str,
    client_id: str,
    nonce: str,
    access_token: Secret,
    now: int,
    max_age: int | None = None,
) -> None:
    """Check the claims of a verified ID token. Raises `TokenRejected` with the reason, which quotes nothing of it.

    `max_age` is how long ago, in seconds, the person may have logged in at the server itself.
    """
    _check_always(claims, algorithm=algorithm, issuer=issuer, client_id=client_id, access_token=access_token, now=now)
    if not _same(claims.get("nonce"), nonce):
        raise TokenRejected("the ID token: its nonce is not this login's")
    if max_age is not None:
        # Asked for in the address that the browser carries, where a person could have taken it out.
        logged_in: object = claims.get("auth_time")
        if not is_moment(logged_in) or not now - max_age - SKEW <= logged_in <= now + SKEW:
            raise TokenRejected("the ID token: the person has not logged in again, or it does not say when")


def check_refreshed_id_token(
    claims: VerifiedClaims,
    *,
    algorithm: str,
    issuer: str,
    client_id: str,
    sub: str,
    access_token: Secret,
    now: int,
) -> None:
    """Check the claims of a verified ID token that came with a refresh (OpenID Connect Core 12.2).

    `sub` is whose session it is: tokens of another person would let this one act as them. No nonce is demanded, since
    nobody has gone to the server with one. Raises `TokenRejected` as `check_id_token` does.
    """
    _check_always(claims, algorithm=algorithm, issuer=issuer, client_id=client_id, access_token=access_token, now=now)
    if claims["sub"] != sub:
        raise TokenRejected("the ID token: it is about another person than the session")


def _check_always(
    claims: VerifiedClaims, *, algorithm: str, issuer: str, client_id: str, access_token: Secret, now: int
) -> None:
    claims.require_type("jwt", what="the ID token")
    if claims.get("iss") != issuer:
        raise TokenRejected("the ID token: its issuer is another")
    sub: object = claims.get("sub")
    if not isinstance(sub, str) or not sub:
        raise TokenRejected("the ID token: it has no sub")
    check_audience(claims, client_id, what="the ID token")
    expires: object = claims.get("exp")
    issued: object = claims.get("iat")
    not_before: object = claims.get("nbf")
    if not is_moment(expires) or expires <= now - SKEW:
        raise TokenRejected("the ID token: it has expired, or has no exp")
    if not is_moment(issued) or issued > now + SKEW:
        raise TokenRejected("the ID token: it is from the future, or has no iat")
    if not_before is not None and (not is_moment(not_before) or not_before > now + SKEW):
        raise TokenRejected("the ID token: it is not valid yet")
    if "at_hash" in claims and not _same(claims["at_hash"], _half_hash(access_token, algorithm)):
        raise TokenRejected("the ID token: its at_hash is not the access token's")


def proved_at(claims: JSONObject, *, now: int) -> int:
    """When the person proved who they are at the server, by our clock; 0 if a checked ID token does not say.

    How long that was before the token is told by the server's clock alone, so that it does not matter how theirs and
    ours differ.
    """
    issued, logged_in = (claims.get(name) for name in ("iat", "auth_time"))
    if not is_moment(issued) or not is_moment(logged_in) or logged_in <= 0:
        return 0
    return max(0, now - max(0, int(issued - logged_in)))


def sid_of(claims: JSONObject) -> str | None:
    """The server's name for the login, of verified claims; None for what cannot be kept and compared."""
    sid: object = claims.get("sid")
    return sid if isinstance(sid, str) and 1 <= len(sid) <= MAX_SID and sid.isprintable() else None


def check_audience(claims: JSONObject, client_id: str, *, what: str) -> None:
    """Check that a token is for this client alone, or names it as the one that asked for it."""
    audience: object = claims.get("aud")
    audiences: list[object] = cast("list[object]", audience) if isinstance(audience, list) else [audience]
    if client_id not in audiences or not all(isinstance(one, str) for one in audiences):
        raise TokenRejected(f"{what}: it is for another client")
    # One that several clients may take must say which of them asked for it.
    if len(audiences) > 1 and "azp" not in claims:
        raise TokenRejected(f"{what}: it is for several clients and does not say which asked for it")
    if "azp" in claims and claims["azp"] != client_id:
        raise TokenRejected(f"{what}: another client asked for it")


def _same(value: object, expected: str) -> bool:
    return isinstance(value, str) and hmac.compare_digest(value.encode("utf-8", "replace"), expected.encode())


def _half_hash(access_token: Secret, algorithm: str) -> str:
    # By the algorithm of the signature (OpenID Connect Core 3.1.3.6); Ed25519 works with SHA-512.
    name = {"256": "sha256", "384": "sha384"}.get(algorithm[-3:], "sha512")
    raw = hashlib.new(name, access_token.reveal().encode()).digest()
    return base64.urlsafe_b64encode(raw[: len(raw) // 2]).rstrip(b"=").decode()
