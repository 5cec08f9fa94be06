"""Sessions in an SQLite file: for several processes on one machine, without a server.

In WAL mode readers never wait for a writer. A write waits at most half a second for another. In async code a read is
tried in the event loop, since it takes a few microseconds, and waits in a thread only if the file is busy; writes,
which may wait for the disk, always run in a thread.

Never keeps a handle in clear text, or a name or an address outside an encrypted record.
"""

import sqlite3
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import TypeVar

import anyio.to_thread

from .._core.base.crypto.digests import digest, identity_digest, login_digest, new_key
from .._core.base.errors import StoreUnavailable
from .._core.base.models import EndReason, Identity
from .._core.base.session import Session, latest
from .records import Records, ending_of, is_key, login_of
from .sqlite_file import BUSY_TIMEOUT, Connections, Work
from .thread_limit import ThreadLimit

T = TypeVar("T")

WRITERS = 8
"""Threads in which async code waits to write. One writes at a time, and one that waits too long gets an error."""

SWEEP_INTERVAL = 60
"""Seconds between two cleanups by one process."""

SWEEP_LIMIT = 1000
"""Rows of a table that one cleanup removes at most, so that no login waits long for it."""


class SQLiteStore:
    """Implements `SessionStore` and `RevocationStore` for sync code.

    `client` separates clients that share a file. The file is created at the first use, readable by its owner only.
    """

    def __init__(self, path: str | Path, *, client: str, records: Records) -> None:
        self._path = Path(path)
        self._client = client
        self._records = records
        self._connections = Connections(self._path, timeout=BUSY_TIMEOUT)
        self._next_sweep = 0

    # Overridden for async code.

    def _read(self, work: Work[T]) -> T | Awaitable[T]:
        return self._connections.run(work)

    def _write(self, work: Work[T]) -> T | Awaitable[T]:
        return self._connections.write(work)

    def keep_connections(self) -> None:
        """Does nothing: connections to a file do not belong to an event loop and are always kept."""

    def close(self) -> None:
        """Close the connections to the file. The store can be used again afterwards."""
        self._connections.close()

    # Sessions.

    def create(self, session: Session, *, until: int, now: int) -> str | Awaitable[str]:
        handle = new_key()
        key = digest(handle)
        person, record = identity_digest(session.user.identity), self._records.write(session, key=key)
        row = (self._client, key, person, login_of(session), until, record)

        def work(db: sqlite3.Connection) -> str:
            db.execute(
                "INSERT INTO sessions (client, key, person, login, until, record) VALUES (?, ?, ?, ?, ?, ?)", row
            )
            self._sweep(db, now)
            return handle

        return self._write(work)

    def load(self, handle: str, *, now: int) -> Session | EndReason | None | Awaitable[Session | EndReason | None]:
        key = digest(handle)

        def work(db: sqlite3.Connection) -> Session | EndReason | None:
            found = db.execute(
                "SELECT record, ended FROM sessions WHERE client = ? AND key = ? AND until > ?",
                (self._client, key, now),
            ).fetchone()
            if found is None:
                return None
            record, ended = found
            return self._records.read(record, key=key) if ended is None else ending_of(ended)

        return self._read(work)

    def recall(self, handle: str, *, now: int) -> Session | None:
        return None

    def renew(self, handle: str, session: Session, *, until: int, now: int) -> str | None | Awaitable[str | None]:
        key = digest(handle)

        def work(db: sqlite3.Connection) -> str | None:
            db.execute("BEGIN IMMEDIATE")
            where = "WHERE client = ? AND key = ? AND ended IS NULL"
            found = db.execute(f"SELECT record FROM sessions {where}", (self._client, key)).fetchone()  # noqa: S608  a constant
            kept = None if found is None else self._records.read(found[0], key=key)
            if not isinstance(kept, Session):
                return None
            record = self._records.write(latest(kept, session), key=key)
            db.execute(f"UPDATE sessions SET record = ?, until = ? {where}", (record, until, self._client, key))  # noqa: S608  a constant
            return handle

        return self._write(work)

    def drop(self, handle: str, *, why: EndReason | None, now: int) -> None | Awaitable[None]:
        key = digest(handle)

        def work(db: sqlite3.Connection) -> None:
            if why is None:
                db.execute("DELETE FROM sessions WHERE client = ? AND key = ?", (self._client, key))
            else:
                self._end(db, why, "key = ?", key)

        return self._write(work)

    def list(self, identity: Identity, *, now: int) -> Sequence[Session] | Awaitable[Sequence[Session]]:
        return self._list("person = ?", identity_digest(identity), now)

    def list_login(self, sid: str, *, issuer: str, now: int) -> Sequence[Session] | Awaitable[Sequence[Session]]:
        return self._list("login = ?", login_digest(issuer, sid), now)

    def _list(self, which: str, name: str, now: int) -> Sequence[Session] | Awaitable[Sequence[Session]]:
        def work(db: sqlite3.Connection) -> Sequence[Session]:
            rows = db.execute(
                f"SELECT key, record FROM sessions WHERE client = ? AND {which} AND until > ? AND ended IS NULL",  # noqa: S608  `which` is a constant
                (self._client, name, now),
            )
            read = [self._records.read(record, key=key) for key, record in rows]
            return [one for one in read if isinstance(one, Session)]

        return self._read(work)

    def revoke(self, session_id: str, *, now: int) -> bool | Awaitable[bool]:
        if not is_key(session_id):
            return False
        return self._write(lambda db: self._end(db, EndReason.REVOKED, "key = ? AND until > ?", session_id, now))

    def revoke_all(self, identity: Identity, *, now: int) -> None | Awaitable[None]:
        def work(db: sqlite3.Connection) -> None:
            self._end(db, EndReason.REVOKED, "person = ?", identity_digest(identity))

        return self._write(work)

    def revoke_client(self, *, now: int) -> None | Awaitable[None]:
        def work(db: sqlite3.Connection) -> None:
            self._end(db, EndReason.REVOKED, "TRUE")

        return self._write(work)

    def _end(self, db: sqlite3.Connection, why: EndReason, which: str, *values: object) -> bool:
        sql = f"UPDATE sessions SET ended = ?, record = NULL WHERE client = ? AND ended IS NULL AND {which}"  # noqa: S608  `which` is a constant
        return db.execute(sql, (why.value, self._client, *values)).rowcount > 0

    # The table `marks`: claimed names, and times up to which sessions are revoked.

    def claim(self, name: str, *, until: int, now: int) -> bool | Awaitable[bool]:
        row = (self._client, f"claim/{name}", until, now)

        def work(db: sqlite3.Connection) -> bool:
            sql = (
                "INSERT INTO marks (client, name, until, value) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET until = excluded.until, value = excluded.value"
                " WHERE until <= excluded.value"
            )
            claimed = db.execute(sql, row).rowcount > 0
            # Here too, because a login with cookie sessions writes nothing else.
            self._sweep(db, now)
            return claimed

        return self._write(work)

    def release(self, name: str) -> None | Awaitable[None]:
        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM marks WHERE client = ? AND name = ?", (self._client, f"claim/{name}"))

        return self._write(work)

    def claimed(self, names: Sequence[str], *, now: int) -> Sequence[bool] | Awaitable[Sequence[bool]]:
        def work(db: sqlite3.Connection) -> Sequence[bool]:
            sql = "SELECT 1 FROM marks WHERE client = ? AND name = ? AND until > ?"
            found = [db.execute(sql, (self._client, f"claim/{name}", now)).fetchone() for name in names]
            return [row is not None for row in found]

        return self._read(work)

    def not_before(self, names: Sequence[str], *, now: int) -> Sequence[int] | Awaitable[Sequence[int]]:
        def work(db: sqlite3.Connection) -> Sequence[int]:
            sql = "SELECT value FROM marks WHERE client = ? AND name = ? AND until > ?"
            found = [db.execute(sql, (self._client, f"not-before/{name}", now)).fetchone() for name in names]
            return [row[0] if row else 0 for row in found]

        return self._read(work)

    def forbid(self, name: str, *, upto: int, until: int, now: int) -> None | Awaitable[None]:
        row = (self._client, f"not-before/{name}", until, upto)

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO marks (client, name, until, value) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
                " SET until = max(until, excluded.until), value = max(value + 1, excluded.value)",
                row,
            )
            self._sweep(db, now)

        return self._write(work)

    def _sweep(self, db: sqlite3.Connection, now: int) -> None:
        """Remove expired rows, a limited number at a time."""
        if 0 <= self._next_sweep - now <= SWEEP_INTERVAL:
            return
        values, most = (now, SWEEP_LIMIT), 0
        for table, key in (("sessions", "key"), ("marks", "name")):
            expired = f"SELECT client, {key} FROM {table} WHERE until <= ? LIMIT ?"  # noqa: S608  constants
            sql = f"DELETE FROM {table} WHERE (client, {key}) IN ({expired})"  # noqa: S608  constants
            most = max(most, db.execute(sql, values).rowcount)
        # If rows are left, the next second continues: otherwise a busy site would add rows faster than they go.
        self._next_sweep = now + (0 if most == SWEEP_LIMIT else SWEEP_INTERVAL)


class AsyncSQLiteStore(SQLiteStore):
    """The same for async code, on asyncio or trio."""

    def __init__(self, path: str | Path, *, client: str, records: Records) -> None:
        super().__init__(path, client=client, records=records)
        self._nonblocking = Connections(self._path, timeout=0)

    def _read(self, work: Work[T]) -> T | Awaitable[T]:
        try:
            return self._nonblocking.run(work)
        except StoreUnavailable:
            return self._write(work)

    def _write(self, work: Work[T]) -> T | Awaitable[T]:
        return self._in_a_thread(work)

    async def _in_a_thread(self, work: Work[T]) -> T:
        # With a limiter of its own: the threads for an application's sync endpoints may all be busy.
        return await anyio.to_thread.run_sync(self._connections.write, work, limiter=_threads.limiter())

    def close(self) -> None:
        self._nonblocking.close()
        super().close()


_threads = ThreadLimit("xwms_auth_sqlite", WRITERS)
