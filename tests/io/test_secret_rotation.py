"""What happens to a call whose credentials are refused: the secret's source is read again, and the call repeated once.

Each test runs on both clients. Where credentials go in a login, see tests/statements/test_rotation.py, and for those of
OAuth tests/oauth2/test_oauth_rotation.py.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.tools.clients import Client, both, config, sign, verify
from tests.tools.clock import Clock
from tests.tools.fake_xwms import CANARY, FakeXWMS, ask, outcomes, outcomes_at_once
from tests.tools.faults import Behaviour, Exchange, Reply, refusal
from tests.tools.site import asgi_app, flask_app, wsgi_app
from xwms_auth import Address, AsyncXWMSClient, ConfigError, CredentialsRejected, Secret, Unreachable, XWMSClient
from xwms_auth._core.config.secret_sources import READ_INTERVAL, SOURCE_SECONDS, SecretFromFile

OLD, NEW = "the-old-client-secret", "the-new-client-secret"
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


class Manager:
    """A secret manager: each reading gives the next value, and the last one from then on."""

    def __init__(self, *values: str) -> None:
        self.values = list(values)
        self.reads = 0

    def __call__(self) -> str:
        self.reads += 1
        return self.values.pop(0) if len(self.values) > 1 else self.values[0]


def only(*secrets: str) -> Behaviour:
    """XWMS as it answers when these are the client's secrets."""

    def answer(at: Exchange) -> Reply:
        if at.request.all("X-Client-Secret")[0] in secrets:
            return at.fx.usual(at)
        return refusal(401, "Invalid client credentials: the client secret is wrong.")

    return answer


def sent(fx: FakeXWMS) -> list[str]:
    """The secrets of the requests, in order."""
    return [request.all("X-Client-Secret")[0] for request in fx.requests]


def events_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The events about the secret, in order."""
    lines = [record.getMessage() for record in caplog.records if record.name == "xwms_auth"]
    return [line.split()[0] for line in lines if line.startswith("client_secret_")]


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


# --- async sources ---------------------------------------------------------------------------------------------------


class AsyncManager(Manager):
    async def read(self) -> str:
        await asyncio.sleep(0)
        return super().__call__()


class AsyncObject:
    def __init__(self, manager: Manager) -> None:
        self.manager = manager

    async def __call__(self) -> Secret:
        return Secret(self.manager())


ASYNC: dict[str, Callable[[AsyncManager], Any]] = {
    "method": lambda manager: manager.read,
    "partial": lambda manager: partial(manager.read),
    "object": AsyncObject,
}


@pytest.mark.parametrize("kind", ASYNC)
def test_an_async_callable_is_awaited_and_awaited_again_after_a_refusal(fx: FakeXWMS, kind: str):
    fx.answer("sign-token", only(NEW))
    manager = AsyncManager(OLD, NEW)
    ask(AsyncXWMSClient, config(fx, client_secret=ASYNC[kind](manager)), sign, sign)
    assert (sent(fx), manager.reads) == ([OLD, NEW, NEW], 2)


def test_an_async_callable_is_awaited_on_trio(fx: FakeXWMS):
    fx.answer("sign-token", only(NEW))
    manager = AsyncManager(OLD, NEW)

    async def story() -> str:
        async with AsyncXWMSClient(config(fx, client_secret=partial(trio_read, manager))) as client:
            return (await sign(client)).token

    assert trio.run(story)
    assert (sent(fx), manager.reads) == ([OLD, NEW], 2)


async def trio_read(manager: Manager) -> str:
    await trio.sleep(0)
    return manager()


@pytest.mark.parametrize("kind", ASYNC)
def test_an_async_callable_is_refused_at_the_start_where_nobody_can_await_it(fx: FakeXWMS, kind: str):
    settings = config(fx, client_secret=ASYNC[kind](AsyncManager(OLD)))
    for door in (
        XWMSClient,
        lambda settings: flask_app(settings, Clock()),
        lambda settings: wsgi_app(settings, Clock()),
    ):
        with pytest.raises(ConfigError, match="async callable"):
            door(settings)
    asgi_app(settings, Clock())


def test_an_async_source_that_hangs_costs_a_call_a_clean_answer_in_time(fx: FakeXWMS):
    async def hang() -> str:
        await asyncio.sleep(20)
        return NEW

    began = time.monotonic()
    (outcome,) = outcomes(AsyncXWMSClient, config(fx, client_secret=hang, timeout=0.5), sign)
    assert isinstance(outcome, Unreachable)
    assert time.monotonic() - began < SOURCE_SECONDS


def test_whoever_is_cancelled_while_the_source_is_read_ends_nobody_elses_wait(fx: FakeXWMS):
    begun, go_on = asyncio.Event(), asyncio.Event()
    reads = 0

    async def read() -> str:
        nonlocal reads
        reads += 1
        begun.set()
        await go_on.wait()
        return NEW

    async def story() -> Any:
        async with AsyncXWMSClient(config(fx, client_secret=read)) as client:
            first = asyncio.create_task(sign(client))
            await begun.wait()
            second = asyncio.create_task(sign(client))
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            go_on.set()
            return await second

    assert asyncio.run(story()).token
    assert reads == 1


def test_a_callable_that_is_slow_does_not_stop_the_event_loop(fx: FakeXWMS):
    go_on = threading.Event()

    def read() -> str:
        assert go_on.wait(20)
        return NEW

    async def story() -> Any:
        async with AsyncXWMSClient(config(fx, client_secret=read)) as client:
            task = asyncio.create_task(sign(client))
            # Could not run while the callable blocks the loop.
            asyncio.get_running_loop().call_soon(go_on.set)
            return await task

    assert asyncio.run(story()).token


# --- files -----------------------------------------------------------------------------------------------------------


@both
def test_a_file_that_looks_the_same_is_read_again_after_a_refusal(
    fx: FakeXWMS, client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """Written twice within one tick of the file system's clock."""
    caplog.set_level(logging.INFO)
    file = tmp_path / "secret"
    file.write_text(OLD)
    source, before = SecretFromFile(file), file.stat()
    assert source().reveal() == OLD
    file.write_text(NEW)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    fx.answer("sign-token", only(NEW))
    ask(client, config(fx, client_secret=source), sign)
    assert sent(fx) == [OLD, NEW]
    assert events_in(caplog) == ["client_secret_renewed"]


@both
def test_a_file_that_has_changed_is_used_at_once_and_the_log_says_so(
    fx: FakeXWMS, client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    file = tmp_path / "secret"
    file.write_text(OLD)
    settings = config(fx, client_secret=SecretFromFile(file))
    ask(client, settings, sign, sign)
    file.write_text(f"{NEW}\n")
    ask(client, settings, sign, sign)
    assert sent(fx) == [OLD, OLD, NEW, NEW]
    assert events_in(caplog) == ["client_secret_renewed"]
    assert OLD not in caplog.text
    assert NEW not in caplog.text


@both
def test_a_file_that_is_about_to_be_written_is_no_fault(fx: FakeXWMS, client: Client, tmp_path: Path):
    """`echo new > file` empties it first."""
    file = tmp_path / "secret"
    file.write_text(OLD)
    settings = config(fx, client_secret=SecretFromFile(file))
    ask(client, settings, sign)
    file.write_text("")
    ask(client, settings, sign)
    file.write_text(NEW)
    ask(client, settings, sign)
    assert sent(fx) == [OLD, OLD, NEW]


@both
def test_a_file_that_has_gone_does_not_hide_the_refusal(
    fx: FakeXWMS, client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    file = tmp_path / "secret"
    file.write_text(OLD)

    def gone(at: Exchange) -> Reply:
        file.unlink()
        return only(NEW)(at)

    fx.answer("sign-token", gone)
    (outcome,) = outcomes(client, config(fx, client_secret=SecretFromFile(file)), sign)
    assert isinstance(outcome, CredentialsRejected)
    assert events_in(caplog) == ["client_secret_not_read"]
