"""The commands `db upgrade` and `db sql`: the tables of a session store in a database, for those without Alembic.

Never prints the URL, which may contain a password.
"""

import asyncio
import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from xwms_auth.cli.missing_extras import needs_extra

if TYPE_CHECKING:
    from sqlalchemy import URL, Column, Connection, MetaData

_VARIABLES = ("XWMS_SESSION_STORE", "XWMS_REVOCATION_STORE")

_url = click.argument("url", required=False)


@click.group()
def db() -> None:
    """The tables of a session store in a database.

    URL is one of SQLAlchemy's, such as postgresql+psycopg://user@host/database. Without it, that of XWMS_SESSION_STORE
    or XWMS_REVOCATION_STORE.
    """


@db.command()
@_url
def upgrade(url: str | None) -> None:
    """Create the tables that are missing, and the columns that an older version did not have."""
    with _faults() as metadata:
        parsed = _parsed(url)
        from sqlalchemy import create_engine  # noqa: PLC0415  an extra
        from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415  an extra
        from sqlalchemy.pool import NullPool  # noqa: PLC0415  an extra

        engine = create_engine(parsed, poolclass=NullPool)
        if engine.dialect.is_async:

            async def run() -> list[str]:
                async with create_async_engine(parsed, poolclass=NullPool).begin() as connection:
                    return await connection.run_sync(_create_missing, metadata)

            created = asyncio.run(run())
        else:
            with engine.begin() as connection:
                created = _create_missing(connection, metadata)
    click.echo(f"Created {' and '.join(created)}" if created else "The tables are there already")


@db.command()
@_url
def sql(url: str | None) -> None:
    """Print the statements that create the tables, without connecting. URL may also be only postgresql or mysql."""
    with _faults() as metadata:
        parsed = _parsed(url if url is None or ":" in url else f"{url}://")
        from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement  # noqa: PLC0415  an extra

        dialect = parsed.get_dialect()()
        for table in metadata.sorted_tables:
            indexes = sorted(table.indexes, key=lambda index: str(index.name))
            statements: list[ExecutableDDLElement] = [CreateTable(table), *map(CreateIndex, indexes)]
            for statement in statements:
                lines = str(statement.compile(dialect=dialect)).strip().splitlines()
                click.echo("\n".join(line.rstrip().replace("\t", "    ") for line in lines) + ";")


def _create_missing(connection: "Connection", metadata: "MetaData") -> list[str]:
    """Create what is missing, and say what that was. A column that an older version had not may be empty."""
    from sqlalchemy import inspect  # noqa: PLC0415  an extra

    there = inspect(connection)
    missing = [table for table in metadata.sorted_tables if not there.has_table(table.name)]
    lacking = [
        column
        for table in metadata.sorted_tables
        if table not in missing
        for known in [{column["name"] for column in there.get_columns(table.name)}]
        for column in table.columns
        if column.name not in known
    ]
    if strange := [column for column in lacking if not column.nullable]:
        table = strange[0].table
        names = ", ".join(sorted(column.name for column in lacking if column.table is table))
        raise click.ClickException(f"the table {table.name} is there, but without {names}")
    for column in lacking:
        _add_column(connection, column)
    metadata.create_all(connection, tables=missing)
    return [*(table.name for table in missing), *map(str, lacking)]


def _add_column(connection: "Connection", column: "Column[Any]") -> None:
    from sqlalchemy.schema import CreateColumn  # noqa: PLC0415  an extra

    dialect = connection.dialect
    table = dialect.identifier_preparer.format_table(column.table)
    connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {CreateColumn(column).compile(dialect=dialect)}")
    for index in column.table.indexes:
        if column.name in index.columns:
            index.create(connection)


def _parsed(url: str | None) -> "URL":
    from sqlalchemy.engine import make_url  # noqa: PLC0415  an extra

    from xwms_auth._core.config.env import is_database  # noqa: PLC0415  after the extra

    if url is None:
        url = next((found for name in _VARIABLES if is_database(found := os.environ.get(name, ""))), None)
    if url is None:
        raise click.ClickException(f"which database? Give its URL, or set {' or '.join(_VARIABLES)}")
    return make_url(url)


@contextmanager
def _faults() -> Generator["MetaData"]:
    """Gives the tables. What a user can mend is one line."""
    with needs_extra("sqlalchemy"):
        from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError  # noqa: PLC0415  an extra

        from xwms_auth.stores.sqlalchemy import metadata  # noqa: PLC0415  an extra
    try:
        yield metadata
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise click.ClickException("this is not a URL of SQLAlchemy, or of a database that it knows") from None
    except ModuleNotFoundError as missing:
        raise click.ClickException(f"the driver in the URL is not installed: {missing.name}") from None
    except (DBAPIError, OSError) as error:
        told = str(getattr(error, "orig", None) or error).strip().splitlines()
        raise click.ClickException(f"the database says: {told[0] if told else type(error).__name__}") from None
