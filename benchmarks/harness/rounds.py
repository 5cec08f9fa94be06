"""Alternating rounds: every subject with every visitor takes its turn in each, and medians and quartiles are told.

Processor time is counted unless another clock is given, so a busy machine disturbs little, and all alike. The garbage
collector runs as it does in a server; what lives through all rounds is frozen, so that the many applications of a
benchmark do not make a collection dearer than in a process with one.
"""

import gc
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count, cycle, islice, repeat

from .calls import CALLS, CHUNKS
from .subjects import SUB, SUBJECTS, Subject

REQUESTS = 400
"""Requests in one measurement: several collections of the youngest generation are among them."""

FEWER = {"Flask": 2, "FastAPI": 2, "stream": 100}

LEFT_BY = 50
"""Requests after which the collector is asked what they left."""

SAME_APP = 8
"""Rounds that an application lives through which sees new cookies only."""

OTHERS = "theme=dark; locale=en-GB; _ga=GA1.1.1193046471.1763900000; "
"""Cookies of the site that are not about the login: browsers send these with every request too."""

WITH_COOKIES = {"1 cookie": 1, "10 cookies": 10, "100 cookies": 100}
SIGNED_IN = ("warm", "first seen", "does not ask, signed in", *WITH_COOKIES)
NOBODY = ("anonymous", "others' cookies", "does not ask")
VISITORS = (*SIGNED_IN[:3], *NOBODY, "forged", *WITH_COOKIES)
VISITS = {
    "ASGI": VISITORS,
    "Flask": VISITORS,
    "FastAPI": ("warm", "first seen"),
    "websocket": ("warm", "first seen", "anonymous"),
    "stream": ("warm", "does not ask"),
}
PEER = {"ASGI": "SessionMiddleware", "Flask": "Flask session", "FastAPI": "PyJWT"}
PEER |= {"websocket": "SessionMiddleware", "stream": "SessionMiddleware"}


class Cell:
    """One subject with one kind of visitor: its own application, and the cookies to come."""

    def __init__(self, subject: Subject, visitor: str, requests: int, clock: Callable[[], float]) -> None:
        self.subject, self.visitor, self.clock = subject, visitor, clock
        self.app, self.call = subject.make(), CALLS[subject.edge]
        self.path = "/plain" if visitor.startswith("does not ask") else "/who"
        self.cookies = self._cookies()
        # What takes longer needs fewer. Of a stream, each chunk counts.
        self.requests = max(1, requests // FEWER.get(subject.edge, 1))
        self.units = self.requests * (CHUNKS if subject.edge == "stream" else 1)
        self.times: list[float] = []
        self.cycles = 0.0

    def _cookies(self) -> Iterator[bytes | None]:
        if self.visitor in ("anonymous", "does not ask"):
            return repeat(None)
        if self.visitor == "others' cookies":
            return repeat(OTHERS.removesuffix("; ").encode())
        if self.visitor == "first seen":
            if self.subject.remembers:
                return (self._header(self.subject.mint()) for _ in count())
            return cycle([self._header(self.subject.mint()) for _ in range(40)])
        good = self.subject.mint()
        return repeat(self._header(_forged(good) if self.visitor == "forged" else good))

    def _header(self, value: str) -> bytes:
        others = OTHERS
        if self.visitor in WITH_COOKIES:
            others = "".join(
                f"other_{number}=value-of-it-{number}; " for number in range(WITH_COOKIES[self.visitor] - 1)
            )
        return f"{others}{self.subject.cookie}={value}".encode()

    async def check(self) -> None:
        """One request, not counted: warms everything up and makes sure that the subject does its work."""
        answer = await self.call(self.app, next(self.cookies), self.path)
        known = self.visitor in SIGNED_IN or self.path == "/plain" or self.subject.name == "bare"
        refuses = "login_required" in self.subject.name
        fine = 101 if self.subject.edge == "websocket" else 200
        expected = (fine, SUB.encode()) if known else (302, b"") if refuses else (fine, b"nobody")
        assert answer == expected, (self.subject, self.visitor, answer)

    async def run(self, cookies: Iterable[bytes | None]) -> None:
        app, call, path = self.app, self.call, self.path
        for cookie in cookies:
            await call(app, cookie, path)

    async def count_cycles(self) -> None:
        """How many objects a request leaves for the collector, because they refer to each other in a circle."""
        cookies = list(islice(self.cookies, LEFT_BY))
        gc.collect()
        gc.disable()
        await self.run(cookies)
        self.cycles = gc.collect() / len(cookies)
        gc.enable()

    async def measure(self) -> None:
        if self.visitor == "first seen" and self.subject.remembers and len(self.times) % SAME_APP == SAME_APP - 1:
            # What applications remember of cookies has one bound for the whole process, which serves one of them as a
            # rule and not as many as here.
            self.app = self.subject.make()
            await self.check()
        cookies = list(islice(self.cookies, self.requests))
        gc.collect()
        began = self.clock()
        await self.run(cookies)
        self.times.append((self.clock() - began) / self.units * 1e6)


def _forged(value: str) -> str:
    """The payload altered in its tenth character, the form and the signature as they were."""
    return value[:9] + ("A" if value[9] != "A" else "B") + value[10:]


def cells_of(
    subjects: Iterable[Subject], visitors: Iterable[str], requests: int, clock: Callable[[], float]
) -> list[Cell]:
    subjects = list(subjects)
    return [
        Cell(subject, visitor, requests, clock)
        for visitor in visitors
        for subject in subjects
        if visitor in VISITS[subject.edge]
    ]


@dataclass(frozen=True)
class Row:
    """Microseconds per request, or per chunk of a stream; quartiles are the spread over the rounds.

    `overhead_us` is the median difference to the bare route of the same round. `times_less` is the peer's overhead
    divided by this one's. `cycles` is how many objects a request leaves for the garbage collector.
    """

    edge: str
    visitor: str
    subject: str
    us: float
    us_q1: float
    us_q3: float
    multiple: float
    overhead_us: float
    overhead_q1: float
    overhead_q3: float
    times_less: float | None
    cycles: float


async def measured(
    rounds: int, *, subjects=SUBJECTS, visitors=VISITORS, clock=time.process_time, requests=REQUESTS
) -> list[Row]:
    cells = cells_of(subjects, visitors, requests, clock)
    for cell in cells:
        await cell.check()
    gc.collect()
    gc.freeze()
    for cell in cells:
        if cell.subject.edge != "stream":
            await cell.count_cycles()
    for number in range(rounds):
        # What lives on is not looked at again, the cookies that were remembered in the round before among it.
        gc.collect()
        gc.freeze()
        turn = number % len(cells)
        for cell in cells[turn:] + cells[:turn]:
            await cell.measure()
    found = {(cell.subject.edge, cell.visitor, cell.subject.name): cell.times for cell in cells}
    cycles = {(cell.subject.edge, cell.visitor, cell.subject.name): cell.cycles for cell in cells}
    edges = list(VISITS)
    return [
        _row(found, *key, cycles[key])
        for key in sorted(found, key=lambda key: (edges.index(key[0]), VISITORS.index(key[1])))
    ]


def _row(found: dict[tuple[str, str, str], list[float]], edge: str, visitor: str, name: str, cycles: float) -> Row:
    def overheads(subject: str) -> list[float]:
        pairs = zip(found[edge, visitor, subject], found[edge, visitor, "bare"], strict=True)
        return [mine - bare for mine, bare in pairs]

    times, peer = found[edge, visitor, name], PEER[edge]
    us, bare = statistics.median(times), statistics.median(found[edge, visitor, "bare"])
    low, overhead, high = quartiles(overheads(name))
    ours = name.startswith("ours") and (edge, visitor, peer) in found
    times_less = statistics.median(overheads(peer)) / overhead if ours and overhead > 0 else None
    first, _, third = quartiles(times)
    return Row(edge, visitor, name, us, first, third, us / bare, overhead, low, high, times_less, cycles)


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """The first quartile, the median, the third quartile; of a single value, that."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    first, middle, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, middle, third


def show(rows: list[Row]) -> None:
    print(f"{platform.python_implementation()} {platform.python_version()}; µs per request, medians and quartiles\n")
    print(f"{'':9} {'visitor':24} {'subject':26} {'µs':>7} {'of bare':>8} {'overhead':>9} {'cycles':>7}  (quartiles)")
    for row in rows:
        less = f"  {row.times_less:5.1f} x less than {PEER[row.edge]}" if row.times_less is not None else ""
        print(
            f"{row.edge:9} {row.visitor:24} {row.subject:26} {row.us:7.2f} {row.multiple:7.2f}x"
            f" {row.overhead_us:9.2f} {row.cycles:7.1f}  ({row.overhead_q1:.2f} to {row.overhead_q3:.2f}){less}"
        )
