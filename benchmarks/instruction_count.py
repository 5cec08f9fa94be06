"""How many instructions of the processor one request takes: the same on a busy machine as on an idle one.

valgrind's callgrind counts; `os.getppid` marks where a part begins and ends. Each subject answers N requests and then
2N, so that what does not depend on their number falls out. Collections are counted with the rest.
Hashes are not randomised (`PYTHONHASHSEED=0`). Without valgrind there are no rows.

    python benchmarks/instruction_count.py [--json] [--quick]
"""

import argparse
import asyncio
import gc
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from harness.more_subjects import more_subjects
from harness.output import add_options, print_rows
from harness.rounds import Cell, cells_of
from harness.subjects import SUBJECTS

VISITORS = ("warm", "first seen", "anonymous", "others' cookies", "does not ask", "forged")
EDGES = ("ASGI", "Flask", "FastAPI", "websocket")
REQUESTS = 100


@dataclass(frozen=True)
class Row:
    """Instructions per request, in thousands; `overhead_k` is the difference to the bare route."""

    edge: str
    visitor: str
    subject: str
    instructions_k: float
    overhead_k: float


def cells(visitors: tuple[str, ...], requests: int) -> list[Cell]:
    subjects = [one for one in (*SUBJECTS, *more_subjects()) if one.edge in EDGES]
    return cells_of(subjects, visitors, requests, time.process_time)


async def be_counted(visitors: tuple[str, ...], requests: int, marks: Path) -> None:
    """What runs below callgrind: it counts from one `getppid` to the next."""
    found = cells(visitors, requests)
    for cell in found:
        await cell.check()
    gc.collect()
    gc.freeze()
    _wait_for_callgrind(marks)
    for cell in found:
        await cell.run(list(islice(cell.cookies, 20)))
        for number in (requests, 2 * requests):
            cookies = list(islice(cell.cookies, number))
            gc.collect()
            os.getppid()
            await cell.run(cookies)
            os.getppid()


def counted(visitors: tuple[str, ...], requests: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "count"
        tool = ["valgrind", "--tool=callgrind", "--quiet", f"--callgrind-out-file={out}", "--dump-before=getppid"]
        child = [sys.executable, __file__, "--below-callgrind", folder, "--requests", str(requests)]
        command = [*tool, "--instr-atstart=no", *child, "--visitors", *visitors]
        with subprocess.Popen(command, env={**os.environ, "PYTHONHASHSEED": "0"}) as process:
            _switch_on(process, Path(folder))
            assert process.wait() == 0
        # The first part is the start, and every second one from there on is between two measurements.
        parts = [_total(Path(f"{out}.{number}")) for number in range(2, 2 + 4 * len(cells(visitors, 1)), 2)]
    pairs = list(zip(parts[::2], parts[1::2], strict=True))
    found = {
        (cell.subject.edge, cell.visitor, cell.subject.name): (twice - once) / requests / 1000
        for cell, (once, twice) in zip(cells(visitors, 1), pairs, strict=True)
    }
    return [Row(*key, each, each - found[key[0], key[1], "bare"]) for key, each in found.items()]


def _switch_on(process: "subprocess.Popen[bytes]", marks: Path) -> None:
    """Begin to count only now, because that is slow.

    The process waits busily, since callgrind hears nothing from one that sleeps.
    """
    while not (marks / "ready").exists():
        assert process.poll() is None
        time.sleep(0.1)
    subprocess.run(["callgrind_control", "-i", "on", str(process.pid)], check=True, capture_output=True)
    (marks / "go").touch()


def _wait_for_callgrind(marks: Path) -> None:
    (marks / "ready").touch()
    while not (marks / "go").exists():
        pass


def _total(path: Path) -> int:
    found = re.search(r"^totals: (\d+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert found, path
    return int(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(description="How many instructions one request takes.")
    add_options(parser)
    parser.add_argument("--below-callgrind", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--requests", type=int, default=REQUESTS, help=argparse.SUPPRESS)
    parser.add_argument("--visitors", nargs="*", default=VISITORS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    visitors = tuple(options.visitors)
    if options.below_callgrind:
        asyncio.run(be_counted(visitors, options.requests, options.below_callgrind))
        return
    if not shutil.which("valgrind"):
        print("valgrind is not installed, so nothing was counted.", file=sys.stderr)
        print_rows([], options)
        return
    print_rows(counted(("warm",), 10) if options.quick else counted(visitors, options.requests), options)


if __name__ == "__main__":
    main()
