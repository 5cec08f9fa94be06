"""Which tests run a line, from a data file that coverage.py wrote with one context per test."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from tests.mutation.modules import PACKAGE, Module
from tests.mutation.mutants import Mutant


class Covering:
    """What a data file knows of these modules.

    It may come from another checkout: its files are found by their paths within the package, which is the folder
    `source`, or else whatever folder of the package's name the data file tells of.
    """

    def __init__(self, file: Path, modules: Iterable[Module], source: Path | None = None) -> None:
        from coverage import CoverageData  # noqa: PLC0415  not everybody who works here has it

        self._data = CoverageData(basename=str(file))
        self._data.read()
        measured = {_within(path, source): path for path in self._data.measured_files()}
        self.unmeasured = [module for module in modules if module.within not in measured]
        self._lines: dict[Module, dict[int, set[str]]] = {}
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

    @property
    def knows_tests(self) -> bool:
        """Whether it names any test at all."""
        return any("|" in context for context in self._data.measured_contexts())

    def tests_of(self, mutant: Mutant) -> list[str]:
        """Return the tests that run the mutant's statement, those first that are likely to tell soonest.

        In turns: of each test function one case, then of each another one, and so on, since cases of one function tend
        to fail together. Within a turn those of one file stay together, for the sake of its fixtures, and files and
        tests that run few lines come first, because those are fast and are about this very line.
        """
        lines = self._lines[mutant.module]
        tests = sorted(set[str]().union(*(lines.get(line, ()) for line in mutant.lines)), key=self._cost_of)
        turns: Counter[str] = Counter()
        ranked: list[tuple[int, str, str]] = []
        cheapest: dict[tuple[int, str], int] = {}
        for test in tests:
            function, file = test.partition("[")[0], test.partition("::")[0]
            ranked.append((turns[function], file, test))
            cheapest.setdefault((turns[function], file), self._cost[test])
            turns[function] += 1
        ranked.sort(key=lambda one: (one[0], cheapest[one[0], one[1]], one[1], self._cost_of(one[2])))
        return [test for _, _, test in ranked]

    def _cost_of(self, test: str) -> tuple[int, str]:
        return self._cost[test], test


def _within(path: str, source: Path | None) -> str | None:
    """The path within the package of a file that was measured."""
    if source is not None:
        return Path(path).relative_to(source).as_posix() if Path(path).is_relative_to(source) else None
    _, found, rest = path.replace("\\", "/").rpartition(f"{PACKAGE.name}/")
    return rest if found else None
