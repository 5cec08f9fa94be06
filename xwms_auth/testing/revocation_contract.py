"""The contract of a revocation store, as tests that you can run against a store of your own.

from xwms_auth.testing.revocation_contract import RevocationContract

class TestMyStore(RevocationContract):
    def make_store(self):
        return MyStore(...)          # empty; called once per test
"""

import pytest

from .._core.base.store_protocols import RevocationStore
from .claim_contract import ClaimContract

NOW = 4_000_000_000
"""Seconds since 1970. In the future, so that nothing expires during a test in a store that uses its own clock."""

DAY = 86_400


class RevocationContract(ClaimContract):
    """Subclass it and define `make_store`."""

    def make_store(self) -> RevocationStore:
        """Return a new, empty store."""
        raise TypeError(f"{type(self).__name__} must define make_store")

    @pytest.fixture
    def store(self, event_loop: None) -> RevocationStore:
        return self.opened(self.make_store())

    def not_before(self, store: RevocationStore, *names: str) -> list[int]:
        return list(self.ask(store.not_before(names, now=NOW)))

    def forbid(self, store: RevocationStore, name: str, *, upto: int) -> None:
        assert self.ask(store.forbid(name, upto=upto, until=NOW + DAY, now=NOW)) is None

    def test_a_name_has_its_time_and_the_others_have_none(self, store: RevocationStore) -> None:
        assert self.not_before(store, "a", "b") == [0, 0]
        self.forbid(store, "b", upto=NOW)
        assert self.not_before(store, "a", "b", "c") == [0, NOW, 0]

    def test_each_time_is_later_than_the_one_before(self, store: RevocationStore) -> None:
        """A login between two revocations, within the same second, counts from one second after the first."""
        for expected in (NOW, NOW + 1, NOW + 2):
            self.forbid(store, "a", upto=NOW)
            assert self.not_before(store, "a") == [expected]
        self.forbid(store, "a", upto=NOW + 100)
        assert self.not_before(store, "a") == [NOW + 100]
