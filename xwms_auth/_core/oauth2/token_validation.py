"""Is an access token good? Asked of the authorization server, or verified with its keys.

Knows: the order of the two ways.
Must not: take a token for good because nobody could be asked.
"""

from ..base.effects import CallXWMS, Pause, Steps, ask
from ..base.errors import BadAnswer, InvalidToken, TokenRejected, TooManyTokens, Unreachable
from ..base.models import AccessToken
from ..base.secrets import Secret
from ..base.signing import digest
from ..config.context import Context
from .discovery import keys_for, metadata_for
from .jwt import parse_signed_jwt, verified_claims
from .token_claims import introspect, read_introspection, read_jwt

POLL_INTERVAL = 0.02
"""Seconds between two looks whether another call has its answer."""


def validate(context: Context, token: Secret, *, now: int) -> Steps[AccessToken]:
    """What is known about the token. Raises `InvalidToken`, `TooManyTokens`, or an `APIError`."""
    if context.config.token_validation == "jwt":
        return (yield from _verified(context, token, now=now))
    return (yield from _introspected(context, token, now=now))


def _introspected(context: Context, token: Secret, *, now: int) -> Steps[AccessToken]:
    name, known, waited = digest(token.reveal()), context.state.validated_tokens, 0.0
    limit = int(context.config.timeout_seconds) + 2
    while True:
        found = known.get(name, now=now)
        if found is not None:
            return found
        if known.is_bad(name, now=now):
            raise InvalidToken("it was found bad a moment ago")
        later = now + int(waited)
        # The mark ends by itself: a call that was given up in the middle keeps nobody waiting.
        if known.begin(name, until=later + limit, now=later):
            break
        if waited > limit:
            raise Unreachable("another call asks about this token, and has not come to an end", sent=False)
        yield from ask(Pause(POLL_INTERVAL))
        waited += POLL_INTERVAL
    try:
        if not known.may_ask(name, now=now):
            raise TooManyTokens("the budget for asking about access tokens is used up")
        found = yield from _ask_about(context, token, now=now)
    except InvalidToken:
        known.learn(name, None, now=now)
        raise
    else:
        known.learn(name, found, now=now)
        return found
    finally:
        known.end(name)


def _ask_about(context: Context, token: Secret, *, now: int) -> Steps[AccessToken]:
    config = context.config
    metadata = yield from metadata_for(context, now=now)
    if metadata.introspection_endpoint is None:
        raise BadAnswer("the server has no introspection_endpoint: name one, or set XWMS_TOKEN_VALIDATION=jwt")
    reply = yield from ask(CallXWMS(introspect(metadata.introspection_endpoint, token)))
    client_id, audience = config.client_id, config.audience
    return read_introspection(reply, issuer=metadata.issuer, client_id=client_id, audience=audience, now=now)


def _verified(context: Context, token: Secret, *, now: int) -> Steps[AccessToken]:
    try:
        parsed = parse_signed_jwt(token.reveal())
        # An ID token is signed by the same keys and tells a client who somebody is; it opens nothing (RFC 9068 5).
        if parsed.type != "at+jwt":
            raise InvalidToken("it is not of the type at+jwt")
        server, config = context.state.server, context.config
        known = (config.metadata or server.metadata(now)) and server.keys(now)
        # Until the keys are known, each call would ask for them.
        if not known and not context.state.validated_tokens.may_ask(digest(token.reveal()), now=now):
            raise TooManyTokens("the budget for asking for keys is used up")
        metadata = yield from metadata_for(context, now=now)
        claims = verified_claims(parsed, (yield from keys_for(context, metadata, parsed, now=now)))
    except TokenRejected as fault:
        cause = fault.cause
    else:
        return read_jwt(claims, issuer=metadata.issuer, audience=config.audience, now=now)
    raise InvalidToken(cause)
