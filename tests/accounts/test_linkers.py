"""The ready linkers by themselves: keys of every kind, the application's sessions, unlinking, and wrong options."""

import asyncio
import uuid
from typing import Any

import pytest
from sqlalchemy import Engine, ForeignKey, create_engine, delete, func, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker
from sqlalchemy.pool import NullPool

from tests.accounts.members_apps import FIELDS, Member, Members, is_blocked, member_of
from xwms_auth import ConfigError, Identity, StoreUnavailable, User
from xwms_auth.accounts import (
    AccountBlocked,
    AsyncSQLAlchemyLinker,
    LastIdentity,
    Linked,
    LinkedElsewhere,
    Linker,
    NoAccount,
    NobodyToLink,
    ProofNeeded,
    SQLAlchemyLinker,
    identities_of,
)

ISSUER = "https://xwms.example/api/"


def person(sub: str = "1001", **claims: Any) -> User:
    return User(issuer=ISSUER, sub=sub, **claims)


@pytest.fixture(params=["sqlite", "postgres"])
def members(request: pytest.FixtureRequest, place: Any, tmp_path: Any) -> Members:
    if request.param == "sqlite":
        return Members(f"sqlite:///{tmp_path / 'members.sqlite3'}")
    return Members(place("postgres"))


class Both:
    """A linker, sync or async, called as a sync one."""

    def __init__(self, members: Members, *, is_async: bool, **options: Any) -> None:
        options = {"fields": FIELDS, "blocked": is_blocked, **options}
        if is_async:
            url = members.async_url().replace("postgresql+psycopg", "postgresql+asyncpg")
            engine = create_async_engine(url, poolclass=NullPool)
            self.linker: Any = AsyncSQLAlchemyLinker(Member, engine, **options)
        else:
            self.linker = SQLAlchemyLinker(Member, members.engine, **options)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.linker, name)

        def call(*args: Any, **options: Any) -> Any:
            result = method(*args, **options)
            return asyncio.run(result) if asyncio.iscoroutine(result) else result

        return call


@pytest.fixture(params=["sync", "async"])
def make(request: pytest.FixtureRequest, members: Members) -> Any:
    return lambda **options: Both(members, is_async=request.param == "async", **options)


def test_they_are_linkers(make):
    assert isinstance(make().linker, Linker)


def test_found_created_and_linked(make, members):
    linker = make()
    assert linker.find(person().identity) is None
    assert linker.sign_in(person(name="Ada")) == Linked(key="1", created=True)
    assert linker.sign_in(person(name="Ada")) == Linked(key="1")
    assert linker.find(person().identity) == "1"
    assert linker.load(person().identity).name == "Ada"
    assert linker.link(person("2002"), "1") == Linked(key="1", linked=True)
    assert linker.link(person("2002"), "1") == Linked(key="1")
    assert [one.identity.sub for one in linker.identities(1)] == ["1001", "2002"]
    assert members.count() == (1, 2)


def test_one_sub_of_two_issuers_is_two_people(make, members):
    linker = make()
    linker.sign_in(person())
    linker.sign_in(User(issuer="https://elsewhere.example/", sub="1001"))
    assert members.count() == (2, 2)


@pytest.mark.parametrize("sub", ["a", "A", "á", "0", "00", "x" * 255, "'; DROP TABLE members; --", "1001 "])
def test_a_sub_is_compared_exactly(make, members, sub):
    linker = make()
    for other in ("a", "A", "á", "a ", "0", "00", "x" * 255, "'; DROP TABLE members; --", "1001", "1001 "):
        linker.sign_in(person(other))
    found = linker.find(Identity(ISSUER, sub))
    assert linker.identities(found)[0].identity == (ISSUER, sub)


def test_a_claim_that_does_not_fit_keeps_nobody_out(make, members):
    linker = make()
    linker.sign_in(person(name="x" * 300, email=f"{'y' * 200}@example.org", email_verified=True))
    assert members.get(1).name == "x" * 200
    assert members.get(1).email is None


def test_an_identity_never_moves(make):
    linker = make()
    linker.sign_in(person("1"))
    linker.sign_in(person("2"))
    with pytest.raises(LinkedElsewhere):
        linker.link(person("1"), "2")
    assert linker.find(Identity(ISSUER, "1")) == "1"


def test_an_account_that_is_gone_or_blocked_is_not_linked(make, members):
    linker = make()
    with pytest.raises(NobodyToLink):
        linker.link(person(), "7")
    blocked = members.add(name="Ada", blocked=True)
    with pytest.raises(AccountBlocked):
        linker.link(person(), str(blocked))
    assert members.count() == (1, 0)


def test_unlinking_removes_only_what_is_the_accounts_and_not_the_last(make, members):
    linker = make()
    linker.sign_in(person("1"))
    linker.sign_in(person("2"))
    linker.link(person("3"), "1")
    assert linker.unlink(1, Identity(ISSUER, "2")) is False
    assert linker.unlink(1, Identity(ISSUER, "1")) is True
    with pytest.raises(LastIdentity):
        linker.unlink(1, Identity(ISSUER, "3"))
    assert linker.find(Identity(ISSUER, "3")) == "1"
    assert linker.unlink(1, Identity(ISSUER, "3"), allow_last=True) is True
    assert members.count() == (2, 1)


def test_two_accounts_with_one_address_are_linked_by_neither(make, members):
    with members.session() as session:
        session.add_all([Member(email="ada@example.org"), Member(email="ADA@example.org")])
    linker = make(link_by_email="email", fields={"name": "display_name"})
    found = linker.sign_in(person(email="ada@example.org", email_verified=True))
    assert found.created


def test_an_account_with_the_address_waits_for_a_proof(make, members):
    ada = members.add(email="Ada@Example.org")
    linker = make(link_by_email="email")
    verified = person(email="ada@example.org", email_verified=True)
    assert linker.sign_in(verified) == ProofNeeded(key=str(ada))
    assert members.count() == (1, 0)
    members.change(ada, blocked=True)
    with pytest.raises(AccountBlocked):
        linker.sign_in(verified)


def test_an_application_whose_own_rule_is_broken_hears_of_it(make, members):
    """Not the address but another unique or missing value: an error of the application, not an answer to the person."""

    def new(user: User) -> Member:
        return Member(id="no number")

    with pytest.raises(Exception) as caught:
        make(new=new).sign_in(person())
    assert not isinstance(caught.value, StoreUnavailable | LinkedElsewhere)
    assert members.count() == (0, 0)


def test_nothing_is_created_where_the_invitation_fails(make, members):
    def invited(user: User, session: Session) -> bool:
        session.add(Member(name="half an invitation"))
        session.flush()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        make(invited=invited).sign_in(person())
    assert members.count() == (0, 0)


# Keys of other kinds.


class Other(DeclarativeBase):
    pass


class Guest(Other):
    __tablename__ = "guests"

    number: Mapped[uuid.UUID] = mapped_column("guest_number", primary_key=True, default=uuid.uuid4)
    name: Mapped[str | None]


class Named(Other):
    __tablename__ = "named"

    handle: Mapped[str] = mapped_column(primary_key=True)


class InTwo(Other):
    __tablename__ = "in_two"

    left: Mapped[int] = mapped_column(primary_key=True)
    right: Mapped[int] = mapped_column(primary_key=True)


def engine_of(tmp_path: Any, base: Any) -> Engine:
    engine = create_engine(f"sqlite:///{tmp_path / 'other.sqlite3'}", poolclass=NullPool)
    base.metadata.create_all(engine)
    return engine


def test_a_key_may_be_a_uuid(tmp_path):
    linker = SQLAlchemyLinker(Guest, identities := engine_of_guests(tmp_path), fields={"name": "display_name"})
    key = linker.sign_in(person(name="Ada")).key
    assert str(uuid.UUID(key)) == key
    guest = linker.load(person().identity)
    assert guest is not None
    assert linker.key_of(guest) == key == linker.key_of(guest.number)
    assert linker.link(person("2002"), key).linked
    assert len(linker.identities(guest)) == 2
    assert identities


def engine_of_guests(tmp_path: Any) -> Engine:
    identities_of(Guest)
    return engine_of(tmp_path, Other)


def test_keys_that_are_none_are_refused(members):
    linker = SQLAlchemyLinker(Member, members.engine)
    wrong: tuple[Any, ...] = (None, True, b"1", 1.5, object(), Member())
    for text in ("", "abc", "1e3", str(2**63)):
        with pytest.raises(ValueError):
            linker.key_of(text)
    assert linker.key_of("01") == "1"
    for one in wrong:
        with pytest.raises(TypeError):
            linker.key_of(one)


def test_wrong_options_are_told_at_once(members):
    with pytest.raises(ConfigError) as caught:
        SQLAlchemyLinker(
            Member,
            members.engine,
            fields={"nickname": "name", "name": "no_such_claim"},
            link_by_email="mail",
            domains="not a domain",
        )
    assert len(caught.value.problems) == 4


def test_two_models_in_one_metadata_have_a_table_of_identities_each(tmp_path):
    class Base(DeclarativeBase):
        pass

    class Customer(Base):
        __tablename__ = "customers"

        id: Mapped[int] = mapped_column(primary_key=True)

    class Clerk(Base):
        __tablename__ = "clerks"

        id: Mapped[int] = mapped_column(primary_key=True)

    engine = create_engine(f"sqlite:///{tmp_path / 'shop.sqlite3'}", poolclass=NullPool)
    customers = SQLAlchemyLinker(Customer, engine)
    with pytest.raises(ConfigError, match="another table than that of Clerk"):
        SQLAlchemyLinker(Clerk, engine)
    clerks = SQLAlchemyLinker(Clerk, engine, identities=identities_of(Clerk, "clerk_identities"), create=False)
    Base.metadata.create_all(engine)
    assert customers.sign_in(person()).created
    with pytest.raises(NoAccount):
        clerks.sign_in(person())


def test_what_no_linker_can_be_made_of(members, tmp_path):
    wrong: Any
    for wrong in (InTwo, int, "Member"):
        with pytest.raises(ConfigError):
            SQLAlchemyLinker(wrong, members.engine)
    for wrong in (None, "sqlite://"):
        with pytest.raises(ConfigError):
            SQLAlchemyLinker(Member, wrong)
    for wrong in (members.engine, sessionmaker(members.engine), None):
        with pytest.raises(ConfigError):
            AsyncSQLAlchemyLinker(Member, wrong)
    with pytest.raises(ConfigError):
        SQLAlchemyLinker(Member, create_async_engine(members.async_url()))


# The application's own sessions.


def test_the_account_is_in_the_session_that_is_given(members):
    linker = SQLAlchemyLinker(Member, sessionmaker(members.engine), fields=FIELDS)
    linker.sign_in(person(name="Ada"))
    with Session(members.engine) as session:
        ada = linker.load(person().identity, session=session)
        assert ada is session.get(Member, 1)
    alone = linker.load(person().identity)
    assert inspect(alone).detached
    assert alone is not None
    assert alone.name == "Ada"


def test_a_scoped_session_gives_the_account_and_none_of_its_changes_are_committed(members):
    shared = scoped_session(sessionmaker(members.engine))
    linker = SQLAlchemyLinker(Member, shared, fields=FIELDS)
    shared.add(Member(name="not yet"))
    linker.sign_in(person(name="Ada"))
    ada = linker.load(person().identity, session=linker.request_session)
    assert ada in shared()
    assert inspect(linker.load(person().identity)).detached  # elsewhere than in WSGI it may be another thread's
    shared.rollback()
    assert members.count() == (1, 1)
    shared.remove()


def test_an_async_session_is_taken_too(members):
    url = members.async_url().replace("postgresql+psycopg", "postgresql+asyncpg")

    async def story() -> None:
        sessions = async_sessionmaker(create_async_engine(url, poolclass=NullPool))
        for source in (sessions, async_scoped_session(sessions, asyncio.current_task)):
            linker = AsyncSQLAlchemyLinker(Member, source, fields=FIELDS)
            await linker.sign_in(person(name="Ada"))
            async with sessions() as session:
                ada = await linker.load(person().identity, session=session)
                assert ada is await session.get(Member, 1)
                assert isinstance(session, AsyncSession)

    asyncio.run(story())


def test_looking_for_the_account_saves_nothing_of_the_application(members):
    linker = SQLAlchemyLinker(Member, members.engine)
    linker.sign_in(person())
    with Session(members.engine) as session:
        session.add(Member(name="half done", email=None))
        linker.load(person().identity, session=session)
        assert session.new
        session.rollback()
    with members.session() as session:
        assert session.scalar(select(func.count()).select_from(Member)) == 1


def test_a_member_who_is_deleted_takes_the_identities_along(tmp_path, place):
    members = Members(place("postgres"))
    linker = SQLAlchemyLinker(Member, members.engine)
    linker.sign_in(person())
    with members.session() as session:
        session.delete(member_of(session, 1))
    assert members.count() == (0, 0)
    assert linker.sign_in(person()) == Linked(key="2", created=True)


@pytest.mark.parametrize("how", ["session", "statement", "driver"])
def test_a_deleted_member_leaves_no_identity_to_the_next_one_with_that_number(members, how, caplog):
    """SQLite gives the number of a deleted row to the next new one, and heeds foreign keys only when asked to."""
    linker = SQLAlchemyLinker(Member, members.engine, fields=FIELDS)
    linker.sign_in(person("alice", name="Alice"))
    with members.session() as session:
        if how == "session":
            session.delete(session.get(Member, 1))
        elif how == "statement":
            session.execute(delete(Member))
        else:
            session.connection().exec_driver_sql("DELETE FROM members")
    assert members.count() == (0, 0)
    members.add(name="Bob, by another way")
    assert linker.load(Identity(ISSUER, "alice")) is None
    again = linker.sign_in(person("alice", name="Alice"))
    assert again.created
    assert members.get(int(again.key)).name == "Alice"
    assert "outlive" not in caplog.text


def test_what_is_left_of_a_deleted_member_opens_no_new_account(tmp_path, caplog):
    """Where nothing keeps identities from outliving accounts: tables made by a migration, on SQLite."""
    members = Members(f"sqlite:///{tmp_path / 'members.sqlite3'}")
    with members.session() as session:
        for when in ("delete", "insert"):
            session.connection().exec_driver_sql(f"DROP TRIGGER xwms_identities_after_{when}")
    linker = SQLAlchemyLinker(Member, members.engine, fields=FIELDS)
    linker.sign_in(person("alice"))
    with members.session() as session:
        session.execute(delete(Member))
    assert members.count() == (0, 1)
    bob = linker.sign_in(person("bob"))
    assert linker.find(Identity(ISSUER, "alice")) is None
    assert [one.identity.sub for one in linker.identities(bob.key)] == ["bob"]
    with members.session() as session:
        session.execute(delete(Member))
    assert linker.sign_in(person("bob")).created  # their own orphan keeps nobody out
    assert caplog.text.count("identities_may_outlive_accounts") == 1


def test_a_table_of_identities_of_the_applications_own(tmp_path):
    class Base(DeclarativeBase):
        pass

    class Customer(Base):
        __tablename__ = "customers"

        id: Mapped[int] = mapped_column(primary_key=True)

    class CustomerIdentity(Base):
        __tablename__ = "customer_identities"

        issuer: Mapped[str] = mapped_column(primary_key=True)
        sub: Mapped[str] = mapped_column(primary_key=True)
        account: Mapped[int] = mapped_column(ForeignKey("customers.id"))
        linked_at: Mapped[int]

    own: Any = CustomerIdentity.__table__
    linker = SQLAlchemyLinker(Customer, engine_of(tmp_path, Base), identities=own)
    assert linker.sign_in(person()) == Linked(key="1", created=True)
    assert linker.find(person().identity) == "1"
    assert "xwms_identities" not in Base.metadata.tables


def test_a_database_that_stops_is_told_and_comes_back(place, postgres):
    members = Members(place("postgres"))
    engine = create_engine(members.url)
    linker = SQLAlchemyLinker(Member, engine)
    linker.sign_in(person())
    postgres.stop()
    try:
        with pytest.raises(StoreUnavailable) as caught:
            linker.load(person().identity)
        assert caught.value.__context__ is None
    finally:
        postgres.start()
    assert linker.load(person().identity) is not None  # the pool had only dead connections
    engine.dispose()
