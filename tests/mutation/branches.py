"""Fails where a security module has a line or a branch that no test runs, or `_core` too many.

`python -m tests.mutation.branches .coverage`
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import TypedDict

from coverage import Coverage

from tests.mutation.modules import PACKAGE, ROOT, SECURITY_MODULES, find_modules

CORE_LEAST = 98.0
"""Percent of the branches of `_core` that tests have to run; of the security modules it is all of them."""


class _Summary(TypedDict):
    num_branches: int
    covered_branches: int


class _File(TypedDict):
    summary: _Summary
    missing_lines: list[int]
    missing_branches: list[tuple[int, int]]


def main(data_file: str) -> int:
    """Print what is missing. Returns the exit code."""
    files = _measured(data_file)
    security = {module.path for module in find_modules(SECURITY_MODULES)[0]}
    missing = [
        f"{path.relative_to(ROOT).as_posix()}: {told}"
        for path in sorted(security)
        for told in (_missing(files[path]) if path in files else ["not measured"])
    ]
    core = [file["summary"] for path, file in files.items() if path.is_relative_to(PACKAGE / "_core")]
    there = sum(summary["num_branches"] for summary in core)
    share = 100 * sum(summary["covered_branches"] for summary in core) / there if there else 0.0
    print(f"Branches of _core that a test runs: {share:.2f} % of {there}, of which {CORE_LEAST:g} % must be.")
    branches = sum(files[path]["summary"]["num_branches"] for path in security & files.keys())
    if missing:
        print("What no test runs in the security modules:", *missing, sep="\n")
    else:
        print(f"Branches of the {len(security)} security modules that a test runs: all {branches}.")
    return int(bool(missing) or share < CORE_LEAST)


def _missing(file: _File) -> list[str]:
    told = [f"line {line}" for line in file["missing_lines"]]
    # A line that does not run has no branch that could.
    branches = [branch for branch in file["missing_branches"] if branch[0] not in file["missing_lines"]]
    return told + [f"from line {here} to {'the end' if there < 0 else there}" for here, there in branches]


def _measured(data_file: str) -> dict[Path, _File]:
    coverage = Coverage(data_file=data_file, config_file=str(ROOT / "pyproject.toml"))
    coverage.load()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "coverage.json")
        coverage.json_report(outfile=str(report))
        found: dict[str, _File] = json.loads(report.read_bytes())["files"]
    return {ROOT / name: file for name, file in found.items()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ".coverage"))
