"""The rate limits of a process, without any I/O: what is counted, and what the log says of it."""

import logging
import re

import pytest

from tests.login.visits import REFUSED, Visit, code
from tests.tools.site import LOGIN, TYPED

OUTSIDE, INSIDE, ELSEWHERE = "203.0.113.7", "10.0.0.9", "198.51.100.20"
FRESH = "a-token-that-sign-token-never-gave"


def starts(visit: Visit, number: int, address: object, **more: str) -> list[int]:
    """The statuses of so many starts, each by a browser of its own."""
    found = []
    for _ in range(number):
        visit.jar = {}
        found.append(visit.ask(LOGIN, "", {**TYPED, **more}, address=address).status)
    return found


def test_a_process_starts_130_logins_at_once_and_50_a_second_after_that():
    """DS-01"""
    visit = Visit()
    assert starts(visit, 131, None) == [302] * 130 + [429]
    refused = visit.ask(LOGIN)
    assert code(refused) == (429, "too_many_logins")
    visit.now += 1
    assert starts(visit, 51, None) == [302] * 50 + [429]


def test_one_address_has_a_limit_of_its_own_and_its_network_is_told_once_a_minute(caplog):
    """DS-01"""
    visit = Visit(logins_per_address=10)
    with caplog.at_level(logging.INFO):
        assert starts(visit, 12, OUTSIDE) == [302] * 10 + [429] * 2
        refused = visit.ask(LOGIN, address=OUTSIDE)
        assert code(refused) == (429, "too_many_logins_from_address")
        assert refused.error is not None
        assert "203.0.113.0/24" in refused.error.cause
        assert starts(visit, 1, ELSEWHERE) == [302]
        assert len(re.findall("address_limited network='203.0.113.0/24'", caplog.text)) == 1
        for seconds, lines in ((59, 1), (1, 2)):
            visit.now += seconds
            starts(visit, 12, OUTSIDE)
            assert caplog.text.count("address_limited") == lines
    assert caplog.text.count("(docs/client-addresses.md)'") == 2, "what to do about it"
    assert OUTSIDE not in caplog.text


@pytest.mark.parametrize(
    ("address", "sent", "event"),
    [
        (None, {}, "address_unknown"),
        (INSIDE, {"X-Forwarded-For": ELSEWHERE}, "address_of_a_proxy network='10.0.0.0/24'"),
        (INSIDE, {"Forwarded": f"for={ELSEWHERE}"}, "address_of_a_proxy network='10.0.0.0/24'"),
        (INSIDE, {"X-Forwarded-For": f"{ELSEWHERE}, {INSIDE}"}, None),
        (INSIDE, {}, None),
        (OUTSIDE, {"X-Forwarded-For": ELSEWHERE}, None),
    ],
)
def test_the_log_says_once_that_the_addresses_of_visitors_do_not_arrive(address, sent, event, caplog):
    visit = Visit()
    with caplog.at_level(logging.INFO):
        starts(visit, 2, address, **sent)
    assert len(re.findall(r"address_\w+", caplog.text)) == (event is not None)
    assert event is None or event in caplog.text
    assert ("see docs/client-addresses.md'" in caplog.text) is ("proxy" in str(event))
    caplog.clear()
    with caplog.at_level(logging.INFO):
        starts(visit, 1, None)
    assert ("address_unknown" in caplog.text) is (event is None)


@pytest.mark.parametrize(("store_is_down", "most"), [(False, 5), (True, 130)])
def test_tokens_of_nobodys_are_spent_within_a_limit_which_is_wider_while_the_store_is_down(store_is_down, most):
    """DS-02, SM-24"""
    visit = Visit()
    visit.reply = REFUSED
    visit.store.down = ("claimed issued",) if store_is_down else ()
    for number in range(132):
        visit.come_back(f"{FRESH}-{number}")
    assert len(visit.spent) == most
