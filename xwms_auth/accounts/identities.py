"""The table of identities beside the table of users, and what keeps an identity from outliving its account."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    String,
    Table,
    delete,
    event,
    inspect,
    text,
)
from sqlalchemy.dialects.mysql import VARCHAR
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.orm import Mapper, Session

from .._core.base import events
from .._core.base.errors import ConfigError
from .._core.base.models import Identity

MAX_LENGTH = 255
"""Characters of a `sub`, as OpenID Connect Core 2 has it, and of an issuer."""

TABLE = "xwms_identities"
_ROWS = {"DELETE": "OLD", "INSERT": "NEW"}
_FORGETS = "xwms_auth_forgets"


class LinkedIdentity(NamedTuple):
    """An identity of an account, and when it was linked."""

    identity: Identity
    linked_at: datetime


def _exact(length: int) -> String:
    # MySQL would take "a" and "A" for the same by default.
    return String(length).with_variant(VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb")


def identities_of(model: type[Any], name: str = TABLE) -> Table:
    """Return the table of identities beside the table of this mapped class, in its metadata. Made once.

    Columns: `issuer` and `sub`, together the primary key; `account`, which refers to the primary key of the model and
    goes with it; `linked_at`, in seconds since 1970. A second model in the same metadata needs a table of another
    name. Raises `ConfigError` if the model is not as it has to be, or the name is that of another table.
    """
    mapper = mapper_of(model)
    users, key = cast("Table", mapper.local_table), cast("Column[Any]", mapper.primary_key[0])
    known = users.metadata.tables.get(name if users.schema is None else f"{users.schema}.{name}")
    if known is not None:
        check_identities(known, model)
        return known
    account: Column[Any] = Column("account", ForeignKey(key, ondelete="CASCADE"), nullable=False, index=True)
    table = Table(
        name,
        users.metadata,
        Column("issuer", _exact(MAX_LENGTH), primary_key=True),
        Column("sub", _exact(MAX_LENGTH), primary_key=True),
        account,
        Column("linked_at", BigInteger, nullable=False),
        schema=users.schema,
    )
    for statement in _triggers(table, users, key):
        event.listen(table, "after_create", cast("Any", DDL)(statement).execute_if(dialect="sqlite"))
    return table


def _triggers(identities: Table, users: Table, key: "Column[Any]") -> list[str]:
    """The statements that let identities go with their account on SQLite.

    Account takeover: SQLite heeds no foreign key unless each connection asks it to (`PRAGMA foreign_keys`), and gives
    the number of a deleted row to the next new one, which the deleted person's identity would then open.
    """
    rows, kept = _quoted(users.name), _quoted(identities.name)
    statements = list[str]()
    for when, row in _ROWS.items():
        # With INSERT OR REPLACE a row goes without a word, so its number is looked at when it is given out again.
        removal = f"DELETE FROM {kept} WHERE account = {row}.{_quoted(key.name)}"  # noqa: S608  names of the model
        trigger = _quoted(trigger_of(identities, when))
        statements.append(f"CREATE TRIGGER IF NOT EXISTS {trigger} AFTER {when} ON {rows} BEGIN {removal}; END")
    return statements


def trigger_of(identities: Table, when: str) -> str:
    """The name of the trigger after an `INSERT` or a `DELETE`."""
    return f"{identities.name}_after_{when.lower()}"


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""').replace("%", "%%")  # DDL formats what it is given
    return f'"{escaped}"'


def check_identities(identities: Table, model: type[Any]) -> None:
    """Raise `ConfigError` unless this table is one of identities of this model's accounts.

    Mixed up people: the same number in two tables of users is two people.
    """
    key = mapper_of(model).primary_key[0]
    missing = [name for name in ("issuer", "sub", "account", "linked_at") if name not in identities.c]
    if missing:
        raise ConfigError([f"the table {identities.name} has no column {', '.join(missing)}"])
    if not any(one.column is key for one in identities.c.account.foreign_keys):
        raise ConfigError(
            [
                f"{identities.name} refers to another table than that of {model.__name__}: give each of two models its "
                'own, with identities=identities_of(Model, "another_name")'
            ]
        )


def forget_with_account(identities: Table, model: type[Any], key_name: str) -> None:
    """Have identities go with an account that SQLAlchemy's session deletes, and a new account begin without. Once."""
    if _FORGETS not in identities.info:
        identities.info[_FORGETS] = True
        event.listen(model, "before_delete", _forget_with(identities, key_name), propagate=True)
        # Nothing can be linked to an account that has just been made: what is there is left of another one.
        event.listen(model, "after_insert", _forget_with(identities, key_name), propagate=True)


def warn_if_they_may_stay(session: Session, identities: Table) -> None:
    """Log a warning if this SQLite would let an identity outlive its account."""
    if session.get_bind().dialect.name != "sqlite" or session.scalar(text("PRAGMA foreign_keys")):
        return
    triggers = text("SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name IN (:deleted, :inserted)")
    names = {"deleted": trigger_of(identities, "DELETE"), "inserted": trigger_of(identities, "INSERT")}
    if session.scalar(triggers, names) != len(names):
        hint = "turn PRAGMA foreign_keys on for every connection, or delete the identities with the account"
        events.warning("identities_may_outlive_accounts", hint=hint)


def _forget_with(identities: Table, key_name: str) -> Callable[[object, Connection, object], None]:
    def forget(_mapper: object, connection: Connection, account: object) -> None:
        connection.execute(delete(identities).where(identities.c.account == getattr(account, key_name)))

    return forget


def mapper_of(model: type[Any]) -> Mapper[Any]:
    try:
        mapper: Mapper[Any] = inspect(model)
        columns = mapper.primary_key
    except (NoInspectionAvailable, AttributeError):
        raise ConfigError(["a linker needs a class that SQLAlchemy maps"]) from None
    if len(columns) != 1:
        raise ConfigError([f"{model.__name__} needs one column as its primary key, and has {len(columns)}"])
    return mapper
