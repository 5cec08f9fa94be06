"""What `either` learns: once a callback has shown that XWMS sends sign-token's own token, another one is doubted.

Login CSRF: such a token comes from somebody else's login. It is never refused for that, since an attacker could bring
that about; the person is shown whom they are about to be.
"""

import re

import pytest

from tests.tools.session_pages import FRESH, with_pages
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, FROM_SIBLING, LOGIN, PROGRAM, TYPED

STORES = pytest.mark.parametrize("store", ["cookie", "memory://"])


@pytest.fixture
def learned(make_site):
    """A site that has seen one honest login in which the tokens were the same; from now on XWMS sends fresh ones."""

    def make(store="cookie"):
        site = make_site(callback_token="either", session_store=store)
        site.browser().log_in(sub="somebody")
        site.fx.callback_token = "fresh"
        return site

    return make


def brought(site, browser, **claims):
    """The answer to a callback with a token that belongs to no login exactly."""
    return browser.come_back(site.fx.approve(**claims))


def asked(browser, answer):
    """The page that the answer leads to, which asks whether this is who one is."""
    assert answer.status_code == 303
    assert re.fullmatch(r"/xwms/auth\?next=/hello&confirm=[\w-]{8}", answer.headers["location"])
    page = browser.get(answer.headers["location"], FROM_ELSEWHERE)
    assert page.status_code == 200
    return page


def said_yes(browser, page, headers=FROM_HERE):
    (action,) = re.findall(r'<form[^>]* action="([^"]*)"', page.text)
    (key,) = re.findall(r'name="confirm" value="([^"]*)"', page.text)
    return browser.post(action, headers, data={"confirm": key})


@STORES
def test_an_unmatched_token_shows_whom_one_is_about_to_be_and_begins_no_session(learned, store):
    """SM-19 rule 4, LC-04"""
    site = learned(store)
    victim = site.browser()
    victim.start("/hello")
    claims = {"name": "Mallory M", "email": "mallory@evil.example", "email_verified": True}
    answer = brought(site, victim, sub="attacker", **claims)
    assert not [line for line in answer.headers.get_list("set-cookie") if line.startswith(site.session_cookie)]
    assert victim.who() is None
    page = asked(victim, answer)
    assert "Mallory M" in page.text
    assert "mallory@evil.example" in page.text
    assert "token" not in answer.headers["location"]
    assert "Mallory" not in str(victim.cookies())
    assert victim.who() is None


@STORES
def test_who_says_yes_is_signed_in_and_goes_on(learned, store):
    site = learned(store)
    browser = site.browser()
    browser.start("/hello")
    page = asked(browser, brought(site, browser, sub="1001", name="Ada"))
    done = said_yes(browser, page)
    assert (done.status_code, done.headers["location"]) == (303, "/hello")
    assert browser.who() == "1001"
    assert browser.logins() == {}


@STORES
def test_the_answer_counts_once_in_this_browser_and_from_this_site_only(learned, store):
    site = learned(store)
    browser, other = site.browser(), site.browser()
    browser.start("/hello")
    page = asked(browser, brought(site, browser, sub="1001"))
    kept = browser.pending()
    assert said_yes(other, page).status_code == 302, "another browser begins a login of its own"
    assert other.who() is None
    for headers in (FROM_ELSEWHERE, FROM_SIBLING):
        assert said_yes(browser, page, headers).status_code == 403
    assert said_yes(browser, page, {**PROGRAM, "Origin": "https://evil.example"}).status_code == 403
    assert browser.who() is None
    assert said_yes(browser, page).status_code == 303
    again = site.browser()
    again.carry(kept)
    assert said_yes(again, page).status_code == 400
    assert again.who() is None


def test_a_login_that_waits_for_a_word_takes_no_other_token_and_ends_after_three_minutes(learned):
    site = learned()
    browser = site.browser()
    browser.start("/hello")
    page = asked(browser, brought(site, browser, sub="attacker"))
    second = brought(site, browser, sub="another")
    assert second.status_code == 400
    site.clock.advance(181)
    assert said_yes(browser, page).status_code == 302
    assert browser.who() is None


def test_exact_tokens_begin_sessions_without_asking(learned):
    site = learned()
    site.fx.callback_token = "same"
    for headers in (FROM_HERE, TYPED, FROM_ELSEWHERE):
        browser = site.browser()
        token = site.fx.approve(browser.start("/hello", headers), sub="me")
        assert browser.come_back(token).headers["location"] == "/hello"
        assert browser.who() == "me"


def test_nothing_unlearns(learned):
    """An attacker who brings fresh tokens must not bring the old rules back."""
    site = learned()
    for number in range(3):
        browser = site.browser()
        browser.start("/hello")
        said_yes(browser, asked(browser, brought(site, browser, sub=f"user-{number}")))
    assert site.browser().get(LOGIN, FROM_ELSEWHERE).status_code == 302
    browser = site.browser()
    browser.start("/hello")
    asked(browser, brought(site, browser, sub="attacker"))


def test_who_is_that_person_already_goes_on_without_being_asked(learned):
    site = learned()
    browser = site.browser()
    browser.start("/hello")
    site.fx.callback_token = "same"
    browser.log_in(sub="me")
    session = browser.cookies()[site.session_cookie]
    answer = brought(site, browser, sub="me")
    page = browser.get(answer.headers["location"], FROM_ELSEWHERE)
    assert (page.status_code, page.headers["location"]) == (303, "/hello")
    assert browser.cookies()[site.session_cookie] == session


def test_an_issued_token_of_another_login_is_refused_and_spent(learned):
    """SM-19: what sign-token gave for another login is nobody's fresh token, learned or not."""
    site = learned()
    site.fx.callback_token = "same"
    attacker, victim = site.browser(), site.browser()
    victim.start("/hello")
    stolen = site.fx.approve(attacker.start(), sub="attacker")
    assert victim.come_back(stolen).status_code == 401
    assert attacker.come_back(stolen).status_code == 401
    assert victim.who() is None


def test_what_one_process_learns_all_know_who_share_its_store(make_site, tmp_path):
    options = {"callback_token": "either", "session_store": f"sqlite:///{tmp_path / 'sessions'}"}
    one = make_site(**options)
    two, apart = one.restarted(**options), one.restarted(callback_token="either")
    assert two.browser().get(LOGIN, FROM_ELSEWHERE).status_code == 200
    one.browser().log_in()
    assert two.browser().get(LOGIN, FROM_ELSEWHERE).status_code == 302
    assert apart.browser().get(LOGIN, FROM_ELSEWHERE).status_code == 200


@pytest.mark.parametrize("headers", [FROM_ELSEWHERE, PROGRAM])
def test_a_token_that_xwms_refuses_teaches_nothing(make_site, headers):
    site = make_site(callback_token="either")
    browser = site.browser()
    assert browser.come_back(browser.start(), headers).status_code == 401
    assert site.browser().get(LOGIN, FROM_ELSEWHERE).status_code == 200


@STORES
def test_with_fresh_the_page_is_an_option(make_site, store):
    """A victim with a login under way, brought into the attacker's session: `confirm_person` shows it to them."""
    for confirm in (False, True):
        site = make_site("fresh", callback_token="fresh", confirm_person=confirm, session_store=store)
        victim, attacker = site.browser(), site.browser()
        victim.start("/hello")
        lured = victim.come_back(site.fx.approve(attacker.start(), sub="attacker", name="Mallory"))
        if confirm:
            assert victim.who() is None
            page = asked(victim, lured)
            assert "Mallory" in page.text
            assert said_yes(victim, page).status_code == 303
        assert victim.who() == "attacker"


def test_the_page_shows_no_address_that_xwms_has_not_verified(learned):
    """Anybody can claim the victim's own address, and call themselves what they like."""
    site = learned()
    victim = site.browser()
    victim.start("/hello")
    page = asked(victim, brought(site, victim, sub="attacker-4711", email="victim@example.org", email_verified=False))
    assert "victim@example.org" not in page.text
    assert "attacker-4711" in page.text


def test_a_word_given_late_makes_no_proof_fresher(make_site):
    """The session is new, but when the person proved who they are was before they were asked."""
    site = with_pages(make_site(callback_token="either", session_store="memory://"))
    site.browser().log_in(sub="somebody")
    site.fx.callback_token = "fresh"
    browser = site.browser()
    browser.start("/hello")
    page = asked(browser, brought(site, browser, sub="1001"))
    site.clock.advance(20)
    assert said_yes(browser, page).status_code == 303
    assert browser.get("/fresh").status_code == 200
    site.clock.advance(FRESH.total_seconds() - 19)
    assert browser.get("/fresh").status_code == 302


def test_logins_that_wait_for_a_word_cost_little_room_and_none_of_ones_own(learned):
    """Any page can bring tokens here, of people with the longest names."""
    site = learned()
    victim = site.browser()
    mine = [victim.start("/hello") for _ in range(3)]
    long = dict.fromkeys(("name", "given_name", "family_name"), "n" * 900)
    for number in range(12):
        victim.get(LOGIN, FROM_ELSEWHERE, params={"next": "/" + "a" * 2_000})
        brought(site, victim, sub=f"attacker-{number}", **long)
        assert len(victim.pending()) < 3_000
    site.fx.callback_token = "same"
    assert victim.come_back(site.fx.approve(mine[0])).status_code in (303, 401)


def test_a_person_with_endless_claims_still_fits_a_cookie(learned):
    site = learned()
    browser = site.browser()
    browser.start("/hello")
    long = dict.fromkeys(("name", "given_name", "family_name"), "\u20ac" * 1_000)
    answer = brought(site, browser, sub="1001", **long, picture="https://xwms.example/" + "a" * 1_000)
    assert all(len(line.encode()) <= 4_096 for line in answer.headers.get_list("set-cookie"))
    assert said_yes(browser, asked(browser, answer)).status_code == 303
    assert browser.who() == "1001"


def test_confirm_in_the_address_without_such_a_login_begins_an_ordinary_one(site, browser):
    for key in ("", "AAAAAAAA", "x" * 5_000, "\u20ac"):
        assert browser.get(LOGIN, params={"confirm": key}).status_code == 302
        assert browser.post(LOGIN, data={"confirm": key}).status_code == 302
    assert browser.get(CALLBACK).status_code == 400
