"""Look up the session for a page, and periodically ask XWMS whether the person still has access.

Only a definite denial ends a session. Nobody is signed out because XWMS cannot be reached.
"""

from dataclasses import replace

from ..base import events
from ..base.effects import Shielded, Steps, ask, drop_session
from ..base.errors import (
    APIError,
    ClientDisabled,
    ClientUnknown,
    ConfigError,
    LoginRequired,
    NotApproved,
    NotFound,
    StoreUnavailable,
    Timeout,
    TokenRejected,
    Unreachable,
)
from ..base.models import EndReason
from ..base.session import Session
from ..config.context import Context
from ..http.messages import read_cookie
from ..http.urls import RedirectURI
from ..providers.protocol import Provider
from .lookup import SessionLookup, check_is_due, look_up
from .token_refresh import access_token

REVALIDATION_BACKOFF = 60
"""Seconds before a process asks XWMS about the same session again, whatever the result of the last call was."""

_OUTAGE_KEY = "xwms"


def look_up_for_page(
    context: Context, provider: Provider, cookie: str, uri: RedirectURI | None, *, now: int
) -> Steps[SessionLookup]:
    """Look up the session for a page of the application, and revalidate it with XWMS if that is due."""
    known = yield from look_up(context, cookie, uri, now=now)
    session = known.session
    if session is None:
        return known
    if not check_is_due(context, session, now):
        # As in `cached_lookup`: without a handle nothing is renewed.
        return known if context.lifetimes.due(session, now) else known._replace(handle=None)
    # One request at a time, and not again soon: the others do not wait, and XWMS is not called for every page while
    # it is down.
    if not context.state.revalidations.add(session.id, until=now + REVALIDATION_BACKOFF, now=now):
        return known
    # During an outage not for every person either, since each call would hold a worker until the deadline: one request
    # tries for all, once per backoff.
    if context.state.outages and not context.state.outages.add(_OUTAGE_KEY, until=now + REVALIDATION_BACKOFF, now=now):
        return known
    try:
        if session.tokens is not None:
            known, _ = yield from access_token(context, provider, known, cookie, now=now)
        if known.session is None:
            return known
        return (yield from ask(Shielded(_revalidate(context, provider, known, known.session, now=now))))
    except StoreUnavailable:
        # XWMS may have denied access, which could not be stored: the next page asks again without the backoff.
        context.state.revalidations.remove(session.id)
        raise
    except (APIError, LoginRequired, ConfigError) as error:
        if isinstance(error, Timeout | Unreachable):
            context.state.outages.add(_OUTAGE_KEY, until=now + REVALIDATION_BACKOFF, now=now)
        # These include a wrong client secret: a mistake of an operator must not sign everybody out.
        events.warning("session_not_checked", person=context.log_name(session.user.identity), cause=str(error))
        return known


def look_up_nested(
    context: Context, provider: Provider, known: SessionLookup, cookie: str, *, now: int
) -> Steps[SessionLookup]:
    """The lookup of a request that reaches a nested app, with a `context` of its own for the same client.

    The limits of both apps apply: a session that the inner limits end has ended, and a check or renewal that is due by
    the inner limits is done.
    """
    session = known.session
    if session is not None and context.lifetimes.alive(session, now) and check_is_due(context, session, now):
        known = yield from look_up_for_page(context, provider, cookie, known.uri, now=now)
        session = known.session
    if session is None or known.uri is None:
        return known
    if not context.lifetimes.alive(session, now):
        return known._replace(session=None, ended=context.lifetimes.ending(session, now))
    if context.lifetimes.due(session, now):
        # The outer idle limit may be longer, and so extended less often than the inner one expires.
        handle = known.handle or read_cookie(cookie, context.names_for(known.uri).session)
        return known._replace(handle=handle, renewed_by=context)
    return known


def refresh_profile(
    context: Context, provider: Provider, known: SessionLookup, cookie: str, *, now: int
) -> Steps[SessionLookup]:
    """Ask XWMS about the person now. The lookup with a session that has their current claims, to be saved.

    `cookie` is the raw Cookie header. Raises `LoginRequired` without a session, and an `APIError` if XWMS does not say
    who the person is; the session goes on then.
    """
    if known.session is not None and known.session.tokens is not None:
        known, _ = yield from access_token(context, provider, known, cookie, now=now)
    session = known.session
    if session is None or known.uri is None:
        raise LoginRequired("there is no session whose profile could be refreshed")
    confirmed = yield from provider.revalidate(context, session, now=now)
    # A cached lookup has no handle, and one is needed to save the session.
    handle = known.handle or read_cookie(cookie, context.names_for(known.uri).session)
    return known._replace(handle=handle, session=confirmed, changed=True)


def _revalidate(
    context: Context, provider: Provider, known: SessionLookup, session: Session, *, now: int
) -> Steps[SessionLookup]:
    """Ask XWMS about the person. Only a definite denial ends the session.

    Must run to its end (`Shielded`): otherwise somebody who aborts each request in time would never be checked.
    """
    person = context.log_name(session.user.identity)
    try:
        confirmed = yield from provider.revalidate(context, session, now=now)
        context.state.outages.remove(_OUTAGE_KEY)
        # So that this process does not ask again if the response sets no cookie: a file, or a page for everybody.
        context.state.revalidations.remove(session.id)
        context.state.revalidations.add(session.id, until=now + context.config.recheck_seconds, now=now)
    except (NotApproved, NotFound, ClientDisabled, ClientUnknown, TokenRejected) as error:
        if context.config.recheck_policy == "keep" or known.handle is None:
            events.warning("session_kept", person=person, cause=error.code)
            return known._replace(session=replace(session, checked_at=now), changed=True)
        events.warning("session_ended", person=person, reason=EndReason.WITHDRAWN, cause=error.code)
        yield from drop_session(known.handle, why=EndReason.WITHDRAWN, now=now)
        return known._replace(session=None, ended=EndReason.WITHDRAWN)
    return known._replace(session=confirmed, changed=True)
