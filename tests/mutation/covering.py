"""Which tests run a line, from a data file that coverage.py wrote with one context per test."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import zip_longest
from math import log
from pathlib import Path

from tests.mutation.modules import PACKAGE, Module
from tests.mutation.mutants import Mutant

HINTED = 20
"""How many test functions are tried first because of their names."""


class Covering:
    """What a data file knows of these modules.

    It may come from another checkout: its files are found by their paths within the package, which is the folder
    `source`, or else whatever folder of the package's name the data file tells of.
    """

    def __init__(self, file: Path, modules: Iterable[Module], source: Path | None = None) -> None:
        from coverage import CoverageData

        self._data = CoverageData(basename=str(file))
        self._data.read()
        measured = {_within(path, source): path for path in self._data.measured_files()}
        self.unmeasured = [module for module in modules if module.within not in measured]
        self._lines: dict[Module, dict[int, set[str]]] = {}
        self._ways: dict[Module, dict[str, frozenset[int]]] = {}
        self._cost: Counter[str] = Counter()
        names: dict[str, str] = {}  # a context is read many times, and kept once
        for module in modules:
            lines: defaultdict[int, set[str]] = defaultdict(set)
            for line, contexts in self._data.contexts_by_lineno(measured.get(module.within, "")).items():
                # "path::test[parameter]|run": set-up and tear-down count too. What no test ran, an import did.
                tests = {context.rpartition("|")[0] for context in contexts}
                lines[line] = {names.setdefault(test, test) for test in tests if test}
                self._cost.update(lines[line])
            self._lines[module] = lines
            ways: defaultdict[str, set[int]] = defaultdict(set)
            for line, tests in lines.items():
                for test in tests:
                    ways[test].add(line)
            self._ways[module] = {test: frozenset(way) for test, way in ways.items()}

    @property
    def knows_tests(self) -> bool:
        """Whether it names any test at all."""
        return any("|" in context for context in self._data.measured_contexts())

    def tests_of(self, mutant: Mutant) -> list[str]:
        """Return the tests that run the mutant's statement, those first that are likely to tell soonest.

        That is a matter of time only, and of those mutants whose time is up before every test has run:

        1. A few tests whose names have words in common with the mutant's line.
        2. In turns, one test of each way through the module. Tests that run the very same lines tend to fail together,
           and the ways that few tests take come first, since most tests go the usual way.
        3. Within one way, tests that run few lines, because they are fast, and other functions before other cases.
        """
        lines = self._lines[mutant.module]
        tests = sorted(set[str]().union(*(lines.get(line, ()) for line in mutant.lines)), key=self._cost_of)
        ways: defaultdict[frozenset[int], list[str]] = defaultdict(list)
        for test in tests:
            ways[self._ways[mutant.module][test]].append(test)
        in_turns = zip_longest(*(_by_turns(way) for way in sorted(ways.values(), key=lambda way: (len(way), way[0]))))
        return list(dict.fromkeys([*_hinted(mutant, tests), *(test for turn in in_turns for test in turn if test)]))

    def _cost_of(self, test: str) -> tuple[int, str]:
        return self._cost[test], test


def _by_turns(tests: list[str]) -> list[str]:
    """One case of each test function, then another one of each, and so on."""
    turns: Counter[str] = Counter()
    ranked: list[tuple[int, int, str]] = []
    for place, test in enumerate(tests):
        function = test.partition("[")[0]
        ranked.append((turns[function], place, test))
        turns[function] += 1
    return [test for _, _, test in sorted(ranked)]


def _hinted(mutant: Mutant, tests: list[str]) -> list[str]:
    """The test functions whose names have the rarest words in common with the mutant, one case of each."""
    wanted = _words(f"{mutant.scope} {mutant.context}")
    cases = {test.partition("[")[0]: test for test in reversed(tests)}  # of each the cheapest one
    words = {name: wanted & _words(name) for name in cases}
    common = Counter(word for found in words.values() for word in found)
    score = {name: sum(log(len(words) / common[word]) for word in found) for name, found in words.items()}
    best = sorted((name for name in score if score[name] > 0), key=lambda name: (-score[name], name))[:HINTED]
    return [cases[name] for name in best]


def _words(text: str) -> set[str]:
    """The words in a text, without their endings."""
    return {word[:6] for word in re.findall("[a-z]{4,}", text.lower())}


def _within(path: str, source: Path | None) -> str | None:
    """The path within the package of a file that was measured."""
    if source is not None:
        return Path(path).relative_to(source).as_posix() if Path(path).is_relative_to(source) else None
    _, found, rest = path.replace("\\", "/").rpartition(f"{PACKAGE.name}/")
    return rest if found else None
