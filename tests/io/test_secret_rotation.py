"""What happens to a call whose credentials are refused: the secret's source is read again, and the call repeated once.

Async callables and files: test_secret_sources.py. Whole logins: tests/statements/test_rotation.py. The endpoints of
OAuth: tests/oauth2/test_oauth_rotation.py.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest

from tests.tools.clients import Client, both, config, sign, verify
from tests.tools.fake_xwms import CANARY, FakeXWMS, ask, outcomes, outcomes_at_once
from tests.tools.faults import refusal
from tests.tools.secret_sources import NEW, OLD, Manager, events_in, only, sent
from xwms_auth import Address, AsyncXWMSClient, CredentialsRejected, Secret, Unreachable
from xwms_auth._core.config.secret_sources import READ_INTERVAL, SOURCE_SECONDS

SUB = "xwms-user-1234"
ADDRESS = Address(street="Street 1", city="Town", postal_code="1234", country="NL")

CALLS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "sign-token": ("sign-token", sign),
    "sign-token-verify": ("sign-token-verify", verify("a-token-of-nobody")),
    "countries": ("global/countries", lambda client: client.countries()),
    "user info": ("get/user/info", lambda client: client.user_info(SUB)),
    "addresses": ("get/user/address", lambda client: client.addresses(SUB).list()),
    "create": ("user/address", lambda client: client.addresses(SUB).create(ADDRESS)),
    "update": ("user/address", lambda client: client.addresses(SUB).update("7", ADDRESS)),
    "delete": ("user/address", lambda client: client.addresses(SUB).delete("7")),
}


# --- the repeated call -----------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("call", CALLS)
def test_a_refused_call_is_repeated_once_with_the_new_secret_whichever_it_is(fx: FakeXWMS, client: Client, call: str):
    path, question = CALLS[call]
    fx.answer(path, only(NEW))
    outcomes(client, config(fx, client_secret=Manager(OLD, NEW)), question, question)
    assert sent(fx) == [OLD, NEW, NEW]


@both
def test_the_secret_of_a_callable_is_kept_as_long_as_it_is_taken(fx: FakeXWMS, client: Client):
    manager = Manager(OLD, NEW)
    ask(client, config(fx, client_secret=manager), sign, sign, sign)
    assert (sent(fx), manager.reads) == ([OLD, OLD, OLD], 1)


@both
def test_if_the_new_secret_is_refused_too_that_is_the_end_of_it(
    fx: FakeXWMS, client: Client, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    fx.answer("sign-token", only("another one"))
    manager = Manager(OLD, NEW, "a third one")
    (outcome,) = outcomes(client, config(fx, client_secret=manager), sign)
    assert isinstance(outcome, CredentialsRejected)
    assert (sent(fx), manager.reads) == ([OLD, NEW], 2)
    assert events_in(caplog) == ["client_secret_renewed", "client_secret_refused"]


@both
@pytest.mark.parametrize("fixed", [OLD, Secret(OLD)], ids=["text", "Secret"])
def test_a_secret_that_is_fixed_is_sent_once(fx: FakeXWMS, client: Client, fixed: object):
    fx.answer("sign-token", only(NEW))
    (outcome,) = outcomes(client, config(fx, client_secret=fixed), sign)
    assert isinstance(outcome, CredentialsRejected)
    assert sent(fx) == [OLD]


@both
@pytest.mark.parametrize("message", ["The token is invalid.", "The client is disabled."])
def test_another_refusal_has_no_source_read(fx: FakeXWMS, client: Client, message: str):
    fx.answer("sign-token-verify", refusal(401, message))
    manager = Manager(OLD, NEW)
    outcomes(client, config(fx, client_secret=manager), verify("a-token-of-nobody"))
    assert (sent(fx), manager.reads) == ([OLD], 1)


# --- many at once ----------------------------------------------------------------------------------------------------


@both
def test_many_calls_that_are_refused_at_once_have_the_source_read_once(
    fx: FakeXWMS, client: Client, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    manager = Manager(OLD, NEW)
    settings = config(fx, client_secret=manager, max_slow_calls=100)
    ask(client, settings, sign)
    fx.answer("sign-token", only(NEW))
    answers = outcomes_at_once(client, settings, [sign] * 20)
    assert [str(one) for one in answers if isinstance(one, Exception)] == []
    assert manager.reads == 2
    assert len(sent(fx)) <= 1 + 2 * 20
    assert events_in(caplog) == ["client_secret_renewed"]


@both
def test_a_source_is_not_hammered_while_the_credentials_are_simply_wrong(fx: FakeXWMS, client: Client):
    fx.answer("sign-token", only(NEW))
    manager = Manager(OLD)
    settings = config(fx, client_secret=manager, max_slow_calls=100)
    began = time.monotonic()
    answers = [*outcomes_at_once(client, settings, [sign] * 20), *outcomes_at_once(client, settings, [sign] * 20)]
    assert {type(one) for one in answers} == {CredentialsRejected}
    # The first one of all is no repetition.
    assert manager.reads <= 2 + (time.monotonic() - began) / READ_INTERVAL
    # Nor is the same secret tried twice for one call.
    assert len(sent(fx)) == 40


@both
def test_the_first_call_after_an_update_works_however_short_before_the_source_was_read(fx: FakeXWMS, client: Client):
    fx.answer("sign-token", only(NEW))
    manager = Manager(OLD)
    settings = config(fx, client_secret=manager)

    def update(_: object) -> None:
        manager.values[:] = [NEW]

    if client is AsyncXWMSClient:

        async def update_async(_: object) -> None:
            update(_)

        refused, _, answer = outcomes(client, settings, sign, update_async, sign)
    else:
        refused, _, answer = outcomes(client, settings, sign, update, sign)
    assert isinstance(refused, CredentialsRejected)
    assert answer.token


# --- sources that fail -----------------------------------------------------------------------------------------------


class Failing(Manager):
    """Gives its values, and then raises an error that quotes the secret, as careless libraries do."""

    def __call__(self) -> str:
        self.reads += 1
        if self.values:
            return self.values.pop(0)
        error = RuntimeError(f"cannot renew {CANARY}")
        error.add_note(f"the lease of {CANARY}")
        raise error


class Hanging(Manager):
    """Gives its values, and then does not answer until `end`."""

    def __init__(self, *values: str) -> None:
        super().__init__(*values)
        self.end = threading.Event()

    def __call__(self) -> str:
        self.reads += 1
        if not self.values:
            self.end.wait(20)
            return NEW
        return self.values.pop(0)


@both
@pytest.mark.parametrize("kind", [Failing, Hanging])
def test_a_source_that_fails_costs_a_refused_call_a_clean_answer_in_time(
    fx: FakeXWMS, client: Client, kind: type[Manager], caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    fx.answer("sign-token", only(NEW))
    manager = kind(OLD)
    began = time.monotonic()
    settings = config(fx, client_secret=manager, timeout=1, max_slow_calls=50)
    answers = [*outcomes(client, settings, sign), *outcomes_at_once(client, settings, [sign] * 10)]
    assert {type(one) for one in answers} <= {CredentialsRejected, Unreachable}
    assert time.monotonic() - began < SOURCE_SECONDS
    assert manager.reads == 2
    assert CANARY not in caplog.text
    if isinstance(manager, Hanging):
        manager.end.set()
    else:
        assert events_in(caplog).count("client_secret_not_read") == 1
        assert "RuntimeError at " in caplog.text


@both
def test_a_call_is_not_sent_without_a_secret(fx: FakeXWMS, client: Client, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    (outcome,) = outcomes(client, config(fx, client_secret=Failing()), sign)
    assert isinstance(outcome, Unreachable)
    assert (outcome.status, outcome.sent, outcome.retry_after) == (503, False, 10)
    assert fx.requests == []
    assert events_in(caplog) == ["client_secret_not_read"]
    assert CANARY not in caplog.text + repr(outcome)


@both
def test_a_callable_that_ends_its_thread_is_a_source_that_fails(
    fx: FakeXWMS, client: Client, capfd: pytest.CaptureFixture[str]
):
    def leave() -> str:
        raise SystemExit(CANARY)

    (outcome,) = outcomes(client, config(fx, client_secret=leave), sign)
    assert isinstance(outcome, Unreachable)
    assert CANARY not in "".join(capfd.readouterr())


@both
def test_a_callable_may_ask_for_the_request_that_it_is_called_for(fx: FakeXWMS, client: Client):
    asked = ContextVar("asked", default=OLD)
    asked.set(NEW)
    ask(client, config(fx, client_secret=asked.get), sign)
    assert sent(fx) == [NEW]


@both
@pytest.mark.parametrize("value", [None, 17, b"bytes", "", f"{CANARY}\n", f"{CANARY}\u00e9"], ids=repr)
def test_a_callable_that_gives_what_is_no_secret_is_told_without_the_value(
    fx: FakeXWMS, client: Client, value: object, caplog: pytest.LogCaptureFixture
):
    (outcome,) = outcomes(client, config(fx, client_secret=lambda: value), sign)
    assert isinstance(outcome, Unreachable)
    assert "client_secret: the callable returned" in caplog.text
    assert CANARY not in caplog.text
    assert fx.requests == []


# --- where a source cannot be read now -------------------------------------------------------------------------------


@both
@pytest.mark.usefixtures("quick")
def test_of_many_who_wait_for_a_source_that_hangs_few_wait_for_long(fx: FakeXWMS, client: Client):
    """SM-12: each of them would hold a worker."""
    manager = Hanging()
    settings = config(fx, client_secret=manager, max_slow_calls=1, timeout=20)
    began = time.monotonic()
    threading.Timer(0.6, manager.end.set).start()
    answers = outcomes_at_once(client, settings, [sign] * 5)
    assert sorted(type(answer).__name__ for answer in answers) == ["LoginTicket", *["Unreachable"] * 4]
    assert time.monotonic() - began < SOURCE_SECONDS
    assert (manager.reads, fx.calls("sign-token")) == (1, 1)


@both
def test_where_no_thread_can_be_started_the_source_is_one_that_fails(
    fx: FakeXWMS, client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    start = threading.Thread.start

    def none_left(thread: threading.Thread) -> None:
        if thread.name == "xwms_auth-secret":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", none_left)
    (outcome,) = outcomes(client, config(fx, client_secret=Manager(OLD)), sign)
    assert (type(outcome), outcome.sent) == (Unreachable, False)
    assert "cause='RuntimeError at " in caplog.text
