"""Where a login began (SM-07): only a person's own hand on this site counts, where the callback's token cannot tell.

Knows: what browsers send with a click, with a script, with a typed address; measured in docs/security.md.
Must not: look inside the package.
"""

import pytest

from tests.tools.site import FROM_ELSEWHERE, FROM_HERE, FROM_SIBLING, LOGIN, NAVIGATION, PROGRAM, TYPED

CHROMIUM = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0"}
FIREFOX = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"}
SAFARI = {"User-Agent": "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15"}
CHROME_ON_IOS = {"User-Agent": "Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/156.0 Safari/604.1"}
BY_SCRIPT = {**NAVIGATION, "Sec-Fetch-Site": "same-origin"}

UNTOLD = pytest.mark.parametrize("mode", ["either", "fresh"])


def site_of_mode(make_site, mode, **options):
    return make_site("fresh" if mode == "fresh" else "same", callback_token=mode, **options)


GETS = {
    "a click": ({**CHROMIUM, **FROM_HERE}, 302),
    "a click in Firefox": ({**FIREFOX, **FROM_HERE}, 302),
    "a typed address": ({**CHROMIUM, **TYPED}, 302),
    "a restored tab": ({**CHROMIUM, **NAVIGATION, "Sec-Fetch-Site": "none"}, 302),
    "a bookmark in Safari": ({**SAFARI, **NAVIGATION, "Sec-Fetch-Site": "none"}, 302),
    "a script of this site": ({**CHROMIUM, **BY_SCRIPT}, 200),
    "a script of this site in Firefox": ({**FIREFOX, **BY_SCRIPT}, 200),
    "a link or a script in Safari": ({**SAFARI, **BY_SCRIPT}, 200),
    "a click on another site": ({**CHROMIUM, **FROM_ELSEWHERE, "Sec-Fetch-User": "?1"}, 200),
    "a click on a sibling": ({**CHROMIUM, **FROM_SIBLING, "Sec-Fetch-User": "?1"}, 200),
    "an odd word for a hand": ({**CHROMIUM, **BY_SCRIPT, "Sec-Fetch-User": "?0"}, 200),
    "a browser that says nothing": ({**SAFARI, "Accept": "text/html"}, 200),
    "a browser that says nothing but a Referer": (
        {**SAFARI, "Accept": "text/html", "Referer": "https://app.example/"},
        200,
    ),
    "a program": (PROGRAM, 302),
    "a program that comes from elsewhere": ({**PROGRAM, "Referer": "https://evil.example/"}, 200),
}


@UNTOLD
def test_a_login_begins_by_a_hand_on_this_site_or_a_typed_address(make_site, subtests, mode):
    """SM-07, LC-04"""
    site = site_of_mode(make_site, mode)
    for case, (headers, status) in GETS.items():
        with subtests.test(case):
            before = site.fx.calls("sign-token")
            answer = site.browser().get(LOGIN, headers, params={"next": "/hello"})
            assert answer.status_code == status
            assert site.fx.calls("sign-token") - before == (1 if status == 302 else 0)
            if status == 200 and "text/html" in headers["Accept"]:
                assert 'method="post"' in answer.text
                assert 'action="/xwms/auth?next=/hello"' in answer.text
                assert answer.headers.get_list("set-cookie") == []


POSTS = {
    "the site under another of its names": (
        {**CHROMIUM, **FROM_HERE, "Host": "www.app.example", "Origin": "https://www.app.example"},
        302,
    ),
    "another site's origin beside it": ({**CHROMIUM, **FROM_HERE, "Origin": "https://evil.example"}, 403),
    "a click": ({**CHROMIUM, **FROM_HERE}, 302),
    "a click in Safari": ({**SAFARI, **BY_SCRIPT}, 302),
    "a click in Chrome on iOS, which is Safari's engine": ({**CHROME_ON_IOS, **BY_SCRIPT}, 302),
    "a script that submits the form": ({**CHROMIUM, **BY_SCRIPT}, 200),
    "a script that submits the form in Firefox": ({**FIREFOX, **BY_SCRIPT}, 200),
    "an old browser": ({**SAFARI, "Accept": "text/html", "Origin": "https://app.example"}, 302),
    "another site's form": ({**CHROMIUM, **FROM_ELSEWHERE, "Sec-Fetch-User": "?1"}, 403),
    "a sibling's form": ({**CHROMIUM, **FROM_SIBLING, "Sec-Fetch-User": "?1"}, 403),
    "an old browser on another site": ({**SAFARI, "Accept": "text/html", "Origin": "https://evil.example"}, 403),
    "silence": ({"Accept": "text/html"}, 403),
}


@UNTOLD
def test_a_form_of_this_site_is_a_hand_unless_a_script_submits_it(make_site, subtests, mode):
    """SM-07"""
    site = site_of_mode(make_site, mode)
    for case, (headers, status) in POSTS.items():
        with subtests.test(case):
            before = site.fx.calls("sign-token")
            answer = site.browser().post(LOGIN, headers, params={"next": "/hello"})
            assert answer.status_code == status
            assert site.fx.calls("sign-token") - before == (1 if status == 302 else 0)


@UNTOLD
def test_a_page_whose_script_goes_to_the_login_prepares_nothing_for_an_attacker(make_site, subtests, mode):
    """SM-07: the attacker opens the application's own page, then sends that window to a callback of their own."""
    site = site_of_mode(make_site, mode)
    for name, agent in {"Chromium": CHROMIUM, "Firefox": FIREFOX, "Safari": SAFARI}.items():
        with subtests.test(name):
            attacker, victim = site.browser(), site.browser()
            victim.get("/", {**agent, **FROM_ELSEWHERE})
            victim.get(LOGIN, {**agent, **BY_SCRIPT})
            kept = site.fx.approve(attacker.start(), sub="attacker")
            assert victim.come_back(kept, {**agent, **FROM_ELSEWHERE}).status_code == 400
            assert victim.who() is None
            assert attacker.come_back(kept).status_code == 401


def test_where_the_token_tells_whose_login_it_is_no_page_is_needed(make_site):
    """SM-07: with `same`, and with `either` once it has learned."""
    asked = ({**CHROMIUM, **BY_SCRIPT}, {**SAFARI, **BY_SCRIPT}, FROM_ELSEWHERE)
    same, site = make_site(callback_token="same"), make_site(callback_token="either")
    assert [same.browser().get(LOGIN, headers).status_code for headers in asked] == [302] * 3
    assert [site.browser().get(LOGIN, headers).status_code for headers in asked] == [200] * 3
    site.browser().log_in()
    assert [site.browser().get(LOGIN, headers).status_code for headers in asked] == [302] * 3


@UNTOLD
def test_the_button_on_the_page_begins_the_login(make_site, mode):
    site = site_of_mode(make_site, mode)
    browser = site.browser()
    assert browser.get(LOGIN, {**CHROMIUM, **BY_SCRIPT}, params={"next": "/hello"}).status_code == 200
    started = browser.post(LOGIN, {**CHROMIUM, **FROM_HERE}, params={"next": "/hello"})
    assert started.status_code == 302
    token = site.fx.approve(started.headers["location"].rpartition("/")[2])
    assert browser.come_back(token).headers["location"] == "/hello"


# --- how many ---


@pytest.mark.parametrize("mode", ["same", "either", "fresh"])
def test_logins_that_another_site_begins_never_cost_a_persons_own(make_site, mode):
    """SM-10: any page can open the login as often as it likes, with as long a `next` as it likes."""
    site = site_of_mode(make_site, mode)
    if mode == "either":
        site.browser().log_in()
    for headers in (FROM_ELSEWHERE, FROM_SIBLING, {**CHROMIUM, **BY_SCRIPT}):
        site.clock.advance(1)
        browser = site.browser()
        mine = [browser.start("/hello") for _ in range(3)]
        for number in range(15):
            browser.get(LOGIN, headers, params={"next": "/" + "a" * (2_000 if number % 2 else 10)})
        assert len(browser.logins()) <= 10, headers
        assert len(browser.pending()) < 3_000, headers
        ended = [browser.come_back(site.fx.approve(token)).status_code for token in mine]
        assert ended == [303] * 3, headers


def test_a_login_that_began_elsewhere_is_not_kept_where_all_are_ones_own(make_site):
    """SM-10: it is told so, and a click on this site makes it one's own."""
    site = make_site(callback_token="same")
    browser = site.browser()
    mine = [browser.start("/hello") for _ in range(10)]
    calls = site.fx.calls("sign-token")
    refused = browser.get(LOGIN, FROM_ELSEWHERE, params={"next": "/hello"})
    assert refused.status_code == 429
    assert "too_many_logins" in refused.text
    assert refused.headers.get_list("set-cookie") == []
    assert site.fx.calls("sign-token") == calls
    assert browser.get(LOGIN, FROM_HERE, params={"next": "/hello"}).status_code == 302
    answers = [browser.come_back(site.fx.approve(token)).status_code for token in mine]
    assert answers == [401, *[303] * 9]


def test_the_oldest_login_that_began_elsewhere_makes_room_first(make_site):
    site = make_site(callback_token="same")
    browser = site.browser()
    mine = browser.start("/hello")
    theirs = [browser.start("/hello", FROM_ELSEWHERE) for _ in range(9)]
    later = browser.start("/hello")
    assert browser.come_back(site.fx.approve(theirs[0])).status_code == 401
    for token in (mine, later, theirs[1], theirs[8]):
        assert browser.come_back(site.fx.approve(token)).status_code == 303


def test_logins_that_are_over_are_cleared_away_at_the_next_start_and_at_the_end(make_site):
    site = make_site(callback_token="same")
    for ends in (False, True):
        browser = site.browser()
        site.clock.advance(-400)
        for _ in range(3):
            browser.start("/hello")
        site.clock.advance(400)
        newest = browser.start("/hello")
        site.clock.advance(201)
        assert len(browser.logins()) == 4
        if ends:
            assert browser.come_back(site.fx.approve(newest)).status_code == 303
            assert browser.logins() == {}
        else:
            browser.start("/hello")
            assert len(browser.logins()) == 2
        site.clock.advance(-201)


def test_every_answer_that_begins_or_ends_a_login_keeps_its_headers_small(make_site):
    site = make_site(callback_token="same", session_store="memory://")
    browser = site.browser()
    tokens = [browser.start("/hello") for _ in range(10)]
    site.clock.advance(601)
    for answer in (
        browser.get(LOGIN, params={"next": "/hello"}),
        browser.come_back(site.fx.approve(tokens[0])),
    ):
        assert sum(len(name) + len(value) + 4 for name, value in answer.headers.multi_items()) < 3_500
