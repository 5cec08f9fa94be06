"""Session fixation and token confusion: what somebody knew or planted before a login is worth nothing after it.

Knows: cookies, and the two shapes of XWMS's callback token.
Must not: look inside the package.
"""

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import URLSafeSerializer, URLSafeTimedSerializer

from tests.tools.site import CALLBACK, FROM_ELSEWHERE, LOGIN, LOGOUT, ME, PROGRAM
from xwms_auth._core.base.crypto.sealing import Sealed
from xwms_auth._core.base.crypto.signing import Signed

BOTH_STORES = pytest.mark.parametrize("store", ["cookie", "memory://"])
EVERY_MODE = pytest.mark.parametrize("mode", ["either", "same", "fresh"])


def session_in(site, answer):
    """The session cookie that the answer gives, or None."""
    start = f"{site.session_cookie}="
    lines = [line for line in answer.headers.get_list("set-cookie") if line.startswith(start)]
    assert len(lines) <= 1
    return lines[0].removeprefix(start).partition(";")[0] if lines else None


def who_with(site, cookie):
    """The status of a page that needs a person, for exactly this Cookie header."""
    return site.raw("/who", headers=[*PROGRAM.items(), ("Cookie", cookie)]).status_code


def come_back_with(site, token, cookie):
    """The callback with exactly this Cookie header."""
    return site.raw(CALLBACK, query=f"token={token}", headers=[*FROM_ELSEWHERE.items(), ("Cookie", cookie)])


def opened(site, browser):
    """The name of the browser's one login cookie, and what is sealed in it."""
    ((name, value),) = browser.logins().items()
    audience = f"{site.config.client_id}@{site.config.issuer}"
    sealed = Sealed(site.config.session_keys, purpose="login/sign-token", audience=audience)
    login = sealed.open_text(value, place=name.removeprefix(site.login_prefix))
    assert login, "the honest value must open, or the altered ones prove nothing"
    return name, login


@BOTH_STORES
@EVERY_MODE
def test_a_victim_who_approves_the_attackers_login_spends_its_token(make_site, mode, store):
    """SF-01: the attack on OAuth 1.0 of 2009. The attacker starts, the victim approves, the attacker redeems."""
    site = make_site("fresh" if mode == "fresh" else "same", callback_token=mode, session_store=store)
    attacker, victim = site.browser(), site.browser()
    token = site.fx.approve(attacker.start(), sub="victim")
    assert victim.come_back(token).status_code == 400
    assert victim.who() is None
    assert attacker.come_back(token).status_code == 401
    assert attacker.who() is None


def test_a_victim_in_the_middle_of_a_login_spends_it_too(make_site):
    """SF-01: the victim has a pending login of their own."""
    site = make_site(callback_token="same")
    attacker, victim = site.browser(), site.browser()
    victim.start()
    token = site.fx.approve(attacker.start(), sub="victim")
    assert victim.come_back(token).status_code == 401
    assert attacker.come_back(token).status_code == 401
    assert attacker.who() is None


def test_a_victim_who_is_signed_in_spends_it_too(site):
    """SF-01"""
    attacker, victim = site.browser(), site.browser()
    victim.log_in(sub="victim")
    token = site.fx.approve(attacker.start(), sub="victim")
    assert victim.come_back(token).status_code == 303
    assert attacker.come_back(token).status_code == 401
    assert attacker.who() is None


@pytest.mark.parametrize("mode", ["either", "same"])
def test_junk_that_uses_the_budget_up_does_not_keep_the_token_alive(make_site, mode):
    """SF-01, DS-02: the attacker floods the callback, so that the victim's token is not spent at XWMS, then redeems it.

    What could not be spent there has to be dead here.
    """
    site = make_site(callback_token=mode)
    attacker, victim, junk = site.browser(), site.browser(), site.browser()
    token = site.fx.approve(attacker.start(), sub="victim")
    for number in range(10):
        assert junk.come_back(f"junk-token-number-{number}").status_code == 400
    assert victim.come_back(token).status_code == 400
    refused = attacker.come_back(token)
    assert refused.status_code in (400, 401)
    assert attacker.who() is None


def test_a_victims_token_that_xwms_did_not_hear_of_is_dead_here(make_site):
    """SF-01: XWMS is away for the moment in which the token should have been spent."""
    site = make_site(callback_token="same")
    attacker, victim = site.browser(), site.browser()
    token = site.fx.approve(attacker.start(), sub="victim")
    site.fx.answer("sign-token-verify", "close")
    assert victim.come_back(token).status_code == 400
    site.fx.answer("sign-token-verify")
    assert attacker.come_back(token).status_code in (400, 401)
    assert attacker.who() is None


@pytest.mark.parametrize("approved", [True, False])
def test_where_tokens_are_fresh_sign_tokens_own_is_never_redeemed(make_site, approved):
    """SF-02"""
    site = make_site("fresh", callback_token="fresh")
    attacker = site.browser()
    known = attacker.start()
    if approved:
        site.fx.approve(known, sub="victim")
    refused = attacker.come_back(known)
    assert refused.status_code == 401
    assert attacker.who() is None
    assert site.fx.calls("sign-token-verify") == 0


def test_even_an_xwms_that_would_take_it_is_not_asked(make_site):
    """SF-02: configured as fresh over an XWMS whose tokens are the same."""
    site = make_site("same", callback_token="fresh")
    attacker = site.browser()
    assert attacker.come_back(site.fx.approve(attacker.start(), sub="victim")).status_code == 401
    assert site.fx.calls("sign-token-verify") == 0


@pytest.mark.parametrize("mode", ["either", "same"])
def test_where_tokens_are_the_same_a_poll_before_the_victim_costs_the_login(make_site, mode):
    """SF-02: one attempt a login, also with a kept copy of the cookie; the rest is XWMS's to mend."""
    site = make_site("same", callback_token=mode)
    attacker = site.browser()
    known = attacker.start()
    kept = attacker.pending()
    assert attacker.come_back(known).status_code == 401
    site.fx.approve(known, sub="victim")
    assert session_in(site, come_back_with(site, known, kept)) is None


def test_polling_a_known_token_with_other_logins_does_not_find_the_moment_of_approval(make_site):
    """SF-02: in `either` mode any login that began here takes any token, so the token must be what is tried once."""
    site = make_site("same", callback_token="either")
    attackers = [site.browser() for _ in range(3)]
    known, *_ = [attacker.start() for attacker in attackers]
    for attacker in attackers[:2]:
        assert attacker.come_back(known).status_code == 401
    site.fx.approve(known, sub="victim")
    assert attackers[2].come_back(known).status_code == 401
    assert attackers[2].who() is None


@BOTH_STORES
def test_a_session_key_from_before_the_login_is_not_kept(make_site, store):
    """SF-03, SF-04: an anonymous one, one that was never given out, the attacker's own."""
    site = make_site(session_store=store)
    attacker = site.browser()
    attacker.log_in(sub="attacker")
    own = attacker.cookies()[site.session_cookie]
    for planted in ("", "deadbeef", "../../etc/passwd", "A" * 43, "A" * 4097, f"{own}x", own):
        victim = site.browser()
        token = site.fx.approve(victim.start(), sub="victim")
        pending = victim.pending()
        finished = come_back_with(site, token, f"{pending}; {site.session_cookie}={planted}")
        assert finished.status_code == 303
        fresh = session_in(site, finished)
        assert fresh is not None
        assert fresh != planted
        assert who_with(site, f"{site.session_cookie}={fresh}") == 200
        assert who_with(site, f"{site.session_cookie}={planted}") == 401


@BOTH_STORES
def test_two_session_cookies_at_a_login_do_not_survive_as_two(make_site, store):
    """SF-03: a planted second copy of the name."""
    site = make_site(session_store=store)
    victim = site.browser()
    token = site.fx.approve(victim.start())
    pending = victim.pending()
    doubled = f"{site.session_cookie}=planted; {site.session_cookie}=other"
    fresh = session_in(site, come_back_with(site, token, f"{pending}; {doubled}"))
    assert fresh not in (None, "planted", "other")
    assert who_with(site, f"{site.session_cookie}=planted; {site.session_cookie}={fresh}") == 401


@pytest.mark.leaks("the visitor puts the key into a query, and the address of the login names where to go back")
@BOTH_STORES
def test_a_session_key_anywhere_but_in_its_cookie_is_nothing(make_site, store):
    """SF-05"""
    site = make_site(session_store=store)
    browser = site.browser()
    browser.log_in()
    key = browser.cookies()[site.session_cookie]
    names = (site.session_cookie, "xwms_session", "session", "session_id", "sid", "token", "access_token")
    for name in names:
        assert site.raw("/who", query=f"{name}={key}", headers=[*PROGRAM.items()]).status_code == 401
        form = [*PROGRAM.items(), ("Content-Type", "application/x-www-form-urlencoded")]
        assert site.raw("/who", method="POST", body=f"{name}={key}".encode(), headers=form).status_code == 401
        assert who_with(site, f"{name}x={key}") == 401
    for name, value in (
        ("Authorization", f"Bearer {key}"),
        ("Authorization", key),
        ("X-Session", key),
        ("X-Session-Id", key),
        ("X-Auth-Token", key),
        (site.session_cookie, key),
        ("Cookie2", f"{site.session_cookie}={key}"),
        ("Set-Cookie", f"{site.session_cookie}={key}"),
    ):
        assert site.raw("/who", headers=[*PROGRAM.items(), (name, value)]).status_code == 401
    assert who_with(site, f"{site.session_cookie}={key}") == 200


@BOTH_STORES
def test_every_earlier_copy_of_a_session_ends_with_a_new_login(make_site, store):
    """SF-06: the renewed copies of the first session too."""
    site = make_site(session_store=store, session_idle=1200)
    browser = site.browser()
    first, second = browser.start(), browser.start()
    browser.come_back(site.fx.approve(first, sub="U1"))
    copies = [browser.cookies()[site.session_cookie]]
    for _ in range(2):
        site.clock.advance(61)
        assert browser.who() == "U1"
        copies.append(browser.cookies()[site.session_cookie])
    assert {who_with(site, f"{site.session_cookie}={copy}") for copy in copies} == {200}
    browser.come_back(site.fx.approve(second, sub="U2"))
    assert browser.who() == "U2"
    assert {who_with(site, f"{site.session_cookie}={copy}") for copy in copies} == {401}


@BOTH_STORES
def test_the_sign_in_page_neither_extends_nor_merges_a_session(make_site, store):
    """SF-07"""
    site = make_site(session_store=store, session_idle=1200)
    browser = site.browser()
    pending = browser.start()
    browser.log_in(sub="U1", name="First", email="first@example.org")
    old = browser.cookies()[site.session_cookie]
    site.clock.advance(500)
    answer = browser.get(LOGIN)
    assert answer.status_code == 303
    assert answer.headers.get_list("set-cookie") == []
    assert browser.get(ME).headers.get_list("set-cookie") == []
    browser.come_back(site.fx.approve(pending, sub="U2", name=None, email=None))
    person = browser.get(ME, PROGRAM).json()["user"]
    assert (person["sub"], person["name"], person["email"]) == ("U2", None, None)
    assert who_with(site, f"{site.session_cookie}={old}") == 401


@BOTH_STORES
def test_asking_for_the_sign_in_page_does_not_keep_a_session_alive(make_site, store):
    """SF-07"""
    site = make_site(session_store=store)
    browser = site.browser()
    browser.log_in()
    for _ in range(2):
        site.clock.advance(43_200 - 1)
        assert browser.get(LOGIN).status_code == 303
    site.clock.advance(2)
    assert browser.get(LOGIN).status_code == 302
    assert browser.who() is None


@BOTH_STORES
@pytest.mark.parametrize("uri", ["https://app.example/xwms/validateToken", "http://localhost:5000/xwms/validateToken"])
def test_no_cookie_of_ours_works_under_another_name(make_site, store, uri):
    """SF-08"""
    site = make_site(session_store=store, redirect_uris=uri)
    browser = site.browser()
    token = site.fx.approve(browser.start())
    ((login_cookie, pending),) = browser.logins().items()
    key = login_cookie.removeprefix(site.login_prefix)
    other = site.browser()
    other.log_in()
    session = other.cookies()[site.session_cookie]
    plain = site.session_cookie.removeprefix("__Host-")
    for name in (f"__Host-{plain}", plain, f"__Secure-{plain}", "__Host-xwms_session", "xwms_session", "session"):
        assert who_with(site, f"{name}={pending}") == 401
        if name != site.session_cookie:
            assert who_with(site, f"{name}={session}") == 401
    plain = login_cookie.removeprefix("__Host-")
    untagged = (f"__Host-xwms_login_{key}", f"xwms_login_{key}", "__Host-xwms_login")
    for name in (f"__Host-{plain}", plain, f"__Secure-{plain}", *untagged):
        assert who_with(site, f"{name}={session}") == 401
        refused = come_back_with(site, token + "x", f"{name}={session}")
        assert refused.status_code == 400
        if name != login_cookie:
            site.clock.advance(5)
            assert come_back_with(site, token + "y", f"{name}={pending}").status_code == 400
    assert come_back_with(site, token + "z", f"{site.login_prefix}{key[::-1]}={pending}").status_code == 400
    assert come_back_with(site, token, f"{login_cookie}={pending}").status_code == 303


def test_a_form_token_is_neither_a_session_nor_a_login(site, browser):
    """SF-08"""
    token = browser.start()
    audience = f"{site.config.client_id}@{site.config.issuer}"
    name, pending = opened(site, browser)
    for purpose in ("logout-form", "session", "login", "login/sign-token"):
        made = Signed(site.config.session_keys, purpose=purpose, audience=audience).dumps(pending)
        assert who_with(site, f"{site.session_cookie}={made}") == 401
        assert come_back_with(site, site.fx.approve(token), f"{name}={made}").status_code == 400


def test_the_host_applications_own_cookies_are_not_ours(site, browser):
    """SF-09: Flask's `session`, and itsdangerous's default salt, under the very key we use."""
    key = site.config.session_keys[0].reveal()
    token = site.fx.approve(browser.start())
    login_cookie, login = opened(site, browser)
    now = int(site.clock.now)
    session = {"i": "x", "t": now, "a": now, "s": "victim", "sub": "victim", "user": {"sub": "victim"}}
    app = Flask("host application")
    app.secret_key = key
    flasks = SecureCookieSessionInterface().get_signing_serializer(app)
    assert flasks is not None
    made = [flasks.dumps(session)]
    for salt in ("cookie-session", "itsdangerous", "xwms-auth", "xwms-auth/1/session"):
        made += [maker(key, salt=salt).dumps(session) for maker in (URLSafeSerializer, URLSafeTimedSerializer)]
    for value in made:
        assert who_with(site, f"{site.session_cookie}={value}") == 401
    for salt in ("cookie-session", "itsdangerous", "xwms-auth"):
        for maker in (URLSafeSerializer, URLSafeTimedSerializer):
            refused = come_back_with(site, token, f"{login_cookie}={maker(key, salt=salt).dumps(login)}")
            assert refused.status_code == 400
            assert session_in(site, refused) is None


def test_two_tabs_come_back_in_order_each_to_its_own_place_as_its_own_person(site, browser):
    """SF-10"""
    first, second = browser.start("/hello"), browser.start("/private")
    assert browser.come_back(site.fx.approve(first, sub="U1")).headers["location"] == "/hello"
    assert browser.who() == "U1"
    assert browser.come_back(site.fx.approve(second, sub="U2")).headers["location"] == "/private"
    assert browser.who() == "U2"


def test_two_tabs_in_one_browser_do_not_take_each_others_login_twice(make_site):
    """SF-10: with fresh tokens nothing tells the tabs apart, so each pending login serves once, whichever it is."""
    site = make_site("fresh", callback_token="either")
    browser = site.browser()
    first, second = browser.start("/hello"), browser.start("/private")
    places = [browser.come_back(site.fx.approve(token)).headers["location"] for token in (first, second)]
    assert sorted(places) == ["/hello", "/private"]
    assert not browser.logins()
    third = browser.come_back(site.fx.approve(sub="somebody else"))
    assert third.headers["location"] == "/"
    assert browser.who() == "xwms-user-1234"


def test_a_logout_ends_the_logins_that_are_under_way(site, browser):
    """SF-10: a tab left open at XWMS must not sign the next person at this machine in as the last one."""
    waiting = browser.start()
    browser.log_in()
    assert browser.post(LOGOUT, {"Sec-Fetch-Site": "same-origin"}).status_code == 303
    assert browser.come_back(site.fx.approve(waiting)).status_code == 400
    assert browser.who() is None
