"""What becomes of sessions when their store fails: a real Redis and a real SQLite file, in plain and in async code.

In every round forty people are signed in and twenty have logged out; then the store fails, is asked, and is mended.

*first* is the time to the answer that the store is down, for whoever asks first; *later* for those who ask next.
*works again* is the time from the repair (for Redis: from when it listens again) to the first good answer. All three
are medians over the rounds, in milliseconds on the wall, for one look-up or, where it says so, one change; a dash
stands where nobody was refused.
*lost* are people who were signed in and are nobody afterwards, *wrongly alive* those who had logged out and are
somebody, *anonymous* answers during the fault that were "nobody" instead of "down"; each summed over all rounds.

*killed amid traffic* is twelve people at once who come back, log in and log out while Redis is killed and started
again; *first* and *later* are then the same: the median of all refusals.

    python benchmarks/store_faults.py [--json] [--rounds N]
"""

import argparse
import asyncio
import json
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from inspect import isawaitable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout, installed or not

from tests.tools.redis_server import RedisServer, redis_server
from xwms_auth import StoreUnavailable, User, XWMSConfig
from xwms_auth._core.base.session import Session
from xwms_auth._core.base.store_protocols import KeepsConnections
from xwms_auth._core.config.context import Context
from xwms_auth.stores import open_store

SIGNED_IN, LOGGED_OUT, BUSY = 40, 20, 12
LATER = 5
"""Askers after the first one."""

DAY = 86_400
KEY = "benchmark-only-0123456789abcdef-0123456789abcdef"


@dataclass(slots=True)
class Row:
    """One line of the table."""

    store: str
    fault: str
    first: list[float] = field(default_factory=list)
    later: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    anonymous: int = 0
    lost: int = 0
    alive: int = 0
    sessions: int = 0

    def cells(self) -> dict[str, str]:
        """The line as text."""
        times = {"first": self.first, "later": self.later, "works again": self.again}
        shown = {name: f"{statistics.median(values):.1f}" if values else "-" for name, values in times.items()}
        counts = {"lost": self.lost, "wrongly alive": self.alive, "anonymous": self.anonymous}
        return {
            "store": self.store,
            "fault": self.fault,
            **shown,
            "sessions": str(self.sessions),
            **{name: str(count) for name, count in counts.items()},
        }


class Asker:
    """Asks one store, plain or async, on one event loop."""

    def __init__(self, url: str, *, is_async: bool) -> None:
        config = XWMSConfig(
            client_id="desk",
            client_secret="s3cret-of-the-desk",
            redirect_uris="https://app.example/xwms/validateToken",
            session_secret=KEY,
            session_store=url,
        )
        self.issuer = config.issuer
        self.store: Any = open_store(Context.of(config), is_async=is_async)
        self.now = int(time.time())
        self._loop = asyncio.Runner()
        if isinstance(self.store, KeepsConnections):
            self._loop.run(self._keep())

    async def _keep(self) -> None:
        self.store.keep_connections()

    def ask(self, answer: Any) -> Any:
        return self._loop.run(_wait(answer)) if isawaitable(answer) else answer

    def session(self, sub: str) -> Session:
        return Session(id="", user=User(issuer=self.issuer, sub=sub), started_at=self.now, seen_at=self.now)

    def create(self, sub: str) -> Any:
        return self.store.create(self.session(sub), until=self.now + DAY, now=self.now)

    def load(self, handle: str) -> Any:
        return self.store.load(handle, now=self.now)

    def drop(self, handle: str) -> Any:
        return self.store.drop(handle, why=None, now=self.now)

    def renew(self, handle: str) -> Any:
        return self.store.renew(handle, self.session("sub-0"), until=self.now + DAY, now=self.now)

    def close(self) -> None:
        self.ask(self.store.close())
        self._loop.close()


async def _wait(answer: Awaitable[Any]) -> Any:
    return await answer


Fault = tuple[Callable[[], object], Callable[[], object]]
"""What breaks the store, and what mends it."""


def measure(row: Row, asker: Asker, fault: Fault, *, rounds: int, changes: bool = False) -> Row:
    """Break and mend it that many times."""
    fail, mend = fault
    question = asker.renew if changes else asker.load
    for _ in range(rounds):
        alive = {f"sub-{number}": asker.ask(asker.create(f"sub-{number}")) for number in range(SIGNED_IN)}
        ended = [asker.ask(asker.create("gone")) for _ in range(LOGGED_OUT)]
        for handle in ended:
            asker.ask(asker.drop(handle))
        row.sessions += SIGNED_IN
        fail()
        for times in (row.first, *[row.later] * LATER):
            began = time.perf_counter()
            try:
                row.anonymous += not isinstance(asker.ask(question(alive["sub-0"])), Session | str)
            except StoreUnavailable:
                times.append((time.perf_counter() - began) * 1000)
        mend()
        row.again.append(_until_it_works(asker, partial(question, alive["sub-0"])))
        for sub, handle in alive.items():
            found = asker.ask(asker.load(handle))
            row.lost += not (isinstance(found, Session) and found.user.sub == sub)
        row.alive += sum(isinstance(asker.ask(asker.load(handle)), Session) for handle in ended)
    return row


def _until_it_works(asker: Asker, question: Callable[[], Any]) -> float:
    began = time.perf_counter()
    while True:
        try:
            asker.ask(question())
        except StoreUnavailable:
            continue
        return (time.perf_counter() - began) * 1000


def in_redis(folder: Path, rounds: int) -> Iterator[Row]:
    for colour in ("plain", "async"):
        (place := folder / colour).mkdir()
        with redis_server(place, durable=True) as server, asking(server.url, colour) as asker:
            for name, fault in _redis_faults(server).items():
                yield measure(Row(f"Redis, {colour}", name), asker, fault, rounds=rounds)
            yield amid_traffic(Row(f"Redis, {colour}", "killed amid traffic"), asker, server, rounds=rounds)


def _redis_faults(server: RedisServer) -> dict[str, Fault]:
    return {
        "stopped (SIGTERM), started again": (server.stop, server.start),
        "killed (SIGKILL), started again": (server.kill, server.start),
        "stalled (SIGSTOP), resumed": (server.pause, server.resume),
        "password changed, and back": (
            partial(_change_password, server, "another"),
            partial(_change_password, server, ""),
        ),
    }


def _change_password(server: RedisServer, password: str) -> None:
    server.client.config_set("requirepass", password)
    server.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def in_sqlite(folder: Path, rounds: int) -> Iterator[Row]:
    for colour in ("plain", "async"):
        (place := folder / f"sqlite-{colour}").mkdir()
        path, elsewhere = place / "sessions.sqlite3", folder / f"elsewhere-{colour}"
        with asking(f"sqlite:///{path}", colour) as asker:
            asker.ask(asker.create("first"))
            other = sqlite3.connect(path, isolation_level=None)
            try:
                locked = partial(other.execute, "BEGIN EXCLUSIVE"), partial(other.execute, "COMMIT")
                row = Row(f"SQLite, {colour}", "locked by another: a change")
                yield measure(row, asker, locked, rounds=rounds, changes=True)
                yield measure(Row(f"SQLite, {colour}", "locked by another: a look-up"), asker, locked, rounds=rounds)
            finally:
                other.close()
            vanished = partial(place.rename, elsewhere), partial(elsewhere.rename, place)
            yield measure(Row(f"SQLite, {colour}", "folder gone, and back"), asker, vanished, rounds=rounds)
            junk = partial(_put_junk, asker, path, elsewhere), partial(elsewhere.replace, path)
            yield measure(Row(f"SQLite, {colour}", "junk in its place, and back"), asker, junk, rounds=rounds)


def _put_junk(asker: Asker, path: Path, elsewhere: Path) -> None:
    asker.store.close()
    path.rename(elsewhere)
    path.write_bytes(b"junk\n" * 2000)


@contextmanager
def asking(url: str, colour: str) -> Iterator[Asker]:
    asker = Asker(url, is_async=colour == "async")
    try:
        yield asker
    finally:
        asker.close()


def amid_traffic(row: Row, asker: Asker, server: RedisServer, *, rounds: int) -> Row:
    """People at once, each with sessions of their own, while Redis is killed and started again in every round."""
    over, answered = threading.Event(), threading.Semaphore(0)
    alive: dict[str, list[str]] = {f"busy-{number}": [] for number in range(BUSY)}
    ended: list[str] = []

    async def live(sub: str) -> None:
        mine, turn = alive[sub], 0
        while not over.is_set():
            turn += 1
            began = time.perf_counter()
            try:
                if turn % 5 == 0 or not mine:
                    mine.append(await _answer(asker.create(sub)))
                elif turn % 7 == 0 and len(mine) > 3:
                    # Out of the list first: if the answer is lost, nobody can say whether it has ended.
                    handle = mine.pop()
                    await _answer(asker.drop(handle))
                    ended.append(handle)
                else:
                    found = await _answer(asker.load(mine[turn % len(mine)]))
                    row.lost += not (isinstance(found, Session) and found.user.sub == sub)
                answered.release()
            except StoreUnavailable:
                refused = (time.perf_counter() - began) * 1000
                row.first.append(refused)
                row.later.append(refused)
                await asyncio.sleep(0.001)

    def restart() -> None:
        try:
            for _ in range(rounds):
                for _ in range(50 * BUSY):
                    answered.acquire()
                server.kill()
                server.start()
                while answered.acquire(blocking=False):
                    pass
                began = time.perf_counter()
                answered.acquire()
                row.again.append((time.perf_counter() - began) * 1000)
        finally:
            over.set()

    async def everybody() -> None:
        await asyncio.gather(*map(live, alive))

    with ThreadPoolExecutor(BUSY + 1) as threads:
        restarting = threads.submit(restart)
        if row.store.endswith("async"):
            asker.ask(everybody())
        else:
            for one in [threads.submit(asyncio.run, live(sub)) for sub in alive]:
                one.result()
        restarting.result()
    for sub, handles in alive.items():
        row.sessions += len(handles)
        for handle in handles:
            found = asker.ask(asker.load(handle))
            row.lost += not (isinstance(found, Session) and found.user.sub == sub)
    row.alive += sum(isinstance(asker.ask(asker.load(handle)), Session) for handle in ended)
    return row


async def _answer(asked: Any) -> Any:
    return await asked if isawaitable(asked) else asked


def table(rows: list[Row]) -> str:
    lines = [list(rows[0].cells()), *[list(row.cells().values()) for row in rows]]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    made = [f"| {' | '.join(line)} |" for line in padded]
    made.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(made)


def main() -> None:
    parser = argparse.ArgumentParser(description="What becomes of sessions when their store fails.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--rounds", type=int, default=7, help="more rounds, steadier medians (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [*in_redis(Path(folder), options.rounds), *in_sqlite(Path(folder), options.rounds)]
    if options.json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    print(table(rows))
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"\nPython {platform.python_version()}, {os.cpu_count()} cores, load {load}; milliseconds, medians")


if __name__ == "__main__":
    main()
