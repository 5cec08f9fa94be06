"""Records that others change while a store is open: what a store has read before is no answer to what it reads now."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from tests.stores.conftest import opened
from tests.stores.questions import begin, sub_of
from tests.tools.redis_server import redis_server
from xwms_auth._core.base.models import EndReason
from xwms_auth.testing.harness import StoreHarness
from xwms_auth.testing.store_contract import NOW, session


class Rows:
    """The records of an SQLite file or of a Redis, as somebody who can write to it changes them."""

    def read(self) -> dict[object, bytes]:
        raise NotImplementedError

    def write(self, name: object, record: bytes | None) -> None:
        raise NotImplementedError


class SQLiteRows(Rows):
    def __init__(self, path):
        self._path = path

    def read(self):
        with closing(sqlite3.connect(self._path)) as db:
            return dict(db.execute("SELECT key, record FROM sessions"))

    def write(self, name, record):
        with closing(sqlite3.connect(self._path)) as db, db:
            if record is None:
                db.execute("DELETE FROM sessions WHERE key = ?", (name,))
            else:
                db.execute("UPDATE sessions SET record = ? WHERE key = ?", (record, name))


class RedisRows(Rows):
    def __init__(self, server):
        self._client = server.client

    def read(self):
        return {name: self._client.get(name) for name in self._client.keys("*{*}")}

    def write(self, name, record):
        self._client.delete(name) if record is None else self._client.set(name, record, keepttl=True)


@pytest.fixture(params=["sqlite", "redis"])
def place(request, tmp_path):
    """The URL of a store, and its records."""
    if request.param == "sqlite":
        path = tmp_path / "sessions.sqlite3"
        yield f"sqlite:///{path}", SQLiteRows(path)
        return
    with redis_server(tmp_path) as server:
        yield server.url, RedisRows(server)


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
class TestChangedRecords(StoreHarness):
    def store(self, url, *, is_async, **options):
        return self.opened(opened(session_store=url, is_async=is_async, **options))

    def test_a_record_that_was_altered_is_not_read_from_memory(self, place, is_async):
        url, rows = place
        store = self.store(url, is_async=is_async)
        handle = begin(self, store)
        assert sub_of(self, store, handle) == "1001"
        ((name, record),) = rows.read().items()
        for altered in (record[:-1] + bytes([record[-1] ^ 1]), record[:-1], record + b"x", b"", b"x"):
            rows.write(name, altered)
            for _ in range(2):
                assert sub_of(self, store, handle) is EndReason.KEY_ROTATED
            rows.write(name, record)
            assert sub_of(self, store, handle) == "1001"
        rows.write(name, None)
        assert sub_of(self, store, handle) is None

    def test_a_record_that_was_copied_to_another_key_is_not_read_from_memory(self, place, is_async):
        url, rows = place
        store = self.store(url, is_async=is_async)
        handles = {sub: begin(self, store, sub) for sub in ("ada", "bob")}
        for sub, handle in handles.items():
            assert sub_of(self, store, handle) == sub
        (one, first), (two, second) = rows.read().items()
        rows.write(one, second)
        rows.write(two, first)
        for handle in handles.values():
            assert sub_of(self, store, handle) is EndReason.KEY_ROTATED

    def test_what_another_process_changes_is_seen_at_once(self, place, is_async):
        url, _ = place
        store, other = (self.store(url, is_async=is_async) for _ in range(2))
        handle = begin(self, store)
        for seen_at in range(NOW + 1, NOW + 4):
            assert self.ask(other.renew(handle, replace(session(), seen_at=seen_at), until=NOW + 99, now=NOW)) == handle
            assert self.ask(store.load(handle, now=NOW)).seen_at == seen_at
        (found,) = self.ask(other.list(session().user.identity, now=NOW))
        assert self.ask(other.revoke(found.id, now=NOW)) is True
        assert sub_of(self, store, handle) is EndReason.REVOKED

    def test_a_store_with_another_secret_reads_nothing_of_it(self, place, is_async):
        url, _ = place
        store = self.store(url, is_async=is_async)
        handle = begin(self, store)
        other = self.store(url, is_async=is_async, session_secret="an0ther-secret-0123456789-0123456789-ab")
        for _ in range(2):
            assert sub_of(self, store, handle) == "1001"
            assert sub_of(self, other, handle) is EndReason.KEY_ROTATED
