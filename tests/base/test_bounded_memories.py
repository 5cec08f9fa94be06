"""Whatever is put into what a process remembers, it stays within its bound, and keeps what is newest or in use."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xwms_auth._core.base.memory import fair_limit
from xwms_auth._core.base.memory.expiring import ExpiringMap, ExpiringSet, LocalClaims, RecentMap
from xwms_auth._core.base.memory.fair_limit import Decision, FairLimit, Source

NOW = 1000
quick = settings(max_examples=50)
KEYS = st.sampled_from("abcdefghijklmnop")
sizes = st.integers(1, 8)
moments = st.integers(-20, 40)
"""Seconds by which the clock goes on or back between two calls."""


@quick
@given(
    sizes,
    st.lists(
        st.tuples(KEYS, st.sampled_from(["put", "put_new", "touch", "remove", "pop_oldest"]), moments), max_size=40
    ),
)
def test_a_map_has_no_more_entries_than_it_may_and_keeps_the_newest(size, steps):
    entries: ExpiringMap[int] = ExpiringMap(size)
    known: dict[str, tuple[int, int]] = {}  # ends and values, in the order in which they go
    now = NOW
    for number, (key, what, later) in enumerate(steps):
        now += later
        is_free = key not in known or now >= known[key][0]
        if what == "put":
            entries.put(key, number, until=now + 30, now=now)
        elif what == "put_new":
            assert entries.put_new(key, number, until=now + 30, now=now) is is_free
        elif what == "touch":
            entries.touch(key)
        elif what == "remove":
            assert entries.remove(key) == known.pop(key, (0, None))[1]
        else:
            alive = [value for until, value in known.values() if now < until]
            assert entries.pop_oldest(now=now) == (alive[0] if alive else None)
            known = {one: entry for one, entry in known.items() if one in entries}
        if what == "put" or (what == "put_new" and is_free):
            known.pop(key, None)
            known[key] = (now + 30, number)
        if what == "touch" and key in known:
            known[key] = known.pop(key)
        assert entries.bytes == len(entries.items()) * 250
        assert len(entries.items()) <= size
        newest = list(known)[-size:]
        for one in [one for one in known if one not in entries]:
            until, _ = known.pop(one)
            assert one not in newest or now >= until, "only what is old or has expired may go"
        for one, (until, value) in known.items():
            assert entries.get(one, now=now) == (value if now < until else None)


@quick
@given(sizes, st.lists(st.tuples(KEYS, moments), max_size=40))
def test_a_set_has_no_more_names_than_it_may_and_knows_the_newest(size, steps):
    names, now = ExpiringSet(size), NOW
    for name, later in steps:
        now += later
        names.add(name, until=now + 30, now=now)
        assert names.holds(name, now=now)
        assert names.add(name, until=now + 30, now=now) is False
        assert sum(one in names for one in "abcdefghijklmnop") <= size


@quick
@given(
    st.integers(1, 2000),
    st.lists(st.tuples(KEYS, st.sampled_from(["put", "get", "remove"]), st.integers(0, 700)), max_size=40),
)
def test_a_map_of_what_was_used_last_stays_within_its_bytes_and_counts_them_right(most, steps):
    recent: RecentMap[int] = RecentMap(most)
    sizes_of: dict[str, int] = {}
    largest = 0
    for number, (key, what, size) in enumerate(steps):
        if what == "put":
            recent.put(key, number, size=size)
            sizes_of[key], largest = size, max(largest, size)
            assert 2 * size >= most or recent.get(key) == number
        elif what == "get":
            recent.get(key)
        else:
            recent.remove(key)
            assert recent.get(key) is None
        kept = [one for one, _ in recent.items()]
        assert len(kept) == len(set(kept))
        assert recent.bytes == sum(sizes_of[one] for one in kept) <= most + largest


@quick
@given(st.lists(st.tuples(st.sampled_from(["login", "token", "logout"]), KEYS, st.integers(0, 40)), max_size=40))
def test_a_claim_is_one_callers_until_its_end_whatever_others_claim(steps):
    claims, now, ends = LocalClaims(), NOW, {}
    for kind, key, later in steps:
        now += later
        name = f"{kind}/{key}"
        is_free = now >= ends.get(name, 0)
        assert claims.is_claimed(name, now=now) is not is_free
        assert claims.claim(name, until=now + 30, now=now) is is_free
        ends[name] = now + 30 if is_free else ends[name]


@pytest.mark.parametrize(("others", "is_known"), [(4, True), (5, False)])
def test_a_fair_limit_remembers_no_more_sources_than_it_may(monkeypatch, others, is_known):
    """Each has a name and a network: two entries."""
    monkeypatch.setattr(fair_limit, "MAX_SOURCES", 10)
    limit = FairLimit(rate=1, burst=100, reserve=0, most=3)

    def take(name: str) -> Decision:
        return limit.take(Source(name=name, network=name), NOW)

    assert [take("first") for _ in range(4)] == [*[Decision.ALLOWED] * 3, Decision.FOR_SOURCE]
    for number in range(others):
        assert take(f"other-{number}") is Decision.ALLOWED
    assert take("first") is (Decision.FOR_SOURCE if is_known else Decision.ALLOWED)
