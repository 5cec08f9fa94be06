"""What people get who log in while somebody floods the start of logins, and what XWMS hears of it.

One process of uvicorn (Starlette) behind a proxy that tells the address of each visitor, and a fake XWMS. Five people a
second come for the first time, each from an address of their own, and log in; meanwhile so many starts a second as
`--rate` says come from the addresses of the story. The last story is the flood from one address behind a proxy that
passes nothing on. `late` is the second half, when the burst is over.

    python benchmarks/login_flood.py [--json] [--quick] [--seconds N] [--rate N] [--package CHECKOUT]

`--package` is the root of another checkout, whose package serves the application: for figures from before a change.
"""

import argparse
import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypedDict

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, os.environ.get("LOGIN_FLOOD_PACKAGE", str(ROOT)))  # runs from a checkout, installed or not
sys.path.append(str(ROOT))

PEOPLE = 5
URI = "https://app.example/xwms/validateToken"
SECRET = "for-a-benchmark-only-0123456789-abcdefghij"


class Story(TypedDict):
    name: str
    addresses: int
    networks: int
    is_told: bool


STORIES: tuple[Story, ...] = (
    {"name": "no flood", "addresses": 0, "networks": 0, "is_told": True},
    {"name": "one address", "addresses": 1, "networks": 1, "is_told": True},
    {"name": "100 addresses in 100 networks", "addresses": 100, "networks": 100, "is_told": True},
    {"name": "65,536 /64 of one IPv6 /48", "addresses": 65_536, "networks": 1, "is_told": True},
    {"name": "one address, not told", "addresses": 1, "networks": 1, "is_told": False},
)


def serve(port: int) -> None:
    """The application, with the settings of the environment."""
    import uvicorn  # noqa: PLC0415
    from starlette.applications import Starlette  # noqa: PLC0415
    from starlette.middleware import Middleware  # noqa: PLC0415

    from xwms_auth.starlette import XWMSAuthMiddleware  # noqa: PLC0415

    app = Starlette(middleware=[Middleware(XWMSAuthMiddleware)])
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="critical", access_log=False)


@contextmanager
def application(options: dict[str, Any], package: str) -> Iterator[tuple[int, int]]:
    """Its port and its process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    environ = {name: value for name, value in os.environ.items() if not name.startswith("XWMS_")} | {
        "LOGIN_FLOOD_PACKAGE": package,
        "PYTHONPATH": package,
        "XWMS_CLIENT_ID": options["client_id"],
        "XWMS_CLIENT_SECRET": options["client_secret"],
        "XWMS_SESSION_SECRET": SECRET,
        "XWMS_REDIRECT_URI": URI,
        "XWMS_API_URI": options["api_url"],
        "XWMS_INSECURE_ALLOW_HTTP": "",
    }
    command = [sys.executable, __file__, "--serve", str(port)]
    with subprocess.Popen(command, env=environ) as process:
        try:
            for _ in range(600):
                with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.05)
            yield port, process.pid
        finally:
            process.terminate()


def megabytes(pid: int) -> float:
    """The resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


class Wire:
    """A connection of the proxy to the application, which is kept."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, target: str, address: str, *headers: str) -> tuple[int, dict[str, str]]:
        """The status and the headers of the answer; with `Set-Cookie` the pairs of all cookies."""
        reader, writer = self._streams = self._streams or await asyncio.open_connection("127.0.0.1", self._port)
        told = [f"X-Forwarded-For: {address}"] if address else []
        fields = ["Host: app.example", "Accept: text/html", *told, *headers]
        writer.write("\r\n".join([f"GET {target} HTTP/1.1", *fields, "", ""]).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        found: dict[str, str] = {}
        for name, value in (line.split(": ", 1) for line in head[1:] if line):
            kept = found.get("set-cookie") if name == "set-cookie" else None
            pair = value.partition(";")[0] if name == "set-cookie" else value
            found[name] = f"{kept}; {pair}" if kept else pair
        await reader.readexactly(int(found.get("content-length", "0")))
        return int(head[0].split(" ")[1]), found


def attacker_address(number: int, story: Story) -> str:
    if story["networks"] == story["addresses"]:
        return f"203.{number // 250}.{number % 250}.7"
    return f"2001:db8:bad:{number:x}::1"


async def flood(wires: list[Wire], story: Story, *, rate: int, ends: float, counts: Counter[str]) -> None:
    """Start logins at this rate, whatever the answers are."""
    rng, began, sent = random.Random(story["name"]), time.monotonic(), 0

    async def by(wire: Wire) -> None:
        nonlocal sent
        while time.monotonic() < ends:
            if sent > (time.monotonic() - began) * rate:
                await asyncio.sleep(0.01)
                continue
            sent += 1
            address = attacker_address(rng.randrange(story["addresses"]), story) if story["is_told"] else ""
            status, _ = await wire.get("/xwms/auth", address)
            counts[f"flood {status}"] += 1

    await asyncio.gather(*map(by, wires))


async def log_in(wire: Wire, fx: Any, address: str, counts: Counter[str], times: list[float]) -> None:
    """One person logs in."""
    began = time.monotonic()
    status, headers = await wire.get("/xwms/auth", address)
    counts[f"start {status}"] += 1
    if status != 302:
        return
    token = fx.approve(headers["location"].rpartition("/")[2])
    status, _ = await wire.get(
        f"/xwms/validateToken?token={token}", address, f"Cookie: {headers['set-cookie']}", "Sec-Fetch-Mode: navigate"
    )
    counts[f"callback {status}"] += 1
    times.append(time.monotonic() - began)


async def people(port: int, fx: Any, story: Story, *, ends: float, counts: Counter[str], times: list[float]) -> None:
    """Five a second, at moments that nobody knows."""
    rng, number, waiting = random.Random(1), 0, set[asyncio.Task[None]]()
    idle: list[Wire] = []

    async def one(address: str) -> None:
        wire = idle.pop() if idle else Wire(port)
        await log_in(wire, fx, address, counts, times)
        idle.append(wire)

    while time.monotonic() < ends:
        await asyncio.sleep(rng.expovariate(PEOPLE))
        number += 1
        address = f"198.{number // 250 % 250}.{number % 250}.{1 + rng.randrange(250)}" if story["is_told"] else ""
        task = asyncio.create_task(one(address))
        waiting.add(task)
        task.add_done_callback(waiting.discard)
    await asyncio.gather(*waiting)


async def half(wires: list[Wire], port: int, fx: Any, story: Story, *, rate: int, seconds: float) -> dict[str, Any]:
    counts, times = Counter[str](), list[float]()
    before, began = fx.calls("sign-token"), time.monotonic()
    ends = began + seconds
    flooding = flood(wires, story, rate=rate, ends=ends, counts=counts) if story["addresses"] else asyncio.sleep(0)
    await asyncio.gather(flooding, people(port, fx, story, ends=ends, counts=counts, times=times))
    took = time.monotonic() - began
    came = sum(count for name, count in counts.items() if name.startswith("start"))
    times.sort()
    return {
        "people": came,
        "logged in": counts["callback 303"],
        "logged in, %": round(100 * counts["callback 303"] / max(1, came)),
        "median, ms": round(1000 * times[len(times) // 2]) if times else None,
        "flood/s": round(sum(count for name, count in counts.items() if name.startswith("flood")) / took),
        "calls/s": round((fx.calls("sign-token") - before) / took, 1),
    }


def measure(story: Story, *, package: str, rate: int, seconds: float) -> dict[str, Any]:
    from tests.tools.fake_xwms import FakeXWMS  # noqa: PLC0415

    with FakeXWMS() as fx, application(fx.options(), package) as (port, pid):

        async def both() -> tuple[dict[str, Any], dict[str, Any]]:
            await log_in(Wire(port), fx, "", Counter(), [])
            wires = [Wire(port) for _ in range(20)]
            options: dict[str, Any] = {"rate": rate, "seconds": seconds / 2}
            return await half(wires, port, fx, story, **options), await half(wires, port, fx, story, **options)

        before = megabytes(pid)
        early, late = asyncio.run(both())
        grown = megabytes(pid) - before
    return {
        "flood from": story["name"],
        "flood/s": late["flood/s"],
        "people": early["people"] + late["people"],
        "logged in, %": round(100 * (early["logged in"] + late["logged in"]) / (early["people"] + late["people"])),
        "late: logged in, %": late["logged in, %"],
        "late: median, ms": late["median, ms"],
        "calls/s": early["calls/s"],
        "late: calls/s": late["calls/s"],
        "memory, MB": round(grown, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quick", action="store_true", help="a few seconds of two stories")
    parser.add_argument("--seconds", type=float, default=60, help="how long each story lasts")
    parser.add_argument("--rate", type=int, default=300, help="starts a second of the flood")
    parser.add_argument("--package", default=str(ROOT), help="the checkout whose package serves the application")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    stories, seconds = (STORIES[:2], 6) if options.quick else (STORIES, options.seconds)
    rows = [measure(story, package=options.package, rate=options.rate, seconds=seconds) for story in stories]
    if options.json:
        print(json.dumps({"rows": rows}, indent=2))
        return
    print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(map(str, row.values())) + " |")


if __name__ == "__main__":
    main()
