"""Who visits a page, where XWMS is asked every so often whether they still may.

Knows: when it is time, and which answers are a clear no.
Must not: sign anybody out because XWMS cannot be asked.
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
from ..base.models import EndReason, Session
from ..config.context import Context, names_for
from ..http.cookies import read_cookie
from ..http.urls import RedirectURI
from ..providers.protocol import Provider
from .lookup import SessionLookup, check_is_due, look_up
from .token_refresh import access_token

PAUSE = 60
"""Seconds before a process asks XWMS about the same session again, whatever became of the last time."""

_XWMS = "xwms"


def look_up_for_page(
    context: Context, provider: Provider, cookie: str, uri: RedirectURI | None, *, now: int
) -> Steps[SessionLookup]:
    """Who visits a page of the application; where it is time, XWMS is asked whether they still may."""
    known = yield from look_up(context, cookie, uri, now=now)
    session = known.session
    if session is None or not check_is_due(context, session, now):
        return known
    # One at a time, and not again soon: nobody else waits, and an XWMS that is down is not asked for every page.
    if not context.state.revalidations.add(session.id, until=now + PAUSE, now=now):
        return known
    # Nor for every person: each of them would hold a worker until the deadline. One asks for all, once a pause.
    if context.state.outages and not context.state.outages.add(_XWMS, until=now + PAUSE, now=now):
        return known
    try:
        if session.tokens is not None:
            known, _ = yield from access_token(context, provider, known, cookie, now=now)
        if known.session is None:
            return known
        return (yield from ask(Shielded(_recheck(context, provider, known, known.session, now=now))))
    except StoreUnavailable:
        # A no may be known now, and could not be kept: the next page asks again, and not in a minute.
        context.state.revalidations.remove(session.id)
        raise
    except (APIError, LoginRequired, ConfigError) as error:
        if isinstance(error, Timeout | Unreachable):
            context.state.outages.add(_XWMS, until=now + PAUSE, now=now)
        # A wrong secret is among these: a slip of an operator must not sign everybody out.
        events.warning("session_not_checked", person=events.person_hash(session.user.identity), cause=str(error))
        return known


def look_up_nested(
    context: Context, provider: Provider, known: SessionLookup, cookie: str, *, now: int
) -> Steps[SessionLookup]:
    """The visit of somebody who comes further in, to where `context` is set up once more for the same client.

    The limits of both count: what is over in here is over, and what is due in here is done.
    """
    session = known.session
    if session is not None and context.lifetimes.alive(session, now) and check_is_due(context, session, now):
        known = yield from look_up_for_page(context, provider, cookie, known.uri, now=now)
        session = known.session
    if session is None or known.uri is None:
        return known
    if not context.lifetimes.alive(session, now):
        return known._replace(session=None, ended=context.lifetimes.ending(session, now))
    interval = context.lifetimes.renewal_interval
    if context.lifetimes.due(session, now) and context.state.renewals.add(
        session.id, until=now + max(1, interval), now=now
    ):
        # The idle limit out there may be longer, and moved less often than the one in here runs out.
        return known._replace(handle=known.handle or read_cookie(cookie, names_for(known.uri).session), changed=True)
    return known


def _recheck(
    context: Context, provider: Provider, known: SessionLookup, session: Session, *, now: int
) -> Steps[SessionLookup]:
    """Ask XWMS about the person. Only a clear no ends the session.

    Not to be cut short: whoever gives their requests up in time would never be asked about.
    """
    person = events.person_hash(session.user.identity)
    try:
        confirmed = yield from provider.revalidate(context, session, now=now)
        context.state.outages.remove(_XWMS)
        # This process need not ask again where the answer does not get to the browser: a file, a page for everybody.
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
