"""The roles that the application gives to a person. Nothing of them is stored here: it is asked once per request."""

from collections.abc import Awaitable, Callable, Iterable

from ..base.errors import ConfigError
from ..base.models import User

Roles = Callable[[User], Iterable[str] | None]
"""Returns the roles of a person in the application; None for none."""

AsyncRoles = Callable[[User], Iterable[str] | None | Awaitable[Iterable[str] | None]]
"""The same for async code."""


def no_roles() -> ConfigError:
    """The error if a page requires a role and the application has named nothing that knows them."""
    return ConfigError(
        ["require(role=...) needs roles=...: a function of the application that returns a person's roles"]
    )


def parse_roles(found: Iterable[str] | None) -> frozenset[str]:
    """The roles that the application has returned. A single string is one role, and not its letters."""
    if found is None:
        return frozenset()
    return frozenset([found] if isinstance(found, str) else found)
