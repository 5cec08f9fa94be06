"""Validation of access tokens, by introspection (RFC 7662) or as signed JWTs (RFC 9068).

Both apply the same strict rules: a token is valid only if it is an access token of this server, for this API, now.
If the server cannot be asked, the token is not valid. Claims of a JWT are read only after its signature is verified.
"""

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any, cast
from urllib.parse import urlencode

from ..base.bearer_errors import InvalidToken
from ..base.effects import OAuthCall, Steps, UpstreamResponse, json_object, unavailable
from ..base.errors import BadAnswer, CredentialsRejected, TokenRejected, TooManyTokens, Unreachable
from ..base.memory.limits import Waiting
from ..base.models import AccessToken, Secret
from ..base.strict_json import JSONObject, is_moment, parse_granted, parse_id
from ..config.context import Context
from ..config.credentials import send_as_client
from ..config.server.metadata import Metadata
from .discovery import keys_for, metadata_for
from .id_token import SKEW
from .jwt import parse_signed_jwt, verified_claims

NO_TYPE = (
    "the introspection endpoint sends no token_type, so a refresh token could be this one: if the server calls only "
    "access tokens active, set XWMS_INTROSPECTION_TOKEN_TYPE=optional"
)

_ACCESS_TOKEN_TYPES = ("bearer", "at+jwt", "jwt")
"""Values of `typ` with which a response without `token_type` may be about an access token, in lower case."""

VALIDATION_POLL_INTERVAL = 0.02
"""Seconds between two checks whether another call has validated the same token."""


def validate(context: Context, token: Secret, *, now: int) -> Steps[AccessToken]:
    """Validate an access token and return its data. Raises `InvalidToken`, `TooManyTokens`, or an `APIError`."""
    by_keys = context.config.token_validation == "jwt"
    return (_validate_jwt if by_keys else _validate_by_introspection)(context, token, now=now)


def _name_of(text: str) -> str:
    """Return the name under which the result for a token is kept in this process. The token itself is not kept."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _validate_by_introspection(context: Context, token: Secret, *, now: int) -> Steps[AccessToken]:
    name, cache = _name_of(token.reveal()), context.state.validated_tokens
    access_token = cache.get(name, now=now)
    if access_token is not None:
        return access_token
    if cache.is_bad(name, now=now):
        raise InvalidToken("it was found invalid a moment ago")
    limit = int(context.config.timeout_seconds) + 2
    # This entry expires, so a call that was cancelled halfway does not make others wait.
    if not cache.begin(name, until=now + limit, now=now):
        access_token = yield from _wait_for_another(context, name, limit, now=now)
        if access_token is not None:
            return access_token
    try:
        if not cache.may_ask(name, now=now):
            raise TooManyTokens("the rate limit for introspection is reached")
        access_token = yield from _request_introspection(context, token, now=now)
    except InvalidToken:
        cache.learn(name, None, now=now)
        raise
    else:
        cache.learn(name, access_token, now=now)
        return access_token
    finally:
        cache.end(name)


def _wait_for_another(context: Context, name: str, limit: int, *, now: int) -> Steps[AccessToken | None]:
    """Wait for the call that validates the same token. None if this request has to make one, and has begun to."""
    cache = context.state.validated_tokens
    with Waiting(context.config.max_slow_calls) as waiting:
        while True:
            yield from waiting.pause(VALIDATION_POLL_INTERVAL)
            access_token = cache.get(name, now=now)
            if access_token is not None:
                return access_token
            if cache.is_bad(name, now=now):
                raise InvalidToken("it was found invalid a moment ago")
            later = now + int(waiting.seconds)
            if not cache.begin(name, until=later + limit, now=later):
                continue
            if not waiting.is_long:
                return None
            cache.end(name)
            raise Unreachable("the call that this one waited for has failed", sent=False)


def _request_introspection(context: Context, token: Secret, *, now: int) -> Steps[AccessToken]:
    config = context.config
    metadata = yield from metadata_for(context, now=now)
    if metadata.introspection_endpoint is None:
        raise BadAnswer(
            "the server names no introspection_endpoint: set XWMS_INTROSPECTION_ENDPOINT, or XWMS_TOKEN_VALIDATION=jwt"
        )
    read = partial(
        read_introspection,
        issuer=metadata.issuer,
        client_id=config.client_id,
        audience=config.audience,
        needs_type=config.introspection_token_type == "required",
        now=now,
    )
    return (yield from send_as_client(config, introspect(metadata.introspection_endpoint, token), read))


def _validate_jwt(context: Context, token: Secret, *, now: int) -> Steps[AccessToken]:
    text, server, config = token.reveal(), context.state.server, context.config
    name, metadata = _name_of(text), config.metadata or server.metadata.get(now)
    claims = context.state.verified_jwts.get(name, server.keys.get(now))
    if metadata is None or claims is None:
        metadata, claims = yield from _verify_jwt(context, text, name, now=now)
    return read_jwt(claims, issuer=metadata.issuer, audience=config.audience, now=now)


def _verify_jwt(context: Context, text: str, name: str, *, now: int) -> Steps[tuple[Metadata, JSONObject]]:
    try:
        parsed = parse_signed_jwt(text)
        # Token confusion: an ID token is signed with the same keys, but gives no access to an API (RFC 9068 5).
        if parsed.type != "at+jwt":
            raise InvalidToken("its typ is not at+jwt")
        # Until the keys are cached, each call would request them.
        if not context.knows_server(now) and not context.state.validated_tokens.may_ask(name, now=now):
            raise TooManyTokens("the rate limit for key requests is reached")
        metadata = yield from metadata_for(context, now=now)
        keys = yield from keys_for(context, metadata, parsed, now=now)
        claims = verified_claims(parsed, keys)
    except TokenRejected as fault:
        cause = fault.cause
    else:
        context.state.verified_jwts.learn(name, keys, claims, length=len(text))
        return metadata, claims
    raise InvalidToken(cause)


def introspect(url: str, token: Secret) -> OAuthCall:
    """Build an introspection request (RFC 7662 2.1)."""
    form = urlencode({"token": token.reveal(), "token_type_hint": "access_token"})
    return OAuthCall(url=url, form=form)


def read_introspection(
    response: UpstreamResponse, *, issuer: str, client_id: str, audience: str, needs_type: bool = True, now: int
) -> AccessToken:
    """Parse an introspection response. `client_id` is our own; `audience` is the name of this API, or empty.

    `needs_type` is whether the response must have a `token_type`.

    Raises `InvalidToken` if the token is invalid, and an `APIError` if the server gives no clear answer.
    """
    claims = _introspection_claims(response)
    active: object = claims.get("active")
    if active is False:
        raise InvalidToken("the server reports that it is not active")
    # "true" and 1 are not accepted as true.
    if active is not True:
        raise BadAnswer("the introspection endpoint does not say whether the token is active")
    # Token confusion: servers also introspect refresh tokens, and some ID tokens. Only an access token is of type
    # Bearer and has none of the claims of an ID token. What type a token is cannot be found out in another way:
    # `token_type_hint` is not binding (RFC 7662 2.1), and whether the server has such tokens is known to its operator.
    kind: object = claims.get("token_type")
    if kind is None and needs_type:
        raise InvalidToken(NO_TYPE)
    if kind is not None and str(kind).lower() != "bearer":
        raise InvalidToken("the introspection endpoint's token_type is not Bearer, so it is no access token")
    if "at_hash" in claims or "c_hash" in claims:
        raise InvalidToken("the introspection response has claims that only ID tokens have")
    # Some servers tell in `typ` what they leave out in `token_type`, and old ones have a nonce in access tokens too.
    if kind is None and ("nonce" in claims or str(claims.get("typ", "bearer")).lower() not in _ACCESS_TOKEN_TYPES):
        raise InvalidToken("the introspection response is about another type of token")
    if claims.get("iss") not in (None, issuer):
        raise InvalidToken("its iss is not the configured issuer")
    expires: object = claims.get("exp")
    own = None if audience else client_id
    return _access_token(claims, issuer, audience or client_id, own=own, expires=expires, now=now)


def read_jwt(claims: Mapping[str, Any], *, issuer: str, audience: str, now: int) -> AccessToken:
    """Validate the verified claims of an `at+jwt` JWT (RFC 9068 4). Raises `InvalidToken` with the reason."""
    if claims.get("iss") != issuer:
        raise InvalidToken("its iss is not the configured issuer")
    expires: object = claims.get("exp")
    issued: object = claims.get("iat")
    if expires is None:
        raise InvalidToken("it has no exp")
    if not is_moment(issued) or issued > now + SKEW:
        raise InvalidToken("its iat is in the future or missing")
    if claims.get("sub") is None:
        raise InvalidToken("it has no sub")
    try:
        return _access_token(claims, issuer, audience, own=None, expires=expires, now=now)
    except BadAnswer as fault:
        cause = fault.cause
    raise InvalidToken(cause)


def _introspection_claims(response: UpstreamResponse) -> Mapping[str, Any]:
    where = "the introspection endpoint"
    if response.status == 429 or response.status >= 500:
        raise unavailable(response, where)
    body = json_object(response)
    # With the credentials in the body a server may answer 400 (RFC 6749 5.2).
    if response.status in (401, 403) or (
        response.status == 400 and isinstance(body, JSONObject) and body.get("error") == "invalid_client"
    ):
        raise CredentialsRejected(f"{where} answered {response.status}", upstream_status=response.status)
    if isinstance(body, BadAnswer):
        raise BadAnswer(f"{where}: {body.cause}", upstream_status=response.status)
    # Sent by a server that issues other tokens only, about one it cannot have issued: oidc-provider about any JWT.
    if response.status == 400 and body.get("error") == "unsupported_token_type":
        raise InvalidToken("the server does not know this type of token")
    if response.status != 200 or body.get("error") not in (None, ""):
        raise BadAnswer(f"{where} answered {response.status}, or an error", upstream_status=response.status)
    return body


def _access_token(
    claims: Mapping[str, Any], issuer: str, audience: str, *, own: str | None, expires: object, now: int
) -> AccessToken:
    """The checks that both ways share. `own` is the client whose tokens need no audience.

    The clock skew is tolerated where a lifetime begins. `exp` is exact, to the second.
    """
    if expires is not None and not is_moment(expires):
        raise BadAnswer("the token's exp is not a time")
    if expires is not None and expires <= now:
        raise InvalidToken("it has expired")
    not_before: object = claims.get("nbf")
    if not_before is not None and (not is_moment(not_before) or not_before > now + SKEW):
        raise InvalidToken("it is not valid yet")
    # Token theft: the token is bound to a key (RFC 8705, RFC 9449), and whoever sends it as a plain bearer token may
    # have stolen it.
    if "cnf" in claims:
        raise InvalidToken("it is bound to a key, and was sent without proof of the key")
    client = _client(claims.get("client_id"))
    _check_audience(claims.get("aud"), audience, is_own=client == own)
    return AccessToken(
        issuer=issuer,
        client_id=client,
        sub=_sub(claims.get("sub"), client),
        scopes=_scopes(claims.get("scope", "")),
        expires_at=None if expires is None else int(expires),
        username=_username(claims),
    )


def _client(client_id: object) -> str:
    # Without it a client that acts for itself cannot be told from a user; and applications print it.
    if not isinstance(client_id, str):
        raise BadAnswer("the token has no client_id")
    return _id(client_id, "client_id")


def _username(claims: Mapping[str, Any]) -> str | None:
    value: object = claims.get("username")
    try:
        return None if value is None else parse_id(value if isinstance(value, str) else None, "username")
    except ValueError:
        has_sub = claims.get("sub") is not None
    # Impersonation: without both, the token would count as that of a client that acts for itself.
    if not has_sub:
        raise BadAnswer("the token has no sub, and its username is malformed")
    return None


def _id(value: object, name: str) -> str:
    try:
        return parse_id(value, name)
    except ValueError as fault:
        cause = f"the token's {fault}"
    raise BadAnswer(cause)


def _scopes(scope: object) -> tuple[str, ...]:
    try:
        return parse_granted(scope)
    except ValueError as fault:
        cause = f"the token's {fault}"
    raise BadAnswer(cause)


def _check_audience(aud: object, audience: str, *, is_own: bool) -> None:
    # Token replay: a token sent to one API must not be accepted by another one (RFC 9700 4.9.1).
    if aud is None and is_own:
        return
    audiences: list[object] = cast("list[object]", aud) if isinstance(aud, list) else [aud]
    if audience not in audiences:
        raise InvalidToken("it is not for this API: set XWMS_AUDIENCE to the name of this API in aud")


def _sub(sub: object, client: str) -> str | None:
    """Return the user, or None for a client that acts for itself: it then has no `sub`, or its own id as `sub`.

    Impersonation: a client that may choose its id could otherwise choose the `sub` of a user (RFC 9700 4.15).
    """
    user = None if sub is None else _id(sub, "sub")
    return None if user == client else user
