"""How fast a local XWMS answers when it is empty, when it is large, and when there are two of them.

The large one is a file with 10,000 clients, each with a secret, a domain, scopes and a redirect URI, and 100,000 people
who have approved some of them. One app after another logs in one person after another, both drawn at random: the app
asks for a token, the person opens the sign-in page and chooses who to be, and the app verifies the token. The page is
there because a login goes through it; what an app waits for are `sign-token` and `sign-token-verify`.

*HTTP* is a server in a process of its own and a new connection for every request. *in process* is the same app without
socket and server. *two at once* are two servers with two large files, asked at the same time.
Each server has one client, which waits for every answer. `median` and `p99` are time on the wall, which a busy machine
makes longer; `cpu` is the median of the processor time, for the app in process, where it is known.

    python benchmarks/sandbox_sign_token.py [--json] [--logins N] [--clients N] [--people N]
"""

import argparse
import http.client
import json
import multiprocessing
import platform
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import urlencode, urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout, installed or not

from sqlalchemy import insert

from xwms_auth.sandbox import SandboxServer, SandboxSettings, create_app
from xwms_auth.sandbox.db import Database
from xwms_auth.sandbox.db.schema import (
    Account,
    Approval,
    Client,
    ClientScope,
    ClientSecret,
    Domain,
    Person,
    RedirectURI,
    SecretDomain,
)
from xwms_auth.sandbox.domain.client_secrets import sha256_of
from xwms_auth.sandbox.domain.people import PEOPLE

NOW = 1_790_000_000.0
SEED = 20261124
WARM_UP = 20
"""Logins before the counting begins."""

FIRST_HAS = 5
"""Every so many people have approved the first client: one client with many users, beside many with few."""

STEPS = ("sign-token", "sign-in page", "sign-token-verify")

Answer = tuple[int, dict[str, str], bytes]
Ask = Callable[[str, str, bytes | None, dict[str, str]], Answer]


@dataclass(frozen=True, kw_only=True)
class App:
    """An application with its credentials, as the dashboard gave them to it."""

    client_id: str
    secret: str
    domain: str
    redirect_url: str

    @property
    def headers(self) -> dict[str, str]:
        return {
            "X-Client-Id": self.client_id,
            "X-Client-Secret": self.secret,
            "X-Client-Domain": self.domain,
            "Accept": "application/json",
            "Content-Type": "application/json",
        }


@dataclass(frozen=True, kw_only=True)
class World:
    """A database file, and the apps and people that are in it."""

    path: Path
    apps: Sequence[App]
    subs: Sequence[str]

    @property
    def settings(self) -> SandboxSettings:
        return settings(self.path)


# databases -----------------------------------------------------------------------------------------------------------


def settings(path: Path) -> SandboxSettings:
    return SandboxSettings(
        client_secret="of-the-command-line",
        redirect_uris=("http://localhost:5000/xwms/validateToken",),
        scopes=("userinfo",),
        database=path,
    )


def empty_world(path: Path) -> World:
    """One client, and the ready-made people: what a sandbox has at its start."""
    given = settings(path)
    app = App(
        client_id=given.client_id, secret=given.client_secret, domain=given.domain, redirect_url=given.redirect_uris[0]
    )
    return World(path=path, apps=[app], subs=[person.sub for person in PEOPLE])


def large_world(path: Path, *, clients: int, people: int) -> World:
    """Everything in one account, the worst case for its dashboard."""
    apps = [
        App(
            client_id=f"xwms_{n:024x}",
            secret=f"secret-{n}",
            domain=f"app{n}.example",
            redirect_url=f"https://app{n}.example/xwms/validateToken",
        )
        for n in range(clients)
    ]
    world = World(path=path, apps=apps, subs=[f"{2_000_000 + n}" for n in range(people)])
    database = Database(path)
    with database.work() as session:
        account = Account(name="Large", plan_key="client", plan_since=NOW, created_at=NOW)
        session.add(account)
        session.flush()
        keys = range(1, clients + 1)
        for table, rows in {
            Client: [
                {"id": n, "account_id": account.id, "client_id": app.client_id, "name": f"App {n}", "enabled": True}
                | {"created_at": NOW}
                for n, app in zip(keys, apps, strict=True)
            ],
            ClientSecret: [
                {"id": n, "client_pk": n, "label": "Default", "digest": sha256_of(app.secret), "active": True}
                | {"created_at": NOW, "revision": 1}
                for n, app in zip(keys, apps, strict=True)
            ],
            Domain: [
                {"id": n, "client_pk": n, "root_domain": app.domain, "domain_id": f"dom_{n:016x}", "active": True}
                | {"allow_login": True, "allow_api": True, "live": True, "allowed_ips": []}
                for n, app in zip(keys, apps, strict=True)
            ],
            SecretDomain: [{"secret_id": n, "domain_id": n} for n in keys],
            RedirectURI: [
                {"client_pk": n, "uri": app.redirect_url, "active": True} for n, app in zip(keys, apps, strict=True)
            ],
            ClientScope: [{"client_pk": n, "scope": "userinfo"} for n in keys],
            Person: [
                {"id": n, "sub": sub, "name": f"Person {n}", "given_name": "Person", "family_name": str(n)}
                | {
                    "email": f"person{n}@example.org",
                    "email_verified": True,
                    "note": "",
                    "listed": False,
                    "socials": [],
                }
                for n, sub in enumerate(world.subs, start=1)
            ],
            Approval: [
                {"client_pk": client, "person_id": person, "since": NOW, "last_login_at": NOW + person}
                | {"scopes": ["userinfo"]}
                for client, person in approvals(clients=clients, people=people)
            ],
        }.items():
            session.execute(insert(table), rows)
    database.close()
    return world


def approvals(*, clients: int, people: int) -> Iterator[tuple[int, int]]:
    """Who has approved which client, both by key: everybody one at random, and many the first one."""
    drawn = random.Random(SEED)
    for person in range(1, people + 1):
        client = drawn.randint(1, clients)
        yield client, person
        if person % FIRST_HAS == 0 and client != 1:
            yield 1, person


def copy_of(world: World) -> World:
    path = world.path.with_name("copy.db")
    shutil.copyfile(world.path, path)
    return World(path=path, apps=world.apps, subs=world.subs)


# ways to ask ---------------------------------------------------------------------------------------------------------


def serve(given: SandboxSettings, line: Connection) -> None:
    with SandboxServer(given, port=0) as server:
        line.send(server.url)
        line.poll(None)  # until the other end is closed


@contextmanager
def server(world: World) -> Iterator[str]:
    """A server in a process of its own; its URL."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(world.settings, theirs))
    process.start()
    theirs.close()  # so that the end of the process ends `recv`
    try:
        yield ours.recv()
    finally:
        ours.close()
        process.join()


def over_http(url: str) -> Ask:
    address = urlsplit(url)
    assert address.hostname

    def ask(method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read()
        finally:
            connection.close()

    return ask


@contextmanager
def in_process(world: World) -> Iterator[Ask]:
    app = create_app(world.settings)
    client = app.test_client()

    def ask(method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        answer = client.open(path, method=method, data=body, headers=headers)
        return answer.status_code, dict(answer.headers), answer.data

    yield ask
    app.extensions["xwms_sandbox"].database.close()


# logins --------------------------------------------------------------------------------------------------------------


Times = dict[str, tuple[float, float]]
"""The milliseconds of each step: on the wall, and of this process's processor."""


def log_in(ask: Ask, app: App, sub: str) -> Times:
    """One login, asserted."""
    times: Times = {}

    def timed(step: str, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        began, spent = time.perf_counter(), time.process_time()
        answer = ask(method, path, body, headers)
        times[step] = (time.perf_counter() - began) * 1000, (time.process_time() - spent) * 1000
        return answer

    def call(name: str, **body: str) -> dict[str, str]:
        sent = json.dumps(body | {"redirect_url": app.redirect_url}).encode()
        status, _, answer = timed(name, "POST", f"/api/{name}", sent, app.headers)
        assert status == 200, answer
        return json.loads(answer)["data"]

    page = urlsplit(call("sign-token")["url"]).path
    status, _, shown = timed("sign-in page", "GET", page, None, {})
    assert status == 200, shown
    form = urlencode({"person": sub, "scope": "userinfo"}).encode()
    status, headers, answer = ask("POST", page, form, {"Content-Type": "application/x-www-form-urlencoded"})
    assert status == 303, answer
    token = headers["Location"].partition("?token=")[2]
    assert call("sign-token-verify", token=token)["sub"] == sub
    return times


def measured(ask: Ask, world: World, logins: int) -> list[Times]:
    """So many logins."""
    drawn = random.Random(SEED)
    found = [log_in(ask, drawn.choice(world.apps), drawn.choice(world.subs)) for _ in range(logins + WARM_UP)]
    return found[WARM_UP:]


# the table -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """Milliseconds per request."""

    sandbox: str
    way: str
    step: str
    median_ms: float
    p99_ms: float
    cpu_ms: float | None


def rows_of(sandbox: str, way: str, found: list[Times]) -> Iterator[Row]:
    for step in STEPS:
        wall, cpu = ([times[step][clock] for times in found] for clock in (0, 1))
        known = statistics.median(cpu) if way == "in process" else None
        yield Row(sandbox, way, step, statistics.median(wall), statistics.quantiles(wall, n=100)[98], known)


def all_rows(empty: World, large: World, logins: int) -> Iterator[Row]:
    for name, world in (("empty", empty), ("large", large)):
        with in_process(world) as ask:
            yield from rows_of(name, "in process", measured(ask, world, logins))
        with server(world) as url:
            yield from rows_of(name, "HTTP", measured(over_http(url), world, logins))
    second = copy_of(large)
    with server(large) as url, server(second) as other_url, ThreadPoolExecutor(2) as pool:
        worlds = ((url, large), (other_url, second))
        both = [pool.submit(measured, over_http(url), world, logins) for url, world in worlds]
        for letter, found in zip("AB", both, strict=True):
            yield from rows_of(f"two at once, {letter}", "HTTP", found.result())


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast a local XWMS answers, empty and large.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--logins", type=int, default=500, help="per line of the table (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=10_000, help="in the large one (default: %(default)s)")
    parser.add_argument("--people", type=int, default=100_000, help="in the large one (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        large = large_world(Path(folder) / "large.db", clients=options.clients, people=options.people)
        seconds, size = time.perf_counter() - began, large.path.stat().st_size
        rows = list(all_rows(empty_world(Path(folder) / "empty.db"), large, options.logins))
    if options.json:
        print(json.dumps({"python": platform.python_version(), "rows": [vars(row) for row in rows]}, indent=2))
        return
    python = f"{platform.python_implementation()} {platform.python_version()}"
    print(f"{python}; ms per request, {options.logins} logins a line")
    holds = f"{options.clients:,} clients and {options.people:,} people"
    print(f"large: {holds}, {size / 1e6:.0f} MB, made in {seconds:.1f} s")
    print(f"\n{'sandbox':16} {'':12} {'request':18} {'median':>7} {'p99':>7} {'cpu':>7}")
    for row in rows:
        cpu = "" if row.cpu_ms is None else f"{row.cpu_ms:.2f}"
        line = f"{row.sandbox:16} {row.way:12} {row.step:18} {row.median_ms:7.2f} {row.p99_ms:7.2f} {cpu:>7}"
        print(line.rstrip())


if __name__ == "__main__":
    main()
