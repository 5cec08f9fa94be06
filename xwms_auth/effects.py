"""What a login story may ask the outside world for.

A story in `flow.py` is a generator: it yields an effect and is sent the answer, or is thrown an `XWMSError`.
It performs nothing itself, so one story serves Flask and ASGI, and a test can play the world by hand.

Knows: the effects, the shape of the two things that perform them, and the `Steps` type.
Must not: perform anything.
"""

from collections.abc import Awaitable, Generator
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast

from .models import Session
from .secret import Secret

R = TypeVar("R")
T = TypeVar("T")

MAX_REPLY = 64 * 1024
"""Bytes of an answer worth reading. The longest documented one that is no list is a few hundred."""


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

    def send(self, call: ApiCall | OAuthCall) -> Reply | Awaitable[Reply]:
        """Send one call, once, within the deadline."""
        ...


class SessionStore(Protocol):
    """Where sessions live between requests. A method may be plain or async; all raise `StoreUnavailable` when down.

    A *handle* is what the browser's session cookie holds: an opaque string that only the store understands.

    missing:    `load` returns None for a handle it never gave out; nothing is ever created under it.
    malformed:  the same as missing. A store never raises for what a browser sent.
    expired:    the same as missing, at the latest when the absolute lifetime is over; idleness is judged by the flow.
    down:       `StoreUnavailable`, never None: "cannot tell" must not look like "signed out".
    """

    def create(self, session: Session, *, now: int) -> str | Awaitable[str]:
        """Keep a new session under a new handle nobody can guess, and return the handle."""
        ...

    def load(self, handle: str, *, now: int) -> Session | None | Awaitable[Session | None]:
        """Return the session behind the handle, or None."""
        ...

    def recall(self, handle: str) -> Session | None:
        """Return the session behind the handle if that needs no looking up, otherwise None, which says nothing.

        Never async: it is what makes most requests of a busy person cheap. A session that has ended is not recalled.
        """
        ...

    def renew(self, handle: str, session: Session, *, now: int) -> str | None | Awaitable[str | None]:
        """Keep the newer session in place of the older one *if that is still there*; return the handle to use now.

        None means that the session has ended meanwhile: a request in flight must not bring it back.
        """
        ...

    def drop(self, handle: str, *, now: int) -> None | Awaitable[None]:
        """Forget the session. Unknown handles are fine."""
        ...

    def spend(self, login_id: str, *, until: int, now: int) -> bool | Awaitable[bool]:
        """Mark a pending login as used; True for exactly one caller. The mark may be forgotten after `until`."""
        ...

    def unspend(self, login_id: str) -> None | Awaitable[None]:
        """Take the mark back, after a call to XWMS of which no byte was sent."""
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
class CreateSession(Effect[str]):
    """Keep a new session."""

    session: Session
    now: int

    def perform(self, world: World) -> str | Awaitable[str]:
        return world.store.create(self.session, now=self.now)


@dataclass(frozen=True, slots=True)
class LoadSession(Effect[Session | None]):
    """Look a session up."""

    handle: str
    now: int

    def perform(self, world: World) -> Session | None | Awaitable[Session | None]:
        return world.store.load(self.handle, now=self.now)


@dataclass(frozen=True, slots=True)
class RenewSession(Effect[str | None]):
    """Move a session's idle limit, if it is still there."""

    handle: str
    session: Session
    now: int

    def perform(self, world: World) -> str | None | Awaitable[str | None]:
        return world.store.renew(self.handle, self.session, now=self.now)


@dataclass(frozen=True, slots=True)
class DropSession(Effect[None]):
    """Forget a session."""

    handle: str
    now: int

    def perform(self, world: World) -> None | Awaitable[None]:
        return world.store.drop(self.handle, now=self.now)


@dataclass(frozen=True, slots=True)
class SpendLogin(Effect[bool]):
    """Mark a pending login as used."""

    login_id: str
    until: int
    now: int

    def perform(self, world: World) -> bool | Awaitable[bool]:
        return world.store.spend(self.login_id, until=self.until, now=self.now)


@dataclass(frozen=True, slots=True)
class UnspendLogin(Effect[None]):
    """Take that mark back."""

    login_id: str

    def perform(self, world: World) -> None | Awaitable[None]:
        return world.store.unspend(self.login_id)
