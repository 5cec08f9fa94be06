"""A hundred first logins of one person at one moment, in four processes: one member, one identity, and no error."""

import asyncio
import sys
import time
from collections import Counter

import pytest
from sqlalchemy.engine import make_url

from tests.accounts.members_apps import Members
from tests.stores.many_people import SESSION, Line, keep_cookies, request
from tests.stores.people_app import CALLBACK, served
from tests.stores.test_many_people import settings_for
from tests.stores.test_parallel_callbacks import start

LOGINS, PROCESSES = 100, 4
ASYNC = {"sqlite": "sqlite+aiosqlite", "postgresql+psycopg": "postgresql+asyncpg"}


async def log_in_together(address, fx):
    """The statuses of the callbacks, and the members that these browsers are then."""
    lines = [Line([address]) for _ in range(LOGINS)]
    backs, jars = [], []
    try:
        for line in lines:
            started, jar = await start([line]), {}
            keep_cookies(jar, started)
            token = fx.approve(
                started.all(b"location")[0].rpartition("/")[2],
                sub="1001",
                name="Ada",
                email="ada@example.org",
                email_verified=True,
            )
            backs.append(request(f"{CALLBACK}?token={token}", jar, site="cross-site"))
            jars.append(jar)
        for line, back in zip(lines, backs, strict=True):
            await line.send(back[:-2])
        await asyncio.gather(*(line.send(b"\r\n") for line in lines))
        answers = await asyncio.gather(*(line.answer() for line in lines))
        for answer, jar in zip(answers, jars, strict=True):
            keep_cookies(jar, answer)
        seen = []
        for line, jar in zip(lines, jars, strict=True):
            await line.send(request("/account", {SESSION: jar.get(SESSION, "")}, site=""))
            seen.append((await line.answer()).body.decode())
    finally:
        for line in lines:
            line.leave()
    return Counter(answer.status for answer in answers), Counter(seen)


@pytest.mark.parametrize("edge", ["flask", "asgi"])
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_hundred_first_logins_at_once_make_one_member(edge, kind, place, make_fx, tmp_path):
    fx, log = make_fx(), tmp_path / "server.log"
    url = make_url(f"sqlite:///{tmp_path / 'members.sqlite3'}" if kind == "sqlite" else place("postgres"))
    shown = url.render_as_string(hide_password=False)
    members = Members(shown)
    driver = ASYNC[url.drivername] if edge == "asgi" else url.drivername
    settings = {
        **settings_for(fx, f"sqlite:///{tmp_path / 'sessions.sqlite3'}"),
        "MEMBERS_URL": url.set(drivername=driver).render_as_string(hide_password=False),
    }
    with served(edge, settings, log, workers=PROCESSES, module="tests.accounts.parallel_app") as address:
        began = time.monotonic()
        statuses, seen = asyncio.run(log_in_together(address, fx))
        seconds = time.monotonic() - began
    # `pytest -rP` shows it.
    sys.stdout.write(f"{edge} {kind}: {LOGINS} first logins in {PROCESSES} processes, {seconds:.1f} s: {statuses}\n")
    assert statuses == {303: LOGINS}, log.read_text()
    assert seen == {"1": LOGINS}
    assert members.count() == (1, 1)
    assert "Traceback" not in log.read_text()
