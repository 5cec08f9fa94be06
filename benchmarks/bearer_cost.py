"""What an access token costs an API per request, over the same route without any guard.

Each request of *JWT RS256* and *JWT ES256* brings another token, so none has been seen; *JWT seen* is one of them again
and again, and *opaque, seen* a token that introspection found valid a moment ago. *forged* is a JWT with the signature
of another key, and *junk* is no JWT at all. A server of this process answers for keys and introspection; nobody waits
for it, since it is asked before the first round and then every half minute.

Requests are made in process through the application's own ASGI or WSGI callable, all subjects take turns in every
round, and processor time is counted. The garbage collector runs.

    python benchmarks/bearer_cost.py [--json] [--quick] [--rounds N]
"""

import argparse
import asyncio
import gc
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from io import BytesIO
from itertools import cycle, islice
from typing import Any

from harness import bearer
from harness.calls import HOST, SCOPE, WSGI, receive
from harness.output import add_options, print_rows
from harness.rounds import quartiles
from harness.subjects import SUB

REQUESTS = 40
"""Requests in one measurement."""

# What a program sends with a call.
HEADERS = {"host": HOST, "user-agent": "python-httpx2/2.16.2", "accept": "application/json", "connection": "keep-alive"}
ASGI_HEADERS = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
ENVIRON = {name: value for name, value in WSGI.items() if not name.startswith("HTTP_")}
ENVIRON |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in HEADERS.items()}


async def call_asgi(app: Any, authorization: str) -> tuple[int, bytes]:
    # As a server would: new objects for every request, so that no hash is known beforehand.
    headers = [*ASGI_HEADERS, (b"authorization", authorization.encode())]
    scope: dict[str, Any] = {**SCOPE, "path": "/who", "raw_path": b"/who", "headers": headers, "state": {}}
    status, body = 0, b""

    async def send(message: Any) -> None:
        nonlocal status, body
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            body += message["body"]

    await app(scope, receive, send)
    return status, body


async def call_wsgi(app: Any, authorization: str) -> tuple[int, bytes]:
    environ: dict[str, Any] = {**ENVIRON, "PATH_INFO": "/who", "wsgi.input": BytesIO(), "wsgi.errors": sys.stderr}
    environ["HTTP_AUTHORIZATION"] = authorization
    status = ""

    def start_response(line: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], None]:
        nonlocal status
        status = line
        return lambda data: None

    chunks = app(environ, start_response)
    body = b"".join(chunks)
    if hasattr(chunks, "close"):
        chunks.close()
    return int(status[:3]), body


@dataclass
class Cell:
    """One subject with one kind of token: its own application, and the headers to come."""

    edge: str
    visitor: str
    subject: str
    app: Any
    headers: Iterator[str]
    times: list[float] = field(default_factory=list)

    @property
    def call(self) -> Any:
        return call_wsgi if self.edge == "Flask" else call_asgi

    async def check(self) -> None:
        """One request, not counted: warms everything up and makes sure that the subject does its work."""
        status, body = await self.call(self.app, next(self.headers))
        refused = self.visitor in ("forged", "junk") and self.subject != "bare"
        assert status == (401 if refused else 200), (self, status, body)
        assert refused or SUB.encode() in body, (self, body)

    async def measure(self, clock: Callable[[], float]) -> None:
        app, call, headers = self.app, self.call, list(islice(self.headers, REQUESTS))
        gc.collect()
        began = clock()
        for header in headers:
            await call(app, header)
        self.times.append((clock() - began) / REQUESTS * 1e6)


def cells(issuer: str) -> Iterator[Cell]:
    tokens = {
        "JWT RS256": partial(bearer.tokens, bearer.KEYS["RS256"], issuer),
        "JWT ES256": partial(bearer.tokens, bearer.KEYS["ES256"], issuer),
        "JWT seen": lambda: cycle([next(bearer.tokens(bearer.KEYS["RS256"], issuer))]),
        "forged": partial(bearer.tokens, bearer.FORGING_KEY, issuer),
        "junk": lambda: cycle([f"Bearer {bearer.JUNK}"]),
    }
    for edge, (bare, ours, theirs) in bearer.MAKERS.items():
        for visitor, headers in tokens.items():
            algorithm = "ES256" if "ES256" in visitor else "RS256"
            cell = partial(Cell, edge, visitor)
            yield cell("bare", bare(), headers())
            yield cell("ours", ours(bearer.config_for(issuer, "jwt")), headers())
            if find_spec("jwt"):
                yield cell("PyJWT", theirs(bearer.with_pyjwt(issuer, algorithm)), headers())
            yield cell("joserfc", theirs(bearer.with_joserfc(issuer, algorithm)), headers())
        cell = partial(Cell, edge, "opaque, seen", headers=cycle([f"Bearer {bearer.OPAQUE}"]))
        yield cell("bare", bare())
        yield cell("ours", ours(bearer.config_for(issuer, "introspection")))


@dataclass(frozen=True)
class Row:
    """Microseconds per request, with the quartiles of the rounds.

    `overhead_us` is the median difference to the bare route of the same round. `times_less` is PyJWT's overhead divided
    by this one's.
    """

    edge: str
    visitor: str
    subject: str
    us: float
    overhead_us: float
    overhead_q1: float
    overhead_q3: float
    times_less: float | None


async def _measure(found: list[Cell], rounds: int, clock: Callable[[], float]) -> None:
    for cell in found:
        await cell.check()
    gc.collect()
    gc.freeze()  # what lives through all rounds is not looked at again
    for number in range(rounds):
        turn = number % len(found)
        for cell in found[turn:] + found[:turn]:
            await cell.measure(clock)
    gc.unfreeze()


def measured(rounds: int, *, clock: Callable[[], float] = time.process_time) -> list[Row]:
    """The rows of all subjects."""
    with bearer.authorization_server() as issuer:
        found = list(cells(issuer))
        asyncio.run(_measure(found, rounds, clock))
    times = {(cell.edge, cell.visitor, cell.subject): cell.times for cell in found}
    return [_row(times, *key) for key in times]


def _row(times: dict[tuple[str, str, str], list[float]], edge: str, visitor: str, subject: str) -> Row:
    def overheads(name: str) -> list[float]:
        pairs = zip(times[edge, visitor, name], times[edge, visitor, "bare"], strict=True)
        return [mine - bare for mine, bare in pairs]

    q1, overhead, q3 = quartiles(overheads(subject))
    has_peer = subject == "ours" and (edge, visitor, "PyJWT") in times
    times_less = quartiles(overheads("PyJWT"))[1] / overhead if has_peer and overhead > 0 else None
    return Row(edge, visitor, subject, quartiles(times[edge, visitor, subject])[1], overhead, q1, q3, times_less)


def main() -> None:
    parser = argparse.ArgumentParser(description="What an access token costs per request.")
    add_options(parser)
    parser.add_argument("--rounds", type=int, help="more rounds, steadier medians (default: 60)")
    options = parser.parse_args()
    print_rows(measured(options.rounds or (2 if options.quick else 60)), options)
    if not find_spec("jwt"):
        print("PyJWT is not installed, so its rows were left out.", file=sys.stderr)


if __name__ == "__main__":
    main()
