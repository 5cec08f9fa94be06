"""What a process remembers of sessions that are in cookies, and when it asks the revocation store about them."""

from dataclasses import replace

import pytest

from tests.stores.conftest import OTHER_KEY, opened
from xwms_auth import Secret
from xwms_auth._core.base.models import EndReason
from xwms_auth._core.base.session import FUTURE_TOLERANCE, Session
from xwms_auth.stores import cookie
from xwms_auth.stores.memory import MemoryStore
from xwms_auth.testing.store_contract import NOW, person, session, tokens

BELIEVED = 10
"""Seconds that a process goes on with what the revocation store said (docs/sessions.md)."""

LIFETIME = 7 * 86_400


class Asked(MemoryStore):
    """A revocation store that counts how often it is asked about sessions."""

    questions = 0

    def not_before(self, names, *, now):
        self.questions += 1
        return super().not_before(names, now=now)


def begun(store, one=None, **changes):
    return store.create(replace(one or session(), **changes), until=NOW + 100, now=NOW)


def questions_at(place, store, handle, *times):
    """How often the revocation store is asked by each of these look-ups."""
    asked = []
    for now in times:
        before = place.questions
        assert isinstance(store.load(handle, now=now), Session)
        asked.append(place.questions - before)
    return asked


@pytest.mark.parametrize(
    ("moment", "asked"),
    [(0, 0), (BELIEVED - 1, 0), (BELIEVED, 1), (3600, 1), (1 - BELIEVED, 0), (-BELIEVED, 1), (-3600, 1)],
)
def test_a_process_believes_the_revocation_store_for_ten_seconds_by_a_clock_that_may_be_set(moment, asked):
    place = Asked()
    store = opened(revocation_store=place)
    handle = begun(store)
    assert store.recall(handle, now=NOW) is None
    assert questions_at(place, store, handle, NOW, NOW + moment) == [1, asked]
    assert store.recall(handle, now=NOW + BELIEVED + 3600) is None


def test_another_sessions_result_is_none_of_this_one():
    place = Asked()
    store = opened(revocation_store=place)
    one, other = begun(store), begun(store, id="other")
    assert questions_at(place, store, one, NOW) == questions_at(place, store, other, NOW) == [1]


def test_a_session_that_was_ended_elsewhere_is_not_renewed_by_a_process_that_does_not_know_yet():
    """A new cookie would outlive the ten seconds."""
    place = MemoryStore()
    here, elsewhere = opened(revocation_store=place), opened(revocation_store=place)
    handle = begun(here)
    known = here.load(handle, now=NOW)
    elsewhere.drop(handle, why=None, now=NOW)
    assert here.load(handle, now=NOW) == known
    assert here.renew(handle, known, until=NOW + 100, now=NOW) is None


def test_a_revocation_holds_at_once_in_the_process_that_made_it():
    place = MemoryStore()
    store = opened(revocation_store=place)
    handle, other = begun(store, id="1" * 43), begun(store, id="2" * 43)
    for one in (handle, other):
        assert isinstance(store.load(one, now=NOW), Session)
    assert store.revoke("1" * 43, now=NOW) is True
    assert store.recall(handle, now=NOW) is None
    assert store.load(handle, now=NOW) is EndReason.REVOKED
    assert isinstance(store.load(other, now=NOW), Session)


@pytest.mark.parametrize("how", ["revoke", "revoke_all", "revoke_client"])
def test_a_revocation_lasts_until_no_cookie_of_before_can_be_alive(how):
    """That of a machine whose clock is ahead is a little younger."""
    place = MemoryStore()
    store = opened(revocation_store=place)
    ahead = FUTURE_TOLERANCE if how != "revoke" else 0
    handle = begun(store, id="1" * 43, started_at=NOW + ahead, seen_at=NOW + ahead, counts_from=NOW + ahead)
    end = {
        "revoke": lambda: store.revoke("1" * 43, now=NOW),
        "revoke_all": lambda: store.revoke_all(person().identity, now=NOW),
        "revoke_client": lambda: store.revoke_client(now=NOW),
    }
    end[how]()
    for now in (NOW, NOW + LIFETIME + FUTURE_TOLERANCE - 1):
        assert store.load(handle, now=now) is EndReason.REVOKED


def test_the_id_of_a_session_ends_every_session_of_that_id_that_there_can_be_by_now():
    place = MemoryStore()
    store = opened(revocation_store=place)
    handles = [begun(store, id="1" * 43, counts_from=NOW + later) for later in (0, LIFETIME)]
    store.revoke("1" * 43, now=NOW)
    assert [store.load(handle, now=NOW) for handle in handles] == [EndReason.REVOKED] * 2


def test_sessions_that_end_later_bring_none_back_that_ended_before():
    store = opened()
    handles = [begun(store, id=f"number-{number}") for number in range(10)]
    for number, handle in enumerate(handles):
        store.drop(handle, why=EndReason.WITHDRAWN if number % 2 else None, now=NOW + number)
    found = [store.load(handle, now=NOW + 10) for handle in handles]
    assert found == [None, EndReason.WITHDRAWN] * 5


def test_a_session_that_ends_takes_its_renewed_cookies_with_it_and_no_others():
    store = opened()
    first, other = begun(store), begun(store, id="other")
    renewed = store.renew(first, replace(session(), seen_at=NOW + 90), until=NOW + 200, now=NOW + 90)
    known = store.find(other)
    store.drop(first, why=None, now=NOW + 91)
    assert [store.load(handle, now=NOW + 91) for handle in (first, renewed)] == [None, None]
    assert store.find(other) is known


@pytest.mark.parametrize(("cookies", "is_kept"), [(2, True), (199, True), (200, False)])
def test_the_cookies_that_a_process_keeps_opened_have_a_bound_in_bytes(monkeypatch, cookies, is_kept):
    """A hundred of them are half of it here: beside what all have, three times the length of each."""
    length = len(begun(opened(), id="000"))
    monkeypatch.setattr(cookie, "MAX_CACHED_BYTES", 2 * 100 * (cookie.ENTRY_BYTES + 3 * length))
    store = opened()
    first, *others = [begun(store, id=f"{number:03}") for number in range(cookies)]
    assert {len(handle) for handle in (first, *others)} == {length}
    assert (store.recall(first, now=NOW) is not None) is is_kept


def test_a_device_takes_no_room_in_a_cookie_since_only_lists_show_it():
    store = opened()
    with_device, without = (begun(store, device=device) for device in ("Firefox on Linux", None))
    assert len(with_device) == len(without)
    assert store.load(with_device, now=NOW).device is None


HUGE = "x" * 3000


@pytest.mark.parametrize(
    ("claims", "token", "id_token", "kept"),
    [
        ({}, "t", "i", ("name", "access_token", "id_token")),
        ({"name": HUGE}, "t", "i", ("access_token", "id_token")),
        ({"name": HUGE}, "t", HUGE, ("access_token",)),
        ({}, "t", HUGE, ("name", "access_token")),
        ({}, HUGE, None, ("name",)),
        ({"name": HUGE}, HUGE, HUGE, ()),
    ],
)
def test_what_does_not_fit_into_a_cookie_is_left_out_the_least_needed_first(caplog, claims, token, id_token, kept):
    """The login does not fail, and the log says that tokens are gone."""
    store = opened()
    known = replace(tokens(0), access_token=Secret(token), id_token=None if id_token is None else Secret(id_token))
    found = store.load(begun(store, user=replace(person(), **claims), tokens=known), now=NOW)
    assert isinstance(found, Session)
    parts = {"name": found.user.name, "access_token": found.tokens, "id_token": found.tokens and found.tokens.id_token}
    assert tuple(name for name, value in parts.items() if value is not None) == kept
    assert ("tokens_not_kept" in caplog.text) is ("access_token" not in kept)


def test_nothing_is_said_of_the_tokens_of_a_session_that_has_none(caplog):
    begun(opened(), tokens=None)
    assert "tokens_not_kept" not in caplog.text


def test_a_cookie_under_a_key_that_was_taken_away_says_why_nobody_is_signed_in():
    handle = begun(opened())
    other = opened(session_secret=OTHER_KEY)
    assert other.find(handle) is other.load(handle, now=NOW) is EndReason.KEY_ROTATED
    assert other.find("no cookie of ours") is None


def test_what_is_no_id_is_no_session_to_revoke():
    assert opened(revocation_store=MemoryStore()).revoke("not an id", now=NOW) is False


# What it passes on to the revocation store.


class Connected(MemoryStore):
    """A revocation store that keeps connections, and knows claims."""

    is_open = False

    def keep_connections(self):
        self.is_open = True

    def close(self):
        self.is_open = False
        return "closed"

    def claimed(self, names, *, now):
        return [name == "taken" for name in names]


class Least:
    """A revocation store with the methods that it has to have."""

    def __init__(self):
        place = MemoryStore()
        self.not_before, self.forbid = place.not_before, place.forbid
        self.claim, self.release = place.claim, place.release


def test_the_connections_of_the_revocation_store_are_kept_and_closed():
    place = Connected()
    store = opened(revocation_store=place)
    store.keep_connections()
    assert place.is_open
    assert store.close() == "closed"
    assert not place.is_open


@pytest.mark.parametrize("options", [{}, {"revocation_store": MemoryStore()}])
def test_where_there_are_no_connections_there_is_nothing_to_keep_or_close(options):
    store = opened(**options)
    store.keep_connections()
    assert store.close() is None


def test_it_answers_at_once_unless_it_has_to_ask_somebody():
    assert opened().loads_at_once is True
    assert opened(revocation_store=MemoryStore()).loads_at_once is False


def test_which_names_are_claimed_the_process_knows_or_the_revocation_store_or_nobody():
    alone = opened()
    alone.claim("a", until=NOW + 10, now=NOW)
    assert alone.claimed(["a", "b"], now=NOW) == [True, False]
    assert opened(revocation_store=Connected()).claimed(["free", "taken"], now=NOW) == [False, True]
    assert opened(revocation_store=Least()).claimed(["a"], now=NOW) is None
