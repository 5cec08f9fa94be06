"""Sessions in the application's database, by SQLAlchemy 2: PostgreSQL, MySQL, and what else it knows.

    session_store=SQLAlchemyStore(engine)      # an Engine or an AsyncEngine

The tables are in `metadata`: create them with a migration of your own, or with `xwms-auth db upgrade`. The store never
does, because an application's own account often may not.

Every statement is atomic by itself and no row is locked between two, so the isolation level does not matter. Never
keeps a handle in clear text, or a name or an address outside an encrypted record.
"""

from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    CursorResult,
    Engine,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    bindparam,
    case,
    delete,
    insert,
    select,
    type_coerce,
    update,
)
from sqlalchemy.dialects.mysql import MEDIUMBLOB, VARCHAR
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import SingletonThreadPool, StaticPool
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import NullType

from .._core.base.crypto.digests import digest, identity_digest, login_digest, new_key
from .._core.base.errors import ConfigError, StoreUnavailable
from .._core.base.models import EndReason, Identity, Secret
from .._core.base.session import Session, latest
from .records import Records, ending_of, is_key, login_of
from .sqlalchemy_engines import Executor, NotOpened, executor_of_engine, executor_of_url, is_async_engine

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["SQLAlchemyStore", "metadata"]

SWEEP_INTERVAL = 60
"""Seconds between two cleanups by one process."""

SWEEP_LIMIT = 500
"""Rows of a table that one cleanup removes at most, so that no login waits long for it."""

RENEW_ATTEMPTS = 50
"""Attempts to renew a session that other requests change at the same time; at each one, another request succeeds."""


def _ascii(length: int) -> String:
    # MySQL would take "a" and "A" for the same by default.
    exact = VARCHAR(length, charset="ascii", collation="ascii_bin")
    return String(length).with_variant(exact, "mysql", "mariadb")


metadata = MetaData()
"""The tables of the store, for `target_metadata` of Alembic."""

_sessions = Table(
    "xwms_sessions",
    metadata,
    Column("id", _ascii(43), primary_key=True),
    Column("client", _ascii(16), primary_key=True),
    Column("person", _ascii(43), nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("record", LargeBinary().with_variant(MEDIUMBLOB(), "mysql", "mariadb")),
    Column("ended", _ascii(32)),
    Column("login", _ascii(43)),
    Index("xwms_sessions_of_a_person", "person", "client"),
    Index("xwms_sessions_of_a_login", "login", "client"),
    Index("xwms_sessions_by_time", "until"),
)
_marks = Table(
    "xwms_marks",
    metadata,
    Column("name", _ascii(96), primary_key=True),
    Column("client", _ascii(16), primary_key=True),
    Column("until", BigInteger, nullable=False),
    Column("value", BigInteger, nullable=False),
    Index("xwms_marks_by_time", "until"),
)

# The statements, made once. `the_…` are the values to find a row by. A record is read as the driver gives it: others
# may have written any value.
_one = (_sessions.c.id == bindparam("the_id")) & (_sessions.c.client == bindparam("the_client"))
_of_person = (_sessions.c.person == bindparam("the_person")) & (_sessions.c.client == bindparam("the_client"))
_of_login = (_sessions.c.login == bindparam("the_login")) & (_sessions.c.client == bindparam("the_client"))
_lasts = _sessions.c.until > bindparam("now")
_alive = _sessions.c.ended.is_(None)
_record: ColumnElement[Any] = type_coerce(_sessions.c.record, NullType())
_mark = (_marks.c.name == bindparam("the_name")) & (_marks.c.client == bindparam("the_client"))
_named = _marks.c.name.in_(bindparam("names", expanding=True)) & (_marks.c.client == bindparam("the_client"))
_end = update(_sessions).values(ended=bindparam("why"), record=None)

_LOAD = select(_record, _sessions.c.ended).where(_one, _lasts)
_TO_RENEW = select(_record).where(_one, _alive)
_RENEW = (
    update(_sessions)
    .values(record=bindparam("new"), until=bindparam("the_until"))
    .where(_one, _alive, _sessions.c.record == bindparam("kept"))
)
_DROP = delete(_sessions).where(_one)
_LIST = select(_sessions.c.id, _record).where(_of_person, _lasts, _alive)
_LIST_LOGIN = select(_sessions.c.id, _record).where(_of_login, _lasts, _alive)
_END_ONE = _end.where(_one, _alive)
_REVOKE = _end.where(_one, _alive, _lasts)
_REVOKE_PERSON = _end.where(_of_person, _alive)
_REVOKE_CLIENT = _end.where(_sessions.c.client == bindparam("the_client"), _alive)
_RECLAIM = (
    update(_marks)
    .values(until=bindparam("the_until"), value=bindparam("the_value"))
    .where(_mark, _marks.c.until <= bindparam("now"))
)
_RELEASE = delete(_marks).where(_mark)
_MARKS = select(_marks.c.name, _marks.c.value).where(_named, _marks.c.until > bindparam("now"))


def _later(column: ColumnElement[Any], other: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((column > other, column), else_=other)


_FORBID = (
    update(_marks)
    .values(
        until=_later(_marks.c.until, bindparam("the_until", type_=BigInteger)),
        value=_later(_marks.c.value + 1, bindparam("upto", type_=BigInteger)),
    )
    .where(_mark)
)


class DatabaseStore:
    """Implements `SessionStore` and `RevocationStore`, sync or async like its executor.

    `client` separates clients that share the tables.
    """

    def __init__(self, executor: Executor, *, client: str, records: Records | None) -> None:
        self._executor = executor
        self._client = client
        self._records = cast("Records", records)
        self._next_sweep = 0

    def keep_connections(self) -> None:
        self._executor.keep_connections()

    def close(self) -> None | Awaitable[None]:
        """Close the connections, if they are the store's own. The store can be used again afterwards."""
        return self._executor.close()

    def _session(self, key: str, **more: object) -> dict[str, object]:
        """The parameters that find a session."""
        return {"the_id": key, "the_client": self._client, **more}

    # Sessions.

    def create(self, session: Session, *, until: int, now: int) -> str | Awaitable[str]:
        person = identity_digest(session.user.identity)

        def work(db: Connection) -> str:
            handle = new_key()
            key = digest(handle)
            row = {"id": key, "client": self._client, "person": person, "until": until, "ended": None}
            record = self._records.write(session, key=key)
            db.execute(insert(_sessions), {**row, "login": login_of(session), "record": record})
            self._sweep(db, now)
            return handle

        return self._executor.run(work)

    def load(self, handle: str, *, now: int) -> Session | EndReason | None | Awaitable[Session | EndReason | None]:
        key = digest(handle)

        def work(db: Connection) -> Session | EndReason | None:
            found = db.execute(_LOAD, self._session(key, now=now)).first()
            if found is None:
                return None
            record, ended = found
            return self._read(record, key) if ended is None else ending_of(ended)

        return self._executor.run(work)

    def _read(self, record: object, key: str) -> Session | EndReason:
        # Some drivers give a view of their buffer.
        return self._records.read(bytes(cast("Any", record)) if isinstance(record, memoryview) else record, key=key)

    def recall(self, handle: str, *, now: int) -> Session | None:
        return None

    def renew(self, handle: str, session: Session, *, until: int, now: int) -> str | None | Awaitable[str | None]:
        key = digest(handle)

        def work(db: Connection) -> str | None:
            for _ in range(RENEW_ATTEMPTS):
                kept = db.execute(_TO_RENEW, self._session(key)).scalar()
                found = self._read(kept, key)
                if not isinstance(found, Session):
                    return None
                new = self._records.write(latest(found, session), key=key)
                # Only if nobody has changed or ended the session since it was read.
                if _count(db, _RENEW, self._session(key, kept=kept, new=new, the_until=until)):
                    return handle
            raise StoreUnavailable("the database: other requests keep changing the session")

        return self._executor.run(work)

    def drop(self, handle: str, *, why: EndReason | None, now: int) -> None | Awaitable[None]:
        key = digest(handle)

        def work(db: Connection) -> None:
            if why is None:
                db.execute(_DROP, self._session(key))
            else:
                db.execute(_END_ONE, self._session(key, why=why.value))

        return self._executor.run(work)

    def list(self, identity: Identity, *, now: int) -> Sequence[Session] | Awaitable[Sequence[Session]]:
        whose = {"the_person": identity_digest(identity), "the_client": self._client, "now": now}
        return self._executor.run(lambda db: self._sessions(db, _LIST, whose))

    def list_login(self, sid: str, *, issuer: str, now: int) -> Sequence[Session] | Awaitable[Sequence[Session]]:
        which = {"the_login": login_digest(issuer, sid), "the_client": self._client, "now": now}
        return self._executor.run(lambda db: self._sessions(db, _LIST_LOGIN, which))

    def _sessions(self, db: Connection, statement: Any, parameters: dict[str, Any]) -> Sequence[Session]:
        rows = cast("Sequence[tuple[str, object]]", db.execute(statement, parameters).all())
        read = [self._read(record, key) for key, record in rows]
        return [one for one in read if isinstance(one, Session)]

    def revoke(self, session_id: str, *, now: int) -> bool | Awaitable[bool]:
        if not is_key(session_id):
            return False
        which = self._session(session_id, now=now, why=EndReason.REVOKED.value)
        return self._executor.run(lambda db: _count(db, _REVOKE, which) > 0)

    def revoke_all(self, identity: Identity, *, now: int) -> None | Awaitable[None]:
        whose = {"the_person": identity_digest(identity), "the_client": self._client, "why": EndReason.REVOKED.value}
        return self._executor.run(lambda db: _execute(db, _REVOKE_PERSON, whose))

    def revoke_client(self, *, now: int) -> None | Awaitable[None]:
        whose = {"the_client": self._client, "why": EndReason.REVOKED.value}
        return self._executor.run(lambda db: _execute(db, _REVOKE_CLIENT, whose))

    # The table `xwms_marks`: claimed names, and times up to which sessions are revoked.

    def claim(self, name: str, *, until: int, now: int) -> bool | Awaitable[bool]:
        def work(db: Connection) -> bool:
            row = {"name": f"claim/{name}", "client": self._client, "until": until, "value": now}
            which = {"the_name": row["name"], "the_client": self._client, "now": now}
            claimed = _insert(db, row) or _count(db, _RECLAIM, {**which, "the_until": until, "the_value": now}) > 0
            # Here too, because a login with cookie sessions writes nothing else.
            self._sweep(db, now)
            return claimed

        return self._executor.run(work)

    def release(self, name: str) -> None | Awaitable[None]:
        which = {"the_name": f"claim/{name}", "the_client": self._client}
        return self._executor.run(lambda db: _execute(db, _RELEASE, which))

    def claimed(self, names: Sequence[str], *, now: int) -> Sequence[bool] | Awaitable[Sequence[bool]]:
        def work(db: Connection) -> Sequence[bool]:
            found = self._marks(db, "claim/", names, now)
            return [name in found for name in names]

        return self._executor.run(work)

    def not_before(self, names: Sequence[str], *, now: int) -> Sequence[int] | Awaitable[Sequence[int]]:
        def work(db: Connection) -> Sequence[int]:
            found = self._marks(db, "not-before/", names, now)
            return [found.get(name, 0) for name in names]

        return self._executor.run(work)

    def _marks(self, db: Connection, kind: str, names: Sequence[str], now: int) -> dict[str, int]:
        """The values of those names that are kept."""
        which = {"names": [kind + name for name in names], "the_client": self._client, "now": now}
        return {name.removeprefix(kind): value for name, value in db.execute(_MARKS, which)}

    def forbid(self, name: str, *, upto: int, until: int, now: int) -> None | Awaitable[None]:
        def work(db: Connection) -> None:
            row = {"name": f"not-before/{name}", "client": self._client, "until": until, "value": upto}
            later = {"the_name": row["name"], "the_client": self._client, "the_until": until, "upto": upto}
            # Once more if another process has added the row in between.
            if not (_count(db, _FORBID, later) or _insert(db, row)):
                db.execute(_FORBID, later)
            self._sweep(db, now)

        return self._executor.run(work)

    def _sweep(self, db: Connection, now: int) -> None:
        """Remove expired rows, a limited number at a time. No login fails because that cannot be done now."""
        if 0 <= self._next_sweep - now <= SWEEP_INTERVAL:
            return
        self._next_sweep, most = now + SWEEP_INTERVAL, 0
        with suppress(DBAPIError):
            for table, key in ((_sessions, _sessions.c.id), (_marks, _marks.c.name)):
                expired = db.scalars(select(key).where(table.c.until <= now).limit(SWEEP_LIMIT)).all()
                if expired:
                    db.execute(delete(table).where(key.in_(expired), table.c.until <= now))
                most = max(most, len(expired))
        # If rows are left, the next second continues: otherwise a busy site would add rows faster than they go.
        if most == SWEEP_LIMIT:
            self._next_sweep = now


def _execute(db: Connection, statement: Any, parameters: dict[str, Any]) -> None:
    db.execute(statement, parameters)


def _count(db: Connection, statement: Any, parameters: dict[str, Any]) -> int:
    """The number of rows that the statement matched."""
    return cast("CursorResult[Any]", db.execute(statement, parameters)).rowcount


def _insert(db: Connection, mark: dict[str, Any]) -> bool:
    """Add a mark, atomically. False if there is one of that name."""
    try:
        db.execute(insert(_marks), mark)
    except IntegrityError:
        return False
    return True


class SQLAlchemyStore(DatabaseStore):
    """A store in the application's own database, for the options `session_store` and `revocation_store`.

    `engine` is an `Engine` or, in ASGI applications on asyncio, an `AsyncEngine`. The store takes connections of its
    own from the engine's pool, never one of the application's transactions, and does not close the engine.
    """

    def __init__(self, engine: "Engine | AsyncEngine") -> None:
        if not isinstance(engine, Engine) and not is_async_engine(engine):
            raise ConfigError(["SQLAlchemyStore needs an Engine or an AsyncEngine of SQLAlchemy"])
        if isinstance(engine.pool, StaticPool | SingletonThreadPool):
            # The store would commit what the application has begun.
            raise ConfigError(
                ["SQLAlchemyStore needs connections of its own, which the pool of this engine cannot give"]
            )
        super().__init__(NotOpened(), client="", records=None)
        self._engine = engine

    def open_for(self, client: str, records: Records, *, is_async: bool) -> DatabaseStore:
        """The store for one client, as `stores.open_store` opens it."""
        return DatabaseStore(executor_of_engine(self._engine, is_async=is_async), client=client, records=records)


def open_url(url: Secret, client: str, records: Records, *, is_async: bool) -> DatabaseStore:
    """The store for one client in the database of this URL. Raises `ConfigError`, without the URL."""
    return DatabaseStore(executor_of_url(url, is_async=is_async), client=client, records=records)
