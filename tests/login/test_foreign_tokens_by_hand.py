"""Tokens of somebody else that are brought to a browser, without any I/O: they are spent, and nothing else happens."""

import pytest

from tests.login.visits import ADA, REFUSED, Visit, code, context_of, location
from tests.tools.site import FROM_ELSEWHERE, FROM_HERE

FRESH = "a-token-that-sign-token-never-gave"
IN_A_FRAME = {**FROM_ELSEWHERE, "Sec-Fetch-Dest": "iframe"}
EITHER, SAME, FRESH_ONLY = ({"callback_token": mode} for mode in ("either", "same", "fresh"))


@pytest.mark.parametrize("sent", [IN_A_FRAME, FROM_HERE, FROM_ELSEWHERE])
@pytest.mark.parametrize("mode", ["same", "either", "fresh"])
def test_a_foreign_token_is_spent_however_it_comes_and_ones_own_only_at_the_top(mode, sent):
    """SM-20"""
    visit, other = Visit(callback_token=mode), Visit(callback_token=mode)
    own = visit.start()
    visit.issued = 10
    other.site, other.store, other.issued = visit.site, visit.store, 100
    foreign = other.start()
    for elsewhere in (IN_A_FRAME, FROM_HERE, {**FROM_ELSEWHERE, "Referer": "https://evil.example/"}):
        assert code(visit.come_back(own, elsewhere)) == (403, "cross_site")
    assert visit.spent == []
    assert len(visit.names("login")) == 1
    visit.come_back(foreign, sent)
    assert visit.spent == [foreign]
    assert not other.come_back(foreign).logged_in


@pytest.mark.parametrize("mode", ["either", "fresh"])
def test_a_token_that_any_login_could_take_is_spent_when_it_comes_in_a_frame(mode):
    """SM-20"""
    visit = Visit(callback_token=mode)
    visit.start()
    assert code(visit.come_back(FRESH, IN_A_FRAME)) == (403, "cross_site")
    assert visit.spent == [FRESH]
    assert not visit.come_back(FRESH).logged_in


def test_a_token_that_is_dead_costs_the_login_nothing_that_it_was_brought_to():
    visit = Visit(**FRESH_ONLY)
    visit.reply = REFUSED
    visit.come_back(FRESH)
    visit.start()
    for _ in range(4):
        assert code(visit.come_back(FRESH)) == (401, "token_rejected")
    visit.reply = ADA
    assert visit.come_back(f"{FRESH}-2").logged_in


def test_two_tabs_that_come_back_at_once_take_a_login_each():
    """SM-09: nothing shows which token is whose, and the first answer has not arrived when the second tab asks."""
    visit = Visit(**FRESH_ONLY)
    for page in ("/older", "/newer"):
        visit.start(f"next={page}")
        visit.now += 1
    both = dict(visit.jar)
    assert location(visit.come_back(f"{FRESH}-1")) == "/newer"
    visit.jar = dict(both)
    second = visit.come_back(f"{FRESH}-2")
    assert (second.logged_in, location(second)) == (True, "/older")
    visit.jar = dict(both)
    assert code(visit.come_back(f"{FRESH}-3")) == (401, "token_rejected")


def test_a_login_that_another_site_began_needs_a_click_once_any_token_fits_it():
    """LC-04: it was begun while the setting was stricter."""
    visit = Visit(**SAME)
    visit.start("next=/hello", FROM_ELSEWHERE)
    visit.site = context_of(**EITHER)
    waiting = visit.come_back(FRESH)
    assert (waiting.status, waiting.logged_in) == (303, False)
    assert "&confirm=" in location(waiting)


def test_a_prefetch_claims_and_spends_nothing():
    visit = Visit()
    token = visit.start()
    prefetch = {**FROM_ELSEWHERE, "Sec-Purpose": "prefetch"}
    visit.store.notes.clear()
    for one in (token, FRESH):
        assert code(visit.come_back(one, prefetch))[0] in (400, 403)
    assert (visit.spent, visit.store.notes) == ([], [])
    assert visit.come_back(token).logged_in


def test_a_foreign_token_that_xwms_confirms_ends_the_login_that_would_have_taken_it():
    """SM-19: it was opened here on purpose, and so was perhaps that login."""
    visit = Visit(**EITHER)
    visit.start()
    foreign = Visit(store=visit.store)
    foreign.issued = 100
    token = foreign.start()
    visit.reply = REFUSED
    assert code(visit.come_back(token)) == (401, "token_rejected")
    assert len(visit.names("login")) == 1
    visit.reply = ADA
    assert code(visit.come_back(token)) == (401, "token_rejected")
    assert visit.names("login") == []


def test_whoever_is_in_stays_in_when_a_token_comes_a_second_time():
    """RP-01: a reload or the back button, also with another login under way."""
    visit = Visit(after_login="/home", **SAME)
    token = visit.start()
    visit.come_back(token)
    visit.now += 60
    pending = visit.start("next=/other&fresh=30")
    kept = dict(visit.jar)
    again = visit.come_back(token)
    assert (again.status, location(again), again.logged_in) == (303, "/home", False)
    assert visit.jar == kept
    visit.reply = REFUSED
    assert code(visit.come_back("junk-that-nobody-gave")) == (401, "token_rejected")
    visit.reply = ADA
    assert location(visit.come_back(pending)) == "/other"
    visit.reply = REFUSED
    junk = visit.come_back("more-junk-that-nobody-gave")
    assert (junk.status, location(junk)) == (303, "/home")


@pytest.mark.parametrize(
    ("later", "expected"),
    [(0, (401, "token_rejected")), (599, (401, "token_rejected")), (600, (400, "login_expired"))],
)
def test_the_refusal_says_whether_the_login_is_over(later, expected):
    visit = Visit(**SAME)
    visit.reply = REFUSED
    assert code(visit.come_back(FRESH)) == (400, "login_not_started")
    visit.start()
    visit.now += later
    assert code(visit.come_back(FRESH)) == expected


def test_a_login_of_another_machine_whose_clock_is_ahead_says_so():
    visit = Visit(**SAME)
    visit.reply = REFUSED
    visit.now += 400
    visit.start()
    visit.now -= 400
    assert code(visit.come_back(FRESH)) == (503, "clock_skew")
