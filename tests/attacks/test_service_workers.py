"""SM-08: navigations that a service worker of the site has passed on, which hides who caused them, and in what frame.

The headers are those that Chromium, Firefox and WebKitGTK were measured to send (docs/begun-here.md).
"""

import html
import re
from itertools import product

import httpx2
import pytest

from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, LOGIN, LOGOUT, Browser

MARKED = {"Accept": "text/html,*/*;q=0.8", "Upgrade-Insecure-Requests": "1", "Sec-Fetch-Dest": "empty"}
# `fetch(event.request)`, where the site is told truthfully in Chromium.
PASSED_ON = {**MARKED, "Sec-Fetch-Mode": "navigate"}
# `fetch(event.request, {...})`, and `fetch(event.request)` in Firefox: whoever caused it.
REBUILT = {**MARKED, "Sec-Fetch-Mode": "same-origin", "Sec-Fetch-Site": "same-origin"}
# `fetch(new Request(event.request.url, {headers: event.request.headers}))`
BY_ADDRESS = {**MARKED, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}

FROM_HERE_PASSED_ON = {**PASSED_ON, "Sec-Fetch-Site": "same-origin"}
FROM_ELSEWHERE_PASSED_ON = {**PASSED_ON, "Sec-Fetch-Site": "cross-site"}
BOTH = [
    pytest.param(FROM_HERE_PASSED_ON, FROM_ELSEWHERE_PASSED_ON, id="passed-on"),
    pytest.param(REBUILT, REBUILT, id="rebuilt"),
]
OF_THE_SITE = {"Origin": "https://app.example"}


def led_on_to(answer: httpx2.Response) -> str:
    """Where the page that stands in for the redirect leads, which no frame shows."""
    assert answer.status_code == 200, answer.text
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "no-store" in answer.headers["cache-control"]
    [url] = re.findall(r'<meta http-equiv="refresh" content="0;url=([^"]+)">', answer.text)
    return html.unescape(url)


def start(browser: Browser, headers: dict[str, str], **more: str) -> str:
    """Start a login through the worker; gives sign-token's token."""
    return led_on_to(browser.get(LOGIN, {**headers, **more})).rpartition("/")[2]


def confirm(browser: Browser, asked: httpx2.Response, headers: dict[str, str]) -> httpx2.Response:
    """Say "yes, that is me"."""
    page = browser.get(asked.headers["location"], headers)
    assert (page.status_code, "Is this you?" in page.text) == (200, True)
    [key] = re.findall(r'name="confirm" value="([^"]+)"', page.text)
    return browser.post(asked.headers["location"], {**headers, **OF_THE_SITE}, data={"confirm": key})


@pytest.mark.parametrize(("first", "last"), BOTH)
@pytest.mark.parametrize("mode", ["same", "either", "fresh"])
def test_a_person_comes_home_through_a_worker(make_site, mode, first, last):
    site = make_site("fresh" if mode == "fresh" else "same", callback_token=mode)
    browser = site.browser()
    sent = browser.get("/private", first)
    assert (sent.status_code, sent.headers["location"]) == (302, f"{LOGIN}?next=/private")
    token = led_on_to(browser.get(sent.headers["location"], first)).rpartition("/")[2]
    answer = browser.come_back(site.fx.approve(token, sub="17"), last)
    assert answer.status_code == 303
    if mode == "fresh":
        assert browser.who() is None
        answer = confirm(browser, answer, first)
    assert (answer.headers["location"], browser.who()) == ("/private", "17")


def test_the_login_button_starts_a_login_through_a_worker_and_another_sites_form_does_not(site):
    for headers in (FROM_HERE_PASSED_ON, REBUILT):
        led_on_to(site.browser().post(LOGIN, {**headers, **OF_THE_SITE}, data={}))
    for origin in ("cross-site", "same-site"):
        assert site.browser().post(LOGIN, {**PASSED_ON, "Sec-Fetch-Site": origin}, data={}).status_code == 403


@pytest.mark.parametrize("mode", ["same", "either", "fresh"])
def test_what_another_site_sends_through_the_sites_own_worker_begins_no_session(make_site, subtests, mode):
    """A start by anybody and then the attacker's callback, in a frame or not; the token does not survive it."""
    site = make_site("fresh" if mode == "fresh" else "same", callback_token=mode)
    senders = [{**PASSED_ON, "Sec-Fetch-Site": origin} for origin in ("cross-site", "same-site", "same-origin")]
    for began, sender in product((FROM_HERE, FROM_ELSEWHERE_PASSED_ON, REBUILT), (*senders, REBUILT, FROM_ELSEWHERE)):
        if (began, sender, mode) == (FROM_HERE, FROM_ELSEWHERE, "fresh"):
            continue  # no worker, and what remains (docs/security.md)
        site.clock.advance(1)
        with subtests.test(began=began, sender=sender):
            victim, attacker = site.browser(), site.browser()
            victim.get(LOGIN, began)
            token = site.fx.approve(attacker.start(), sub="attacker")
            answer = victim.come_back(token, sender)
            # A fresh token may be one's own. Then the person is shown whom they would be.
            asked = mode == "fresh" and answer.status_code == 303 and "&confirm=" in answer.headers["location"]
            assert asked or answer.status_code in (400, 401, 403)
            assert victim.who() is None
            assert site.session_cookie not in victim.cookies()
            assert attacker.come_back(token).status_code == 401


def test_a_worker_does_not_let_frames_scripts_and_prefetches_in(site, browser):
    """LC-06: what can still be told is refused as ever; a script's `same-origin` fetch is not marked as navigation."""
    token = site.fx.approve(browser.start())
    before = len(site.fx.requests)
    unmarked = {name: value for name, value in REBUILT.items() if name != "Upgrade-Insecure-Requests"}
    for headers in (
        unmarked,
        BY_ADDRESS,
        {**REBUILT, "Sec-Fetch-Dest": "iframe"},
        {**REBUILT, "Sec-Fetch-Mode": "no-cors"},
        {**FROM_HERE_PASSED_ON, "Sec-Purpose": "prefetch"},
        {**FROM_HERE_PASSED_ON, "Sec-Purpose": "prefetch;prerender"},
    ):
        for answer in (browser.get(LOGIN, headers), browser.come_back(token, headers)):
            assert answer.status_code == 400, headers
            assert answer.headers.get_list("set-cookie") == [], headers
    assert len(site.fx.requests) == before
    assert browser.get("/private", unmarked).headers["content-type"] == "application/problem+json"
    assert browser.come_back(token).status_code == 303


def test_a_sibling_or_our_own_page_opens_the_callback_no_more_than_without_a_worker(site, browser):
    """LC-07, LC-08: where the browser tells, by `Sec-Fetch-Site` or by a foreign `Referer`."""
    token = site.fx.approve(browser.start())
    for headers in (
        FROM_HERE_PASSED_ON,
        {**PASSED_ON, "Sec-Fetch-Site": "same-site"},
        {**REBUILT, "Referer": "https://evil.example/"},
    ):
        assert browser.come_back(token, headers).status_code == 403, headers
    assert browser.come_back(token, REBUILT).status_code == 303


def test_where_the_worker_hides_who_logs_out_the_person_is_asked(site):
    """LO-02: a rebuilt POST of another site has our own `Origin`, and all cookies; WebKit says `same-origin` of all."""
    for headers in ({**REBUILT, **OF_THE_SITE}, REBUILT, {**FROM_HERE_PASSED_ON, "Origin": "null"}):
        browser = site.browser()
        refused = browser.log_out(headers, data={})
        assert (refused.status_code, refused.headers.get_list("set-cookie")) == (403, [])
        browser.log_in(sub="17")
        asked = browser.log_out(headers, data={})
        assert (asked.status_code, browser.who()) == (403, "17")
        [token] = re.findall(r'name="xwms_csrf_token" value="([^"]+)"', asked.text)
        assert f'method="post" action="{LOGOUT}"' in asked.text
        assert browser.log_out(headers, data={"xwms_csrf_token": token[:-1]}).status_code == 403
        assert browser.log_out(headers, data={"xwms_csrf_token": token}).status_code == 303
        assert browser.who() is None
    browser = site.browser()
    browser.log_in()
    assert browser.log_out({**FROM_HERE_PASSED_ON, **OF_THE_SITE}, data={}).status_code == 303


def test_a_page_that_a_worker_has_fetched_by_its_address_leads_past_the_worker_by_a_form(site, browser):
    """Browsers show no page for which a worker has followed a redirect, and most workers leave a POST alone."""
    token = site.fx.approve(browser.start())
    answers = {
        f"{LOGIN}?next=/private": browser.get("/private", BY_ADDRESS),
        LOGIN: browser.get(CALLBACK, BY_ADDRESS, params={"token": token}),
    }
    assert [answer.status_code for answer in answers.values()] == [401, 400]
    for action, answer in answers.items():
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert f'method="post" action="{action}"' in answer.text
        assert "form-action 'self' https: http:;" in answer.headers["content-security-policy"]
    assert "service worker" in answers[LOGIN].text
    assert browser.come_back(token).status_code == 303
