"""Mutation testing of the security modules: `python -m tests.mutation --coverage FILE`. See README.md."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from tests.mutation.covering import Covering
from tests.mutation.equivalent import read_list, without_equivalents
from tests.mutation.judging import Judgement, Settings, Verdict, judge
from tests.mutation.modules import SECURITY_MODULES, find_modules
from tests.mutation.mutants import mutants_of, names_of_exceptions, sample

COLUMNS = ("killed", "survived", "timeout", "error")


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw, judge, and print the table. Returns the exit code: 1 if too few were noticed, or an equivalent one."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if not asked.coverage.is_file():
        parser.error(f"there is no {asked.coverage}")
    modules, unknown = find_modules(name.strip() for name in asked.modules.split(",") if name.strip())
    errors = names_of_exceptions()
    made, equivalent = without_equivalents(
        (one for module in modules for one in mutants_of(module, errors)), read_list()
    )
    if asked.again:
        survivors = _survivors(asked.again)
        drawn = [one for one in made if _which(_as_json(Verdict(mutant=one, status="survived"))) in survivors]
    else:
        drawn = equivalent if asked.equivalent else sample(made, asked.sample, asked.seed)
    covering = Covering(asked.coverage, modules, asked.source)
    for name in unknown:
        _say(f"No module is called {name}.", sys.stderr)
    if not covering.knows_tests:
        parser.error(f"{asked.coverage} does not say which tests run a line: was it made with --cov-context=test?")
    for module in covering.unmeasured:
        _say(f"{module.shown} is not in {asked.coverage}.", sys.stderr)

    out = asked.out.open("w", encoding="utf-8") if asked.out else None
    count = 0

    def heard(verdict: Verdict) -> None:
        nonlocal count
        count += 1
        if out is not None:
            _say(json.dumps(_as_json(verdict)), out)
        if count % 20 == 0:
            _say(f"{count} of {len(drawn)}", sys.stderr)

    judgement = judge(drawn, covering, Settings(jobs=asked.jobs, cpu=asked.cpu, check=asked.check), heard)
    if out is not None:
        out.close()
    _say(_report(judgement))
    if asked.equivalent:
        return int(any(verdict.status in {"killed", "timeout"} for verdict in judgement.verdicts))
    _say(
        f"\n{len(drawn)} of {len(made)} mutants were drawn; {len(equivalent)} more are equivalent, see equivalent.toml."
    )
    share = _share(judgement.verdicts)
    if share >= asked.fail_under:
        return 0
    _say(f"{share:.1f} % of them were noticed, and {asked.fail_under:g} % must be.", sys.stderr)
    return 1


def _share(verdicts: Sequence[Verdict]) -> float:
    """Percent of the mutants that tests noticed, of those that could be put in place; one that nobody ran survives."""
    judged = [verdict for verdict in verdicts if verdict.status != "error"]
    return 100 * sum(verdict.status != "survived" for verdict in judged) / len(judged) if judged else 0.0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument(
        "--modules",
        default=",".join(SECURITY_MODULES),
        metavar="A,B,...",
        help="bare or dotted names, paths or globs (default: the security modules)",
    )
    parser.add_argument("--sample", type=int, default=300, metavar="N", help="how many mutants (default: 300)")
    parser.add_argument("--seed", type=int, default=1, help="which ones: the same seed draws the same (default: 1)")
    parser.add_argument(
        "--coverage",
        type=Path,
        required=True,
        metavar="FILE",
        help="the data file of `pytest --cov --cov-context=test`",
    )
    parser.add_argument(
        "--source",
        type=Path,
        metavar="DIR",
        help="the package's folder as that file names it (default: any folder of its name)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write each verdict there, as a line of JSON")
    parser.add_argument("--cpu", type=float, default=12.0, help="processor seconds for each mutant (default: 12)")
    parser.add_argument("--jobs", type=int, default=2, help="how many mutants at once (default: 2)")
    parser.add_argument(
        "--fail-under",
        type=float,
        default=0.0,
        metavar="PERCENT",
        help="end with 1 if fewer are noticed (default: 0)",
    )
    parser.add_argument(
        "--equivalent",
        action="store_true",
        help="judge those of equivalent.toml instead, and end with 1 if a test notices one",
    )
    parser.add_argument(
        "--again",
        type=Path,
        metavar="FILE",
        help="judge those that survived in the --out of an earlier run, and draw none",
    )
    parser.add_argument("--check", action="store_true", help="first run every chosen test without a mutation")
    return parser


def _survivors(file: Path) -> set[tuple[object, ...]]:
    verdicts = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {_which(one) for one in verdicts if one["status"] == "survived"}


def _which(verdict: dict[str, object]) -> tuple[object, ...]:
    return tuple(verdict[key] for key in ("file", "line", "scope", "kind", "before", "after"))


def _as_json(verdict: Verdict) -> dict[str, object]:
    mutant = verdict.mutant
    return {
        "module": mutant.module.name,
        "file": mutant.module.shown,
        "line": mutant.line,
        "scope": mutant.scope,
        "kind": mutant.kind,
        "before": mutant.before,
        "after": mutant.after,
        "status": verdict.status,
        "detail": verdict.detail,
        "tests": verdict.tests,
        "begun": verdict.begun,
        "seconds": verdict.seconds,
    }


def _report(judgement: Judgement) -> str:
    verdicts = sorted(judgement.verdicts, key=lambda one: (one.mutant.module, one.mutant.span, one.mutant.after))
    per_module: dict[str, Counter[str]] = {}
    for verdict in verdicts:
        per_module.setdefault(verdict.mutant.module.shown, Counter())[verdict.status] += 1
    rows = [_row(name, counts) for name, counts in per_module.items()]
    rows.append(_row("all", sum(per_module.values(), Counter[str]())))
    parts = [_table(("module", "mutants", *COLUMNS), rows)]

    survivors = [verdict for verdict in verdicts if verdict.status == "survived"]
    not_run = sum(verdict.detail == "not run" for verdict in survivors)
    partial = sum(verdict.detail.startswith("partial") for verdict in survivors)
    judged = sum(verdict.status != "error" for verdict in verdicts)
    if judged:
        parts.append(
            f"Noticed: {_share(verdicts):.1f} % of {judged} mutants. "
            f"Of {len(survivors)} survivors no test runs {not_run}, and {partial} were not tried by every test."
        )
    if survivors:
        parts.append("\n".join(["Survivors:", *map(_line, survivors)]))
    if errors := [verdict for verdict in verdicts if verdict.status == "error"]:
        parts.append("\n".join(["Not judged:", *map(_line, errors)]))
    if judgement.unsound:
        parts.append("\n".join(["Left out, because they fail without a mutation:", *sorted(judgement.unsound)]))
    if judgement.missing:
        parts.append(f"{len(judgement.missing)} tests of the data file are not here, or need a browser.")
    return "\n\n".join(parts)


def _line(verdict: Verdict) -> str:
    mutant = verdict.mutant
    before, after = " ".join(mutant.before.split()), " ".join(mutant.after.split())
    told = f" ({verdict.detail})" if verdict.detail else ""
    within = f" in `{mutant.context}`" if mutant.context != before else ""
    return f"{mutant.module.shown}:{mutant.line}: `{before}` -> `{after}`{within}{told}"


def _row(name: str, counts: Counter[str]) -> tuple[str, ...]:
    return (name, str(counts.total()), *(str(counts[column]) for column in COLUMNS))


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def line(row: tuple[str, ...]) -> str:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        return f"| {' | '.join(cells)} |"

    under = f"|{'-' * (widths[0] + 2)}|{'|'.join('-' * (width + 1) + ':' for width in widths[1:])}|"
    return "\n".join([line(head), under, *map(line, rows)])


def _say(text: str, where: TextIO | None = None) -> None:
    print(text, file=where, flush=True)


if __name__ == "__main__":
    sys.exit(main())
