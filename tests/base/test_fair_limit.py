"""A limit that clients share: nobody can take what those need who have used little, and one alone may have all."""

import math
import random
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xwms_auth._core.base.memory.fair_limit import UNKNOWN, Decision, FairLimit, Source
from xwms_auth._core.config.state import (
    INVALIDATION_BURST,
    INVALIDATION_RATE,
    INVALIDATION_RESERVE,
    LOGIN_BURST,
    LOGIN_RATE,
    LOGIN_RESERVE,
)

STARTS = {"rate": LOGIN_RATE, "burst": LOGIN_BURST, "reserve": LOGIN_RESERVE}
SPENDS = {"rate": INVALIDATION_RATE, "burst": INVALIDATION_BURST, "reserve": INVALIDATION_RESERVE}
both = pytest.mark.parametrize("sizes", [STARTS, SPENDS], ids=["starts", "spends"])


def source(number: int, *, network: int | None = None, may_be_many: bool = False) -> Source:
    at = number if network is None else network
    return Source(name=f"address-{number}", network=f"network-{at}", may_be_many=may_be_many)


def allowed(limit: FairLimit, one: Source, now: float, tries: int) -> int:
    return sum(limit.take(one, now) is Decision.ALLOWED for _ in range(tries))


@pytest.mark.parametrize(("sizes", "bucket"), [(STARTS, 100), (SPENDS, 3)])
@pytest.mark.parametrize("one", [UNKNOWN, source(1, may_be_many=True), source(1)], ids=["unknown", "inside", "outside"])
def test_one_client_alone_has_as_much_as_one_bucket_for_everybody_would_give(sizes, bucket, one):
    """Behind a NAT, or a proxy that passes nothing on, everybody is this one client."""
    limit, rate = FairLimit(**sizes), sizes["rate"]
    assert bucket <= allowed(limit, one, 1000, 1000) <= sizes["burst"]
    assert sum(allowed(limit, one, 1001 + second, 1000) for second in range(50)) >= 0.99 * 50 * rate - 2


@both
def test_all_together_never_have_more_than_the_bucket_holds(sizes):
    limit = FairLimit(**sizes)
    assert sum(allowed(limit, source(number), 1000, 1) for number in range(1000)) == sizes["burst"]
    assert sum(allowed(limit, source(number), 1001, 1) for number in range(2000, 3000)) <= sizes["rate"]


@pytest.mark.parametrize(("sizes", "attackers"), [(STARTS, 1), (STARTS, 3), (STARTS, 30), (SPENDS, 1), (SPENDS, 3)])
def test_whoever_takes_all_that_is_there_leaves_something_to_who_comes_new(sizes, attackers):
    limit, served, came = FairLimit(**sizes), 0, 0
    for second in range(100):
        for number in range(300):
            limit.take(source(number % attackers), 1000 + second)
        # In the first moments those who take all are new as well.
        if second % 2 and second > 40:
            came += 1
            served += allowed(limit, source(10_000 + second), 1000 + second, 1)
    assert served == came


@pytest.mark.parametrize(
    ("addresses", "networks", "at_least"),
    [(1, 1, 1.0), (20, 20, 1.0), (100, 100, 0.95), (1000, 10, 0.95), (65_536, 1, 1.0)],
)
def test_people_log_in_while_many_addresses_start_logins(addresses, networks, at_least):
    """Five people a second, each for the first time, among 400 starts a second in a random order."""
    limit, rng, served = FairLimit(**STARTS, most=600), random.Random(f"{addresses} {networks}"), 0
    for second in range(120):
        for number in rng.sample(range(405), 405):
            if number < 5:
                served += allowed(limit, source(1_000_000 + 5 * second + number), 1000 + second, 1)
            else:
                attacker = rng.randrange(addresses)
                limit.take(source(attacker, network=attacker % networks), 1000 + second)
    assert served >= at_least * 600


def test_two_who_use_much_get_about_the_same_however_early_one_of_them_began():
    limit = FairLimit(**STARTS)
    early, late = source(1), source(2)
    first = sum(allowed(limit, early, 1000 + second, 100) for second in range(120))
    assert first > 5000
    shares = {early: [0], late: [0]}
    for second in range(300):
        for number in range(200):
            one = (early, late)[number % 2]
            shares[one][-1] += allowed(limit, one, 1120 + second, 1)
        if second in (30, 240):
            for share in shares.values():
                share.append(0)
    (early_first, _, early_last), (late_first, _, late_last) = shares.values()
    assert late_first > 1.5 * early_first
    assert 0.8 < late_last / early_last < 1.25


def test_an_address_outside_has_a_limit_of_its_own_for_a_minute_and_for_long():
    limit, one = FairLimit(**STARTS, most=600), source(1)
    minutes = [sum(allowed(limit, one, 60 * minute + second, 100) for second in range(60)) for minute in range(10)]
    assert 600 <= minutes[0] <= 1100
    assert all(400 <= minute <= 450 for minute in minutes[2:])
    assert limit.take(one, 599) is Decision.FOR_SOURCE
    assert limit.take(source(2), 599) is Decision.ALLOWED


def test_an_address_that_may_be_everybodys_has_none():
    limit = FairLimit(**STARTS, most=600)
    total = sum(allowed(limit, source(1, may_be_many=True), 1000 + second, 100) for second in range(300))
    assert total >= 100 + 299 * LOGIN_RATE - 25


def test_new_addresses_are_not_put_before_one_that_may_be_everybodys():
    """A server that believes what a client says of its address would let it be a new one each time."""
    limit, everybody, rng, served = FairLimit(**STARTS, most=600), source(1, may_be_many=True), random.Random(7), 0
    for second in range(100):
        for number in rng.sample(range(100), 100):
            if number < 20:
                served += allowed(limit, everybody, 1000 + second, 1)
            else:
                limit.take(source(100 * second + number), 1000 + second)
    assert served > 0.4 * 2000


def test_what_was_refused_is_not_counted_so_that_trying_again_does_no_harm():
    limit, one = FairLimit(rate=1, burst=10, reserve=10), source(1)
    assert allowed(limit, one, 1000, 100_000) < 20
    assert allowed(limit, one, 1200, 1) == 1


def test_addresses_that_nobody_has_seen_take_little_memory_and_what_is_remembered_ends():
    limit = FairLimit(**STARTS, most=600)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(12_000):
            limit.take(source(number), 1000 + number // 100)
        assert tracemalloc.get_traced_memory()[0] - before < 4_000_000
    finally:
        tracemalloc.stop()


def test_a_flood_of_new_addresses_does_not_make_one_that_has_reached_its_limit_new():
    limit, one = FairLimit(**STARTS, most=600), source(1)
    for second in range(100):
        allowed(limit, one, 1000 + second, 100)
    for second in range(20):
        for number in range(1000):
            limit.take(source(100 + second * 1000 + number), 1100 + second)
    # Four fifths of its use are still known: it leaves most of the reserve to others.
    assert allowed(limit, one, 1120, 1000) <= LOGIN_RATE
    assert allowed(limit, source(999_999), 1120, 1) == 1


@pytest.mark.parametrize("back", [1, 30, 3600, 10**8])
@pytest.mark.parametrize("ahead", [0, 1, 3600, 10**8])
def test_a_clock_that_is_set_stops_nobody_for_long(back, ahead):
    limit, one = FairLimit(**STARTS, most=600), source(1)
    allowed(limit, one, 10**9 + ahead, 1000)
    now = 10**9 + ahead - back
    allowed(limit, one, now, 1000)
    assert allowed(limit, one, now + 120, 10) == 10


# What it says of itself, reckoned use by use: the same answer at every step.


class Reckoned:
    """The limit as its description has it."""

    def __init__(self, *, rate, burst, reserve, most=math.inf):
        self.rate, self.burst, self.reserve, self.most = rate, burst, reserve, most
        self.left, self.at, self.used, self.ends = float(burst), 0.0, {}, {}
        # Somebody who has had `rate` for ever has used so much, and each doubling up to it costs the same.
        self.doublings = math.log2(1 + rate * 60 / math.log(2))

    def lately(self, key, now):
        """Half of it is forgotten in a minute, and all of it in the second in which it has come down to half a use."""
        if int(now) >= self.ends.get(key, 0):
            self.used[key] = []
        return self.left_of(key, now)

    def left_of(self, key, now):
        return sum(0.5 ** ((now - at) / 60) for at in self.used[key])

    def take(self, one, now):
        self.left, self.at = min(self.burst, self.left + (now - self.at) * self.rate), now
        own, network = self.lately(one.name, now), self.lately(one.network, now)
        leave = 0
        if not one.may_be_many:
            if own >= self.most:
                return Decision.FOR_SOURCE
            leave = min(self.reserve, math.ceil(self.reserve / self.doublings * math.log2(1 + max(own, network / 16))))
        if self.left < 1 + leave:
            return Decision.FOR_ALL
        self.left -= 1
        for key in () if one.may_be_many else (one.name, one.network):
            self.used[key].append(now)
            self.ends[key] = int(now) + math.ceil(60 * math.log2(2 * self.left_of(key, now)))
        return Decision.ALLOWED


# Few of much, much of few, and steps of a clock whose sums no float has to round.
steps = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([0, 0, 0, 0.25, 1, 7, 60]), st.integers(1, 12)), max_size=30
)


@settings(max_examples=60)
@given(
    steps,
    st.sampled_from([(1, 10, 8), (3, 40, 30), (0.25, 6, 6), (2, 5, 3), (0.01, 9, 8)]),
    st.sampled_from([math.inf, 2, 5, 9]),
)
@example([(0, 0, 12), (1, 0, 12), (0, 60, 12)], (3, 40, 30), 9)
@example([(0, 0, 12), (0, 0, 12), (0, 0, 12), (2, 0, 9), (0, 60, 12)], (3, 40, 30), math.inf)
@example([(0, 0, 3)], (0.01, 9, 8), math.inf)
@example([(0, 1, 1)] * 30, (1, 10, 8), math.inf)
@example([(2, 0, 1), (3, 59, 9), (2, 0, 1)], (1, 10, 8), math.inf)
@example([(2, 0, 1), (3, 60, 9), (2, 0, 1)], (1, 10, 8), math.inf)
def test_it_allows_what_its_description_says_at_every_step(sequence, sizes, most):
    rate, burst, reserve = sizes
    options, now = {"rate": rate, "burst": burst, "reserve": reserve, "most": most}, 1000
    limit, reckoned = FairLimit(**options), Reckoned(**options)
    for number, later, tries in sequence:
        now += later
        one = source(number, network=number // 2, may_be_many=number == 3)
        for _ in range(tries):
            assert limit.take(one, now) is reckoned.take(one, now)


@pytest.mark.parametrize(
    ("later", "decision"),
    [(-1, Decision.FOR_SOURCE), (-60, Decision.FOR_SOURCE), (-61, Decision.ALLOWED), (1, Decision.ALLOWED)],
)
def test_a_step_back_by_a_minute_forgets_nothing_and_a_clock_that_was_set_all(later, decision):
    limit, one = FairLimit(rate=1, burst=100, reserve=0, most=2), source(1)
    assert allowed(limit, one, 10_000, 3) == 2
    assert limit.take(one, 10_000 + later) is decision
