"""What the end of a login depends on, case by case, without any I/O: XWMS and the store are played by hand."""

import logging
import re

import pytest

from tests.login.test_accounts_by_hand import Shop
from tests.login.test_flow_steps import answer
from tests.login.visits import ADA, DOWN, REFUSED, Visit, code, confirm, context_of, cookies_of, location
from tests.tools.site import FROM_ELSEWHERE, FROM_HERE, LOGIN
from xwms_auth import Timeout, Unreachable
from xwms_auth._core.accounts.errors import NoAccount
from xwms_auth._core.accounts.linker import Linked
from xwms_auth._core.http.messages import MAX_HEADERS

FRESH = "a-token-that-sign-token-never-gave"
IN_A_FRAME = {**FROM_ELSEWHERE, "Sec-Fetch-Dest": "iframe"}
BY_WORKER = {**FROM_ELSEWHERE, "Sec-Fetch-Dest": "empty"}
EITHER, SAME, FRESH_ONLY = ({"callback_token": mode} for mode in ("either", "same", "fresh"))


# --- where a login leads ---


def test_a_page_that_may_not_be_led_to_any_more_is_not_led_to():
    """Open redirect: the login was begun when the site still trusted that origin."""
    front = "https://front.example"
    visit = Visit(trusted_origins=[front])
    token = visit.start(f"next={front}/page")
    visit.site = context_of(trusted_origins=[])
    assert location(visit.come_back(token)) == "/"
    visit.site, visit.jar = context_of(trusted_origins=[front]), {}
    assert location(visit.come_back(visit.start(f"next={front}/page"))) == f"{front}/page"


def test_a_page_whose_address_leaves_no_room_gives_way_to_the_one_after_a_login():
    visit = Visit(after_login="/home")
    done = visit.log_in()
    assert dict(done.header_list())["Location"] == "/hello"
    assert dict(done.header_list(reserved=MAX_HEADERS))["Location"] == "/home"


def test_the_page_that_asks_who_one_is_is_found_without_its_address_too():
    visit = Visit(after_login="/home", confirm_person=True, **FRESH_ONLY)
    visit.start()
    waiting = visit.come_back(FRESH)
    (name,) = visit.names("login")
    short = dict(waiting.header_list(reserved=MAX_HEADERS))["Location"]
    assert short == f"/xwms/auth?confirm={name[-8:]}"
    assert visit.ask(LOGIN, short.partition("?")[2]).status == 200
    assert confirm(visit, waiting).logged_in


# --- copies ---


def test_a_copy_of_a_callback_leads_whoever_is_in_to_the_same_page():
    """RP-01: a double click, or a browser that kept the cookie of the login because the answer had no room."""
    visit = Visit()
    token = visit.start()
    kept = dict(visit.jar)
    visit.come_back(token)
    session = dict(visit.jar)
    visit.jar |= kept
    visit.store.notes.clear()
    copy = visit.come_back(token)
    assert (copy.status, location(copy), cookies_of(copy)) == (303, "/hello", {})
    assert visit.spent == [token], "XWMS is not asked again"
    visit.jar = kept
    assert code(visit.come_back(token)) == (401, "token_rejected")
    assert session.items() <= {**visit.jar, **session}.items()


@pytest.mark.parametrize(("mode", "tries"), [("fresh", 1), ("either", 2)])
def test_a_repeated_fresh_token_is_ones_own_only_where_nobody_can_know_it(mode, tries):
    """SM-19: with `either` it may be of a login of another process, whose owner waits until somebody approves it."""
    visit = Visit(callback_token=mode)
    visit.start()
    kept = dict(visit.jar)
    visit.reply = Timeout("late")
    assert code(visit.come_back(FRESH)) == (504, "xwms_timeout")
    visit.jar = kept
    assert code(visit.come_back(FRESH)) == (401, "token_rejected")
    assert visit.spent == [FRESH] * tries
    assert visit.jar == kept


# --- who is asked who they are ---


def test_there_is_no_room_for_a_person_with_the_longest_of_names():
    """The login is over, and the page says how to begin another one."""
    visit = Visit(confirm_person=True, **FRESH_ONLY)
    visit.reply = answer(sub="\U0001f600" * 255)
    visit.start()
    refused = visit.come_back(FRESH)
    assert code(refused) == (429, "too_many_logins")
    assert visit.jar == {}
    assert "/xwms/auth?next=/hello" in str(refused.body) + str(refused.headers)
    visit.reply = answer(sub="\U0001f600" * 100)
    visit.start()
    assert confirm(visit, visit.come_back(f"{FRESH}-2")).logged_in


def test_a_login_that_waits_is_no_login_yet_and_was_proven_when_it_began_to(caplog):
    visit = Visit(confirm_person=True, **FRESH_ONLY)
    visit.start()
    waiting = visit.come_back(FRESH)
    assert (waiting.status, waiting.logged_in) == (303, False)
    visit.now += 100
    with caplog.at_level(logging.INFO):
        done = confirm(visit, waiting)
    assert (done.status, location(done), done.logged_in) == (303, "/hello", True)
    assert visit.store.created[0].proved_at == visit.now - 100
    assert re.search("login_finished .*callback=fresh", caplog.text)


def test_whoever_is_that_person_already_goes_on_without_a_click():
    visit = Visit(confirm_person=True, **FRESH_ONLY)
    visit.start()
    confirm(visit, visit.come_back(f"{FRESH}-1"))
    visit.now += 60
    for sub, status in (("17", 303), ("18", 200)):
        visit.reply = answer(sub=sub)
        visit.start("next=/other&fresh=30")
        waiting = visit.come_back(f"{FRESH}-{sub}")
        page = visit.ask(LOGIN, location(waiting).partition("?")[2])
        assert page.status == status
        assert not page.logged_in
        if status == 303:
            assert location(page) == "/other"
            assert visit.names("login") == []
    assert len(visit.store.created) == 1


@pytest.mark.parametrize("sent", [FROM_ELSEWHERE, BY_WORKER], ids=["at the top", "by a worker"])
@pytest.mark.parametrize("mode", ["same", "either", "fresh"])
def test_only_an_exact_token_needs_no_click_where_a_worker_hides_the_frame(mode, sent):
    """SM-08"""
    visit = Visit(callback_token=mode)
    token = visit.start()
    done = visit.come_back(FRESH if mode == "fresh" else token, sent)
    assert done.status == 303
    assert done.logged_in is (mode != "fresh" or sent is FROM_ELSEWHERE)


# --- what is asked of the store ---


def test_a_login_asks_the_store_for_no_more_than_it_needs_and_in_this_order():
    visit = Visit()
    token = visit.start()
    visit.store.notes.clear()
    assert visit.come_back(token).logged_in
    claims = ["claim pair", "claim login", "claim token", "claimed foreign"]
    learns = ["claim confirmed", "claimed learned", "claim learned"]
    assert visit.store.notes == [*claims, *learns, "claimed foreign", "create"]


@pytest.mark.parametrize(("length", "asked"), [(4096, True), (4097, False)])
def test_a_session_cookie_that_is_longer_than_any_of_ours_is_not_taken_to_the_store(length, asked):
    visit = Visit()
    token = visit.start()
    visit.jar[visit.site.https_names.session] = "a" * length
    assert visit.come_back(token).logged_in
    assert ("drop" in visit.store.notes) is asked


def test_a_login_of_somebody_who_was_in_ends_that_session_and_does_not_read_it():
    visit = Visit(**SAME)
    visit.log_in()
    visit.now += 60
    token = visit.start("next=/hello&fresh=30")
    visit.store.notes.clear()
    assert visit.come_back(token).logged_in
    assert visit.store.notes[-3:] == ["claimed foreign", "drop", "create"]
    assert "load" not in visit.store.notes


def test_a_login_that_becomes_no_session_reads_none_either():
    visit = Visit(Shop(found=Linked(key="1")), **SAME)
    visit.log_in()
    visit.shop = Shop(found=NoAccount("closed"))
    visit.now += 60
    token = visit.start("next=/hello&fresh=30")
    visit.store.notes.clear()
    assert code(visit.come_back(token)) == (403, "not_allowed")
    assert not {"load", "drop", "create"} & set(visit.store.notes)


def test_a_session_knows_the_browser_that_it_began_in():
    visit = Visit()
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"
    visit.come_back(visit.start(), {**FROM_ELSEWHERE, "User-Agent": agent})
    assert "Firefox" in visit.store.created[0].device
    visit.jar = {}
    visit.log_in()
    assert not visit.store.created[1].device


# --- what ends a login, and what does not ---


@pytest.mark.parametrize(
    ("reply", "status", "is_over"),
    [
        (Unreachable("refused", sent=False), 503, False),
        (Timeout("late", sent=False), 504, False),
        (Unreachable("reset"), 503, True),
        (DOWN, 503, True),
        (REFUSED, 401, True),
    ],
    ids=repr,
)
def test_only_a_token_that_was_never_sent_leaves_the_login_of_its_own_as_it_was(reply, status, is_over):
    """RP-04"""
    visit = Visit()
    token = visit.start()
    visit.reply = reply
    failed = visit.come_back(token)
    assert failed.status == status
    assert not failed.logged_in
    assert (visit.names("login") == []) is is_over
    assert "/xwms/auth?next=/hello" in failed.body
    visit.reply = ADA
    assert visit.come_back(token).logged_in is not is_over


def test_three_tokens_that_xwms_refuses_end_a_login_that_any_token_fits():
    """LC-14"""
    visit = Visit(**FRESH_ONLY)
    visit.start()
    visit.reply = REFUSED
    for number in range(3):
        assert visit.names("login")
        assert code(visit.come_back(f"{FRESH}-{number}")) == (401, "token_rejected")
    assert visit.names("login") == []


def test_a_token_that_xwms_has_refused_is_not_tried_again_although_the_login_goes_on():
    """SM-22: otherwise whoever knows it asks until somebody has approved it."""
    visit = Visit(**FRESH_ONLY)
    visit.start()
    visit.reply = REFUSED
    visit.come_back(FRESH)
    visit.reply = ADA
    assert code(visit.come_back(FRESH)) == (401, "token_rejected")
    assert not visit.is_in()
    assert visit.come_back(f"{FRESH}-2").logged_in


@pytest.mark.parametrize("is_refused", [True, False])
@pytest.mark.parametrize("is_over", [True, False])
def test_a_callback_takes_away_the_cookies_of_logins_that_are_over(is_over, is_refused):
    visit = Visit()
    visit.start()
    visit.now += 300
    token = visit.start()
    visit.now += 300 if is_over else 299
    visit.reply = REFUSED if is_refused else ADA
    assert visit.come_back(token).logged_in is not is_refused
    assert len(visit.names("login")) == (not is_over)


# --- somebody else's token ---


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
