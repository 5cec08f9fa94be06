"""The client's credentials on a call, and what happens when they are refused: rotation without a restart.

Every call with the client secret goes through `send_as_client`. If the server refuses the credentials, the secret's
source is read again, and if it has another secret, the call is repeated with that: once, and within the time that one
call may take. A server judges the credentials before anything else, so a refused call has changed nothing.
"""

import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import replace
from typing import TypeVar

from ..base import events
from ..base.dataclass import dataclass
from ..base.effects import ApiCall, CallXWMS, OAuthCall, ReadSource, Steps, UpstreamResponse, ask
from ..base.errors import ConfigError, CredentialsRejected, Unreachable
from ..base.memory.limits import Waiting
from ..base.models import Secret
from ..base.unexpected import place_in_function
from .config import XWMSConfig
from .secret_sources import SOURCE_SECONDS, Reading, SecretFromCallable, SecretFromFile, SourceFault

T = TypeVar("T")

POLL_INTERVAL = 0.02
"""Seconds between two checks whether a source has been read."""

MIN_SECONDS = 0.1
"""Seconds that must be left for a call to be repeated."""

_HINT = "put the new secret where this one comes from; no restart is needed"


def send_as_client(config: XWMSConfig, call: ApiCall | OAuthCall, read: Callable[[UpstreamResponse], T]) -> Steps[T]:
    """Send a call with the client's credentials and return what `read` makes of the response.

    Raises what `read` raises, an `APIError` of the transport, `ConfigError` for a secret that cannot be sent, and
    `Unreachable` if there is no secret because its source fails.
    """
    until = time.monotonic() + config.timeout_seconds
    secret = yield from _secret(config, until=until)
    sent_at = time.monotonic()
    # The source may have taken some of the time.
    left = min(config.timeout_seconds, max(until - sent_at, MIN_SECONDS))
    try:
        return read((yield from ask(CallXWMS(replace(call, secret=secret, seconds=left)))))
    except CredentialsRejected:
        other = yield from _other_secret(config, secret, since=sent_at, until=until)
        left = until - time.monotonic()
        if other is None or left < MIN_SECONDS:
            raise
    try:
        return read((yield from ask(CallXWMS(replace(call, secret=other, seconds=left)))))
    except CredentialsRejected:
        source = config.secret_source
        if isinstance(source, SecretFromCallable | SecretFromFile) and source.may_warn():
            events.warning("client_secret_refused", source=source.name, cause="also the newer secret was refused")
        raise


def _secret(config: XWMSConfig, *, until: float) -> Steps[Secret]:
    """Return the secret to begin with."""
    source = config.secret_source
    if not isinstance(source, SecretFromCallable):
        secret = source()
        if isinstance(source, SecretFromFile):
            if source.changed():
                events.info("client_secret_renewed", source=source.name, cause="the file has changed")
            elif (fault := source.fault) and source.may_warn():
                events.warning("client_secret_not_read", source=source.name, cause=fault)
        return secret
    found = yield from _fetched(config, source, refused=None, since=time.monotonic(), until=until)
    if found is None:
        raise Unreachable("the client secret could not be read from its source", sent=False)
    return found


def _other_secret(config: XWMSConfig, refused: Secret, *, since: float, until: float) -> Steps[Secret | None]:
    """Return the secret that the source has now; None if it is the refused one, or cannot be had in time."""
    source = config.secret_source
    if isinstance(source, SecretFromCallable):
        return (yield from _fetched(config, source, refused=refused, since=since, until=until))
    if not isinstance(source, SecretFromFile):
        return None
    try:
        found = source.other_than(refused)
    except ConfigError as error:
        if source.may_warn():
            events.warning("client_secret_not_read", source=source.name, cause="; ".join(error.problems))
        return None
    if source.changed():
        _log_renewed(source.name)
    elif found is None and source.may_warn():
        _log_refused(source.name)
    return found


def _fetched(
    config: XWMSConfig, source: SecretFromCallable, *, refused: Secret | None, since: float, until: float
) -> Steps[Secret | None]:
    """Return the secret, unless it is the refused one; None if that is what the source says, or it says nothing."""
    until = min(until, time.monotonic() + SOURCE_SECONDS)
    with Waiting(config.max_slow_calls) as waiting:
        while True:
            found = source.look(refused=refused, since=since)
            if isinstance(found, Reading):
                yield from ask(ReadSource(_SourceReading(source, found)))
            elif isinstance(found, Secret):
                _log(source, is_refused=refused is not None)
                return found
            elif found == "give up" or time.monotonic() >= until:
                _log(source, is_refused=refused is not None)
                return None
            else:
                try:
                    yield from waiting.pause(POLL_INTERVAL)
                except Unreachable:
                    return None
                _log(source, is_refused=False)  # that it hangs, before another one takes its place


@dataclass(frozen=True, slots=True, eq=False)
class _SourceReading:
    """Implements `SourceReading`."""

    source: SecretFromCallable
    reading: Reading

    @property
    def is_async(self) -> bool:
        return self.source.is_async

    def begin(self) -> None:
        # A thread of its own: a source may hang, and whoever waits for it needs an answer. With the context of the
        # request, since a callable may ask for the application that it is in. A daemon, which no exit waits for.
        thread = threading.Thread(target=copy_context().run, args=(self._read,), name="xwms_auth-secret", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # there are too many
            self.source.end(self.reading, _cause(error))

    def _read(self) -> None:
        outcome: Secret | str
        try:
            outcome = self.source()
        except BaseException as error:  # noqa: BLE001  of the application; its text, which may quote the secret, is lost
            outcome = _cause(error)
        self.source.end(self.reading, outcome)

    async def finish(self) -> None:
        outcome: Secret | str = f"it has not answered within {SOURCE_SECONDS:g} seconds, or was cancelled"
        try:
            outcome = await self.source.fetch()
        except Exception as error:  # noqa: BLE001  as above, but for a cancellation
            outcome = _cause(error)
        finally:
            self.source.end(self.reading, outcome)


def _cause(error: BaseException) -> str:
    if isinstance(error, SourceFault):
        return error.problems[0]
    return f"{type(error).__qualname__} {place_in_function(error)}"


def _log(source: SecretFromCallable, *, is_refused: bool) -> None:
    """Log what came of the last reading, once."""
    reading = source.unlogged(is_refused=is_refused)
    if reading is None:
        return
    if reading.failure or not reading.done:
        cause = reading.failure or f"it has not answered within {SOURCE_SECONDS:g} seconds"
        events.warning("client_secret_not_read", source=source.name, cause=cause)
    elif reading.changed:
        _log_renewed(source.name)
    else:
        _log_refused(source.name)


def _log_renewed(source: str) -> None:
    events.info("client_secret_renewed", source=source, cause="the one before was refused")


def _log_refused(source: str) -> None:
    events.warning("client_secret_refused", source=source, cause="its source has no other one", hint=_HINT)
