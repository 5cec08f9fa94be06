"""Why was I signed out? Each reason arises where it should, is told wherever it is promised, and never otherwise."""

import html
import logging

import pytest

from tests.stores.conftest import OTHER_KEY
from tests.tools.faults import refusal
from tests.tools.places import KINDS, REACHING, SERVERS, SHARED
from tests.tools.session_pages import given, outside, with_pages
from tests.tools.site import FROM_ELSEWHERE, LOGIN, ME, PROGRAM
from xwms_auth._core.base.models import EndReason

SUB = "xwms-user-1234"
LIMITS = {"session_idle": 300, "session_lifetime": 500, "recheck": 120}


def idle(site, browser, options):
    site.clock.advance(301)
    return site, browser


def lifetime(site, browser, options):
    for _ in range(2):
        site.clock.advance(100)
        site.fx.answer("get/user/info", "close")  # nobody is asked to confirm anything here
        assert browser.who() == SUB
    site.clock.advance(299)
    assert browser.who() == SUB
    site.clock.advance(2)
    return site, browser


def revoked(site, browser, options):
    outside(site, lambda sessions: sessions.revoke_all(SUB))
    return site, browser


def rotated(site, browser, options):
    cookie = browser.cookies()[site.session_cookie]
    later = with_pages(site.restarted(**LIMITS, **options, session_secret=OTHER_KEY))
    return later, given(later, cookie)


def withdrawn(site, browser, options):
    site.fx.answer("get/user/info", refusal(403, "The user has not approved this scope."))
    site.clock.advance(121)
    return site, browser


# The memory of a process is gone with the key it had.
CASES = [
    *((kind, EndReason.IDLE, idle) for kind in KINDS),
    *((kind, EndReason.LIFETIME, lifetime) for kind in KINDS),
    *((kind, EndReason.REVOKED, revoked) for kind in REACHING),
    *((kind, EndReason.KEY_ROTATED, rotated) for kind in KINDS if kind != "memory"),
    *((kind, EndReason.WITHDRAWN, withdrawn) for kind in KINDS),
]


# Each kind on one edge, and on the other those that answer at once and those that are waited for.
every_kind = pytest.mark.parametrize(
    ("edge", "kind"), [*(("flask", kind) for kind in KINDS), ("asgi", "cookie"), ("asgi", "sqlite")]
)


@pytest.mark.parametrize(("kind", "why", "end"), CASES, ids=[f"{kind}-{why}" for kind, why, _ in CASES])
def test_every_reason_is_told_wherever_it_is_promised(make_site, where, caplog, kind, why, end):
    # The page that tells it, too, comes wherever a login begins elsewhere.
    options = {**where(kind), "callback_token": "fresh"}
    site = with_pages(make_site("fresh", **LIMITS, **options))
    browser = site.browser()
    browser.log_in()
    site, browser = end(site, browser, options)
    caplog.set_level(logging.INFO, logger="xwms_auth")

    refused = browser.get("/who", PROGRAM)
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["reason"]) == (401, "login_required", why)
    assert problem["detail"].startswith(f"{why.detail} ")
    assert problem["login_url"] == f"{LOGIN}?next=/who"
    assert f"the session has ended: {why}" in caplog.text

    me = browser.get(ME, PROGRAM).json()
    assert (me["user"], me["signed_out"]) == (None, why)
    assert browser.get("/signed-out").text == f"{why}: {why.detail}"
    assert f"session_ended reason={why}" not in caplog.messages

    page = browser.get(LOGIN, FROM_ELSEWHERE)
    assert page.status_code == 200
    assert why.detail in html.unescape(page.text)
    assert f"session_ended reason={why}" in caplog.messages
    assert SUB not in caplog.text


@every_kind
def test_the_reason_is_gone_with_the_next_login(make_site, where, kind):
    site = with_pages(make_site(**LIMITS, **where(kind)))
    browser = site.browser()
    browser.log_in()
    site.clock.advance(301)
    assert browser.get("/signed-out").text.startswith("session_idle")
    browser.log_in()
    assert browser.get("/signed-out").text == "None"
    assert "signed_out" not in browser.get(ME, PROGRAM).json()


def told_anything(browser) -> list[str]:
    """The codes that this browser is told anywhere."""
    problem = browser.get("/who", PROGRAM).json()
    said = [problem["detail"], browser.get("/signed-out").text, browser.get(LOGIN, FROM_ELSEWHERE).text]
    codes = [str(problem.get("reason")), str(browser.get(ME, PROGRAM).json().get("signed_out"))]
    return [why for why in EndReason if why in codes or any(why in text or why.detail in text for text in said)]


@every_kind
def test_a_logout_has_no_reason_not_even_for_a_copy_of_the_cookie(make_site, where, kind):
    options = where(kind)
    site = with_pages(make_site(**options))
    browser = site.browser()
    browser.log_in()
    cookie = browser.cookies()[site.session_cookie]
    browser.log_out()
    assert told_anything(browser) == []
    assert told_anything(given(site, cookie)) == []
    if kind in SHARED:
        assert told_anything(given(with_pages(site.restarted(**options)), cookie)) == []


@every_kind
def test_a_browser_that_was_never_signed_in_is_told_nothing(make_site, where, caplog, kind):
    caplog.set_level(logging.INFO, logger="xwms_auth")
    site = with_pages(make_site(**where(kind)))
    assert told_anything(site.browser()) == []
    assert "session_ended" not in caplog.text


@pytest.mark.parametrize("kind", KINDS)
def test_junk_in_the_cookie_is_told_nothing(make_site, where, kind):
    site = with_pages(make_site(**where(kind)))
    for junk in ("", "x", "a.b", "..", "é", "0" * 5000, "A" * 43, "session_revoked"):
        cookie = [("Cookie", f"{site.session_cookie}={junk}")]
        answer = site.raw("/who", headers=[*PROGRAM.items(), *cookie])
        assert answer.status_code == 401, junk
        assert "reason" not in answer.json(), junk
        assert site.raw("/signed-out", headers=cookie).text == "None", junk


@every_kind
def test_a_forged_cookie_learns_nothing_but_that_keys_may_have_changed(make_site, where, kind):
    site = with_pages(make_site(**LIMITS, **where(kind)))
    browser = site.browser()
    browser.log_in()
    site.clock.advance(301)  # the real one has a reason
    cookie = browser.cookies()[site.session_cookie]
    for number in range(0, len(cookie), max(1, len(cookie) // 6)):
        forged = cookie[:number] + ("A" if cookie[number] != "A" else "B") + cookie[number + 1 :]
        assert told_anything(given(site, forged)) == []
    # Only one that says that it is of another key is told so.
    forged = f"{cookie[:2]}__{cookie[4:]}"
    assert told_anything(given(site, forged)) == ([] if kind in SERVERS else [EndReason.KEY_ROTATED])


@every_kind
def test_a_session_from_the_future_is_refused_without_a_reason(make_site, where, kind):
    """SL-13"""
    site = with_pages(make_site(**LIMITS, **where(kind)))
    browser = site.browser()
    browser.log_in()
    site.clock.advance(-59)
    assert browser.who() == SUB
    site.clock.advance(-2)
    assert told_anything(browser) == []
