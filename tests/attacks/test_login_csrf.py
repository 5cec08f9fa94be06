"""Login CSRF: somebody else's login must not end in this browser (RFC 6749 10.12, RFC 9700 4.7).

Knows: what pages of other sites, mails and link scanners can make a browser send.
Must not: look inside the package; every attack is a request, every verdict an answer.
"""

import dataclasses
import inspect

import pytest

import xwms_auth.asgi
import xwms_auth.flask
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, FROM_SIBLING, LOGIN, NAVIGATION, PROGRAM, TYPED
from xwms_auth import XWMSConfig
from xwms_auth._core.base.crypto.sealing import Sealed
from xwms_auth._core.base.crypto.signing import Signed

BOTH_STORES = pytest.mark.parametrize("store", ["cookie", "memory://"])
EVERY_MODE = pytest.mark.parametrize("mode", ["either", "same", "fresh"])


def given(answer, name):
    """The value that the answer gives this cookie: "" takes it away, None leaves it alone."""
    lines = [line for line in answer.headers.get_list("set-cookie") if line.startswith(name)]
    assert len(lines) <= 1
    return lines[0].partition("=")[2].partition(";")[0] if lines else None


def come_back_with(site, token, cookie, headers=FROM_ELSEWHERE):
    """The callback with a Cookie header of the test's choice, which no jar has touched."""
    cookies = [] if cookie is None else [("Cookie", cookie)]
    return site.raw(CALLBACK, query=f"token={token}", headers=[*headers.items(), *cookies])


def site_of_mode(make_site, mode, **options):
    """A site in this mode over an XWMS that behaves so."""
    return make_site("fresh" if mode == "fresh" else "same", callback_token=mode, **options)


@BOTH_STORES
@EVERY_MODE
def test_a_login_of_somebody_else_is_refused_and_its_token_spent(make_site, mode, store):
    """LC-01"""
    site = site_of_mode(make_site, mode, session_store=store)
    victim, attacker = site.browser(), site.browser()
    token = site.fx.approve(attacker.start())
    lured = victim.come_back(token)
    assert lured.status_code == 400
    assert "login_not_started" in lured.text
    assert given(lured, site.session_cookie) is None
    assert victim.who() is None
    assert site.fx.calls("sign-token-verify") == 1
    assert attacker.come_back(token).status_code == 401
    assert attacker.who() is None


@pytest.mark.parametrize("headers", [TYPED, NAVIGATION, PROGRAM], ids=["typed", "old browser", "program"])
def test_it_is_refused_however_the_address_was_opened(site, headers):
    """LC-01: from a mail, in a browser without Fetch Metadata, by a program."""
    attacker = site.browser()
    token = site.fx.approve(attacker.start())
    victim = site.browser()
    assert victim.come_back(token, headers).status_code == 400
    assert victim.who() is None
    assert attacker.come_back(token).status_code == 401


def _altered(site, key, value):
    """Login cookies that were nearly made by us: the value is that of an honest one."""
    config = site.config
    audience = f"{config.client_id}@{config.issuer}"

    def seal(purpose="login/sign-token", audience=audience, place=key):
        return Sealed(config.session_keys, purpose=purpose, audience=audience).seal_text(login, place=place)

    honest = Sealed(config.session_keys, purpose="login/sign-token", audience=audience)
    login = honest.open_text(value, place=key)
    assert login, "the honest value must open, or the altered ones prove nothing"
    yield from ("", "0", "1", "null", "undefined", "[]", "true", ".", '""', value[:-1], value[1:], value[::-1])
    yield f'"{value}"'
    yield f"{value}="
    yield f"{value}."
    yield value[:40] + ("A" if value[40] != "A" else "B") + value[41:]
    yield from (seal(place=""), seal(place="AAAAAAAA"), seal(place=f"{site.login_prefix}{key}"))
    for purpose in ("session", "login", "login/", "login/oauth2", "logout-form", "record", ""):
        yield seal(purpose)
        yield Signed(config.session_keys, purpose=purpose, audience=audience).dumps(login)
    for other in ("", "fx-client", f"other-client@{config.issuer}", f"{config.client_id}@https://xwms.nl/api/"):
        yield seal(audience=other)


@EVERY_MODE
def test_what_is_nearly_a_login_cookie_is_none(make_site, mode):
    """LC-02, LC-10: missing, empty, unsigned, of another purpose, flow, client or XWMS."""
    site = site_of_mode(make_site, mode)
    browser = site.browser()
    token = site.fx.approve(browser.start())
    ((name, value),) = browser.logins().items()
    altered = [f"{name}={one}" for one in _altered(site, name.removeprefix(site.login_prefix), value)]
    for cookie in (None, *altered, f"{name}={value}; {name}={value}", f"{site.login_prefix[:-1]}={value}"):
        for sent in (token, "", "null", "0"):
            site.clock.advance(0.01)
            refused = come_back_with(site, sent, cookie)
            assert refused.status_code == 400, cookie
            assert given(refused, site.session_cookie) is None
        bare = site.raw(CALLBACK, headers=[*FROM_ELSEWHERE.items(), ("Cookie", cookie or "")])
        assert bare.status_code == 400


def test_no_option_switches_the_binding_off():
    """LC-03"""
    # These look at sessions later on, and are nothing of a login.
    later = {"recheck", "recheck_policy", "websocket_recheck"}
    names = {field.name for field in dataclasses.fields(XWMSConfig) if field.init} - later
    suspicious = ("state", "csrf", "bind", "pending", "verify", "check", "origin_check", "disable", "skip")
    assert [name for name in names if any(word in name for word in suspicious)] == []
    assert [field.name for field in dataclasses.fields(XWMSConfig) if field.init and field.default is False] == [
        "confirm_person",  # asks the person once more
        "id_token_hint",  # is of the logout
        "leak_guard",  # refuses more
        "debug",  # says more on error pages, and refuses the same
        "insecure_allow_http",
        "allow_missing_settings",  # lets nobody log in at all
    ]
    for edge in (xwms_auth.flask.XWMSAuth, xwms_auth.asgi.XWMSAuthMiddleware):
        assert set(inspect.signature(edge).parameters) == {
            *"app config clock unauthorized roles linker app_login hooks".split()
        }


@pytest.mark.parametrize("mode", ["either", "fresh"])
@pytest.mark.parametrize("headers", [FROM_ELSEWHERE, FROM_SIBLING], ids=["cross-site", "same-site"])
def test_a_login_that_another_site_began_in_this_browser_needs_a_click(make_site, mode, headers):
    """LC-04"""
    site = site_of_mode(make_site, mode)
    victim, attacker = site.browser(), site.browser()
    page = victim.get(LOGIN, headers)
    assert page.status_code == 200
    assert "<form" in page.text
    assert page.headers.get_list("set-cookie") == []
    assert site.fx.calls("sign-token") == 0
    token = site.fx.approve(attacker.start())
    assert victim.come_back(token).status_code == 400
    assert victim.who() is None


@pytest.mark.parametrize("headers", [FROM_HERE, TYPED], ids=["same-origin", "none"])
def test_a_login_that_began_here_needs_none(site, headers):
    """LC-04"""
    assert site.browser().get(LOGIN, headers).status_code == 302


@pytest.mark.parametrize("headers", [FROM_ELSEWHERE, FROM_SIBLING, FROM_HERE])
def test_where_the_token_tells_a_prepared_login_does_not_take_another_token(make_site, headers):
    """LC-04: with `same` no click is needed, because the attacker cannot bring the token of the prepared login."""
    site = make_site(callback_token="same")
    victim, attacker = site.browser(), site.browser()
    prepared = victim.start(headers=headers)
    stolen = site.fx.approve(attacker.start(), sub="attacker")
    lured = victim.come_back(stolen)
    assert lured.status_code == 401
    assert "token_rejected" in lured.text
    assert given(lured, site.login_prefix) is None
    assert victim.who() is None
    assert attacker.come_back(stolen).status_code == 401
    assert victim.come_back(site.fx.approve(prepared)).status_code == 303


def test_a_login_prepared_under_same_does_not_count_under_either(make_site):
    """LC-04: the operator loosens the setting while a login that another site began is on its way."""
    site = make_site(callback_token="same")
    victim = site.browser()
    victim.start(headers=FROM_ELSEWHERE)
    cookie = victim.pending()
    looser = site.restarted(callback_token="either")
    token = site.fx.approve(looser.browser().start(), sub="attacker")
    refused = come_back_with(looser, token, cookie)
    assert refused.status_code == 401
    assert given(refused, site.session_cookie) is None


@pytest.mark.parametrize("headers", [FROM_ELSEWHERE, FROM_SIBLING])
def test_a_detour_over_a_protected_page_needs_the_click_too(site, browser, headers):
    """LC-05"""
    detour = browser.get("/private?a=1", headers)
    assert detour.status_code == 302
    assert browser.get(detour.headers["location"], headers).status_code == 200
    assert site.fx.requests == []


def test_a_login_for_one_redirect_uri_does_not_end_at_another(make_site):
    """LC-10: the cookie of one host carried to another host of the list."""
    site = make_site(redirect_uris=("https://app.example/xwms/validateToken", "https://two.example/xwms/validateToken"))
    one, two = site.browser(), site.browser("https://two.example")
    token = site.fx.approve(one.start())
    cookie = one.pending()
    headers = [*FROM_ELSEWHERE.items(), ("Cookie", cookie)]
    crossed = site.raw(CALLBACK, query=f"token={token}", headers=headers, host="two.example")
    assert crossed.status_code == 400
    assert given(crossed, site.session_cookie) is None
    assert two.who() is None
    assert one.come_back(token).status_code == 401


@EVERY_MODE
def test_a_login_that_took_too_long_is_refused_and_its_token_spent(make_site, mode):
    """LC-13"""
    site = site_of_mode(make_site, mode)
    browser, late = site.browser(), site.browser()
    token, late_token = site.fx.approve(browser.start()), site.fx.approve(late.start())
    site.clock.advance(599)
    assert browser.come_back(token).status_code == 303
    site.clock.advance(2)
    refused = late.come_back(late_token)
    assert refused.status_code == 400
    assert "login_expired" in refused.text
    assert given(refused, site.login_prefix) == ""
    assert late.who() is None
    assert [call.json["token"] for call in site.fx.to("sign-token-verify")] == [token, late_token]


def test_a_login_ends_with_its_token_if_that_is_sooner(make_site):
    """LC-13"""
    site = make_site()
    site.clock.advance(-400)
    browser = site.browser()
    token = site.fx.approve(browser.start())
    site.clock.advance(601)
    assert browser.come_back(token).status_code == 400
    assert browser.who() is None


@EVERY_MODE
def test_a_login_that_was_finished_takes_no_second_token(make_site, mode):
    """LC-14"""
    site = site_of_mode(make_site, mode)
    browser = site.browser()
    token = site.fx.approve(browser.start(), sub="me")
    kept = browser.pending()
    assert given(browser.come_back(token), site.login_prefix) == ""
    other = site.fx.approve(sub="attacker")
    browser.come_back(other)
    assert browser.who() == "me"
    site.clock.advance(10)
    another = site.fx.approve(sub="attacker")
    replayed = come_back_with(site, another, kept)
    assert replayed.status_code in (400, 401)
    assert given(replayed, site.session_cookie) is None


@EVERY_MODE
def test_a_token_that_xwms_refuses_ends_no_login_of_the_browser_it_was_brought_to(make_site, mode):
    """LC-14, SM-10: any page can send a browser here with junk."""
    site = site_of_mode(make_site, mode)
    browser = site.browser()
    token = site.fx.approve(browser.start())
    for number in range(2):
        failed = browser.come_back(f"a-token-that-xwms-never-gave-{number}")
        assert failed.status_code == 401
        assert given(failed, site.login_prefix) is None
    assert browser.come_back(token).status_code == 303
    assert browser.who() == "xwms-user-1234"


def test_a_login_that_its_own_token_has_failed_is_over(make_site):
    """LC-14"""
    site = make_site(callback_token="same")
    browser = site.browser()
    token = browser.start()
    kept = browser.pending()
    failed = browser.come_back(token)
    assert failed.status_code == 401
    assert given(failed, site.login_prefix) == ""
    assert "Max-Age=0" in failed.headers["set-cookie"]
    assert browser.come_back(site.fx.approve(token)).status_code == 400
    assert come_back_with(site, token, kept).status_code == 401
    assert browser.who() is None


@BOTH_STORES
def test_a_login_that_any_token_fits_has_three_tries(make_site, store):
    """LC-14: also for who keeps the cookie that the browser was told to forget."""
    site = make_site("fresh", callback_token="fresh", session_store=store)
    browser = site.browser()
    token = site.fx.approve(browser.start())
    kept = browser.pending()
    answers = [browser.come_back(f"a-token-that-xwms-never-gave-{number}") for number in range(3)]
    assert [given(answer, site.login_prefix) for answer in answers] == [None, None, ""]
    replayed = come_back_with(site, token, kept)
    assert replayed.status_code == 401
    assert given(replayed, site.session_cookie) is None
    assert site.fx.to("sign-token-verify")[-1].json["token"] == token, "and the token is spent"


@BOTH_STORES
def test_a_token_slipped_to_somebody_signed_in_changes_nothing(make_site, store):
    """LC-15"""
    site = make_site(session_store=store)
    victim, attacker = site.browser(), site.browser()
    victim.log_in(sub="U1")
    before = victim.cookies()
    token = site.fx.approve(attacker.start(), sub="U2")
    answer = victim.come_back(token)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert victim.who() == "U1"
    assert victim.cookies() == before
    assert attacker.come_back(token).status_code == 401


@BOTH_STORES
def test_a_second_person_in_one_browser_ends_the_first_ones_session(make_site, store):
    """LC-15, SF-06"""
    site = make_site(session_store=store)
    browser = site.browser()
    first, second = browser.start("/hello"), browser.start("/hello")
    browser.come_back(site.fx.approve(first, sub="U1", name="First"))
    old = browser.cookies()[site.session_cookie]
    browser.come_back(site.fx.approve(second, sub="U2", name="Second"))
    assert browser.who() == "U2"
    assert browser.get("/hello").text == "hello Second"
    assert browser.cookies()[site.session_cookie] != old
    assert site.raw("/who", headers=[("Cookie", f"{site.session_cookie}={old}")]).status_code == 401
