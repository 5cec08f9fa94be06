"""Read a browser's session, renew it, and begin a new one. Independent of how the person logged in."""

from dataclasses import replace
from typing import NamedTuple

from ..base import events
from ..base.effects import Steps, load_session, renew_session
from ..base.errors import StoreUnavailable
from ..base.models import EndReason
from ..base.session import AheadSession, Session
from ..base.store_protocols import FixedHandles, KnownHandle, SessionStore
from ..config.context import Context
from ..http.messages import read_cookie, set_cookie
from ..http.urls import RedirectURI
from .given_up_tokens import give_up_ended

MAX_HANDLE = 4096
"""Characters. No session cookie of ours is longer, so a longer one is not looked up."""


MAX_RENEWAL_DELAY = 5
"""Seconds from reading the cookie within which a response may set a session that is stored in the cookie itself. After
more time the person may have logged out in this browser, or somebody else logged in, at a process of which this one
does not hear. The next response that is fast enough renews the session. New tokens are set however late they are, since
nobody else has them."""

REFUSAL_NOTED = 600
"""Seconds that a browser keeps a note that its session was refused as one from the future: as long as a login may take.
Another refusal of a new session is then not answered by yet another login (redirect loop)."""

CLOCK_LOG_INTERVAL = 60
"""Seconds between two lines in the log about the same session from the future."""


class SessionLookup(NamedTuple):
    """The result of looking up a session cookie. `session` is None if nobody is signed in.

    `handle` is the value of the cookie, or None if there was no cookie or no renewal is due.
    `ended` is why the session of this cookie has ended. `changed` means that the store has an older session than this,
    `has_new_tokens` that only this response can carry its tokens, because the cookie contains the session.
    `at` is when the cookie was read, in seconds since 1970; without a handle perhaps by an earlier request.
    `ahead` is set if the session is from the future, `aged` is one that is too old.
    `renewed_by` is the context of a nested application by whose limits a renewal is due.
    """

    uri: RedirectURI | None
    handle: str | None
    session: Session | None
    ended: EndReason | None = None
    changed: bool = False
    has_new_tokens: bool = False
    at: int = 0
    ahead: AheadSession | None = None
    renewed_by: Context | None = None
    aged: Session | None = None


NO_SESSION = SessionLookup(uri=None, handle=None, session=None)
"""The lookup for a browser that sent no session cookie."""


def cached_lookup(
    context: Context, store: SessionStore, cookie: str, uri: RedirectURI | None, *, now: int
) -> SessionLookup | None:
    """The lookup without any I/O: for a session in the store's cache that is alive, with no check or renewal due.

    Also for any handle of a store that needs no I/O for it (`FixedHandles`). None means unknown: use
    `revalidation.look_up_for_page`. This is only a shortcut for most requests of an active person.
    """
    if uri is None:
        return NO_SESSION
    handle = read_cookie(cookie, context.names_for(uri).session)
    if handle is None:
        return NO_SESSION
    if isinstance(store, FixedHandles) and store.loads_at_once:
        known = store.find(handle)
        if not isinstance(known, KnownHandle):
            return SessionLookup(uri, handle, None, known, at=now)
        if known.begin <= now < known.end:
            found: SessionLookup = known.note
            if found.uri is uri:  # and so of this context, whose limits the times are
                return found
        return _noted(context, known, uri, now=now)
    session = store.recall(handle, now=now)
    if session is None or not context.lifetimes.is_settled(session, now) or check_is_due(context, session, now):
        return None
    return SessionLookup(uri, None, session, at=now)


def _noted(context: Context, known: KnownHandle, uri: RedirectURI, *, now: int) -> SessionLookup | None:
    """The lookup of a known handle, noted with the times between which there is nothing to do for its session."""
    session, interval = known.session, context.config.recheck_seconds
    begin, end = context.lifetimes.settled_between(session)
    if interval:
        end = min(end, session.checked_at + interval)  # then a check is due
    if not begin <= now < end:
        return None
    if known.is_new:
        # Nobody knows yet whether this cookie comes again, and a note is one object more for the garbage collector.
        known.is_new = False
        return SessionLookup(uri, None, session, at=now)
    known.end = 0  # another thread may read it meanwhile
    known.note = found = SessionLookup(uri, None, session, at=now)
    known.begin, known.end = begin, end
    return found


def look_up(context: Context, cookie: str, uri: RedirectURI | None, *, now: int) -> Steps[SessionLookup]:
    """Read the session cookie from the raw Cookie header and validate the session. Writes nothing."""
    handle = read_cookie(cookie, context.names_for(uri).session) if uri is not None else None
    if not handle or len(handle) > MAX_HANDLE:
        return SessionLookup(uri=uri, handle=None, session=None, at=now)
    found = yield from load_session(handle, now=now)
    if isinstance(found, EndReason):
        return SessionLookup(uri=uri, handle=handle, session=None, ended=found, at=now)
    if found is None or context.lifetimes.alive(found, now):
        return SessionLookup(uri=uri, handle=handle, session=found, at=now)
    ended, ahead = context.lifetimes.ending(found, now), None
    if is_revoked := ended is EndReason.REVOKED:
        give_up_ended(context, found, now=now)
    if ended is None and uri is not None and (seconds := context.lifetimes.ahead(found, now)):
        ahead = _refused_as_ahead(context, cookie, uri, found, seconds, now=now)
    elif now >= context.lifetimes.keep_until(found):
        ended = None
    aged = None if is_revoked or ahead is not None else found
    return SessionLookup(uri=uri, handle=handle, session=None, ended=ended, at=now, ahead=ahead, aged=aged)


def _refused_as_ahead(
    context: Context, cookie: str, uri: RedirectURI, session: Session, seconds: int, *, now: int
) -> AheadSession:
    names = context.names_for(uri)
    noted = read_cookie(cookie, names.ahead)
    if context.state.clock_warnings.add(session.id, until=now + CLOCK_LOG_INTERVAL, now=now):
        events.warning(
            "session_from_the_future",
            person=context.log_name(session.user.identity),
            seconds=str(seconds),
            hint="the clock of this machine is behind, or that of the one where the session was last used is ahead",
        )
    note = set_cookie(names.ahead, session.id, secure=names.secure, max_age=REFUSAL_NOTED)
    return AheadSession(seconds, note, is_second=noted is not None and noted != session.id)


def was_refused_as_ahead(context: Context, known: SessionLookup, cookie: str) -> bool:
    """Whether another machine, whose clock is behind, has just refused this session: only a new login may help."""
    if known.session is None or known.uri is None:
        return False
    return known.session.id == read_cookie(cookie, context.names_for(known.uri).ahead)


def check_is_due(context: Context, session: Session, now: int) -> bool:
    """Whether it is time to revalidate the session with XWMS."""
    interval = context.config.recheck_seconds
    return interval > 0 and now - session.checked_at >= interval


def renew(
    context: Context, known: SessionLookup, *, now: int, is_passive: bool = False, is_shared: bool = False
) -> Steps[str | None]:
    """Extend the idle limit if that is due, and save changes of the session. Never restores an ended session.

    Returns the Set-Cookie value that the response has to carry, or None. `is_passive`: the request is no sign of an
    active person. `is_shared`: shared caches may keep the response, so it carries a cookie only if a change would
    otherwise be lost.
    """
    session = known.session
    if session is None or known.handle is None or known.uri is None:
        return None
    limits = known.renewed_by or context
    if not known.changed:
        interval = limits.lifetimes.renewal_interval
        if is_passive or not limits.lifetimes.due(session, now):
            return None
        # Of several concurrent requests, one renews.
        if not limits.state.renewals.add(session.id, until=now + max(1, interval), now=now):
            return None
    renewed = session if is_passive else context.lifetimes.renewed(session, now)
    if renewed.tokens is not None:
        # With the cookie store, another response may be carrying newer tokens now, and this one may arrive after it.
        renewed = replace(renewed, tokens=context.state.refreshed_tokens.newest(renewed.tokens, now=now))
    try:
        handle = yield from renew_session(known.handle, renewed, until=context.lifetimes.keep_until(renewed), now=now)
    except StoreUnavailable as error:
        # The page is ready; the next request can renew the session.
        events.info("session_not_renewed", cause=error.cause)
        return context.session_cookie(known.uri, known.handle, session, now=now) if known.has_new_tokens else None
    if handle is None:
        return None
    if handle == known.handle:
        # A server store. It has the new limit already, and the cookie only lives longer in the browser.
        return None if is_shared else context.session_cookie(known.uri, handle, renewed, now=now)
    is_late = now - known.at > MAX_RENEWAL_DELAY
    if (is_late and not known.has_new_tokens) or (is_shared and not known.changed):
        limits.state.renewals.remove(session.id)
        return None
    return context.session_cookie(known.uri, handle, renewed, now=now)
