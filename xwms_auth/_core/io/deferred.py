"""Transports that load the HTTP library when a call is made: for a door, whose import should cost little.

The library takes longer to import than the whole package, and an OpenSSL context reads all certificates of the system.
An ASGI application loads both when its lifespan begins. Where a server runs no lifespan they are loaded in a thread, so
that the first login does not stop the event loop for so long.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from ..base.effects import ApiCall, OAuthCall, Runtime, SourceReading, Steps, UpstreamResponse
from ..base.health import Upstream
from ..config.config import XWMSConfig
from ..config.secret_sources import refuse_async

if TYPE_CHECKING:
    from .transport import AsyncHTTPTransport, HTTPTransport

T = TypeVar("T")


class DeferredTransport:
    """An `HTTPTransport`, made when it is first used."""

    def __init__(self, config: XWMSConfig) -> None:
        refuse_async(config.secret_source)
        self._config = config
        self._made: HTTPTransport | None = None

    @property
    def _transport(self) -> "HTTPTransport":
        made = self._made
        if made is None:
            from .transport import HTTPTransport  # noqa: PLC0415  see above

            # Of two threads that get here at once, both use the transport of the first.
            made = self.__dict__.setdefault("_first", HTTPTransport(self._config))
            self._made = made
        return made

    def send(self, call: ApiCall | OAuthCall) -> UpstreamResponse:
        """Send one call, as `HTTPTransport` does."""
        return self._transport.send(call)

    def upstream(self) -> Upstream:
        """What is known of XWMS: nothing before the first call."""
        return Upstream() if self._made is None else self._made.upstream()

    def pause(self, seconds: float) -> None:
        """Sleep for this long."""
        self._transport.pause(seconds)

    def read_source(self, reading: SourceReading) -> None:
        """Begin a reading of the client secret's source."""
        reading.begin()

    def shielded(self, steps: Steps[T], runtime: Runtime) -> T:
        """Run steps to their end."""
        return self._transport.shielded(steps, runtime)


class AsyncDeferredTransport:
    """An `AsyncHTTPTransport`, made when it is first used."""

    def __init__(self, config: XWMSConfig) -> None:
        self._config = config
        self._made: AsyncHTTPTransport | None = None

    def _make(self) -> "AsyncHTTPTransport":
        if self._made is None:
            from .transport import AsyncHTTPTransport  # noqa: PLC0415  see above

            self._made = AsyncHTTPTransport(self._config)
        return self._made

    async def _transport(self) -> "AsyncHTTPTransport":
        if self._made is None:
            await _in_thread()
        return self._make()

    async def send(self, call: ApiCall | OAuthCall) -> UpstreamResponse:
        """Send one call, as `AsyncHTTPTransport` does."""
        return await (await self._transport()).send(call)

    def upstream(self) -> Upstream:
        """What is known of XWMS: nothing before the first call."""
        return Upstream() if self._made is None else self._made.upstream()

    async def pause(self, seconds: float) -> None:
        """Sleep for this long."""
        await (await self._transport()).pause(seconds)

    async def read_source(self, reading: SourceReading) -> None:
        """Read the client secret's source, as `AsyncHTTPTransport` does."""
        await (await self._transport()).read_source(reading)

    async def shielded(self, steps: Steps[T], runtime: Runtime) -> T:
        """Run steps shielded from cancellation."""
        return await (await self._transport()).shielded(steps, runtime)

    def keep_connections(self) -> None:
        """Load what a call needs, and keep connections open from now on. The caller must call `aclose`."""
        self._make().keep_connections()

    async def aclose(self) -> None:
        """Close kept connections, and keep no more."""
        if self._made is not None:
            await self._made.aclose()


def _load() -> None:
    import_module(".transport", __package__)
    import_module(".sockets", __package__).tls_context()


async def _in_thread() -> None:

    import asyncio  # noqa: PLC0415  no WSGI application needs it

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        await sys.modules["trio"].to_thread.run_sync(_load)
    else:
        await loop.run_in_executor(None, _load)
