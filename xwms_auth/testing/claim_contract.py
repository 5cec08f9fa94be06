"""The contract of `claim`, `release` and `claimed`, as tests; part of the contracts of both kinds of stores."""

from collections.abc import Callable
from typing import Any, TypeAlias

from .._core.base.store_protocols import MAX_CLAIM_NAME, KnowsClaims, RevocationStore, SessionStore
from .harness import AT_ONCE, StoreHarness

NOW = 4_000_000_000
"""Seconds since 1970. In the future, so that nothing expires during a test in a store that uses its own clock."""

Store: TypeAlias = SessionStore | RevocationStore


class ClaimContract(StoreHarness):
    """The subclass defines the fixture `store`."""

    follows_now = True
    """False for a store that compares `until` with a clock of its own, or leaves the limits to the flow."""

    def open_again(self, store: Any) -> Any:
        """Open the same data again, as another process would."""
        return store

    def claim(self, store: Store, name: str, *, until: int = NOW + 600, now: int = NOW) -> object:
        return self.ask(store.claim(name, until=until, now=now))

    def test_a_name_is_claimed_once(self, store: Store) -> None:
        """LC-14, RP-02: a pending login that is used, a refresh in progress, a logout token that was delivered."""
        assert self.claim(store, "login/1") is True
        assert self.claim(store, "login/1") is False
        assert self.claim(store, "login/2") is True

    def test_names_are_up_to_64_characters_of_the_alphabet_and_all_of_them_count(self, store: Store) -> None:
        longest = "A-Za-z0-9_/" + "x" * (MAX_CLAIM_NAME - 11)
        names = [longest, f"{longest[:-1]}y", longest.lower(), "a", "A", "-", "_", "/", "0", "a/b", "a_b", "a-b", "ab"]
        assert [self.claim(store, name) for name in names] == [True] * len(names)
        assert [self.claim(store, name) for name in names] == [False] * len(names)

    def test_a_claim_ends_by_itself(self, store: Store) -> None:
        if not self.follows_now:
            return
        assert self.claim(store, "login", until=NOW + 10) is True
        assert self.claim(store, "login", until=NOW + 20, now=NOW + 9) is False
        assert self.claim(store, "login", until=NOW + 20, now=NOW + 11) is True

    def test_of_many_who_claim_a_name_at_once_one_gets_it(self, store: Store) -> None:
        """RP-02"""
        other = self.opened(self.open_again(store))

        def use(place: Store) -> Callable[[], Any]:
            return lambda: place.claim("login", until=NOW + 600, now=NOW)

        results = self.at_once(*map(use, [store, other] * (AT_ONCE // 2)))
        assert sorted(results) == [False] * (AT_ONCE - 1) + [True]

    def test_a_name_that_was_released_can_be_claimed_once_more(self, store: Store) -> None:
        self.claim(store, "login")
        assert self.ask(store.release("login")) is None
        assert self.ask(store.release("never-used")) is None
        assert self.claim(store, "login") is True
        assert self.claim(store, "login") is False

    def test_a_store_that_tells_which_names_are_claimed_tells_the_truth(self, store: Store) -> None:
        if not isinstance(store, KnowsClaims):
            return

        def claimed(*names: str, now: int = NOW) -> list[bool] | None:
            found = self.ask(store.claimed(names, now=now))
            return None if found is None else list(found)

        if claimed("a") is None:
            return  # with a revocation store that does not support it
        self.claim(store, "b")
        assert claimed("a", "b", "c") == [False, True, False]
        assert claimed() == []
        assert self.claim(store, "a") is True, "claimed() must not claim a name"
        self.ask(store.release("b"))
        assert claimed("a", "b") == [True, False]
        if self.follows_now:
            assert claimed("a", now=NOW + 601) == [False]
