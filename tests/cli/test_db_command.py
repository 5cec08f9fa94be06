"""`xwms-auth db`: the tables of a session store in a database, for those without Alembic."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from click.testing import CliRunner
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, inspect, select

from tests.tools.postgres_server import PostgresServer
from xwms_auth.cli.commands import xwms_auth
from xwms_auth.stores.sqlalchemy import metadata

TABLES = set(metadata.tables)


def run(*arguments: str, **environment: str) -> tuple[int, str]:
    done = CliRunner(env={"XWMS_SESSION_STORE": "", "XWMS_REVOCATION_STORE": "", **environment}).invoke(
        xwms_auth, ["db", *arguments]
    )
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@pytest.fixture
def empty(postgres: PostgresServer):
    postgres.admin("CREATE DATABASE empty OWNER app")
    yield postgres
    postgres.admin("DROP DATABASE empty WITH (FORCE)")


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_upgrade_creates_what_is_missing_and_changes_nothing_else(empty, driver):
    url = empty.url(driver).replace("/app?", "/empty?")
    status, told = run("upgrade", url)
    assert (status, sorted(told.split())) == (0, ["Created", "and", *sorted(TABLES)])
    assert run("upgrade", XWMS_SESSION_STORE=url) == (0, "The tables are there already\n")
    assert run("upgrade", XWMS_REVOCATION_STORE=url)[0] == 0
    engine = create_engine(url.replace(driver, "psycopg"))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_what_it_prints_creates_the_same(empty):
    for told in (run("sql", "postgresql"), run("sql", empty.url("psycopg")), run("sql", empty.url("asyncpg"))):
        assert told == run("sql", "postgresql+psycopg://somebody@nowhere/app")
        assert told[0] == 0
    engine = create_engine(empty.url("psycopg").replace("/app?", "/empty?"))
    with engine.begin() as connection:
        for statement in told[1].strip().removesuffix(";").split(";"):
            connection.exec_driver_sql(statement)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_a_migration_finds_the_tables_beside_the_applications_own(empty):
    """As with `target_metadata` of Alembic's env.py."""
    own = MetaData()
    Table("desks", own, Column("id", Integer, primary_key=True))
    engine = create_engine(empty.url("psycopg").replace("/app?", "/empty?"))
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), [own, metadata])
    assert {change[1].name for change in found if change[0] == "add_table"} == {"desks", *TABLES}
    engine.dispose()


def test_what_mysql_would_take_for_the_same_stays_apart():
    status, told = run("sql", "mysql")
    assert status == 0
    assert told.count("ascii_bin") == sum(
        column.type.python_type is str for table in metadata.tables.values() for column in table.columns
    )


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'app.sqlite3'}"
    return request.getfixturevalue("empty").url("psycopg").replace("/app?", "/empty?")


def test_upgrade_adds_a_column_that_an_older_version_did_not_have_and_keeps_the_rows(place):
    engine = create_engine(place)
    older = MetaData()
    table = metadata.tables["xwms_sessions"]
    columns = [Column(one.name, one.type, primary_key=one.primary_key) for one in table.columns if one.name != "login"]
    Table(table.name, older, *columns)
    older.create_all(engine)
    with engine.begin() as connection:
        row = {"id": "a", "client": "b", "person": "c", "until": 1}
        connection.execute(older.tables[table.name].insert(), row)
    status, told = run("upgrade", place)
    assert (status, "xwms_sessions.login" in told) == (0, True), told
    assert run("upgrade", place) == (0, "The tables are there already\n")
    with engine.connect() as connection:
        assert [row.login for row in connection.execute(select(table))] == [None]
        assert "xwms_sessions_of_a_login" in {index["name"] for index in inspect(connection).get_indexes(table.name)}
    engine.dispose()


def test_a_table_of_that_name_that_is_another_is_left_alone(tmp_path):
    url = f"sqlite:///{tmp_path / 'app.sqlite3'}"
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE xwms_marks (name TEXT)")
    status, told = run("upgrade", url)
    assert (status, "without client, until, value" in told) == (1, True)
    assert inspect(engine).get_table_names() == ["xwms_marks"]
    engine.dispose()


def test_what_is_wrong_is_one_line_without_the_url(postgres):
    for arguments, told in {
        (): "which database?",
        ("no url",): "not a URL of SQLAlchemy",
        ("nothing+here://x:Passw0rd@y/z",): "not a URL of SQLAlchemy",
        ("mysql+nothing://x:Passw0rd@y/z",): "not a URL of SQLAlchemy",
        ("postgresql+pg8000://x:Passw0rd@y/z",): "not installed: pg8000",
        (postgres.url("psycopg", user="nobody:Passw0rd"),): "the database says: ",
        ("postgresql+asyncpg://x:Passw0rd@/z?host=/no/such/folder",): "the database says: ",
    }.items():
        status, output = run("upgrade", *arguments)
        assert (status, output.count("\n")) == (1, 1), output
        assert told in output
        assert "Passw0rd" not in output


def test_a_cookie_store_names_no_database():
    assert run("upgrade", XWMS_SESSION_STORE="cookie")[0] == 1
