"""Logout CSRF: only the person ends the session, and when they do it is over.

Knows: what another site can make a browser post, and a session store that is down.
Must not: look inside the package.
"""

import html
import re
from collections.abc import Callable
from itertools import chain, product
from typing import Any
from urllib.parse import quote

import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

import xwms_auth.flask
from tests.corpus.next_targets import GOOD, HOSTILE
from tests.tools.site import (
    CALLBACK,
    FROM_ELSEWHERE,
    FROM_HERE,
    FROM_SIBLING,
    LOGIN,
    LOGOUT,
    ME,
    NAVIGATION,
    PROGRAM,
    TYPED,
    Site,
)
from xwms_auth import StoreUnavailable
from xwms_auth.starlette import template_context
from xwms_auth.stores import open_store

BOTH_STORES = pytest.mark.parametrize("store", ["cookie", "memory://"])
OUR_PATHS = (LOGIN, LOGOUT, ME, CALLBACK)
SILENT = {"Accept": "text/html"}  # a browser, or a proxy before it, that says nothing about where a form came from
OWN_ORIGIN = {**SILENT, "Origin": "https://app.example"}

FOREIGN = {
    "cross-site": FROM_ELSEWHERE,
    "cross-site that claims our origin": {**FROM_ELSEWHERE, "Origin": "https://app.example"},
    "same-site": FROM_SIBLING,
    "same-site with null": {**FROM_SIBLING, "Origin": "null"},
    "typed": TYPED,
    "cross-site fetch": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Origin": "https://evil.example"},
    "foreign origin": {**SILENT, "Origin": "https://evil.example"},
    "same-origin from a foreign origin": {**FROM_HERE, "Origin": "https://evil.example"},
    "odd case": {**NAVIGATION, "Sec-Fetch-Site": "Same-Origin"},
    "two sites": {**NAVIGATION, "Sec-Fetch-Site": "same-origin, cross-site", "Origin": "https://app.example"},
    "empty site": {**NAVIGATION, "Sec-Fetch-Site": "", "Origin": "https://app.example"},
    "null origin": {**SILENT, "Origin": "null"},
    "empty origin": {**SILENT, "Origin": ""},
    "no origin": SILENT,
    "only a referer": {**SILENT, "Referer": "https://app.example/"},
    "sibling": {**SILENT, "Origin": "https://sub.app.example"},
    "look-alike": {**SILENT, "Origin": "https://app.example.evil.example"},
    "user info": {**SILENT, "Origin": "https://app.example@evil.example"},
    "http": {**SILENT, "Origin": "http://app.example"},
    "other port": {**SILENT, "Origin": "https://app.example:8443"},
    "upper case": {**SILENT, "Origin": "https://APP.example"},
    "trailing slash": {**SILENT, "Origin": "https://app.example/"},
    "two origins": {**SILENT, "Origin": "https://app.example, https://evil.example"},
    "xhr": {**SILENT, "X-Requested-With": "XMLHttpRequest"},
    "htmx": {"HX-Request": "true", "Accept": "text/html"},
    "forwarded": {**SILENT, "Origin": "https://evil.example", "X-Forwarded-Host": "evil.example"},
}


def who_with(site, session):
    """The status of a page that needs a person, for exactly this session cookie."""
    return site.raw("/who", headers=[*PROGRAM.items(), ("Cookie", f"{site.session_cookie}={session}")]).status_code


def kept_session(site, browser):
    """The browser's session cookie, as somebody would keep it."""
    return browser.cookies()[site.session_cookie]


def test_opening_the_logout_address_ends_nothing(site, browser):
    """LO-01"""
    browser.log_in()
    for case, headers in {**FOREIGN, "own page": FROM_HERE}.items():
        answer = browser.get(LOGOUT, headers)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST"), case
        assert answer.headers.get_list("set-cookie") == [], case
        assert browser.who() == "xwms-user-1234", case


def test_no_method_but_post_ends_a_session(site, browser):
    """LO-01"""
    browser.log_in()
    cookie = ("Cookie", f"{site.session_cookie}={kept_session(site, browser)}")
    for method in ("HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "post", "LOGOUT"):
        answer = site.raw(LOGOUT, method=method, headers=[*OWN_ORIGIN.items(), cookie])
        assert answer.status_code == 405, method
        assert answer.headers.get_list("set-cookie") == [], method
        assert browser.who() == "xwms-user-1234", method


@BOTH_STORES
def test_a_logout_that_is_not_our_own_forms_is_refused(make_site, store):
    """LO-02, LO-03"""
    site = make_site(session_store=store)
    browser = site.browser()
    browser.log_in()
    for case, headers in FOREIGN.items():
        answer = browser.post(LOGOUT, headers, data={"xwms_csrf_token": "guessed"})
        assert answer.status_code == 403, case
        assert answer.headers.get_list("set-cookie") == [], case
        assert browser.who() == "xwms-user-1234", case


def test_our_own_form_is_believed(site, browser):
    """LO-03: what must still work."""
    same_origin = ({}, {"Origin": "null"}, {"Origin": "https://app.example"})
    for headers in (*({**FROM_HERE, **more} for more in same_origin), OWN_ORIGIN):
        browser.log_in()
        assert browser.post(LOGOUT, headers).status_code == 303, headers
        assert browser.who() is None, headers


def with_a_form(site: Site) -> Site:
    """The site with a page that shows the logout form, as an application's template does."""
    if site.edge == "flask":
        site.app.add_url_rule("/form", "form", lambda: str(xwms_auth.flask.xwms_logout_form()))
        return site

    async def form(request: Request) -> Response:
        return HTMLResponse(str(template_context(request)["xwms_logout_form"]()))

    site.app.app.add_route("/form", form)
    return site


def form_token(browser) -> str:
    """The token in the logout form that this browser is shown."""
    found = re.search(r'name="xwms_csrf_token" value="([^"]*)"', browser.get("/form").text)
    assert found is not None
    return html.unescape(found[1])


@BOTH_STORES
def test_a_silent_browser_proves_by_the_forms_token_that_the_form_is_ours(make_site, store):
    """LO-03: and nobody else's token will do."""
    site = with_a_form(make_site(session_store=store))
    browser, attacker, nobody = site.browser(), site.browser(), site.browser()
    browser.log_in(sub="victim")
    attacker.log_in(sub="attacker")
    own, others, anonymous = form_token(browser), form_token(attacker), form_token(nobody)
    session = kept_session(site, browser)
    for wrong in ("", others, anonymous, own[:-1], f"{own}x", own.swapcase(), session, "null", "\x00", "\ud800"):
        encoded = wrong.encode("utf-8", "surrogatepass")
        refused = browser.post(LOGOUT, SILENT, data={"xwms_csrf_token": encoded})
        assert refused.status_code == 403, wrong
    for headers in (FROM_ELSEWHERE, FROM_SIBLING, {**SILENT, "Origin": "https://evil.example"}):
        assert browser.post(LOGOUT, headers, data={"xwms_csrf_token": own}).status_code == 403
    assert browser.post(LOGOUT, SILENT, params={"xwms_csrf_token": own}).status_code == 403
    assert browser.post(LOGOUT, {**SILENT, "X-CSRF-Token": own}).status_code == 403
    assert browser.who() == "victim"
    assert browser.post(LOGOUT, SILENT, data={"xwms_csrf_token": own}).status_code == 303
    assert browser.who() is None


@BOTH_STORES
def test_the_form_of_an_ended_session_does_not_end_the_next_one(make_site, store):
    """LO-03: a token that leaked once is not a token for ever."""
    site = with_a_form(make_site(session_store=store))
    browser = site.browser()
    browser.log_in()
    old = form_token(browser)
    browser.log_out()
    browser.log_in()
    assert browser.post(LOGOUT, SILENT, data={"xwms_csrf_token": old}).status_code == 403
    assert browser.who() == "xwms-user-1234"


def test_a_body_that_is_no_form_and_an_overridden_method_have_no_effect(make_site):
    """LO-04"""
    site = with_a_form(make_site())
    browser = site.browser()
    browser.log_in()
    token = form_token(browser)
    cookie = ("Cookie", f"{site.session_cookie}={kept_session(site, browser)}")
    for media_type, body in (
        ("text/plain", f"xwms_csrf_token={token}"),
        ("text/plain", f'{{"xwms_csrf_token": "{token}"}}'),
        ("application/json", f'{{"xwms_csrf_token": "{token}"}}'),
        (
            "multipart/form-data; boundary=x",
            f'--x\r\nContent-Disposition: form-data; name="xwms_csrf_token"\r\n\r\n{token}',
        ),
        ("application/x-www-form-urlencoded", f"xwms_csrf_token={token}" + "&x=" + "x" * 70_000),
    ):
        headers = [*SILENT.items(), cookie, ("Content-Type", media_type)]
        assert site.raw(LOGOUT, method="POST", headers=headers, body=body.encode()).status_code == 403
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        assert site.raw(LOGOUT, headers=[*OWN_ORIGIN.items(), cookie, (name, "POST")]).status_code == 405
    assert site.raw(LOGOUT, query="_method=POST", headers=[*OWN_ORIGIN.items(), cookie]).status_code == 405
    assert browser.who() == "xwms-user-1234"


def test_a_logout_never_leads_off_the_site(site):
    """LO-05"""
    for value in chain.from_iterable(HOSTILE.values()):
        query = f"next={quote(value.encode('utf-8', 'surrogatepass'))}"
        answer = site.raw(LOGOUT, method="POST", query=query, headers=[*FROM_HERE.items()])
        assert (answer.status_code, answer.headers["location"]) == (303, "/"), value
        assert answer.content == b"", value


def test_a_logout_leads_where_an_honest_next_says(site, browser):
    """LO-05: what must still work."""
    for value, location in GOOD:
        assert browser.log_out(params={"next": value}).headers["location"] == location
    assert browser.log_out(data={"next": "//evil.example"}).headers["location"] == "/"


class StoreThatIsDown:
    """A `SessionStore` that keeps nothing and cannot be reached, from the first call or only when it should forget."""

    def __init__(self, inner: Any, *, loads: bool) -> None:
        self.inner = inner
        self.loads = loads
        self.down = False

    def create(self, session: Any, *, until: int, now: int) -> Any:
        return self.inner.create(session, until=until, now=now)

    def recall(self, handle: str, *, now: int) -> Any:
        return None

    def load(self, handle: str, *, now: int) -> Any:
        if self.down and not self.loads:
            raise StoreUnavailable("the test's store is down")
        return self.inner.load(handle, now=now)

    def renew(self, handle: str, session: Any, *, until: int, now: int) -> Any:
        return self.inner.renew(handle, session, until=until, now=now)

    def drop(self, handle: str, *, why: Any, now: int) -> Any:
        if self.down:
            raise StoreUnavailable("the test's store is down")
        return self.inner.drop(handle, why=why, now=now)

    def claim(self, name: str, *, until: int, now: int) -> Any:
        return self.inner.claim(name, until=until, now=now)

    def release(self, name: str) -> Any:
        return self.inner.release(name)


@pytest.fixture
def site_that_loses_its_store(
    make_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Site, StoreThatIsDown]]:
    """Make a site over the memory store, and the switch that takes the store down."""

    def make(*, loads: bool) -> tuple[Site, StoreThatIsDown]:
        opened: list[StoreThatIsDown] = []

        def open_one(site: Any, *, is_async: bool = False) -> StoreThatIsDown:
            opened.append(StoreThatIsDown(open_store(site, is_async=is_async), loads=loads))
            return opened[0]

        monkeypatch.setattr("xwms_auth._core.adapters.clients.open_store", open_one)
        site = make_site(session_store="memory://")
        return site, opened[0]

    return make


@pytest.mark.parametrize("loads", [True, False], ids=["only dropping fails", "everything fails"])
def test_a_logout_without_the_store_clears_the_browser_and_does_not_claim_more(site_that_loses_its_store, loads):
    """LO-06: the person at a shared machine leaves; the browser must forget, and must not be told "logged out"."""
    site, store = site_that_loses_its_store(loads=loads)
    for headers in (FROM_HERE, {**FROM_HERE, "Accept": "application/json"}):
        browser = site.browser()
        browser.log_in()
        session = kept_session(site, browser)
        store.down = True
        answer = browser.post(LOGOUT, headers)
        assert answer.status_code == 503
        assert "store_unavailable" in answer.text
        assert answer.headers["retry-after"]
        assert browser.cookies() == {}
        store.down = False
        assert browser.who() is None
        assert who_with(site, session) == 200, "the record is still there, so 303 would have been a lie"


def test_without_the_store_another_site_still_clears_nothing(site_that_loses_its_store):
    """LO-06, LO-02"""
    site, store = site_that_loses_its_store(loads=False)
    browser = site.browser()
    browser.log_in()
    for headers in (FROM_ELSEWHERE, FROM_SIBLING, {**SILENT, "Origin": "https://evil.example"}):
        store.down = True
        answer = browser.post(LOGOUT, headers)
        assert answer.status_code in (403, 503), headers
        assert answer.headers.get_list("set-cookie") == [], headers
        store.down = False
        assert browser.who() == "xwms-user-1234", headers


@BOTH_STORES
def test_logging_out_twice_or_without_a_session_is_the_same(make_site, store):
    """LO-07"""
    site = make_site(session_store=store)
    browser = site.browser()
    browser.log_in()
    session = kept_session(site, browser)
    answers = [browser.log_out(), browser.log_out(), site.browser().log_out()]
    for junk in (session, "junk", "", "A" * 5000):
        cookie = ("Cookie", f"{site.session_cookie}={junk}")
        answers.append(site.raw(LOGOUT, method="POST", headers=[*FROM_HERE.items(), cookie]))
    for answer in answers:
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cleared = answer.headers.get_list("set-cookie")
        assert [line.partition("=")[0] for line in cleared] == [site.session_cookie]
        assert all("; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure" in line for line in cleared)
        assert answer.content == b""


def test_none_of_our_answers_can_be_framed(site, browser):
    """LO-08: pages, problems and redirects alike."""
    asked = [
        browser.get(LOGIN, FROM_ELSEWHERE),
        browser.get(LOGIN),
        browser.get(LOGOUT),
        browser.post(LOGOUT, FROM_ELSEWHERE),
        browser.post(LOGOUT, FROM_HERE),
        browser.get(CALLBACK),
        browser.get(CALLBACK, FROM_ELSEWHERE, params={"token": "a-token-of-nobody"}),
        browser.get(ME),
        browser.get("/who", PROGRAM),
        browser.get("/private"),
    ]
    for answer in asked:
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"], answer.url
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_no_other_origin_may_read_or_ask_by_script(browser):
    """LO-09"""
    browser.log_in()
    for path, origin in product(OUR_PATHS, ("https://evil.example", "https://app.example", "null")):
        asking = {"Origin": origin, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "cross-site"}
        preflight = {
            **asking,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-csrf-token",
        }
        answers = [browser.client.request(method, path, headers=asking) for method in ("GET", "POST", "HEAD")]
        answers.append(browser.client.request("OPTIONS", path, headers=preflight))
        assert answers[-1].status_code == 405, path
        for answer in answers:
            assert not [name for name in answer.headers if name.startswith("access-control-")], (path, origin)
            assert answer.headers.get_list("set-cookie") == [], (path, origin)
        assert browser.who() == "xwms-user-1234", (path, origin)


@BOTH_STORES
def test_cookies_tossed_by_a_sibling_hide_a_session_and_do_not_end_it(make_site, store):
    """LO-10: forced logout is a nuisance while the tossed cookie is there, and over when it is gone."""
    site = make_site(session_store=store)
    browser = site.browser()
    browser.log_in()
    name, good = site.session_cookie, kept_session(site, browser)
    for tossed in ("{bad}; {good}", "{good}; {bad}", "{good}; {good}", "{empty}; {good}"):
        cookie = ("Cookie", tossed.format(good=f"{name}={good}", bad=f"{name}=x", empty=f"{name}="))
        for path in ("/who", ME, LOGIN, LOGOUT, CALLBACK):
            answer = site.raw(path, headers=[*PROGRAM.items(), cookie])
            assert answer.status_code < 500, (tossed, path)
            given = answer.headers.get_list("set-cookie")
            assert not [line for line in given if line.startswith(site.session_cookie)], (tossed, path)
        assert site.raw("/who", headers=[*PROGRAM.items(), cookie]).status_code == 401, tossed
        assert browser.who() == "xwms-user-1234", tossed


@BOTH_STORES
def test_a_cookie_header_too_large_hides_a_session_and_does_not_end_it(make_site, store):
    """LO-10"""
    site = make_site(session_store=store)
    browser = site.browser()
    browser.log_in()
    good = f"{site.session_cookie}={kept_session(site, browser)}"
    flood = "; ".join(f"tossed{number}={'x' * 100}" for number in range(500))
    for cookie in (f"{flood}; {good}", f"{good}; {flood}", f"{site.session_cookie}={'x' * 60_000}; {good}"):
        assert site.raw("/who", headers=[*PROGRAM.items(), ("Cookie", cookie)]).status_code in (200, 401)
    assert browser.who() == "xwms-user-1234"
