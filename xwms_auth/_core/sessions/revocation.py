"""List and end sessions from outside their browser: a person's other devices, or everybody's at once.

Does no authorization: the application decides who may end a session.
"""

from enum import Enum, auto

from ..base import effects, events
from ..base.effects import Steps
from ..base.models import EndReason, Identity
from ..base.session import SessionInfo
from ..config.context import Context
from ..http.messages import read_cookie, set_cookie
from .lookup import MAX_HANDLE, SessionLookup


def list_sessions(context: Context, sub: str, *, current: str | None, now: int) -> Steps[tuple[SessionInfo, ...]]:
    """A person's live sessions: the current one first (`current` is its id), then the most recently used."""
    found = yield from effects.list_sessions(_identity(context, sub), now=now)
    alive = [session for session in found if context.lifetimes.alive(session, now)]
    alive.sort(key=lambda session: (session.id == current, session.seen_at, session.started_at), reverse=True)
    return tuple(SessionInfo.of(session, is_current=session.id == current) for session in alive)


_SHOWN = 12
"""Characters of a session's id in the log: enough to tell sessions apart."""


class Anybody(Enum):
    """The `sub` that matches any person. None does not: it is the `sub` when nobody is signed in."""

    ANYBODY = auto()


ANYBODY = Anybody.ANYBODY


def revoke(context: Context, session_id: object, *, sub: str | None | Anybody, now: int) -> Steps[bool]:
    """End one session; with `sub` only if it is that person's. False if it is not, or the id is no string."""
    if sub is None or not isinstance(session_id, str):
        return False
    whose = {}
    if sub is not ANYBODY:
        whose = {"person": context.log_name(_identity(context, sub))}
        sessions = yield from effects.list_sessions(_identity(context, sub), now=now)
        if session_id not in [session.id for session in sessions]:
            return False
    ended = yield from effects.revoke_session(session_id, now=now)
    if ended:
        events.info("session_revoked", session=session_id[:_SHOWN], **whose)
    return ended


def revoke_all(context: Context, sub: str, *, now: int) -> Steps[None]:
    """End every session of a person."""
    identity = _identity(context, sub)
    yield from effects.revoke_sessions(identity, now=now)
    events.info("sessions_revoked", person=context.log_name(identity))


def revoke_client(context: Context, *, now: int) -> Steps[None]:
    """End every session of every person."""
    yield from effects.revoke_sessions(None, now=now)
    events.warning("all_sessions_revoked", client=context.config.client_id)


def end_here(context: Context, found: SessionLookup, cookie: str, *, now: int) -> Steps[tuple[SessionLookup, str]]:
    """End the session of this browser, whose account is blocked or gone.

    `cookie` is the raw Cookie header. Returns the lookup from now on, and the Set-Cookie value that deletes the cookie.
    """
    if found.uri is None or found.session is None:
        return found, ""
    names, why = context.names_for(found.uri), EndReason.REVOKED
    handle = read_cookie(cookie, names.session)
    if handle is not None and len(handle) <= MAX_HANDLE:
        yield from effects.drop_session(handle, why=why, now=now)
    events.warning("session_ended", person=context.log_name(found.session.user.identity), reason=why)
    ended = found._replace(handle=None, session=None, ended=why, changed=False, has_new_tokens=False)
    return ended, set_cookie(names.session, "", secure=names.secure, max_age=0)


def _identity(context: Context, sub: str) -> Identity:
    return Identity(context.issuer, sub)
