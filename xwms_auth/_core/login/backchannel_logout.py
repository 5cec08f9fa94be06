"""A logout that began at the authorization server (OpenID Connect Back-Channel Logout 1.0).

The server posts a signed logout token, without a browser, and sessions of the person end here: the sessions of one
login if the token names it and the store can list sessions, otherwise all of the person's. A token that names the login
alone (`sid` and no `sub`, 2.4) ends its sessions where the store can find them.

Forgery and replay: a logout token counts only if the server signed it, for this client, recently, and it was not used
before.
"""

from ..base import events
from ..base.crypto.digests import digest, login_digest
from ..base.effects import (
    Shielded,
    Steps,
    ask,
    claim,
    claimed,
    drop_session,
    list_login,
    list_sessions,
    release,
    revoke_session,
    revoke_sessions,
)
from ..base.errors import ConfigError, TokenRejected, XWMSError
from ..base.models import Identity, TokenSet
from ..config.context import Context
from ..http.messages import Request, Response
from ..providers.protocol import LogoutTokenClaims, Provider
from ..responses import responses

LOGOUT_TOKEN_MEMORY = 600
"""Seconds that the id of a logout token is remembered (replay): longer than the token is valid."""

ATTEMPT = 30
"""Seconds after which the server may send a token again whose sessions nobody knows to have been ended: the process has
died, or the store has raised an error that is not ours."""


def log_out(context: Context, provider: Provider, request: Request, *, now: int) -> Steps[Response]:
    """End the sessions that a logout token names: 200, or 400 for an invalid token (2.8)."""
    try:
        if provider.tokens is None:
            raise TokenRejected("XWMS's own protocol has no logout tokens")
        logout_claims = yield from provider.tokens.verify_logout_token(
            context, request.form.get("logout_token", ""), now=now
        )
        yield from ask(Shielded(_end_once(context, logout_claims, now=now)))
    except TokenRejected as error:
        events.refused(error, path=request.path)
        return responses.document(400, {"error": "invalid_request"})
    return responses.document(200, {})


def require_login_goes_on(context: Context, tokens: TokenSet | None, handle: str, *, now: int) -> Steps[None]:
    """Raise `TokenRejected`, and end the new session of this handle, if the server has ended its login meanwhile.

    Asked after the session was stored: either this finds the mark of the logout, or the logout finds the session.
    """
    if tokens is None or tokens.sid is None:
        return
    marked = yield from claimed([_mark_of(context, tokens.sid)], now=now)
    if marked is not None and marked[0]:
        yield from drop_session(handle, now=now)
        raise TokenRejected("the user has logged out at the server meanwhile")


def _mark_of(context: Context, sid: str) -> str:
    """The name that is claimed for a login that the server has ended."""
    return f"ended/{login_digest(context.issuer, sid)}"


def _end_once(context: Context, logout_claims: LogoutTokenClaims, *, now: int) -> Steps[None]:
    """Use the token, and end the sessions.

    Must run to its end (`Shielded`): a server that gives up waiting sends the token again, which is then used up.
    """
    claim_name = f"logout/{digest(logout_claims.token_id)}"
    if not (yield from claim(claim_name, until=now + ATTEMPT, now=now)):
        raise TokenRejected("the logout token has been used before")
    try:
        if logout_claims.sid is not None:
            # A callback of that login may be in progress, here or in another process, and have no session yet that
            # could be ended: see `require_login_goes_on`.
            context.state.ended_logins.add(logout_claims.sid, until=now + LOGOUT_TOKEN_MEMORY, now=now)
            yield from claim(_mark_of(context, logout_claims.sid), until=now + LOGOUT_TOKEN_MEMORY, now=now)
        yield from _end(context, logout_claims, now=now)
    except XWMSError:
        # The sessions were not ended, so the server may send the token again.
        yield from release(claim_name)
        raise
    # A store lengthens no claim. Whoever gets in between ends the same sessions once more.
    yield from release(claim_name)
    yield from claim(claim_name, until=now + LOGOUT_TOKEN_MEMORY, now=now)


def _end(context: Context, logout_claims: LogoutTokenClaims, *, now: int) -> Steps[None]:
    if logout_claims.sub is None:
        yield from _end_login(context, logout_claims.sid or "", now=now)
        return
    identity = Identity(context.issuer, logout_claims.sub)
    if logout_claims.sid is None:
        yield from revoke_sessions(identity, now=now)
    else:
        yield from _end_login_of_person(identity, logout_claims.sid, now=now)
    events.info("logged_out_at_xwms", person=context.log_name(identity))


def _end_login(context: Context, sid: str, *, now: int) -> Steps[None]:
    sessions = yield from list_login(sid, issuer=context.issuer, now=now)
    if sessions is None:
        raise TokenRejected(
            "the logout token: it has no sub, and this session_store cannot find sessions by sid; "
            "sqlite, redis and databases can"
        )
    for session in sessions:
        yield from revoke_session(session.id, now=now)
        events.info("logged_out_at_xwms", person=context.log_name(session.user.identity))


def _end_login_of_person(identity: Identity, sid: str, *, now: int) -> Steps[None]:
    try:
        sessions = yield from list_sessions(identity, now=now)
    except ConfigError:
        # The cookie store cannot list sessions: end too many rather than too few.
        yield from revoke_sessions(identity, now=now)
        return
    for session in sessions:
        # A login without a sid may be the one that is meant.
        if session.tokens is None or session.tokens.sid in (None, sid):
            yield from revoke_session(session.id, now=now)
