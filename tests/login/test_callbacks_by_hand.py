"""What the end of a login depends on, case by case, without any I/O: XWMS and the store are played by hand."""

import logging
import re

import pytest

from tests.login.test_accounts_by_hand import Shop
from tests.login.test_flow_steps import answer
from tests.login.visits import ADA, DOWN, REFUSED, Visit, code, confirm, context_of, cookies_of, location
from tests.tools.site import FROM_ELSEWHERE, LOGIN
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
    assert re.search(r"login_finished .*callback=fresh\b", caplog.text)


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


def test_whoever_is_in_stays_in_when_their_token_comes_to_another_login():
    visit = Visit(after_login="/home", **FRESH_ONLY)
    visit.start()
    assert visit.come_back(FRESH).logged_in
    visit.now += 60
    visit.start("next=/other&fresh=30")
    again = visit.come_back(FRESH)
    assert (again.status, location(again), again.logged_in) == (303, "/home", False)
    assert len(visit.names("login")) == 1


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


def test_whoever_is_in_begins_another_login_where_a_machine_has_just_refused_the_session_as_ahead():
    """Its clock is behind, and only a new login may help."""
    visit = Visit(**SAME)
    visit.log_in()
    assert visit.ask(LOGIN, "next=/hello").status == 303
    for noted, status in (("another-session", 303), (visit.store.loaded.id, 302)):
        visit.jar[visit.site.https_names.ahead] = noted
        assert visit.ask(LOGIN, "next=/hello").status == status
