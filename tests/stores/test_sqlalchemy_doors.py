"""The application's database as session store, at the doors: by engine and by URL, in one process and in several."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool, StaticPool
from starlette.testclient import TestClient

from tests.stores.alone import run_alone
from tests.stores.conftest import opened
from tests.tools.postgres_server import PostgresServer
from tests.tools.site import PROGRAM, Browser, Site
from xwms_auth import AsyncXWMSSessions, ConfigError, XWMSConfig, XWMSSessions
from xwms_auth.stores.sqlalchemy import SQLAlchemyStore, metadata

SUB = "xwms-user-1234"


@pytest.fixture
def engine(postgres: PostgresServer) -> Iterator[Any]:
    engine = create_engine(postgres.url("psycopg"))
    yield engine
    engine.dispose()


@pytest.fixture
def async_engine(postgres: PostgresServer) -> Any:
    """Without a pool, because the test client has an event loop for each request."""
    return create_async_engine(postgres.url("asyncpg"), poolclass=NullPool)


@pytest.fixture(params=["a sync engine", "an async engine", "a URL", "a URL for revocations"])
def options(request: pytest.FixtureRequest, edge: str) -> dict[str, Any]:
    match request.param:
        case "an async engine" if edge == "asgi":
            return {"session_store": SQLAlchemyStore(request.getfixturevalue("async_engine"))}
        case "a URL":
            return {"session_store": request.getfixturevalue("postgres_url")}
        case "a URL for revocations":
            return {"revocation_store": request.getfixturevalue("postgres_url")}
    return {"session_store": SQLAlchemyStore(request.getfixturevalue("engine"))}


def test_people_log_in_and_are_told_of_an_outage_and_are_still_there_after_it(
    postgres: PostgresServer, make_site: Callable[..., Site], options: dict[str, Any]
):
    """SL-11"""
    site = make_site(**options)
    browser, other = site.browser(), site.browser()
    browser.log_in()
    other.log_in("other")
    assert (browser.who(), other.who()) == (SUB, "other")
    other.log_out()
    site.clock.advance(60)  # what a cookie store has heard of revocations is believed for some seconds
    postgres.stop()
    try:
        down = browser.get("/who", PROGRAM)
        assert (down.status_code, down.json()["code"]) == (503, "store_unavailable")
        assert site.raw("/", headers=PROGRAM.items()).text == "home"
    finally:
        postgres.start()
    assert (browser.who(), other.who()) == (SUB, None)


@pytest.mark.parametrize("edge", ["asgi"])
def test_people_log_in_on_trio(make_site: Callable[..., Site], postgres_url: str):
    site = make_site(session_store=postgres_url)
    with TestClient(site.app, base_url=site.origin, follow_redirects=False, backend="trio") as client:
        browser = Browser(client, site)
        browser.log_in()
        assert browser.who() == SUB


def test_scripts_end_sessions(make_fx, async_engine, engine):
    site = Site("flask", make_fx(), session_store=SQLAlchemyStore(engine))
    browser = site.browser()
    browser.log_in()
    with XWMSSessions(site.config) as sessions:
        assert len(sessions.list(SUB)) == 1

    async def end(config: XWMSConfig) -> None:
        async with AsyncXWMSSessions(config) as sessions:
            await sessions.revoke_all(SUB)

    asyncio.run(end(Site("asgi", site.fx, session_store=SQLAlchemyStore(async_engine)).config))
    assert browser.get("/who", PROGRAM).json()["reason"] == "session_revoked"


def test_tables_may_be_in_a_schema_of_their_own(make_fx, engine):
    elsewhere = engine.execution_options(schema_translate_map={None: "auth"})
    with elsewhere.begin() as connection:
        connection.execute(text("CREATE SCHEMA auth"))
        metadata.create_all(connection)
    site = Site("flask", make_fx(), session_store=SQLAlchemyStore(elsewhere))
    browser = site.browser()
    browser.log_in()
    assert browser.who() == SUB
    with engine.begin() as connection:
        assert connection.scalar(text("SELECT count(*) FROM auth.xwms_sessions")) == 1
        assert connection.scalar(text("SELECT count(*) FROM xwms_sessions")) == 0
        connection.execute(text("DROP SCHEMA auth CASCADE"))


def test_expired_rows_are_removed_a_limited_number_at_a_time(make_fx, postgres, engine):
    """SL-16"""
    rows = "SELECT repeat('x', 40) || lpad(n::text, 3, '0'), 'c', 'p', 5 FROM generate_series(1, 900) n"
    postgres.admin(f"INSERT INTO xwms_sessions (id, client, person, until) {rows}", database="app")
    site = Site("flask", make_fx(), session_store=SQLAlchemyStore(engine))
    left = []
    for _ in range(3):
        site.browser().log_in()
        ((count,),) = postgres.admin("SELECT count(*) FROM xwms_sessions WHERE until = 5", database="app")
        left.append(count)
        site.clock.advance(1)
    assert left[0] >= 400
    assert left[-1] == 0


def test_of_many_processes_one_gets_a_name_and_a_fork_shares_no_connection(postgres_url):
    """RP-02, SL-14"""
    code = """
    import os, sys
    from tests.stores.alone import WITH_A_FILE
    from tests.stores.conftest import opened
    from xwms_auth.testing.store_contract import DAY, NOW, session

    store = opened(session_store=sys.argv[1])
    handle = store.create(session("parent"), until=NOW + DAY, now=NOW)
    reader, writer = os.pipe()
    for number in range(4):
        if os.fork() == 0:
            won = sum(store.claim(f"login-{turn}", until=NOW + DAY, now=NOW) for turn in range(40))
            mine = store.create(session(f"child-{number}"), until=NOW + DAY, now=NOW)
            assert store.load(mine, now=NOW).user.sub == f"child-{number}"
            assert store.load(handle, now=NOW).user.sub == "parent"
            os.write(writer, f"{won}\\n".encode())
            os._exit(0)
    os.close(writer)
    assert all(os.wait()[1] == 0 for _ in range(4))
    with os.fdopen(reader) as told:
        print(sum(map(int, told)))
    print(store.load(handle, now=NOW).user.sub)
    store.close()
    """
    assert run_alone(code, postgres_url).split() == ["40", "parent"]


def faults_of(**options: Any) -> str:
    with pytest.raises(ConfigError) as refused:
        opened(**options)
    return str(refused.value)


def test_what_cannot_work_is_told_when_the_application_starts(async_engine):
    assert "give it an Engine" in faults_of(session_store=SQLAlchemyStore(async_engine))
    assert "for async code only" in faults_of(session_store="postgresql+asyncpg://app:Passw0rd@db/app")
    assert "is not installed: pg8000" in faults_of(session_store="postgresql+pg8000://app:Passw0rd@db/app")
    assert "not one of SQLAlchemy's" in faults_of(session_store="postgresql+nothing://app:Passw0rd@db/app")
    wrong: Any = "postgresql+psycopg://app:Passw0rd@db/app"
    with pytest.raises(ConfigError, match="needs an Engine"):
        SQLAlchemyStore(wrong)
    for url, more in (("sqlite://", {}), ("sqlite:///file", {"poolclass": StaticPool})):
        with pytest.raises(ConfigError, match="connections of its own"):
            SQLAlchemyStore(create_engine(url, **more))


def test_a_store_that_was_given_to_nothing_says_so(engine):
    with pytest.raises(ConfigError, match="giving it to a config"):
        SQLAlchemyStore(engine).load("x", now=5)
