"""Errors of the application's database, while accounts are looked for: which are tried again, and which are told."""

import sys
import time
from typing import Any

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from .._core.base.errors import StoreUnavailable
from ..stores.sqlalchemy_engines import CONFLICT, MAX_CONFLICTS, NO_TABLE, code_of

CONFLICT_TIME = 1.5
"""Seconds after which a transaction that others are in the way of is not begun again: a database that was waited for so
long, as SQLite by itself is for five, would be waited for as long again."""

_SQLITE_BUSY, _SQLITE_LOCKED = 5, 6


class Attempts:
    """The attempts at one transaction."""

    def __init__(self) -> None:
        self._conflicts = 0
        self._was_lost = False
        self._began = time.monotonic()

    def failed(self, error: Exception) -> Exception | None:
        """The error to raise, or None if the transaction is to be run again.

        That is if another one was in the way, or if a connection of the pool turned out to be lost.
        """
        if isinstance(error, DBAPIError):
            if error.connection_invalidated and not self._was_lost:
                self._was_lost = True
                return None
            is_prompt = time.monotonic() - self._began < CONFLICT_TIME
            if is_prompt and self._conflicts < MAX_CONFLICTS and _is_conflict(error):
                self._conflicts += 1
                return None
        return told(error)


def database_errors() -> tuple[type[Exception], ...]:
    """What a database and its driver raise. SQLAlchemy passes asyncpg's errors on as they are while it connects."""
    asyncpg: Any = sys.modules.get("asyncpg")
    return (SQLAlchemyError, OSError, TimeoutError, *_of_asyncpg(asyncpg))


def _of_asyncpg(asyncpg: Any) -> tuple[type[Exception], ...]:
    return () if asyncpg is None else (asyncpg.PostgresConnectionError, asyncpg.InterfaceError)


def told(error: Exception) -> Exception:
    """`StoreUnavailable` in place of an error that means that the database is down; any other error as it is.

    To be raised outside of `except`, so that the driver's error, which may show values, is not its context.
    """
    return _unavailable(error) or error


def _unavailable(error: Exception) -> StoreUnavailable | None:
    code = code_of(error)
    if code in NO_TABLE:
        hint = "create it as the other tables of the application, once the linker is made"
        return StoreUnavailable(
            f"a table of the accounts is missing: {hint}; a database in memory is one for each thread"
        )
    if isinstance(error, PoolTimeout):
        return StoreUnavailable("the pool of the engine for accounts has no connection left")
    drivers = _of_asyncpg(sys.modules.get("asyncpg"))
    is_down = isinstance(error, (OperationalError, InterfaceError, OSError, TimeoutError, *drivers)) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )
    if not is_down:
        return None
    shown = type(getattr(error, "orig", None) or error).__name__
    return StoreUnavailable(f"the database of the accounts: {shown}{'' if code is None else f' {code}'}")


def _is_conflict(error: DBAPIError) -> bool:
    is_locked = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in (_SQLITE_BUSY, _SQLITE_LOCKED)
    return is_locked or code_of(error) in CONFLICT
