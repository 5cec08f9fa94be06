"""What each store costs: per signed-in request, per look-up, and per 100,000 sessions.

Requests are made as in request_cost.py, which has the subjects without a store, the person, and the measuring.
Here the time on the wall is shown as well, since a store of another process is waited for.

    python benchmarks/store_cost.py [--json] [--quick] [--rounds N] [--sessions N]
"""

import argparse
import asyncio
import gc
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from inspect import isawaitable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import flask
from harness.calls import HOST
from harness.output import add_options, print_rows
from harness.rounds import Row, measured, show
from harness.subjects import (
    CLAIMS,
    CONFIG,
    COOKIE,
    PERSON,
    SUBJECTS,
    Subject,
    by_flask_current_user,
    by_request_user,
    by_session,
    flask_session,
    our_asgi,
    our_flask,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from tests.tools.postgres_server import can_run, postgres_server, size_of_tables
from tests.tools.redis_server import redis_server
from xwms_auth import User, XWMSConfig
from xwms_auth._core.base.crypto.digests import new_key
from xwms_auth._core.base.session import Session
from xwms_auth._core.config.context import Context
from xwms_auth.stores import open_store

VISITORS = ("warm", "first seen")
LOOK_UPS = 2000
PEOPLE = 100_000
IDLE = 86_400
PAGE = 4096
"""Bytes of a page of memory."""


@dataclass(frozen=True)
class Place:
    """A kind of store, and where it is: the options of a config."""

    name: str
    options: dict[str, Any]

    @property
    def config(self) -> XWMSConfig:
        return replace(CONFIG, **self.options)


def places(folder: Path, urls: dict[str, str]) -> Iterator[Place]:
    """All stores; `urls` are those of the servers, by how they are reached."""
    servers = {"memory": "memory://", "SQLite": f"sqlite:///{folder}/sessions.sqlite3", **urls}
    yield Place("cookie", {})
    for name, url in servers.items():
        if "unix" not in name:
            yield Place(f"cookie, ends in {name}", {"revocation_store": url})
    for name, url in servers.items():
        yield Place(name, {"session_store": url})


# requests ------------------------------------------------------------------------------------------------------------


def subjects_of(place: Place) -> Iterator[Subject]:
    """Both edges over one place. Memory is shared by sharing the store itself."""
    config = place.config
    for name, value in place.options.items():
        if value == "memory://":
            store = open_store(Context.of(replace(CONFIG, session_store="memory://")))
            config = replace(CONFIG, **{name: store})
    mint = Mint(config)
    is_cookie = config.session_store == "cookie"
    ours = partial(Subject, name=f"ours, {place.name}", mint=mint, cookie=COOKIE, remembers=is_cookie)
    yield ours(edge="ASGI", make=partial(asgi_over, config))
    yield ours(edge="Flask", make=partial(our_flask, by_flask_current_user, config))


class Mint:
    """Signs the person in, in another process of the same site."""

    def __init__(self, config: XWMSConfig) -> None:
        self._store: Any = open_store(Context.of(config))

    def __call__(self) -> str:
        now = int(time.time())
        handle: str = self._store.create(session_of(PERSON.sub, now), until=now + IDLE, now=now)
        return handle


def session_of(sub: str, now: int) -> Session:
    # Texts of their own, as they come from XWMS: a hundred thousand people share none.
    texts = {name: "".join([*text]) for name, text in CLAIMS.items() if isinstance(text, str)}
    user = User(**{**CLAIMS, **texts, "sub": sub})
    return Session(id=new_key(), user=user, started_at=now, seen_at=now, device="Chrome on Linux")


OPENED: list[Any] = []
"""Stores whose connections are kept until the end."""


def asgi_over(config: XWMSConfig) -> Any:
    """Our application as a server runs it: connections are kept, as after the start of its lifespan."""
    if config.session_store == "cookie" and not config.revocation_store:
        return our_asgi(by_request_user, config)
    store: Any = open_store(Context.of(config), is_async=True)
    if hasattr(store, "keep_connections"):
        store.keep_connections()
        OPENED.append(store)
    return our_asgi(by_request_user, replace(config, session_store=store, revocation_store=""))


def peers(redis_url: str | None) -> Iterator[Subject]:
    """What others keep on a server, where their packages are installed; they are no dependency of ours."""
    if find_spec("starsessions"):
        import starsessions  # noqa: PLC0415
        from starsessions.stores.redis import RedisStore  # noqa: PLC0415

        memory = starsessions.InMemoryStore()
        yield _starsessions("memory", lambda: memory)
        if redis_url:
            yield _starsessions("Redis TCP", lambda: RedisStore(redis_url))
    if find_spec("flask_session") and find_spec("cachelib"):
        import cachelib  # noqa: PLC0415
        import redis  # noqa: PLC0415

        cache = cachelib.SimpleCache()
        yield _flask_session("memory", {"SESSION_TYPE": "cachelib", "SESSION_CACHELIB": cache})
        if redis_url:
            client = redis.Redis.from_url(redis_url)
            yield _flask_session("Redis TCP", {"SESSION_TYPE": "redis", "SESSION_REDIS": client})


def _starsessions(name: str, store: Callable[[], Any]) -> Subject:
    import starsessions  # noqa: PLC0415

    async def login(request: Request) -> Response:
        request.session.update(CLAIMS)
        return PlainTextResponse("in")

    def make() -> Any:
        app = Starlette(routes=[Route("/who", by_session), Route("/login", login)])
        loads = starsessions.SessionAutoloadMiddleware(app)
        return starsessions.SessionMiddleware(loads, store=store(), lifetime=IDLE)

    def mint() -> str:
        answer = TestClient(make(), base_url=f"https://{HOST}").get("/login")
        return str(answer.cookies["session"])

    return Subject(edge="ASGI", name=f"starsessions, {name}", make=make, mint=mint, cookie="session")


def _flask_session(name: str, settings: dict[str, Any]) -> Subject:
    import flask_session as package  # noqa: PLC0415

    def make() -> flask.Flask:
        app = flask_session()
        app.config.update(settings)
        package.Session(app)
        app.add_url_rule("/login", "login", lambda: str(flask.session.update(CLAIMS)))
        return app

    def mint() -> str:
        answer = make().test_client().get("/login", base_url=f"https://{HOST}")
        return answer.headers["Set-Cookie"].partition(";")[0].removeprefix("session=")

    return Subject(edge="Flask", name=f"Flask-Session, {name}", make=make, mint=mint, cookie="session")


# single look-ups -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LookUp:
    """Microseconds on the wall for one `load` of a session that is there."""

    store: str
    colour: str
    median_us: float
    p99_us: float


async def look_ups(place: Place, *, is_async: bool) -> LookUp:
    site, now = Context.of(place.config), int(time.time())
    store: Any = open_store(site, is_async=is_async)
    if hasattr(store, "keep_connections"):
        store.keep_connections()
    handle = await _answered(store.create(session_of(PERSON.sub, now), until=now + IDLE, now=now))
    times: list[float] = []
    gc.collect()
    gc.disable()
    for number in range(LOOK_UPS):
        # The cookie store with revocations believes what it heard for some seconds; here it asks each time.
        began = time.perf_counter()
        answer = store.load(handle, now=now + 20 * number)
        found = await answer if isawaitable(answer) else answer
        times.append((time.perf_counter() - began) * 1e6)
        assert isinstance(found, Session), found
    gc.enable()
    if hasattr(store, "close"):
        await _answered(store.close())
    colour = "async" if is_async else "plain"
    return LookUp(place.name, colour, statistics.median(times), statistics.quantiles(times, n=100)[98])


async def _answered(answer: Any) -> Any:
    return await answer if isawaitable(answer) else answer


# sizes ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Size:
    """What many people's sessions take, one each, and how long it took to begin one, in microseconds."""

    store: str
    sessions: int
    megabytes: float
    bytes_each: float
    begin_us: float
    where: str


def size_of(place: Place, sessions: int, redis_url: str | None) -> Size:
    """In a process of its own, so that nothing else is in its memory."""
    now, store = int(time.time()), open_store(Context.of(place.config))
    path = Path(str(place.options.get("session_store", "")).removeprefix("sqlite:///"))
    if place.name == "cookie":
        handles = [
            len(str(store.create(session_of(f"1{number:06}", now), until=now, now=now))) for number in range(100)
        ]
        return Size(place.name, sessions, 0.0, statistics.mean(handles), 0.0, "in each browser's cookie")
    measure = partial(_taken, place, path, redis_url)
    store.create(session_of("0", now), until=now + IDLE, now=now)
    gc.collect()
    before, began = measure(), time.perf_counter()
    for number in range(sessions):
        store.create(session_of(f"1{number:06}", now), until=now + IDLE, now=now)
    lasted = time.perf_counter() - began
    if hasattr(store, "close"):
        store.close()
    gc.collect()
    taken = measure() - before
    where = {"memory": "this process", "SQLite": "the file", "PostgreSQL": "the tables"}.get(place.name, "Redis")
    return Size(place.name, sessions, taken / 1e6, taken / sessions, lasted / sessions * 1e6, where)


def _taken(place: Place, path: Path, redis_url: str | None) -> int:
    name = place.name
    if name == "PostgreSQL":
        return size_of_tables(place.options["session_store"])
    if name == "memory":
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE
    if name == "SQLite":
        return sum(file.stat().st_size for file in path.parent.glob(path.name + "*"))
    import redis  # noqa: PLC0415

    with redis.Redis.from_url(str(redis_url)) as client:
        return int(client.info("memory")["used_memory"])


# the tables ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tables:
    wall: list[Row]
    processor: list[Row]
    look_ups: list[LookUp]
    sizes: list[Size]


async def requests_of(subjects: list[Subject], rounds: int, clock: Callable[[], float]) -> list[Row]:
    rows = await measured(rounds, subjects=subjects, visitors=VISITORS, clock=clock)
    while OPENED:
        await _answered(OPENED.pop().close())
    gc.unfreeze()
    return rows


def all_tables(rounds: int, sessions: int) -> Tables:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis_url, urls = None, {}
        if shutil.which("redis-server"):
            server = stack.enter_context(redis_server(folder, unix=True))
            redis_url, urls = server.url, {"Redis TCP": server.url, "Redis unix": server.unix_url}
        if can_run():
            urls["PostgreSQL"] = stack.enter_context(postgres_server()).url("psycopg")
        found = list(places(folder, urls))
        baselines = [one for one in SUBJECTS if one.name in ("bare", "SessionMiddleware", "Flask session")]
        subjects = [*baselines, *(subject for place in found for subject in subjects_of(place)), *peers(redis_url)]
        wall = asyncio.run(requests_of(subjects, rounds, time.perf_counter))
        processor = asyncio.run(requests_of(subjects, rounds, time.process_time))
        read = [asyncio.run(look_ups(place, is_async=is_async)) for place in found for is_async in (False, True)]
        big = [place for place in places(folder / "big", urls) if "ends" not in place.name and "unix" not in place.name]
        (folder / "big").mkdir()
        with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
            sizes = [pool.submit(size_of, place, sessions, redis_url).result() for place in big]
    return Tables(wall, processor, read, sizes)


def _print(tables: Tables) -> None:
    print("On the wall:\n")
    show(tables.wall)
    print("\nProcessor time of this process:\n")
    show(tables.processor)
    print(f"\nOne look-up of a session, µs on the wall\n\n{'store':28} {'':6} {'median':>7} {'p99':>8}")
    for one in tables.look_ups:
        print(f"{one.store:28} {one.colour:6} {one.median_us:7.1f} {one.p99_us:8.1f}")
    print(f"\nMany sessions\n\n{'store':12} {'sessions':>8} {'MB':>7} {'bytes each':>10} {'µs to begin':>11}  where")
    for size in tables.sizes:
        print(
            f"{size.store:12} {size.sessions:8} {size.megabytes:7.1f} {size.bytes_each:10.0f}"
            f" {size.begin_us:11.1f}  {size.where}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="What each store of sessions costs.")
    add_options(parser)
    parser.add_argument("--rounds", type=int, help="more rounds, steadier medians (default: 12)")
    parser.add_argument("--sessions", type=int, help=f"for the sizes (default: {PEOPLE})")
    options = parser.parse_args()
    rounds, sessions = (2, 200) if options.quick else (12, PEOPLE)
    tables = all_tables(options.rounds or rounds, options.sessions or sessions)
    if options.json:
        print_rows([{"table": name, **vars(row)} for name, rows in vars(tables).items() for row in rows], options)
    else:
        _print(tables)
        if not shutil.which("redis-server"):
            print("\nredis-server is not installed, so Redis was left out.", file=sys.stderr)
        if not can_run():
            print("\nPostgreSQL or psycopg is not installed, so it was left out.", file=sys.stderr)


if __name__ == "__main__":
    main()
