"""What a version has left behind in browsers and stores: recorded once, to be read by every later version.

`python -m tests.stores.formats 0.1.0` writes tests/stores/formats/0.1.0.json with what the code of now leaves behind.
A file is never written again: it is the memory of a version that people use.
"""

import base64
import json
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import create_engine

from tests.tools.fake_xwms import FakeXWMS
from tests.tools.redis_server import RedisServer, redis_server
from tests.tools.site import Site
from xwms_auth.stores.sqlalchemy import SQLAlchemyStore, metadata

FOLDER: Final = Path(__file__).parent / "formats"

# Fixed for ever: keys, names of cookies and rows are derived from these.
OPTIONS: Final = {
    "client_id": "formats",
    "issuer": "http://127.0.0.1:8800",  # on the host of the fake XWMS, so that it counts
    "session_secret": "the-session-secret-of-the-recorded-formats",
    "redirect_uris": "https://app.example/xwms/validateToken",
}
PERSON: Final = {"sub": "xwms-user-1234", "name": "Bram Bakker", "email": "bram@example.org", "email_verified": True}
STORES: Final = ("cookie", "sqlite", "sqlalchemy", "redis")


@contextmanager
def site_with(store: str, fx: FakeXWMS, folder: Path, redis: RedisServer) -> Iterator[Site]:
    """The application with a store of this kind, in this folder or this Redis."""
    if store == "sqlalchemy":
        engine = create_engine(f"sqlite:///{folder / 'sqlalchemy.db'}")
        metadata.create_all(engine)
        try:
            yield Site("flask", fx, session_store=SQLAlchemyStore(engine), **OPTIONS)
        finally:
            engine.dispose()
        return
    url = {"cookie": "cookie", "sqlite": f"sqlite:///{folder / 'sqlite.db'}", "redis": redis.url}[store]
    yield Site("flask", fx, session_store=url, **OPTIONS)


def kept_in(store: str, folder: Path, redis: RedisServer) -> Any:
    """What a store has kept, as JSON."""
    if store in ("sqlite", "sqlalchemy"):
        with sqlite3.connect(folder / f"{store}.db") as file:
            version = file.execute("PRAGMA user_version").fetchone()[0]
            return [*file.iterdump(), f"PRAGMA user_version = {version};"]
    if store == "redis":
        return {name.decode(): _redis_value(redis, name) for name in sorted(redis.client.keys())}
    return None


def put_back(store: str, kept: Any, folder: Path, redis: RedisServer) -> None:
    """Make a store that has kept this."""
    if store in ("sqlite", "sqlalchemy"):
        with sqlite3.connect(folder / f"{store}.db") as file:
            file.executescript("\n".join(kept))
        file.close()
    for name, value in (kept if store == "redis" else {}).items():
        if isinstance(value, str):
            redis.client.set(name, base64.b64decode(value))
        else:
            redis.client.zadd(name, value)


def _redis_value(redis: RedisServer, name: bytes) -> Any:
    if redis.client.type(name) == b"zset":
        return {member.decode(): score for member, score in redis.client.zrange(name, 0, -1, withscores=True)}
    return base64.b64encode(redis.client.get(name)).decode()


def record(fx: FakeXWMS, redis: RedisServer) -> dict[str, Any]:
    """A session in each store, a login that has not come back yet, and the form of a page that is open."""
    recorded = dict[str, Any]()
    for store in STORES:
        with tempfile.TemporaryDirectory() as folder:
            redis.client.flushall()
            with site_with(store, fx, Path(folder), redis) as site:
                browser = site.browser()
                browser.log_in(**PERSON)
                session = browser.cookies()[site.session_cookie]
                waiting = site.browser()
                token = waiting.start("/hello")
                recorded[store] = {
                    "now": site.clock.now,
                    "session": [site.session_cookie, session],
                    "waiting": list(next(iter(waiting.logins().items()))),
                    "token": token,
                }
            recorded[store]["kept"] = kept_in(store, Path(folder), redis)
    return recorded


def main(version: str) -> None:
    """Write the file of a version."""
    file = FOLDER / f"{version}.json"
    with FakeXWMS() as fx, tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as redis:
        recorded = record(fx, redis)
    FOLDER.mkdir(exist_ok=True)
    with file.open("x", encoding="utf-8") as out:
        json.dump(recorded, out, indent=1)
        out.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
