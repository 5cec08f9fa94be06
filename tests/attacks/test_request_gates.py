"""What a request says about itself: only a person's own navigation starts or finishes a login.

Knows: Fetch Metadata, Origin, Referer and methods, as browsers, frames, prefetchers and link scanners send them.
Must not: look inside the package; every attack is a request, every verdict an answer.
"""

from itertools import product

import pytest

from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, FROM_SIBLING, LOGIN, NAVIGATION, PROGRAM, TYPED

NOT_A_PERSONS_CLICK = (
    {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"},
    {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "empty"},
    {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
    {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "frame"},
    {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "embed"},
    {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "object"},
    {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "fencedframe"},
    {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": ""},
    {"Sec-Fetch-Mode": "nested-navigate", "Sec-Fetch-Dest": "document"},
    {"Sec-Fetch-Mode": "websocket", "Sec-Fetch-Dest": "websocket"},
    {"Sec-Fetch-Mode": "navigate, no-cors", "Sec-Fetch-Dest": "document"},
    {"Sec-Fetch-Dest": "image"},
    {"Sec-Fetch-Mode": "no-cors"},
    {**NAVIGATION, "Sec-Purpose": "prefetch"},
    {**NAVIGATION, "Sec-Purpose": "prefetch;prerender"},
    {**NAVIGATION, "Sec-Purpose": "prefetch;anonymous-client-ip"},
    {**NAVIGATION, "Purpose": "prefetch"},
)


def test_an_odd_sec_fetch_site_is_not_taken_for_ours(site, browser):
    """LC-04: whatever is not exactly `same-origin` or `none` is somebody else's."""
    for value in ("", "SAME-ORIGIN", "None", "null", "same-origin, cross-site", "none,none", "same"):
        headers = {**NAVIGATION, "Sec-Fetch-Site": value, "Origin": site.origin, "Referer": f"{site.origin}/"}
        assert browser.get(LOGIN, headers).status_code == 200, value
        assert browser.post(LOGIN, headers).status_code == 403, value
    assert site.fx.requests == []


def test_two_sec_fetch_site_headers_are_not_taken_for_ours(site):
    """LC-04"""
    twice = [*NAVIGATION.items(), ("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site")]
    assert site.raw(LOGIN, headers=twice).status_code == 200
    assert site.raw(LOGIN, method="POST", headers=twice).status_code == 403
    assert site.fx.requests == []


def test_without_fetch_metadata_the_referer_tells(site, browser):
    """LC-04, in a browser too old for Fetch Metadata."""
    for referer in ("https://evil.example/", "http://app.example/", "https://app.example.evil/", "null", "x"):
        assert browser.get(LOGIN, {"Accept": "text/html", "Referer": referer}).status_code == 200, referer
    assert site.fx.requests == []
    assert browser.get(LOGIN, {"Accept": "text/html", "Referer": f"{site.origin}/page"}).status_code == 302


NOT_THE_CLICK = (
    FROM_ELSEWHERE,
    FROM_SIBLING,
    TYPED,
    NAVIGATION,
    {**FROM_ELSEWHERE, "Origin": "https://app.example"},
    {**FROM_HERE, "Origin": "https://evil.example"},
    {**FROM_HERE, "Origin": "https://app.example.evil.example"},
    {**NAVIGATION, "Origin": "null"},
    {**NAVIGATION, "Origin": "http://app.example"},
    {**NAVIGATION, "Origin": "https://app.example, https://evil.example"},
    {**NAVIGATION, "Referer": "https://app.example/xwms/auth"},
    {**NAVIGATION, "HX-Request": "true"},
)


def test_the_click_cannot_be_posted_by_another_site(site, browser):
    """LC-04: the confirmation is a form, and another site can post a form."""
    for headers in NOT_THE_CLICK:
        answer = browser.post(f"{LOGIN}?next=/hello", headers, data={"next": "/hello", "confirmed": "1"})
        assert answer.status_code == 403, headers
        assert answer.headers.get_list("set-cookie") == [], headers
    assert site.fx.requests == []


def test_a_posted_click_takes_next_by_the_same_rule(site, browser):
    """LC-04, OR-03"""
    own = {**FROM_HERE, "Origin": "null"}
    for next_ in ("//evil.example", "https://evil.example/", "/\\evil.example", "/xwms/auth", "/xwms/logout"):
        answer = browser.post(LOGIN, own, params={"next": next_}, data={"next": "//evil.example"})
        assert answer.status_code == 302
        token = site.fx.approve(answer.headers["location"].rpartition("/")[2])
        assert browser.come_back(token).headers["location"] == "/"
        browser.log_out()


def test_images_frames_scripts_and_prefetches_start_and_finish_nothing(site, browser):
    """LC-06: none of them, and not all of them together."""
    token = site.fx.approve(browser.start())
    before = len(site.fx.requests)
    for headers, origin in product(NOT_A_PERSONS_CLICK, ("cross-site", "same-origin", "none", None)):
        sent = headers if origin is None else {**headers, "Sec-Fetch-Site": origin}
        for answer in (browser.get(LOGIN, sent), browser.post(LOGIN, sent), browser.come_back(token, sent)):
            assert answer.status_code in (400, 403), sent
            assert answer.headers.get_list("set-cookie") == [], sent
        assert len(site.fx.requests) == before, sent
    assert browser.come_back(token).status_code == 303


def test_neither_a_sibling_nor_our_own_pages_open_the_callback(site, browser):
    """LC-07"""
    token = site.fx.approve(browser.start())
    for headers in (FROM_SIBLING, FROM_HERE):
        refused = browser.come_back(token, headers)
        assert refused.status_code == 403, headers
        assert refused.headers.get_list("set-cookie") == [], headers
        assert site.fx.calls("sign-token-verify") == 0, headers
    assert browser.come_back(token).status_code == 303


def test_an_xwms_on_the_same_site_may_open_it(make_site):
    """LC-07"""
    browser = make_site(redirect_uris="http://127.0.0.1:5000/xwms/validateToken").browser()
    assert browser.come_back(browser.site.fx.approve(browser.start()), FROM_SIBLING).status_code == 303


NEITHER_OURS_NOR_XWMS = (
    "https://evil.example/",
    "https://app.example.evil.example/",
    "https://app.example@evil.example/",
    "https://evil.example/https://app.example/",
    "https://app.example:8443/",
    "https://sub.app.example/",
    "http://app.example/",
    "http://127.0.0.1.evil.example/",
    "http://127.0.0.1@evil.example/",
    "https://[::1",
    "null",
    "about:client",
    "//app.example/",
)


def test_a_page_that_is_neither_ours_nor_xwms_does_not_open_the_callback(site, browser):
    """LC-08"""
    token = site.fx.approve(browser.start())
    for referer in NEITHER_OURS_NOR_XWMS:
        assert browser.come_back(token, {**FROM_ELSEWHERE, "Referer": referer}).status_code == 403, referer
        assert site.fx.calls("sign-token-verify") == 0, referer
    assert browser.come_back(token, {**FROM_ELSEWHERE, "Referer": f"{site.fx.url}/sign-in/"}).status_code == 303


ERRORS = (
    "error=access_denied",
    "error=x&error_description=%3Csvg%20onload=alert(1)%3E",
    "xwmsmessage_status=error&xwmsmessage_message=%3Csvg%20onload=alert(1)%3E",
    "error=x&state=forged&iss=https://evil.example",
    "error_uri=https://evil.example/",
    "token=%3Csvg%20onload=alert(1)%3E",
)


def test_an_error_from_nowhere_keeps_the_login_and_shows_none_of_its_text(site, browser):
    """LC-16"""
    token = site.fx.approve(browser.start())
    for query in ERRORS:
        answer = browser.get(f"{CALLBACK}?{query}", FROM_ELSEWHERE)
        assert answer.status_code == 400, query
        assert [word for word in ("svg", "evil", "alert") if word in answer.text] == [], query
        assert answer.headers.get_list("set-cookie") == [], query
    assert browser.come_back(token).status_code == 303


def test_link_scanners_and_odd_methods_do_nothing(site, browser):
    """LC-17"""
    token = site.fx.approve(browser.start())
    before = len(site.fx.requests)
    headers = [*FROM_HERE.items(), ("Cookie", browser.pending())]
    methods = ("HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "get", "GETX")
    for path, method in product((LOGIN, CALLBACK), methods):
        answer = site.raw(path, method=method, query=f"token={token}", headers=headers)
        assert answer.status_code == 405, (path, method)
        assert answer.headers.get_list("set-cookie") == [], (path, method)
        assert len(site.fx.requests) == before, (path, method)
    assert browser.come_back(token).status_code == 303


def test_a_posted_callback_does_nothing(site, browser):
    """LC-17"""
    token = site.fx.approve(browser.start())
    for headers in (FROM_ELSEWHERE, FROM_HERE, PROGRAM):
        answer = browser.post(CALLBACK, headers, params={"token": token}, data={"token": token})
        assert answer.status_code == 405
    assert site.fx.calls("sign-token-verify") == 0
    assert browser.come_back(token).status_code == 303


@pytest.mark.parametrize("mode", ["same", "either", "fresh"])
@pytest.mark.parametrize("busy", [True, False])
def test_a_foreign_token_in_a_frame_is_spent_and_ones_own_is_kept(make_site, subtests, mode, busy):
    """SM-20, LC-06: one call at the callback, none at the start; one's own exact token waits for the person."""
    site = make_site("fresh" if mode == "fresh" else "same", callback_token=mode)
    waiting = []
    for dest in ("iframe", "image", "script", "object"):
        site.clock.advance(1)
        with subtests.test(dest=dest):
            victim, attacker = site.browser(), site.browser()
            framed = {"Accept": "*/*", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": dest}
            framed["Sec-Fetch-Site"] = "cross-site"
            mine = site.fx.approve(victim.start(), sub="victim") if busy else None
            token = site.fx.approve(attacker.start(), sub="victim")
            before = site.fx.calls("sign-token-verify")
            assert victim.come_back(token, framed).status_code == 403
            assert [call.json["token"] for call in site.fx.to("sign-token-verify")[before:]] == [token]
            assert attacker.come_back(token).status_code == 401
            assert attacker.who() is None
            if mine is not None and mode != "fresh":
                assert victim.come_back(mine, framed).status_code == 403
                waiting.append((victim, mine))
    # Last, because a login that ends well teaches the site that the tokens are the same.
    assert len(waiting) == (4 if busy and mode != "fresh" else 0)
    assert [victim.come_back(mine).status_code for victim, mine in waiting] == [303] * len(waiting)
