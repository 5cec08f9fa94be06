"""Runs tests in forked children, several at once, so that what a test or a mutant does ends with its child.

The parent has collected the tests and has set up nothing: every child makes its own fixtures, in a folder of its own.
"""

import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NoReturn, TypeVar

import pytest

GRACE = 15.0
"""Seconds on the wall that a child has to take down its fixtures, after it has told how the tests went."""

SLOW = 4.0
"""Seconds on the wall for each second of processor time, after which no further test is begun either."""

HANGS = 30.0
"""Seconds on the wall, beyond those, after which the last test is said to hang."""

End = Literal["passed", "failed", "partial", "timeout", "crash", "error"]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Run:
    """Tests to be run in a child of their own, in this order, until the first that fails."""

    tests: list[pytest.Item]
    prepare: Callable[[], None] = lambda: None
    """Called in the child before the tests."""
    cpu: float
    """Seconds of processor time after which no further test is begun. Half as many more end the child."""
    to_the_end: bool = False
    """Whether to go on after a test that fails."""


@dataclass(kw_only=True)
class Outcome:
    """How a run went."""

    end: End = "crash"
    begun: int = 0
    """Tests that were begun: the last one of them is the one that failed, hung or crashed."""
    failed: list[str] = field(default_factory=list[str])
    detail: str = ""


Story = Generator[Run, Outcome, T]
"""Asks for runs one after another, and says in the end what they mean."""


class Forks:
    """`failures` is where the plugin of this process notes the tests that fail."""

    def __init__(self, session: pytest.Session, failures: list[str], jobs: int) -> None:
        self._session = session
        self._failures = failures
        self._jobs = jobs

    def tell(self, stories: Iterable[Story[T]]) -> Iterator[T]:
        """Run stories, as many at once as there are jobs, and give what each says, in the order of their ends."""
        with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
            self._folder, self._count = Path(folder), 0
            waiting = iter(stories)
            going: dict[_Child, Story[T]] = {}
            try:
                while True:
                    while len(going) < self._jobs and (story := next(waiting, None)) is not None:
                        going[self._fork(next(story))] = story
                    if not going:
                        return
                    time.sleep(0.01)
                    for child, story in list(going.items()):
                        if (outcome := child.outcome()) is None:
                            continue
                        del going[child]
                        try:
                            going[self._fork(story.send(outcome))] = story
                        except StopIteration as end:
                            yield end.value
            finally:
                for child in going:
                    child.end()

    def _fork(self, run: Run) -> "_Child":
        if threading.active_count() > 1:
            raise RuntimeError(f"a fork would copy a thread in whatever state it is: {threading.enumerate()}")
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        reader, writer = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            _run_here(run, self._session, self._failures, folder, writer)
        os.close(writer)
        with suppress(OSError):
            os.setpgid(pid, pid)  # whoever of the two is first
        return _Child(pid, reader, folder, patience=run.cpu * SLOW + HANGS)


class _Child:
    """One child, seen from its parent."""

    def __init__(self, pid: int, reader: int, folder: Path, patience: float) -> None:
        self._pid = pid
        self._reader = reader
        self._folder = folder
        self._deadline = time.monotonic() + patience
        self._told = b""
        self._spoke = False
        os.set_blocking(reader, False)

    def outcome(self) -> Outcome | None:
        """How it went; None while it goes on."""
        self._listen()
        if not self._spoke and b'"end"' in self._told:
            self._spoke, self._deadline = True, time.monotonic() + GRACE
        late = time.monotonic() > self._deadline
        if not late and os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        status = self.end()
        outcome = Outcome()
        for line in self._told.splitlines():
            for name, value in json.loads(line).items():
                setattr(outcome, name, value)
        if outcome.end == "crash":
            if late or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU):
                outcome.end = "timeout"
            else:
                outcome.detail = f"status {status}"
        return outcome

    def end(self) -> int:
        """End it and what it has started. Returns its status."""
        os.killpg(self._pid, signal.SIGKILL)
        _, status = os.waitpid(self._pid, 0)
        self._listen()
        os.close(self._reader)
        shutil.rmtree(self._folder, ignore_errors=True)
        return status

    def _listen(self) -> None:
        with suppress(BlockingIOError):
            while more := os.read(self._reader, 65_536):
                self._told += more


def _run_here(run: Run, session: pytest.Session, failures: list[str], folder: Path, writer: int) -> NoReturn:
    """The whole life of a child."""

    def tell(**what: object) -> None:
        os.write(writer, json.dumps(what).encode() + b"\n")

    try:
        os.setpgid(0, 0)  # so that what the tests start can be ended with this child
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        tempfile.tempdir = os.environ["TMPDIR"] = os.environ["PYTEST_DEBUG_TEMPROOT"] = str(folder)
        try:
            run.prepare()
        except Exception as error:  # noqa: BLE001  whatever it is, the mutant cannot be judged
            tell(end="error", detail=repr(error))
        else:
            most = int(run.cpu * 1.5) + 4
            resource.setrlimit(resource.RLIMIT_CPU, (most, most + 2))
            end = _end_of(run, failures, tell)
            tell(end=end)
            session.config.hook.pytest_sessionfinish(session=session, exitstatus=0)  # takes down every fixture
    except BaseException as error:  # noqa: BLE001  pytest.exit(), SystemExit: nothing may leave this function
        tell(detail=repr(error)[:500])
    finally:
        os._exit(0)


def _end_of(run: Run, failures: list[str], tell: Callable[..., None]) -> End:
    began = time.monotonic()
    for number, item in enumerate(run.tests):
        if time.process_time() > run.cpu or time.monotonic() - began > run.cpu * SLOW:
            return "partial"
        tell(begun=number + 1)
        following = run.tests[number + 1] if number + 1 < len(run.tests) else None
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if failures:
            tell(failed=failures)
            if not run.to_the_end:
                return "failed"
    return "failed" if failures else "passed"
