"""The contract of a session store, as tests that you can run against a store of your own.

    from xwms_auth.testing.store_contract import StoreContract

    class TestMyStore(StoreContract):
        def make_store(self):
            return MyStore(...)          # empty; called once per test

The methods of the store may be sync or async; the same tests run both. `open_again` opens the same data again, as
another process would; for a store that exists in one process only, do not override it.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import permutations
from typing import Any

import pytest

from .._core.base.errors import ConfigError
from .._core.base.models import EndReason, Secret, TokenSet, User
from .._core.base.session import Session
from .._core.base.store_protocols import FindsLogins, SessionStore
from .claim_contract import ClaimContract
from .harness import AT_ONCE

NOW = 4_000_000_000
"""Seconds since 1970. In the future, so that nothing expires during a test in a store that uses its own clock."""

DAY = 86_400

JUNK = (
    "",
    "x",
    "0",
    "null",
    "*",
    "../../etc/passwd",
    "%00",
    "\x00",
    "a b",
    "' OR 1=1 --",
    "{}",
    "ё",
    "\udcff",
    "A" * 43,
    "A" * 4096,
)


def person(sub: str = "1001", *, issuer: str = "https://xwms.example/api/") -> User:
    """A person with every claim."""
    return User(
        issuer=issuer,
        sub=sub,
        name="Zoë 😀 Зоя",
        given_name="Zoë",
        family_name="O'Neill",
        email="zoe@example.org",
        email_verified=True,
        picture="https://xwms.example/zoe.png",
    )


def session(sub: str = "1001", *, at: int = NOW, **fields: Any) -> Session:
    """A session of the person with this `sub` that begins at `at`."""
    return Session(id="begun", user=person(sub), started_at=at, seen_at=at, device="Firefox on Linux", **fields)


def tokens(number: int) -> TokenSet:
    """The tokens of a login after this many refreshes."""
    secret = Secret(f"token-{number}")
    return TokenSet(
        access_token=secret, refresh_token=secret, id_token=None, scope=("openid",), expires_at=NOW, number=number
    )


class StoreContract(ClaimContract):
    """Subclass it and define `make_store`."""

    has_list = True
    """False for a store that cannot list sessions; `list` then raises `ConfigError`, and the device is not kept."""

    reaches = True
    """False for a store that cannot end a session elsewhere; `revoke` and its like then raise `ConfigError`."""

    knows_ids = True
    """False for a store that accepts any id in `revoke`, because it does not know which sessions exist."""

    def make_store(self) -> SessionStore:
        """Return a new, empty store."""
        raise TypeError(f"{type(self).__name__} must define make_store")

    def open_again(self, store: SessionStore) -> SessionStore:
        """Open the same data again, as another process would."""
        return store

    @pytest.fixture
    def store(self, event_loop: None) -> SessionStore:
        return self.opened(self.make_store())

    # Helpers.

    def create(self, store: SessionStore, one: Session) -> str:
        handle = self.ask(store.create(one, until=one.seen_at + DAY, now=one.seen_at))
        assert isinstance(handle, str)
        return handle

    def load(self, store: SessionStore, handle: str, *, now: int = NOW) -> Any:
        """The result of `load`. `recall` must return the same or None, and never a session that has ended."""
        found = self.ask(store.load(handle, now=now))
        recalled = store.recall(handle, now=now)
        assert recalled is None or recalled == found
        return found

    def kept(self, one: Session, found: Session) -> Session:
        """The session that the store should return: all of it, with the id of the store, perhaps without the device."""
        return replace(one, id=found.id, device=one.device if self.has_list else None)

    def renew(self, store: SessionStore, handle: str, one: Session, *, now: int = NOW) -> Any:
        return self.ask(store.renew(handle, one, until=now + DAY, now=now))

    def drop(self, store: SessionStore, handle: str, *, why: EndReason | None = None) -> None:
        assert self.ask(store.drop(handle, why=why, now=NOW)) is None

    def ids(self, store: SessionStore, sub: str = "1001") -> list[str]:
        return sorted(one.id for one in self.ask(store.list(person(sub).identity, now=NOW)))

    # Missing and malformed.

    def test_what_was_never_given_out_is_missing_and_stays_so(self, store: SessionStore) -> None:
        """SF-04"""
        for handle in (*JUNK, "A" * 42 + "B"):
            assert self.load(store, handle) is None
            assert self.renew(store, handle, session()) is None
            self.drop(store, handle)
            self.drop(store, handle, why=EndReason.WITHDRAWN)
            assert self.load(store, handle) is None
        if self.has_list:
            assert self.ids(store) == []

    # Kept.

    @pytest.mark.parametrize("sub", ["1001", "xwms-user-1234", "a b", "ключ", "x" * 255])
    def test_a_session_comes_back_as_it_went_in(self, store: SessionStore, sub: str) -> None:
        one = session(sub, checked_at=NOW + 5, counts_from=NOW + 7)
        found = self.load(store, self.create(store, one))
        assert found == self.kept(one, found)

    def test_a_session_with_a_sub_alone_comes_back_too(self, store: SessionStore) -> None:
        one = Session(id="x", user=User(issuer=person().issuer, sub="7"), started_at=NOW - 60, seen_at=NOW)
        found = self.load(store, self.create(store, one))
        assert found == self.kept(one, found)

    def test_every_login_has_a_handle_of_its_own_that_its_id_does_not_tell(self, store: SessionStore) -> None:
        """SL-01, SL-02, SF-03"""
        handles = [self.create(store, session()) for _ in range(20)]
        ids = [self.load(store, handle).id for handle in handles]
        assert len(set(handles)) == len(set(ids)) == 20 or not self.has_list
        for id_ in ids:
            assert id_ not in handles
            assert self.load(store, id_) is None

    def test_handles_are_fit_for_a_cookie(self, store: SessionStore) -> None:
        handle = self.create(store, session())
        assert handle.isascii()
        assert handle.isprintable()
        assert not set(handle) & set(' ",;\\')

    def test_many_who_log_in_at_once_are_never_mixed(self, store: SessionStore) -> None:
        """SL-14"""
        subs = [str(number) for number in range(1, AT_ONCE + 1)]

        def log_in(sub: str) -> Callable[[], Any]:
            return lambda: store.create(replace(session(sub), id=sub), until=NOW + DAY, now=NOW)

        def look_up(handle: str) -> Callable[[], Any]:
            return lambda: store.load(handle, now=NOW)

        handles = self.at_once(*map(log_in, subs))
        assert [found.user.sub for found in self.at_once(*map(look_up, handles))] == subs

    def test_another_opening_of_the_same_place_has_the_same_sessions(self, store: SessionStore) -> None:
        other = self.opened(self.open_again(store))
        handle = self.create(store, session())
        assert self.load(other, handle).user == person()
        self.drop(other, handle)
        assert not isinstance(self.load(store, handle, now=NOW + 60), Session) or not self.reaches

    # Expired.

    def test_a_session_is_forgotten_at_its_time(self, store: SessionStore) -> None:
        """SL-03, SL-16"""
        if not self.follows_now:
            return
        handle = self.ask(store.create(session(), until=NOW + 100, now=NOW))
        assert self.load(store, handle, now=NOW + 99) is not None
        assert self.load(store, handle, now=NOW + 100) is None
        assert self.load(store, handle, now=NOW + DAY) is None

    # Renewed.

    def test_a_renewed_session_is_the_newer_one(self, store: SessionStore) -> None:
        handle = self.create(store, session())
        newer = replace(self.load(store, handle), seen_at=NOW + 90, user=replace(person(), name="Anna"))
        again = self.renew(store, handle, newer, now=NOW + 90)
        found = self.load(store, again, now=NOW + 90)
        assert found == self.kept(newer, found)

    def test_a_renewal_brings_nothing_older_back(self, store: SessionStore) -> None:
        """Lost update: a slow request renews the session without the tokens that were refreshed in the meantime."""
        for turn in range(20):
            handle = self.create(store, replace(session(), id=f"race-{turn}", tokens=tokens(0)))
            in_flight = self.load(store, handle)
            changed = [replace(in_flight, seen_at=NOW + 90), replace(in_flight, tokens=tokens(1))]
            changed.append(replace(in_flight, checked_at=NOW + 50, user=replace(person(), name="Anna")))
            renewals = [partial(store.renew, handle, one, until=NOW + DAY, now=NOW + 90) for one in changed]
            # The first six turns run them one after another, in each order; the others run them concurrently.
            orders = [*permutations(renewals)]
            done = [self.ask(one()) for one in orders[turn]] if turn < len(orders) else self.at_once(*renewals)
            if set(done) != {handle}:
                return  # the session is in the cookie, and the store does not control which one the browser keeps
            found = self.load(store, handle, now=NOW + 90)
            assert (found.seen_at, found.checked_at, found.user.name) == (NOW + 90, NOW + 50, "Anna")
            assert found.tokens == tokens(1)

    def test_a_session_that_has_ended_cannot_be_renewed(self, store: SessionStore) -> None:
        """SL-05, SL-06: a request that was in progress when the person logged out."""
        for why in (None, EndReason.WITHDRAWN):
            handle = self.create(store, replace(session(), id=f"ended-{why}"))
            in_flight = self.load(store, handle)
            self.drop(store, handle, why=why)
            assert self.renew(store, handle, replace(in_flight, seen_at=NOW + 9), now=NOW + 9) is None
            assert not isinstance(self.load(store, handle), Session)

    def test_of_an_end_and_a_renewal_at_once_the_end_stays(self, store: SessionStore) -> None:
        """SL-05, as a race"""
        for turn in range(20):
            handle = self.create(store, replace(session(), id=f"race-{turn}"))
            newer = replace(self.load(store, handle), seen_at=NOW + 9)

            def renew(handle: str = handle, newer: Session = newer) -> Any:
                return store.renew(handle, newer, until=NOW + DAY, now=NOW + 9)

            def end(handle: str = handle) -> Any:
                return store.drop(handle, why=None, now=NOW + 9)

            *renewed, _ = self.at_once(renew, renew, renew, end)
            for still in (handle, *filter(None, renewed)):
                assert self.load(store, still, now=NOW + 10) is None

    # Ended.

    def test_a_session_that_ended_is_gone_and_the_others_stay(self, store: SessionStore) -> None:
        """SL-04, SF-06"""
        one, other = (self.create(store, replace(session(), id=name)) for name in ("one", "other"))
        self.drop(store, one)
        self.drop(store, one)
        assert self.load(store, one) is None
        assert self.load(store, other).user == person()

    def test_a_session_that_ended_for_a_reason_tells_the_reason(self, store: SessionStore) -> None:
        handle = self.create(store, session())
        self.drop(store, handle, why=EndReason.WITHDRAWN)
        assert self.load(store, handle) is EndReason.WITHDRAWN
        self.drop(store, handle, why=EndReason.REVOKED)
        assert self.load(store, handle) is EndReason.WITHDRAWN, "the first reason must be kept"

    # Lists.

    def test_a_list_has_the_persons_sessions_and_nobody_elses(self, store: SessionStore) -> None:
        """SL-08: the same sub with another issuer is a different person."""
        if not self.has_list:
            with pytest.raises(ConfigError):
                self.ask(store.list(person().identity, now=NOW))
            return
        elsewhere = replace(session(), user=person(issuer="https://other.example/"))
        handles = [self.create(store, one) for one in (session(), session(), session("1002"), elsewhere)]
        found = [self.load(store, handle).id for handle in handles]
        assert self.ids(store) == sorted(found[:2])
        assert self.ids(store, "1002") == [found[2]]
        assert self.ids(store, "nobody") == []
        self.drop(store, handles[0])
        assert self.ids(store) == [found[1]]
        self.drop(store, handles[1], why=EndReason.WITHDRAWN)
        assert self.ids(store) == []

    def test_a_list_has_the_newest_of_a_session(self, store: SessionStore) -> None:
        if not self.has_list:
            return
        handle = self.create(store, session())
        newer = replace(self.load(store, handle), seen_at=NOW + 90)
        self.renew(store, handle, newer, now=NOW + 90)
        assert self.ask(store.list(person().identity, now=NOW + 90)) == [newer]

    def test_the_sessions_of_a_login_at_the_server_are_found_by_its_sid(self, store: SessionStore) -> None:
        """Back-channel logout with `sid` and no `sub`. For a store with `FindsLogins`."""
        if not isinstance(store, FindsLogins):
            return
        issuer = person().issuer

        def of(sid: str | None, sub: str = "1001", issuer: str = issuer) -> Session:
            name = f"{sid}-{sub}-{len(issuer)}"
            return replace(session(sub), id=name, user=person(sub, issuer=issuer), tokens=replace(tokens(0), sid=sid))

        mine, also, other, nameless, elsewhere = (
            self.create(store, one)
            for one in (of("a"), of("a", "1002"), of("A"), of(None), of("a", issuer="https://other.example/"))
        )

        def found(sid: str, issuer: str = issuer, where: Any = store) -> list[str]:
            return sorted(one.id for one in self.ask(where.list_login(sid, issuer=issuer, now=NOW)))

        id_of = {handle: self.load(store, handle).id for handle in (mine, also, other, nameless)}
        assert found("a") == sorted((id_of[mine], id_of[also]))
        assert found("a", where=self.opened(self.open_again(store))) == found("a")
        assert found("A") == [id_of[other]]
        assert len(found("a", "https://other.example/")) == 1
        for sid in (*JUNK, "b"):
            assert found(sid) == []
        newer = replace(self.load(store, mine), seen_at=NOW + 90, tokens=replace(tokens(1), sid="a"))
        self.renew(store, mine, newer)
        assert newer in self.ask(store.list_login("a", issuer=issuer, now=NOW))
        self.ask(store.revoke(id_of[mine], now=NOW))
        assert found("a") == [id_of[also]]
        self.drop(store, also)
        assert found("a") == []
        assert isinstance(self.load(store, elsewhere), Session)
        self.drop(store, other, why=EndReason.WITHDRAWN)
        assert found("A") == []

    # Revoked.

    def test_a_revoked_session_says_so_and_the_others_stay(self, store: SessionStore) -> None:
        one, other = (self.create(store, replace(session(), id=digit * 43)) for digit in "12")
        id_ = self.load(store, one).id
        if not self.reaches:
            with pytest.raises(ConfigError):
                self.ask(store.revoke(id_, now=NOW))
            return
        assert self.ask(store.revoke(id_, now=NOW)) is True
        assert self.load(store, one) is EndReason.REVOKED
        assert self.renew(store, one, session()) is None
        assert self.load(store, other).user == person()
        if self.knows_ids:
            assert self.ask(store.revoke(id_, now=NOW)) is False
        if self.has_list:
            assert self.ids(store) == [self.load(store, other).id]

    def test_what_is_no_id_revokes_nothing(self, store: SessionStore) -> None:
        if not self.reaches:
            return
        handle = self.create(store, session())
        for id_ in (*JUNK, handle):
            revoked = self.ask(store.revoke(id_, now=NOW))
            assert revoked is False or not self.knows_ids
        assert self.load(store, handle).user == person()

    def test_all_sessions_of_a_person_end_and_the_next_login_counts(self, store: SessionStore) -> None:
        """SL-15: the next login may be within the same second."""
        mine = [self.create(store, replace(session(), id=f"mine-{number}")) for number in range(3)]
        other = self.create(store, replace(session("1002"), id="other"))
        if not self.reaches:
            with pytest.raises(ConfigError):
                self.ask(store.revoke_all(person().identity, now=NOW))
            return
        for turn in range(3):
            assert self.ask(store.revoke_all(person().identity, now=NOW)) is None
            assert {self.load(store, handle) for handle in mine} == {EndReason.REVOKED}
            assert self.load(store, other).user.sub == "1002"
            mine.append(self.create(store, replace(session(), id=f"next-{turn}")))
            assert self.load(store, mine[-1]).user == person()
            if self.has_list:
                assert self.ids(store) == [self.load(store, mine[-1]).id]

    def test_all_sessions_of_everybody_end_and_the_next_login_counts(self, store: SessionStore) -> None:
        if not self.reaches:
            with pytest.raises(ConfigError):
                self.ask(store.revoke_client(now=NOW))
            return
        everybody = [self.create(store, replace(session(sub), id=f"old-{sub}")) for sub in ("1", "2", "3")]
        assert self.ask(store.revoke_client(now=NOW)) is None
        assert {self.load(store, handle) for handle in everybody} == {EndReason.REVOKED}
        handle = self.create(store, replace(session("1"), id="new"))
        assert self.load(store, handle).user.sub == "1"

    def test_of_a_revocation_and_a_renewal_at_once_the_revocation_stays(self, store: SessionStore) -> None:
        if not self.reaches:
            return
        for turn in range(20):
            handle = self.create(store, replace(session(), id=f"race-{turn}"))
            newer = replace(self.load(store, handle), seen_at=NOW + 9)

            def renew(handle: str = handle, newer: Session = newer) -> Any:
                return store.renew(handle, newer, until=NOW + DAY, now=NOW + 9)

            *renewed, _ = self.at_once(renew, renew, renew, lambda: store.revoke_all(person().identity, now=NOW + 9))
            for still in (handle, *filter(None, renewed)):
                assert self.load(store, still, now=NOW + 30) is EndReason.REVOKED
