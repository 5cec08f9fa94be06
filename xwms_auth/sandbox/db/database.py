"""The database: one file or one memory, one unit of work at a time.

Knows: how to open SQLite, which version of the tables it holds, and how to change them all or not at all.
Must not: know what the tables mean.
"""

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

_APPLICATION: Final = 0x78776D73  # "xwms": SQLite files carry the mark of the application that made them
_BUSY_SECONDS: Final = 10.0  # how long to wait for another process that writes to the same file

# Accounts, redirect URIs and the signing key in clear: nobody else on the machine is to read or change them.
_OURS_ALONE: Final = 0o600
_BESIDE: Final = ("", "-wal", "-shm", "-journal")  # the files that SQLite keeps, by what their names end with

_log = logging.getLogger("xwms_auth.sandbox")


class DatabaseUnusable(Exception):
    """The file cannot be used; the text says why, in a sentence for the one who named it."""


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


STEPS: Final[tuple[Callable[[Connection], None], ...]] = (_add_oauth,)
"""From version 1 of the tables to 2, and so on; a new database gets today's at once."""


class Database:
    """What a local XWMS remembers. `path` None keeps it in memory.

    The file is for its owner alone; one that others could read is closed to them, or a warning says that it cannot be.
    Raises `DatabaseUnusable` for a file that is not a sandbox's, is of a newer version, or cannot be opened.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lock = Lock()
        if path is not None and str(path) != ":memory:":
            _make(path)
        self._engine = create_engine(
            URL.create("sqlite", database=None if path is None else str(path)),
            # One connection behind one lock: single use of tokens then needs no argument, and memory needs it anyway.
            poolclass=StaticPool,
            connect_args={"check_same_thread": False, "timeout": _BUSY_SECONDS},
        )
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)
        try:
            with self._engine.begin() as connection:
                _bring_up_to_date(connection)
            # Only now: a file of something else is left as it was found.
            if path is not None:
                _close_to_others(path)
            _log_ahead(self._engine)
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
        """A unit of work: everything in the block happens, or nothing where it ends with an exception.

        Blocks do not nest, and whatever waits for something does so outside.
        """
        with self._lock, Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        """Close the file; a memory is forgotten."""
        with self._lock:
            self._engine.dispose()


def _make(path: Path) -> None:
    # Before SQLite does, whose files follow the umask; it gives the files beside it the same mode. What is wrong with a
    # path it says better.
    with suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _OURS_ALONE))


def _close_to_others(path: Path) -> None:
    for file in (path.with_name(path.name + end) for end in _BESIDE):
        try:
            if stat.S_IMODE(file.stat().st_mode) & ~_OURS_ALONE:
                file.chmod(_OURS_ALONE)
        except FileNotFoundError:
            continue
        except OSError as fault:
            _log.warning("others may be able to read %s, and it cannot be changed: %s", file, fault.strerror)


def _prepare(connection: Any, _record: object) -> None:
    # SQLAlchemy's recipe: the driver begins no transaction by itself, `_begin` does.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = NORMAL")


def _log_ahead(engine: Engine) -> None:
    # Only now too: it is written into the file.
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


def _begin(connection: Connection) -> None:
    # Readers write too (the log), and a transaction that begins as a reader cannot wait for another writer.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _bring_up_to_date(connection: Connection) -> None:
    application = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
    version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    tables = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one()
    if application != _APPLICATION and (application or version or tables):
        raise DatabaseUnusable("is a database of something else.")
    if version > VERSION:
        raise DatabaseUnusable(f"was made by a newer version of xwms-auth (tables {version}, known here {VERSION}).")
    for step in STEPS[version - 1 :] if version else (_create,):
        step(connection)
    connection.exec_driver_sql(f"PRAGMA application_id = {_APPLICATION}")
    connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
