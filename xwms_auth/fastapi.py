"""Login with XWMS for FastAPI: the middleware of `asgi.py`, and two dependencies.

Knows: FastAPI's dependencies and its OpenAPI.
Must not: decide anything about a login.
"""

from datetime import timedelta
from typing import Annotated, Any

try:
    from fastapi import Depends, HTTPException, WebSocketException
    from fastapi.openapi.models import APIKey, APIKeyIn
    from fastapi.security.base import SecurityBase
    from starlette.requests import HTTPConnection
except ImportError as missing:  # pragma: no cover
    raise ImportError("xwms_auth.fastapi needs FastAPI: pip install 'xwms-auth[fastapi]'") from missing

from .asgi import XWMSAuthMiddleware
from .asgi_messages import POLICY_VIOLATION
from .asgi_seat import seat_of
from .cookies import HTTPS
from .models import User
from .session import fresh_seconds

__all__ = ["CurrentUser", "OptionalUser", "XWMSAuthMiddleware", "fresh_user"]


class _SessionCookie(SecurityBase):
    """The session cookie as a security scheme, so that the API's documentation says how to be somebody."""

    def __init__(self) -> None:
        self.model = APIKey.model_validate(
            {
                "in": APIKeyIn.cookie,
                "name": HTTPS.session,
                "description": "The session of a person who logged in with XWMS; on http://localhost: xwms_session.",
            }
        )
        self.scheme_name = "XWMS login"


class _PersonRequired(_SessionCookie):
    def __init__(self, *, fresh: int | None = None) -> None:
        super().__init__()
        self._fresh = fresh

    async def __call__(self, connection: HTTPConnection) -> User:
        seat = seat_of(connection.scope)
        refused = seat.refusal(fresh=self._fresh)
        if refused is None:
            user = seat.user()
            if isinstance(user, User):
                return user
        if connection.scope["type"] == "websocket":
            raise WebSocketException(POLICY_VIOLATION, "login_required")
        # The middleware gives its own answer in place of what FastAPI makes of the exception, so that a browser is
        # sent to log in and a program gets the documented problem, whatever handlers the application has.
        seat.answer = refused
        raise HTTPException(401)


class _PersonOptional(_SessionCookie):
    async def __call__(self, connection: HTTPConnection) -> User | None:
        user = seat_of(connection.scope).user()
        return user if isinstance(user, User) else None


CurrentUser = Annotated[User, Depends(_PersonRequired())]
"""The person; without one the endpoint is not called: a browser is sent to log in, a program gets a 401."""


def fresh_user(fresh: timedelta | float) -> Any:
    """A dependency like `CurrentUser`'s that asks for a login at most this old: a timedelta or seconds.

    `Annotated[User, fresh_user(timedelta(minutes=5))]`. An older login is asked for once more; the session goes on.
    """
    return Depends(_PersonRequired(fresh=fresh_seconds(fresh)))


OptionalUser = Annotated[User | None, Depends(_PersonOptional())]
"""The person, or None."""
