"""Foreign tokens that come while XWMS cannot be asked: dead here meanwhile, and spent as soon as it answers."""

import json
from functools import partial
from typing import Any

import pytest

from tests.login.test_flow_steps import NOW, TOKEN, Story, answer, callback, headers, started
from tests.tools.site import FROM_ELSEWHERE, FROM_HERE
from xwms_auth import (
    APIError,
    BadAnswer,
    ClientDisabled,
    ClientUnknown,
    CredentialsRejected,
    NotApproved,
    RedirectNotRegistered,
    Timeout,
    TokenRejected,
    Unreachable,
    XWMSConfig,
)
from xwms_auth._core.base.memory.limits import CircuitBreaker
from xwms_auth._core.config.context import Context
from xwms_auth._core.http.messages import Request
from xwms_auth._core.io import transport
from xwms_auth._core.login import routes
from xwms_auth._core.login.select import provider_of
from xwms_auth.stores.memory import MemoryStore

AT_ONCE = 5  # tokens that nobody is known to have issued, and that may be spent at the same moment
DOWN = [Unreachable("not tried", sent=False), Unreachable("reset"), Timeout("late"), Timeout("late", sent=False)]


@pytest.fixture
def site() -> Context:
    uri = "https://app.example/xwms/validateToken"
    key = "0123456789abcdefghijklmnopqrstuv"
    return Context.of(XWMSConfig(client_id="id", client_secret="secret", redirect_uris=uri, session_secret=key))


def spent_by_the_next_start(site: Context, store: MemoryStore, *, reply: Any = None, now: int = NOW + 10) -> list[str]:
    """The tokens that a login's start spends after its own; `reply` is an error instead of XWMS's confirmation."""
    request = Request(method="GET", path="/xwms/auth", headers=headers(FROM_HERE))
    story = Story(routes.serve(site, provider_of(site), request, now=now), store)
    call, tokens = story.go_on(), []
    call = story.answered(answer(token=f"another-login-{now}", url="https://xwms.nl/login"))
    while call is not None:
        assert call.path == "sign-token-verify"
        tokens.append(json.loads(call.body)["token"])
        call = story.answered(answer(sub="victim")) if reply is None else story.failed(reply)
    assert story.done.status == 302
    return tokens


def arrive(site: Context, store: MemoryStore, error: Exception, token: str = TOKEN) -> None:
    """Somebody else's token comes to a browser, and XWMS cannot be asked about it."""
    story = callback(site, store, token=token)
    if story.go_on() is not None:
        story.failed(error)
    assert story.done.status in (400, 401, 503)


@pytest.mark.parametrize("error", DOWN, ids=repr)
def test_a_token_that_came_while_xwms_was_down_is_dead_meanwhile_and_spent_afterwards(site: Context, error: Exception):
    """SM-12: whoever brings the circuit breaker to open gains nothing."""
    store = MemoryStore()
    cookie = started(site, store)
    arrive(site, store, error)
    # Whoever began the login and waits for the victim's approval is refused, even if XWMS is back.
    attack = callback(site, store, cookie)
    assert json.loads(attack.go_on().body)["token"] == TOKEN  # once more for nobody
    assert attack.failed(error) is None
    assert attack.done.status == 401
    assert "session" not in "".join(attack.done.cookies)
    assert spent_by_the_next_start(site, store) == [TOKEN]
    assert spent_by_the_next_start(site, store, now=NOW + 20) == []


def test_a_token_is_kept_until_xwms_answers(site: Context):
    store = MemoryStore()
    arrive(site, store, DOWN[0])
    for seconds in (10, 20, 30):
        assert spent_by_the_next_start(site, store, reply=DOWN[0], now=NOW + seconds) == [TOKEN]
    assert spent_by_the_next_start(site, store, now=NOW + 40) == [TOKEN]
    assert spent_by_the_next_start(site, store, now=NOW + 50) == []


def test_a_token_is_given_up_after_an_hour(site: Context):
    store = MemoryStore()
    arrive(site, store, DOWN[0])
    assert spent_by_the_next_start(site, store, reply=DOWN[0], now=NOW + 3000) == [TOKEN]
    assert spent_by_the_next_start(site, store, now=NOW + 3700) == []


@pytest.mark.parametrize("error", [TokenRejected("used"), NotApproved("withdrawn")], ids=repr)
def test_an_answer_about_the_token_is_final(site: Context, error: Exception):
    store = MemoryStore()
    arrive(site, store, error)
    assert spent_by_the_next_start(site, store) == []


NOT_ABOUT_THE_TOKEN = [CredentialsRejected, ClientUnknown, ClientDisabled, RedirectNotRegistered, BadAnswer]


@pytest.mark.parametrize("error", NOT_ABOUT_THE_TOKEN)
def test_an_answer_that_is_none_about_the_token_leaves_it_to_be_spent(site: Context, error: type[APIError]):
    """SM-12: while the client secret is being replaced, or a proxy of XWMS answers, nobody has looked at the token."""
    store = MemoryStore()
    arrive(site, store, error("refused"))
    assert spent_by_the_next_start(site, store) == [TOKEN]
    assert spent_by_the_next_start(site, store, now=NOW + 20) == []


def test_a_request_that_is_cancelled_during_the_call_leaves_the_token_to_be_spent(site: Context):
    store = MemoryStore()
    story = callback(site, store)
    story.go_on()
    story.steps.close()
    assert spent_by_the_next_start(site, store) == [TOKEN]


def test_junk_takes_its_rate_limit_first_and_pushes_out_no_token_of_a_login(site: Context):
    """SM-12: what is kept of a flood is what would have been spent of it."""
    store = MemoryStore()
    started(site, store)
    arrive(site, store, DOWN[0])
    for number in range(200):
        arrive(site, store, DOWN[0], token=f"junk-token-number-{number}")
    tokens = [one for turn in range(20) for one in spent_by_the_next_start(site, store, now=NOW + 10 + turn)]
    assert tokens[0] == TOKEN
    assert len(tokens) == 1 + AT_ONCE


def test_an_attacker_who_opens_the_breaker_gains_nothing_at_another_process(
    make_site: Any, monkeypatch: pytest.MonkeyPatch
):
    """SM-12: two processes that share nothing. The attacker's login waits at one, the victim arrives at the other."""
    clock = [0.0]
    monkeypatch.setattr(transport, "CircuitBreaker", partial(CircuitBreaker, clock=lambda: clock[0]))
    here = make_site(callback_token="same", timeout=0.1)
    there = here.restarted(callback_token="same")
    attacker, victim = there.browser(), here.browser()
    token = attacker.start()
    here.fx.answer("sign-token", "hang")
    for _ in range(transport.OUTAGES):
        assert here.browser().get("/xwms/auth", FROM_HERE).status_code == 504
    here.fx.approve(token)
    asked = here.fx.calls("sign-token-verify")
    assert victim.come_back(token, FROM_ELSEWHERE).status_code in (400, 401)
    assert here.fx.calls("sign-token-verify") == asked  # the breaker is open
    here.fx.answer("sign-token")
    clock[0] += transport.OPEN_SECONDS
    here.browser().start()
    assert here.fx.calls("sign-token-verify") == asked + 1
    assert attacker.come_back(token).status_code == 401
    assert attacker.who() is None
