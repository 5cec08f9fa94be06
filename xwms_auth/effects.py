"""What a login story may ask the outside world for.

A story in `flow.py` is a generator: it yields an effect and is sent the answer, or is thrown an `XWMSError`.
It performs nothing itself, so one story serves Flask and ASGI, and a test can play the world by hand.

Knows: the effects, the shape of the two things that perform them, and the `Steps` type.
Must not: perform anything.
"""

from collections.abc import Awaitable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast, runtime_checkable

from .models import Ending, Identity, Session
from .secret import Secret

R = TypeVar("R")
T = TypeVar("T")

MAX_REPLY = 64 * 1024
"""Bytes of an answer worth reading. The longest documented one that is no list is a few hundred."""


MAX_CLAIM_NAME = 64
"""Characters of a name that a store can be asked to claim."""


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One call of the XWMS API, as data. `path` is relative to the API base; `body` is JSON, or None for GET.

    `max_reply` is the longest answer worth reading, in bytes.
    """

    method: str
    path: str
    body: bytes | None = field(repr=False)
    authenticated: bool
    max_reply: int = MAX_REPLY


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthCall:
    """One call of an OAuth 2.0 endpoint, as data. `url` is its whole address, checked when it was read.

    `form` is an urlencoded body, or None for GET. `authenticated` has the transport add the client's credentials, as
    the configured `client_auth` says; `bearer` is an access token to be shown.
    `max_reply` is the longest answer worth reading, in bytes.
    """

    url: str
    form: str | None = field(default=None, repr=False)
    authenticated: bool = False
    bearer: Secret | None = None
    max_reply: int = MAX_REPLY


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. `body` is complete, decoded and within the size cap."""

    status: int
    content_type: str
    body: bytes = field(repr=False)


class Transport(Protocol):
    """Sends calls to XWMS: `Unreachable`, `Timeout` or `BadAnswer` where there is no whole answer."""

    def pause(self, seconds: float) -> None | Awaitable[None]:
        """Let this time go by, for somebody who waits for what another request is doing."""
        ...

    def send(self, call: ApiCall | OAuthCall) -> Reply | Awaitable[Reply]:
        """Send one call, once, within the deadline."""
        ...


@runtime_checkable
class SessionStore(Protocol):
    """Where sessions live between requests. A method may be plain or async; all raise `StoreUnavailable` when down.

    A *handle* is what the browser's session cookie holds: an opaque string that only the store understands.
    A session's *id* names it in lists; nobody can make a handle of it. `now` and `until` are seconds since 1970.

    missing:    `load` returns None for a handle it never gave out; nothing is ever created under it.
    malformed:  the same as missing. A store never raises for what a browser sent.
    expired:    the idle and absolute limits are judged by the flow, for every store alike. A session is kept `until`
                some time after them, so that its person can be told why; from then on it is the same as missing.
    ended:      a session that was ended with a reason is gone for good, and `load` returns the reason until that time.
                Nothing else of it is kept: no name, no address.
    down:       `StoreUnavailable`, never None: "cannot tell" must not look like "signed out".

    `xwms_auth.testing.store_contract` holds all of this as tests, for a store of your own too.
    """

    def create(self, session: Session, *, until: int, now: int) -> str | Awaitable[str]:
        """Keep a new session under a new handle nobody can guess, and return the handle.

        The store may give the session another id than the one it comes with.
        """
        ...

    def load(self, handle: str, *, now: int) -> Session | Ending | None | Awaitable[Session | Ending | None]:
        """Return the session behind the handle, or why it ended, or None."""
        ...

    def recall(self, handle: str, *, now: int) -> Session | None:
        """Return the session behind the handle if that needs no looking up, otherwise None, which says nothing.

        Never async: it is what makes most requests of a busy person cheap. A session that has ended is not recalled.
        """
        ...

    def renew(self, handle: str, session: Session, *, until: int, now: int) -> str | None | Awaitable[str | None]:
        """Keep what is new about the session *if it is still there*; return the handle to use now.

        None means that the session has ended meanwhile: a request in flight must not bring it back. What is kept may
        have changed since `session` was read, so the two are made one, at once for all who share the store:
        `models.latest` says how.
        """
        ...

    def drop(self, handle: str, *, why: Ending | None, now: int) -> None | Awaitable[None]:
        """End the session; without a reason nothing of it stays. Unknown handles are fine."""
        ...

    def list(self, identity: Identity, *, now: int) -> Sequence[Session] | Awaitable[Sequence[Session]]:
        """Return the person's sessions that have not ended. `ConfigError` where the store has no list."""
        ...

    def revoke(self, session_id: str, *, now: int) -> bool | Awaitable[bool]:
        """End the session of this id with `Ending.REVOKED`. True if there may have been one.

        This and the two below raise `ConfigError` where the store cannot end a session elsewhere.
        """
        ...

    def revoke_all(self, identity: Identity, *, now: int) -> None | Awaitable[None]:
        """End every session of the person that began up to now."""
        ...

    def revoke_client(self, *, now: int) -> None | Awaitable[None]:
        """End every session of everybody that began up to now."""
        ...

    def claim(self, name: str, *, until: int, now: int) -> bool | Awaitable[bool]:
        """Take a name: True for exactly one caller, until that time or until it is released.

        Names are 1 to 64 characters of `A-Z a-z 0-9 - _ /`. They stand for whatever may happen once: a pending login
        that is used, a token that is tried, a refresh that is under way, a logout token that was delivered.
        Wherever the store is shared this is atomic for everybody who shares it.
        """
        ...

    def release(self, name: str) -> None | Awaitable[None]:
        """Give a name back, after a call to XWMS of which no byte was sent. Unknown names are fine."""
        ...


@runtime_checkable
class RevocationStore(Protocol):
    """What sessions that live in their own cookies need a server for: times from before which they no longer count.

    Every server store is one too. Down and async are as in `SessionStore`.
    """

    def not_before(self, names: Sequence[str], *, now: int) -> Sequence[int] | Awaitable[Sequence[int]]:
        """Return for each name the time up to which sessions of that name are over; 0 where there is none."""
        ...

    def forbid(self, name: str, *, upto: int, until: int, now: int) -> None | Awaitable[None]:
        """Set that time to `upto`, or to one second after the one it has, whichever is later. Kept `until` then."""
        ...

    def claim(self, name: str, *, until: int, now: int) -> bool | Awaitable[bool]:
        """As in `SessionStore`."""
        ...

    def release(self, name: str) -> None | Awaitable[None]:
        """As in `SessionStore`."""
        ...


@runtime_checkable
class KnowsClaims(Protocol):
    """A store that tells which names are claimed without claiming them. Optional for a store.

    Without it a name is claimed and released again to find out, and each process learns for itself what its callbacks
    look like.
    """

    def claimed(self, names: Sequence[str], *, now: int) -> Sequence[bool] | Awaitable[Sequence[bool]]:
        """Return for each name whether somebody has claimed it."""
        ...


@runtime_checkable
class KeepsConnections(Protocol):
    """A store with connections to keep while the application lives, and to close when it ends. Optional for a store."""

    def keep_connections(self) -> None:
        """The application begins, and `close` will be called when it ends, in the same event loop."""
        ...

    def close(self) -> None | Awaitable[None]:
        """The application ends. The store can be used again afterwards."""
        ...


@dataclass(frozen=True, slots=True)
class World:
    """The outside: who performs what a story asks for."""

    transport: Transport
    store: SessionStore


class Effect(Generic[R]):
    """Something asked of the world; `R` is the type of the answer."""

    __slots__ = ()

    def perform(self, world: World) -> R | Awaitable[R]:
        """Ask the world. Only the two drivers in `drive.py` call this."""
        raise TypeError(f"{type(self).__name__} cannot be performed by {world}")


Steps: TypeAlias = Generator[Effect[Any], Any, T]


def ask(effect: Effect[R]) -> Steps[R]:
    """Yield one effect and return its answer with the right type: `reply = yield from ask(CallXWMS(call))`."""
    return cast("R", (yield effect))


@dataclass(frozen=True, slots=True)
class CallXWMS(Effect[Reply]):
    """Send one call to XWMS."""

    call: ApiCall | OAuthCall

    def perform(self, world: World) -> Reply | Awaitable[Reply]:
        return world.transport.send(self.call)


@dataclass(frozen=True, slots=True)
class Pause(Effect[None]):
    """Wait a moment for somebody else."""

    seconds: float

    def perform(self, world: World) -> None | Awaitable[None]:
        return world.transport.pause(self.seconds)


@dataclass(frozen=True, slots=True)
class Whole(Effect[T]):
    """Steps that come to their end once they have begun, also where the request is given up meanwhile.

    Async code can be cancelled wherever it waits. The drivers play these in a task of their own.
    """

    steps: Steps[T]


@dataclass(frozen=True, slots=True)
class CreateSession(Effect[str]):
    """Keep a new session."""

    session: Session
    until: int
    now: int

    def perform(self, world: World) -> str | Awaitable[str]:
        return world.store.create(self.session, until=self.until, now=self.now)


@dataclass(frozen=True, slots=True)
class LoadSession(Effect[Session | Ending | None]):
    """Look a session up."""

    handle: str
    now: int

    def perform(self, world: World) -> Session | Ending | None | Awaitable[Session | Ending | None]:
        return world.store.load(self.handle, now=self.now)


@dataclass(frozen=True, slots=True)
class RenewSession(Effect[str | None]):
    """Keep what is new about a session, if it is still there."""

    handle: str
    session: Session
    until: int
    now: int

    def perform(self, world: World) -> str | None | Awaitable[str | None]:
        return world.store.renew(self.handle, self.session, until=self.until, now=self.now)


@dataclass(frozen=True, slots=True)
class DropSession(Effect[None]):
    """End the session of this browser."""

    handle: str
    now: int
    why: Ending | None = None

    def perform(self, world: World) -> None | Awaitable[None]:
        return world.store.drop(self.handle, why=self.why, now=self.now)


@dataclass(frozen=True, slots=True)
class ListSessions(Effect[Sequence[Session]]):
    """Find a person's sessions."""

    identity: Identity
    now: int

    def perform(self, world: World) -> Sequence[Session] | Awaitable[Sequence[Session]]:
        return world.store.list(self.identity, now=self.now)


@dataclass(frozen=True, slots=True)
class RevokeSession(Effect[bool]):
    """End one session, wherever it is used."""

    session_id: str
    now: int

    def perform(self, world: World) -> bool | Awaitable[bool]:
        return world.store.revoke(self.session_id, now=self.now)


@dataclass(frozen=True, slots=True)
class RevokeAll(Effect[None]):
    """End all sessions of a person, or with None of everybody."""

    identity: Identity | None
    now: int

    def perform(self, world: World) -> None | Awaitable[None]:
        if self.identity is None:
            return world.store.revoke_client(now=self.now)
        return world.store.revoke_all(self.identity, now=self.now)


@dataclass(frozen=True, slots=True)
class Claim(Effect[bool]):
    """Take a name that one caller gets."""

    name: str
    until: int
    now: int

    def perform(self, world: World) -> bool | Awaitable[bool]:
        return world.store.claim(self.name, until=self.until, now=self.now)


@dataclass(frozen=True, slots=True)
class Release(Effect[None]):
    """Give a name back."""

    name: str

    def perform(self, world: World) -> None | Awaitable[None]:
        return world.store.release(self.name)


@dataclass(frozen=True, slots=True)
class Claimed(Effect[Sequence[bool] | None]):
    """Ask which names are taken; None from a store that cannot tell without taking them."""

    names: tuple[str, ...]
    now: int

    def perform(self, world: World) -> Sequence[bool] | None | Awaitable[Sequence[bool] | None]:
        return world.store.claimed(self.names, now=self.now) if isinstance(world.store, KnowsClaims) else None
