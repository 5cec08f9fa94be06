"""Validation of logout token claims (OpenID Connect Back-Channel Logout 2.6).

Takes `VerifiedClaims` only: never claims of a token whose signature has not been verified.
"""

from typing import cast

from ..base.errors import TokenRejected
from ..base.strict_json import is_moment
from ..providers.protocol import LogoutTokenClaims
from .id_token import SKEW, check_audience, sid_of
from .jwt import VerifiedClaims

EVENT = "http://schemas.openid.net/event/backchannel-logout"

MAX_LOGOUT_TOKEN_AGE = 300
"""Seconds since a logout token was issued. The server posts it at once, and retries a few times without a response."""


def read_logout_token(claims: VerifiedClaims, *, issuer: str, client_id: str, now: int) -> LogoutTokenClaims:
    """Validate the claims and return who has logged out. Raises `TokenRejected` with a reason that quotes none."""
    claims.require_type("jwt", "logout+jwt", what="the logout token")
    if claims.get("iss") != issuer:
        raise TokenRejected("the logout token: its iss is not the configured issuer")
    check_audience(claims, client_id, what="the logout token")
    issued, expires = claims.get("iat"), claims.get("exp")
    if not is_moment(issued) or not now - MAX_LOGOUT_TOKEN_AGE - SKEW <= issued <= now + SKEW:
        raise TokenRejected("the logout token: its iat is too old, in the future or missing")
    if expires is not None and (not is_moment(expires) or expires <= now - SKEW):
        raise TokenRejected("the logout token: it has expired")
    events: object = claims.get("events")
    if not isinstance(events, dict) or not isinstance(cast("dict[str, object]", events).get(EVENT), dict):
        raise TokenRejected("the logout token: its events have no backchannel-logout")
    # Token confusion: an ID token must not be accepted as a logout token, and a logout token has no nonce.
    if "nonce" in claims:
        raise TokenRejected("the logout token: it has a nonce, which only ID tokens have")
    sub, token_id, sid = claims.get("sub"), claims.get("jti"), sid_of(claims)
    if not isinstance(token_id, str) or not token_id:
        raise TokenRejected("the logout token: it has no jti")
    if sub is not None and (not isinstance(sub, str) or not sub):
        raise TokenRejected("the logout token: its sub is not text, or empty")
    if sub is None and sid is None:
        raise TokenRejected("the logout token: it has neither a sub nor a sid of at most 255 printable characters")
    return LogoutTokenClaims(sub=sub, sid=sid, token_id=token_id)
