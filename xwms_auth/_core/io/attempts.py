"""One call under way: its deadline, whether it may be slow, and what the circuit breaker learns from it."""

import math
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Self, TypeVar

import httpcore2

from ..base.circuit_breaker import CircuitBreaker
from ..base.errors import APIError, Timeout, Unreachable
from ..base.slow_calls import QUICK, Patience

T = TypeVar("T")

OUTAGES = 5
"""Outages of a server in a row after which the circuit breaker opens for its origin."""

OPEN_SECONDS = 5.0
"""Seconds that it stays open; then one call at a time tries whether the server is back."""

_TIMEOUTS = (httpcore2.TimeoutException, TimeoutError)
_OUTAGES = (*_TIMEOUTS, httpcore2.ConnectError)


class Attempt:
    """One call, as a context manager. `sent` is whether a part of the request may have reached the server.

    `where` is for the log. Raises `Unreachable` if the call may not begin.
    """

    def __init__(self, where: str, breaker: CircuitBreaker, patience: Patience, *, timeout: float) -> None:
        self.sent = False
        self._where = where
        self._breaker = breaker
        self._patience = patience
        self._is_given_up = False
        self._is_outage: bool | None = None
        self._tries = breaker.is_open
        if seconds := breaker.wait(timeout + QUICK):
            cause = f"{where}: not tried, after {OUTAGES} outages in a row"
            raise Unreachable(cause, sent=False, retry_after=math.ceil(seconds))
        try:
            patience.begin()
        except Unreachable:
            self._report()
            raise
        self._until = time.monotonic() + timeout
        self._quick_until: float | None = None

    def begun(self) -> None:
        """Note that the server has something to do now. Waiting for a free connection is no sign of a slow server."""
        if self._quick_until is None:
            self._quick_until = time.monotonic() + QUICK

    def remaining(self, error: type[Exception]) -> float:
        """Seconds that the next wait may take, after which to ask again. Raises `error` when the time is over.

        That is at the deadline, or when the call is no longer quick and may not go on.
        """
        now = time.monotonic()
        if now >= self._until:
            raise error
        quick_until = now + QUICK if self._quick_until is None else self._quick_until
        if now < quick_until:
            return min(self._until, quick_until) - now
        self._is_given_up = not self._patience.may_go_on()
        if self._is_given_up:
            raise error
        return self._until - now

    def wait(self, operation: Callable[[float], T], error: type[Exception]) -> T:
        """The result of an operation that takes a timeout and may be repeated after a `TimeoutError`."""
        while True:
            seconds = self.remaining(error)
            with suppress(TimeoutError):
                return operation(seconds)

    def answered(self) -> None:
        """Note that the server has answered, whatever it says."""
        self._is_outage = False

    def failure(self, fault: BaseException) -> APIError:
        """Map an error of the HTTP library, which holds the request and so the secret, to one of ours."""
        cause = f"{self._where}: {type(fault).__name__}"
        if self._is_given_up:
            cause = f"{self._where}: given up, since others have not been answered for longer"
        elif isinstance(fault, _OUTAGES) and not isinstance(fault, httpcore2.PoolTimeout):
            self._is_outage = True
        if isinstance(fault, _TIMEOUTS):
            return Timeout(cause, sent=self.sent)
        return Unreachable(cause, sent=self.sent)

    def __enter__(self) -> Self:
        self._token = current_attempt.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        current_attempt.reset(self._token)
        self._patience.end()
        self._report()

    def _report(self) -> None:
        if self._is_outage:
            self._breaker.failed()
        elif self._is_outage is not None:
            self._breaker.answered()
        elif self._tries:
            self._breaker.unknown()


current_attempt: ContextVar[Attempt] = ContextVar("xwms_auth_attempt")
"""The call that a connection is used for now."""
