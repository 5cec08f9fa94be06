"""The story without any I/O: the world is played by hand, effect by effect."""

import json

import pytest

from tests.edges import FROM_ELSEWHERE, FROM_HERE
from xwms_auth import StoreUnavailable, Timeout, Unreachable, User, XWMSConfig, flow
from xwms_auth.effects import CallXWMS, CreateSession, LoadSession, Reply, SpendLogin, UnspendLogin
from xwms_auth.messages import Request
from xwms_auth.models import Session
from xwms_auth.site import Site

NOW = 1_800_000_000
URI = "https://app.example/xwms/validateToken"
TOKEN = "sign-token-gave-this"


@pytest.fixture
def site():
    return Site(
        XWMSConfig(
            client_id="id", client_secret="secret", redirect_uris=URI, session_secret="0123456789abcdefghijklmnopqrstuv"
        )
    )


def answer(**data):
    body = json.dumps({"status": "success", "message": "OK", "data": data}).encode()
    return Reply(status=200, content_type="application/json", body=body)


def headers(sent):
    return {name.lower(): value for name, value in sent.items()}


def started(site, token=TOKEN):
    """The pending-login cookie of a browser that has started a login."""
    steps = flow.serve(site, Request(method="GET", path="/xwms/auth", headers=headers(FROM_HERE)), now=NOW)
    effect = next(steps)
    assert isinstance(effect, CallXWMS)
    assert effect.call.path == "sign-token"
    assert json.loads(effect.call.body) == {"redirect_url": URI}
    with pytest.raises(StopIteration) as end:
        steps.send(answer(token=token, url="https://xwms.nl/login"))
    assert end.value.value.status == 302
    return end.value.value.cookies[0].partition(";")[0]


def callback(site, cookie, token=TOKEN):
    request = Request(
        method="GET",
        path="/xwms/validateToken",
        query=f"token={token}",
        headers=headers(FROM_ELSEWHERE),
        cookie=cookie,
    )
    return flow.serve(site, request, now=NOW + 5)


def test_a_callback_marks_the_login_then_asks_xwms_then_creates_a_session(site):
    steps = callback(site, started(site))
    assert isinstance(next(steps), SpendLogin)
    effect = steps.send(True)
    assert isinstance(effect, CallXWMS)
    assert json.loads(effect.call.body) == {"token": TOKEN, "redirect_url": URI}
    effect = steps.send(answer(sub="17"))
    assert isinstance(effect, CreateSession)
    assert (effect.session.user.sub, effect.session.user.issuer) == ("17", "https://xwms.nl/api/")
    with pytest.raises(StopIteration) as end:
        steps.send("the-handle")
    assert end.value.value.status == 303
    assert any("__Host-xwms_session=the-handle" in cookie for cookie in end.value.value.cookies)


def test_a_login_that_was_used_elsewhere_is_refused_before_xwms_is_asked(site):
    steps = callback(site, started(site))
    next(steps)
    with pytest.raises(StopIteration) as end:
        steps.send(False)
    assert end.value.value.status == 400


def test_a_question_that_never_left_gives_the_login_back(site):
    cookie = started(site)
    steps = callback(site, cookie)
    next(steps)
    steps.send(True)
    assert isinstance(steps.throw(Unreachable("refused", sent=False)), UnspendLogin)
    with pytest.raises(StopIteration) as end:
        steps.send(None)
    assert (end.value.value.status, end.value.value.cookies) == (503, ())
    again = callback(site, cookie)
    next(again)
    assert isinstance(again.send(True), CallXWMS)


def test_a_question_with_an_unknown_outcome_ends_the_login(site):
    """RP-04"""
    steps = callback(site, started(site))
    next(steps)
    steps.send(True)
    with pytest.raises(StopIteration) as end:
        steps.throw(Timeout("no answer", sent=True))
    assert end.value.value.status == 504
    assert "Max-Age=0" in end.value.value.cookies[0]


def test_a_try_that_never_left_is_not_given_back_once_the_victim_has_brought_the_token(site):
    """SF-01: the attacker's try is under way when the victim arrives, signed in and with a login of their own."""
    cookie = started(site)
    attack = callback(site, cookie)
    next(attack)
    attack.send(True)
    victims_login = started(site, token="another-token-of-sign-token")
    victim = callback(site, f"{victims_login}; __Host-xwms_session=theirs")
    effect = next(victim)
    assert isinstance(effect, LoadSession)
    with pytest.raises(StopIteration) as end:
        victim.send(Session(id="x", user=User(issuer="i", sub="victim"), started_at=NOW, seen_at=NOW))
    assert end.value.value.status == 303
    assert isinstance(attack.throw(Unreachable("refused", sent=False)), UnspendLogin)
    with pytest.raises(StopIteration):
        attack.send(None)
    with pytest.raises(StopIteration) as again:
        next(callback(site, cookie))
    assert again.value.value.status == 401


def test_a_callback_that_is_refused_for_its_form_asks_for_nothing(site):
    with pytest.raises(StopIteration) as end:
        next(callback(site, started(site), token="short"))
    assert end.value.value.status == 400


def test_a_store_that_is_down_gives_the_login_back(site):
    """RP-04: the token has not left, so reloading the page may work in a moment."""
    cookie = started(site)
    steps = callback(site, cookie)
    assert isinstance(next(steps), SpendLogin)
    with pytest.raises(StopIteration) as end:
        steps.throw(StoreUnavailable("the store is down"))
    assert (end.value.value.status, end.value.value.cookies) == (503, ())
    again = callback(site, cookie)
    assert isinstance(next(again), SpendLogin)
    assert isinstance(again.send(True), CallXWMS)
