"""What a login costs on the way to XWMS: its two calls over TLS, beside the same calls with other HTTP clients.

A login is two calls, `sign-token` and `sign-token-verify`. A TLS server in a process of its own stands for XWMS; the
certificate authority is made for the run and stands in one file with those of the system, since to read that file is
a large part of what some clients do. Three tables:

- *one at a time*: processor time of this process and time on the wall for one call; *cold*, with six idle seconds
  before it, as between two people or while one of them is at XWMS; and *warm*, right after another. Async code also
  has the longest time for which the event loop did nothing else;
- *20 ms away*: time on the wall for a call, through a relay that delays each direction by ten milliseconds;
- *at once*: logins per second with 1, 16 and 64 people who log in again and again (`kept`), and when 64 come at one
  moment and no connection is open (`burst`).

Clients take turns in every round; the figures are medians, and the quartiles say how far the rounds were apart.
Others' clients that are not installed are left out: requests, urllib3, httpx, aiohttp.

    python benchmarks/login_cost.py [--json] [--rounds N] [--cold-rounds N]
"""

import argparse
import asyncio
import contextlib
import gc
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout, installed or not

from harness.output import print_rows
from login.clients import Client, async_clients, installed, sync_clients
from login.server import make_certificates, running_server

IDLE = 6.0
"""Seconds without a call before a cold one: more than any of the clients keeps a connection, but for those that keep
it for longer, which the table shows."""

AT_ONCE = (1, 16, 64)


async def finish(value: Any) -> Any:
    return await value if isinstance(value, Awaitable) else value


# --- what is measured ------------------------------------------------------------------------------------------------


def row(table: str, client: Client, unit: str, values: list[float], **more: Any) -> dict[str, Any]:
    first, _, third = statistics.quantiles(values, n=4) if len(values) > 1 else (values[0],) * 3
    return {
        "table": table,
        "client": client.name,
        "kind": "async" if client.is_async else "sync",
        **more,
        "unit": unit,
        "value": statistics.median(values),
        "from": first,
        "to": third,
        "rounds": len(values),
    }


class Stalls:
    """The longest time between two turns of the event loop while it is open."""

    async def __aenter__(self) -> "Stalls":
        self.longest = 0.0
        self.task = asyncio.ensure_future(self.watch())
        await asyncio.sleep(0)
        return self

    async def watch(self) -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            self.longest, last = max(self.longest, now - last), now

    async def __aexit__(self, *error: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def timed(client: Client, number: int) -> tuple[float, float]:
    """Milliseconds on the processor and on the wall for one call."""
    gc.collect()
    began, used = time.perf_counter(), time.process_time()
    await finish(client.call(number))
    return 1000 * (time.process_time() - used), 1000 * (time.perf_counter() - began)


async def one_at_a_time(clients: list[Client], rounds: int, cold_rounds: int) -> list[dict[str, Any]]:
    rows = []
    for client in clients:  # imports, contexts
        await finish(client.call(0))
    cold: dict[str, dict[Client, list[float]]] = {"cpu": {}, "wall": {}, "stall": {}}
    for turn in range(2 * cold_rounds):
        await asyncio.sleep(IDLE)
        for client in clients:
            if turn % 2 and client.is_async:  # the heartbeat needs the processor: by turns
                async with Stalls() as stalls:
                    await finish(client.call(0))
                cold["stall"].setdefault(client, []).append(1000 * stalls.longest)
            else:
                cpu, wall = await timed(client, turn // 2 % 2)
                cold["cpu"].setdefault(client, []).append(cpu)
                cold["wall"].setdefault(client, []).append(wall)
    warm: dict[Client, list[float]] = {client: [] for client in clients}
    for _ in range(rounds):
        for client in clients:
            await finish(client.call(0))
            used = time.process_time()
            for number in range(20):
                await finish(client.call(number % 2))
            warm[client].append(1000 * (time.process_time() - used) / 20)
    for what, found in cold.items():
        rows += [
            row("one at a time", client, "ms", values, state="cold", what=what) for client, values in found.items()
        ]
    rows += [row("one at a time", client, "ms", values, state="warm", what="cpu") for client, values in warm.items()]
    return rows


async def far_away(clients: list[Client], rounds: int) -> list[dict[str, Any]]:
    rows = []
    for client in clients:
        cold = (await timed(client, 0))[1]
        warm = [(await timed(client, number % 2))[1] for number in range(1, rounds + 1)]
        rows += [row("20 ms away", client, "ms", [cold], state="cold", what="wall")]
        rows += [row("20 ms away", client, "ms", warm, state="warm", what="wall")]
    return rows


def rate_in_threads(client: Client, people: int, logins: int) -> float:
    """Logins per second of so many threads, each of which logs in so many times. Counts those that succeed."""
    done, start = [], threading.Barrier(people + 1)

    def person() -> None:
        start.wait()
        for _ in range(logins):
            with contextlib.suppress(Exception):
                client.call(0)
                client.call(1)
                done.append(1)

    with ThreadPoolExecutor(people) as threads:
        tasks = [threads.submit(person) for _ in range(people)]
        start.wait()
        began = time.perf_counter()
        for task in tasks:
            task.result()
        return len(done) / (time.perf_counter() - began)


async def rate_in_tasks(client: Client, people: int, logins: int) -> float:
    done = []

    async def person() -> None:
        for _ in range(logins):
            with contextlib.suppress(Exception):
                await client.call(0)
                await client.call(1)
                done.append(1)

    began = time.perf_counter()
    await asyncio.gather(*(person() for _ in range(people)))
    return len(done) / (time.perf_counter() - began)


async def rate(client: Client, people: int, logins: int) -> float:
    if client.is_async:
        return await rate_in_tasks(client, people, logins)
    return await asyncio.to_thread(rate_in_threads, client, people, logins)


async def at_once(makers: list[Callable[[], Client]], rounds: int) -> list[dict[str, Any]]:
    found: dict[tuple[str, int, str, bool], tuple[Client, list[float]]] = {}
    for turn in range(rounds):
        for maker in makers[turn % len(makers) :] + makers[: turn % len(makers)]:
            for people in AT_ONCE:
                client = maker()
                # What keeps no connection is as slow with few as with many.
                kept = max(4, 256 // people) if client.name != "requests.post" else max(1, 32 // people)
                for state, logins in (("burst", 1), ("kept", kept)):
                    values = found.setdefault((state, people, client.name, client.is_async), (client, []))[1]
                    values.append(await rate(client, people, logins))
                await finish(client.close())
    return [
        row("at once", client, "logins/s", values, state=state, people=people)
        for (state, people, *_), (client, values) in found.items()
    ]


async def measured(options: argparse.Namespace) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    wanted = set(options.clients.split(",")) if options.clients else set()
    tables = options.tables.split(",")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_certificates(folder)
        os.environ["SSL_CERT_FILE"] = os.environ["REQUESTS_CA_BUNDLE"] = str(folder / "trusted.pem")
        with running_server(folder) as (near, far):
            makers = installed(sync_clients(near), wanted) + installed(async_clients(near), wanted)
            if "one" in tables:
                clients = [maker() for maker in makers]
                rows += await one_at_a_time(clients, options.rounds, options.cold_rounds)
                for client in clients:
                    await finish(client.close())
            if "far" in tables:
                clients = [m() for m in installed(sync_clients(far), wanted) + installed(async_clients(far), wanted)]
                rows += await far_away(clients, options.rounds)
                for client in clients:
                    await finish(client.close())
            if "at-once" in tables:
                rows += await at_once(makers, options.rounds)
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    for table in dict.fromkeys(row["table"] for row in rows):
        print(f"\n{table}\n")
        for row in (row for row in rows if row["table"] == table):
            more = " ".join(str(row[name]) for name in ("people", "state", "what") if name in row)
            spread = f"{row['from']:.2f} to {row['to']:.2f}"
            print(f"  {more:14} {row['kind']:5} {row['client']:14} {row['value']:9.2f} {row['unit']:9} {spread}")


def main() -> None:
    parser = argparse.ArgumentParser(description="What a login costs on the way to XWMS.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the tables")
    parser.add_argument("--rounds", type=int, default=10, help="(default: %(default)s)")
    parser.add_argument("--cold-rounds", type=int, default=4, help="each takes twelve seconds (default: %(default)s)")
    parser.add_argument("--clients", default="", help="only these, with commas between them")
    parser.add_argument("--tables", default="one,far,at-once", help="only these (default: %(default)s)")
    options = parser.parse_args()
    rows = asyncio.run(measured(options))
    print_rows(rows, options, show)


if __name__ == "__main__":
    main()
