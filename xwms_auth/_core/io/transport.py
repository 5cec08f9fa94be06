"""HTTP transport to XWMS; the only module that reads the client secret.

Built on httpcore2, the connection pool inside httpx2, because it lacks what a login must not have: no redirects, no
cookie jar, no proxy or `.netrc` from the environment, no decompression. Added are a deadline for the whole call and a
limit on the size of the body.

No exception, traceback frame or log line that leaves this module holds a header or a request.
"""

import asyncio
import base64
import math
import os
import threading
import time
import weakref
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import quote_plus, urlencode, urlsplit

import anyio
import anyio.lowlevel
import httpcore2

from ...stores.event_loop import is_trio
from ..base.effects import ApiCall, OAuthCall, Runtime, SourceReading, Steps, UpstreamResponse, arun, run
from ..base.errors import APIError, BadAnswer, ConfigError, Unreachable
from ..base.health import Upstream, worst_of
from ..base.memory.limits import CircuitBreaker, Patience
from ..base.models import Secret
from ..base.unexpected import place_of
from ..config.config import XWMSConfig
from ..config.secret_sources import refuse_async
from . import in_process
from .connections import OPEN_SECONDS, OUTAGES, Attempt
from .deadline import begin_on_trio, finish_reading, in_background, within
from .operation.telemetry import ObservedCall, observe_call, telemetry
from .pool import AsyncPool, Pool
from .sockets import tls_context

MAX_RETRY_AFTER = 86_400
"""Seconds (a day): the longest `Retry-After` of a server that is passed on."""

_NETWORK_FAULTS = (
    httpcore2.TimeoutException,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.ConnectionNotAvailable,
    OSError,  # including ssl.SSLError
)

T = TypeVar("T")

_Call = ApiCall | OAuthCall
_Headers = list[tuple[bytes, bytes]]


class _BaseTransport:
    """What sync and async share: building the request of a call, and mapping failures to errors."""

    def __init__(self, config: XWMSConfig) -> None:
        self._config = config
        self._origin = config.api.origin
        self._url = self._origin + config.api.path
        self._breakers: dict[str, CircuitBreaker] = {}
        self._telemetry = telemetry()
        self._last_success: float | None = None

    def upstream(self) -> Upstream:
        """The worst state of the breakers, and when a call last had an answer."""
        worst = worst_of(breaker.circuit for breaker in list(self._breakers.values()))
        return Upstream(circuit=worst, last_success=self._last_success)

    def _observed(self, call: _Call) -> ObservedCall:
        if isinstance(call, ApiCall):
            return observe_call(self._telemetry, call.method, self._url + call.path)
        return observe_call(self._telemetry, "GET" if call.form is None else "POST", call.url)

    def _noted(self, outcome: UpstreamResponse | APIError) -> UpstreamResponse | APIError:
        if isinstance(outcome, UpstreamResponse) and outcome.status < 500:
            self._last_success = time.time()
        return outcome

    def _begin(self, call: _Call) -> Attempt:
        """Begin one call. Raises `Unreachable` if it may not go now, and `ConfigError` if it may never."""
        if self._config.missing:
            raise ConfigError(self._config.missing)
        origin = self._origin
        if isinstance(call, OAuthCall):
            parts = urlsplit(call.url)
            origin = f"{parts.scheme}://{parts.netloc}"
        # The origins are those of the config and of the server's own metadata.
        breaker = self._breakers.get(origin)
        if breaker is None:
            breaker = self._breakers.setdefault(origin, CircuitBreaker(outages=OUTAGES, seconds=OPEN_SECONDS))
        patience = Patience(self._config.max_slow_calls, must_finish=call.must_finish)
        timeout = self._config.timeout_seconds if call.seconds is None else call.seconds
        return Attempt(f"{_name(call)} at {origin}", breaker, patience, timeout=timeout)

    def _local_response(self, call: _Call) -> UpstreamResponse | None:
        """Return the response of an XWMS inside this process (`in_process.py`); None if the call is to be sent."""
        host = self._config.api.host if isinstance(call, ApiCall) else urlsplit(call.url).hostname or ""
        if not in_process.is_local(host):
            return None
        if self._config.missing:
            raise ConfigError(self._config.missing)
        if (server := in_process.servers.get(host)) is None:
            raise Unreachable(
                f"{_name(call)}: no test has an XWMS now, with the fixture xwms or local_xwms()", sent=False
            )
        method, url, headers, body = self._request(call)
        readable = {name.decode().lower(): value.decode("latin-1") for name, value in headers}
        return server.answer(
            in_process.LocalCall(
                method=method,
                url=url,
                headers=readable,
                body=body or b"",
                max_reply=call.max_reply,
                timeout=self._config.timeout_seconds,
            )
        )

    def _request(self, call: _Call) -> tuple[str, str, _Headers, bytes | None]:
        """Return the method, URL, headers and body of a call."""
        if isinstance(call, ApiCall):
            method, url, kind, body = call.method, self._url + call.path, b"application/json", call.body
            credentials = [] if call.secret is None else self._xwms_credentials(call.secret)
        else:
            method, url, kind = "GET" if call.form is None else "POST", call.url, b"application/x-www-form-urlencoded"
            form, credentials = self._oauth_credentials(call)
            body = None if form is None else form.encode()
        headers: _Headers = [
            (b"Host", urlsplit(url).netloc.encode()),
            (b"Accept", b"application/json"),
            (b"Accept-Encoding", b"identity"),
            (b"User-Agent", b"xwms-auth"),
        ]
        if body is not None:
            headers += [(b"Content-Type", kind), (b"Content-Length", str(len(body)).encode())]
        return method, url, [*headers, *credentials], body

    def _xwms_credentials(self, secret: Secret) -> _Headers:
        return [
            (b"X-Client-Id", self._config.client_id.encode()),
            (b"X-Client-Secret", secret.reveal().encode()),
            (b"X-Client-Domain", self._config.domain.encode()),
        ]

    def _oauth_credentials(self, call: OAuthCall) -> tuple[str | None, _Headers]:
        """Return the form and the headers with the client's credentials (RFC 6749 2.3.1), or with an access token."""
        if call.bearer is not None:
            return call.form, [(b"Authorization", b"Bearer " + call.bearer.reveal().encode())]
        if call.secret is None:
            return call.form, []
        client_id, secret = self._config.client_id, call.secret.reveal()
        if self._config.client_auth == "client_secret_post":
            return f"{call.form}&{urlencode({'client_id': client_id, 'client_secret': secret})}", []
        pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
        return call.form, [(b"Authorization", b"Basic " + base64.b64encode(pair.encode()))]


def _name(call: _Call) -> str:
    return call.path if isinstance(call, ApiCall) else urlsplit(call.url).path


def _without_frames(error: BaseException) -> BaseException:
    """Return a cancellation, an exit or an unexpected error without the traceback frames that hold headers."""
    if isinstance(error, Exception):
        error.add_note(place_of(error))
    error.__context__ = None
    return error.with_traceback(None)


def too_large(call: _Call) -> APIError:
    return BadAnswer(f"{_name(call)}: the response is larger than {call.max_reply} bytes")


def upstream_response(response: httpcore2.Response, body: bytes) -> UpstreamResponse | APIError:
    content_type = encoding = ""
    retry_after: int | None = None
    for name, value in response.headers:
        if name.lower() == b"content-type":
            content_type = value.decode("latin-1")
        elif name.lower() == b"content-encoding":
            encoding = value.decode("latin-1").strip().lower()
        elif name.lower() == b"retry-after":
            retry_after = _seconds(value.decode("latin-1").strip())
    if encoding not in ("", "identity"):
        return BadAnswer("the response is compressed, which was not requested", upstream_status=response.status)
    return UpstreamResponse(status=response.status, content_type=content_type, body=body, retry_after=retry_after)


def _seconds(retry_after: str) -> int | None:
    """The seconds of a `Retry-After` header, which may also be a date (RFC 9110 10.2.3); None if it is neither."""
    if retry_after.isascii() and retry_after.isdigit():
        return min(int(retry_after[:9]), MAX_RETRY_AFTER)
    try:
        seconds = parsedate_to_datetime(retry_after).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return max(0, min(math.ceil(seconds), MAX_RETRY_AFTER))


class HTTPTransport(_BaseTransport):
    """Calls XWMS from sync code. One connection pool per process; thread-safe."""

    def __init__(self, config: XWMSConfig) -> None:
        refuse_async(config.secret_source)
        super().__init__(config)
        self._pool: Pool | None = None
        self._pid = 0
        self._lock = threading.Lock()

    def send(self, call: _Call) -> UpstreamResponse:
        """Send one call, once. Raises `Unreachable`, `Timeout` or `BadAnswer`."""
        with self._observed(call) as note:
            outcome: UpstreamResponse | APIError | None = self._local_response(call)
            if outcome is None:
                try:
                    outcome = self._attempt(call)
                except BaseException as error:  # noqa: BLE001  re-raised with fewer frames
                    raise _without_frames(error) from None
            note(self._noted(outcome))
        # Raised here and not where the error was caught, so that no frame with headers is in the traceback.
        if isinstance(outcome, APIError):
            raise outcome
        return outcome

    def _attempt(self, call: _Call) -> UpstreamResponse | APIError:
        try:
            attempt = self._begin(call)
        except Unreachable as error:
            return error
        with attempt:
            try:
                method, url, headers, content = self._request(call)
                request = httpcore2.Request(method, url, headers=headers, content=content)
                # The pool knows no deadline; after a second it is full of calls that are not slow.
                with self._open().connection(
                    request.url.origin, timeout=attempt.remaining(httpcore2.PoolTimeout)
                ) as connection:
                    response = connection.handle_request(request)
                    try:
                        body = bytearray()
                        for chunk in response.iter_stream():
                            body += chunk
                            if len(body) > call.max_reply:
                                return too_large(call)
                    finally:
                        response.close()
                    attempt.answered()
                    return upstream_response(response, bytes(body))
            except _NETWORK_FAULTS as fault:
                return attempt.failure(fault)

    def _open(self) -> Pool:
        with self._lock:
            # A forked process inherits its parent's sockets: two processes on one connection would receive each
            # other's responses.
            if self._pool is None or self._pid != os.getpid():
                self._pid = os.getpid()
                self._pool = Pool()
                # A WSGI application has no shutdown event at which to close the pool.
                weakref.finalize(self, self._pool.close)
            return self._pool

    def pause(self, seconds: float) -> None:
        """Sleep for this long."""
        time.sleep(seconds)

    def read_source(self, reading: SourceReading) -> None:
        """Begin a reading of the client secret's source."""
        reading.begin()

    def shielded(self, steps: Steps[T], runtime: Runtime) -> T:
        """Run steps to their end. Nothing cancels sync code."""
        return run(steps, runtime)

    def close(self) -> None:
        """Close idle connections. The transport can be used again afterwards."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()


class AsyncHTTPTransport(_BaseTransport):
    """Calls XWMS from async code, on asyncio or trio. A connection belongs to an event loop, and so does a pool.

    Connections are kept only after `keep_connections`, which promises a later `aclose`: an event loop that ends
    without it, as a test client's does after each request, would leave them open.
    """

    def __init__(self, config: XWMSConfig) -> None:
        super().__init__(config)
        self._keep = False
        self._pool: AsyncPool | None = None
        self._loop: object = None

    async def send(self, call: _Call) -> UpstreamResponse:
        """Send one call, once. Raises `Unreachable`, `Timeout` or `BadAnswer`."""
        with self._observed(call) as note:
            outcome: UpstreamResponse | APIError | None = self._local_response(call)
            if outcome is None:
                try:
                    outcome = await self._attempt(call)
                except BaseException as error:  # noqa: BLE001  re-raised with fewer frames
                    raise _without_frames(error) from None
            note(self._noted(outcome))
        if isinstance(outcome, APIError):
            raise outcome
        return outcome

    async def _attempt(self, call: _Call) -> UpstreamResponse | APIError:
        try:
            attempt = self._begin(call)
        except Unreachable as error:
            return error
        with attempt:
            try:
                return await within(attempt, self._exchange(attempt, call))
            except _NETWORK_FAULTS as fault:
                return attempt.failure(fault)

    async def _exchange(self, attempt: Attempt, call: _Call) -> UpstreamResponse | APIError:
        method, url, headers, content = self._request(call)
        request = httpcore2.Request(method, url, headers=headers, content=content)
        async with self._open().connection(request.url.origin) as connection:
            response = await connection.handle_async_request(request)
            try:
                body = bytearray()
                async for chunk in response.aiter_stream():
                    body += chunk
                    if len(body) > call.max_reply:
                        return too_large(call)
            finally:
                with anyio.CancelScope(shield=True):
                    await response.aclose()
            attempt.answered()
            return upstream_response(response, bytes(body))

    def _open(self) -> AsyncPool:
        if not self._keep:
            return AsyncPool(keep=False)
        loop, pool = (os.getpid(), anyio.lowlevel.current_token()), self._pool
        if pool is None or self._loop != loop:
            pool = AsyncPool(keep=True)
            self._loop, self._pool = loop, pool
        return pool

    async def pause(self, seconds: float) -> None:
        """Sleep for this long."""
        await anyio.sleep(seconds)

    async def read_source(self, reading: SourceReading) -> None:
        """Begin a reading of the client secret's source. It does not end with the request."""
        if not reading.is_async:
            reading.begin()
        elif is_trio():
            begin_on_trio(reading)
        else:
            in_background(finish_reading(reading))

    async def shielded(self, steps: Steps[T], runtime: Runtime) -> T:
        """Run steps shielded from cancellation. Each call in them has a deadline of its own."""
        if is_trio():
            with anyio.CancelScope(shield=True):
                return await arun(steps, runtime)
        return await asyncio.shield(in_background(arun(steps, runtime)))

    def keep_connections(self) -> None:
        """Keep connections open between calls from now on. The caller must call `aclose` in the same event loop."""
        self._keep = True
        tls_context()  # reads the certificates of the system: at the start, not in the first login

    async def aclose(self) -> None:
        """Close kept connections, and keep no more."""
        pool, self._pool, self._keep = self._pool, None, False
        if pool is not None and self._loop == (os.getpid(), anyio.lowlevel.current_token()):
            await pool.aclose()
