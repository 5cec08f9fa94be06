"""Sessions as an application manages them, in both colours. One line a method: `ending.py` says what.

Knows: nothing but names.
Must not: repeat anything between the colours but those. Whoever calls has decided that it may be done.
"""

import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar

from ...stores import open_store
from ..base.effects import Runtime, Steps
from ..base.errors import ConfigError, StoreUnavailable, XWMSError
from ..base.models import SessionInfo
from ..base.store_protocols import KeepsConnections
from ..config.config import XWMSConfig
from ..config.context import Context
from ..sessions import revocation
from ..sessions.revocation import ANYBODY, Anybody
from .runner import arun, run
from .transport import AsyncHTTPTransport, HTTPTransport

T = TypeVar("T")


class _Sessions:
    """What both colours share: where the sessions are, what time it is, and who is asking."""

    _context: Context
    _runtime: Runtime
    _clock: Callable[[], float]
    _current: Callable[[], str | None]
    _failed: Callable[[XWMSError], object] | None = None

    @classmethod
    def of(
        cls, context: Context, runtime: Runtime, *, clock: Callable[[], float], current: Callable[[], str | None]
    ) -> Self:
        """For an edge: over its own store. `current` gives the id of the session that is asking, if there is one."""
        made = cls.__new__(cls)
        made._context, made._runtime, made._clock, made._current = context, runtime, clock, current
        return made

    def _now(self) -> int:
        return int(self._clock())

    def _close_store(self) -> None | Awaitable[None]:
        return self._runtime.store.close() if isinstance(self._runtime.store, KeepsConnections) else None

    def _list(self, sub: str) -> Steps[tuple[SessionInfo, ...]]:
        return revocation.list_sessions(self._context, sub, current=self._current(), now=self._now())

    def _revoke(self, session_id: str, sub: str | None | Anybody) -> Steps[bool]:
        return revocation.revoke(self._context, session_id, sub=sub, now=self._now())

    def _revoke_all(self, sub: str) -> Steps[None]:
        return revocation.revoke_all(self._context, sub, now=self._now())

    def _revoke_client(self) -> Steps[None]:
        return revocation.revoke_client(self._context, now=self._now())


def _nobody() -> None:
    """A script is nobody's session."""


class XWMSSessions(_Sessions):
    """Lists and ends sessions from plain code: `auth.sessions` in Flask; or in a script, as a context manager.

    Every method raises `StoreUnavailable` where the store is down, and `ConfigError` where the store cannot do it: the
    cookie store has no list, and ends a session elsewhere only with a revocation store.
    A `sub` is a person of the XWMS that the config names.
    """

    def __init__(self, config: XWMSConfig) -> None:
        self._context, self._clock, self._current = Context.of(config), time.time, _nobody
        self._runtime = Runtime(HTTPTransport(config), open_store(self._context))

    def list(self, sub: str) -> tuple[SessionInfo, ...]:
        """The person's sessions, this one first, then the one used last."""
        return run(self._list(sub), self._runtime)

    def revoke(self, session_id: str, *, sub: str | None | Anybody = ANYBODY) -> bool:
        """End one session. With `sub` only if it is that person's: give it where the id comes from a browser.

        False for no such session, and where `sub` is None, as nobody's is. The cookie store cannot tell, and says True.
        """
        return run(self._revoke(session_id, sub), self._runtime)

    def revoke_all(self, sub: str) -> None:
        """End all sessions of the person, this one too."""
        run(self._revoke_all(sub), self._runtime)

    def revoke_client(self) -> None:
        """End all sessions of everybody, for instance after a leak."""
        run(self._revoke_client(), self._runtime)

    def close(self) -> None:
        """Close connections to the store."""
        self._close_store()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncXWMSSessions(_Sessions):
    """The same for async code: `request.auth.sessions` in an ASGI application, or made from a config, for a script."""

    def __init__(self, config: XWMSConfig) -> None:
        self._context, self._clock, self._current = Context.of(config), time.time, _nobody
        self._runtime = Runtime(AsyncHTTPTransport(config), open_store(self._context, is_async=True))

    def seen_from(self, current: Callable[[], str | None], *, failed: Callable[[XWMSError], object]) -> Self:
        """The same, as somebody sees it whose own session has the id that `current` gives.

        `failed` is called with the error of a store that is down, beside whoever called.
        """
        made = self.of(self._context, self._runtime, clock=self._clock, current=current)
        made._failed = failed
        return made

    async def _play(self, steps: Steps[T]) -> T:
        try:
            return await arun(steps, self._runtime)
        except (StoreUnavailable, ConfigError) as error:
            if self._failed is not None:
                self._failed(error)
            raise

    async def list(self, sub: str) -> tuple[SessionInfo, ...]:
        """The person's sessions, this one first, then the one used last."""
        return await self._play(self._list(sub))

    async def revoke(self, session_id: str, *, sub: str | None | Anybody = ANYBODY) -> bool:
        """End one session. With `sub` only if it is that person's: give it where the id comes from a browser.

        False for no such session, and where `sub` is None, as nobody's is. The cookie store cannot tell, and says True.
        """
        return await self._play(self._revoke(session_id, sub))

    async def revoke_all(self, sub: str) -> None:
        """End all sessions of the person, this one too."""
        await self._play(self._revoke_all(sub))

    async def revoke_client(self) -> None:
        """End all sessions of everybody, for instance after a leak."""
        await self._play(self._revoke_client())

    async def aclose(self) -> None:
        """Close connections to the store."""
        closing = self._close_store()
        if closing is not None:
            await closing

    async def __aenter__(self) -> Self:
        if isinstance(self._runtime.store, KeepsConnections):
            self._runtime.store.keep_connections()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
