"""What all requests through an ASGI middleware share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..io.session_manager import AsyncXWMSSessions
from .asgi import ASGIApp, Scope
from .roles import AsyncRoles

Unauthorized = Callable[[Scope, dict[str, object]], ASGIApp | None | Awaitable[ASGIApp | None]]
"""The application's own answer to a request that needs a login, as an ASGI application; None for ours."""


@dataclass(frozen=True, slots=True)
class Door:
    """What all requests through a middleware share: the application that it wraps, and the doors' own parts."""

    app: ASGIApp
    sessions: AsyncXWMSSessions
    unauthorized: Unauthorized | None
    roles: AsyncRoles | None = None
