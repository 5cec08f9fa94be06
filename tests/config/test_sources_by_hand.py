"""Sources of a client secret by themselves, on a clock of the test: who reads, who waits, and who gives up."""

import asyncio
import copy
import os
import pickle
import threading
from typing import Any

import pytest

from tests.tools.secret_sources import NEW, OLD
from xwms_auth import ConfigError, Secret
from xwms_auth._core.config import secret_sources
from xwms_auth._core.config.secret_sources import (
    MAX_PATIENCE,
    READ_INTERVAL,
    RETRY_INTERVAL,
    SOURCE_SECONDS,
    TOLD_INTERVAL,
    Reading,
    SecretFromCallable,
    SecretFromFile,
    SecretSource,
    header_fault,
    is_repetitive,
    keys_in_file,
    refuse_async,
)

BEFORE, AFTER = Secret(OLD), Secret(NEW)


class Ticks:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    ticks = Ticks()
    monkeypatch.setattr(secret_sources, "time", ticks)
    return ticks


@pytest.fixture
def source():
    return SecretFromCallable(lambda: OLD)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "the-secret"
    path.write_text(OLD)
    return path


def begun(source: SecretFromCallable, refused: Secret | None = None, since: float = 0.0) -> Reading:
    reading = source.look(refused=refused, since=since)
    assert isinstance(reading, Reading)
    return reading


def read(source: SecretFromCallable, outcome: Secret | str, refused: Secret | None = None) -> Reading:
    """One whole reading that ends at once."""
    reading = begun(source, refused, since=secret_sources.time.monotonic() + 1)
    source.end(reading, outcome)
    return reading


# --- any source ------------------------------------------------------------------------------------------------------


def test_a_source_of_ones_own_has_to_say_what_the_secret_is():
    class Mine(SecretSource):
        pass

    with pytest.raises(TypeError, match="must define __call__"):
        Mine()()


def test_a_source_is_copied_as_itself_and_never_pickled_and_shows_no_secret(source, file):
    for one in (source, SecretFromFile(file)):
        assert copy.copy(one) is copy.deepcopy([one])[0] is one
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(one)
        assert repr(one) == f"{type(one).__name__}()"
    assert [source.name, SecretFromFile(file).name] == ["callable", "file"]


# --- a callable ------------------------------------------------------------------------------------------------------


async def read_async() -> str:
    return OLD


class AsyncObject:
    async def __call__(self) -> str:
        return OLD


@pytest.mark.parametrize("fetch", [read_async, AsyncObject()], ids=["function", "object"])
def test_what_has_to_be_awaited_is_known_before_it_is_called_and_is_awaited(fetch):
    source = SecretFromCallable(fetch)
    assert source.is_async
    for refuse in (source, lambda: refuse_async(source)):
        with pytest.raises(ConfigError, match="which only ASGI applications"):
            refuse()
    assert asyncio.run(source.fetch()) == BEFORE


def test_what_need_not_be_awaited_is_refused_nowhere(source, file):
    for one in (source, BEFORE, SecretFromFile(file)):
        refuse_async(one)
        assert one() == BEFORE
    assert not source.is_async


async def give(value: object) -> object:
    return value


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (None, "neither text nor a Secret"),
        (b"x", "neither text nor a Secret"),
        ("", "is empty"),
        (Secret(" x"), "white"),
    ],
)
def test_a_callable_that_gives_no_secret_is_a_fault_of_the_settings(value, fault):
    for ask in (
        SecretFromCallable(lambda: value),
        lambda: asyncio.run(SecretFromCallable(lambda: give(value)).fetch()),
    ):
        with pytest.raises(ConfigError, match=fault):
            ask()
    assert SecretFromCallable(lambda: AFTER)() == SecretFromCallable(lambda: NEW)() == AFTER


def test_one_reads_and_the_others_wait_and_then_all_have_it(clock, source):
    clock.now = 7.0
    assert (source.kept, source.unlogged(is_refused=True)) == (None, None)
    reading = begun(source)
    told = (reading.began, reading.pid, reading.is_first, reading.done, reading.failure, reading.changed)
    assert told == (7.0, os.getpid(), True, False, "", False)
    for later in (0.0, SOURCE_SECONDS - 0.5):
        clock.now = 7.0 + later
        assert source.look(refused=None, since=clock.now) == "wait"
        assert not reading.hangs
    source.end(reading, BEFORE)
    assert (source.kept, reading.done, reading.changed) == (BEFORE, True, False)
    clock.now = 700.0
    assert source.look(refused=None, since=clock.now) == source.look(refused=AFTER, since=clock.now) == BEFORE
    assert not reading.hangs, "it has ended"


def test_where_nothing_was_read_yet_a_refusal_has_the_source_read(clock, source):
    assert not begun(source, refused=BEFORE).is_first


def test_the_first_refusal_has_the_source_read_again_at_once(clock, source):
    read(source, BEFORE)
    assert source.look(refused=BEFORE, since=0.0) == "give up", "that reading was after the refused call"
    reading = begun(source, refused=BEFORE, since=0.1)
    assert (reading.is_first, source.kept) == (False, BEFORE)
    source.end(reading, AFTER)
    assert (reading.changed, source.kept) == (True, AFTER)
    assert source.look(refused=BEFORE, since=0.1) == AFTER


def test_a_secret_that_is_refused_although_it_was_just_read_is_read_again_a_moment_later(clock, source):
    read(source, BEFORE)
    again = read(source, BEFORE, refused=BEFORE)
    assert not again.changed
    assert source.look(refused=BEFORE, since=0.0) == "give up"
    for clock.now in (0.0, READ_INTERVAL - 0.01):
        assert source.look(refused=BEFORE, since=0.1) == "wait"
    clock.now = READ_INTERVAL
    assert begun(source, refused=BEFORE, since=0.1).began == READ_INTERVAL


@pytest.mark.parametrize("refused", [None, BEFORE])
def test_after_a_failure_nobody_waits_and_nobody_asks_for_a_second(clock, source, refused):
    if refused:
        read(source, BEFORE)
    failed = read(source, "it failed", refused=refused)
    assert (failed.failure, failed.done, source.kept) == ("it failed", True, refused)
    for clock.now in (0.0, RETRY_INTERVAL - 0.1):
        assert source.look(refused=refused, since=0.1) == "give up"
    clock.now = RETRY_INTERVAL
    begun(source, refused=refused, since=0.1)


def patience_of(clock: Ticks, source: SecretFromCallable, refused: Secret | None) -> float:
    """Seconds until a reading that never ends makes way for another; those who ask meanwhile are not kept waiting."""
    reading = begun(source, refused=refused, since=clock.now + 1)
    for seconds in range(1, 1000):
        clock.now = reading.began + seconds
        found = source.look(refused=refused, since=clock.now + 1)
        if isinstance(found, Reading):
            source.end(found, "left for the next one")
            clock.now += RETRY_INTERVAL
            return seconds
        assert found == ("give up" if seconds >= SOURCE_SECONDS else "wait")
    raise AssertionError("it never made way")


@pytest.mark.parametrize("refused", [None, BEFORE])
def test_a_reading_that_hangs_makes_way_for_another_ever_later_until_one_ends(clock, source, refused):
    if refused:
        read(source, BEFORE)
    doubled = [SOURCE_SECONDS * 2**times for times in range(MAX_PATIENCE + 1)]
    assert [patience_of(clock, source, refused) for _ in range(MAX_PATIENCE + 2)] == [*doubled, doubled[-1]]
    read(source, BEFORE, refused=refused)
    clock.now += RETRY_INTERVAL
    assert patience_of(clock, source, BEFORE) == SOURCE_SECONDS


def test_a_reading_of_the_process_that_this_one_was_forked_from_is_not_waited_for(clock, source, monkeypatch):
    begun(source)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert begun(source).pid == -1
    assert source.look(refused=None, since=0.0) == "wait"


def test_a_reading_that_comes_late_or_twice_changes_nothing(clock, source):
    late = begun(source)
    clock.now = SOURCE_SECONDS
    assert late.hangs
    reading = begun(source)
    source.end(late, BEFORE)
    assert (source.kept, late.done) == (None, False)
    source.end(reading, AFTER)
    source.end(reading, BEFORE)
    source.end(reading, "failed")
    assert (source.kept, reading.failure) == (AFTER, "")


def test_what_came_of_a_reading_is_told_once_if_it_says_anything(clock, source):
    read(source, BEFORE)
    assert source.unlogged(is_refused=False) is None, "that there is a secret is no news"
    same = read(source, BEFORE, refused=BEFORE)
    assert source.unlogged(is_refused=False) is None, "nor that it is the same"
    assert [source.unlogged(is_refused=True) for _ in range(2)] == [same, None]
    clock.now += READ_INTERVAL
    changed = read(source, AFTER, refused=BEFORE)
    assert [source.unlogged(is_refused=False) for _ in range(2)] == [changed, None]
    clock.now += READ_INTERVAL
    assert source.unlogged(is_refused=True) is None, "it was told"
    failed = read(source, "it failed", refused=AFTER)
    assert [source.unlogged(is_refused=False) for _ in range(2)] == [failed, None]


def test_that_the_secret_is_refused_is_told_once_a_second_however_often_it_is_read(clock, source):
    read(source, BEFORE)
    told: list[float] = []
    for clock.now in (0.0, 0.25, 0.5, 0.75, 1.0, 1.25):
        read(source, BEFORE, refused=BEFORE)
        told += [clock.now for _ in range(2) if source.unlogged(is_refused=True)]
    assert told == [0.0, TOLD_INTERVAL]


def test_a_pipe_gives_its_secret_once_and_nobody_waits_for_another_one(tmp_path):
    pipe = tmp_path / "secret"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("the-secret-in-a-pipe\n",))
    writer.start()
    source = SecretFromFile(pipe)
    assert source() == Secret("the-secret-in-a-pipe")
    writer.join()
    assert source() == Secret("the-secret-in-a-pipe")
    assert source.other_than(Secret("the-secret-in-a-pipe")) is None


def test_that_a_reading_hangs_is_told_once_and_not_before_it_does(clock, source):
    reading = begun(source)
    clock.now = SOURCE_SECONDS - 0.1
    assert source.unlogged(is_refused=True) is None
    clock.now = SOURCE_SECONDS
    assert [source.unlogged(is_refused=False) for _ in range(2)] == [reading, None]


# --- a file ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\r"])
def test_one_line_break_at_the_end_of_a_file_is_no_part_of_the_secret(file, ending):
    file.write_bytes(f"{OLD}{ending}".encode())
    assert SecretFromFile(file)() == SecretFromFile(str(file))() == BEFORE


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (f"{OLD}\n\n".encode(), "white space"),
        (OLD.encode() + b"\xff", "is not UTF-8 text"),
        (f"{OLD}\u00e9".encode(), "printable ASCII"),
        (None, "is not there"),
    ],
)
def test_a_file_without_a_secret_is_a_fault_each_time_that_it_is_read(file, content, fault):
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    source = SecretFromFile(file)
    for _ in range(2):
        with pytest.raises(ConfigError, match=f"{fault}$") as raised:
            source()
    assert OLD not in str(raised.value)
    file.write_text(NEW)
    assert source() == AFTER
    assert not source.changed(), "it is the first one"


def test_a_file_that_is_emptied_keeps_its_secret_until_it_is_written(file):
    source = SecretFromFile(file)
    assert source.fault == ""
    source()
    file.write_text("")
    assert [source(), source.changed()] == [BEFORE, False]
    assert source.fault.endswith("is empty")
    with pytest.raises(ConfigError, match="is empty"):
        source.other_than(BEFORE)
    file.write_text(NEW)
    assert [source(), source.changed(), source.changed()] == [AFTER, True, False]


def test_a_folder_in_place_of_a_file_is_told_as_one(file):
    file.unlink()
    file.mkdir()
    with pytest.raises(ConfigError, match=r"cannot be read \(IsADirectoryError\)$"):
        SecretFromFile(file)()


def test_a_file_that_was_written_anew_with_the_same_secret_has_not_changed(file):
    source = SecretFromFile(file)
    source()
    file.write_text(f"{OLD}\n")
    assert [source(), source.changed()] == [BEFORE, False]


def rewritten_within_a_tick(file: Any, text: str) -> None:
    before = file.stat()
    file.write_text(text)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_file_that_looks_the_same_is_read_again_only_if_what_it_held_was_refused(file):
    source = SecretFromFile(file)
    assert source() == BEFORE
    assert source.other_than(BEFORE) is None
    rewritten_within_a_tick(file, NEW)
    assert source() == source.other_than(AFTER) == BEFORE
    assert source.other_than(BEFORE) == source() == AFTER
    assert source.other_than(AFTER) is None
    assert len(OLD) == len(NEW)


def test_a_file_is_warned_about_once_a_second(clock, file):
    source = SecretFromFile(file)
    assert [source.may_warn() for clock.now in (0.0, 0.5, 0.9, TOLD_INTERVAL, 1.9, 2 * TOLD_INTERVAL)] == [
        *(True, False, False),
        *(True, False, True),
    ]


# --- what is judged --------------------------------------------------------------------------------------------------


def test_the_keys_in_a_file_stand_apart_and_there_are_none_in_one_that_cannot_be_read(tmp_path):
    file = tmp_path / "keys"
    file.write_text("the-first-key\n\nthe-second-key \n")
    assert keys_in_file(file) == (Secret("the-first-key"), Secret("the-second-key"))
    assert keys_in_file(tmp_path / "another") == ()
    file.write_bytes("the-first-key-\u00e9".encode())
    assert keys_in_file(file) == (Secret("the-first-key-\u00e9"),)
    file.write_bytes(b"\xff")
    assert keys_in_file(file) == ()


@pytest.mark.parametrize(
    ("key", "repeats"),
    [
        ("abcdefgh" * 4, True),
        ("abcdefghijklmnopqr" * 2, True),
        ("abcdefg-" + "abcdefg" * 4, False),
        ("abcdefgg" + "abcdefg" * 4, True),
        ("abcdefghijklmnopabcdefghijklmnoq", False),
    ],
)
def test_a_key_of_seven_different_characters_or_of_one_part_is_repetitive(key, repeats):
    assert is_repetitive(key) is repeats


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("", "is empty"),
        (" ", "begins or ends with white space"),
        ("a ", "begins or ends with white space"),
        ("\ta", "begins or ends with white space"),
        ("a\x1fb", "has characters other than printable ASCII"),
        ("a\nb", "has more than one line"),
        ("a\rb", "has more than one line"),
        ("a\x7fb", "has characters other than printable ASCII"),
        ("\u00e9", "has characters other than printable ASCII"),
        ("a b", None),
        ("!~", None),
    ],
)
def test_only_printable_ascii_is_sent_in_a_header(value, fault):
    assert header_fault(Secret(value)) == fault
