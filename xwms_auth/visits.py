"""Who visits: reading a session, renewing it, beginning a new one.

Knows: the session cookie, and what to ask of a store.
Must not: know how anybody came to be signed in.
"""

from typing import NamedTuple

from . import audit
from .cookies import read_cookie, set_cookie
from .effects import CreateSession, DropSession, LoadSession, RenewSession, SessionStore, Steps, ask
from .errors import StoreUnavailable
from .models import Session, User
from .redirects import RedirectURI
from .site import Site, names_for
from .tokens import new_key

MAX_HANDLE = 4096
"""Characters. No session cookie of ours is longer, so a longer one is not looked up."""


class Visit(NamedTuple):
    """Who this browser is, as far as its session cookie tells. `session` is None for nobody.

    `handle` is what the cookie held, or None where there was none or where nothing is due for renewal.
    """

    uri: RedirectURI | None
    handle: str | None
    session: Session | None


NOBODY = Visit(uri=None, handle=None, session=None)
"""A browser that sent no cookie of ours."""


def recognise(site: Site, store: SessionStore, cookie: str, uri: RedirectURI | None, *, now: int) -> Visit | None:
    """The visit of a browser that needs no step: its session is at hand, alive, and not due for renewal.

    None says nothing; `who_visits` does. This only spares most requests of a busy person the asking.
    """
    handle = read_cookie(cookie, names_for(uri).session) if uri is not None else None
    if handle is None:
        return NOBODY
    session = store.recall(handle)
    if session is None or not site.lifetimes.alive(session, now) or site.lifetimes.due(session, now):
        return None
    return Visit(uri, None, session)


def who_visits(site: Site, cookie: str, uri: RedirectURI | None, *, now: int) -> Steps[Visit]:
    """Read the session cookie from the raw Cookie header and judge the session. Writes nothing."""
    handle = read_cookie(cookie, names_for(uri).session) if uri is not None else None
    if not handle or len(handle) > MAX_HANDLE:
        return Visit(uri=uri, handle=None, session=None)
    session = yield from ask(LoadSession(handle, now))
    if session is not None and not site.lifetimes.alive(session, now):
        session = None
    return Visit(uri=uri, handle=handle, session=session)


def renew(site: Site, visit: Visit, *, now: int) -> Steps[str | None]:
    """Move the idle limit if it is time; the Set-Cookie value for it, or None. Never brings an ended session back."""
    session = visit.session
    if session is None or visit.handle is None or visit.uri is None or not site.lifetimes.due(session, now):
        return None
    renewed = site.lifetimes.renewed(session, now)
    try:
        handle = yield from ask(RenewSession(visit.handle, renewed, now))
    except StoreUnavailable as error:
        # The page is made already; renewing can wait for the next one.
        audit.happened("session_not_renewed", cause=error.cause)
        return None
    return None if handle is None else _session_cookie(site, visit.uri, handle, renewed, now)


def begin_session(site: Site, cookie: str, uri: RedirectURI, user: User, *, now: int) -> Steps[list[str]]:
    """End the session this browser had, begin a new one under a new key; the Set-Cookie values for it."""
    old = read_cookie(cookie, names_for(uri).session)
    if old is not None and len(old) <= MAX_HANDLE:
        yield from ask(DropSession(old, now))
    session = Session(id=new_key(), user=user, started_at=now, seen_at=now)
    handle = yield from ask(CreateSession(session, now))
    return [_session_cookie(site, uri, handle, session, now)]


def _session_cookie(site: Site, uri: RedirectURI, handle: str, session: Session, now: int) -> str:
    names = names_for(uri)
    return set_cookie(names.session, handle, secure=names.secure, max_age=site.lifetimes.max_age(session, now))
