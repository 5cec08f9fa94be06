"""The stores of these tests, by name, each opened the way the package opens it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.redis_server import RedisServer, redis_server
from xwms_auth import XWMSConfig
from xwms_auth._core.base.store_protocols import SessionStore
from xwms_auth._core.config.context import Context
from xwms_auth.stores import open_store

KEY, OTHER_KEY = "K3y-for-tests-0123456789-abcdefghij", "0th3r-key-of-tests-0123456789-abcdefg"


def site_with(**options: Any) -> Context:
    usual = {
        "client_id": "desk",
        "client_secret": "s3cret-of-the-desk",
        "redirect_uris": "https://app.example/xwms/validateToken",
        "api_url": "https://xwms.example/api/",
        "session_secret": KEY,
    }
    return Context.of(XWMSConfig(**{**usual, **options}))


def opened(*, is_async: bool = False, **options: Any) -> SessionStore:
    """A store as an edge opens it."""
    return open_store(site_with(**options), is_async=is_async)


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


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """The address of an empty place of a kind: "memory", "sqlite" or "redis"."""

    def find(kind: str) -> str:
        return "memory://" if kind == "memory" else str(request.getfixturevalue(f"{kind}_url"))

    return find
