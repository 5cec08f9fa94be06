"""Run the work of the database store on SQLAlchemy's engines, sync and async.

Every piece of work has a connection of its own, in autocommit mode: it is never part of a transaction of the
application, and each of its statements is atomic by itself. So it may be run again where a connection turned out to be
lost, or to lead to a server that may no longer be written to.

Never reveals a part of the URL, which may contain a password, or the values of a statement.
"""

import os
import sys
import time
import weakref
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, TypeVar, cast

import anyio.to_thread
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidRequestError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool

from .._core.base.errors import ConfigError, StoreUnavailable
from .._core.base.models import Secret
from .event_loop import current_loop, is_trio
from .thread_limit import ThreadLimit

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

T = TypeVar("T")
Work = Callable[[Connection], T]

DATABASE_TIMEOUT = 2.0
"""Seconds to wait for a connection, and for a lock or an answer where the driver allows it. For stores by URL only: an
engine of the application's has the timeouts that the application gave it."""

MAX_THREADS = 16
"""Threads of one process in which async code waits for a sync engine: as many as its pool has connections, about."""

MAX_CONFLICTS = 10
"""Times that work is run again because another transaction was in the way; at each one, another one succeeds."""

PROMPT = 1.0
"""Seconds within which an error shows that a connection was lost before, and is not one that has timed out now."""

MISSING_TABLES = "the database has no tables for sessions: create them with xwms-auth db upgrade, or a migration"

# SQLSTATEs of PostgreSQL, and error numbers of MySQL.
CONFLICT = frozenset(("40001", "40P01", 1213))
_READ_ONLY = frozenset(("25006", 1290, 1836))
NO_TABLE = frozenset(("42P01", 1146))
_SQLITE_READONLY = 8


class Executor(Protocol):
    """Runs the work of the store. Raises `StoreUnavailable`."""

    def run(self, work: Work[T]) -> T | Awaitable[T]:
        """Run the work with a connection of its own, and return its result."""
        ...

    def keep_connections(self) -> None:
        """As in `KeepsConnections`."""
        ...

    def close(self) -> None | Awaitable[None]:
        """As in `KeepsConnections`."""
        ...


class NotOpened:
    """The executor of a store that no login has opened."""

    def run(self, work: Work[T]) -> T:
        raise ConfigError(["SQLAlchemyStore is used by giving it to a config, as session_store or revocation_store"])

    def keep_connections(self) -> None:
        """Does nothing: there are no connections."""

    def close(self) -> None:
        """Does nothing: there are no connections."""


class _Attempts:
    """One piece of work: whether it may be run again after an error."""

    def __init__(self, engine: Engine) -> None:
        self._drivers_error = engine.dialect.loaded_dbapi.Error
        self.forget_connections = False
        self._began = time.monotonic()
        self._conflicts = 0
        self._tried_again = False

    def failed(self, error: Exception) -> StoreUnavailable | None:
        """The error to raise, or None if the work is to be run again."""
        code = code_of(error)
        self.forget_connections = False
        if code in CONFLICT and self._conflicts < MAX_CONFLICTS:
            self._conflicts += 1
            return None
        # SQLAlchemy has replaced the pool of a connection that was lost, so the next one is new. It has not where the
        # driver's own error came through: that is, where setting the autocommit mode sends something.
        is_lost = isinstance(error, DBAPIError) and error.connection_invalidated
        is_drivers = isinstance(error, self._drivers_error)
        # What took long was a timeout, and would take as long again.
        is_prompt = time.monotonic() - self._began < PROMPT
        if is_prompt and not self._tried_again and (is_lost or is_drivers or code in _READ_ONLY):
            # After a failover the name of the server leads to another one, while old connections still lead to the one
            # that is now a read-only copy.
            self.forget_connections = not is_lost
            self._tried_again = True
            return None
        if code in NO_TABLE:
            return StoreUnavailable(MISSING_TABLES)
        if isinstance(error, PoolTimeout):
            return StoreUnavailable("the pool of the engine has no connection left")
        shown = type(getattr(error, "orig", None) or error).__name__
        return StoreUnavailable(f"the database: {shown}{'' if code is None else f' {code}'}")


def code_of(error: Exception) -> str | int | None:
    """The SQLSTATE or the number of a database's error; those of SQLite as the SQLSTATEs that mean the same."""
    origin: Any = getattr(error, "orig", None) or error
    for name in ("sqlstate", "pgcode"):
        if isinstance(found := getattr(origin, name, None), str):
            return found
    if getattr(origin, "sqlite_errorcode", 0) & 0xFF == _SQLITE_READONLY:
        return "25006"
    first = origin.args[0] if getattr(origin, "args", ()) else None
    if isinstance(first, str) and first.startswith("no such table"):
        return "42P01"
    return first if isinstance(first, int) else None


def _errors(engine: Engine) -> tuple[type[Exception], ...]:
    """What means that the database is down. SQLAlchemy passes asyncpg's errors on as they are while it connects."""
    asyncpg: Any = sys.modules.get("asyncpg")
    own = () if asyncpg is None else (asyncpg.PostgresError, asyncpg.InterfaceError)
    return (SQLAlchemyError, OSError, TimeoutError, engine.dialect.loaded_dbapi.Error, *own)


def _in_autocommit(connection: Connection, work: Work[T]) -> T:
    # Set for each connection and not for the engine, which SQLAlchemy 2.0.0 refuses for some. It sends nothing with the
    # drivers of PostgreSQL and SQLite, and ends when the connection goes back to the pool.
    try:
        connection.execution_options(isolation_level="AUTOCOMMIT")
    except Exception as error:
        # Not back into the pool, which would try to reset it.
        connection.invalidate(error)
        raise
    with connection.begin():
        return work(connection)


class EngineExecutor:
    """For sync code. `owned` if the engine is the store's own, which may close it."""

    def __init__(self, engine: Engine, *, owned: bool = False) -> None:
        self._engine, self._owned = engine, owned
        _engines.add(engine)
        if owned:
            # Not every application has an end at which it could close them.
            weakref.finalize(self, engine.dispose)

    def run(self, work: Work[T]) -> T:
        attempts = _Attempts(self._engine)
        while True:
            try:
                with self._engine.connect() as connection:
                    return _in_autocommit(connection, work)
            except _errors(self._engine) as error:
                unavailable = attempts.failed(error)
            # Outside of `except`, so that the driver's error, which may show the URL, is not its context.
            if unavailable is not None:
                raise unavailable
            if attempts.forget_connections:
                self._engine.dispose()

    def keep_connections(self) -> None:
        """Does nothing: the pool of the engine keeps them."""

    def close(self) -> None:
        if self._owned:
            self._engine.dispose()


class ThreadExecutor:
    """For async code, with a sync engine."""

    def __init__(self, engine: Engine, *, owned: bool = False) -> None:
        self._executor = EngineExecutor(engine, owned=owned)

    async def run(self, work: Work[T]) -> T:
        return await anyio.to_thread.run_sync(self._executor.run, work, limiter=_threads.limiter())

    def keep_connections(self) -> None:
        """Does nothing: these connections do not belong to an event loop."""

    def close(self) -> None:
        self._executor.close()


_threads = ThreadLimit("xwms_auth_sqlalchemy", MAX_THREADS)


class AsyncEngineExecutor:
    """For async code on asyncio, with an async engine of the application's, which also closes it."""

    def __init__(self, engine: "AsyncEngine") -> None:
        self._engine = engine
        _engines.add(engine.sync_engine)

    async def run(self, work: Work[T]) -> T:
        if is_trio():
            raise ConfigError(["an AsyncEngine of SQLAlchemy needs asyncio: on trio give the store a sync Engine"])
        attempts = _Attempts(self._engine.sync_engine)
        while True:
            try:
                async with self._engine.connect() as connection:
                    return await connection.run_sync(_in_autocommit, work)
            except _errors(self._engine.sync_engine) as error:
                unavailable = attempts.failed(error)
            if unavailable is not None:
                raise unavailable
            if attempts.forget_connections:
                await self._engine.dispose()

    def keep_connections(self) -> None:
        """Does nothing: the pool of the engine keeps them."""

    def close(self) -> None:
        """Does nothing: the engine is the application's."""


class AsyncURLExecutor:
    """For async code, with engines of the store's own.

    Connections of asyncio belong to an event loop and are kept only after `keep_connections`, as with Redis. On trio,
    and with a driver that knows no asyncio, a sync engine is used in threads.
    """

    def __init__(self, url: URL, in_threads: ThreadExecutor | None) -> None:
        self._url, self._in_threads = url, in_threads
        # Asked by name: SQLAlchemy says so only once, and then fails at the first statement.
        import_module("greenlet")
        from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415  needs greenlet

        # Without a pool, so that it keeps no connection and may be used in any event loop.
        self._passing = AsyncEngineExecutor(create_async_engine(url, **_options(url), poolclass=NullPool))
        self._kept: tuple[AsyncEngine, AsyncEngineExecutor] | None = None
        self._kept_for: object = None

    async def run(self, work: Work[T]) -> T:
        if is_trio():
            if self._in_threads is None:
                raise ConfigError(["the driver in the URL of the store needs asyncio, and this is trio"])
            return await self._in_threads.run(work)
        if self._kept_for != current_loop():
            return await self._passing.run(work)
        if self._kept is None:
            from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415  as above

            engine = create_async_engine(self._url, **_options(self._url), pool_timeout=DATABASE_TIMEOUT)
            self._kept = engine, AsyncEngineExecutor(engine)
        return await self._kept[1].run(work)

    def keep_connections(self) -> None:
        """Keep connections open in this event loop from now on; `close` must be called in the same loop."""
        if not is_trio() and self._kept_for != current_loop():
            self._kept, self._kept_for = None, current_loop()

    async def close(self) -> None:
        """Close the kept connections, and keep none from now on."""
        if self._in_threads is not None:
            self._in_threads.close()
        if is_trio() or self._kept_for != current_loop():
            return
        kept, self._kept, self._kept_for = self._kept, None, None
        if kept is not None:
            await kept[0].dispose()


def is_async_engine(engine: object) -> "TypeGuard[AsyncEngine]":
    """Whether this is an engine for asyncio. Imports nothing: that part of SQLAlchemy needs greenlet.

    SQLAlchemy 2.1 does not bring it, and an application without async code does not need it.
    """
    asyncio_part = sys.modules.get("sqlalchemy.ext.asyncio")
    return asyncio_part is not None and isinstance(engine, asyncio_part.AsyncEngine)


def executor_of_engine(engine: "Engine | AsyncEngine", *, is_async: bool) -> Executor:
    """The executor for an engine of the application's. Raises `ConfigError`."""
    if is_async_engine(engine):
        if not is_async:
            raise ConfigError(["SQLAlchemyStore has an AsyncEngine, which sync code cannot use: give it an Engine"])
        return AsyncEngineExecutor(engine)
    sync_engine = cast("Engine", engine)
    return ThreadExecutor(sync_engine) if is_async else EngineExecutor(sync_engine)


def executor_of_url(secret_url: Secret, *, is_async: bool) -> Executor:
    """The executor for a database of this URL, with engines of its own. Raises `ConfigError`, without the URL."""
    url, engine = _own_engine(secret_url)
    needs_asyncio = engine.dialect.is_async
    if not is_async:
        if needs_asyncio:
            raise ConfigError(["the driver in the URL of the store is for async code only: name another one"])
        return EngineExecutor(engine, owned=True)
    in_threads = None if needs_asyncio else ThreadExecutor(engine, owned=True)
    try:
        return AsyncURLExecutor(url, in_threads)
    except (InvalidRequestError, ImportError) as error:  # no asyncio for this driver, or no greenlet
        if in_threads is None:
            needed = "pip install 'sqlalchemy[asyncio]'" if isinstance(error, ImportError) else type(error).__name__
            raise ConfigError([f"the driver in the URL of the store is for asyncio, which fails: {needed}"]) from None
        return in_threads


def _own_engine(secret_url: Secret) -> tuple[URL, Engine]:
    try:
        url = _parsed(secret_url)
        return url, create_engine(url, **_options(url), pool_timeout=DATABASE_TIMEOUT)
    except ImportError as error:
        fault = f"the driver in the URL of the store is not installed: {error.name or 'it needs a library'}"
    except (ArgumentError, InvalidRequestError, ValueError, TypeError) as error:
        fault = f"the URL of the store is not one of SQLAlchemy's: {type(error).__name__}"
    raise ConfigError([fault])


def _parsed(secret_url: Secret) -> URL:
    url = make_url(secret_url.reveal())
    # SQLAlchemy masks a password only where it stands before the host.
    password = url.query.get("password")
    if isinstance(password, str):
        return url.difference_update_query(["password"]).set(password=password)
    return url


def _options(url: URL) -> dict[str, Any]:
    """Short waits, in the words of each driver; what the URL says itself stays."""
    seconds, ms = max(1, round(DATABASE_TIMEOUT)), f"{DATABASE_TIMEOUT * 1000:.0f}"
    libpq: dict[str, Any] = {
        "connect_timeout": seconds,
        "options": f"-c statement_timeout={ms} -c lock_timeout={ms}",
        # A machine that is gone says nothing: these notice it after seconds and not after hours.
        "keepalives_idle": seconds,
        "keepalives_interval": 1,
        "keepalives_count": 2,
        "tcp_user_timeout": ms,
    }
    sockets = {"connect_timeout": seconds, "read_timeout": seconds, "write_timeout": seconds}
    asyncpg = {
        "timeout": DATABASE_TIMEOUT,
        "command_timeout": DATABASE_TIMEOUT,
        "server_settings": {"statement_timeout": ms, "lock_timeout": ms},
    }
    arguments: Mapping[str, Mapping[str, Any]] = {
        "psycopg": libpq,
        "psycopg2": libpq,
        "asyncpg": asyncpg,
        "pymysql": sockets,
        "mysqldb": sockets,
        "aiomysql": {"connect_timeout": seconds},
        "asyncmy": {"connect_timeout": seconds},
    }
    driver = url.get_driver_name()
    chosen = {name: value for name, value in arguments.get(driver, {}).items() if name not in url.query}
    return {"connect_args": chosen, "isolation_level": "AUTOCOMMIT"}


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


def _forked() -> None:
    for engine in list(_engines):
        # The parent's connections must not be used here, and not be closed either.
        engine.dispose(close=False)


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forked)
