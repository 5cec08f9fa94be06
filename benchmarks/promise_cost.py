"""What each promise to a request costs under ASGI: the instructions that are saved where it is taken out.

Each part is put out of action in a process of its own, and `instruction_count.py` counts what is left.

    python benchmarks/promise_cost.py [--json] [--quick]
"""

import argparse
import asyncio
import os
import shutil
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import instruction_count
from harness.output import add_options, print_rows
from harness.rounds import Cell, cells_of
from harness.subjects import SUBJECTS

import xwms_auth.asgi
from xwms_auth._core.adapters.asgi.state import ASGIRequestState as State

WITHOUT = "XWMS_AUTH_BENCHMARK_WITHOUT"
SUBJECT = "ours, current_user"


@dataclass(frozen=True)
class Row:
    """`saved_k` are thousand instructions of a request, and `part` is how much that is of our whole overhead."""

    promise: str
    visitor: str
    saved_k: float
    part: float


def no_lookup() -> None:
    """Every request has the session that the first one had."""
    look_up, found = State._look_up, []

    def known(self: State) -> Any:
        if not found:
            found.append(look_up(self))
        return found[0]

    State._look_up = known  # type: ignore[method-assign]


def passed_on(self: State, message: Any) -> Awaitable[None]:
    self._started = self.is_passed_on = True
    return self._send(message)


def no_cache_headers() -> None:
    """The head of the response goes out as it is."""
    State._start = passed_on  # type: ignore[method-assign]


class NoContext:
    """Stands for the context variable, and keeps nothing."""

    def get(self, default: object = None) -> object:
        return default

    def set(self, value: object) -> None: ...

    def reset(self, token: object) -> None: ...


def no_context() -> None:
    xwms_auth.asgi.current_request_state = NoContext()  # type: ignore[assignment]


def no_user() -> None:
    xwms_auth.asgi.LazyUser = lambda state: None  # type: ignore[assignment,misc]


PROMISES: tuple[tuple[str, str, Callable[[], None]], ...] = (
    ("the cookie is found in all headers, and its session is alive and not ended", "warm", no_lookup),
    ("a page that depends on the session says so to caches", "warm", no_cache_headers),
    (
        "the same where the body reads the session while it is sent: the head waits",
        "does not ask",
        no_cache_headers,
    ),
    ("`current_user` works anywhere in the request", "does not ask", no_context),
    ('`scope["user"]` is a user before anybody asks', "does not ask", no_user),
)


def cells(visitors: tuple[str, ...], requests: int) -> list[Cell]:
    subjects = [one for one in SUBJECTS if one.edge == "ASGI" and one.name in ("bare", SUBJECT)]
    return cells_of(subjects, visitors, requests, time.process_time)


def overhead(visitor: str, without: str, requests: int) -> float:
    os.environ[WITHOUT] = without
    return instruction_count.counted((visitor,), requests)[-1].overhead_k


def rows(requests: int) -> list[Row]:
    whole = {visitor: overhead(visitor, "", requests) for visitor in ("warm", "does not ask")}
    found = []
    for promise, visitor, _ in PROMISES:
        saved = whole[visitor] - overhead(visitor, promise, requests)
        found.append(Row(promise, visitor, saved, saved / whole[visitor]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="What each promise to a request costs.")
    add_options(parser)
    parser.add_argument("--below-callgrind", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--requests", type=int, default=100, help=argparse.SUPPRESS)
    parser.add_argument("--visitors", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    instruction_count.cells = cells
    instruction_count.__file__ = __file__
    if options.below_callgrind:
        for promise, _, take_out in PROMISES:
            if promise == os.environ[WITHOUT]:
                take_out()
        asyncio.run(instruction_count.be_counted(tuple(options.visitors), options.requests, options.below_callgrind))
        return
    if not shutil.which("valgrind"):
        print("valgrind is not installed, so nothing was counted.", file=sys.stderr)
        print_rows([], options)
        return
    print_rows(rows(10 if options.quick else 100), options)


if __name__ == "__main__":
    main()
