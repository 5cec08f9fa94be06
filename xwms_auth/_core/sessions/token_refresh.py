"""The access token of somebody who is signed in, fresh enough to be used.

A refresh token may be worth one refresh only (RFC 9700 4.14.2): two requests that refresh at once would look like a
thief to the server, which then ends everything. So one request refreshes, whoever shares the store with it, and the
others wait until it has saved the result.

Knows: who refreshes, who waits, and for how long.
Must not: know how a refresh is asked for; that is the provider's.
"""

from dataclasses import KW_ONLY, dataclass, replace

from ..base import events
from ..base.effects import Pause, Shielded, Steps, ask, claim, drop_session, load_session, release, renew_session
from ..base.errors import APIError, LoginRequired, TokenRejected, Unreachable
from ..base.models import EndReason, Session, TokenSet
from ..base.secrets import Secret
from ..base.signing import digest
from ..config.context import Context, names_for
from ..http.cookies import read_cookie
from ..providers.protocol import Provider, TokenProvider
from .lookup import SessionLookup

EXPIRY_MARGIN = 60
"""Seconds before its end that an access token is renewed: it has to live for as long as somebody's call takes."""

POLL_INTERVAL = 0.05
"""Seconds between two looks whether another request has refreshed."""


def access_token(
    context: Context, provider: Provider, known: SessionLookup, cookie: str, *, now: int
) -> Steps[tuple[SessionLookup, Secret | None]]:
    """The access token of this visit's person, refreshed where it is time, and the visit as it is from then on.

    `cookie` is the raw Cookie header of the visit.
    None where nobody is signed in any more: the server refused to refresh, and the session has ended. Raises
    `LoginRequired` where there never was a token, or there is no way to a new one; an `APIError` where the server
    cannot be asked: the session stays, and so does the refresh token. `ConfigError` with XWMS's own login.
    """
    context.config.require_tokens()
    if known.handle is None and known.uri is not None:
        # Recognised without a look into the store; from here on one may be needed.
        known = known._replace(handle=read_cookie(cookie, names_for(known.uri).session))
    session, waited = known.session, 0.0
    limit = context.config.timeout_seconds + 2
    while session is not None:
        if session.tokens is None:
            raise LoginRequired("this login has no access token")
        tokens = context.state.refreshed_tokens.newest(session.tokens, now=now)
        if _is_good(tokens, now):
            # Newer than what was kept: an answer was lost, or a store was down. The next one brings them.
            changed = known.changed or tokens is not session.tokens
            return known._replace(session=replace(session, tokens=tokens), changed=changed), tokens.access_token
        if tokens.refresh_token is None:
            raise LoginRequired("the access token has expired, and there is no refresh token")
        # The mark ends by itself: a process that dies between asking and saving keeps nobody waiting.
        later = now + int(waited)
        attempt = _RefreshAttempt(known, session, tokens, until=later + int(limit), now=later)
        done = yield from ask(Shielded(_refresh_once(context, _tokens_of(provider), attempt)))
        if done is not None:
            return done
        if waited >= limit + 1:
            raise Unreachable("another request is refreshing the access token, and has not come to an end", sent=False)
        yield from ask(Pause(POLL_INTERVAL))
        waited += POLL_INTERVAL
        found = yield from _stored_session(known, session, now=now)
        session = found if isinstance(found, Session) else None
        if session is None:
            known = known._replace(session=None, ended=found if isinstance(found, EndReason) else None)
    return known, None


def _tokens_of(provider: Provider) -> TokenProvider:
    if provider.tokens is None:
        raise LoginRequired("this way to log in has no access tokens")
    return provider.tokens


def _is_good(tokens: TokenSet, now: int) -> bool:
    """Whether the token can be used; one that cannot be refreshed is used to its very end."""
    ahead = EXPIRY_MARGIN if tokens.refresh_token is not None else 0
    return tokens.expires_at is None or now < tokens.expires_at - ahead


def _stored_session(known: SessionLookup, session: Session, *, now: int) -> Steps[Session | EndReason | None]:
    """The session as it is kept now."""
    return session if known.handle is None else (yield from load_session(known.handle, now=now))


@dataclass(frozen=True, slots=True)
class _RefreshAttempt:
    """One request that would refresh: with what, and until when the others would wait for it."""

    known: SessionLookup
    session: Session
    tokens: TokenSet
    _: KW_ONLY
    until: int
    now: int

    def is_outdated_by(self, kept: Session | EndReason | None) -> bool:
        """Whether there is something newer than the tokens of this turn, or no session any more."""
        return not isinstance(kept, Session) or kept.tokens is None or kept.tokens.number > self.tokens.number


def _refresh_once(
    context: Context, provider: TokenProvider, attempt: _RefreshAttempt
) -> Steps[tuple[SessionLookup, Secret | None] | None]:
    """Refresh, unless somebody does or has done so: None, for those who have to look again.

    Not to be cut short: what the server has given must be kept, since the token that it was given for is used up.
    """
    if attempt.tokens.refresh_token is None:
        return None
    person = events.person_hash(attempt.session.user.identity)
    try:
        # Beforehand, so that what the others wait for is one call.
        yield from provider.prepare_refresh(context, now=attempt.now)
        mark = f"refresh/{digest(attempt.tokens.refresh_token.reveal())}"
        if not (yield from claim(mark, until=attempt.until, now=attempt.now)):
            return None
        # This request may have read its session long ago, and the one that refreshed since may have ended.
        kept = yield from _stored_session(attempt.known, attempt.session, now=attempt.now)
        if (
            attempt.is_outdated_by(kept)
            or context.state.refreshed_tokens.newest(attempt.tokens, now=attempt.now) is not attempt.tokens
        ):
            yield from release(mark)
            return None
        try:
            new = yield from provider.refresh(context, attempt.tokens, sub=attempt.session.user.sub, now=attempt.now)
        except APIError as error:
            if not error.sent:
                yield from release(mark)
            raise
    except TokenRejected as error:
        return (yield from _end_session(attempt, person, error))
    except APIError as error:
        events.warning("token_not_refreshed", person=person, cause=str(error))
        raise
    context.state.refreshed_tokens.put(attempt.tokens.refresh_token, new, now=attempt.now)
    events.info("token_refreshed", person=person)
    return (yield from _save(context, provider, attempt, new))


def _end_session(
    attempt: _RefreshAttempt, person: str, error: TokenRejected
) -> Steps[tuple[SessionLookup, None] | None]:
    """The server refuses to refresh: the session is over, unless it has been refreshed beside us."""
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
        # Logged out meanwhile, which gave the older tokens back.
        yield from provider.revoke_tokens(context, new, now=attempt.now)
        return known._replace(session=None), None
    # A handle that has changed holds the session itself, so the browser has to get it.
    return known._replace(handle=handle, session=renewed, changed=handle != known.handle), new.access_token
