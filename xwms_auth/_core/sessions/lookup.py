"""Who visits: reading a session, renewing it, beginning a new one.

Knows: the session cookie, and what to ask of a store.
Must not: know how anybody came to be signed in.
"""

from dataclasses import replace
from typing import NamedTuple

from ..base import events
from ..base.effects import Steps, create_session, drop_session, load_session, renew_session
from ..base.errors import StoreUnavailable
from ..base.models import EndReason, Session
from ..base.signing import new_key
from ..base.store_protocols import SessionStore
from ..config.context import Context, names_for
from ..http.cookies import read_cookie, set_cookie
from ..http.messages import Request
from ..http.urls import RedirectURI
from ..http.user_agent import device_name
from ..providers.protocol import LoginResult

MAX_HANDLE = 4096
"""Characters. No session cookie of ours is longer, so a longer one is not looked up."""


MAX_RENEWAL_DELAY = 5
"""Seconds within which an answer brings a session that lives in its cookie. Meanwhile somebody may have logged out in
this browser, or in as somebody else, at a process that this one does not hear of; the next prompt answer renews."""


class SessionLookup(NamedTuple):
    """Who this browser is, as far as its session cookie tells. `session` is None for nobody.

    `handle` is what the cookie held, or None where there was none or where nothing is due for renewal.
    `ended` is why the session that the cookie was for is over. `changed` says that the store has an older session.
    `at` is when the cookie was read, in seconds since 1970.
    """

    uri: RedirectURI | None
    handle: str | None
    session: Session | None
    ended: EndReason | None = None
    changed: bool = False
    at: int = 0


NO_SESSION = SessionLookup(uri=None, handle=None, session=None)
"""A browser that sent no cookie of ours."""


def cached_lookup(
    context: Context, store: SessionStore, cookie: str, uri: RedirectURI | None, *, now: int
) -> SessionLookup | None:
    """The visit of a browser that needs no step: its session is at hand, alive, and neither check nor renewal is due.

    None says nothing; `recheck.look_up_for_page` does. This only spares most requests of a busy person the asking.
    """
    handle = read_cookie(cookie, names_for(uri).session) if uri is not None else None
    if handle is None:
        return NO_SESSION
    session = store.recall(handle, now=now)
    if session is None or not context.lifetimes.alive(session, now) or context.lifetimes.due(session, now):
        return None
    return None if check_is_due(context, session, now) else SessionLookup(uri, None, session, at=now)


def look_up(context: Context, cookie: str, uri: RedirectURI | None, *, now: int) -> Steps[SessionLookup]:
    """Read the session cookie from the raw Cookie header and judge the session. Writes nothing."""
    handle = read_cookie(cookie, names_for(uri).session) if uri is not None else None
    if not handle or len(handle) > MAX_HANDLE:
        return SessionLookup(uri=uri, handle=None, session=None, at=now)
    found = yield from load_session(handle, now=now)
    if isinstance(found, EndReason):
        return SessionLookup(uri=uri, handle=handle, session=None, ended=found, at=now)
    if found is not None and not context.lifetimes.alive(found, now):
        return SessionLookup(uri=uri, handle=handle, session=None, ended=context.lifetimes.ending(found, now), at=now)
    return SessionLookup(uri=uri, handle=handle, session=found, at=now)


def check_is_due(context: Context, session: Session, now: int) -> bool:
    """Whether it is time to ask XWMS about the person again."""
    every = context.config.recheck_seconds
    return every > 0 and now - session.checked_at >= every


def renew(context: Context, known: SessionLookup, *, now: int) -> Steps[str | None]:
    """Move the idle limit if it is time; the Set-Cookie value for it, or None. Never brings an ended session back."""
    session, interval = known.session, context.lifetimes.renewal_interval
    if session is None or known.handle is None or known.uri is None:
        return None
    if not known.changed:
        # Of many requests that come at once, one renews.
        due = context.lifetimes.due(session, now)
        if not due or not context.state.renewals.add(session.id, until=now + max(1, interval), now=now):
            return None
    renewed = context.lifetimes.renewed(session, now)
    if renewed.tokens is not None:
        # With the cookie store another answer may be bringing newer ones at this moment, and this may arrive later.
        renewed = replace(renewed, tokens=context.state.refreshed_tokens.newest(renewed.tokens, now=now))
    try:
        handle = yield from renew_session(known.handle, renewed, until=context.lifetimes.keep_until(renewed), now=now)
    except StoreUnavailable as error:
        # The page is made already; renewing can wait for the next one.
        events.info("session_not_renewed", cause=error.cause)
        return None
    if handle is None:
        return None
    if handle != known.handle and now - known.at > MAX_RENEWAL_DELAY:
        context.state.renewals.remove(session.id)
        return None
    return _session_cookie(context, known.uri, handle, renewed, now)


def begin_session(
    context: Context, request: Request, uri: RedirectURI, result: LoginResult, *, now: int
) -> Steps[list[str]]:
    """End the session this browser had, begin a new one under a new key; the Set-Cookie values for it."""
    old = read_cookie(request.cookie, names_for(uri).session)
    if old is not None and len(old) <= MAX_HANDLE:
        yield from drop_session(old, now=now)
    session = Session(
        id=new_key(),
        user=result.user,
        started_at=now,
        seen_at=now,
        device=device_name(request),
        tokens=result.tokens,
        proved_at=result.proved_at,
    )
    handle = yield from create_session(session, until=context.lifetimes.keep_until(session), now=now)
    return [_session_cookie(context, uri, handle, session, now)]


def _session_cookie(context: Context, uri: RedirectURI, handle: str, session: Session, now: int) -> str:
    names, age = names_for(uri), context.lifetimes.keep_until(session) - now
    return set_cookie(names.session, handle, secure=names.secure, max_age=max(1, age))
