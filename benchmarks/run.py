"""Every benchmark that docs/performance.md tells of, one after another: `make bench`.

    python benchmarks/run.py                     # all of them, tables on the terminal
    python benchmarks/run.py --write             # and into results.json, docs/performance.md, docs/growth.md, the plot
    python benchmarks/run.py --document          # the pages and the plot once more, from results.json
    python benchmarks/run.py --only server_rate request_cost [--write]
    python benchmarks/run.py --all               # and those whose figures are in no page
    python benchmarks/run.py --quick             # whether all of it works; its figures say nothing

A benchmark that fails is reported and leaves the others; then the exit status is 1. No figure ever fails a run.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import ROOT, document, results
from harness.output import print_table

FOLDER = ROOT / "benchmarks"
LIMIT = 900
"""Seconds after which a benchmark is ended."""


@dataclass(frozen=True)
class Benchmark:
    name: str
    quick: tuple[str, ...] = ("--quick",)
    options: tuple[str, ...] = ()

    @property
    def file(self) -> Path:
        return FOLDER / f"{self.name}.py"


BENCHMARKS = (
    Benchmark("request_cost"),
    Benchmark("instruction_count"),
    Benchmark("promise_cost"),
    Benchmark("request_profile"),
    Benchmark("server_rate"),
    Benchmark(
        "login_cost", quick=("--rounds", "1", "--cold-rounds", "1", "--tables", "one"), options=("--rounds", "4")
    ),
    Benchmark("import_cost", quick=("--rounds", "1")),
    Benchmark("bearer_cost"),
    Benchmark("store_cost"),
    Benchmark("memory_cost"),
    Benchmark("session_count"),
)
OTHERS = ("sandbox_sign_token", "hanging_xwms", "login_flood", "store_faults", "files_passed")
"""Their tables are about the sandbox, faults and the code, and stand in no page."""


def run(one: Benchmark, *, quick: bool) -> dict[str, Any]:
    """Its rows and how long it took, or why it failed."""
    command = [sys.executable, str(one.file), "--json", *(one.quick if quick else one.options)]
    began = time.monotonic()
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=LIMIT, check=True)
        rows = json.loads(done.stdout)["rows"]
    except (subprocess.SubprocessError, ValueError, KeyError) as failure:
        return {"failed": type(failure).__name__, "seconds": round(time.monotonic() - began), "rows": []}
    return {"seconds": round(time.monotonic() - began), "rows": rows}


def main() -> int:
    parser = argparse.ArgumentParser(description="Every benchmark of docs/performance.md, one after another.")
    parser.add_argument("--quick", action="store_true", help="a few rounds of each: whether it works, not how fast")
    parser.add_argument("--only", nargs="+", choices=[one.name for one in BENCHMARKS], help="these alone")
    parser.add_argument("--all", action="store_true", help="also those about the sandbox, faults and the code")
    parser.add_argument("--write", action="store_true", help="write the results, the pages and the plot")
    parser.add_argument("--document", action="store_true", help="write the pages and the plot, and measure nothing")
    parser.add_argument("--check", action="store_true", help="whether the pages and the plot are those of results.json")
    parser.add_argument("--output", type=Path, default=results.FILE, help="the file of results (default: results.json)")
    options = parser.parse_args()
    if options.check:
        differing = document.differing(results.load(options.output))
        print("\n".join(f"docs/{name} is not what benchmarks/run.py --document writes" for name in differing))
        return 1 if differing else 0
    if options.document:
        document.write(results.load(options.output))
        return 0
    chosen = [one for one in BENCHMARKS if one.file.exists() and (not options.only or one.name in options.only)]
    found = results.load(options.output) if options.only else {"benchmarks": {}}
    found["machine"] = results.machine()
    failed = []
    for one in chosen:
        print(f"== {one.name}", flush=True)
        measured = found["benchmarks"][one.name] = run(one, quick=options.quick)
        print_table(measured["rows"])
        if "failed" in measured:
            failed.append(one.name)
        print(f"== {one.name}: {measured.get('failed', 'done')} after {measured['seconds']} s\n", flush=True)
    for name in OTHERS if options.all else ():
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, str(FOLDER / f"{name}.py")], check=False, timeout=LIMIT).returncode:
            failed.append(name)
    if options.write:
        results.save(found, options.output)
        if options.output == results.FILE:
            document.write(results.load())  # as they are rounded there
    print(f"failed: {', '.join(failed)}" if failed else "Every benchmark ran.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
