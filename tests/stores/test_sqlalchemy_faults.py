"""A real PostgreSQL that fails, and a locked SQLite file: refused in time, and nothing is lost or revived by it.

Knows: what happens to servers, and what may be asked of a store.
Must not: pretend any of it.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from tests.stores.conftest import opened
from tests.stores.questions import QUESTIONS, READS, WRITES, await_answer, begin, require_down, sub_of
from tests.tools.postgres_server import PostgresServer
from xwms_auth import StoreUnavailable
from xwms_auth.stores.sqlalchemy import SQLAlchemyStore, metadata
from xwms_auth.testing.harness import StoreHarness
from xwms_auth.testing.store_contract import DAY, NOW, session


def about(handle: str, *names: str) -> dict[str, Callable[[Any], Any]]:
    """These writes, about a session that is there."""
    chosen = {name: WRITES[name] for name in names}
    return chosen | {"renew": lambda store: store.renew(handle, session(), until=NOW + DAY, now=NOW)}


def opened_at(server: PostgresServer, is_async: bool) -> Any:
    return opened(session_store=server.url("asyncpg" if is_async else "psycopg"), is_async=is_async)


def mend(server: PostgresServer) -> None:
    server.admin("ALTER ROLE app CONNECTION LIMIT -1")
    server.admin("ALTER DATABASE app RESET ALL")


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
@pytest.mark.usefixtures("short_store_timeouts")
class TestAPostgreSQLThatFails(StoreHarness):
    """Plain with psycopg and async with asyncpg, by URL."""

    @pytest.fixture
    def store(self, postgres: PostgresServer, is_async: bool, event_loop: None) -> Iterator[Any]:
        yield self.opened(opened_at(postgres, is_async))
        mend(postgres)

    @pytest.mark.parametrize("end", ["stop", "kill"])
    def test_one_that_ended_is_down_until_it_is_back_with_everything(self, postgres, store, end):
        """SL-11: the same store object serves again, and the first question is answered."""
        handle, left = begin(self, store), begin(self, store)
        self.ask(store.drop(left, why=None, now=NOW))
        getattr(postgres, end)()
        try:
            require_down(self, store)
        finally:
            postgres.start()
        assert sub_of(self, store, handle) == "1001"
        assert sub_of(self, store, left) is None
        assert len(self.ask(store.list(session().user.identity, now=NOW))) == 1

    def test_connections_that_the_server_has_ended_are_replaced_unseen(self, postgres, store):
        handle = begin(self, store)
        for question in QUESTIONS.values():
            postgres.admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
            self.ask(question(store))
        assert sub_of(self, store, handle) is not None

    def test_one_that_goes_on_at_another_address_is_found_there(self, postgres, store):
        handle = begin(self, store)
        postgres.move()
        assert sub_of(self, store, handle) == "1001"
        assert begin(self, store)

    def test_connections_to_a_server_that_became_a_copy_are_replaced(self, postgres, store):
        """A failover: the name leads to a new primary, and the old one can still be read."""
        postgres.admin("ALTER DATABASE app SET default_transaction_read_only = on")
        assert sub_of(self, store, "h" * 43) is None
        postgres.admin("ALTER DATABASE app RESET default_transaction_read_only")
        assert sub_of(self, store, begin(self, store)) == "1001"

    def test_a_copy_that_may_not_be_written_to_goes_on_knowing_who_is_there(self, postgres, store):
        handle = begin(self, store)
        postgres.admin("ALTER DATABASE app SET default_transaction_read_only = on")
        postgres.admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
        require_down(self, store, WRITES | about(handle))
        assert sub_of(self, store, handle) == "1001"
        postgres.admin("ALTER DATABASE app RESET default_transaction_read_only")
        assert sub_of(self, store, begin(self, store)) == "1001"

    def test_a_locked_table_is_down_within_the_bound(self, postgres, store):
        handle = begin(self, store)
        with closing(postgres.connect()) as other:
            other.execute("LOCK TABLE xwms_sessions, xwms_marks IN ACCESS EXCLUSIVE MODE")
            require_down(self, store, {name: QUESTIONS[name] for name in ("load", "create", "claim")})
        assert sub_of(self, store, handle) == "1001"

    def test_one_that_stalls_is_down_within_the_bound_and_serves_again_when_it_goes_on(self, postgres, store, is_async):
        """SL-11: with asyncpg; psycopg has no limit of its own for an answer."""
        if not is_async:
            return
        handle = begin(self, store)
        postgres.pause()
        try:
            require_down(self, store, {name: QUESTIONS[name] for name in ("load", "create")})
        finally:
            postgres.resume()
        await_answer(self, store)
        assert sub_of(self, store, handle) == "1001"

    def test_with_too_many_connections_it_is_down_and_serves_again(self, postgres, store):
        handle = begin(self, store)
        postgres.admin("ALTER ROLE app CONNECTION LIMIT 0")
        postgres.admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
        require_down(self, store)
        postgres.admin("ALTER ROLE app CONNECTION LIMIT -1")
        assert sub_of(self, store, handle) == "1001"

    def test_missing_tables_are_down_and_the_command_is_named(self, postgres, store):
        for table in metadata.tables:
            postgres.admin(f"ALTER TABLE {table} RENAME TO {table}_away", database="app")
        try:
            require_down(self, store)
            with pytest.raises(StoreUnavailable, match="xwms-auth db upgrade"):
                begin(self, store)
        finally:
            for table in metadata.tables:
                postgres.admin(f"ALTER TABLE {table}_away RENAME TO {table}", database="app")
        assert sub_of(self, store, begin(self, store)) == "1001"

    def test_a_refused_login_is_down_and_the_password_is_told_to_nobody(self, postgres, store, is_async):
        url = postgres.url("asyncpg" if is_async else "psycopg", user="nobody:Passw0rd")
        refusing = self.opened(opened(session_store=url, is_async=is_async))
        require_down(self, refusing, READS)
        with pytest.raises(StoreUnavailable) as refused:
            begin(self, refusing)
        assert "Passw0rd" not in f"{refused.value!r} {refused.value} {refused.value.__context__!r}"


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
class TestAPostgreSQLThatMayTakeItsTime(StoreHarness):
    """The same servers, with the patience of a busy machine: nothing here is about what is slow."""

    def test_no_isolation_level_makes_a_race_fail(self, postgres, is_async, event_loop):
        postgres.admin("ALTER DATABASE app SET default_transaction_isolation = serializable")
        try:
            store = self.opened(opened_at(postgres, is_async))
            handle = begin(self, store)
            newer = [session(at=NOW + number) for number in range(12)]
            renewals = [lambda one=one: store.renew(handle, one, until=NOW + DAY, now=NOW) for one in newer]
            claims = [lambda: store.claim("login", until=NOW + 9, now=NOW)] * 12
            done = self.at_once(*renewals, *claims)
            assert done[:12] == [handle] * 12
            assert sorted(done[12:]) == [False] * 11 + [True]
            assert self.ask(store.load(handle, now=NOW)).seen_at == NOW + 11
        finally:
            mend(postgres)


class TestOnAnEngineOfTheApplication(StoreHarness):
    @pytest.fixture
    def engine(self, postgres: PostgresServer) -> Iterator[Any]:
        engine = create_engine(postgres.url("psycopg"), pool_size=1, max_overflow=0, pool_timeout=0.02)
        yield engine
        engine.dispose()

    def test_a_pool_that_is_used_up_is_down(self, engine):
        store = opened(session_store=SQLAlchemyStore(engine))
        handle = begin(self, store)
        with engine.connect():
            require_down(self, store)
            with pytest.raises(StoreUnavailable, match="no connection left"):
                begin(self, store)
        assert sub_of(self, store, handle) == "1001"

    def test_it_is_no_part_of_the_applications_transaction(self, postgres):
        engine = create_engine(postgres.url("psycopg"))
        store = opened(session_store=SQLAlchemyStore(engine))
        with engine.connect() as connection:
            connection.exec_driver_sql("CREATE TABLE not_kept (id int)")
            handle = begin(self, store)
            connection.rollback()
        assert sub_of(self, store, handle) == "1001"
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT to_regclass('not_kept')").scalar() is None
            assert connection.get_isolation_level() == "READ COMMITTED"
        store.close()
        assert engine.pool.checkedin() > 0
        engine.dispose()

    def test_an_async_request_that_is_given_up_leaves_no_answer_behind(self, postgres):
        """DS-10: its connection is not used for another question."""
        engine = create_async_engine(postgres.url("asyncpg"), pool_size=1, max_overflow=0)
        store: Any = opened(session_store=SQLAlchemyStore(engine), is_async=True)
        one, other = begin(self, store, "one"), begin(self, store, "other")

        async def give_up() -> None:
            import anyio

            with closing(postgres.connect()) as locking:
                locking.execute("LOCK TABLE xwms_sessions IN ACCESS EXCLUSIVE MODE")
                with anyio.move_on_after(0.1) as scope:
                    await store.load(one, now=NOW)
                assert scope.cancelled_caught

        self.ask(give_up())
        assert sub_of(self, store, other) == "other"
        self.ask(engine.dispose())


class TestASQLiteFileOfTheApplication(StoreHarness):
    @pytest.fixture
    def store(self, tmp_path) -> Iterator[Any]:
        engine = create_engine(f"sqlite:///{tmp_path / 'app.sqlite3'}", connect_args={"timeout": 0.05})
        metadata.create_all(engine)
        yield opened(session_store=SQLAlchemyStore(engine))
        engine.dispose()

    def test_a_locked_one_is_down_and_serves_again(self, tmp_path, store):
        handle = begin(self, store)
        with closing(sqlite3.connect(tmp_path / "app.sqlite3")) as other:
            other.execute("BEGIN EXCLUSIVE")
            require_down(self, store)
        assert sub_of(self, store, handle) == "1001"

    def test_without_tables_it_is_down_and_the_command_is_named(self, tmp_path, store):
        with closing(sqlite3.connect(tmp_path / "app.sqlite3")) as other:
            other.executescript("DROP TABLE xwms_sessions; DROP TABLE xwms_marks")
        with pytest.raises(StoreUnavailable, match="xwms-auth db upgrade"):
            begin(self, store)
