"""The public managers of sessions, sync and async: list and revoke sessions.

Each method is one line: `sessions/revocation.py` does the work, and sync and async share all other code. The caller
has to authorise the action; nothing here does.
"""

import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar

from ...stores import open_store
from ..base.effects import Runtime, Steps, arun, run
from ..base.errors import ConfigError, HostNotRegistered, StoreUnavailable, XWMSError
from ..base.models import Identity
from ..base.session import SessionInfo
from ..base.store_protocols import KeepsConnections
from ..config.config import XWMSConfig
from ..config.context import Context
from ..sessions import revocation
from ..sessions.revocation import ANYBODY, Anybody
from .deferred import AsyncDeferredTransport, DeferredTransport

T = TypeVar("T")


class _Sessions:
    """What sync and async share: the store, the clock, and the current session."""

    _context: Context
    _runtime: Runtime
    _clock: Callable[[], float]
    _current: Callable[[], str | None]
    _on_failure: Callable[[XWMSError], object] | None = None

    @classmethod
    def of(
        cls, context: Context, runtime: Runtime, *, clock: Callable[[], float], current: Callable[[], str | None]
    ) -> Self:
        """Create one for an adapter, over its store. `current` returns the id of the current session, or None."""
        manager = cls.__new__(cls)
        manager._context, manager._runtime, manager._clock, manager._current = context, runtime, clock, current
        return manager

    def bind(self, context: Context, runtime: Runtime, *, clock: Callable[[], float]) -> None:
        """Manage other sessions from now on: of an application that a test lends another context (`ServedApp.bind`)."""
        self._context, self._runtime, self._clock = context, runtime, clock

    def current_id(self) -> str | None:
        """Return the id of the session of this request, as `revoke` takes it; None outside a request or if nobody is
        signed in.

        It stays the same as long as the session lives, and nobody can turn it into the cookie. Raises
        `StoreUnavailable` if the store is down.
        """
        return self._current()

    def log_name(self, sub: str) -> str:
        """Return the name of a user in the log (`person=…`), 12 characters. It depends on the first session secret."""
        return self._context.log_name(Identity(self._context.issuer, sub))

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


def _no_session() -> None:
    """The current session of a script: none."""


class XWMSSessions(_Sessions):
    """Lists and revokes sessions in sync code: `auth.sessions` in Flask, or a context manager in a script.

    Every method raises `StoreUnavailable` if the store is down, and `ConfigError` if the store does not support it: the
    cookie store cannot list sessions, and revokes those of other browsers only with a revocation store.
    A `sub` is a user of the XWMS that the config names.
    """

    def __init__(self, config: XWMSConfig) -> None:
        self._context, self._clock, self._current = Context.of(config), time.time, _no_session
        self._runtime = Runtime(DeferredTransport(config), open_store(self._context))

    def list(self, sub: str) -> tuple[SessionInfo, ...]:
        """Return the user's sessions: the current one first, then the most recently used."""
        return run(self._list(sub), self._runtime)

    def revoke(self, session_id: str, *, sub: str | None | Anybody = ANYBODY) -> bool:
        """Revoke one session. With `sub`, only if it is that user's: pass it if the id comes from a browser.

        Returns False if there is no such session, or if `sub` is None (nobody is logged in). The cookie store cannot
        tell: it returns True, and raises `ConfigError` for a `sub`.
        """
        return run(self._revoke(session_id, sub), self._runtime)

    def revoke_all(self, sub: str) -> None:
        """Revoke all sessions of the user, including the current one."""
        run(self._revoke_all(sub), self._runtime)

    def revoke_client(self) -> None:
        """Revoke all sessions of all users, for instance after a leak."""
        run(self._revoke_client(), self._runtime)

    def close(self) -> None:
        """Close the connections to the store."""
        self._close_store()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncXWMSSessions(_Sessions):
    """`XWMSSessions` for async code: `request.auth.sessions` in an ASGI application, or created from a config."""

    def __init__(self, config: XWMSConfig) -> None:
        self._context, self._clock, self._current = Context.of(config), time.time, _no_session
        self._runtime = Runtime(AsyncDeferredTransport(config), open_store(self._context, is_async=True))

    def seen_from(self, current: Callable[[], str | None], *, failed: Callable[[XWMSError], object]) -> Self:
        """Return a manager for the session whose id `current` returns.

        `failed` is called with the error of a store that is down, before the error is raised.
        """
        manager = self.of(self._context, self._runtime, clock=self._clock, current=current)
        manager._on_failure = failed
        return manager

    async def _run(self, steps: Steps[T]) -> T:
        try:
            return await arun(steps, self._runtime)
        except (StoreUnavailable, ConfigError, HostNotRegistered) as error:
            if self._on_failure is not None:
                self._on_failure(error)
            raise

    async def list(self, sub: str) -> tuple[SessionInfo, ...]:
        """Return the user's sessions: the current one first, then the most recently used."""
        return await self._run(self._list(sub))

    async def revoke(self, session_id: str, *, sub: str | None | Anybody = ANYBODY) -> bool:
        """Revoke one session. With `sub`, only if it is that user's: pass it if the id comes from a browser.

        Returns False if there is no such session, or if `sub` is None (nobody is logged in). The cookie store cannot
        tell: it returns True, and raises `ConfigError` for a `sub`.
        """
        return await self._run(self._revoke(session_id, sub))

    async def revoke_all(self, sub: str) -> None:
        """Revoke all sessions of the user, including the current one."""
        await self._run(self._revoke_all(sub))

    async def revoke_client(self) -> None:
        """Revoke all sessions of all users, for instance after a leak."""
        await self._run(self._revoke_client())

    async def aclose(self) -> None:
        """Close the connections to the store."""
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
