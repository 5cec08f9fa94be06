"""Connections to one SQLite file, safe for threads and forks, and its tables."""

import os
import sqlite3
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

from .._core.base.errors import StoreUnavailable

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

BUSY_TIMEOUT = 0.5
"""Seconds to wait for a write of another process."""

SCHEMA_VERSION = 1
"""The version of the tables. A file of another version is not changed."""

_TABLES = """
CREATE TABLE sessions (
    client TEXT NOT NULL, key TEXT NOT NULL, person TEXT NOT NULL, until INTEGER NOT NULL,
    record BLOB, ended TEXT, login TEXT,
    PRIMARY KEY (client, key)
) WITHOUT ROWID;
CREATE INDEX sessions_of_a_person ON sessions (client, person);
CREATE INDEX sessions_by_time ON sessions (until);
CREATE INDEX sessions_of_a_login ON sessions (client, login) WHERE login IS NOT NULL;
CREATE TABLE marks (
    client TEXT NOT NULL, name TEXT NOT NULL, until INTEGER NOT NULL, value INTEGER NOT NULL,
    PRIMARY KEY (client, name)
) WITHOUT ROWID;
CREATE INDEX marks_by_time ON marks (until);
"""


class Connections:
    """Connections to one file, each used by one thread at a time and never across a fork."""

    def __init__(self, path: Path, *, timeout: float) -> None:
        self._path = path
        self._name = str(path)
        self._timeout = timeout
        self._idle: deque[_Connection] = deque()
        self._epoch = 0
        self._open_lock = threading.Lock()
        self._write_lock = threading.Lock()
        _all.add(self)
        # Not every application has an end at which it could close them.
        weakref.finalize(self, _close, self._idle)

    def run(self, work: Work[T]) -> T:
        """Run the work in one transaction. Raises `StoreUnavailable`."""
        try:
            try:
                return self._run(work)
            except sqlite3.OperationalError as error:
                if not _is_read_only(error):
                    raise
                _forget_all(self._path)
                return self._run(work)
        except (sqlite3.Error, OSError) as error:
            cause = f"SQLite: {type(error).__name__}: {getattr(error, 'sqlite_errorname', 'cannot be opened')}"
        raise StoreUnavailable(cause)

    def _run(self, work: Work[T]) -> T:
        connection = self._acquire()
        try:
            with connection.db:
                result = work(connection.db)
        except BaseException:
            connection.db.close()
            raise
        self._idle.append(connection)
        if connection.epoch != self._epoch:
            self.close()  # it was in use when the others were forgotten
        return result

    def write(self, work: Work[T]) -> T:
        """Run work that writes, one at a time in this process.

        SQLite has no queue: of sixty threads that all retry, some would not get the lock within the timeout.
        """
        if not self._write_lock.acquire(timeout=self._timeout):
            raise StoreUnavailable("SQLite: other writes of this process are still waiting")
        try:
            return self.run(work)
        finally:
            self._write_lock.release()

    def _acquire(self) -> "_Connection":
        with suppress(IndexError):
            while True:
                connection = self._idle.pop()
                if connection.file == _file_id(self._name):
                    return connection
                # The file was removed or replaced, perhaps to end all sessions. With its old connections only this
                # process would continue to use the old file.
                connection.db.close()
        with self._open_lock:
            return self._open()

    def _open(self) -> "_Connection":
        # Created here so that nobody else on this machine can read it; SQLite gives its other files the same mode.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)) if not self._path.exists() else None
        db = sqlite3.connect(self._path, timeout=self._timeout, check_same_thread=False, cached_statements=32)
        try:
            _prepare(db, timeout=self._timeout)
            return _Connection(db, _file_id(self._name), self._epoch)
        except BaseException:
            db.close()
            raise

    def forget(self, path: Path) -> None:
        """Close all connections, if they are to this file: the idle ones now, the others when they are done."""
        if path == self._path:
            self._epoch += 1
            self.close()

    def close(self) -> None:
        """Close the idle connections."""
        _close(self._idle)

    def reset_after_fork(self) -> None:
        """Abandon the connections and locks of the parent process."""
        # SQLite's locks do not survive a fork: the parent's connections must not be used, not even closed.
        _abandoned.extend(connection.db for connection in self._idle)
        self._idle.clear()
        # A thread of the parent may have held them.
        self._open_lock, self._write_lock = threading.Lock(), threading.Lock()


class _Connection(NamedTuple):
    """A connection, the file that it was opened on, and the epoch of its `Connections` then."""

    db: sqlite3.Connection
    file: tuple[int, int] | None
    epoch: int


def _is_read_only(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY


def _forget_all(path: Path) -> None:
    """Make every connection of this process to a file end.

    A disk that was read-only for a while, as after an error, leaves connections that cannot write. SQLite shares what
    it has mapped of a file among all connections of a process, so as long as one is open a new one cannot either.
    """
    for connections in list(_all):
        connections.forget(path)


def _file_id(path: str) -> tuple[int, int] | None:
    """The device and inode of the file at this path; None if there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116  called for every request, and `Path.stat` takes twice as long
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _close(idle: deque[_Connection]) -> None:
    with suppress(IndexError):
        while True:
            idle.pop().db.close()


_all: weakref.WeakSet[Connections] = weakref.WeakSet()


def _forked() -> None:
    for connections in _all:
        connections.reset_after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forked)

_abandoned: list[sqlite3.Connection] = []
"""Connections of a parent process, referenced here so that the garbage collector does not close them."""


def _prepare(db: sqlite3.Connection, *, timeout: float) -> None:
    """Create the tables if there are none. Several processes may open a new file at the same moment."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            _create_tables(db)
        except sqlite3.OperationalError as error:
            # SQLite does not wait for a connection that switches the file to WAL, whatever the timeout.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        else:
            break
    # A power failure may lose the last logins but does not corrupt the file. In return, not every commit waits for the
    # disk.
    db.execute("PRAGMA synchronous = NORMAL")


def _create_tables(db: sqlite3.Connection) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, SCHEMA_VERSION):
        raise sqlite3.DatabaseError("the file was created by another version")
    if version == 0:
        db.execute("PRAGMA journal_mode = WAL")
        with db:
            db.execute("BEGIN IMMEDIATE")
            if db.execute("PRAGMA user_version").fetchone()[0] == 0:
                for statement in _TABLES.split(";\n"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    elif not _has_logins(db):
        # A file from before there was this column. It keeps its version: what wrote it can still use it.
        with db:
            db.execute("BEGIN IMMEDIATE")
            if not _has_logins(db):
                db.execute("ALTER TABLE sessions ADD COLUMN login TEXT")
                db.execute("CREATE INDEX sessions_of_a_login ON sessions (client, login) WHERE login IS NOT NULL")


def _has_logins(db: sqlite3.Connection) -> bool:
    return any(column[1] == "login" for column in db.execute("PRAGMA table_info(sessions)"))
