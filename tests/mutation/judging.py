"""Collects the tests once, and judges every mutant by those that run its lines."""

import contextlib
import gc
import importlib
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import CodeType, FunctionType
from typing import Literal, NamedTuple

import pytest

from tests.mutation.covering import Covering
from tests.mutation.forks import Forks, Run, Story
from tests.mutation.modules import PACKAGE, ROOT, Module, find_modules
from tests.mutation.mutants import Mutant, compiled

CHECKED_AT_ONCE = 40
"""Tests of one child when all of them are run without a mutation."""

CPU_OF_A_CHECK = 120.0
KILLERS_FIRST = 12
"""How many tests that have killed other mutants of the same module are asked before all others."""

DOUBTS = 5
"""How many failures of one mutant may turn out to be none before its run is given up."""

Status = Literal["killed", "survived", "timeout", "error"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a mutant."""

    mutant: Mutant
    status: Status
    detail: str = ""
    """The test that killed it; or why it is not sure that it survives."""
    tests: int = 0
    """How many tests run its lines."""
    begun: int = 0
    """How many of them were begun."""
    seconds: float = 0.0


@dataclass(kw_only=True)
class Judgement:
    """What became of all of them."""

    verdicts: list[Verdict] = field(default_factory=list[Verdict])
    missing: set[str] = field(default_factory=set[str])
    """Tests of the data file that are not here."""
    unsound: set[str] = field(default_factory=set[str])
    """Tests that fail without any mutation, and so say nothing."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to judge. `cpu` is in seconds for each mutant."""

    jobs: int
    cpu: float
    check: bool
    """Whether to run all the chosen tests without a mutation first."""


def judge(
    mutants: Sequence[Mutant], covering: Covering, settings: Settings, heard: Callable[[Verdict], None]
) -> Judgement:
    """Judge mutants; `heard` is told of each as it is judged."""
    court = _Court(mutants, covering, settings, heard)
    files = sorted({test.partition("::")[0] for tests in court.chosen.values() for test in tests})
    here = [file for file in files if (ROOT / file).is_file()]
    options = ["-qq", "-s", "-m", "not browser", "--rootdir", str(ROOT), "--continue-on-collection-errors"]
    options += ["-p", "no:cacheprovider", "-p", "no:cov", "--tb", "native"]  # the quickest that nobody reads
    if here:
        os.chdir(ROOT)
        with contextlib.redirect_stdout(sys.stderr):
            code = pytest.main([*options, *here], plugins=[court])
        if len(court.judgement.verdicts) < len(mutants):
            raise RuntimeError(f"pytest ended with {code!r} before every mutant was judged")
    else:
        for mutant in mutants:
            court.note(Verdict(mutant=mutant, status="survived", detail="not run"))
    return court.judgement


class _Court:
    """A plugin of pytest, which judges where pytest would run the tests."""

    def __init__(
        self, mutants: Sequence[Mutant], covering: Covering, settings: Settings, heard: Callable[[Verdict], None]
    ) -> None:
        self.chosen = {mutant: covering.tests_of(mutant) for mutant in mutants}
        self.judgement = Judgement()
        self._settings = settings
        self._heard = heard
        self._failures: list[str] = []
        self._sound: dict[str, bool] = {}
        self._items: dict[str, pytest.Item] = {}
        self._killers: defaultdict[Module, Counter[str]] = defaultdict(Counter)

    def note(self, verdict: Verdict) -> None:
        self.judgement.verdicts.append(verdict)
        if verdict.status == "killed":
            self._killers[verdict.mutant.module][verdict.detail] += 1
        self._heard(verdict)

    # what pytest calls

    def pytest_configure(self) -> None:
        """Let tests by Hypothesis do the same each time, be slow on a busy machine, and not search for the simplest."""
        import hypothesis

        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile(
            "mutation",
            database=None,
            derandomize=True,
            deadline=None,
            phases=phases,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        hypothesis.settings.load_profile("mutation")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = {item.nodeid: item for item in session.items}
        self.judgement.missing = {test for tests in self.chosen.values() for test in tests} - set(self._items)
        self._functions = _Functions({mutant.module for mutant in self.chosen})
        for module in find_modules([PACKAGE.name])[0]:  # what a child does not import costs it no time
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)
        gc.collect()
        gc.freeze()  # children share the memory of what is here
        forks = Forks(session, self._failures, self._settings.jobs)
        if self._settings.check:
            for _ in forks.tell(self._checks()):
                pass
        for verdict in forks.tell(self._trial(mutant) for mutant in self.chosen):
            self.note(verdict)
        self.judgement.unsound = {test for test, sound in self._sound.items() if not sound}
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failures.append(report.nodeid)

    # without a mutation

    def _checks(self) -> Iterator[Story[None]]:
        chosen = {test for tests in self.chosen.values() for test in tests}
        items = [item for test, item in self._items.items() if test in chosen]
        for begin in range(0, len(items), CHECKED_AT_ONCE):
            yield self._check(items[begin : begin + CHECKED_AT_ONCE], CPU_OF_A_CHECK)

    def _check(self, tests: list[pytest.Item], cpu: float) -> Story[None]:
        """Run these without a mutation, all of them, and note which pass."""
        while tests:
            outcome = yield Run(tests=tests, prepare=self._functions.change_nothing, cpu=cpu, to_the_end=True)
            if not outcome.begun:
                return
            begun, tests = tests[: outcome.begun], tests[outcome.begun :]
            bad = set(outcome.failed)
            if outcome.end in ("timeout", "crash"):
                bad.add(begun[-1].nodeid)
            self._sound.update({item.nodeid: item.nodeid not in bad for item in begun})

    # with one

    def _trial(self, mutant: Mutant) -> Story[Verdict]:
        began = time.monotonic()
        tests = [item for test in self._in_order(mutant) if (item := self._items.get(test)) and self._is_sound(item)]
        left, begun, doubts = tests, 0, 0

        def verdict(status: Status, detail: str = "") -> Verdict:
            seconds = round(time.monotonic() - began, 2)
            return Verdict(mutant=mutant, status=status, detail=detail, tests=len(tests), begun=begun, seconds=seconds)

        def prepare() -> None:
            self._functions.change(mutant)

        while doubts < DOUBTS:
            # Without tests it is tried all the same: whether it can be applied at all is to be known.
            outcome = yield Run(tests=left, prepare=prepare, cpu=self._settings.cpu)
            begun += outcome.begun
            if outcome.end == "error" or (outcome.begun == 0 and outcome.end != "passed"):
                return verdict("error", outcome.detail or outcome.end)
            if outcome.end == "passed":
                return verdict("survived", "" if tests else "not run")
            if outcome.end == "partial":
                return verdict("survived", f"partial: {begun} of {len(tests)} tests")
            suspect = left[outcome.begun - 1]
            if status := (yield from self._confirmed(suspect, prepare)):
                return verdict(status, suspect.nodeid)
            doubts += self._is_sound(suspect)
            left = [item for item in left[outcome.begun :] if self._is_sound(item)]
        return verdict("survived", f"partial: {DOUBTS} tests failed, but not when they were run alone")

    def _in_order(self, mutant: Mutant) -> list[str]:
        """The tests of a mutant, those first that have noticed most in its module: they look at more than they pass."""
        chosen = self.chosen[mutant]
        may = set(chosen)
        killers = [test for test, _ in self._killers[mutant.module].most_common() if test in may][:KILLERS_FIRST]
        return list(dict.fromkeys([*killers, *chosen]))

    def _confirmed(self, suspect: pytest.Item, prepare: Callable[[], None]) -> Story[Status | None]:
        """What the test says of the mutant for sure: it must fail again, alone, and pass without the mutation."""
        again = yield Run(tests=[suspect], prepare=prepare, cpu=self._settings.cpu)
        if again.end not in ("failed", "timeout", "crash"):
            return None
        if again.end == "timeout" or suspect.nodeid not in self._sound:
            yield from self._check([suspect], self._settings.cpu)
        if not self._is_sound(suspect):
            return None
        return "timeout" if again.end == "timeout" else "killed"

    def _is_sound(self, test: pytest.Item) -> bool:
        """Whether it may be asked: unless it is known to fail without any mutation."""
        return self._sound.get(test.nodeid, True)


class _Place(NamedTuple):
    """Where a function was defined. Of properties, several functions have one name."""

    file: str
    name: str
    line: int


class _Functions:
    """The functions of the modules, as they are in this process, and how to change their code."""

    def __init__(self, modules: set[Module]) -> None:
        self._found: defaultdict[_Place, list[FunctionType]] = defaultdict(list)
        self._originals = {module: compiled(module.path.read_bytes(), module) for module in modules}
        for module in modules:
            importlib.import_module(module.name)
        files = {str(module.path) for module in modules}
        for one in gc.get_objects():
            if type(one) is FunctionType and one.__code__.co_filename in files:
                self._found[_place_of(one.__code__)].append(one)

    def change(self, mutant: Mutant) -> None:
        """Give the functions of the mutant's scope their code of the mutant."""
        mutated = mutant.code()
        assert mutated is not None
        if not self._replace(self._originals[mutant.module], mutated, mutant.scope):
            raise LookupError(f"{mutant.module.name} has no function {mutant.scope}")

    def change_nothing(self) -> None:
        """Give every function the code that it has, made anew."""
        for module, original in self._originals.items():
            self._replace(original, compiled(module.path.read_bytes(), module), scope=None)

    def _replace(self, before: CodeType, after: CodeType, scope: str | None) -> bool:
        replaced = False
        for old, new in _pairs(_codes_within(before, scope), _codes_within(after, scope)):
            for function in self._found.get(_place_of(old), ()):
                # A function that names no outer variable any more still has a place for it.
                free = new.co_freevars or function.__code__.co_freevars
                function.__code__ = new.replace(co_freevars=free)
                replaced = True
        return replaced


def _place_of(code: CodeType) -> _Place:
    return _Place(code.co_filename, code.co_qualname, code.co_firstlineno)


def _codes_within(code: CodeType, scope: str | None) -> list[CodeType]:
    """The code of the function of this name, and of those inside it; without a name, all there is."""
    found: list[CodeType] = []
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            if scope is None or inner.co_qualname == scope or inner.co_qualname.startswith(f"{scope}."):
                found.append(inner)
            found += _codes_within(inner, scope)
    return found


def _pairs(old: list[CodeType], new: list[CodeType]) -> Iterator[tuple[CodeType, CodeType]]:
    """The same functions of both. One that the mutant has not, or has twice, is made anew when the outer one runs."""
    before: defaultdict[str, list[CodeType]] = defaultdict(list)
    after: defaultdict[str, list[CodeType]] = defaultdict(list)
    for code in old:
        before[code.co_qualname].append(code)
    for code in new:
        after[code.co_qualname].append(code)
    for name, codes in before.items():
        if len(codes) == len(after[name]):
            yield from zip(codes, after[name], strict=True)
