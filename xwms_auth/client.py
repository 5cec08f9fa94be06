"""The XWMS API for applications, in both colours. One line a method: `calls.py` says what, `transport.py` sends.

Knows: nothing but names.
Must not: repeat anything between the colours but those.
"""

from types import TracebackType
from typing import Self

from . import calls
from .config import XWMSConfig
from .drive import arun, run
from .effects import World
from .models import User
from .stores.memory import MemoryStore
from .transport import AsyncHTTPTransport, HTTPTransport
from .wire import Info, LoginTicket


class XWMSClient:
    """Calls XWMS from plain code. Make one and keep it: connections are pooled, threads may share it.

    Every method raises an `APIError`: `Unreachable`, `Timeout`, `BadAnswer`, `CredentialsRejected`, `ClientDisabled`,
    `RedirectNotRegistered` or `TokenRejected`. Source: XWMS's API documentation.
    """

    def __init__(self, config: XWMSConfig) -> None:
        self._config = config
        self._transport = HTTPTransport(config)
        self._world = World(self._transport, MemoryStore())

    def info(self) -> Info:
        """Ask XWMS whether it is there; needs no credentials."""
        return run(calls.info(), self._world)

    def sign_token(self, redirect_uri: str) -> LoginTicket:
        """Begin a login that will end at this registered redirect URI."""
        return run(calls.sign_token(self._config, redirect_uri), self._world)

    def verify_token(self, token: str, redirect_uri: str) -> User:
        """Spend a callback's token, which works once, and learn who logged in."""
        return run(calls.verify_token(self._config, token, redirect_uri), self._world)

    def close(self) -> None:
        """Close idle connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncXWMSClient:
    """The same for async code, on asyncio or trio. Tasks may share it."""

    def __init__(self, config: XWMSConfig) -> None:
        self._config = config
        self._transport = AsyncHTTPTransport(config)
        self._transport.keep_connections()
        self._world = World(self._transport, MemoryStore())

    async def info(self) -> Info:
        """Ask XWMS whether it is there; needs no credentials."""
        return await arun(calls.info(), self._world)

    async def sign_token(self, redirect_uri: str) -> LoginTicket:
        """Begin a login that will end at this registered redirect URI."""
        return await arun(calls.sign_token(self._config, redirect_uri), self._world)

    async def verify_token(self, token: str, redirect_uri: str) -> User:
        """Spend a callback's token, which works once, and learn who logged in."""
        return await arun(calls.verify_token(self._config, token, redirect_uri), self._world)

    async def aclose(self) -> None:
        """Close idle connections."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
