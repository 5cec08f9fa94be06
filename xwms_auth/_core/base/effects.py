"""What a login story may ask the outside world for.

A story in `flow.py` is a generator: it yields an effect and is sent the answer, or is thrown an `XWMSError`.
It performs nothing itself, so one story serves Flask and ASGI, and a test can play the world by hand.

Knows: the effects, the shape of the two things that perform them, and the `Steps` type.
Must not: perform anything.
"""

from collections.abc import Awaitable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast

from .errors import BadAnswer
from .models import EndReason, Identity, Session
from .secrets import Secret
from .store_protocols import SessionStore
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
class CallStore(Effect[R]):
    """Call a method of the session store. Only the functions below make one, with the types of `SessionStore`.

    `optional`: the result is None where the store does not have the method.
    """

    method: str
    arguments: tuple[Any, ...] = field(repr=False)
    options: Mapping[str, Any] = field(repr=False)
    optional: bool = False

    def perform(self, runtime: Runtime) -> R | Awaitable[R]:
        if self.optional and not hasattr(runtime.store, self.method):
            return cast("R", None)
        return cast("R | Awaitable[R]", getattr(runtime.store, self.method)(*self.arguments, **self.options))


def _call_store(method: str, *arguments: object, optional: bool = False, **options: object) -> Steps[Any]:
    return ask(CallStore(method, arguments, options, optional))


def create_session(session: Session, *, until: int, now: int) -> Steps[str]:
    """Keep a new session; gives its handle."""
    return _call_store("create", session, until=until, now=now)


def load_session(handle: str, *, now: int) -> Steps[Session | EndReason | None]:
    """Look a session up."""
    return _call_store("load", handle, now=now)


def renew_session(handle: str, session: Session, *, until: int, now: int) -> Steps[str | None]:
    """Keep what is new about a session, if it is still there; gives the handle to use now."""
    return _call_store("renew", handle, session, until=until, now=now)


def drop_session(handle: str, *, why: EndReason | None = None, now: int) -> Steps[None]:
    """End the session of this browser."""
    return _call_store("drop", handle, why=why, now=now)


def list_sessions(identity: Identity, *, now: int) -> Steps[Sequence[Session]]:
    """Find a person's sessions."""
    return _call_store("list", identity, now=now)


def revoke_session(session_id: str, *, now: int) -> Steps[bool]:
    """End one session, wherever it is used."""
    return _call_store("revoke", session_id, now=now)


def revoke_sessions(identity: Identity | None, *, now: int) -> Steps[None]:
    """End all sessions of a person, or with None of everybody."""
    if identity is None:
        return _call_store("revoke_client", now=now)
    return _call_store("revoke_all", identity, now=now)


def claim(name: str, *, until: int, now: int) -> Steps[bool]:
    """Take a name that one caller gets."""
    return _call_store("claim", name, until=until, now=now)


def release(name: str) -> Steps[None]:
    """Give a name back."""
    return _call_store("release", name)


def claimed(names: Sequence[str], *, now: int) -> Steps[Sequence[bool] | None]:
    """Ask which names are taken; None from a store that cannot tell without taking them (`KnowsClaims`)."""
    return _call_store("claimed", names, now=now, optional=True)


def json_object(
    reply: UpstreamResponse, *, media_types: Collection[str] = ("application/json",)
) -> JSONObject | BadAnswer:
    """The JSON object that an answer consists of, or what is wrong with it; of an answer of any status."""
    if reply.content_type.partition(";")[0].strip().lower() not in media_types:
        return BadAnswer(f"the answer is not {' or '.join(media_types)}", upstream_status=reply.status)
    parsed = parse_json_object(reply.body)
    return BadAnswer("the answer is not a JSON object", upstream_status=reply.status) if parsed is None else parsed
