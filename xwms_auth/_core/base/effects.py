"""The effects of a flow: every kind of I/O that a login may need, as data.

A flow (`Steps`) is a generator without I/O: it yields an effect and gets its result sent in, or an `XWMSError` thrown
in. So the same flow serves Flask and ASGI, and a test can drive it by hand. `run` and `arun` are the loops that perform
its effects.
"""

import re
from collections.abc import Awaitable, Callable, Collection, Generator, Sequence
from dataclasses import field
from inspect import isawaitable
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast

from .dataclass import dataclass
from .errors import BadAnswer, Unreachable, XWMSError
from .models import EndReason, Identity, Secret
from .session import Session
from .store_protocols import FindsLogins, FixedHandles, KnownHandle, KnowsClaims, SessionStore
from .strict_json import JSONObject, parse_json_object

R = TypeVar("R")
T = TypeVar("T")

_MEDIA_TYPE = re.compile(r"[a-z]{1,20}/[a-z0-9.+-]{1,60}")

MAX_REPLY = 64 * 1024
"""Most bytes that are read of a response. The longest documented one, lists apart, has a few hundred."""


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One call of the XWMS API, as data. `path` is relative to the API base; `body` is JSON, or None for GET.

    `secret` is the client secret, with which the transport adds the client's credentials; None for a call without them.
    Only `config/credentials.py` sets it. `seconds` is how long the call may take, if that is less than the timeout.
    `max_reply` is the largest response that is read, in bytes. With `must_finish` the call is not given up because it
    is slow (`limits.py`): it changes something, and the outcome would be lost.
    """

    method: str
    path: str
    body: bytes | None = field(default=None, repr=False)
    secret: Secret | None = None
    seconds: float | None = None
    max_reply: int = MAX_REPLY
    must_finish: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthCall:
    """One call of an OAuth 2.0 endpoint, as data. `url` is the whole URL, validated when it was parsed.

    `form` is an urlencoded body, or None for GET. `bearer` is an access token to send.
    `secret` (sent by the configured `client_auth`), `seconds`, `max_reply` and `must_finish` are as in `ApiCall`.
    """

    url: str
    form: str | None = field(default=None, repr=False)
    secret: Secret | None = None
    seconds: float | None = None
    bearer: Secret | None = None
    max_reply: int = MAX_REPLY
    must_finish: bool = False


@dataclass(frozen=True, slots=True)
class UpstreamResponse:
    """A response of XWMS or of the OAuth server. `body` is complete, decoded and within the size limit.

    `retry_after` is in seconds, or None if the response does not say when to come back.
    """

    status: int
    content_type: str
    body: bytes = field(repr=False)
    retry_after: int | None = None


class SourceReading(Protocol):
    """One reading of a source of the client secret. Neither way of doing it raises for what the source does."""

    @property
    def is_async(self) -> bool:
        """Whether the source has to be awaited."""
        ...

    def begin(self) -> None:
        """Read a source that is not async, in a thread of its own."""
        ...

    async def finish(self) -> None:
        """Read an async source."""
        ...


class Transport(Protocol):
    """Sends calls to XWMS. Without a complete response it raises `Unreachable`, `Timeout` or `BadAnswer`."""

    def pause(self, seconds: float) -> None | Awaitable[None]:
        """Sleep, in a request that waits for what another request is doing."""
        ...

    def send(self, call: ApiCall | OAuthCall) -> UpstreamResponse | Awaitable[UpstreamResponse]:
        """Send one call, once, within the deadline."""
        ...

    def read_source(self, reading: "SourceReading") -> None | Awaitable[None]:
        """Do a reading of the client secret's source, or begin it."""
        ...

    def shielded(self, steps: "Steps[T]", runtime: "Runtime") -> "T | Awaitable[T]":
        """Run steps to their end, even if the request is cancelled meanwhile."""
        ...


@dataclass(frozen=True, slots=True)
class Runtime:
    """What effects are performed with."""

    transport: Transport
    store: SessionStore


class Effect(Generic[R]):
    """One I/O operation; `R` is the type of its result."""

    __slots__ = ()

    def perform(self, runtime: Runtime) -> R | Awaitable[R]:
        """Perform it. Only `run` and `arun` call this."""
        raise TypeError(f"{type(self).__name__} cannot be performed by {runtime}")


Steps: TypeAlias = Generator[Effect[Any], Any, T]


def ask(effect: Effect[R]) -> Steps[R]:
    """Yield one effect and return its result with the right type: `response = yield from ask(CallXWMS(call))`."""
    return cast("R", (yield effect))


@dataclass(frozen=True, slots=True)
class CallXWMS(Effect[UpstreamResponse]):
    """Send one call to XWMS."""

    call: ApiCall | OAuthCall

    def perform(self, runtime: Runtime) -> UpstreamResponse | Awaitable[UpstreamResponse]:
        return runtime.transport.send(self.call)


@dataclass(frozen=True, slots=True)
class ReadSource(Effect[None]):
    """Read the source of the client secret."""

    reading: SourceReading

    def perform(self, runtime: Runtime) -> None | Awaitable[None]:
        return runtime.transport.read_source(self.reading)


@dataclass(frozen=True, slots=True)
class Pause(Effect[None]):
    """Wait a moment for another request."""

    seconds: float

    def perform(self, runtime: Runtime) -> None | Awaitable[None]:
        return runtime.transport.pause(self.seconds)


@dataclass(frozen=True, slots=True)
class Shielded(Effect[T]):
    """Steps that run to their end once they have begun, even if the request is cancelled meanwhile.

    Async code can be cancelled at every await; an async transport runs these steps shielded from that.
    """

    steps: Steps[T]

    def perform(self, runtime: Runtime) -> T | Awaitable[T]:
        return runtime.transport.shielded(self.steps, runtime)


@dataclass(frozen=True, slots=True)
class CallStore(Effect[R]):
    """Call a method of the session store. Only the functions below create one."""

    call: Callable[[SessionStore], R | Awaitable[R]] = field(repr=False)

    def perform(self, runtime: Runtime) -> R | Awaitable[R]:
        return self.call(runtime.store)


def create_session(session: Session, *, until: int, now: int) -> Steps[str]:
    """Store a new session and return its handle."""
    return ask(CallStore(lambda store: store.create(session, until=until, now=now)))


def kept_session(handle: str) -> Steps[Session | None]:
    """Return what a store that knows its handles has kept of a new session; None if it would have to look."""

    def find(store: SessionStore) -> Session | None:
        known = store.find(handle) if isinstance(store, FixedHandles) else None
        return known.session if isinstance(known, KnownHandle) else None

    return ask(CallStore(find))


def load_session(handle: str, *, now: int) -> Steps[Session | EndReason | None]:
    """Return the session of a handle, or the reason why it ended, or None."""
    return ask(CallStore(lambda store: store.load(handle, now=now)))


def renew_session(handle: str, session: Session, *, until: int, now: int) -> Steps[str | None]:
    """Store the changes of a session that has not ended, and return the handle to use from now on."""
    return ask(CallStore(lambda store: store.renew(handle, session, until=until, now=now)))


def drop_session(handle: str, *, why: EndReason | None = None, now: int) -> Steps[None]:
    """End the session of this browser."""
    return ask(CallStore(lambda store: store.drop(handle, why=why, now=now)))


def list_sessions(identity: Identity, *, now: int) -> Steps[Sequence[Session]]:
    """Return a person's sessions."""
    return ask(CallStore(lambda store: store.list(identity, now=now)))


def list_login(sid: str, *, issuer: str, now: int) -> Steps[Sequence[Session] | None]:
    """Return the sessions of one login at the server, or None if the store cannot find them (`FindsLogins`)."""
    return ask(
        CallStore(
            lambda store: store.list_login(sid, issuer=issuer, now=now) if isinstance(store, FindsLogins) else None
        )
    )


def revoke_session(session_id: str, *, now: int) -> Steps[bool]:
    """End one session, in whatever browser it is."""
    return ask(CallStore(lambda store: store.revoke(session_id, now=now)))


def revoke_sessions(identity: Identity | None, *, now: int) -> Steps[None]:
    """End all sessions of a person, or of everybody if `identity` is None."""
    if identity is None:
        return ask(CallStore(lambda store: store.revoke_client(now=now)))
    return ask(CallStore(lambda store: store.revoke_all(identity, now=now)))


def claim(name: str, *, until: int, now: int) -> Steps[bool]:
    """Claim a name: True for exactly one caller."""
    return ask(CallStore(lambda store: store.claim(name, until=until, now=now)))


def release(name: str) -> Steps[None]:
    """Release a claimed name."""
    return ask(CallStore(lambda store: store.release(name)))


def claimed(names: Sequence[str], *, now: int) -> Steps[Sequence[bool] | None]:
    """Return which names are claimed, or None if the store cannot tell without claiming them (`KnowsClaims`)."""
    return ask(CallStore(lambda store: store.claimed(names, now=now) if isinstance(store, KnowsClaims) else None))


def unavailable(response: UpstreamResponse, who: str) -> Unreachable:
    """The error for a response that says that the server is down or busy; `who` is the server, for the log."""
    cause = f"{who} answered {response.status}"
    return Unreachable(cause, upstream_status=response.status, retry_after=response.retry_after)


def run(steps: Steps[T], runtime: Runtime) -> T:
    """Run steps to their end in sync code. `runtime` must not hold anything async."""
    result: Any = None
    failed: XWMSError | None = None
    while True:
        # Around the steps alone: a `StopIteration` of what an effect calls must not look like their end.
        try:
            effect = steps.send(result) if failed is None else steps.throw(failed)
        except StopIteration as end:
            return cast("T", end.value)
        result = failed = None
        try:
            result = effect.perform(runtime)
        except XWMSError as error:
            failed = error
        except BaseException:
            steps.close()  # as in `arun`
            raise
        if isawaitable(result):
            raise TypeError(f"{type(effect).__name__} is async; use arun")


async def arun(steps: Steps[T], runtime: Runtime) -> T:
    """Run steps to their end in async code. Sync results are not awaited: a memory store causes no task switch."""
    result: Any = None
    failed: XWMSError | None = None
    while True:
        try:
            effect = steps.send(result) if failed is None else steps.throw(failed)
        except StopIteration as end:
            return cast("T", end.value)
        result = failed = None
        try:
            result = effect.perform(runtime)
            if isinstance(result, Awaitable):
                result = await cast("Awaitable[object]", result)
        except XWMSError as error:
            failed = error
        except BaseException:
            # Now, and not when nobody holds the traceback any more: others may wait for what these steps have begun.
            steps.close()
            raise


def json_object(
    response: UpstreamResponse, *, media_types: Collection[str] = ("application/json",)
) -> JSONObject | BadAnswer:
    """Parse the body of a response, whatever its status. A `BadAnswer` is returned, not raised."""
    media_type = response.content_type.partition(";")[0].strip().lower()
    if media_type not in media_types:
        # Only what can be a media type, since it is text of others.
        shown = media_type if _MEDIA_TYPE.fullmatch(media_type) else "of no known type"
        return BadAnswer(f"the response is {shown}, not {next(iter(media_types))}", upstream_status=response.status)
    parsed = parse_json_object(response.body)
    return BadAnswer("the response is not a JSON object", upstream_status=response.status) if parsed is None else parsed
