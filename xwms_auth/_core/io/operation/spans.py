"""The spans and metrics themselves. Imported only where OpenTelemetry is installed: see `telemetry.py`.

The names and attributes are those of the semantic conventions where there are any; docs/operation.md lists all.
"""

import time
from contextlib import AbstractContextManager
from contextvars import Token
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from opentelemetry import context, metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from ...base import events
from ...base.effects import UpstreamResponse
from ...base.errors import APIError, InternalError, XWMSError
from ...base.unexpected import place_of
from ...http.messages import Response

_SCOPE = "xwms_auth"

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Seconds, as the semantic conventions advise for HTTP clients."""

_LOGIN_ROUTES = ("login_start", "callback")


class Telemetry:
    """The tracer and the instruments of this process. A provider that is set later is used from then on."""

    def __init__(self) -> None:
        meter = metrics.get_meter(_SCOPE)
        self.tracer = trace.get_tracer(_SCOPE)
        self.logins = meter.create_counter("xwms_auth.logins", unit="{login}", description="Logins that were finished")
        self.failures = meter.create_counter(
            "xwms_auth.login.failures", unit="{failure}", description="Refused login starts and callbacks"
        )
        self.duration = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of calls to XWMS",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )
        self.guarded = _Guarded()
        """A context manager around each call of OpenTelemetry."""

    def route(self, route: str, *, flow: str) -> "_Route":
        """A span around the response of one of our routes."""
        return _Route(self, route, flow)

    def call(self, method: str, url: str) -> "_Call":
        """A span around a call to XWMS."""
        return _Call(self, method, url)


class _Guarded(AbstractContextManager[None]):
    """Lets no error out of it, and logs the first one.

    A sampler, a span processor or a metric reader of the application may raise. That must not fail a login, least of
    all after its token has been redeemed, or lose tokens that a call has brought.
    """

    _has_warned = False

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(raised, Exception):
            return False
        if not self._has_warned:
            self._has_warned = True
            events.warning("telemetry_failed", cause=f"{type(raised).__name__} {place_of(raised)}")
        return True


class _Span:
    """A span that is the current one in a block. No exception is recorded, since its text may be anybody's."""

    def __init__(self, found: Telemetry, name: str, kind: SpanKind, attributes: dict[str, AttributeValue]) -> None:
        self._telemetry = found
        self._name, self._kind, self._attributes = name, kind, attributes

    def _begin(self) -> None:
        self._span: trace.Span = trace.INVALID_SPAN
        self._token: Token[Context] | None = None
        with self._telemetry.guarded:
            self._span = self._telemetry.tracer.start_span(self._name, kind=self._kind, attributes=self._attributes)
            self._token = context.attach(trace.set_span_in_context(self._span))

    def _end(self, *, error_type: str | None, is_fault: bool) -> None:
        guarded = self._telemetry.guarded
        if self._token is not None:
            with guarded:
                context.detach(self._token)
        with guarded:
            if error_type is not None:
                self._span.set_attribute("error.type", error_type)
            if is_fault:
                self._span.set_status(Status(StatusCode.ERROR))
        with guarded:
            self._span.end()


class _Route(_Span):
    def __init__(self, found: Telemetry, route: str, flow: str) -> None:
        super().__init__(found, f"xwms_auth.{route}", SpanKind.INTERNAL, {"xwms_auth.flow": flow})
        self._counts = route in _LOGIN_ROUTES
        self._response: Response | None = None

    def __enter__(self) -> "Self":
        self._begin()
        return self

    def __call__(self, response: Response) -> None:
        self._response = response

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        response = self._response
        error = None if response is None else response.error
        if raised is not None:
            error = raised if isinstance(raised, XWMSError) else InternalError()
        code = None if error is None else error.code
        with self._telemetry.guarded:
            if response is not None and response.logged_in:
                self._telemetry.logins.add(1, self._attributes)
            if code is not None and self._counts and (raised is None or isinstance(raised, Exception)):
                self._telemetry.failures.add(1, {**self._attributes, "error.type": code})
            if response is not None and raised is None:
                self._span.set_attribute("http.response.status_code", response.status)
        # A fault of the visitor is none of this application's.
        self._end(error_type=code, is_fault=error is not None and error.status >= 500)


class _Call(_Span):
    def __init__(self, found: Telemetry, method: str, url: str) -> None:
        parts = urlsplit(url)
        attributes: dict[str, AttributeValue] = {
            "http.request.method": method,
            "server.address": parts.hostname or "",
            "server.port": parts.port or (443 if parts.scheme == "https" else 80),
            # Never the query; none of our paths has anything in it that is about a person.
            "url.template": parts.path,
        }
        super().__init__(found, f"{method} {parts.path}", SpanKind.CLIENT, attributes)
        self._status: int | None = None
        self._error_type: str | None = None

    def __enter__(self) -> "Self":
        self._began_at = time.perf_counter()
        self._begin()
        return self

    def __call__(self, outcome: UpstreamResponse | APIError) -> None:
        if isinstance(outcome, APIError):
            self._status, self._error_type = outcome.upstream_status, outcome.code
        else:
            self._status = outcome.status
            self._error_type = str(outcome.status) if outcome.status >= 400 else None

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        if raised is not None:
            self._error_type = raised.code if isinstance(raised, XWMSError) else type(raised).__qualname__
        extra: dict[str, AttributeValue] = {}
        if self._status is not None:
            extra["http.response.status_code"] = self._status
        if self._error_type is not None:
            extra["error.type"] = self._error_type
        with self._telemetry.guarded:
            # In the span, so that an exemplar of the histogram names it.
            self._telemetry.duration.record(time.perf_counter() - self._began_at, {**self._attributes, **extra})
        with self._telemetry.guarded:
            if self._status is not None:
                self._span.set_attribute("http.response.status_code", self._status)
        self._end(error_type=self._error_type, is_fault=self._error_type is not None)
