"""The access token of the signed-in person, refreshed before it expires.

Refresh token replay: a refresh token may be valid for one refresh only (RFC 9700 4.14.2), so two requests that refresh
at once look to the server like a stolen token, and it revokes everything. So among all processes that share the store
one request refreshes, and the others wait until it has saved the result. The provider makes the call itself.
"""

from dataclasses import KW_ONLY, replace

from ..base import events
from ..base.crypto.digests import digest
from ..base.dataclass import dataclass
from ..base.effects import Shielded, Steps, ask, claim, drop_session, load_session, release, renew_session
from ..base.errors import APIError, LoginRequired, TokenRejected, Unreachable
from ..base.memory.limits import Waiting
from ..base.models import EndReason, Secret, TokenSet
from ..base.session import Session
from ..config.context import Context
from ..http.messages import read_cookie
from ..providers.protocol import Provider, TokenProvider
from .lookup import SessionLookup

EXPIRY_MARGIN = 60
"""Seconds before its expiry that an access token is refreshed: it has to stay valid while the application uses it."""

POLL_INTERVAL = 0.05
"""Seconds between two checks whether another request has refreshed."""


def access_token(
    context: Context, provider: Provider, known: SessionLookup, cookie: str, *, now: int
) -> Steps[tuple[SessionLookup, Secret | None]]:
    """The access token of the person in `known`, refreshed if that is due, and the updated lookup.

    `cookie` is the raw Cookie header of the request. The token is None if nobody is signed in any more: the server
    refused to refresh, and the session has ended. Raises `LoginRequired` if the login has no token, or the token has
    expired and cannot be refreshed; an `APIError` if the server cannot be asked, and then the session and the refresh
    token stay as they are; and `ConfigError` with XWMS's own protocol.
    """
    context.config.require_tokens()
    if known.handle is None and known.uri is not None:
        # A cached lookup has no handle, and from here on one may be needed.
        known = known._replace(handle=read_cookie(cookie, context.names_for(known.uri).session))
    with Waiting(context.config.max_slow_calls) as waiting:
        return (yield from _current_token(context, provider, known, waiting, now=now))


def _current_token(
    context: Context, provider: Provider, known: SessionLookup, waiting: Waiting, *, now: int
) -> Steps[tuple[SessionLookup, Secret | None]]:
    session, limit = known.session, context.config.timeout_seconds + 2
    while session is not None:
        if session.tokens is None:
            raise LoginRequired("this login has no access token")
        tokens = context.state.refreshed_tokens.newest(session.tokens, now=now)
        if _is_usable(tokens, now):
            # Newer than the stored ones: a response was lost, or the store was down. The next response saves them.
            changed = known.changed or tokens is not session.tokens
            return known._replace(session=replace(session, tokens=tokens), changed=changed), tokens.access_token
        refresh_token = tokens.refresh_token
        if refresh_token is None:
            raise LoginRequired("the access token has expired, and there is no refresh token")
        # The lock expires by itself: if a process dies between the call and saving the result, nobody waits for it.
        later = now + int(waiting.seconds)
        attempt = _RefreshAttempt(known, session, tokens, refresh_token, until=later + int(limit), now=later)
        done = yield from ask(Shielded(_refresh_once(context, _token_provider(provider), attempt)))
        if done is not None:
            return done
        if waiting.seconds >= limit + 1:
            raise Unreachable("another request is refreshing the access token and has not finished in time", sent=False)
        yield from waiting.pause(POLL_INTERVAL)
        found = yield from _stored_session(known, session, now=now)
        session = found if isinstance(found, Session) else None
        known = known._replace(session=session, ended=found if isinstance(found, EndReason) else None)
    return known, None


def _token_provider(provider: Provider) -> TokenProvider:
    if provider.tokens is None:
        raise LoginRequired("this login protocol has no access tokens")
    return provider.tokens


def _is_usable(tokens: TokenSet, now: int) -> bool:
    """Whether the token can be used. One that cannot be refreshed is used until it expires."""
    margin = EXPIRY_MARGIN if tokens.refresh_token is not None else 0
    return tokens.expires_at is None or now < tokens.expires_at - margin


def _stored_session(known: SessionLookup, session: Session, *, now: int) -> Steps[Session | EndReason | None]:
    """The session as it is stored now."""
    return session if known.handle is None else (yield from load_session(known.handle, now=now))


@dataclass(frozen=True, slots=True)
class _RefreshAttempt:
    """One request's attempt to refresh its tokens. `until` is when its lock expires."""

    known: SessionLookup
    session: Session
    tokens: TokenSet
    refresh_token: Secret
    _: KW_ONLY
    until: int
    now: int

    def is_outdated_by(self, stored: Session | EndReason | None) -> bool:
        """Whether the stored session has newer tokens than this attempt, or has ended."""
        return not isinstance(stored, Session) or stored.tokens is None or stored.tokens.number > self.tokens.number


def _refresh_once(
    context: Context, provider: TokenProvider, attempt: _RefreshAttempt
) -> Steps[tuple[SessionLookup, Secret | None] | None]:
    """Refresh the tokens. None if another request does or did so: the caller has to look again.

    Must run to its end (`Shielded`): the new tokens have to be saved, since the old refresh token is used up.
    """
    person = context.log_name(attempt.session.user.identity)
    try:
        # Before taking the lock, so that the others wait for one call only.
        yield from provider.prepare_refresh(context, now=attempt.now)
        lock = f"refresh/{digest(attempt.refresh_token.reveal())}"
        if not (yield from claim(lock, until=attempt.until, now=attempt.now)):
            return None
        # This request may have read its session long ago; another may have refreshed since, and its lock have expired.
        stored = yield from _stored_session(attempt.known, attempt.session, now=attempt.now)
        if (
            attempt.is_outdated_by(stored)
            or context.state.refreshed_tokens.newest(attempt.tokens, now=attempt.now) is not attempt.tokens
        ):
            yield from release(lock)
            return None
        try:
            new = yield from provider.refresh(context, attempt.tokens, sub=attempt.session.user.sub, now=attempt.now)
        except APIError as error:
            if not error.sent:
                yield from release(lock)
            raise
    except TokenRejected as error:
        return (yield from _end_session(attempt, person, error))
    except APIError as error:
        events.warning("token_not_refreshed", person=person, cause=str(error))
        raise
    context.state.refreshed_tokens.put(attempt.refresh_token, new, now=attempt.now)
    events.info("token_refreshed", person=person)
    return (yield from _save(context, provider, attempt, new))


def _end_session(
    attempt: _RefreshAttempt, person: str, error: TokenRejected
) -> Steps[tuple[SessionLookup, None] | None]:
    """End the session because the server refused to refresh, unless another request has refreshed it meanwhile."""
    known = attempt.known
    if attempt.is_outdated_by((yield from _stored_session(known, attempt.session, now=attempt.now))):
        return None
    events.warning("session_ended", person=person, reason=EndReason.WITHDRAWN, cause=error.cause)
    if known.handle is not None:
        yield from drop_session(known.handle, why=EndReason.WITHDRAWN, now=attempt.now)
    return known._replace(session=None, ended=EndReason.WITHDRAWN), None


def _save(
    context: Context, provider: TokenProvider, attempt: _RefreshAttempt, new: TokenSet
) -> Steps[tuple[SessionLookup, Secret | None]]:
    known, renewed = attempt.known, replace(attempt.session, tokens=new)
    if known.handle is None:
        return known._replace(session=renewed), new.access_token
    handle = yield from renew_session(
        known.handle, renewed, until=context.lifetimes.keep_until(renewed), now=attempt.now
    )
    if handle is None:
        # The person has logged out meanwhile, which revoked only the older tokens.
        yield from provider.revoke_tokens(context, new, of=attempt.session.user.identity, now=attempt.now)
        return known._replace(session=None), None
    # A handle that has changed contains the session itself, so the browser has to receive it.
    in_cookie = handle != known.handle
    return known._replace(handle=handle, session=renewed, changed=in_cookie, has_new_tokens=in_cookie), new.access_token
