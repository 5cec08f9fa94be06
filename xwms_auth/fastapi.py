"""Login with XWMS for FastAPI: the middleware of `asgi.py`, and dependencies for users and for access tokens."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Annotated, Any, NoReturn, Unpack, cast

try:
    from fastapi import HTTPException, WebSocketException, params
    from fastapi.openapi.models import APIKey, APIKeyIn, HTTPBearer
    from fastapi.security.base import SecurityBase
    from starlette.requests import HTTPConnection
except ImportError as missing:  # pragma: no cover
    raise ImportError("xwms_auth.fastapi needs FastAPI: pip install 'xwms-auth[fastapi]'") from missing

from ._core.accounts.linker import Linker
from ._core.adapters.asgi.bearer import check_token, routes_of, token_of
from ._core.adapters.asgi.messages import POLICY_VIOLATION, Scope, is_cors_preflight
from ._core.adapters.asgi.state import ASGIRequestState, request_state_of
from ._core.adapters.guard_check import GUARD
from ._core.adapters.passive import passive
from ._core.adapters.request_state import current_request_state
from ._core.base.models import AccessToken, User, anonymous
from ._core.http.login_params import LoginParamArgs
from ._core.http.messages import CookieNames
from ._core.oauth2.bearer_guard import NEEDS_TOKEN
from ._core.responses.bearer_challenge import parse_scopes
from ._core.responses.login_requirement import ANY_LOGIN, LoginRequirement
from ._core.responses.responses import login_url
from .starlette import XWMSAuthMiddleware, error_of, required_user, xwms_login_url
from .starlette import current_account as account_of

__all__ = [
    "BearerToken",
    "CurrentUser",
    "OptionalUser",
    "XWMSAuthMiddleware",
    "bearer_token",
    "current_account",
    "fresh_user",
    "passive",
    "require",
    "require_user",
    "xwms_login_url",
]


class _NotInsideType:
    """Refuses a dependency inside another type, when the application starts.

    `CurrentUser | None` hides the dependency from FastAPI, which then reads the user from the request body. For a
    dependency that it sees, FastAPI does not ask pydantic for a schema; so if pydantic is asked, it has no effect.
    """

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> NoReturn:
        raise TypeError(
            "a dependency of xwms_auth is used inside another type, where FastAPI cannot see it: "
            "write `user: OptionalUser` instead of `user: CurrentUser | None`, and `user: CurrentUser` by itself"
        )


class _Depends(_NotInsideType, params.Depends):
    pass


class _Security(_NotInsideType, params.Security):
    pass


class _SessionCookie(SecurityBase):
    """The session cookie as a security scheme of OpenAPI."""

    def __init__(self) -> None:
        self.scheme_name = "XWMS login"

    @property
    def model(self) -> APIKey:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        """What FastAPI shows: read when it makes the document, and not before, since only a request knows the settings.

        The description is Markdown, and `/docs` shows it behind the padlock.
        """
        state = current_request_state.get(None)
        if isinstance(state, ASGIRequestState) and (uri := state.redirect_uri) is not None:
            context = state.served.context
            name, link = context.names_for(uri).session, login_url(context.config, _docs_of(state.scope))
            told = (
                f"[Log in with XWMS and come back here]({link}). "
                "Nothing has to be entered: the browser sends the session cookie by itself."
            )
        else:
            name = CookieNames.of("TAG", secure=True).session
            told = (
                "The session of a user who logged in with XWMS; TAG is the setting cookie_tag, by default derived from "
                "the client. On http://localhost: xwms_session_TAG."
            )
        return APIKey.model_validate({"in": APIKeyIn.cookie, "name": name, "description": told})


def _docs_of(scope: Scope) -> str | None:
    """The path of the page that shows the OpenAPI document of the application that is making it, if it has one."""
    path: object = getattr(scope.get("app"), "docs_url", None)
    root: str = scope.get("root_path", "")
    return f"{root.rstrip('/')}{path}" if isinstance(path, str) else None


class _UserRequired(_SessionCookie):
    def __init__(self, requirement: LoginRequirement = ANY_LOGIN, name: str = "require_user") -> None:
        super().__init__()
        self._requirement = requirement
        setattr(self, GUARD, name)

    async def __call__(self, connection: HTTPConnection) -> User:
        if is_cors_preflight(connection.scope) and _is_for_options_only(connection.scope):
            return cast("User", anonymous(None))
        if self._requirement.roles:
            refused = await request_state_of(connection.scope).refusal_after_roles(self._requirement)
            if refused is not None:
                raise error_of(connection.scope, refused)
        return required_user(connection.scope, self._requirement)


def _is_for_options_only(scope: Scope) -> bool:
    """Whether the endpoint answers `OPTIONS` and no other method, at no other route either: it is nobody's page."""
    endpoint = getattr(scope.get("route"), "endpoint", None)
    routes = [route for route in routes_of(scope.get("app")) if route.endpoint is endpoint]
    return bool(routes) and all(getattr(route, "methods", None) == {"OPTIONS"} for route in routes)


class _UserOptional(_SessionCookie):
    async def __call__(self, connection: HTTPConnection) -> User | None:
        user = request_state_of(connection.scope).user()
        return user if isinstance(user, User) else None


require_user = _UserRequired()
"""The dependency of `CurrentUser`, for what takes one: `APIRouter(dependencies=[Depends(require_user)])`,
`app.dependency_overrides[require_user]`."""

CurrentUser = Annotated[User, _Depends(require_user)]
"""The user. If nobody is signed in, the endpoint is not called: browsers are redirected to the login, API clients get
a 401."""


def fresh_user(fresh: timedelta | float, **params: Unpack[LoginParamArgs]) -> Any:
    """A dependency like that of `CurrentUser`, for a login that is at most this old: a timedelta or seconds.

    `Annotated[User, fresh_user(timedelta(minutes=5))]`. Users whose login is older have to log in again; until then
    their session continues. `params` are those of the login: `ui_locales`, `prompt`, `login_hint` and `acr_values`.
    """
    return _Depends(_UserRequired(LoginRequirement.of(fresh=fresh, **params), "fresh_user"))


def require(*, role: str | Sequence[str] = (), verified_email: bool = False, domain: str | Sequence[str] = ()) -> Any:
    """A dependency like that of `CurrentUser`, for a person with a role, a verified e-mail address, or one of a domain.

    `Annotated[User, require(role="admin")]`, or `dependencies=[require(domain="example.org")]` of a router or an
    endpoint. `role` and `domain` take one or several, of which one is enough. Whoever lacks it gets a 403
    `not_allowed`. The roles are those that `roles=` of the middleware returns. ValueError if it requires nothing.
    """
    requirement = LoginRequirement.of_person(role=role, verified_email=verified_email, domain=domain)
    return _Depends(_UserRequired(requirement, "require"))


OptionalUser = Annotated[User | None, _Depends(_UserOptional())]
"""The user, or None if nobody is signed in."""


def current_account(linker: Linker[Any], *, session: Callable[..., Any] | None = None, optional: bool = False) -> Any:
    """A dependency for the user's account: `CurrentMember = Annotated[Member, current_account(members)]`.

    `linker` is the one that the middleware has. `session` is the application's dependency that gives a session of its
    database, in which the account is then loaded, once for a request. If nobody is signed in, the answer is as with
    `CurrentUser`; with `optional` the account is then None. If the account is blocked or gone, the session ends: 403
    `not_allowed`, or the login.
    """

    async def load(connection: HTTPConnection, user: User | None, db: object) -> object:
        if user is None and optional:
            return None
        return await account_of(connection, linker, session=db)

    if session is None:

        async def account(connection: HTTPConnection, user: OptionalUser) -> object:
            return await load(connection, user, None)

        return _Depends(_noted(account, optional=optional))

    async def account_in(
        connection: HTTPConnection, user: OptionalUser, db: Annotated[Any, params.Depends(session)]
    ) -> object:
        return await load(connection, user, db)

    return _Depends(_noted(account_in, optional=optional))


def _noted(dependency: Callable[..., Any], *, optional: bool) -> Callable[..., Any]:
    if not optional:
        setattr(dependency, GUARD, "current_account")
    return dependency


class _TokenRequired(SecurityBase):
    """The access token as a security scheme of OpenAPI. The token must have all of `scopes`."""

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
        # As for users: the documented error, whatever exception handlers the application has.
        request_state.refused = refused
        raise HTTPException(refused.response.status)


setattr(_TokenRequired, NEEDS_TOKEN, True)
setattr(_TokenRequired, GUARD, "bearer_token")

BearerToken = Annotated[AccessToken, _Depends(_TokenRequired())]
"""The access token of the request. Without a valid one the endpoint is not called. A session gives no access."""


def bearer_token(*, scopes: str | Sequence[str] = ()) -> Any:
    """A dependency like that of `BearerToken`, with scopes: `Annotated[AccessToken, bearer_token(scopes=["read"])]`.

    The token must have all of them. Raises ValueError for an invalid scope.
    """
    names = parse_scopes(scopes)
    return _Security(_TokenRequired(names), scopes=names)
