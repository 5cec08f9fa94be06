"""The SQLite database, in a file or in memory: one unit of work at a time, and migrations of the tables."""

import logging
import os
import sqlite3
import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, insert
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from xwms_auth.sandbox.db.schema import VERSION, AuthorizationRequest, Grant, Plan, SigningKey, Table, Token

CLIENT_PLAN: Final = "client"

_APPLICATION: Final = 0x78776D73  # "xwms": SQLite files have the id of the application that created them
_BUSY_SECONDS: Final = 10.0  # how long to wait for another process that writes to the same file

# The file has accounts, redirect URIs and the signing key in clear text: nobody else may read or change it.
_OWNER_ONLY: Final = 0o600
_SUFFIXES: Final = ("", "-wal", "-shm", "-journal")  # of the files that SQLite creates

_log = logging.getLogger("xwms_auth.sandbox")


class DatabaseUnusable(Exception):
    """The file cannot be used; the text says why, in a sentence for the user."""


def _create(connection: Connection) -> None:
    Table.metadata.create_all(connection)
    connection.execute(
        insert(Plan),
        {
            "key": CLIENT_PLAN,
            "name": "Client plan",
            "description": "Any number of clients, secrets, domains and members. Free in the sandbox.",
        },
    )


def _add_oauth(connection: Connection) -> None:
    added = (AuthorizationRequest, Grant, Token, SigningKey)
    Table.metadata.create_all(connection, tables=[Table.metadata.tables[each.__tablename__] for each in added])
    connection.exec_driver_sql("ALTER TABLE clients ADD COLUMN backchannel_logout_uri VARCHAR")


def _add_pictures(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE people ADD COLUMN picture VARCHAR")


STEPS: Final[tuple[Callable[[Connection], None], ...]] = (_add_oauth, _add_pictures)
"""The migrations from version 1 of the tables to 2, and so on; a new database gets the current version."""


class Database:
    """The database of a local XWMS. With `path` None it is in memory.

    The file is readable by its owner only; the mode of an existing file is changed, or a warning is logged if it
    cannot be.
    Raises `DatabaseUnusable` for a file that is not a sandbox database, has a newer version, or cannot be opened.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lock = Lock()
        if path is not None and str(path) != ":memory:":
            _make(path)
        self._engine = create_engine(
            URL.create("sqlite", database=None if path is None else str(path)),
            # One connection behind one lock, so that single use of tokens holds. In memory it must be one anyway.
            poolclass=StaticPool,
            connect_args={"check_same_thread": False, "timeout": _BUSY_SECONDS},
        )
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)
        try:
            with self._engine.begin() as connection:
                _bring_up_to_date(connection)
            # Not earlier: a file of another application must not be changed.
            if path is not None:
                _close_to_others(path)
            _enable_wal(self._engine)
        except (OperationalError, DatabaseError) as fault:
            self._engine.dispose()
            raise DatabaseUnusable(f"{path} cannot be used as a database: {fault.orig}.") from None
        except sqlite3.Error as fault:
            self._engine.dispose()
            raise DatabaseUnusable(f"{path} cannot be used as a database: {fault}.") from None
        except DatabaseUnusable as fault:
            self._engine.dispose()
            raise DatabaseUnusable(f"{path} {fault}") from None

    @contextmanager
    def work(self) -> Generator[Session]:
        """A unit of work: the block is one transaction, which an exception rolls back.

        Blocks must not be nested, and must not wait for input or output.
        """
        with self._lock, Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        """Close the file; a database in memory is lost."""
        with self._lock:
            self._engine.dispose()


def _make(path: Path) -> None:
    # Created before SQLite opens it, since SQLite's files follow the umask; its other files get the same mode. Errors
    # are ignored, because SQLite reports them better.
    with suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _OWNER_ONLY))


def _close_to_others(path: Path) -> None:
    for file in (path.with_name(path.name + suffix) for suffix in _SUFFIXES):
        try:
            if stat.S_IMODE(file.stat().st_mode) & ~_OWNER_ONLY:
                file.chmod(_OWNER_ONLY)
        except FileNotFoundError:
            continue
        except OSError as error:
            _log.warning("others may be able to read %s, and its mode cannot be changed: %s", file, error.strerror)


def _prepare(connection: Any, _record: object) -> None:
    # SQLAlchemy's recipe: `_begin` starts transactions, and not the driver.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = NORMAL")


def _enable_wal(engine: Engine) -> None:
    # Not earlier either, since the mode is stored in the file.
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


def _begin(connection: Connection) -> None:
    # Units that read also write (the API log), and a transaction that begins as a reader cannot wait for a writer.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _bring_up_to_date(connection: Connection) -> None:
    application = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
    version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    tables = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one()
    if application != _APPLICATION and (application or version or tables):
        raise DatabaseUnusable("is a database of another application.")
    if version > VERSION:
        raise DatabaseUnusable(f"was created by a newer version of xwms-auth (tables {version}, known here {VERSION}).")
    for step in STEPS[version - 1 :] if version else (_create,):
        step(connection)
    connection.exec_driver_sql(f"PRAGMA application_id = {_APPLICATION}")
    connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
