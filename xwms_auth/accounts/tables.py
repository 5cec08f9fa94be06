"""The application's table of users and the table of identities: the work of one transaction each.

Knows no login and no session of ours.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from inspect import isawaitable, iscoroutinefunction
from operator import attrgetter
from typing import Any, Generic, TypeAlias, TypeVar, cast

from sqlalchemy import Select, String, Table, bindparam, delete, func, insert, inspect, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapper, Session, scoped_session

from .._core.accounts.errors import AccountBlocked, LastIdentity, LinkedElsewhere, NoAccount, NobodyToLink
from .._core.accounts.linker import Linked, ProofNeeded
from .._core.base import events
from .._core.base.errors import ConfigError
from .._core.base.models import Identity, User
from .._core.responses.login_requirement import domain_of, parse_domain
from ..stores.sqlalchemy_engines import code_of
from .identities import (
    MAX_LENGTH,
    LinkedIdentity,
    check_identities,
    forget_with_account,
    identities_of,
    mapper_of,
    warn_if_they_may_stay,
)

A = TypeVar("A")

Source: TypeAlias = str | Callable[[User], object]
"""What a field of an account is set to: the name of an attribute of `User`, or a function of the `User`."""


_SOURCES = frozenset(
    (*User.__dataclass_fields__, "display_name", "verified_email")  # what a person has to be shown or written to with
)
_EMAILS = ("email", "verified_email")
_NAMES = ("name", "given_name", "family_name", "display_name")
_UNIQUE_VIOLATION = frozenset(("23505", 1062))
_SQLITE_UNIQUE = frozenset((1555, 2067))


def is_unique_violation(error: IntegrityError) -> bool:
    """Whether a row was not added because there is one with the same unique value."""
    return code_of(error) in _UNIQUE_VIOLATION or getattr(error.orig, "sqlite_errorcode", 0) in _SQLITE_UNIQUE


class AccountTables(Generic[A]):
    """The two tables. Raises `ConfigError` with every fault at once. The options are those of `SQLAlchemyLinker`."""

    def __init__(
        self,
        model: type[A],
        *,
        fields: Mapping[str, Source],
        new: Callable[[User], A] | None,
        create: bool,
        domains: str | Sequence[str] | None,
        invited: Callable[[User, Session], bool] | None,
        link_by_email: str | None,
        blocked: Callable[[A], bool] | str | None,
        identities: Table | None,
    ) -> None:
        mapper = mapper_of(model)
        if not isinstance(fields, Mapping):
            raise ConfigError(["fields= is a mapping of columns to attributes of User, as in {'name': 'display_name'}"])
        faults = [f"{model.__name__} has no attribute {name}" for name in fields if not hasattr(model, name)]
        faults += [f"{source!r} is not an attribute of User" for source in fields.values() if not _is_source(source)]
        functions = {
            "new": new,
            "invited": invited,
            "blocked": blocked,
            **{f"fields[{n}]": f for n, f in fields.items()},
        }
        faults += [
            f"{name} is async, and is called in a transaction: make it a sync function"
            for name, one in functions.items()
            if iscoroutinefunction(one)
        ]
        if isinstance(blocked, str) and not hasattr(model, blocked):
            faults.append(f"blocked: {model.__name__} has no attribute {blocked}")
        if link_by_email is not None and link_by_email not in mapper.columns:
            faults.append(f"link_by_email: {model.__name__} has no column {link_by_email}")
        self._domains, wrong = _parsed_domains(domains)
        faults += wrong
        if faults:
            raise ConfigError(faults)
        self.model = model
        self.identities = identities_of(model) if identities is None else identities
        check_identities(self.identities, model)
        self._key: Any = mapper.primary_key[0]
        self._key_name = mapper.get_property_by_column(self._key).key
        self._fields, self._new, self._create, self._invited = fields, new, create, invited
        self._by_email = None if link_by_email is None else mapper.columns[link_by_email]
        self._blocked = attrgetter(blocked) if isinstance(blocked, str) else blocked
        self._is_checked = False
        self._lengths = _lengths_of(mapper)
        columns = self.identities.c
        forget_with_account(self.identities, model, self._key_name)
        self._of_identity = (columns.issuer == bindparam("the_issuer")) & (columns.sub == bindparam("the_sub"))
        self._find: Select[Any, Any, Any] = (
            select(model, columns.issuer, columns.sub).join(self.identities, columns.account == self._key)
        ).where(self._of_identity)

    def key_of(self, account: object) -> str:
        """The primary key of a row, or of what already is a primary key, as text: the same for every spelling of it.

        Raises TypeError for anything else, and ValueError for text that cannot be a key.
        """
        key = getattr(account, self._key_name, None) if isinstance(account, self.model) else account
        if isinstance(key, str):
            key = self._value_of(key)
        if key is None or isinstance(key, bool | bytes) or not isinstance(key, self._key.type.python_type):
            raise TypeError(f"neither a {self.model.__name__} nor its primary key: {type(account).__name__}")
        return str(key)

    def _value_of(self, key: str) -> Any:
        """The primary key as the database has it. Raises ValueError for what cannot be one."""
        kind = self._key.type.python_type
        value = key if kind is str else kind(key)
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError("no database has so large a number")
        return value

    # The work of one transaction each.

    def find(self, session: "Session | scoped_session[Any]", identity: Identity, *, is_fresh: bool = False) -> A | None:
        """The account with this identity, whether it is blocked or not. With `is_fresh` read anew."""
        found = (
            session.execute(self._find, _of(identity), execution_options={"populate_existing": is_fresh})
            .unique()
            .first()
        )
        if found is None:
            return None
        account, issuer, sub = found
        # Some databases take "a" for "A". Then these are two people, and neither may have the other's account.
        return cast("A", account) if (issuer, sub) == identity else None

    def load(self, session: "Session | scoped_session[Any]", *, identity: Identity) -> A | None:
        """The account with this identity, in a session of the application's. Raises `AccountBlocked`."""
        with session.no_autoflush:  # what the application is about to save is its own concern
            # A session that was not closed after the last request still has the row as it was then.
            is_clean = not any(isinstance(one, self.model) for one in session.dirty)
            account = self.find(session, identity, is_fresh=is_clean)
        return None if account is None else self._allowed(account)

    def load_alone(self, session: Session, *, identity: Identity) -> A | None:
        """The same, detached from the session."""
        account = self.load(session, identity=identity)
        if account is not None:
            session.expunge(account)
        return account

    def find_key(self, session: Session, *, identity: Identity) -> str | None:
        """The key of the account with this identity."""
        account = self.find(session, identity)
        return None if account is None else self.key_of(account)

    def sign_in(self, session: Session, *, user: User, update: bool = True) -> Linked | None:
        """Find the account of a person and bring its fields up to date. None if there is none."""
        if not self._is_checked:
            self._is_checked = True
            warn_if_they_may_stay(session, self.identities)
        account = self.find(session, user.identity)
        if account is None:
            return None
        self._allowed(account)
        before = self._set_fields(account, user) if update else None
        session.flush()
        return Linked(key=self.key_of(account), email_before=before)

    def create(self, session: Session, *, user: User) -> Linked | ProofNeeded:
        """Create an account for a person who has none, unless it takes a proof, or is not allowed."""
        if (waiting := self._waiting_for(session, user)) is not None:
            return ProofNeeded(key=self.key_of(self._allowed(waiting)))
        self._require_sign_up(session, user)
        account = self.model() if self._new is None else self._new(user)
        if not inspect(account).transient:
            # Account takeover: only `link` gives somebody an account that is there, after a proof.
            raise TypeError("new returned an account that is there already: it has to make one")
        self._set_fields(account, user)
        session.add(account)
        session.flush()
        value = getattr(account, self._key_name)
        self._remove_orphans(session, user.identity, new=value)
        self._insert(session, user.identity, value)
        return Linked(key=self.key_of(account), created=True)

    def link(self, session: Session, *, user: User, key: str) -> Linked:
        """Link the person's identity to an account. Raises `LinkedElsewhere`, `NobodyToLink`, `AccountBlocked`."""
        found = self.find(session, user.identity)
        if found is not None:
            if self.key_of(found) != key:
                raise LinkedElsewhere("the identity is linked to another account")
            return Linked(key=self.key_of(self._allowed(found)))
        account = session.get(self.model, self._value_of(key))
        if account is None:
            raise NobodyToLink("the account is gone")
        self._allowed(account)
        self._remove_orphans(session, user.identity)
        self._insert(session, user.identity, self._value_of(key))
        return Linked(key=key, linked=True)

    def identities_of(self, session: Session, *, key: str) -> Sequence[LinkedIdentity]:
        """The identities of an account."""
        columns = self.identities.c
        ordered = select(columns.issuer, columns.sub, columns.linked_at).order_by(columns.linked_at, columns.sub)
        rows = session.execute(ordered.where(columns.account == self._value_of(key)))
        return [LinkedIdentity(Identity(issuer, sub), datetime.fromtimestamp(at, UTC)) for issuer, sub, at in rows]

    def unlink(self, session: Session, *, key: str, identity: tuple[str, str], allow_last: bool) -> bool:
        """Remove an identity from an account. Raises `LastIdentity`."""
        value, columns = self._value_of(key), self.identities.c
        # One at a time for an account: two requests that remove one each must not leave it without any.
        session.execute(select(self._key).where(self._key == value).with_for_update())
        session.execute(select(columns.sub).where(columns.account == value).with_for_update())
        removal = delete(self.identities).where(self._of_identity, columns.account == value)
        if not cast("Any", session.execute(removal, _of(identity))).rowcount:
            return False
        left = session.scalar(select(func.count()).select_from(self.identities).where(columns.account == value))
        if not left and not allow_last:
            raise LastIdentity("the account would have no identity left")
        return True

    # Their parts.

    def _allowed(self, account: A) -> A:
        if self._blocked is None:
            return account
        is_blocked: object = self._blocked(account)
        if isawaitable(is_blocked):
            raise TypeError("blocked returned an awaitable: make it a sync function")
        if is_blocked:
            raise AccountBlocked("the application has blocked the account")
        return account

    def _remove_orphans(self, session: Session, identity: Identity, new: object = None) -> None:
        """Remove what is left of deleted accounts: for this identity, and for the key of a new account.

        Account takeover: see `identities._triggers`. A row whose account exists is another request's, and stays.
        """
        columns = self.identities.c
        is_orphan = columns.account.not_in(select(self._key))
        session.execute(delete(self.identities).where(self._of_identity, is_orphan), _of(identity))
        if new is not None:
            session.execute(delete(self.identities).where(columns.account == new))

    def _insert(self, session: Session, identity: Identity, value: object) -> None:
        if len(identity.issuer) > MAX_LENGTH:
            raise ConfigError([f"the issuer is longer than {MAX_LENGTH} characters"])
        row = {"issuer": identity.issuer, "sub": identity.sub, "account": value, "linked_at": int(time.time())}
        session.execute(insert(self.identities), row)

    def _set_fields(self, account: A, user: User) -> str | None:
        """Set the fields of an account. The e-mail address that it had, if that has changed."""
        before = None
        for name, source in self._fields.items():
            value = source(user) if callable(source) else self._fitting(name, source, _claim(user, source))
            known = getattr(account, name)
            if value is None or value == known:
                continue
            if source in _EMAILS and isinstance(known, str) and known:
                before = known
            setattr(account, name, value)
        return before

    def _fitting(self, name: str, source: str, value: object) -> object:
        """A claim as the column can hold it: a name is cut, and anything else that is too long is left out."""
        limit = self._lengths.get(name)
        if limit is None or not isinstance(value, str) or len(value) <= limit:
            return value
        events.warning("field_too_long", field=name, characters=str(len(value)))
        return value[:limit] if source in _NAMES else None

    def _waiting_for(self, session: Session, user: User) -> A | None:
        """The one account with the verified address of a new person, if it has no identity yet."""
        if self._by_email is None or user.verified_email is None:
            return None
        columns = self.identities.c
        unlinked = ~select(columns.account).where(columns.account == self._key).exists()
        same = func.lower(self._by_email) == user.verified_email.lower()
        found = session.scalars(select(self.model).where(same, unlinked).limit(2)).unique().all()
        return found[0] if len(found) == 1 else None

    def _require_sign_up(self, session: Session, user: User) -> None:
        if not self._create:
            raise NoAccount("the sign-up is closed")
        if self._domains is None and self._invited is None:
            return
        address = user.verified_email
        if address is not None and self._domains and domain_of(address) in self._domains:
            return
        if self._invited is None or self._invited(user, session) is not True:
            raise NoAccount("neither a domain of the sign-up nor an invitation")


def _of(identity: tuple[str, str]) -> dict[str, str]:
    issuer, sub = identity
    return {"the_issuer": issuer, "the_sub": sub}


def _claim(user: User, source: str) -> object:
    """A claim of the person, or their display name. That may be their address, but not one that nobody has verified:
    others are shown it as theirs."""
    if source == "display_name" and user.verified_email is None:
        user = replace(user, email=None)
    return getattr(user, source)


def _is_source(source: Source) -> bool:
    return callable(source) or source in _SOURCES


def _lengths_of(mapper: Mapper[Any]) -> dict[str, int]:
    """The most characters of each attribute whose column has a limit."""
    kinds = {name: column.type for name, column in mapper.columns.items()}
    return {name: kind.length for name, kind in kinds.items() if isinstance(kind, String) and kind.length is not None}


def _parsed_domains(domains: str | Sequence[str] | None) -> tuple[frozenset[str] | None, list[str]]:
    if domains is None:
        return None, []
    parsed, faults = set[str](), list[str]()
    if not domains:
        faults.append("domains: there is none in it; create=False closes the sign-up")
    for domain in [domains] if isinstance(domains, str) else domains:
        try:
            parsed.add(parse_domain(domain))
        except ValueError as error:
            faults.append(f"domains: {error}")
    return frozenset(parsed), faults
