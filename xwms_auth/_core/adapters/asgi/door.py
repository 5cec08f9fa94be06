"""What all requests through an ASGI middleware share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ...base.health import HEALTH_SECONDS, Health
from ...io.operation.health import acheck
from ...io.session_manager import AsyncXWMSSessions
from ..roles import AsyncRoles
from ..served_app import ServedApp
from .messages import ASGIApp, Scope

Unauthorized = Callable[[Scope, dict[str, object]], ASGIApp | None | Awaitable[ASGIApp | None]]
"""The application's own answer to a request that needs a login, as an ASGI application; None for ours."""


class AnswersHealth:
    """What has the health of a login: `request.auth`, and the middleware."""

    served: ServedApp

    async def health(self, *, timeout: float = HEALTH_SECONDS) -> Health:
        """Return whether the session store answers, and what this process knows of XWMS, for a health check of yours.

        XWMS is not called, and a store that hangs has `timeout` seconds. With several clients it is the worst of all,
        in a request that of its client.
        """
        return await acheck(self.served.health_checks(), timeout=timeout)


@dataclass(frozen=True, slots=True)
class Door:
    """What all requests through a middleware share: the application that it wraps, and the doors' own parts."""

    app: ASGIApp
    sessions: AsyncXWMSSessions
    unauthorized: Unauthorized | None
    roles: AsyncRoles | None = None
