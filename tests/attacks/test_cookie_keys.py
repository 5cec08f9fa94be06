"""CK-11, CK-12, CK-16 over HTTP: the keys of our cookies, and what can be read without one."""

import base64
import re

import flask
import pytest

import xwms_auth.asgi
import xwms_auth.flask
from tests.tools.fake_xwms import CANARY
from tests.tools.site import CALLBACK, PROGRAM, Site
from xwms_auth import ConfigError

KEYS = tuple(f"{number}-K3y-for-tests-0123456789-abcdefghij" for number in "abc")


def who(site: Site, cookie: str) -> int:
    """The status that a program with this Cookie header gets: 200 for somebody, 401 for nobody."""
    return site.raw("/who", headers=[*PROGRAM.items(), ("Cookie", cookie)]).status_code


def session_of(site: Site, **claims: object) -> str:
    browser = site.browser()
    browser.log_in(**claims)
    return browser.cookies()[site.session_cookie]


def callback_code(site: Site, token: str, cookie: str) -> str:
    """How a callback with this Cookie header ends: the code of the problem, or "in"."""
    answer = site.raw(CALLBACK, query=f"token={token}", headers=[*PROGRAM.items(), ("Cookie", cookie)])
    return "in" if answer.status_code == 303 else str(answer.json()["code"])


def readings(value: str) -> bytes:
    """All that anybody can read out of a cookie without a key."""
    parts = [part for part in re.split(r"[^A-Za-z0-9_-]", value) if part]
    return b"\n".join([value.encode(), *(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in parts)])


@pytest.mark.parametrize("callback", ["same", "fresh"])
def test_ck_16_no_cookie_tells_who_the_person_is_or_what_the_token_was(make_site, callback):
    """CK-16: the session is sealed, the pending login keeps a hash."""
    site = make_site(callback)
    browser = site.browser()
    started = browser.start("/hello")
    token = site.fx.approve(started, sub="sub-4711", name="Ada Canary", email="canary@example.org")
    pending = readings(browser.pending())
    browser.come_back(token)
    session = readings(browser.cookies()[site.session_cookie])
    for known in (started, token, "sub-4711", "Canary", "canary@example.org", "example.org", CANARY, "fx-client"):
        assert known.encode() not in pending + session


def test_ck_11_the_newest_key_signs_every_listed_one_verifies_a_removed_one_does_not(make_site):
    """CK-11: three keys, through the config, for both cookies."""
    a, b, c = KEYS
    site = make_site(session_secret=a)
    tokens, logins, sessions = {}, {}, {}
    for name, keys in (("a", (a,)), ("b", (b, a)), ("c", (c, b, a))):
        made = site.restarted(session_secret=keys)
        sessions[name] = session_of(made, sub=name)
        browser = made.browser()
        tokens[name] = made.fx.approve(browser.start())
        logins[name] = browser.pending()
    for keys, good in (((c, b, a), "abc"), ((c, b), "bc"), ((c,), "c"), ((a,), "a"), ((b, c), "bc")):
        now = site.restarted(session_secret=keys)
        for name, session in sessions.items():
            assert who(now, f"{now.session_cookie}={session}") == (200 if name in good else 401)
    last = site.restarted(session_secret=(c, b))
    assert callback_code(last, tokens["a"], logins["a"]) == "login_not_started"
    assert callback_code(last, tokens["b"], logins["b"]) == "in"
    assert callback_code(last, tokens["c"], logins["c"]) == "in"


def test_ck_11_a_renewed_session_is_under_the_newest_key(make_site):
    """CK-11: so that a key can be taken away after one lifetime."""
    site = make_site(session_secret=KEYS[0])
    browser = site.browser()
    browser.log_in()
    later = site.restarted(session_secret=(KEYS[1], KEYS[0]))
    later.clock.advance(601)
    moved = later.raw("/hello", headers=[("Cookie", f"{site.session_cookie}={browser.cookies()[site.session_cookie]}")])
    renewed = moved.headers["set-cookie"].partition(";")[0]
    assert who(later.restarted(session_secret=KEYS[1]), renewed) == 200
    assert who(later.restarted(session_secret=KEYS[0]), renewed) == 401


BAD_KEYS = ("", "dev", "secret", "changeme", "a" * 31, "a" * 32, "ab" * 32, "0" * 64, CANARY)


@pytest.mark.parametrize("key", BAD_KEYS)
def test_ck_12_a_weak_key_stops_the_start_of_either_edge(edge, monkeypatch, key):
    """CK-12: Flask's own secret_key too, and a fallback beside a good key."""
    settings = {"XWMS_CLIENT_ID": "a", "XWMS_CLIENT_SECRET": CANARY, "XWMS_REDIRECT_URI": "https://app.example/cb"}
    for number, keys in enumerate(((key,), (KEYS[0], key))):
        app = flask.Flask(__name__)
        app.config.update(settings)
        app.secret_key, *fallbacks = keys
        app.config["SECRET_KEY_FALLBACKS"] = fallbacks
        for name, value in (settings | {"XWMS_SESSION_SECRET": " ".join(keys)}).items():
            monkeypatch.setenv(name, value) if edge == "asgi" else None
        if number and not key:
            continue  # an empty fallback is no key
        with pytest.raises(ConfigError) as caught:
            xwms_auth.flask.XWMSAuth(app) if edge == "flask" else xwms_auth.asgi.XWMSAuthMiddleware(site_app)
        assert CANARY not in str(caught.value)


async def site_app(scope: object, receive: object, send: object) -> None:
    raise AssertionError("no request is made here")
