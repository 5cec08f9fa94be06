"""Everything that may be asked of a store, for times when it cannot answer.

Knows: the methods of `SessionStore` and `RevocationStore`, and how long an answer may take.
Must not: know a store.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from xwms_auth import StoreUnavailable
from xwms_auth._core.base.models import EndReason
from xwms_auth.testing.harness import StoreHarness
from xwms_auth.testing.store_contract import DAY, NOW, session

HANDLE = "h" * 43

BOUND = 3.0
"""Seconds for the answer that a store is down. Far above what it takes; redis-py by itself would try for nine."""

DEADLINE = 20.0
"""Seconds for a process outside to change its state."""

READS: dict[str, Callable[[Any], Any]] = {
    "load": lambda store: store.load(HANDLE, now=NOW),
    "list": lambda store: store.list(session().user.identity, now=NOW),
    "list_login": lambda store: store.list_login("a", issuer="https://xwms.example/api/", now=NOW),
    "not_before": lambda store: store.not_before(["client", "somebody"], now=NOW),
    "claimed": lambda store: store.claimed(["login"], now=NOW),
}
WRITES: dict[str, Callable[[Any], Any]] = {
    "create": lambda store: store.create(session(), until=NOW + DAY, now=NOW),
    "renew": lambda store: store.renew(HANDLE, session(), until=NOW + DAY, now=NOW),
    "drop": lambda store: store.drop(HANDLE, why=None, now=NOW),
    "drop with a reason": lambda store: store.drop(HANDLE, why=EndReason.WITHDRAWN, now=NOW),
    "revoke": lambda store: store.revoke("i" * 43, now=NOW),
    "revoke_all": lambda store: store.revoke_all(session().user.identity, now=NOW),
    "revoke_client": lambda store: store.revoke_client(now=NOW),
    "claim": lambda store: store.claim("login", until=NOW + DAY, now=NOW),
    "release": lambda store: store.release("login"),
    "forbid": lambda store: store.forbid("somebody", upto=NOW, until=NOW + DAY, now=NOW),
}
QUESTIONS = {**READS, **WRITES}


def begin(asking: StoreHarness, store: Any, sub: str = "1001") -> str:
    """A handle of a session that has begun."""
    handle: str = asking.ask(store.create(session(sub), until=NOW + DAY, now=NOW))
    return handle


def sub_of(asking: StoreHarness, store: Any, handle: str) -> object:
    """Whose session it is; None or an `Ending` where it is nobody's."""
    found = asking.ask(store.load(handle, now=NOW))
    return found.user.sub if hasattr(found, "user") else found


def require_down(asking: StoreHarness, store: Any, questions: dict[str, Callable[[Any], Any]] = QUESTIONS) -> None:
    """Each of these questions is refused with `StoreUnavailable`, within the bound."""
    for name, question in questions.items():
        began = time.monotonic()
        with pytest.raises(StoreUnavailable) as refused:
            pytest.fail(f"{name} answered {asking.ask(question(store))!r}")
        assert time.monotonic() - began < BOUND, name
        assert (refused.value.status, refused.value.code) == (503, "store_unavailable")


def await_answer(asking: StoreHarness, store: Any) -> None:
    """Until the store answers again. A client may leave one that stalled alone for a moment."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        with suppress(StoreUnavailable):
            asking.ask(store.load(HANDLE, now=NOW))
            return
    raise AssertionError("the store does not answer again")
