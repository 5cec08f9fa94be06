"""Connections to one SQLite file, and the tables in it.

Knows: SQLite, threads and forks.
Must not: know what the tables are for.
"""

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

PATIENCE = 0.5
"""Seconds to wait for another process's write."""

VERSION = 1
"""Of the tables. A file of another version is left alone."""

_TABLES = """
CREATE TABLE sessions (
    client TEXT NOT NULL, key TEXT NOT NULL, person TEXT NOT NULL, until INTEGER NOT NULL,
    record BLOB, ended TEXT,
    PRIMARY KEY (client, key)
) WITHOUT ROWID;
CREATE INDEX sessions_of_a_person ON sessions (client, person);
CREATE INDEX sessions_by_time ON sessions (until);
CREATE TABLE marks (
    client TEXT NOT NULL, name TEXT NOT NULL, until INTEGER NOT NULL, value INTEGER NOT NULL,
    PRIMARY KEY (client, name)
) WITHOUT ROWID;
CREATE INDEX marks_by_time ON marks (until);
"""


class Connections:
    """Connections to one file, each used by one thread at a time, and none of them across a fork."""

    def __init__(self, path: Path, *, patience: float) -> None:
        self._path = path
        self._patience = patience
        self._idle: deque[_Open] = deque()
        self._opening = threading.Lock()
        self._changing = threading.Lock()
        _all.add(self)
        # The application that this serves may have no end of its own to close them at.
        weakref.finalize(self, _close, self._idle)

    def do(self, work: Work[T]) -> T:
        """Do the work as one transaction. Raises `StoreUnavailable`."""
        try:
            taken = self._take()
            try:
                with taken.db:
                    made = work(taken.db)
            except BaseException:
                taken.db.close()
                raise
        except (sqlite3.Error, OSError) as fault:
            cause = f"SQLite: {type(fault).__name__}: {getattr(fault, 'sqlite_errorname', 'cannot be opened')}"
        else:
            self._idle.append(taken)
            return made
        raise StoreUnavailable(cause)

    def change(self, work: Work[T]) -> T:
        """The same for work that writes: one at a time in this process.

        SQLite gives no turns. Sixty threads that all try again would each have to be lucky within their time.
        """
        if not self._changing.acquire(timeout=self._patience):
            raise StoreUnavailable("SQLite: other changes of this process are still waiting")
        try:
            return self.do(work)
        finally:
            self._changing.release()

    def _take(self) -> "_Open":
        with suppress(IndexError):
            while True:
                taken = self._idle.pop()
                if taken.file == _file_at(self._path):
                    return taken
                # Somebody took the file away, perhaps to end everybody's sessions, and put another in its place or
                # none. Over its old connections this process alone would go on believing in the old one.
                taken.db.close()
        with self._opening:
            return self._open()

    def _open(self) -> "_Open":
        # Made here so that nobody else on this machine can read it; SQLite gives its other files the same mode.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)) if not self._path.exists() else None
        db = sqlite3.connect(self._path, timeout=self._patience, check_same_thread=False, cached_statements=32)
        try:
            _prepare(db, patience=self._patience)
            return _Open(db, _file_at(self._path))
        except BaseException:
            db.close()
            raise

    def close(self) -> None:
        """Close what is idle."""
        _close(self._idle)

    def begin_anew(self) -> None:
        """This is a new process: what came along belongs to the one that it was forked from."""
        # SQLite's locks do not survive a fork: the parent's connections are not to be touched, not even closed.
        _abandoned.extend(taken.db for taken in self._idle)
        self._idle.clear()
        # A thread that is not here may have held them.
        self._opening, self._changing = threading.Lock(), threading.Lock()


class _Open(NamedTuple):
    """A connection, and which file it is to."""

    db: sqlite3.Connection
    file: tuple[int, int] | None


def _file_at(path: Path) -> tuple[int, int] | None:
    """Which file is under this name now, if any."""
    try:
        found = os.stat(path)  # noqa: PTH116  every request asks, and `Path.stat` costs as much again
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _close(idle: deque[_Open]) -> None:
    with suppress(IndexError):
        while True:
            idle.pop().db.close()


_all: weakref.WeakSet[Connections] = weakref.WeakSet()


def _forked() -> None:
    for connections in _all:
        connections.begin_anew()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_forked)

_abandoned: list[sqlite3.Connection] = []
"""Connections of a parent process, kept from being closed by the garbage collector."""


def _prepare(db: sqlite3.Connection, *, patience: float) -> None:
    """Make the tables where there are none. Several processes may come to a new file at the same moment."""
    deadline = time.monotonic() + patience
    while True:
        try:
            _make_tables(db)
        except sqlite3.OperationalError as fault:
            # SQLite does not wait for whoever switches a file to WAL, whatever the timeout.
            if fault.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        else:
            break
    # After a power cut the last logins may be lost, the file is not; that is worth not waiting for the disk each time.
    db.execute("PRAGMA synchronous = NORMAL")


def _make_tables(db: sqlite3.Connection) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, VERSION):
        raise sqlite3.DatabaseError("the file was made by another version")
    if version == 0:
        db.execute("PRAGMA journal_mode = WAL")
        with db:
            db.execute("BEGIN IMMEDIATE")
            if db.execute("PRAGMA user_version").fetchone()[0] == 0:
                for statement in _TABLES.split(";\n"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {VERSION}")
