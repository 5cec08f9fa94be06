"""What a login story may ask the outside world for.

A story in `flow.py` is a generator: it yields an effect and is sent the answer, or is thrown an `XWMSError`.
It performs nothing itself, so one story serves Flask and ASGI, and a test can play the world by hand.

Knows: the effects, the shape of the two things that perform them, and the `Steps` type.
Must not: perform anything.
"""

from collections.abc import Awaitable, Collection, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast

from .errors import BadAnswer
from .models import EndReason, Identity, Session
from .secrets import Secret
from .store_protocols import KnowsClaims, SessionStore
from .strict_json import JSONObject, parse_json_object

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
class UpstreamResponse:
    """What came back. `body` is complete, decoded and within the size cap."""

    status: int
    content_type: str
    body: bytes = field(repr=False)


class Transport(Protocol):
    """Sends calls to XWMS: `Unreachable`, `Timeout` or `BadAnswer` where there is no whole answer."""

    def pause(self, seconds: float) -> None | Awaitable[None]:
        """Let this time go by, for somebody who waits for what another request is doing."""
        ...

    def send(self, call: ApiCall | OAuthCall) -> UpstreamResponse | Awaitable[UpstreamResponse]:
        """Send one call, once, within the deadline."""
        ...


@dataclass(frozen=True, slots=True)
class Runtime:
    """The outside: who performs what a story asks for."""

    transport: Transport
    store: SessionStore


class Effect(Generic[R]):
    """Something asked of the world; `R` is the type of the answer."""

    __slots__ = ()

    def perform(self, runtime: Runtime) -> R | Awaitable[R]:
        """Ask the world. Only the two drivers in `drive.py` call this."""
        raise TypeError(f"{type(self).__name__} cannot be performed by {runtime}")


Steps: TypeAlias = Generator[Effect[Any], Any, T]


def ask(effect: Effect[R]) -> Steps[R]:
    """Yield one effect and return its answer with the right type: `reply = yield from ask(CallXWMS(call))`."""
    return cast("R", (yield effect))


@dataclass(frozen=True, slots=True)
class CallXWMS(Effect[UpstreamResponse]):
    """Send one call to XWMS."""

    call: ApiCall | OAuthCall

    def perform(self, runtime: Runtime) -> UpstreamResponse | Awaitable[UpstreamResponse]:
        return runtime.transport.send(self.call)


@dataclass(frozen=True, slots=True)
class Pause(Effect[None]):
    """Wait a moment for somebody else."""

    seconds: float

    def perform(self, runtime: Runtime) -> None | Awaitable[None]:
        return runtime.transport.pause(self.seconds)


@dataclass(frozen=True, slots=True)
class Shielded(Effect[T]):
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

    def perform(self, runtime: Runtime) -> str | Awaitable[str]:
        return runtime.store.create(self.session, until=self.until, now=self.now)


@dataclass(frozen=True, slots=True)
class LoadSession(Effect[Session | EndReason | None]):
    """Look a session up."""

    handle: str
    now: int

    def perform(self, runtime: Runtime) -> Session | EndReason | None | Awaitable[Session | EndReason | None]:
        return runtime.store.load(self.handle, now=self.now)


@dataclass(frozen=True, slots=True)
class RenewSession(Effect[str | None]):
    """Keep what is new about a session, if it is still there."""

    handle: str
    session: Session
    until: int
    now: int

    def perform(self, runtime: Runtime) -> str | None | Awaitable[str | None]:
        return runtime.store.renew(self.handle, self.session, until=self.until, now=self.now)


@dataclass(frozen=True, slots=True)
class DropSession(Effect[None]):
    """End the session of this browser."""

    handle: str
    now: int
    why: EndReason | None = None

    def perform(self, runtime: Runtime) -> None | Awaitable[None]:
        return runtime.store.drop(self.handle, why=self.why, now=self.now)


@dataclass(frozen=True, slots=True)
class ListSessions(Effect[Sequence[Session]]):
    """Find a person's sessions."""

    identity: Identity
    now: int

    def perform(self, runtime: Runtime) -> Sequence[Session] | Awaitable[Sequence[Session]]:
        return runtime.store.list(self.identity, now=self.now)


@dataclass(frozen=True, slots=True)
class RevokeSession(Effect[bool]):
    """End one session, wherever it is used."""

    session_id: str
    now: int

    def perform(self, runtime: Runtime) -> bool | Awaitable[bool]:
        return runtime.store.revoke(self.session_id, now=self.now)


@dataclass(frozen=True, slots=True)
class RevokeAll(Effect[None]):
    """End all sessions of a person, or with None of everybody."""

    identity: Identity | None
    now: int

    def perform(self, runtime: Runtime) -> None | Awaitable[None]:
        if self.identity is None:
            return runtime.store.revoke_client(now=self.now)
        return runtime.store.revoke_all(self.identity, now=self.now)


@dataclass(frozen=True, slots=True)
class Claim(Effect[bool]):
    """Take a name that one caller gets."""

    name: str
    until: int
    now: int

    def perform(self, runtime: Runtime) -> bool | Awaitable[bool]:
        return runtime.store.claim(self.name, until=self.until, now=self.now)


@dataclass(frozen=True, slots=True)
class Release(Effect[None]):
    """Give a name back."""

    name: str

    def perform(self, runtime: Runtime) -> None | Awaitable[None]:
        return runtime.store.release(self.name)


@dataclass(frozen=True, slots=True)
class Claimed(Effect[Sequence[bool] | None]):
    """Ask which names are taken; None from a store that cannot tell without taking them."""

    names: tuple[str, ...]
    now: int

    def perform(self, runtime: Runtime) -> Sequence[bool] | None | Awaitable[Sequence[bool] | None]:
        return runtime.store.claimed(self.names, now=self.now) if isinstance(runtime.store, KnowsClaims) else None


def json_object(
    reply: UpstreamResponse, *, media_types: Collection[str] = ("application/json",)
) -> JSONObject | BadAnswer:
    """The JSON object that an answer consists of, or what is wrong with it; of an answer of any status."""
    if reply.content_type.partition(";")[0].strip().lower() not in media_types:
        return BadAnswer(f"the answer is not {' or '.join(media_types)}", upstream_status=reply.status)
    parsed = parse_json_object(reply.body)
    return BadAnswer("the answer is not a JSON object", upstream_status=reply.status) if parsed is None else parsed
