"""Where the time of a request goes, by function: with a cookie that the process knows, and with a new one.

A timer interrupts the process some thousand times a second, and each time the innermost function counts that belongs to
the package, to the framework or to the benchmark; what these call in other libraries is theirs. Unlike a tracing
profiler this makes no function dearer. What is below three parts in a hundred of the package's own time is summed up.

    python benchmarks/request_profile.py [--json] [--quick]
"""

import argparse
import asyncio
import gc
import signal
import time
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from types import FrameType

from harness import ROOT
from harness.output import add_options, print_rows
from harness.rounds import Cell
from harness.subjects import SUBJECTS

INTERVAL = 0.00025
SECONDS = 4
REQUESTS = 400
LEAST = 0.03
OUTSIDE = ("the benchmark", "the framework")
CASES = [
    (edge, name, visitor)
    for edge, name in (("ASGI", "ours, request.user"), ("Flask", "ours, current_user"))
    for visitor in ("warm", "first seen")
]
FRAMEWORKS = ("starlette", "flask", "werkzeug")
PACKAGE, BENCHMARKS = f"{ROOT}/xwms_auth/", f"{ROOT}/benchmarks/"


@dataclass(frozen=True)
class Row:
    """`us` is the part of one request that this function takes, and `share` is the same in parts of a hundred."""

    edge: str
    visitor: str
    file: str
    function: str
    us: float
    share: float
    samples: int


class Profile:
    """Counts where the process is, while it is switched on."""

    def __init__(self) -> None:
        self.found: Counter[tuple[str, str]] = Counter()
        self.seconds = 0.0
        self.requests = 0

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        while frame is not None:
            part = _part(frame)
            if part:
                self.found[part] += 1
                return
            frame = frame.f_back

    async def run(self, cell: Cell) -> None:
        cookies = list(islice(cell.cookies, REQUESTS))
        signal.signal(signal.SIGALRM, self._sample)
        began = time.process_time()
        signal.setitimer(signal.ITIMER_REAL, INTERVAL, INTERVAL)
        await cell.run(cookies)
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.seconds += time.process_time() - began
        self.requests += len(cookies)


def _part(frame: FrameType) -> tuple[str, str] | None:
    """File and function as they are told; None where the caller counts."""
    path = frame.f_code.co_filename
    if path.startswith(PACKAGE):
        return path.removeprefix(PACKAGE), frame.f_code.co_qualname
    if path.startswith(BENCHMARKS):
        return "the benchmark", "the request itself, and the answer"
    for name in FRAMEWORKS:
        if f"/site-packages/{name}/" in path:
            return "the framework", name
    return None


async def rows_of(edge: str, name: str, visitor: str, seconds: float) -> list[Row]:
    subject = next(one for one in SUBJECTS if (one.edge, one.name) == (edge, name))
    cell, profile = Cell(subject, visitor, REQUESTS, time.process_time), Profile()
    await cell.check()
    gc.collect()
    gc.freeze()
    while profile.seconds < seconds:
        await profile.run(cell)
    total, each = sum(profile.found.values()), profile.seconds / profile.requests * 1e6
    ours = total - sum(count for (file, _), count in profile.found.items() if file in OUTSIDE)
    parts = profile.found.most_common()
    told = [(part, count) for part, count in parts if part[0] in OUTSIDE or count >= LEAST * ours]
    rest = total - sum(count for _, count in told)
    told += [(("other functions of the package", ""), rest)] if rest else []
    return [
        Row(edge, visitor, file, function, each * count / total, 100 * count / total, count)
        for (file, function), count in told
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Where the time of a request goes.")
    add_options(parser)
    options = parser.parse_args()
    seconds = 0.05 if options.quick else SECONDS
    print_rows([row for case in CASES for row in asyncio.run(rows_of(*case, seconds))], options)


if __name__ == "__main__":
    main()
