"""What a process remembers is bounded: each kind by itself, and all kinds of all its applications together."""

import gc
import tracemalloc

import pytest

from xwms_auth import XWMSConfig
from xwms_auth._core.base.memory import expiring
from xwms_auth._core.base.memory.expiring import ExpiringMap, ExpiringSet, LocalClaims
from xwms_auth._core.config.context import Context
from xwms_auth._core.config.state import ProcessState
from xwms_auth.stores import open_store

SLACK = 64 * 1024
"""Bytes by which the budget may be exceeded between two checks."""


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The maps of other tests do not count."""
    monkeypatch.setattr(expiring, "_budget", expiring._Budget())


def flood(names: ExpiringSet | ExpiringMap[bool], count: int) -> None:
    for number in range(count):
        if isinstance(names, ExpiringSet):
            names.add(f"name-{number}", until=2000, now=1000)
        else:
            names.put(f"name-{number}", value=True, until=2000, now=1000)


def total() -> int:
    gc.collect()
    return sum(one.bytes for one in expiring._budget._maps)


def test_many_sets_together_stay_within_one_budget(monkeypatch: pytest.MonkeyPatch):
    """Eleven sets of a hundred thousand names were 250 MiB."""
    monkeypatch.setattr(expiring, "MAX_BYTES", 1_000_000)
    sets = [ExpiringSet() for _ in range(11)]
    for names in sets:
        flood(names, 2000)
    assert 0.9 * 1_000_000 < total() < 1_000_000 + SLACK
    # None is emptied for another.
    assert all("name-1999" in names for names in sets)


def test_a_flood_of_one_kind_pushes_out_nothing_of_another(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(expiring, "MAX_BYTES", 1_000_000)
    claims, flooded = LocalClaims(), ExpiringSet()
    assert claims.claim("login/the-only-one", until=2000, now=1000)
    flood(flooded, 20_000)
    assert not claims.claim("login/the-only-one", until=2000, now=1000)
    assert "name-0" not in flooded
    assert "name-19999" in flooded


def test_larger_entries_count_for_more(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(expiring, "MAX_BYTES", 1_000_000)
    sessions: ExpiringMap[bool] = ExpiringMap(entry_bytes=2000)
    flood(sessions, 2000)
    assert len(sessions.items()) <= 500 + 64


def test_everything_that_an_application_remembers_is_in_the_budget():
    config = XWMSConfig(
        client_id="id",
        client_secret="secret",
        redirect_uris="https://app.example/cb",
        session_secret="0123456789abcdefghijklmnopqrstuv",
    )
    context = Context.of(config)
    store = open_store(context)
    kept = {id(one) for one in expiring._budget._maps}

    def maps(owner: object, depth: int = 3) -> list[object]:
        found: list[object] = []
        for value in vars(owner).values() if hasattr(owner, "__dict__") else ():
            if isinstance(value, ExpiringMap):
                found.append(value)
            elif depth and type(value).__module__.startswith("xwms_auth"):
                found += maps(value, depth - 1)
        return found

    assert isinstance(context.state, ProcessState)
    found = [*maps(context.state), *maps(store)]
    assert len(found) >= 12
    assert {id(one) for one in found} <= kept


def test_an_application_that_is_gone_takes_nothing_of_the_budget():
    names = ExpiringSet()
    flood(names, 1000)
    assert total() > 0
    del names
    assert total() == 0


def test_a_name_takes_about_what_is_reckoned_for_it():
    names = ExpiringSet()
    tracemalloc.start()
    try:
        for number in range(20_000):
            names.add(f"{number:043}", until=2000, now=1000)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.5 < taken / total() < 1.5


def test_what_has_been_removed_is_neither_touched_nor_released():
    names: ExpiringMap[bool] = ExpiringMap(2)
    for name in ("a", "b", "gone"):
        names.put(name, value=True, until=2000, now=1000)
    names.touch("a")
    names.touch("b")
    names.put("c", value=True, until=2000, now=1000)
    assert [name for name in ("a", "b", "gone", "c") if names.get(name, now=1000)] == ["b", "c"]
    claims = LocalClaims()
    claims.release("login/never-claimed")
    assert claims.claim("login/never-claimed", until=2000, now=1000)
