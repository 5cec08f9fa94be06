"""Where sessions can be kept, for tests that every kind of store must pass.

`where(kind)` gives the options of a config; within one test the same kind is the same place, so that a `Site` and its
`restarted()` are two processes that share it.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.stores.conftest import place, redis_of_the_run, redis_url, sqlite_url

__all__ = ["place", "redis_of_the_run", "redis_url", "sqlite_url", "where"]

KINDS = ("cookie", "cookie+revocations", "memory", "sqlite", "redis")
SERVERS = ("memory", "sqlite", "redis")
"""Kinds that have a list of sessions."""

SHARED = ("sqlite", "redis")
"""Kinds in which what one process does holds for every other one, at once."""

REACHING = ("cookie+revocations", *SERVERS)
"""Kinds that can end a session elsewhere."""

Where = Callable[[str], dict[str, Any]]


@pytest.fixture
def where(place: Callable[[str], str]) -> Where:
    """The options for sessions of this kind."""

    def options(kind: str) -> dict[str, Any]:
        if kind == "cookie":
            return {}
        return {"revocation_store": place("sqlite")} if kind == "cookie+revocations" else {"session_store": place(kind)}

    return options
