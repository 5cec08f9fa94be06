"""Whether many sessions make one dearer: a thousand to a million of them in SQLite, in Redis and in PostgreSQL.

One process per store fills it; at every size it looks up sessions at random, begins some, and weighs the store.
Between the sizes all fill at the same time, while they are measured only one does. In PostgreSQL five thousand sessions
are begun for each size, and the rest are rows copied from one of them under other keys, which fills its indexes alike.
Redis and PostgreSQL are the benchmark's own, with nothing written to the disk for sure; what is missing is left out.

    python benchmarks/session_count.py [--json] [--quick] [--sessions 1000 1000000]
"""

import argparse
import asyncio
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from inspect import isawaitable
from itertools import count
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from harness.output import add_options, print_rows
from harness.subjects import CLAIMS, CONFIG

from tests.tools.postgres_server import can_run, postgres_server
from tests.tools.redis_server import redis_server
from xwms_auth import User
from xwms_auth._core.base.crypto.digests import new_key
from xwms_auth._core.base.session import Session
from xwms_auth._core.config.context import Context
from xwms_auth.stores import open_store

SIZES = (1_000, 10_000, 100_000, 1_000_000)
LOOK_UPS = 2_000
BEGUN = 500
KEPT = 5_000
"""How many handles are kept for the look-ups: drawn evenly from all that were begun."""

IDLE = 86_400


@dataclass(frozen=True)
class Row:
    """Microseconds on the wall: of one look-up in sync and in async code, and of one beginning. Bytes on the average.

    `server_cpu_us` is the processor time of Redis itself for one look-up.
    """

    store: str
    sessions: int
    look_up_us: float
    look_up_p99_us: float
    async_look_up_us: float
    begin_us: float
    server_cpu_us: float | None
    megabytes: float
    bytes_each: float


def session_of(number: int, now: int) -> Session:
    texts = {name: "".join([*text]) for name, text in CLAIMS.items() if isinstance(text, str)}
    user = User(**{**CLAIMS, **texts, "sub": str(number)})
    return Session(id=new_key(), user=user, started_at=now, seen_at=now, device="Chrome on Linux")


class Filled:
    """One store that grows, in a process of its own."""

    def __init__(self, name: str, url: str) -> None:
        self.name, self.url = name, url
        self.context = Context.of(replace(CONFIG, session_store=url))
        self.store: Any = open_store(self.context)
        self.numbers = count(1)
        self.held = 0
        self.handles: list[str] = []
        self.empty = self._bytes()

    def _begin(self) -> str:
        now = int(time.time())
        return str(self.store.create(session_of(next(self.numbers), now), until=now + IDLE, now=now))

    def fill(self, sessions: int) -> None:
        if self.name == "PostgreSQL":
            self._fill_with_copies(sessions)
            return
        every = max(1, (sessions - self.held) // KEPT)
        fresh = [handle for number in range(self.held, sessions) if (handle := self._begin()) and number % every == 0]
        # The older ones stay in their proportion.
        older = random.sample(self.handles, len(self.handles) * self.held // sessions)
        self.handles = older + fresh
        self.held = sessions

    def _fill_with_copies(self, sessions: int) -> None:
        begun = min(KEPT, sessions - self.held)
        self.handles += [self._begin() for _ in range(begun)]
        self._sql(
            "INSERT INTO xwms_sessions (id, client, person, until, record)"
            " SELECT substr(md5(random()::text) || md5(random()::text), 1, 43), client,"
            " substr(md5(random()::text) || md5(random()::text), 1, 43), until, record"
            f" FROM (SELECT * FROM xwms_sessions LIMIT 1) AS one, generate_series(1, {sessions - self.held - begun})"
        )
        self._sql("ANALYZE xwms_sessions")
        self.held = sessions

    def _sql(self, statement: str) -> Any:
        import sqlalchemy  # noqa: PLC0415  not there where PostgreSQL is left out

        engine = sqlalchemy.create_engine(self.url)
        with engine.begin() as connection:
            found = connection.execute(sqlalchemy.text(statement))
            value = found.scalar() if found.returns_rows else None
        engine.dispose()
        return value

    def row(self) -> Row:
        megabytes, held = (self._bytes() - self.empty) / 1e6, self.held
        before = self._server_cpu()
        times = self._look_ups()
        server = None if before is None else ((self._server_cpu() or before) - before) / LOOK_UPS * 1e6
        in_async = statistics.median(asyncio.run(self._async_look_ups()))
        began = [timed(self._begin) for _ in range(BEGUN)]
        p99 = statistics.quantiles(times, n=100)[98]
        median, begin = statistics.median(times), statistics.median(began)
        return Row(self.name, held, median, p99, in_async, begin, server, megabytes, megabytes * 1e6 / held)

    def _look_ups(self) -> list[float]:
        now = int(time.time())
        return [timed(partial(self._found, handle, now)) for handle in random.choices(self.handles, k=LOOK_UPS)]

    def _found(self, handle: str, now: int) -> None:
        assert isinstance(self.store.load(handle, now=now), Session)

    async def _async_look_ups(self) -> list[float]:
        store: Any = open_store(self.context, is_async=True)
        if hasattr(store, "keep_connections"):
            store.keep_connections()
        times, now = [], int(time.time())
        for handle in random.choices(self.handles, k=LOOK_UPS):
            began = time.perf_counter()
            answer = store.load(handle, now=now)
            found = await answer if isawaitable(answer) else answer
            times.append((time.perf_counter() - began) * 1e6)
            assert isinstance(found, Session)
        closed = store.close()
        if isawaitable(closed):
            await closed
        return times

    def _bytes(self) -> int:
        if self.name == "SQLite":
            path = Path(self.url.removeprefix("sqlite:///"))
            return sum(file.stat().st_size for file in path.parent.glob(path.name + "*"))
        if self.name == "PostgreSQL":
            return int(self._sql("SELECT pg_total_relation_size('xwms_sessions')"))
        return int(self._info("memory")["used_memory"])

    def _server_cpu(self) -> float | None:
        if not self.name.startswith("Redis"):
            return None
        told = self._info("cpu")
        return float(told["used_cpu_user"]) + float(told["used_cpu_sys"])

    def _info(self, section: str) -> Any:
        import redis  # noqa: PLC0415  not there where Redis is left out

        with redis.Redis.from_url(self.url) as client:
            return client.info(section)


def timed(call: Any) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e6


def in_a_process(name: str, url: str, orders: "Connection[Any, Any]") -> None:
    """Does what it is told: `int` is fill so far, None is measure."""
    filled = Filled(name, url)
    for order in iter(orders.recv, "end"):
        if order is None:
            orders.send(filled.row())
        else:
            filled.fill(order)
            orders.send("filled")


def rows_of(places: dict[str, str], sizes: list[int]) -> Iterator[Row]:
    context, pipes, processes = get_context("spawn"), {}, []
    for name, url in places.items():
        pipes[name], theirs = context.Pipe()
        processes.append(context.Process(target=in_a_process, args=(name, url, theirs), daemon=True))
        processes[-1].start()
        theirs.close()
    for size in sizes:
        for pipe in pipes.values():
            pipe.send(size)
        for pipe in pipes.values():
            assert pipe.recv() == "filled"
        for pipe in pipes.values():
            pipe.send(None)
            yield pipe.recv()
    for pipe, process in zip(pipes.values(), processes, strict=True):
        pipe.send("end")
        process.join(30)


def main() -> None:
    parser = argparse.ArgumentParser(description="Whether many sessions make one dearer.")
    add_options(parser)
    parser.add_argument("--sessions", nargs="+", type=int, default=SIZES, help="the sizes (default: 10^3 to 10^6)")
    options = parser.parse_args()
    sizes = [200] if options.quick else sorted(options.sessions)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        places = {"SQLite": f"sqlite:///{folder}/sessions.sqlite3"}
        if shutil.which("redis-server"):
            server = stack.enter_context(redis_server(folder, unix=True))
            places["Redis TCP"] = server.url
        if can_run():
            places["PostgreSQL"] = stack.enter_context(postgres_server()).url("psycopg")
        rows = sorted(rows_of(places, sizes), key=lambda row: (row.store, row.sessions))
        print_rows(rows, options)


if __name__ == "__main__":
    main()
