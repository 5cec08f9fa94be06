"""How long a session lives and what ends it, in every kind of store: limits, renewal, new keys, logout, copies.

Knows: what a browser, a second process and a thief of a cookie can see.
Must not: look inside a store.
"""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.stores.conftest import opened
from tests.tools.places import KINDS, REACHING, SERVERS, SHARED
from tests.tools.session_pages import given, inside, log_in_again, outside, with_pages
from tests.tools.site import HTTPS_URI, ME, PROGRAM, Site
from xwms_auth import ConfigError, User
from xwms_auth._core.base.session import Session

IDLE, LIFETIME, INTERVAL = 300, 600, 15
LIMITS = {"session_idle": IDLE, "session_lifetime": LIFETIME}
BELIEVED = 10  # seconds: what docs/sessions.md promises for a revocation to reach another process
SUB = "xwms-user-1234"

every_kind = pytest.mark.parametrize("kind", KINDS)
shared_kind = pytest.mark.parametrize("kind", [*SHARED, "cookie+revocations"])


@pytest.fixture
def make(make_site: Callable[..., Site], where: Callable[[str], dict[str, Any]]) -> Callable[..., Site]:
    """The site with its sessions in this kind of store."""

    def made(kind: str, **more: Any) -> Site:
        return with_pages(make_site(**LIMITS, **where(kind), **more))

    return made


@pytest.fixture
def another(where: Callable[[str], dict[str, Any]]) -> Callable[[Site, str], Site]:
    """Another process of the same site, over the same store."""
    return lambda site, kind: with_pages(site.restarted(**LIMITS, **where(kind)))


def cookie_of(browser) -> str:
    return browser.cookies()[browser.site.session_cookie]


def signed_in(site, sub=SUB):
    browser = site.browser()
    browser.log_in(sub)
    assert browser.who() == sub
    return browser


def asked_with(site, path, cookie):
    """The answer for exactly this session cookie."""
    return site.raw(path, headers=[*PROGRAM.items(), ("Cookie", f"{site.session_cookie}={cookie}")])


def me(browser) -> str | None:
    """Who `/xwms/me` says it is. Asking keeps no session alive."""
    user = browser.get(ME, PROGRAM).json()["user"]
    return user and user["sub"]


# limits


@every_kind
def test_the_idle_limit_holds_to_the_second(make, kind):
    """SL-03, RP-12"""
    site = make(kind)
    watched, used = signed_in(site), signed_in(site)
    site.clock.advance(IDLE - 1)
    assert (me(watched), used.who()) == (SUB, SUB)
    site.clock.advance(1)
    assert (me(watched), watched.who()) == (None, None)
    site.clock.advance(1)
    assert (me(watched), watched.who(), used.who()) == (None, None, SUB)


@every_kind
def test_the_lifetime_holds_to_the_second_however_busy_the_session_is(make, kind):
    """SL-03, RP-12"""
    site = make(kind)
    browser = signed_in(site)
    for _ in range(LIFETIME // 20 - 1):
        site.clock.advance(20)
        assert browser.who() == SUB
    site.clock.advance(19)
    assert (me(browser), browser.who()) == (SUB, SUB)
    site.clock.advance(1)
    assert (me(browser), browser.who()) == (None, None)
    site.clock.advance(1)
    assert (me(browser), browser.who()) == (None, None)


@every_kind
def test_a_cookie_kept_past_a_limit_is_worth_nothing_in_any_process(make, another, kind):
    """RP-12, SL-03: `Max-Age` is only the browser's business."""
    site = make(kind)
    cookie = cookie_of(signed_in(site))
    site.clock.advance(IDLE + 1)
    for place in (site, another(site, kind)):
        answer = asked_with(place, "/who", cookie)
        assert (answer.status_code, answer.headers.get_list("set-cookie")) == (401, [])


# renewal


@every_kind
def test_pages_that_do_not_ask_and_polling_do_not_renew(make, kind):
    """SL-03: a tab that polls is not a person."""
    site = make(kind)
    tabs = {path: signed_in(site) for path in ("/", ME, "/nothing-here")}
    for _ in range(6):
        site.clock.advance(IDLE // 6 - 1)
        for path, browser in tabs.items():
            assert browser.get(path, PROGRAM).headers.get_list("set-cookie") == [], path
    site.clock.advance(7)
    for path, browser in tabs.items():
        assert browser.who() is None, path


@every_kind
def test_a_session_is_renewed_once_an_interval_however_many_requests_come(make, kind):
    site = make(kind)
    browser = signed_in(site)
    cookie = cookie_of(browser)
    site.clock.advance(INTERVAL)
    assert asked_with(site, "/who", cookie).headers.get_list("set-cookie") == []
    site.clock.advance(1)
    answers = [asked_with(site, "/who", cookie) for _ in range(10)]
    assert [answer.text for answer in answers] == [SUB] * 10
    written = [line for answer in answers for line in answer.headers.get_list("set-cookie")]
    assert len(written) == 1
    renewed = re.match(rf"{site.session_cookie}=([^;]+);", written[0])
    assert renewed
    site.clock.advance(IDLE - 1)
    assert asked_with(site, "/who", renewed[1]).status_code == 200


@every_kind
def test_a_session_that_is_over_is_never_renewed(make, another, kind):
    """SL-06, SL-04"""
    site = make(kind)
    browser = signed_in(site)
    cookie = cookie_of(browser)
    browser.log_out()
    site.clock.advance(INTERVAL + 1)
    places = [site] if kind in ("cookie", "memory") else [site, another(site, kind)]
    for place in places:
        answer = asked_with(place, "/who", cookie)
        assert (answer.status_code, answer.headers.get_list("set-cookie")) == (401, [])


# keys


@every_kind
def test_every_login_has_a_new_key_and_ends_the_one_before(make, another, kind):
    """SF-03, SF-06, SL-04"""
    site = make(kind)
    browser = signed_in(site)
    old = cookie_of(browser)
    log_in_again(browser, SUB)
    new = cookie_of(browser)
    assert old != new
    places = [site] if kind in ("cookie", "memory") else [site, another(site, kind)]
    for place in places:
        assert asked_with(place, "/who", old).status_code == 401
        assert asked_with(place, "/who", new).text == SUB
    if kind in SERVERS:
        assert len(inside(browser, lambda sessions: sessions.list(SUB))) == 1


@every_kind
def test_no_session_is_ever_kept_under_a_key_the_browser_brought(make, kind):
    """SF-04: "deadbeef" before, during and after a login is nobody."""
    site = make(kind)
    for planted in ("deadbeef", "A" * 43, "a.b.c"):
        browser = given(site, planted)
        assert browser.who() is None, planted
        browser.log_in()
        assert cookie_of(browser) != planted
        assert browser.who() == SUB, planted
        assert asked_with(site, "/who", planted).status_code == 401, planted


@every_kind
def test_a_logout_ends_the_session_for_a_copy_of_the_cookie(make, kind):
    """RP-11, SL-04: in this process at once, in every kind of store."""
    site = make(kind)
    browser = signed_in(site)
    cookie = cookie_of(browser)
    assert asked_with(site, "/who", cookie).text == SUB
    browser.log_out()
    assert site.session_cookie not in browser.cookies()
    assert asked_with(site, "/who", cookie).status_code == 401
    if kind in SERVERS:
        assert outside(site, lambda sessions: sessions.list(SUB)) == ()


@pytest.mark.parametrize("kind", SHARED)
def test_a_logout_ends_a_stolen_copy_in_another_process_at_once(make, another, kind):
    """RP-11"""
    site = make(kind)
    browser = signed_in(site)
    other, cookie = another(site, kind), cookie_of(browser)
    assert asked_with(other, "/who", cookie).text == SUB
    browser.log_out()
    assert asked_with(other, "/who", cookie).status_code == 401


# ending elsewhere: the cookie store with revocations


def within_the_belief(other, cookie) -> list[int]:
    """The statuses a thief gets who asks every second until the belief of this process must be over."""
    statuses = []
    for _ in range(BELIEVED):
        statuses.append(asked_with(other, "/who", cookie).status_code)
        other.clock.advance(1)
    return [*statuses, asked_with(other, "/who", cookie).status_code]


def end_by_logout(site, browser):
    browser.log_out()


def end_by_revoke_all(site, browser):
    outside(site, lambda sessions: sessions.revoke_all(SUB))


def end_by_revoke_client(site, browser):
    outside(site, lambda sessions: sessions.revoke_client())


@pytest.mark.parametrize("end", [end_by_logout, end_by_revoke_all, end_by_revoke_client])
def test_a_stolen_sealed_cookie_dies_in_another_process_within_ten_seconds(make, another, end):
    """RP-11: however often the thief asks meanwhile, and at once in a process that has not seen it."""
    site = make("cookie+revocations")
    browser = signed_in(site)
    cookie, other, third = cookie_of(browser), another(site, "cookie+revocations"), another(site, "cookie+revocations")
    assert asked_with(other, "/who", cookie).text == SUB
    end(site, browser)
    assert asked_with(site, "/who", cookie).status_code == 401
    assert asked_with(third, "/who", cookie).status_code == 401
    statuses = within_the_belief(other, cookie)
    assert statuses[-1] == 401
    assert statuses == sorted(statuses)  # dead stays dead


def test_a_sealed_cookie_of_a_known_id_dies_in_another_process_too(make, another, where):
    """RP-11: `revoke(id)`."""
    site = make("cookie+revocations")
    now = int(site.clock())
    store: Any = opened(**site.fx.options(redirect_uris=HTTPS_URI, **where("cookie+revocations")))
    ids = ["i" * 43, "k" * 43]
    users = [User(issuer=site.config.issuer, sub=SUB) for _ in ids]
    one, two = (
        store.create(Session(id=name, user=user, started_at=now, seen_at=now), until=now + IDLE, now=now)
        for name, user in zip(ids, users, strict=True)
    )
    other = another(site, "cookie+revocations")
    assert [asked_with(other, "/who", cookie).status_code for cookie in (one, two)] == [200, 200]
    assert outside(site, lambda sessions: sessions.revoke(ids[0])) is True
    assert asked_with(site, "/who", one).status_code == 401
    assert within_the_belief(other, one)[-1] == 401
    assert [asked_with(place, "/who", two).status_code for place in (site, other)] == [200, 200]
    assert outside(site, lambda sessions: sessions.revoke("not an id")) is False


@shared_kind
def test_a_renewed_copy_of_a_stolen_cookie_dies_as_well(make, another, kind):
    """RP-11, SL-06: a thief who has had it renewed in another process has gained nothing."""
    site = make(kind)
    browser = signed_in(site)
    other = another(site, kind)
    thief = given(other, cookie_of(browser))
    for place in (site, other):
        place.clock.advance(INTERVAL + 1)
    assert thief.who() == SUB
    browser.log_out()
    other.clock.advance(BELIEVED)
    assert thief.who() is None
    other.clock.advance(INTERVAL + 1)
    assert thief.get("/who", PROGRAM).headers.get_list("set-cookie") == []


def test_without_a_revocation_store_a_sealed_cookie_cannot_be_ended_elsewhere_and_says_so(make):
    """RP-11: an error that names the option, never a revocation that did nothing."""
    site = make("cookie")
    browser = signed_in(site)
    questions = (
        lambda sessions: sessions.revoke("i" * 43),
        lambda sessions: sessions.revoke_all(SUB),
        lambda sessions: sessions.revoke_client(),
    )
    for question in questions:
        with pytest.raises(ConfigError, match="XWMS_REVOCATION_STORE"):
            outside(site, question)
        assert isinstance(inside(browser, question), ConfigError)
    assert browser.who() == SUB


@pytest.mark.parametrize("kind", ["cookie", "cookie+revocations"])
def test_a_sealed_cookie_is_in_no_list_and_says_so(make, kind):
    site = make(kind)
    with pytest.raises(ConfigError, match="no list"):
        outside(site, lambda sessions: sessions.list(SUB))
    with pytest.raises(ConfigError, match="no list"):
        outside(site, lambda sessions: sessions.revoke("i" * 43, sub=SUB))


# everybody's, and one person's


@pytest.mark.parametrize("kind", REACHING)
def test_all_sessions_of_a_person_end_and_nobody_elses(make, another, kind):
    """SL-15"""
    site = make(kind)
    browsers, somebody = [signed_in(site) for _ in range(3)], signed_in(site, "somebody-else")
    outside(site, lambda sessions: sessions.revoke_all(SUB))
    assert [browser.who() for browser in browsers] == [None] * 3
    assert somebody.who() == "somebody-else"
    if kind != "memory":
        place = another(site, kind)
        assert {asked_with(place, "/who", cookie_of(browser)).status_code for browser in browsers} == {401}
        assert asked_with(place, "/who", cookie_of(somebody)).text == "somebody-else"
    browsers[0].log_in()  # within the same second
    assert [browser.who() for browser in browsers] == [SUB, None, None]


@pytest.mark.parametrize("kind", REACHING)
def test_all_sessions_of_everybody_end_and_those_that_begin_afterwards_live(make, kind):
    """SL-15"""
    site = make(kind)
    people = {sub: signed_in(site, sub) for sub in ("one", "two", "three")}
    outside(site, lambda sessions: sessions.revoke_client())
    assert [browser.who() for browser in people.values()] == [None] * 3
    people["two"].log_in("two")
    assert [browser.who() for browser in people.values()] == [None, "two", None]


@pytest.mark.parametrize("kind", REACHING)
def test_a_person_can_end_all_sessions_while_being_served_by_one(make, kind):
    """SL-15, SL-05: the answer of that very request brings nothing back."""
    site = make(kind)
    browser = signed_in(site)
    site.clock.advance(INTERVAL + 1)  # a renewal is due
    assert inside(browser, lambda sessions: sessions.revoke_all(SUB)) is None
    assert browser.who() is None


@every_kind
def test_a_person_is_the_issuer_and_the_sub_and_never_the_mail_address(make, kind):
    """SL-07"""
    site = make(kind)
    ada, other = site.browser(), site.browser()
    ada.log_in("one", email="ada@example.org", email_verified=True)
    other.log_in("two", email="ada@example.org", email_verified=True)
    assert (ada.who(), other.who()) == ("one", "two")
    if kind == "cookie":
        return
    again = site.browser()
    again.log_in("one", email="new@example.org", email_verified=False)
    if kind in SERVERS:
        assert len(outside(site, lambda sessions: sessions.list("one"))) == 2
        assert len(outside(site, lambda sessions: sessions.list("two"))) == 1
    outside(site, lambda sessions: sessions.revoke_all("ada@example.org"))
    assert (ada.who(), other.who(), again.who()) == ("one", "two", "one")
    outside(site, lambda sessions: sessions.revoke_all("one"))
    assert (ada.who(), other.who(), again.who()) == (None, "two", None)


@pytest.mark.parametrize("kind", REACHING)
def test_subs_that_look_alike_are_two_people_also_when_one_is_signed_out(make, kind):
    """SL-09, SL-07"""
    site = make(kind)
    for sub, close in (("abc", "ABC"), ("1", "01"), ("é", "e\u0301"), ("ß", "ss"), ("a", "a ")):
        one, two = site.browser(), site.browser()
        one.log_in(sub)
        two.log_in(close)
        outside(site, lambda sessions: sessions.revoke_all(close))  # noqa: B023  called at once
        assert [me(one), me(two)] == [sub, None], close
