"""Calls with the client's credentials, on a clock of the test: how long they take, how often, and what is logged."""

import asyncio
import itertools
import json
import re
import threading
from contextlib import suppress
from typing import Any

import pytest

from tests.tools.secret_sources import NEW, OLD, Manager
from xwms_auth import ConfigError, CredentialsRejected, Secret, Unreachable, XWMSConfig
from xwms_auth._core.base.effects import ApiCall, Pause, Runtime, UpstreamResponse, run
from xwms_auth._core.base.memory import limits
from xwms_auth._core.config import credentials, secret_sources
from xwms_auth._core.config.credentials import MIN_SECONDS, POLL_INTERVAL, send_as_client
from xwms_auth._core.config.secret_sources import RETRY_INTERVAL, SOURCE_SECONDS, TOLD_INTERVAL, SecretFromFile
from xwms_auth.stores.memory import MemoryStore

THREAD = "xwms_auth-secret"
CALL = ApiCall("POST", "sign-token", must_finish=True)
TIMEOUT = 3.0


class World:
    """A clock, and a transport to a server that takes some secrets. It notes each call: the secret, and its seconds."""

    def __init__(self, source: Any, *taken: str, timeout: float = TIMEOUT, **options: Any) -> None:
        self.config = XWMSConfig(
            client_id="id",
            client_secret=source,
            redirect_uris="https://app.example/xwms/validateToken",
            session_secret="0123456789abcdefghijklmnopqrstuv",
            timeout=timeout,
            **options,
        )
        self.taken = taken
        self.now = 0.0
        self.reading_takes = self.call_takes = 0.125
        self.hangs = False
        self.calls: list[tuple[str, float]] = []
        self.paused: list[float] = []
        self.readings = 0

    def monotonic(self) -> float:
        return self.now

    def send(self, call: Any) -> UpstreamResponse:
        assert call.must_finish
        self.calls.append((call.secret.reveal(), call.seconds))
        self.now += self.call_takes
        return UpstreamResponse(200 if call.secret.reveal() in self.taken else 401, "text/plain", b"the answer")

    def pause(self, seconds: float) -> None:
        self.paused.append(seconds)
        assert len(self.paused) < 100
        self.now += 0.25  # which floats add up exactly

    def read_source(self, reading: Any) -> None:
        self.readings += 1
        assert self.readings < 10
        if self.hangs:
            return
        assert not reading.is_async
        others = set(threading.enumerate())  # of other tests, whose sources hang
        reading.begin()
        for thread in set(threading.enumerate()) - others:
            if thread.name == THREAD:
                thread.join()
        self.now += self.reading_takes

    def ask(self) -> bytes:
        return run(send_as_client(self.config, CALL, answer_of), Runtime(self, MemoryStore()))  # type: ignore[arg-type]


def answer_of(response: UpstreamResponse) -> bytes:
    if response.status == 401:
        raise CredentialsRejected("as asked for")
    return response.body


@pytest.fixture
def world(monkeypatch, caplog):
    """Make a world, whose clock is that of the code."""
    caplog.set_level("INFO")

    def made(source: Any, *taken: str, **options: Any) -> World:
        one = World(source, *taken, **options)
        for module in (credentials, secret_sources):
            monkeypatch.setattr(module, "time", one)
        return one

    return made


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "secret"
    path.write_text(OLD)
    return path


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines about the secret since the last time that this was asked."""
    lines = [record.getMessage() for record in caplog.records if "client_secret_" in record.getMessage()]
    caplog.clear()
    return lines


# --- how long a call may take ----------------------------------------------------------------------------------------


def test_a_call_may_take_what_reading_the_source_has_left_of_its_time(world):
    one = world(lambda: OLD, OLD)
    one.reading_takes = 1.0
    for _ in range(2):
        assert one.ask() == b"the answer"
    assert one.calls == [(OLD, TIMEOUT - 1.0), (OLD, TIMEOUT)]
    late = world(lambda: OLD, OLD)
    late.reading_takes = TIMEOUT
    assert late.ask() == b"the answer"
    assert late.calls == [(OLD, MIN_SECONDS)]


def test_a_repeated_call_may_take_what_is_left_of_the_time_of_one(world, caplog):
    one = world(Manager(OLD, NEW), NEW)
    assert one.ask() == b"the answer"
    assert one.calls == [(OLD, TIMEOUT - 0.125), (NEW, TIMEOUT - 0.375)]
    assert [line.split()[:2] for line in told(caplog)] == [["client_secret_renewed", "source=callable"]]


@pytest.mark.parametrize("left", [0.25, 0.125])
def test_a_call_is_not_repeated_if_too_little_of_its_time_is_left(world, monkeypatch, left):
    monkeypatch.setattr(credentials, "MIN_SECONDS", 0.25)
    one = world(Manager(OLD, NEW), NEW)
    one.call_takes = TIMEOUT - 2 * one.reading_takes - left
    if left == 0.25:
        assert one.ask() == b"the answer"
    else:
        with pytest.raises(CredentialsRejected):
            one.ask()
    assert one.calls == [(OLD, TIMEOUT - 0.125), (NEW, left)][: 2 if left == 0.25 else 1]
    assert one.ask() == b"the answer"


@pytest.mark.parametrize(("timeout", "waits"), [(TIMEOUT, TIMEOUT), (20.0, SOURCE_SECONDS)])
def test_a_source_that_hangs_is_waited_for_as_long_as_a_call_but_five_seconds_at_most(world, caplog, timeout, waits):
    one = world(lambda: OLD, OLD, timeout=timeout)
    one.hangs = True
    with pytest.raises(Unreachable, match="could not be read") as raised:
        one.ask()
    assert not raised.value.sent
    assert one.paused == [POLL_INTERVAL] * int(waits / 0.25)
    assert one.calls == []
    lines = told(caplog)
    assert len(lines) == (waits == SOURCE_SECONDS), "before it hangs there is nothing to tell"
    for line in lines:
        assert line == "client_secret_not_read source=callable cause='it has not answered within 5 seconds'"


def test_too_many_who_wait_for_a_source_are_told_at_once(world):
    one = world(lambda: OLD, OLD, max_slow_calls=1)
    one.hangs = True
    with limits.Patience(1) as slow:
        assert slow.may_go_on()
        with pytest.raises(Unreachable, match="could not be read"):
            one.ask()
    assert (one.paused, one.calls) == ([], [])


def test_whoever_is_refused_keeps_a_thread_of_the_server_for_a_moment_only(world):
    """Eight threads that wait a second each would let eight logins a second stop the whole site."""
    one = world(lambda: OLD, NEW)
    one.reading_takes = one.call_takes = 0.01
    waits: list[float] = []
    for _ in range(5):
        one.paused.clear()
        with pytest.raises(CredentialsRejected):
            one.ask()
        waits.append(sum(one.paused))
    assert 0 < max(waits) <= 0.25


# --- what a source that fails costs ----------------------------------------------------------------------------------


class Raising(Manager):
    """Gives its first value, and then raises."""

    def __init__(self, error: BaseException, *values: str) -> None:
        super().__init__(*values)
        self.error = error

    def __call__(self) -> str:
        if self.values:
            return self.values.pop(0)
        raise self.error


def test_what_a_callable_gives_is_told_in_words_and_quotes_nothing(world, caplog):
    one = world(lambda: "two\nlines", OLD)
    with pytest.raises(Unreachable):
        one.ask()
    cause = "client_secret: the callable returned a value that has more than one line"
    assert told(caplog) == [f"client_secret_not_read source=callable cause='{cause}'"]


def test_a_lambda_around_an_async_function_is_told_as_that(world, caplog, recwarn):
    async def read() -> str:
        return OLD

    with pytest.raises(Unreachable):
        world(lambda: read(), OLD).ask()
    [line] = told(caplog)
    assert "returned a coroutine; give a function that is itself async" in line
    assert [str(one.message) for one in recwarn] == []


@pytest.mark.parametrize("kind", [LookupError, ConfigError])
def test_another_failure_of_a_callable_is_told_by_its_kind_and_place(world, caplog, kind):
    one = world(Raising(kind("the text is lost") if kind is LookupError else kind(["the text is lost"]), OLD), NEW)
    with pytest.raises(CredentialsRejected):
        one.ask()
    [line] = told(caplog)
    assert line.startswith(f"client_secret_not_read source=callable cause='{kind.__name__} at ")
    assert "the text" not in line
    assert [secret for secret, _ in one.calls] == [OLD]


def test_of_a_failure_in_a_library_the_line_of_the_callable_is_told_too(world, caplog):
    def fetch() -> str:
        return str(json.loads("{"))

    with pytest.raises(Unreachable):
        world(fetch, OLD).ask()
    [line] = told(caplog)
    library, _, called = line.partition(", called at ")
    assert re.search(r"cause='JSONDecodeError at \S+decoder\.py:\d+ in raw_decode$", library)
    assert re.fullmatch(rf"{re.escape(__file__)}:\d+ in fetch'", called)


def test_a_process_that_can_begin_no_thread_cannot_read_a_callable_and_says_so(world, monkeypatch, caplog):
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    one = world(lambda: OLD, OLD)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(Unreachable):
            one.ask()
    [line] = told(caplog)
    assert line.startswith("client_secret_not_read source=callable cause='RuntimeError at ")
    one.now += RETRY_INTERVAL
    assert one.ask() == b"the answer"


def test_a_callable_runs_in_a_thread_that_no_exit_waits_for(world):
    seen: list[tuple[str, bool]] = []

    def fetch() -> str:
        thread = threading.current_thread()
        seen.append((thread.name, thread.daemon))
        return OLD

    world(fetch, OLD).ask()
    assert seen == [(THREAD, True)]


@pytest.mark.parametrize("cancel", [True, False])
def test_an_async_callable_that_fails_or_is_cancelled_ends_its_reading(world, caplog, cancel):
    async def story() -> None:
        go_on = asyncio.Event()

        async def fetch() -> str:
            await go_on.wait()
            raise LookupError("the text is lost")

        steps = send_as_client(world(fetch).config, CALL, answer_of)
        effect: Any = next(steps)
        assert effect.reading.is_async
        task = asyncio.create_task(effect.reading.finish())
        await asyncio.sleep(0)
        if cancel:
            task.cancel()
        go_on.set()
        with suppress(asyncio.CancelledError):
            await task
        with pytest.raises(Unreachable):
            steps.send(None)

    asyncio.run(story())
    [line] = told(caplog)
    cause = "it has not answered within 5 seconds, or was cancelled" if cancel else "LookupError at "
    assert line.startswith(f"client_secret_not_read source=callable cause='{cause}")


# --- what is told, and how often -------------------------------------------------------------------------------------


def test_a_secret_that_is_simply_wrong_is_told_once_a_second(world, caplog):
    one = world(lambda: OLD, NEW)
    for one.now in (0.0, 0.5, TOLD_INTERVAL + 0.5):
        with pytest.raises(CredentialsRejected):
            one.ask()
    lines = told(caplog)
    assert [line.split(" cause=")[0] for line in lines] == ["client_secret_refused source=callable"] * 2
    assert "has no other one" in lines[0]
    assert "no restart is needed" in lines[0]
    assert [secret for secret, _ in one.calls] == [OLD] * 3


def test_a_source_of_ever_new_secrets_is_told_once_a_second(world, caplog):
    numbers = itertools.count()
    one = world(lambda: f"{OLD}-{next(numbers)}")
    for one.now in (0.0, 0.25, 0.5, TOLD_INTERVAL + 0.5):
        with pytest.raises(CredentialsRejected):
            one.ask()
    refused = [line for line in told(caplog) if line.startswith("client_secret_refused")]
    assert len(refused) == 2


def test_that_there_is_a_secret_at_all_is_no_news(world, file, caplog):
    for source in (lambda: OLD, SecretFromFile(file), OLD):
        one = world(source, OLD)
        assert one.ask() == one.ask() == b"the answer"
    assert told(caplog) == []


def test_who_has_waited_for_the_first_reading_of_another_has_no_news_either(world, caplog):
    one = world(lambda: OLD, OLD)
    first, second = (send_as_client(one.config, CALL, answer_of) for _ in range(2))
    reads: Any = next(first)
    assert next(second) == Pause(POLL_INTERVAL)
    one.read_source(reads.reading)
    for steps in (second, first):
        assert steps.send(None).call.secret == Secret(OLD)
    assert told(caplog) == []


def test_a_second_secret_that_is_refused_too_is_told_with_its_source(world, file, caplog):
    one = world(Manager(OLD, NEW))
    with pytest.raises(CredentialsRejected):
        one.ask()
    renewed, refused = told(caplog)
    assert renewed.startswith("client_secret_renewed source=callable ")
    assert refused == "client_secret_refused source=callable cause='also the newer secret was refused'"


def test_a_fixed_secret_has_no_other_one(world, caplog):
    one = world(OLD, NEW)
    with pytest.raises(CredentialsRejected):
        one.ask()
    assert (one.calls, told(caplog)) == ([(OLD, TIMEOUT)], [])


def test_a_file_that_holds_the_refused_secret_is_told_once_a_second(world, file, caplog):
    one = world(SecretFromFile(file), NEW)
    for one.now in (0.0, 0.5, TOLD_INTERVAL):
        with pytest.raises(CredentialsRejected):
            one.ask()
    lines = told(caplog)
    assert [line.split(" cause=")[0] for line in lines] == ["client_secret_refused source=file"] * 2
    assert [secret for secret, _ in one.calls] == [OLD] * 3


def test_a_file_that_cannot_be_read_after_a_refusal_is_told_once_a_second(world, file, caplog):
    one = world(SecretFromFile(file), NEW)
    for one.now in (0.0, 0.5, TOLD_INTERVAL):
        file.write_text(OLD)
        one.config.secret_source()
        steps = send_as_client(one.config, CALL, answer_of)
        next(steps)
        file.write_text(f" {OLD} ")
        with pytest.raises(CredentialsRejected):
            steps.send(UpstreamResponse(401, "text/plain", b""))
    lines = told(caplog)
    assert [line.split(" cause=")[0] for line in lines] == ["client_secret_not_read source=file"] * 2
    assert "begins or ends with white space" in lines[0]


def test_a_file_that_has_changed_is_told_once_by_whoever_reads_it_first(world, file, caplog):
    one = world(SecretFromFile(file), NEW)
    first, second = (send_as_client(one.config, CALL, answer_of) for _ in range(2))
    for steps in (first, second):
        next(steps)
    file.write_text(NEW)
    refused = UpstreamResponse(401, "text/plain", b"")
    assert first.send(refused).call.secret == second.send(refused).call.secret == Secret(NEW)
    [line] = told(caplog)
    assert line == "client_secret_renewed source=file cause='the one before was refused'"
    file.write_text(OLD)
    with pytest.raises(CredentialsRejected):
        one.ask()
    assert told(caplog)[0] == "client_secret_renewed source=file cause='the file has changed'"


def test_that_a_file_cannot_be_read_is_told_once_a_second(world, file, caplog):
    one = world(SecretFromFile(file), OLD)
    one.ask()
    file.unlink()
    lines = []
    for seconds in (0, 0.5, 0.5, 0.5, 5):
        one.now += seconds
        one.ask()
        lines.append(len(told(caplog)))
    assert lines == [1, 0, 1, 0, 1]
