"""What an authorization server says about an access token: by introspection (RFC 7662), or in the token (RFC 9068).

Both are judged alike, and strictly: a token counts only if it is an access token of this server, for this API, now.

Knows: claims.
Must not: look at claims of a JWT whose signature has not been verified.
"""

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlencode

from ..base.effects import OAuthCall, UpstreamResponse, json_object
from ..base.errors import BadAnswer, CredentialsRejected, InvalidToken, Unreachable
from ..base.models import AccessToken
from ..base.secrets import Secret
from ..base.strict_json import is_moment, parse_granted, parse_id

SKEW = 60
"""Seconds that the server's clock and ours may differ where something begins. An end is an end, to the second."""


def introspect(url: str, token: Secret) -> OAuthCall:
    """Ask the server about a token (RFC 7662 2.1)."""
    form = urlencode({"token": token.reveal(), "token_type_hint": "access_token"})
    return OAuthCall(url=url, form=form, authenticated=True)


def read_introspection(reply: UpstreamResponse, *, issuer: str, client_id: str, audience: str, now: int) -> AccessToken:
    """Read the answer. `client_id` is this application's own; `audience` what the API is called, or empty.

    Raises `InvalidToken` for a clear no, and an `APIError` where the server gives no clear answer.
    """
    claims = _introspected(reply)
    active: object = claims.get("active")
    if active is False:
        raise InvalidToken("the server says that it is not active")
    # "true" and 1 look like yes and are none.
    if active is not True:
        raise BadAnswer("the introspection endpoint does not say whether the token is active")
    # Servers also tell about refresh tokens, and some about ID tokens: only an access token has a type for a header.
    if str(claims.get("token_type")).lower() != "bearer" or "at_hash" in claims or "c_hash" in claims:
        raise InvalidToken("the server does not say that it is an access token of the type Bearer")
    if claims.get("iss") not in (None, issuer):
        raise InvalidToken("its issuer is another")
    expires: object = claims.get("exp")
    return _access_token(
        claims, issuer, audience or client_id, own=None if audience else client_id, end=expires, now=now
    )


def read_jwt(claims: Mapping[str, Any], *, issuer: str, audience: str, now: int) -> AccessToken:
    """Read the verified claims of a JWT of the type `at+jwt` (RFC 9068 4). Raises `InvalidToken` with the reason."""
    if claims.get("iss") != issuer:
        raise InvalidToken("its issuer is another")
    expires: object = claims.get("exp")
    issued: object = claims.get("iat")
    if expires is None:
        raise InvalidToken("it has no exp")
    if not is_moment(issued) or issued > now + SKEW:
        raise InvalidToken("it is from the future, or has no iat")
    if claims.get("sub") is None:
        raise InvalidToken("it has no sub")
    try:
        return _access_token(claims, issuer, audience, own=None, end=expires, now=now)
    except BadAnswer as fault:
        cause = fault.cause
    raise InvalidToken(cause)


def _introspected(reply: UpstreamResponse) -> Mapping[str, Any]:
    where = "the introspection endpoint"
    if reply.status == 429 or reply.status >= 500:
        raise Unreachable(f"{where} answered {reply.status}", upstream_status=reply.status)
    if reply.status in (401, 403):
        raise CredentialsRejected(f"{where} answered {reply.status}", upstream_status=reply.status)
    answer = json_object(reply)
    if isinstance(answer, BadAnswer):
        raise answer
    # What a server says that has other tokens only, about one that it cannot have given: oidc-provider of any JWT.
    if reply.status == 400 and answer.get("error") == "unsupported_token_type":
        raise InvalidToken("the server knows no such kind of token")
    if reply.status != 200 or "error" in answer:
        raise BadAnswer(f"{where} answered {reply.status}, or an error", upstream_status=reply.status)
    return answer


def _access_token(
    claims: Mapping[str, Any], issuer: str, audience: str, *, own: str | None, end: object, now: int
) -> AccessToken:
    """What both ways have in common. `own` is the client whose tokens need no audience."""
    if end is not None and not is_moment(end):
        raise BadAnswer("the end of the token's life is not a time")
    if end is not None and end <= now:
        raise InvalidToken("it has expired")
    begin: object = claims.get("nbf")
    if begin is not None and (not is_moment(begin) or begin > now + SKEW):
        raise InvalidToken("it is not valid yet")
    # It is bound to a key (RFC 8705, RFC 9449), and whoever brings it as a plain one may have stolen it.
    if "cnf" in claims:
        raise InvalidToken("it is bound to a key, and was brought without")
    client = _client(claims.get("client_id"))
    _check_audience(claims.get("aud"), audience, is_own=client == own)
    return AccessToken(
        issuer=issuer,
        client_id=client,
        sub=_person(claims.get("sub"), client),
        scopes=_granted(claims.get("scope", "")),
        expires_at=None if end is None else int(end),
    )


def _client(client_id: object) -> str:
    # Without it nobody can tell a client that acts for itself from a person; and applications print it.
    if not isinstance(client_id, str):
        raise BadAnswer("the token is of no client")
    return _id(client_id, "client_id")


def _id(value: object, name: str) -> str:
    try:
        return parse_id(value, name)
    except ValueError as fault:
        cause = f"the token's {fault}"
    raise BadAnswer(cause)


def _granted(scope: object) -> tuple[str, ...]:
    try:
        return parse_granted(scope)
    except ValueError as fault:
        cause = f"the token's {fault}"
    raise BadAnswer(cause)


def _check_audience(given: object, audience: str, *, is_own: bool) -> None:
    # A token that its holder gave to one API must not work at the next (RFC 9700 4.9.1).
    if given is None and is_own:
        return
    named: list[object] = cast("list[object]", given) if isinstance(given, list) else [given]
    if audience not in named:
        raise InvalidToken("it is not for this API: set XWMS_AUDIENCE to what this API is called in aud")


def _person(sub: object, client: str) -> str | None:
    """The person, or None where a client acts for itself: it then has no `sub`, or its own id there.

    A client that may choose its id could otherwise choose somebody's `sub`, and be that person (RFC 9700 4.15).
    """
    person = None if sub is None else _id(sub, "sub")
    return None if person == client else person
