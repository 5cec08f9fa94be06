"""A linker for the application's own table of users, by SQLAlchemy 2: any database, sync and async.

    members = SQLAlchemyLinker(Member, engine, fields={"name": "display_name", "email": "verified_email"})
    XWMSAuth(app, linker=members)

Identities are in a table of their own, `xwms_identities`, in the metadata of the application's model: create it as the
application creates its other tables. Its primary key is the pair (issuer, sub), so that one identity has one account,
whatever runs at the same time.

Every step is one transaction, and may be run again. Never moves an identity from one account to another.
"""

from abc import abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeGuard, TypeVar, cast

try:
    from sqlalchemy import Engine, Table
    from sqlalchemy.exc import IntegrityError
    from sqlalchemy.orm import Session, scoped_session, sessionmaker
except ImportError as missing:  # pragma: no cover
    raise ImportError("SQLAlchemyLinker needs SQLAlchemy: pip install 'xwms-auth[sqlalchemy]'") from missing

from .._core.accounts.errors import AccountExists
from .._core.accounts.linker import Linked, ProofNeeded
from .._core.base import events
from .._core.base.errors import ConfigError
from .._core.base.models import Identity, User
from .identities import LinkedIdentity, identities_of
from .tables import AccountTables, Source, is_unique_violation
from .transactions import Attempts, database_errors, told

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_scoped_session, async_sessionmaker

    AsyncSources: TypeAlias = (
        AsyncEngine | async_sessionmaker[Any] | async_scoped_session[Any] | Callable[[], AsyncSession]
    )

__all__ = ["AsyncSQLAlchemyLinker", "LinkedIdentity", "SQLAlchemyLinker", "identities_of"]

A = TypeVar("A")
S = TypeVar("S")
T = TypeVar("T")

Sources: TypeAlias = "Engine | sessionmaker[Any] | scoped_session[Any] | Callable[[], Session]"

Work: TypeAlias = Callable[[Session], T]
Works: TypeAlias = Generator[Work[Any], Any, T]
"""Several transactions, one after the other. An `IntegrityError` of one is thrown in."""


class _LinkerBase(Generic[A, S]):
    """What sync and async share. See `SQLAlchemyLinker` for the options."""

    def __init__(
        self,
        model: type[A],
        sessions: S,
        *,
        fields: Mapping[str, Source] | None = None,
        new: Callable[[User], A] | None = None,
        create: bool = True,
        domains: str | Sequence[str] | None = None,
        invited: Callable[[User, Session], bool] | None = None,
        link_by_email: str | None = None,
        blocked: Callable[[A], bool] | str | None = None,
        identities: Table | None = None,
    ) -> None:
        self.tables = AccountTables(
            model,
            fields=fields or {},
            new=new,
            create=create,
            domains=domains,
            invited=invited,
            link_by_email=link_by_email,
            blocked=blocked,
            identities=identities,
        )
        self._open(sessions)

    @abstractmethod
    def _open(self, sessions: S) -> None:
        """Keep what makes sessions. Raises `ConfigError`."""

    def key_of(self, account: object) -> str:
        """Return the primary key as text, of a row or of what already is a primary key. Raises TypeError."""
        return self.tables.key_of(account)

    def _refresh(self, user: User) -> Works[Linked | None]:
        tables = self.tables
        try:
            return cast("Linked | None", (yield partial(tables.sign_in, user=user)))
        except IntegrityError:
            # Most likely the new e-mail address is another account's. That is no reason to keep the person out.
            events.warning("account_not_updated")
        return cast("Linked | None", (yield partial(tables.sign_in, user=user, update=False)))

    def _sign_in(self, user: User) -> Works[Linked | ProofNeeded]:
        tables = self.tables
        found = yield from self._refresh(user)
        if found is not None:
            return found
        is_taken = False
        try:
            return cast("Linked | ProofNeeded", (yield partial(tables.create, user=user)))
        except IntegrityError as error:
            is_taken = is_unique_violation(error)
            # Another request of the same person was faster; otherwise the application's own rules are in the way.
            found = yield partial(tables.sign_in, user=user, update=False)
            if found is None and not is_taken:
                raise
        if found is not None:
            return cast("Linked", found)
        raise AccountExists("the new account would have a unique value of another one, such as its e-mail address")

    def _link(self, user: User, key: str) -> Works[Linked]:
        work = partial(self.tables.link, user=user, key=key)
        try:
            return cast("Linked", (yield work))
        except IntegrityError:
            # Another request has linked this identity meanwhile: now it is found, whosever it is.
            pass
        return cast("Linked", (yield work))


def _is_registry(sessions: object) -> "TypeGuard[scoped_session[Any]]":
    return isinstance(sessions, scoped_session)


def _sources(sessions: Any) -> "tuple[Callable[[], Session], scoped_session[Any] | None]":
    """What makes a session for one transaction, and the registry of the application's sessions, if it is one."""
    if isinstance(sessions, Engine):
        return sessionmaker(sessions), None
    if _is_registry(sessions):
        return cast("Callable[[], Session]", sessions.session_factory), sessions
    if not callable(sessions):
        raise ConfigError(["SQLAlchemyLinker needs an Engine or a sessionmaker"])
    return cast("Callable[[], Session]", sessions), None


def _async_source(sessions: Any) -> "Callable[[], AsyncSession]":
    from sqlalchemy.ext.asyncio import AsyncEngine, async_scoped_session, async_sessionmaker  # noqa: PLC0415  greenlet

    if isinstance(sessions, AsyncEngine):
        return async_sessionmaker(sessions)
    if isinstance(sessions, async_scoped_session):
        return cast("Callable[[], AsyncSession]", cast("Any", sessions).session_factory)
    if isinstance(sessions, Engine | sessionmaker | scoped_session) or not callable(sessions):
        raise ConfigError(["AsyncSQLAlchemyLinker needs an AsyncEngine or an async_sessionmaker"])
    return cast("Callable[[], AsyncSession]", sessions)


class SQLAlchemyLinker(_LinkerBase[A, "Sources"]):
    """A linker for sync code, and for ASGI applications with a sync engine, where it runs in threads.

    `model` is the application's mapped class, with one column as its primary key. `sessions` makes sessions: a
    `sessionmaker`, an `Engine`, any function that returns a `Session`, or a `scoped_session`, such as `db.session` of
    Flask-SQLAlchemy: in WSGI applications the account is then in the session of the request. Otherwise it is loaded in
    a session of its own, and detached.

    `fields` maps attributes of the model to what they are set to at every login: the name of an attribute of `User`, or
    a function of the `User`. Values that are None are skipped. `new(user)` makes a new row; default: `model()`.
    `create=False` closes the sign-up. `domains` opens it to verified addresses of these domains, `invited(user,
    session)` to whom it returns True for. `link_by_email` names the attribute with the e-mail address: an account with
    the verified address of a new person, and without an identity, is linked after a proof (`AppLogin`).
    `blocked` tells whether an account may not be used: the name of an attribute, or a function of the account.
    `identities` is the table of identities, if it is one of the application's: as `identities_of` makes it.

    Raises `ConfigError` with every fault at once.
    """

    def _open(self, sessions: "Sources") -> None:
        self._sessions, self.request_session = _sources(sessions)

    def sign_in(self, user: User) -> Linked | ProofNeeded:
        """As in `Linker`."""
        return self._run_all(self._sign_in(user))

    def link(self, user: User, key: str) -> Linked:
        """As in `Linker`."""
        return self._run_all(self._link(user, key))

    def refresh(self, user: User) -> Linked | None:
        """As in `Linker`."""
        return self._run_all(self._refresh(user))

    def find(self, identity: Identity) -> str | None:
        """As in `Linker`."""
        return self._run(partial(self.tables.find_key, identity=identity))

    def load(self, identity: Identity, *, session: "Session | scoped_session[Any] | None" = None) -> A | None:
        """As in `Linker`."""
        if session is None:
            return self._run(partial(self.tables.load_alone, identity=identity))
        try:
            return self.tables.load(session, identity=identity)
        except database_errors() as error:
            raised = told(error)
            if raised is error:
                raise
        raise raised

    def identities(self, account: A | object) -> Sequence[LinkedIdentity]:
        """Return the identities of an account, or of what is its primary key, the oldest first."""
        return self._run(partial(self.tables.identities_of, key=self.key_of(account)))

    def unlink(self, account: A | object, identity: tuple[str, str], *, allow_last: bool = False) -> bool:
        """Remove an identity, the pair (issuer, sub), from this account. False if it has none such.

        Raises `LastIdentity` if it is the only one, unless `allow_last` says that the account has another login. The
        sessions of that identity go on until the account is asked for; `auth.sessions.revoke_all` ends them at once.
        """
        work = partial(self.tables.unlink, key=self.key_of(account), identity=identity, allow_last=allow_last)
        return self._run(work)

    def _run(self, work: Work[T]) -> T:
        attempts = Attempts()
        while True:
            try:
                with self._sessions() as session, session.begin():
                    return work(session)
            except database_errors() as error:
                raised = attempts.failed(error)
                if raised is error:
                    raise
            if raised is not None:
                raise raised

    def _run_all(self, works: Works[T]) -> T:
        result: Any = None
        failed: IntegrityError | None = None
        while True:
            # Around the steps alone: a `StopIteration` of the application's must not look like their end.
            try:
                work = works.send(result) if failed is None else works.throw(failed)
            except StopIteration as end:
                return cast("T", end.value)
            result = failed = None
            try:
                result = self._run(work)
            except IntegrityError as error:
                failed = error


class AsyncSQLAlchemyLinker(_LinkerBase[A, "AsyncSources"]):
    """`SQLAlchemyLinker` for ASGI applications with an async engine.

    `sessions` is an `AsyncEngine`, an `async_sessionmaker`, or any function that returns an `AsyncSession`. `new`,
    `invited` and `blocked` are sync functions all the same, and get a sync session.
    """

    def _open(self, sessions: "AsyncSources") -> None:
        self._sessions = _async_source(sessions)

    async def sign_in(self, user: User) -> Linked | ProofNeeded:
        """As in `Linker`."""
        return await self._run_all(self._sign_in(user))

    async def link(self, user: User, key: str) -> Linked:
        """As in `Linker`."""
        return await self._run_all(self._link(user, key))

    async def refresh(self, user: User) -> Linked | None:
        """As in `Linker`."""
        return await self._run_all(self._refresh(user))

    async def find(self, identity: Identity) -> str | None:
        """As in `Linker`."""
        return await self._run(partial(self.tables.find_key, identity=identity))

    async def load(self, identity: Identity, *, session: "AsyncSession | None" = None) -> A | None:
        """As in `Linker`."""
        if session is None:
            return await self._run(partial(self.tables.load_alone, identity=identity))
        try:
            return await session.run_sync(partial(self.tables.load, identity=identity))
        except database_errors() as error:
            raised = told(error)
            if raised is error:
                raise
        raise raised

    async def identities(self, account: A | object) -> Sequence[LinkedIdentity]:
        """As in `SQLAlchemyLinker`."""
        return await self._run(partial(self.tables.identities_of, key=self.key_of(account)))

    async def unlink(self, account: A | object, identity: tuple[str, str], *, allow_last: bool = False) -> bool:
        """As in `SQLAlchemyLinker`."""
        work = partial(self.tables.unlink, key=self.key_of(account), identity=identity, allow_last=allow_last)
        return await self._run(work)

    async def _run(self, work: Work[T]) -> T:
        attempts = Attempts()
        while True:
            try:
                async with self._sessions() as session, session.begin():
                    return await session.run_sync(work)
            except database_errors() as error:
                raised = attempts.failed(error)
                if raised is error:
                    raise
            if raised is not None:
                raise raised

    async def _run_all(self, works: Works[T]) -> T:
        result: Any = None
        failed: IntegrityError | None = None
        while True:
            # Around the steps alone: a `StopIteration` of the application's must not look like their end.
            try:
                work = works.send(result) if failed is None else works.throw(failed)
            except StopIteration as end:
                return cast("T", end.value)
            result = failed = None
            try:
                result = await self._run(work)
            except IntegrityError as error:
                failed = error
