"""The mutants that change nothing that anybody could observe, each with its reason: `equivalent.toml`."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.mutants import Mutant

LIST = Path(__file__).with_name("equivalent.toml")


@dataclass(frozen=True, kw_only=True)
class Equivalent:
    """One change, as the report of survivors shows it."""

    file: str
    scope: str
    """The outermost function around it."""
    line: str
    """The whole line on which the change begins, so that an entry dies with the code that it speaks of."""
    before: str
    after: str
    why: str

    def is_of(self, mutant: Mutant) -> bool:
        return (self.file, self.scope, self.line, self.before, self.after) == (
            mutant.module.shown,
            mutant.scope,
            _flat(mutant.context),
            _flat(mutant.before),
            _flat(mutant.after),
        )


def read_list(file: Path = LIST) -> list[Equivalent]:
    """Read the list. `changes` of an entry are pairs of what stands there and what the mutant has instead."""
    return [
        Equivalent(
            file=entry["file"],
            scope=entry["scope"],
            line=_flat(entry["line"]),
            before=_flat(before),
            after=_flat(after),
            why=entry["why"],
        )
        for entry in tomllib.loads(file.read_text(encoding="utf-8"))["equivalent"]
        for before, after in entry["changes"]
    ]


def without_equivalents(mutants: Iterable[Mutant], known: list[Equivalent]) -> tuple[list[Mutant], list[Mutant]]:
    """Return the mutants that a test should notice, and the others."""
    found: tuple[list[Mutant], list[Mutant]] = ([], [])
    for mutant in mutants:
        found[any(one.is_of(mutant) for one in known)].append(mutant)
    return found


def _flat(text: str) -> str:
    return " ".join(text.split())
