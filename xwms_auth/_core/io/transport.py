"""The way to XWMS, and the one place that reads the client secret.

Built on httpcore2, the connection pool inside httpx2, because what a login must not have is then simply not there:
no redirects, no cookie jar, no proxy or `.netrc` from the environment, no decompression. What is added is a deadline
for the whole call and a cap on the body.

Knows: HTTP.
Must not: know what a call means. No exception, frame or log line that leaves here holds a header or a request.
"""

import base64
import os
import ssl
import threading
import time
import weakref
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import quote_plus, urlencode, urlsplit

import anyio
import anyio.lowlevel
import httpcore2

from ..base.effects import ApiCall, OAuthCall, UpstreamResponse
from ..base.errors import APIError, BadAnswer, Timeout, Unreachable
from ..config.config import XWMSConfig
from .connections import AsyncBackend, Backend, deadline, tls_context

MAX_CONNECTIONS = 64
"""Open connections to XWMS at the most; further logins wait their turn within their deadline."""

KEEPALIVE = 5.0
"""Seconds an idle connection is kept. Short, so that it is rarely closed by the other side just as it is used."""

# A connection that fails in one of these ways has not carried a byte of the request.
_NOT_SENT = (httpcore2.ConnectError, httpcore2.ConnectTimeout, httpcore2.PoolTimeout)

_NETWORK_FAULTS = (
    httpcore2.TimeoutException,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.ConnectionNotAvailable,
    OSError,  # ssl.SSLError among them
)

_Call = ApiCall | OAuthCall
_Headers = list[tuple[bytes, bytes]]


class _Calls:
    """What both colours share: how a call becomes a request, and what a failure means."""

    def __init__(self, config: XWMSConfig) -> None:
        self._config = config
        self._url = config.api.origin + config.api.path

    def _request(self, call: _Call) -> tuple[str, str, _Headers, bytes | None]:
        """Method, address, headers and body of a call."""
        if isinstance(call, ApiCall):
            method, url, kind, body = call.method, self._url + call.path, b"application/json", call.body
            credentials = self._xwms_credentials() if call.authenticated else []
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

    def _xwms_credentials(self) -> _Headers:
        return [
            (b"X-Client-Id", self._config.client_id.encode()),
            (b"X-Client-Secret", self._config.secret_source().reveal().encode()),
            (b"X-Client-Domain", self._config.domain.encode()),
        ]

    def _oauth_credentials(self, call: OAuthCall) -> tuple[str | None, _Headers]:
        """The form and the headers with the client's credentials (RFC 6749 2.3.1), or with an access token."""
        if call.bearer is not None:
            return call.form, [(b"Authorization", b"Bearer " + call.bearer.reveal().encode())]
        if not call.authenticated:
            return call.form, []
        client_id, secret = self._config.client_id, self._config.secret_source().reveal()
        if self._config.client_auth == "client_secret_post":
            return f"{call.form}&{urlencode({'client_id': client_id, 'client_secret': secret})}", []
        pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
        return call.form, [(b"Authorization", b"Basic " + base64.b64encode(pair.encode()))]

    def _failure(self, fault: BaseException, call: _Call) -> APIError:
        """Our own error for the library's, which holds the request and with it the secret."""
        sent = not isinstance(fault, _NOT_SENT)
        origin = self._config.api.origin
        if isinstance(call, OAuthCall):
            parts = urlsplit(call.url)
            origin = f"{parts.scheme}://{parts.netloc}"
        cause = f"{_name(call)} at {origin}: {type(fault).__name__}"
        if isinstance(fault, httpcore2.TimeoutException | TimeoutError):
            return Timeout(cause, sent=sent)
        return Unreachable(cause, sent=sent)


def _name(call: _Call) -> str:
    return call.path if isinstance(call, ApiCall) else urlsplit(call.url).path


def _without_frames(error: BaseException) -> BaseException:
    """A cancellation or an exit on its way through, without the frames in which headers stood."""
    error.__context__ = None
    return error.with_traceback(None)


def _too_large(call: _Call) -> APIError:
    return BadAnswer(f"{_name(call)}: the answer is larger than {call.max_reply} bytes")


def _reply(response: httpcore2.Response, body: bytes) -> UpstreamResponse | APIError:
    content_type = encoding = ""
    for name, value in response.headers:
        if name.lower() == b"content-type":
            content_type = value.decode("latin-1")
        elif name.lower() == b"content-encoding":
            encoding = value.decode("latin-1").strip().lower()
    if encoding not in ("", "identity"):
        return BadAnswer("the answer is compressed, which was not asked for", upstream_status=response.status)
    return UpstreamResponse(status=response.status, content_type=content_type, body=body)


class HTTPTransport(_Calls):
    """Calls XWMS from plain code. One pool for the whole process; safe to share between threads."""

    def __init__(self, config: XWMSConfig) -> None:
        super().__init__(config)
        self._pool: httpcore2.ConnectionPool | None = None
        self._pid = 0
        self._lock = threading.Lock()

    def send(self, call: _Call) -> UpstreamResponse:
        """Send one call, once. Raises `Unreachable`, `Timeout` or `BadAnswer`."""
        try:
            outcome = self._attempt(call)
        except BaseException as error:  # noqa: BLE001  it goes on, with fewer frames
            raise _without_frames(error) from None
        # Raised here and not where the fault was caught: frames that held headers are gone from the traceback.
        if isinstance(outcome, APIError):
            raise outcome
        return outcome

    def _attempt(self, call: _Call) -> UpstreamResponse | APIError:
        timeout = self._config.timeout_seconds
        mark = deadline.set(time.monotonic() + timeout)
        try:
            method, url, headers, content = self._request(call)
            with self._open().stream(
                method,
                url,
                headers=headers,
                content=content,
                extensions={"timeout": {"pool": timeout}},
            ) as response:
                body = bytearray()
                for chunk in response.iter_stream():
                    body += chunk
                    if len(body) > call.max_reply:
                        return _too_large(call)
                return _reply(response, bytes(body))
        except _NETWORK_FAULTS as fault:
            return self._failure(fault, call)
        finally:
            deadline.reset(mark)

    def _open(self) -> httpcore2.ConnectionPool:
        with self._lock:
            # A forked process has its parent's sockets: two askers on one connection would get each other's answers.
            if self._pool is None or self._pid != os.getpid():
                self._pid = os.getpid()
                self._pool = httpcore2.ConnectionPool(
                    ssl_context=tls_context(),
                    max_connections=MAX_CONNECTIONS,
                    keepalive_expiry=KEEPALIVE,
                    network_backend=Backend(),
                )
                # The application that this serves has no end of its own to close the pool at.
                weakref.finalize(self, self._pool.close)
            return self._pool

    def pause(self, seconds: float) -> None:
        """Let this time go by."""
        time.sleep(seconds)

    def close(self) -> None:
        """Close idle connections. The transport can be used again afterwards."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()


class AsyncHTTPTransport(_Calls):
    """Calls XWMS from async code, on asyncio or trio. Connections belong to an event loop, so a pool does too.

    Connections are kept only once `keep_connections` says that somebody will call `aclose`: a loop that ends
    without, as a test client's does after each request, would leave them open with nobody to close them.
    """

    def __init__(self, config: XWMSConfig) -> None:
        super().__init__(config)
        self._keep = False
        self._tls: ssl.SSLContext | None = None
        self._pool: httpcore2.AsyncConnectionPool | None = None
        self._loop: object = None

    async def send(self, call: _Call) -> UpstreamResponse:
        """Send one call, once. Raises `Unreachable`, `Timeout` or `BadAnswer`."""
        try:
            outcome = await self._attempt(call)
        except BaseException as error:  # noqa: BLE001  it goes on, with fewer frames
            raise _without_frames(error) from None
        if isinstance(outcome, APIError):
            raise outcome
        return outcome

    async def _attempt(self, call: _Call) -> UpstreamResponse | APIError:
        timeout = self._config.timeout_seconds
        try:
            method, url, headers, content = self._request(call)
            with anyio.fail_after(timeout):
                async with (
                    self._pool_for_call() as pool,
                    pool.stream(
                        method,
                        url,
                        headers=headers,
                        content=content,
                        # The pool and the connection time out a little earlier than the whole, so that a call which
                        # never left can be told from one whose outcome is unknown.
                        extensions={"timeout": {"pool": timeout * 0.95, "connect": timeout * 0.9}},
                    ) as response,
                ):
                    body = bytearray()
                    async for chunk in response.aiter_stream():
                        body += chunk
                        if len(body) > call.max_reply:
                            return _too_large(call)
                    return _reply(response, bytes(body))
        except _NETWORK_FAULTS as fault:
            return self._failure(fault, call)

    @asynccontextmanager
    async def _pool_for_call(self) -> AsyncGenerator[httpcore2.AsyncConnectionPool]:
        if not self._keep:
            async with self._new_pool() as once:
                yield once
            return
        loop, pool = (os.getpid(), anyio.lowlevel.current_token()), self._pool
        if pool is None or self._loop != loop:
            pool = self._new_pool()
            self._loop, self._pool = loop, pool
        yield pool

    def _new_pool(self) -> httpcore2.AsyncConnectionPool:
        if self._tls is None:
            self._tls = tls_context()
        return httpcore2.AsyncConnectionPool(
            ssl_context=self._tls,
            max_connections=MAX_CONNECTIONS,
            keepalive_expiry=KEEPALIVE,
            network_backend=AsyncBackend(),
        )

    async def pause(self, seconds: float) -> None:
        """Let this time go by."""
        await anyio.sleep(seconds)

    def keep_connections(self) -> None:
        """From now on keep connections open between calls; `aclose` will be called in the same event loop."""
        self._keep = True

    async def aclose(self) -> None:
        """Close kept connections, and keep none from now on."""
        pool, self._pool, self._keep = self._pool, None, False
        if pool is not None and self._loop == (os.getpid(), anyio.lowlevel.current_token()):
            await pool.aclose()
