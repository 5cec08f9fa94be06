"""Where sessions can be kept, for tests that every kind of store must pass.

`where(kind)` gives the options of a config; within one test the same kind is the same place, so that a `Site` and its
`restarted()` are two processes that share it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tools.postgres_server import PostgresServer, postgres_server
from tests.tools.redis_server import RedisServer, redis_server

KINDS = ("cookie", "cookie+revocations", "memory", "sqlite", "redis")
SERVERS = ("memory", "sqlite", "redis")
"""Kinds that have a list of sessions."""

SHARED = ("sqlite", "redis")
"""Kinds in which what one process does holds for every other one, at once."""

REACHING = ("cookie+revocations", *SERVERS)
"""Kinds that can end a session elsewhere."""

Where = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="session")
def redis_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_url(redis_of_the_run: RedisServer) -> str:
    """An empty Redis."""
    redis_of_the_run.client.flushall()
    return redis_of_the_run.url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A file that is not there yet."""
    return f"sqlite:///{tmp_path / 'sessions.sqlite3'}"


@pytest.fixture(scope="session")
def postgres_of_the_run() -> Iterator[PostgresServer]:
    """One for a whole run, since it takes a second to make."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def postgres(postgres_of_the_run: PostgresServer) -> PostgresServer:
    """A PostgreSQL with empty tables."""
    postgres_of_the_run.admin("TRUNCATE xwms_sessions, xwms_marks", database="app")
    return postgres_of_the_run


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    return postgres.url("psycopg")


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """The address of an empty place of a kind: "memory", "sqlite", "redis" or "postgres"."""

    def find(kind: str) -> str:
        return "memory://" if kind == "memory" else str(request.getfixturevalue(f"{kind}_url"))

    return find


@pytest.fixture
def where(place: Callable[[str], str]) -> Where:
    """The options for sessions of this kind."""

    def options(kind: str) -> dict[str, Any]:
        if kind == "cookie":
            return {}
        return {"revocation_store": place("sqlite")} if kind == "cookie+revocations" else {"session_store": place(kind)}

    return options
