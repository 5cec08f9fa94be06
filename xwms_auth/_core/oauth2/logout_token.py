"""Logout tokens: is it one, for this client, and lately? (OpenID Connect Back-Channel Logout 2.6)

Knows: claims.
Must not: look at claims of a token whose signature has not been verified.
"""

from typing import cast

from ..base.errors import TokenRejected
from ..base.strict_json import is_moment
from ..providers.protocol import LogoutTokenClaims
from .id_token import SKEW, check_audience, sid_of
from .jwt import VerifiedClaims

EVENT = "http://schemas.openid.net/event/backchannel-logout"

MAX_AGE = 300
"""Seconds since a logout token was made. The server posts it at once, and again a few times where nobody answers."""


def read_logout_token(claims: VerifiedClaims, *, issuer: str, client_id: str, now: int) -> LogoutTokenClaims:
    """Whose logout it is. Raises `TokenRejected` with the reason, which quotes nothing of the token."""
    claims.require_type("jwt", "logout+jwt", what="the logout token")
    if claims.get("iss") != issuer:
        raise TokenRejected("the logout token: its issuer is another")
    check_audience(claims, client_id, what="the logout token")
    issued, expires = claims.get("iat"), claims.get("exp")
    if not is_moment(issued) or not now - MAX_AGE - SKEW <= issued <= now + SKEW:
        raise TokenRejected("the logout token: it is too old, from the future, or has no iat")
    if expires is not None and (not is_moment(expires) or expires <= now - SKEW):
        raise TokenRejected("the logout token: it has expired")
    events: object = claims.get("events")
    if not isinstance(events, dict) or not isinstance(cast("dict[str, object]", events).get(EVENT), dict):
        raise TokenRejected("the logout token: it is of another event")
    # What keeps an ID token from being one, and the other way round.
    if "nonce" in claims:
        raise TokenRejected("the logout token: it has a nonce, which only ID tokens have")
    sub, token_id = claims.get("sub"), claims.get("jti")
    if not isinstance(token_id, str) or not token_id:
        raise TokenRejected("the logout token: it has no jti")
    if not isinstance(sub, str) or not sub:
        raise TokenRejected("the logout token: it names no person, and sessions are found by their person only")
    return LogoutTokenClaims(sub=sub, sid=sid_of(claims), token_id=token_id)
