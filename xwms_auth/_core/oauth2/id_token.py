"""Validation of ID token claims (OpenID Connect Core 3.1.3.7).

Takes `VerifiedClaims` only: never claims of a token whose signature has not been verified.
"""

import base64
import hashlib
import hmac
from typing import cast

from ..base.errors import TokenRejected
from ..base.models import Secret
from ..base.strict_json import JSONObject, is_moment
from .jwt import VerifiedClaims

SKEW = 60
"""Seconds by which the server's clock and ours may differ."""

MAX_SID = 255
"""Characters of a `sid` that is kept: it is stored in every session."""


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
    """Validate the claims of a verified ID token. Raises `TokenRejected` with a reason that quotes nothing of it.

    `max_age` is the maximum number of seconds since the user logged in at the server itself.
    """
    _check_common(claims, algorithm=algorithm, issuer=issuer, client_id=client_id, access_token=access_token, now=now)
    if not _equal(claims.get("nonce"), nonce):
        raise TokenRejected("the ID token: its nonce does not match this login")
    if max_age is not None:
        # max_age travels in the authorization URL, from which the user could have removed it.
        auth_time: object = claims.get("auth_time")
        if not is_moment(auth_time):
            raise TokenRejected("the ID token: its auth_time is missing or not a time")
        if not now - max_age - SKEW <= auth_time <= now + SKEW:
            raise TokenRejected("the ID token: its auth_time is too old or in the future")


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
    """Validate the claims of a verified ID token from a token refresh (OpenID Connect Core 12.2).

    `sub` is the user of the session: with the tokens of another user, they could act as that user. No nonce is
    required, since a refresh sends none. Raises `TokenRejected` as `check_id_token` does.
    """
    _check_common(claims, algorithm=algorithm, issuer=issuer, client_id=client_id, access_token=access_token, now=now)
    if claims["sub"] != sub:
        raise TokenRejected("the ID token: its sub is not the session's")


def _check_common(
    claims: VerifiedClaims, *, algorithm: str, issuer: str, client_id: str, access_token: Secret, now: int
) -> None:
    claims.require_type("jwt", what="the ID token")
    if claims.get("iss") != issuer:
        raise TokenRejected("the ID token: its iss is not the configured issuer")
    sub: object = claims.get("sub")
    if not isinstance(sub, str) or not sub:
        raise TokenRejected("the ID token: it has no sub")
    check_audience(claims, client_id, what="the ID token")
    expires: object = claims.get("exp")
    issued: object = claims.get("iat")
    not_before: object = claims.get("nbf")
    if not is_moment(expires):
        raise TokenRejected("the ID token: its exp is missing or not a time")
    if not is_moment(issued):
        raise TokenRejected("the ID token: its iat is missing or not a time")
    if expires <= now - SKEW:
        raise TokenRejected("the ID token: it has expired")
    if issued > now + SKEW:
        raise TokenRejected("the ID token: its iat is in the future")
    if not_before is not None and (not is_moment(not_before) or not_before > now + SKEW):
        raise TokenRejected("the ID token: it is not valid yet")
    if "at_hash" in claims and not _equal(claims["at_hash"], _at_hash(access_token, algorithm)):
        raise TokenRejected("the ID token: its at_hash does not match the access token")


def proved_at(claims: JSONObject, *, now: int) -> int:
    """Return when the user authenticated at the server, by our clock; 0 if a validated ID token does not say.

    The time between authentication and token is measured by the server's clock alone, so that the difference between
    the clocks does not matter.
    """
    issued, auth_time = (claims.get(name) for name in ("iat", "auth_time"))
    if not is_moment(issued) or not is_moment(auth_time) or auth_time <= 0:
        return 0
    return max(0, now - max(0, int(issued - auth_time)))


def sid_of(claims: JSONObject) -> str | None:
    """Return the server's session id (`sid`) from verified claims; None if it is missing or cannot be stored."""
    sid: object = claims.get("sid")
    return sid if isinstance(sid, str) and 1 <= len(sid) <= MAX_SID and sid.isprintable() else None


def check_audience(claims: JSONObject, client_id: str, *, what: str) -> None:
    """Check that a token is for this client alone, or names it as the authorized party (`azp`)."""
    audience: object = claims.get("aud")
    audiences: list[object] = cast("list[object]", audience) if isinstance(audience, list) else [audience]
    if client_id not in audiences or not all(isinstance(one, str) for one in audiences):
        raise TokenRejected(f"{what}: its aud is not this client")
    # A token with several audiences must name the client that requested it.
    if len(audiences) > 1 and "azp" not in claims:
        raise TokenRejected(f"{what}: it has several audiences and no azp")
    if "azp" in claims and claims["azp"] != client_id:
        raise TokenRejected(f"{what}: its azp is another client")


def _equal(value: object, expected: str) -> bool:
    return isinstance(value, str) and hmac.compare_digest(value.encode("utf-8", "replace"), expected.encode())


def _at_hash(access_token: Secret, algorithm: str) -> str:
    # The hash is that of the signature algorithm (OpenID Connect Core 3.1.3.6); Ed25519 uses SHA-512.
    name = {"256": "sha256", "384": "sha384"}.get(algorithm[-3:], "sha512")
    raw = hashlib.new(name, access_token.reveal().encode()).digest()
    return base64.urlsafe_b64encode(raw[: len(raw) // 2]).rstrip(b"=").decode()
