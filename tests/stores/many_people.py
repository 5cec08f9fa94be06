"""Many people with their own cookies, who click at random, leave whenever they like, and look at every byte they get.

A `Line` is one connection to a server: requests of different people follow each other on it, as behind a proxy, so
that an answer which belongs to somebody else, or to an earlier request, is seen. A `Crowd` is everybody.

Knows: HTTP/1.1 in bytes, and the fake XWMS.
Must not: import the package.
"""

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import cycle

from tests.stores.people_app import CALLBACK, CUT_SHORT, PIECES
from tests.tools.fake_xwms import FakeXWMS

TAG = "people"  # of the cookies
SESSION, LOGIN = f"__Host-xwms_session_{TAG}", f"__Host-xwms_login_{TAG}_"
PATIENCE = 60.0  # seconds one request may take on a machine that is busy with everybody's
LINES = 48  # connections at one time
LEAVES = 0.06  # of the requests are not waited for
SUB = re.compile(rb"person-\d{4}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one request; `whole` is False where the visitor left before the end."""

    status: int
    head: bytes
    body: bytes
    whole: bool = True

    def all(self, name: bytes) -> list[str]:
        lines = self.head.split(b"\r\n")[1:]
        pairs = (line.partition(b":") for line in lines)
        return [value.strip().decode("latin-1") for key, _, value in pairs if key.lower() == name]


class Gone(Exception):
    """The server closed the connection without a word."""


class Line:
    """One connection at a time to one of these addresses, opened anew where it has ended."""

    def __init__(self, addresses: list[tuple[str, int]]) -> None:
        self._addresses = cycle(addresses)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*next(self._addresses))
        return self._streams

    def leave(self) -> None:
        """Hang up at once, whatever is under way."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def send(self, data: bytes) -> None:
        _, writer = await self.open()
        writer.write(data)
        await writer.drain()

    async def some(self, most: int) -> bytes:
        """A part of an answer, at most so many bytes."""
        reader, _ = await self.open()
        return await reader.read(most)

    async def answer(self) -> Answer:
        """The whole answer to what was sent."""
        reader, _ = await self.open()
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            got = Answer(int(head.split(b" ", 2)[1]), head[:-4], b"")
            if got.all(b"transfer-encoding") == ["chunked"]:
                body = b"".join([piece async for piece in _chunks(reader)])
            else:
                (length,) = got.all(b"content-length")
                body = await reader.readexactly(int(length))
        except asyncio.IncompleteReadError as cut:
            self.leave()
            raise Gone(cut.partial) from None
        if got.all(b"connection") == ["close"]:
            self.leave()
        return Answer(got.status, got.head, body)


async def _chunks(reader: asyncio.StreamReader):
    while length := int(await reader.readuntil(b"\r\n"), 16):
        yield (await reader.readexactly(length + 2))[:-2]
    await reader.readexactly(2)


def request(target: str, cookies: dict[str, str], *, method: str = "GET", site: str = "same-origin") -> bytes:
    """A person's navigation, or with site="" a program's request."""
    lines = [f"{method} {target} HTTP/1.1", "Host: app.example"]
    if site:
        lines += [
            "Accept: text/html",
            f"Sec-Fetch-Site: {site}",
            "Sec-Fetch-User: ?1",
            "Sec-Fetch-Mode: navigate",
            "Sec-Fetch-Dest: document",
        ]
    else:
        lines += ["Accept: application/json"]
    if cookies:
        lines += ["Cookie: " + "; ".join(f"{name}={value}" for name, value in cookies.items())]
    if method == "POST":
        lines += ["Content-Length: 0"]
    return "\r\n".join([*lines, "", ""]).encode()


def keep_cookies(jar: dict[str, str], answer: Answer) -> None:
    """Do as a browser does with `Set-Cookie`."""
    for line in answer.all(b"set-cookie"):
        pair, *attributes = line.split("; ")
        name, _, value = pair.partition("=")
        if "Max-Age=0" in attributes:
            jar.pop(name, None)
        else:
            jar[name] = value


@dataclass(slots=True)
class Person:
    """`signed_in` is None where the person left before they could know; `old` is a session cookie that has ended."""

    sub: str
    jar: dict[str, str] = field(default_factory=dict)
    signed_in: bool | None = False
    old: str | None = None


@dataclass(slots=True)
class Tally:
    """What was seen. `strange` and `unexpected` are to stay empty."""

    requests: int = 0
    left: Counter[str] = field(default_factory=Counter)
    did: Counter[str] = field(default_factory=Counter)
    renewed: int = 0
    asked_to_wait: int = 0
    too_slow: int = 0
    strange: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        speed = self.requests / self.seconds
        left, did = (", ".join(f"{name} {number}" for name, number in sorted(c.items())) for c in (self.left, self.did))
        return (
            f"{self.requests} requests in {self.seconds:.1f} s ({speed:.0f}/s); strangers seen: {len(self.strange)}; "
            f"unexpected: {len(self.unexpected)}; left {self.left.total()} times ({left}); renewed {self.renewed}; "
            f"asked to wait {self.asked_to_wait}; store too slow {self.too_slow}; {did}"
        )


class Crowd:
    """So many people at these addresses, until there were so many requests."""

    def __init__(self, addresses: list[tuple[str, int]], fx: FakeXWMS, *, people: int, seed: int) -> None:
        self._addresses = addresses
        self._fx = fx
        self._random = random.Random(seed)
        self.people = [Person(f"person-{number:04}") for number in range(people)]
        self._free = list(self.people)
        self._owner: dict[str, str] = {}
        self.tally = Tally()

    async def visit(self, requests: int) -> Tally:
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for _ in range(LINES):
                group.create_task(self._click(requests))
        self.tally.seconds = time.monotonic() - began
        return self.tally

    async def _click(self, requests: int) -> None:
        line = Line(self._addresses)
        try:
            while self.tally.requests < requests:
                # Nobody clicks twice at once: whoever is free is next.
                person = self._free.pop(self._random.randrange(len(self._free)))
                name, deed = self._choose(person)
                self.tally.did[name] += 1
                await deed(line, person)
                self._free.append(person)
        finally:
            line.leave()

    def _choose(self, person: Person) -> tuple[str, Callable[[Line, Person], Awaitable[None]]]:
        deeds = {
            "who": (20, self._who),
            "page": (16, self._page),
            "me": (12, self._me),
            "public": (10, self._public),
            "slow": (10, self._slow),
            "replay": (4, self._replay),
        }
        deeds |= {"log in": (4 if person.signed_in else 20, self._log_in)}
        if person.signed_in is not False:
            deeds |= {"start again": (3, self._start_again), "log out": (3, self._log_out)}
        (name,) = self._random.choices(list(deeds), [weight for weight, _ in deeds.values()])
        return name, deeds[name][1]

    # One request.

    async def _ask(self, line: Line, person: Person, data: bytes, *expected: int, whole: bool = False) -> Answer | None:
        """Send it; gives the answer, or None for a person who left. `whole` for one who stays."""
        self.tally.requests += 1
        how = "stays" if whole or self._random.random() >= LEAVES else self._random.choice(_LEAVING)
        try:
            async with asyncio.timeout(PATIENCE):
                if how == "before":
                    await line.send(data[: self._random.randrange(1, len(data) - 1)])
                elif how == "unanswered":
                    await line.send(data)
                elif how == "during":
                    await line.send(data)
                    self._look(person, await line.some(self._random.randrange(1, 600)), data)
                else:
                    await line.send(data)
                    answer = await line.answer()
        except (Gone, OSError, TimeoutError) as error:
            line.leave()
            self.tally.unexpected.append(f"{data.split(b' HTTP')[0]!r}: {type(error).__name__} {error}")
            return None
        if how != "stays":
            line.leave()
            self.tally.left[how] += 1
            if how != "after":
                return None
        if answer.status == 503 or answer.body.endswith(CUT_SHORT.encode()):
            # A store has half a second, which a machine that has ten times too much to do may not give it. That is
            # neither yes nor no, so the person goes on as one who left.
            self.tally.too_slow += 1
            self._look(person, answer.head + answer.body, data)
            self._look_at_cookies(person, answer)
            return None
        if answer.status not in expected:
            self.tally.unexpected.append(f"{data.split(b' HTTP')[0]!r}: {answer.status} {answer.body[:200]!r}")
        self._look(person, answer.head + answer.body, data)
        self._look_at_cookies(person, answer)
        return answer

    def _look(self, person: Person, received: bytes, data: bytes) -> None:
        """Nobody else's name stands in it."""
        for sub in set(SUB.findall(received)) - {person.sub.encode()}:
            self.tally.strange.append(f"{person.sub} saw {sub.decode()} at {data.split(b' HTTP')[0]!r}")

    def _look_at_cookies(self, person: Person, answer: Answer) -> None:
        """Nobody else was given the same session."""
        keep_cookies(person.jar, answer)
        for line in answer.all(b"set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            if name == SESSION and value and self._owner.setdefault(value, person.sub) != person.sub:
                self.tally.strange.append(f"{person.sub} was given a session of {self._owner[value]}")
            self.tally.renewed += name == SESSION and answer.status == 200

    def _judge(self, person: Person, answer: Answer | None, where: str, times: int = 1) -> None:
        """Somebody who is signed in is seen as that, and nobody who is not."""
        if answer is None:
            return
        seen = SUB.findall(answer.body)
        if seen != [person.sub.encode()] * times and (seen or person.signed_in):
            self.tally.strange.append(f"{person.sub} ({person.signed_in}) was {seen} at {where}: {answer.status}")
        if seen and person.signed_in is False:
            self.tally.strange.append(f"{person.sub} was signed in at {where} after a logout")

    def _statuses(self, person: Person) -> tuple[int, ...]:
        return {True: (200,), False: (401,), None: (200, 401)}[person.signed_in]

    # What people do.

    async def _who(self, line: Line, person: Person) -> None:
        data = request("/who", person.jar, site="")
        self._judge(person, await self._ask(line, person, data, *self._statuses(person)), "/who")

    async def _page(self, line: Line, person: Person) -> None:
        self._judge(person, await self._ask(line, person, request("/page", person.jar), 200), "/page")

    async def _me(self, line: Line, person: Person) -> None:
        self._judge(person, await self._ask(line, person, request("/xwms/me", person.jar, site=""), 200), "/xwms/me")

    async def _slow(self, line: Line, person: Person) -> None:
        data = request("/slow", person.jar, site="")
        answer = await self._ask(line, person, data, *self._statuses(person))
        self._judge(person, answer, "/slow", times=PIECES)

    async def _public(self, line: Line, person: Person) -> None:
        answer = await self._ask(line, person, request("/public", person.jar), 200)
        if answer is not None and (answer.body != b"for everybody" or answer.all(b"set-cookie")):
            self.tally.strange.append(f"{person.sub} got {answer} at /public")

    async def _replay(self, line: Line, person: Person) -> None:
        """A session that has ended stays so."""
        if person.old is None:
            return
        answer = await self._ask(line, person, request("/who", {SESSION: person.old}, site=""), 401)
        if answer is not None and answer.status == 200:
            self.tally.strange.append(f"an ended session of {person.sub} was good")

    async def _start_again(self, line: Line, person: Person) -> None:
        """Who is signed in already need not log in."""
        await self._ask(
            line, person, request("/xwms/auth", person.jar), *((303,) if person.signed_in else (302, 303, 429))
        )

    async def _log_in(self, line: Line, person: Person) -> None:
        """In a tab that was opened while nobody was signed in; a session that there is by now ends."""
        jar = {name: value for name, value in person.jar.items() if name != SESSION}
        # 429: a process starts so many logins a second, and on a quick machine the crowd comes quicker.
        answer = await self._ask(line, person, request("/xwms/auth?next=/page", jar), 302, 429)
        if answer is None or answer.status != 302:
            self.tally.asked_to_wait += answer is not None
            return
        token = answer.all(b"location")[0].rpartition("/")[2]
        returned = self._fx.approve(token, sub=person.sub)
        old = person.jar.get(SESSION)
        data = request(f"{CALLBACK}?token={returned}", person.jar, site="cross-site")
        back = await self._ask(line, person, data, 303)
        if back is None:
            person.signed_in = None
        elif back.status == 303:
            person.signed_in, person.old = True, old or person.old
            if person.jar.get(SESSION) in (None, old):
                self.tally.strange.append(f"{person.sub} logged in and got no session of their own")

    async def _log_out(self, line: Line, person: Person) -> None:
        old = person.jar.get(SESSION)
        answer = await self._ask(line, person, request("/xwms/logout", person.jar, method="POST"), 303)
        if answer is None:
            person.signed_in = None
        elif answer.status == 303:
            person.signed_in, person.old = False, old
            if SESSION in person.jar:
                self.tally.strange.append(f"{person.sub} logged out and kept a session")


_LEAVING = ("before", "unanswered", "during", "after")
