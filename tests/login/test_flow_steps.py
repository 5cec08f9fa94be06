"""The story without any I/O: XWMS is played by hand, effect by effect; the store is one in memory."""

import json
from datetime import UTC, datetime

import pytest

from tests.tools.site import FROM_ELSEWHERE, FROM_HERE
from xwms_auth import StoreUnavailable, Timeout, TokenRejected, Unreachable, XWMSConfig
from xwms_auth._core.base.effects import CallXWMS, Runtime, UpstreamResponse
from xwms_auth._core.config.context import Context
from xwms_auth._core.http.messages import Request
from xwms_auth._core.login import routes
from xwms_auth._core.login.select import provider_of
from xwms_auth.stores.memory import MemoryStore

NOW = 1_800_000_000
URI = "https://app.example/xwms/validateToken"
TOKEN = "sign-token-gave-this"


@pytest.fixture
def site():
    return Context.of(
        XWMSConfig(
            client_id="id", client_secret="secret", redirect_uris=URI, session_secret="0123456789abcdefghijklmnopqrstuv"
        )
    )


class RecordingStore(MemoryStore):
    """A store that notes which names were claimed and which sessions were created, in their order."""

    def __init__(self):
        super().__init__()
        self.claims, self.created = [], []

    def claim(self, name, *, until, now):
        self.claims.append(name)
        return super().claim(name, until=until, now=now)

    def create(self, session, *, until, now):
        self.created.append(session)
        return super().create(session, until=until, now=now)


@pytest.fixture
def store():
    return RecordingStore()


class Story:
    """Steps that are played up to each call to XWMS. `done` is what they came to."""

    def __init__(self, steps, store):
        self.steps, self.world = steps, Runtime(None, store)
        self.asked, self.done = [], None

    def go_on(self, go=next, *given):
        """Until XWMS is asked (the call is returned), or the end (None)."""
        try:
            effect = go(self.steps, *given) if go is next else go(*given)
            while not isinstance(effect, CallXWMS):
                self.asked.append(effect)
                try:
                    answer = effect.perform(self.world)
                except StoreUnavailable as error:
                    effect = self.steps.throw(error)
                else:
                    effect = self.steps.send(answer)
        except StopIteration as end:
            self.done = end.value
            return None
        return effect.call

    def answered(self, reply):
        return self.go_on(self.steps.send, reply)

    def failed(self, error):
        return self.go_on(self.steps.throw, error)


def answer(**data):
    body = json.dumps({"status": "success", "message": "OK", "data": data}).encode()
    return UpstreamResponse(status=200, content_type="application/json", body=body)


def headers(sent):
    return {name.lower(): value for name, value in sent.items()}


def started(site, store, token=TOKEN, *, now=NOW, **ticket):
    """The pending-login cookie of a browser that has started a login."""
    request = Request(method="GET", path="/xwms/auth", headers=headers(FROM_HERE))
    story = Story(routes.serve(site, provider_of(site), request, now=now), store)
    call = story.go_on()
    assert call.path == "sign-token"
    assert json.loads(call.body) == {"redirect_url": URI}
    assert story.answered(answer(token=token, url="https://xwms.nl/login", **ticket)) is None
    assert story.done.status == 302
    return story.done.cookies[0].partition(";")[0]


def callback(site, store, cookie="", token=TOKEN, *, now=NOW + 5):
    request = Request(
        method="GET",
        path="/xwms/validateToken",
        query=f"token={token}",
        headers=headers(FROM_ELSEWHERE),
        cookie=cookie,
    )
    return Story(routes.serve(site, provider_of(site), request, now=now), store)


def test_a_callback_claims_the_login_then_asks_xwms_then_creates_a_session(site, store):
    story = callback(site, store, started(site, store))
    store.claims.clear()
    call = story.go_on()
    assert json.loads(call.body) == {"token": TOKEN, "redirect_url": URI}
    assert [name.partition("/")[0] for name in store.claims] == ["pair", "login", "token"]
    assert story.answered(answer(sub="17")) is None
    (created,) = store.created
    assert (created.user.sub, created.user.issuer) == ("17", "https://xwms.nl/api/")
    assert story.done.status == 303
    assert any(cookie.startswith("__Host-xwms_session_") for cookie in story.done.cookies)


def test_a_copy_of_a_callback_is_refused_before_xwms_is_asked_and_changes_nothing(site, store):
    cookie = started(site, store)
    assert callback(site, store, cookie).go_on() is not None
    copy = callback(site, store, cookie)
    assert copy.go_on() is None
    assert (copy.done.status, copy.done.cookies) == (401, ())


def test_a_question_that_never_left_gives_the_login_back(site, store):
    cookie = started(site, store)
    story = callback(site, store, cookie)
    story.go_on()
    assert story.failed(Unreachable("refused", sent=False)) is None
    assert (story.done.status, story.done.cookies) == (503, ())
    assert callback(site, store, cookie).go_on() is not None


def test_a_question_with_an_unknown_outcome_ends_the_login(site, store):
    """RP-04"""
    cookie = started(site, store)
    story = callback(site, store, cookie)
    story.go_on()
    assert story.failed(Timeout("no answer", sent=True)) is None
    assert story.done.status == 504
    assert "Max-Age=0" in story.done.deferrable[0]
    assert callback(site, store, cookie).go_on() is None


@pytest.mark.parametrize("busy", [True, False])
def test_a_try_that_never_left_is_not_given_back_once_the_victim_has_brought_the_token(site, store, busy):
    """SF-01, SM-21: the attacker's try is under way when the victim arrives, with a login of their own or none."""
    cookie = started(site, store)
    attack = callback(site, store, cookie)
    attack.go_on()
    victims_login = started(site, store, token="another-token-of-sign-token") if busy else ""
    victim = callback(site, store, victims_login)
    assert json.loads(victim.go_on().body)["token"] == TOKEN, "it is spent, whatever is under way"
    assert victim.failed(Unreachable("refused", sent=False)) is None
    assert victim.done.status in (400, 401)
    assert attack.failed(Unreachable("refused", sent=False)) is None
    again = callback(site, store, cookie)
    again.go_on()
    assert again.answered(answer(sub="victim")) is None
    assert again.done.status == 401, "XWMS was asked to spend it, and nobody is let in"


def test_a_try_that_succeeds_after_the_victim_has_brought_the_token_signs_nobody_in(site, store):
    """SM-23: XWMS has the attacker's call in its queue, and the one that spends the token does not get through."""
    attack = callback(site, store, started(site, store))
    attack.go_on()
    victim = callback(site, store)
    victim.go_on()
    victim.failed(Unreachable("refused", sent=False))
    assert attack.answered(answer(sub="victim")) is None
    assert (attack.done.status, store.created) == (401, [])
    assert "Max-Age=0" in attack.done.deferrable[0], "the login is over"


@pytest.mark.parametrize("hours", [2, 24])
def test_a_token_is_known_to_be_issued_for_as_long_as_xwms_says_that_it_lives(site, store, hours):
    """SM-25: otherwise the attacker's callback, kept back for an hour, looks like that of a victim's own login."""
    later = NOW + hours * 3600
    started(site, store, expires_at=datetime.fromtimestamp(later, UTC).isoformat())
    victims_login = started(site, store, token="another-token-of-sign-token", now=later - 20)
    victim = callback(site, store, victims_login, now=later - 10)
    assert json.loads(victim.go_on().body)["token"] == TOKEN
    assert victim.answered(answer(sub="attacker")) is None
    assert (victim.done.status, store.created) == (401, [])


def test_a_callback_that_is_refused_for_its_form_asks_for_nothing(site, store):
    story = callback(site, store, started(site, store), token="short")
    assert story.go_on() is None
    assert (story.done.status, story.asked) == (400, [])


class _Down(MemoryStore):
    """A store that fails at the claim of that number, and works again afterwards."""

    def __init__(self, fails_at):
        super().__init__()
        self.left = fails_at

    def claim(self, name, *, until, now):
        if name.startswith(("pair/", "login/", "token/")):
            self.left -= 1
            if self.left == 0:
                raise StoreUnavailable("the store is down")
        return super().claim(name, until=until, now=now)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_store_that_is_down_gives_the_login_back(site, number):
    """RP-04: the token has not left, so reloading the page may work in a moment."""
    store = _Down(number)
    cookie = started(site, store)
    story = callback(site, store, cookie)
    assert story.go_on() is None
    assert (story.done.status, story.done.cookies) == (503, ())
    assert callback(site, store, cookie).go_on() is not None


class _Blinks(MemoryStore):
    """A store that is down for a moment: from the question of that number, for so many of them."""

    def __init__(self, begins, lasts=1):
        super().__init__()
        self.asked, self.down = 0, range(begins, begins + lasts)

    def claimed(self, names, *, now):
        self.asked += 1
        if self.asked in self.down:
            raise StoreUnavailable("the store is down")
        return super().claimed(names, now=now)


def test_a_store_that_blinks_between_the_claims_and_the_call_gives_all_of_them_back(site):
    """RP-04"""
    store = _Blinks(2)  # the first is the start's: has `either` learned?
    cookie = started(site, store)
    store.asked = 1
    story = callback(site, store, cookie)
    assert story.go_on() is None
    assert (story.done.status, story.done.cookies) == (503, ())
    assert callback(site, store, cookie).go_on() is not None


@pytest.mark.parametrize("busy", [True, False])
def test_a_foreign_token_is_sent_to_xwms_while_the_store_is_down_and_is_dead_here(site, busy):
    """SM-19, SM-24: although nobody can say that it was issued, and although the budget for junk is used up.

    The victim has a login of their own under way, or none.
    """
    store = _Blinks(0, lasts=0)
    cookie = started(site, store)
    for number in range(10):
        junk = callback(site, store, token=f"junk-token-number-{number}")
        if junk.go_on() is not None:
            junk.failed(TokenRejected("unknown"))
    victims_login = started(site, store, token="another-token-of-sign-token") if busy else ""
    store.asked, store.down = 0, range(1, 3)
    victim = callback(site, store, victims_login)
    assert json.loads(victim.go_on().body)["token"] == TOKEN
    assert victim.failed(Unreachable("refused", sent=False)) is None
    assert victim.done.status == 503
    store.down = range(0)
    attack = callback(site, store, cookie)
    attack.go_on()
    attack.answered(answer(sub="victim"))
    assert attack.done.status == 401


def test_a_fresh_token_stays_good_while_the_store_is_down():
    """RP-04: nobody else knows it, so reloading the page may work in a moment."""
    key = "0123456789abcdefghijklmnopqrstuv"
    config = XWMSConfig(
        client_id="id", client_secret="secret", redirect_uris=URI, session_secret=key, callback_token="fresh"
    )
    site, store = Context.of(config), _Blinks(0, lasts=0)
    cookie = started(site, store)
    store.asked, store.down = 0, range(1, 2)
    story = callback(site, store, cookie, token="a-fresh-token")
    assert story.go_on() is None
    assert (story.done.status, story.done.cookies) == (503, ())
    again = callback(site, store, cookie, token="a-fresh-token")
    again.go_on()
    again.answered(answer(sub="17"))
    assert again.done.status == 303
