"""What a session's device is called in a list: enough to recognise it, made of no word of the browser's."""

import re

import pytest

from tests.tools.session_pages import outside, with_pages
from tests.tools.site import FROM_ELSEWHERE

SUB = "xwms-user-1234"
WEBKIT, GECKO = "AppleWebKit/537.36 (KHTML, like Gecko)", "Gecko/20100101"
IOS = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
LINUX, WINDOWS, MAC = "X11; Linux x86_64", "Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7"
PHONE, TABLET, ANDROID = (
    "iPhone; CPU iPhone OS 18_1 like Mac OS X",
    "iPad; CPU OS 18_1 like Mac OS X",
    "Linux; Android 15",
)

DEVICES = {
    f"Mozilla/5.0 (X11; Linux x86_64; rv:153.0) {GECKO} Firefox/153.0": "Firefox on Linux",
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:153.0) {GECKO} Firefox/153.0": "Firefox on Windows",
    "Mozilla/5.0 (Android 15; Mobile; rv:153.0) Gecko/153.0 Firefox/153.0": "Firefox on Android",
    f"Mozilla/5.0 ({PHONE}) {IOS} FxiOS/153.0 Mobile/15E148 Safari/605.1.15": "Firefox on iPhone",
    f"Mozilla/5.0 ({LINUX}) {WEBKIT} Chrome/156.0.0.0 Safari/537.36": "Chrome on Linux",
    f"Mozilla/5.0 ({WINDOWS}) {WEBKIT} Chrome/156.0.0.0 Safari/537.36": "Chrome on Windows",
    f"Mozilla/5.0 ({ANDROID}; K) {WEBKIT} Chrome/156.0.0.0 Mobile Safari/537.36": "Chrome on Android",
    f"Mozilla/5.0 ({TABLET}) {IOS} CriOS/156.0.0.0 Mobile/15E148 Safari/604.1": "Chrome on iPad",
    f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {WEBKIT} Chrome/156.0.0.0 Safari/537.36": "Chrome on ChromeOS",
    f"Mozilla/5.0 ({WINDOWS}) {WEBKIT} Chrome/156.0.0.0 Safari/537.36 Edg/156.0.0.0": "Edge on Windows",
    f"Mozilla/5.0 ({ANDROID}; K) {WEBKIT} Chrome/156.0.0.0 Mobile Safari/537.36 EdgA/156.0": "Edge on Android",
    f"Mozilla/5.0 ({PHONE}) {IOS} Version/18.0 EdgiOS/156.0 Mobile/15E148 Safari/604.1": "Edge on iPhone",
    f"Mozilla/5.0 ({MAC}) {WEBKIT} Chrome/156.0.0.0 Safari/537.36 OPR/120.0.0.0": "Opera on macOS",
    f"Mozilla/5.0 ({LINUX}) {WEBKIT} Chrome/156.0.0.0 Safari/537.36 Vivaldi/7.9": "Vivaldi on Linux",
    f"Mozilla/5.0 ({ANDROID}; SM-S921B) {WEBKIT} SamsungBrowser/29.0 Chrome/136.0.0.0 Mobile Safari/537.36": (
        "Samsung Internet on Android"
    ),
    f"Mozilla/5.0 ({MAC}) {IOS} Version/18.1 Safari/605.1.15": "Safari on macOS",
    f"Mozilla/5.0 ({PHONE}) {IOS} Version/18.1 Mobile/15E148 Safari/604.1": "Safari on iPhone",
    f"Mozilla/5.0 (X11; FreeBSD amd64; rv:153.0) {GECKO} Firefox/153.0": "Firefox",
    "Mozilla/5.0 (Windows NT 10.0; SomethingElse)": "Windows",
    "curl/8.14.1": None,
    "": None,
    "<script>alert(1)</script>": None,
    "Firefox/1 on my machine' OR 1=1; Linux\t<b>": "Firefox on Linux",
    "x" * 5000: None,
    "x" * 5000 + f" Firefox/153.0 ({LINUX})": "Firefox on Linux",
}


@pytest.fixture
def site(make_site):
    return with_pages(make_site(session_store="memory://"))


def logged_in(site, agent: str):
    """The one session of somebody who came with this User-Agent."""
    browser = site.browser()
    headers = {**FROM_ELSEWHERE, "User-Agent": agent.encode("latin-1")}
    browser.come_back(site.fx.approve(browser.start()), headers=headers)
    (session,) = outside(site, lambda sessions: sessions.list(SUB))
    return session


def test_a_device_is_named_by_its_browser_and_its_system_and_no_word_of_the_browsers_own_is_kept(site):
    """A name in a list on a page: nothing that somebody could have written into their header."""
    for agent, device in DEVICES.items():
        session = logged_in(site, agent)
        assert session.device == device, agent[:200]
        assert re.fullmatch(r"[A-Za-z ]{0,40}", session.device or ""), agent[:200]
        outside(site, lambda sessions, one=session.id: sessions.revoke(one))


def test_the_device_is_that_of_the_login_and_not_of_the_last_request(site):
    browser = site.browser()
    firefox, *_, chrome = list(DEVICES)[:5]
    browser.come_back(site.fx.approve(browser.start()), headers={**FROM_ELSEWHERE, "User-Agent": firefox})
    site.clock.advance(3600)
    assert browser.get("/who", {"User-Agent": chrome, "Accept": "application/json"}).text == SUB
    assert [one.device for one in outside(site, lambda sessions: sessions.list(SUB))] == ["Firefox on Linux"]
