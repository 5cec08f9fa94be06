"""Sources of a client secret that are not a plain callable, and what a refusal does there: async callables, files."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.tools.clients import Client, both, config, sign
from tests.tools.clock import Clock
from tests.tools.fake_xwms import FakeXWMS, ask, outcomes
from tests.tools.faults import Exchange, Reply
from tests.tools.secret_sources import NEW, OLD, Manager, events_in, only, sent
from tests.tools.site import asgi_app, flask_app, wsgi_app
from xwms_auth import AsyncXWMSClient, ConfigError, CredentialsRejected, Secret, Unreachable, XWMSClient
from xwms_auth._core.config.secret_sources import SOURCE_SECONDS, SecretFromFile

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


def test_on_trio_nobody_waits_for_a_source_that_shields_itself(fx: FakeXWMS):
    ended: list[str] = []

    async def shielded() -> str:
        with trio.move_on_after(SOURCE_SECONDS, shield=True):
            await trio.sleep_forever()
        ended.append("late")
        return NEW

    async def story() -> None:
        async with AsyncXWMSClient(config(fx, client_secret=shielded, timeout=0.5)) as client:
            with pytest.raises(Unreachable):
                await sign(client)
        assert ended == []

    trio.run(story)
    assert ended == ["late"], "it goes on without its call"


class Stopped(BaseException):
    pass


def test_on_trio_a_source_that_raises_what_ends_a_task_ends_no_program(fx: FakeXWMS):
    async def stop() -> str:
        await trio.sleep(0)
        raise Stopped

    async def story() -> str:
        async with AsyncXWMSClient(config(fx, client_secret=stop)) as client:
            with pytest.raises(Unreachable):
                await sign(client)
        return "goes on"

    assert trio.run(story) == "goes on"


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


UNREADABLE: dict[str, Callable[[Path], object]] = {
    "removed": Path.unlink,
    "emptied": lambda file: file.write_text(""),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
    "not UTF-8": lambda file: file.write_bytes(b"\xff\xfe"),
    "with an empty line at its end": lambda file: file.write_text(f"{NEW}\n\n"),
}


@both
@pytest.mark.parametrize("how", UNREADABLE)
def test_a_file_that_cannot_be_read_for_a_while_leaves_the_secret_before_it_in_use(
    fx: FakeXWMS, client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str
):
    """`echo new > file` empties a file before it writes it; editors, `install` and some `mv` remove it."""
    file = tmp_path / "secret"
    file.write_text(OLD)
    settings = config(fx, client_secret=SecretFromFile(file))
    UNREADABLE[how](file)
    ask(client, settings, sign, sign)
    assert sent(fx) == [OLD, OLD]
    assert set(events_in(caplog)) == {"client_secret_not_read"}
    if file.is_dir():
        file.rmdir()
    file.write_text(NEW)
    ask(client, settings, sign)
    assert sent(fx)[2:] == [NEW]


def test_a_file_that_was_never_read_is_a_fault_of_the_settings(tmp_path: Path):
    with pytest.raises(ConfigError, match="is not there"):
        SecretFromFile(tmp_path / "secret")()


def test_a_file_that_cannot_be_read_at_a_refusal_is_told_once_and_so_is_one_whose_secret_is_refused(
    fx: FakeXWMS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("xwms_auth._core.config.secret_sources.READ_INTERVAL", 3600)
    file = tmp_path / "secret"
    file.write_text(OLD)

    def gone(at: Exchange) -> Reply:
        file.unlink()
        return only(NEW)(at)

    def again(_: object) -> None:
        file.write_text(OLD)

    settings = config(fx, client_secret=SecretFromFile(file))
    fx.answer("sign-token", gone)
    outcomes(XWMSClient, settings, sign, again, sign, again)
    assert events_in(caplog) == ["client_secret_not_read"]
    caplog.clear()
    fx.answer("sign-token", only(NEW))
    outcomes(XWMSClient, config(fx, client_secret=SecretFromFile(file)), sign, sign)
    assert events_in(caplog) == ["client_secret_refused"]
    assert len(fx.to("sign-token")) == 4


def test_an_async_callable_that_fails_is_told_without_its_text(fx: FakeXWMS, caplog: pytest.LogCaptureFixture):
    async def fail() -> str:
        raise LookupError(OLD)

    (outcome,) = outcomes(AsyncXWMSClient, config(fx, client_secret=fail), sign)
    assert (type(outcome), outcome.sent) == (Unreachable, False)
    assert "client_secret_not_read" in caplog.text
    assert "cause='LookupError at " in caplog.text
    assert OLD not in caplog.text + repr(outcome)
