"""What the end of a login depends on, case by case, without any I/O: XWMS and the store are played by hand."""

import logging
from dataclasses import replace

import pytest

from tests.login.test_flow_steps import URI, answer
from tests.login.visits import ADA, DOWN, REFUSED, Visit, code, confirm, context_of, cookies_of, location
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, LOGIN, TYPED
from xwms_auth import Timeout, Unreachable
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
    later = context_of(trusted_origins=[])
    visit.site = later
    assert location(visit.come_back(token)) == "/"
    visit.site = context_of(trusted_origins=[front])
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


@pytest.mark.parametrize(("mode", "is_copy"), [("fresh", True), ("either", False)])
def test_a_repeated_callback_with_a_fresh_token_is_a_copy_only_where_nobody_can_know_the_token(mode, is_copy):
    """SM-19: with `either` it may be another process's, whose owner waits for it to be approved."""
    visit = Visit(callback_token=mode)
    visit.start()
    kept = dict(visit.jar)
    assert visit.come_back(FRESH).logged_in
    visit.jar = kept
    visit.spent.clear()
    again = visit.come_back(FRESH)
    assert code(again) == (401, "token_rejected")
    assert "claimed issued" in visit.store.notes
    assert visit.site.state.foreign_tokens.holds(_digest(FRESH), now=visit.now) is not is_copy


def _digest(text: str) -> str:
    from xwms_auth._core.base.crypto.digests import digest

    return digest(text)
