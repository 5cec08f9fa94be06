"""The store in a database against the contract: PostgreSQL and SQLite, engines of both kinds, and by URL."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.ext.asyncio import create_async_engine

from tests.stores.conftest import opened
from tests.tools.postgres_server import PostgresServer
from tests.tools.requires import missing
from xwms_auth._core.base.store_protocols import SessionStore
from xwms_auth.stores.sqlalchemy import SQLAlchemyStore, metadata
from xwms_auth.testing.revocation_contract import RevocationContract
from xwms_auth.testing.store_contract import StoreContract


class InADatabase(StoreContract):
    """A store over an engine; another opening of it has an engine of its own."""

    is_async = False
    url: str

    @pytest.fixture(autouse=True)
    def _engines(self, event_loop: None) -> Iterator[None]:
        self.engines: list[Any] = []
        yield
        for engine in self.engines:
            self.ask(engine.dispose())

    options: ClassVar[dict[str, Any]] = {}

    def engine(self) -> Any:
        return (create_async_engine if self.is_async else create_engine)(self.url, **self.options)

    def make_store(self) -> SessionStore:
        self.engines.append(self.engine())
        return opened(session_store=SQLAlchemyStore(self.engines[-1]), is_async=self.is_async)

    def open_again(self, store: SessionStore) -> SessionStore:
        return self.make_store()


class TestPostgreSQL(InADatabase):
    @pytest.fixture(autouse=True)
    def _server(self, postgres: PostgresServer) -> None:
        self.url = postgres.url("psycopg")


class TestPostgreSQLAsync(InADatabase):
    is_async = True

    @pytest.fixture(autouse=True)
    def _server(self, postgres: PostgresServer) -> None:
        self.url = postgres.url("asyncpg")


class TestPostgreSQLByURL(StoreContract):
    """With engines of the store's own; async, since the plain one differs in nothing but who closes it."""

    @pytest.fixture(autouse=True)
    def _server(self, postgres: PostgresServer) -> None:
        self.url = postgres.url("psycopg")

    def make_store(self) -> SessionStore:
        return opened(session_store=self.url, is_async=True)

    def open_again(self, store: SessionStore) -> SessionStore:
        return self.make_store()


class TestSQLite(InADatabase):
    driver = "pysqlite"
    # Dozens write at once, and SQLite lets none of them wait in line: on a busy machine its own five seconds may pass.
    options: ClassVar[dict[str, Any]] = {"connect_args": {"timeout": 30}}

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.url = f"sqlite+{self.driver}:///{tmp_path / 'app.sqlite3'}"
        engine = create_engine(f"sqlite:///{tmp_path / 'app.sqlite3'}")
        metadata.create_all(engine)
        engine.dispose()

    def engine(self) -> Any:
        engine = super().engine()

        # As an application does that has several workers; and without waiting for the disk.
        @event.listens_for(getattr(engine, "sync_engine", engine), "connect")
        def prepare(connection: Any, record: Any) -> None:
            for pragma in ("journal_mode = WAL", "synchronous = OFF"):
                connection.execute(f"PRAGMA {pragma}")

        return engine


class TestSQLiteAsync(TestSQLite):
    is_async = True
    driver = "aiosqlite"

    @pytest.fixture(autouse=True)
    def _driver(self) -> None:
        if find_spec("aiosqlite") is None:
            missing("the package aiosqlite")


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
class TestRevocations(RevocationContract):
    @pytest.fixture(autouse=True)
    def _server(self, postgres: PostgresServer, is_async: bool) -> None:
        self.url, self.is_async = postgres.url("psycopg"), is_async

    def make_store(self) -> Any:
        return opened(session_store=self.url, is_async=self.is_async)
