"""Ending sessions from outside the browser that has them: somebody's other devices, everybody at once.

Knows: what to ask of a store, and what goes into the log.
Must not: decide who may; that is the application's.
"""

from enum import Enum, auto

from ..base import effects, events
from ..base.effects import Steps
from ..base.models import Identity, SessionInfo
from ..config.context import Context


def list_sessions(context: Context, sub: str, *, current: str | None, now: int) -> Steps[tuple[SessionInfo, ...]]:
    """A person's sessions that are alive, the one used last first. `current` is the id of the one that asks."""
    found = yield from effects.list_sessions(_identity(context, sub), now=now)
    alive = [session for session in found if context.lifetimes.alive(session, now)]
    alive.sort(key=lambda session: (session.id == current, session.seen_at, session.started_at), reverse=True)
    return tuple(SessionInfo.of(session, is_current=session.id == current) for session in alive)


class Anybody(Enum):
    """Whose session may be ended where no person is named. None is not that: it is what nobody's `sub` is."""

    ANYBODY = auto()


ANYBODY = Anybody.ANYBODY


def revoke(context: Context, session_id: object, *, sub: str | None | Anybody, now: int) -> Steps[bool]:
    """End one session; with `sub` only if it is that person's. False for what cannot be an id."""
    if sub is None or not isinstance(session_id, str):
        return False
    if sub is not ANYBODY:
        theirs = yield from effects.list_sessions(_identity(context, sub), now=now)
        if session_id not in [session.id for session in theirs]:
            return False
    ended = yield from effects.revoke_session(session_id, now=now)
    if ended:
        events.info("session_revoked")
    return ended


def revoke_all(context: Context, sub: str, *, now: int) -> Steps[None]:
    """End every session of a person."""
    identity = _identity(context, sub)
    yield from effects.revoke_sessions(identity, now=now)
    events.info("sessions_revoked", person=events.person_hash(identity))


def revoke_client(context: Context, *, now: int) -> Steps[None]:
    """End every session of everybody."""
    yield from effects.revoke_sessions(None, now=now)
    events.warning("all_sessions_revoked", client=context.config.client_id)


def _identity(context: Context, sub: str) -> Identity:
    return Identity(context.config.issuer, sub)
