"""A store as somebody sees it who has got hold of it: all that lies there, and a way to write.

Knows: Redis, SQLite, PostgreSQL, and where the sealed records are.
Must not: know what is in a record.
"""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from tests.tools.postgres_server import PostgresServer
from tests.tools.redis_server import RedisServer
from xwms_auth.testing.store_contract import DAY


class Place(Protocol):
    """A store that somebody has got hold of."""

    url: str

    def dump(self) -> bytes:
        """All of it, as it lies there."""

    def entries(self) -> dict[str, bytes]:
        """What is kept under which name."""

    def values(self) -> Iterator[bytes]:
        """Every single thing in it: names, members, columns."""

    def records(self) -> dict[str, bytes]:
        """The sealed sessions."""

    def write(self, name: str, value: Any) -> None:
        """Put something under the name of a record."""


class RedisPlace:
    def __init__(self, server: RedisServer) -> None:
        self.url, self._client = server.url, server.client

    def dump(self) -> bytes:
        return b"\n".join([*self.values(), *(bytes(self._client.dump(key)) for key in self._client.scan_iter())])

    def entries(self) -> dict[str, bytes]:
        kept = {key.decode(): self._client.type(key) for key in self._client.scan_iter()}
        return {
            key: b"\n".join(self._client.zrange(key, 0, -1)) if kind == b"zset" else self._client.get(key)
            for key, kind in kept.items()
        }

    def values(self) -> Iterator[bytes]:
        for key, value in self.entries().items():
            yield key.encode()
            yield from key.replace("{", ":").replace("}", ":").encode().split(b":")
            yield value
            yield from value.split(b"\n")

    def records(self) -> dict[str, bytes]:
        return {key: value for key, value in self.entries().items() if key.endswith("}")}

    def write(self, name: str, value: Any) -> None:
        if isinstance(value, list):
            self._client.delete(name)
            self._client.rpush(name, *value)
        else:
            self._client.set(name, value, ex=DAY)

    def ttls(self) -> dict[str, int]:
        return {key.decode(): self._client.ttl(key) for key in self._client.scan_iter()}


class SQLitePlace:
    def __init__(self, url: str) -> None:
        self.url = url
        self._path = Path(url.removeprefix("sqlite:///"))

    def _ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        db = sqlite3.connect(self._path)
        try:
            with db:
                return db.execute(sql, values).fetchall()
        finally:
            db.close()

    def dump(self) -> bytes:
        files = sorted(self._path.parent.glob(f"{self._path.name}*"))
        assert any(file.name.endswith("-wal") for file in files)
        return b"\n".join(file.read_bytes() for file in files)

    def entries(self) -> dict[str, bytes]:
        if not self._path.exists():
            return {}
        kept = {table: self._ask(f"SELECT * FROM {table}") for table in ("sessions", "marks")}
        return {f"{table}/{row[0]}/{row[1]}": repr(row).encode() for table, rows in kept.items() for row in rows}

    def values(self) -> Iterator[bytes]:
        for row in [*self._ask("SELECT * FROM sessions"), *self._ask("SELECT * FROM marks")]:
            for one in row:
                yield one if isinstance(one, bytes) else str(one).encode()
                yield from str(one).encode().split(b"/")

    def records(self) -> dict[str, bytes]:
        return dict(self._ask("SELECT key, record FROM sessions WHERE record IS NOT NULL"))

    def write(self, name: str, value: Any) -> None:
        kept = json.dumps(value) if isinstance(value, list) else value
        self._ask("UPDATE sessions SET record = ? WHERE key = ?", kept, name)


class PostgresPlace:
    def __init__(self, server: PostgresServer) -> None:
        self.url, self._server = server.url("psycopg"), server

    def _ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._server.connect(autocommit=True) as db:
            cursor = db.execute(sql, values)
            return cursor.fetchall() if cursor.description else []

    def dump(self) -> bytes:
        """The files of both tables and their indexes, with what was deleted and not yet overwritten."""
        self._server.admin("CHECKPOINT")
        own = "relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i', 't')"
        found = self._ask(f"SELECT pg_relation_filepath(oid) FROM pg_class WHERE {own}")
        return b"\n".join((self._server.data / path).read_bytes() for (path,) in found)

    def entries(self) -> dict[str, bytes]:
        return {f"{row[0]}/{row[1]}": repr(row).encode() for row in self._rows()}

    def _rows(self) -> list[tuple[Any, ...]]:
        return [*self._ask("SELECT * FROM xwms_sessions"), *self._ask("SELECT * FROM xwms_marks")]

    def values(self) -> Iterator[bytes]:
        for row in self._rows():
            for one in row:
                yield one if isinstance(one, bytes) else str(one).encode()
                yield from str(one).encode().split(b"/")

    def records(self) -> dict[str, bytes]:
        return dict(self._ask("SELECT id, record FROM xwms_sessions WHERE record IS NOT NULL"))

    def write(self, name: str, value: Any) -> None:
        kept = value if isinstance(value, bytes) else json.dumps(value).encode()
        self._ask("UPDATE xwms_sessions SET record = %s WHERE id = %s", kept, name)
