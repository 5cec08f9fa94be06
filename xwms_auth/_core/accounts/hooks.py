"""What an application is told of logins and accounts: the events, and the functions that take them."""

from collections.abc import Awaitable, Callable
from dataclasses import field
from typing import Any, TypeAlias, TypeVar

from ..base.dataclass import dataclass
from ..base.models import User

E = TypeVar("E")

Hook: TypeAlias = Callable[[E], None | Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn:
    """A person is about to be signed in. `account` is the key of their account; None without a linker."""

    user: User
    account: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedOut:
    """A person has logged out in this browser."""

    user: User


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRefused:
    """A request of a login or a logout was refused. `code` is in docs/errors.md; `cause` is for the log."""

    code: str
    path: str
    cause: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountCreated:
    """A first login has created the account with this key."""

    user: User
    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLinked:
    """The person's identity was linked to an account that had been there."""

    user: User
    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailChanged:
    """The e-mail address of the account was changed to the one that the person has at XWMS now."""

    user: User
    account: str
    before: str
    after: str


Event: TypeAlias = LoggedIn | LoggedOut | LoginRefused | AccountCreated | AccountLinked | EmailChanged
"""What a hook is called with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Functions of the application, sync or async, each called with its event. In ASGI a sync one runs in a thread.

    `login` is called before the session begins: if it raises `NotAllowed`, the login is refused with a 403, and any
    other error ends it with a 500, so that nobody gets past a check that fails. What the others raise is logged and
    changes nothing: what they are told of has happened. A hook can change neither the person nor the session.
    """

    login: Hook[LoggedIn] | None = None
    logout: Hook[LoggedOut] | None = None
    refused: Hook[LoginRefused] | None = None
    created: Hook[AccountCreated] | None = None
    linked: Hook[AccountLinked] | None = None
    email_changed: Hook[EmailChanged] | None = None

    def of(self, event: Event) -> Hook[Any] | None:
        """Return the function for this event, or None."""
        hook: Hook[Any] | None = getattr(self, _NAMES[type(event)])
        return hook


_NAMES = {
    LoggedIn: "login",
    LoggedOut: "logout",
    LoginRefused: "refused",
    AccountCreated: "created",
    AccountLinked: "linked",
    EmailChanged: "email_changed",
}
