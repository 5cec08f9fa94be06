"""Fuzzing: `python -m tests.fuzz [TARGET ...]`. See docs/fuzzing.md.

Each target runs in a process of its own. Prints a line of figures for each; exit code 1 if anything was found.
"""

import argparse
import json
import logging
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.fuzz.targets import Target

MODULES: Final = (
    "next_urls",
    "urls",
    "settings",
    "cookies",
    "callbacks",
    "forms",
    "upstream",
    "clients",
    "tokens",
    "documents",
    "bearer",
    "sockets",
    "proxies",
    "requests",
)
FINDINGS: Final = Path(".fuzz")
"""Where findings and what the engines say are written."""


def targets() -> "dict[str, Target]":
    """All targets by name. Imports the package."""
    modules = [import_module(f"tests.fuzz.targets.{name}") for name in MODULES]
    return {target.name: target for module in modules for target in module.TARGETS}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for, and say what came of it."""
    asked = _parser().parse_args(arguments)
    if asked.child:
        _feed(asked)
        return 0
    known = targets()
    if unknown := [name for name in asked.targets if name not in known]:
        sys.stderr.write(f"There is no target {', '.join(unknown)}. There are: {', '.join(known)}\n")
        return 2
    if asked.list:
        for name, target in known.items():
            sys.stdout.write(f"{name:22}{target.figure:>10,}  {(target.run.__doc__ or '').splitlines()[0]}\n")
        return 0
    sys.stdout.write(f"engine {asked.engine}, seed {asked.seed}\n")
    found = False
    for name in asked.targets or known:
        result = _in_a_process(asked, name, asked.runs or max(1, int(known[name].figure * asked.scale)))
        found |= result is None or bool(result["findings"])
        sys.stdout.write(_line(name, result))
        sys.stdout.flush()
        if result is not None and result["stopped"]:
            return 1
    return int(found)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="which ones (default: all)")
    parser.add_argument("--list", action="store_true", help="list them with their figures, and end")
    parser.add_argument("--runs", type=int, help="distinct values for each (default: the target's own figure)")
    parser.add_argument("--scale", type=float, default=1.0, help="take this part of each figure, such as 0.01")
    parser.add_argument("--seed", type=int, default=1)
    engine = "atheris" if find_spec("atheris") else "edits"
    parser.add_argument(
        "--engine", choices=("atheris", "hypothesis", "edits"), default=engine, help=f"(default: {engine})"
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser


def _in_a_process(asked: argparse.Namespace, name: str, runs: int) -> dict[str, Any] | None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "result.json")
        options = ["--child", str(out), "--runs", str(runs), "--seed", str(asked.seed), "--engine", asked.engine]
        FINDINGS.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "tests.fuzz", name, *options]
        with (FINDINGS / f"{name}.log").open("w") as log, subprocess.Popen(command, stderr=log) as child:
            # A run that is stopped says how far it has come, and what it came to.
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: child.terminate())
            child.wait()
        result: dict[str, Any] | None = json.loads(out.read_text()) if out.is_file() else None
    if result is not None:
        from tests.fuzz.engines import write_findings

        write_findings(result, FINDINGS)
    return result


def _line(name: str, result: dict[str, Any] | None) -> str:
    if result is None:
        return f"{name:22} the process has died\n"
    outcomes = ", ".join(f"{count:,} {what}" for what, count in result["outcomes"].items())
    figures = f"{result['values']:>10,} values in {result['seconds']:,.0f} s ({result['cpu']:,.0f} s of CPU)"
    figures += f", {len(result['findings'])} findings"
    figures += ", stopped" if result["stopped"] else ""
    return f"{name:22}{figures}; {outcomes}\n"


def _feed(asked: argparse.Namespace) -> None:
    """Feed one target in this process."""
    engine = asked.engine
    if engine == "atheris":
        from atheris import instrument_imports

        context: Any = instrument_imports(include=["xwms_auth"])
    else:
        context = nullcontext()
    with context:
        target = targets()[asked.targets[0]]
        from tests.fuzz import engines
    logging.getLogger("xwms_auth").setLevel(logging.DEBUG)
    run = engines.Run(target, asked.runs)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, run.stop)

    def ended() -> None:
        Path(asked.child).write_text(json.dumps(run.result()))

    if engine == "atheris":
        engines.feed_by_atheris(run, seed=asked.seed, ended=ended)
        return
    feed = engines.feed_by_hypothesis if engine == "hypothesis" else engines.feed_by_edits
    feed(run, seed=asked.seed)
    ended()


if __name__ == "__main__":
    sys.exit(main())
