"""Login with XWMS for FastAPI: the middleware of `asgi.py`, and dependencies for people and for access tokens.

Knows: FastAPI's dependencies and its OpenAPI.
Must not: decide anything about a login or a token.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, NoReturn

try:
    from fastapi import HTTPException, WebSocketException, params
    from fastapi.openapi.models import APIKey, APIKeyIn, HTTPBearer
    from fastapi.security.base import SecurityBase
    from starlette.requests import HTTPConnection
except ImportError as missing:  # pragma: no cover
    raise ImportError("xwms_auth.fastapi needs FastAPI: pip install 'xwms-auth[fastapi]'") from missing

from ._core.adapters.asgi import POLICY_VIOLATION
from ._core.adapters.asgi_bearer import check_token, token_of
from ._core.adapters.asgi_state import request_state_of
from ._core.base.lifetimes import ANY_LOGIN, LoginRequirement
from ._core.base.models import AccessToken, User
from ._core.http.cookies import HTTPS
from ._core.oauth2.bearer_guard import NEEDS_TOKEN
from ._core.responses.bearer_challenge import parse_scopes
from .asgi import XWMSAuthMiddleware

__all__ = ["BearerToken", "CurrentUser", "OptionalUser", "XWMSAuthMiddleware", "bearer_token", "fresh_user"]


class _InItsPlace:
    """What a dependency is below a type: `CurrentUser | None` hides it from FastAPI, which then asks the body.

    FastAPI itself does not ask pydantic about a dependency; that somebody does says that it stands where it has no
    effect. Raised when the application starts.
    """

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> NoReturn:
        raise TypeError(
            "a dependency of xwms_auth stands inside another type, where FastAPI cannot see it: "
            "write `user: OptionalUser` instead of `user: CurrentUser | None`, and `user: CurrentUser` by itself"
        )


class _Depends(_InItsPlace, params.Depends):
    pass


class _Security(_InItsPlace, params.Security):
    pass


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
    def __init__(self, requirement: LoginRequirement = ANY_LOGIN) -> None:
        super().__init__()
        self._demand = requirement

    async def __call__(self, connection: HTTPConnection) -> User:
        request_state = request_state_of(connection.scope)
        refused = request_state.refusal(self._demand)
        if refused is None:
            user = request_state.user()
            if isinstance(user, User):
                return user
        if connection.scope["type"] == "websocket":
            raise WebSocketException(POLICY_VIOLATION, "login_required")
        # The middleware gives its own answer in place of what FastAPI makes of the exception, so that a browser is
        # sent to log in and a program gets the documented problem, whatever handlers the application has.
        request_state.response = refused
        raise HTTPException(401)


class _PersonOptional(_SessionCookie):
    async def __call__(self, connection: HTTPConnection) -> User | None:
        user = request_state_of(connection.scope).user()
        return user if isinstance(user, User) else None


CurrentUser = Annotated[User, _Depends(_PersonRequired())]
"""The person; without one the endpoint is not called: a browser is sent to log in, a program gets a 401."""


def fresh_user(fresh: timedelta | float) -> Any:
    """A dependency like `CurrentUser`'s that asks for a login at most this old: a timedelta or seconds.

    `Annotated[User, fresh_user(timedelta(minutes=5))]`. An older login is asked for once more; the session goes on.
    """
    return _Depends(_PersonRequired(LoginRequirement.of(fresh=fresh)))


OptionalUser = Annotated[User | None, _Depends(_PersonOptional())]
"""The person, or None."""


class _TokenRequired(SecurityBase):
    """The access token as a security scheme. `scopes` is what it must have been granted."""

    def __init__(self, scopes: Sequence[str] = ()) -> None:
        self.model = HTTPBearer(description="An access token of the authorization server (RFC 6750).")
        self.scheme_name = "Access token"
        self._scopes = tuple(scopes)

    async def __call__(self, connection: HTTPConnection) -> AccessToken:
        request_state = request_state_of(connection.scope)
        refused = await check_token(request_state, scopes=self._scopes)
        if refused is None:
            return token_of(request_state)
        if connection.scope["type"] == "websocket":
            raise WebSocketException(POLICY_VIOLATION, refused.code)
        request_state.response = (
            refused.response
        )  # as for people: the documented answer, whatever handlers the application has
        raise HTTPException(refused.response.status)


setattr(_TokenRequired, NEEDS_TOKEN, True)

BearerToken = Annotated[AccessToken, _Depends(_TokenRequired())]
"""The access token of the call; without a good one the endpoint is not called. Who is signed in does not count."""


def bearer_token(*, scopes: str | Sequence[str] = ()) -> Any:
    """A dependency like `BearerToken`'s that asks for scopes: `Annotated[AccessToken, bearer_token(scopes=["read"])]`.

    The token must have been granted all of them. Raises ValueError for what cannot be a scope.
    """
    names = parse_scopes(scopes)
    return _Security(_TokenRequired(names), scopes=names)
