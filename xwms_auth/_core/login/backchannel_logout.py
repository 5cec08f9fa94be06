"""A logout that began at the authorization server (OpenID Connect Back-Channel Logout 1.0).

The server posts a signed token, without a browser, and the person's sessions here end: the one of that login, where
the token names it and the store has a list, otherwise all of theirs.

Knows: which sessions a logout token is about.
Must not: believe one that is not signed by the server, for this client, lately, and for the first time.
"""

from ..base import events
from ..base.effects import Steps, claim, list_sessions, release, revoke_session, revoke_sessions
from ..base.errors import ConfigError, TokenRejected, XWMSError
from ..base.models import Identity
from ..base.signing import digest
from ..config.context import Context
from ..http.messages import Request, Response
from ..providers.protocol import LogoutTokenClaims, Provider
from ..responses import responses

REMEMBERED = 600
"""Seconds that a token's id is remembered: longer than a token counts, so that it works once."""


def log_out(context: Context, provider: Provider, request: Request, *, now: int) -> Steps[Response]:
    """End the sessions that a logout token is about: 200, or 400 for a token that is none (2.8)."""
    try:
        if provider.tokens is None:
            raise TokenRejected("XWMS's own login has no logout tokens")
        logout_claims = yield from provider.tokens.verify_logout_token(
            context, request.form.get("logout_token", ""), now=now
        )
        used = f"logout/{digest(logout_claims.token_id)}"
        if not (yield from claim(used, until=now + REMEMBERED, now=now)):
            raise TokenRejected("the logout token has been used before")
    except TokenRejected as error:
        events.refused(error, path=request.path)
        return responses.document(400, {"error": "invalid_request"})
    identity = Identity(context.config.issuer, logout_claims.sub)
    if logout_claims.sid is not None:
        # A callback of that login may be under way, and has no session yet that could end.
        context.state.ended_logins.add(logout_claims.sid, until=now + REMEMBERED, now=now)
    try:
        yield from _end(identity, logout_claims, now=now)
    except XWMSError:
        # Not done: the server may deliver it again.
        yield from release(used)
        raise
    events.info("logged_out_at_xwms", person=events.person_hash(identity))
    return responses.document(200, {})


def _end(identity: Identity, logout_claims: LogoutTokenClaims, *, now: int) -> Steps[None]:
    if logout_claims.sid is not None:
        try:
            sessions = yield from list_sessions(identity, now=now)
        except ConfigError:
            pass  # the cookie store: too many end rather than one too few
        else:
            for session in sessions:
                # Of a login that the server gave no name, nobody can say that it was another one.
                if session.tokens is None or session.tokens.sid in (None, logout_claims.sid):
                    yield from revoke_session(session.id, now=now)
            return
    yield from revoke_sessions(identity, now=now)
