"""Calls that wait for what another one is doing: few may wait for long, and the others are told."""

from collections.abc import Generator
from typing import Any

import pytest

from xwms_auth import Secret, Unreachable, User, XWMSConfig
from xwms_auth._core.base.effects import CallStore, CallXWMS, Pause, Runtime, Shielded
from xwms_auth._core.base.memory.limits import Patience
from xwms_auth._core.base.models import TokenSet
from xwms_auth._core.base.session import Session
from xwms_auth._core.config.context import Context
from xwms_auth._core.login.select import provider_of
from xwms_auth._core.oauth2.token_validation import VALIDATION_POLL_INTERVAL, validate
from xwms_auth._core.sessions.lookup import SessionLookup
from xwms_auth._core.sessions.token_refresh import access_token
from xwms_auth.stores.memory import MemoryStore

NOW = 1_800_000_000
SERVER = "https://as.example"
QUICK = 1.0  # seconds
LONG = int(QUICK / VALIDATION_POLL_INTERVAL) + 1
"""Pauses after which a wait is no longer quick."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xwms_auth._core.base.memory.limits.QUICK", QUICK)


@pytest.fixture
def context() -> Context:
    names = ("authorization_endpoint", "token_endpoint", "jwks_uri", "introspection_endpoint", "userinfo_endpoint")
    return Context.of(
        XWMSConfig(
            client_id="id",
            client_secret="secret",
            redirect_uris="https://app.example/cb",
            session_secret="0123456789abcdefghijklmnopqrstuv",
            flow="oauth2",
            issuer=SERVER,
            max_slow_calls=2,
            **{name: f"{SERVER}/{name}" for name in names},
        )
    )


def pauses(steps: Generator[Any, Any, Any], number: int) -> None:
    """The next steps are so many pauses. Raises what they raise."""
    for _ in range(number):
        assert isinstance(next(steps), Pause)


def asking(context: Context, token: str = "junk") -> Generator[Any, Any, Any]:
    """A call that asks the server about the token, and gets no answer."""
    steps = validate(context, Secret(token), now=NOW)
    assert isinstance(next(steps), CallXWMS)
    return steps


def test_few_calls_wait_long_for_the_answer_about_one_token_and_the_others_are_told(context: Context):
    """SM-12: sixteen calls with one junk token would hold sixteen workers."""
    first = asking(context)
    waiting = [validate(context, Secret("junk"), now=NOW) for _ in range(4)]
    for steps in waiting:
        pauses(steps, LONG - 1)
    told = []
    for steps in waiting:
        try:
            pauses(steps, 2)
        except Unreachable as error:
            told.append(error)
    assert len(told) == 2
    # While so many wait, the next one does not even begin to.
    late = validate(context, Secret("junk"), now=NOW)
    with pytest.raises(Unreachable) as refused:
        next(late)
    assert (refused.value.sent, bool(refused.value.retry_after)) == (False, True)
    for steps in (first, *waiting):
        steps.close()
    assert not Patience(2).begin()


def test_whoever_has_waited_for_long_for_a_call_that_failed_makes_no_call_of_its_own(context: Context):
    """SM-12: it would hold its worker for twice the deadline."""
    first = asking(context)
    waiting = validate(context, Secret("junk"), now=NOW)
    pauses(waiting, LONG + 10)
    with pytest.raises(Unreachable):
        first.throw(Unreachable("the server is down"))
    with pytest.raises(Unreachable):
        next(waiting)
    assert isinstance(next(validate(context, Secret("junk"), now=NOW)), CallXWMS)


def test_whoever_has_waited_for_a_moment_for_a_call_that_failed_makes_its_own(context: Context):
    first = asking(context)
    waiting = validate(context, Secret("junk"), now=NOW)
    pauses(waiting, 3)
    with pytest.raises(Unreachable):
        first.throw(Unreachable("the connection was lost"))
    assert isinstance(next(waiting), CallXWMS)
    waiting.close()


def test_few_requests_wait_long_for_a_refresh_and_the_others_are_told(context: Context):
    """SM-12: the refresh itself goes on, since its tokens would be lost."""
    store = MemoryStore()
    tokens = TokenSet(
        access_token=Secret("access"), refresh_token=Secret("refresh"), id_token=None, scope=(), expires_at=NOW + 10
    )
    session = Session(id="id", user=User(sub="17", issuer=SERVER), started_at=NOW, seen_at=NOW, tokens=tokens)
    handle = store.create(session, until=NOW + 1000, now=NOW)
    runtime = Runtime(None, store)  # type: ignore[arg-type]

    def up_to_a_pause(steps: Generator[Any, Any, Any], effect: Any = None, *, refreshes: bool = False) -> Any:
        """The next pause, or with `refreshes` the call to the server."""
        effect = next(steps) if effect is None else effect
        while not isinstance(effect, Pause):
            if isinstance(effect, Shielded):
                inner = effect.steps
                try:
                    call = up_to_a_pause(inner, refreshes=refreshes)
                except StopIteration as end:
                    effect = steps.send(end.value)
                    continue
                return inner, call
            if isinstance(effect, CallXWMS):
                assert refreshes
                return effect.call
            assert isinstance(effect, CallStore)
            effect = steps.send(effect.perform(runtime))
        return effect

    def request() -> Generator[Any, Any, Any]:
        known = SessionLookup(session=session, handle=handle, uri=context.only_uri)
        return access_token(context, provider_of(context), known, "", now=NOW)

    leading = request()
    inner, call = up_to_a_pause(leading, refreshes=True)
    assert call.must_finish
    waiting = [request() for _ in range(4)]
    told = 0
    for steps in waiting:
        try:
            for _ in range(30):  # 1.5 seconds
                up_to_a_pause(steps)
        except Unreachable:
            told += 1
    assert told == 2
    with pytest.raises(Unreachable):
        up_to_a_pause(request())
    for steps in (inner, leading, *waiting):
        steps.close()
