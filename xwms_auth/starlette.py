"""Login with XWMS for Starlette: the middleware of `asgi.py`, two decorators, `current_user` and `current_token`."""

import inspect
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, cast, overload

try:
    from starlette.concurrency import run_in_threadpool
    from starlette.exceptions import HTTPException, WebSocketException
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket
except ImportError as missing:  # pragma: no cover
    raise ImportError("xwms_auth.starlette needs Starlette: pip install 'xwms-auth[starlette]'") from missing

from ._core.accounts.hooks import Hooks
from ._core.accounts.linker import AppLogin, Linker
from ._core.adapters.application import Linkers, is_async
from ._core.adapters.asgi.bearer import CurrentTokenProxy, check_token
from ._core.adapters.asgi.headers import never_stored
from ._core.adapters.asgi.messages import POLICY_VIOLATION, ASGIApp, Receive, Scope, Send, encoded
from ._core.adapters.asgi.state import request_state_of
from ._core.adapters.clients import Configs
from ._core.adapters.guard_check import note_guard
from ._core.adapters.passive import passive
from ._core.adapters.roles import AsyncRoles, Roles
from ._core.base.models import User
from ._core.config.context import Context
from ._core.http.login_params import LoginParamArgs, LoginParams
from ._core.http.messages import Request as XWMSRequest
from ._core.oauth2.bearer_guard import NEEDS_TOKEN
from ._core.responses import widgets
from ._core.responses.bearer_challenge import parse_scopes
from ._core.responses.login_requirement import ANY_LOGIN, LoginRequirement
from ._core.responses.responses import Refusal
from .asgi import XWMSAuthMiddleware as ASGIMiddleware
from .asgi import current_user

if TYPE_CHECKING:
    from ._core.adapters.asgi.starlette_endpoints import Check
    from ._core.base.texts.page_content import Html

__all__ = [
    "XWMSAuthMiddleware",
    "current_account",
    "current_token",
    "current_user",
    "login_required",
    "passive",
    "require",
    "require_user",
    "template_context",
    "token_required",
    "xwms_login_url",
]

A = TypeVar("A")
E = TypeVar("E", bound=Callable[..., Any])

Unauthorized = Callable[[Request, dict[str, object]], Response | None | Awaitable[Response | None]]
"""The application's own answer to a request that needs a login; None for ours."""


class XWMSAuthMiddleware(ASGIMiddleware):
    """Adds login with XWMS to an application of Starlette or FastAPI, as `xwms_auth.asgi.XWMSAuthMiddleware` does.

    `unauthorized(request, problem)`, async or not, returns a response, or None for ours. `roles(user)` returns the
    person's roles in the application; one that is not async runs in a thread. `linker`, `app_login` and `hooks` are
    those of `xwms_auth.accounts`.
    """

    def __init__(
        self,
        app: ASGIApp,
        config: Configs | None = None,
        *,
        clock: Callable[[], float] = time.time,
        unauthorized: Unauthorized | None = None,
        roles: AsyncRoles | None = None,
        linker: Linkers[Any] | None = None,
        app_login: AppLogin | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        async def answer(scope: Scope, problem: dict[str, object]) -> ASGIApp | None:
            handler = cast("Unauthorized", unauthorized)
            if is_async(handler):
                response: object = handler(Request(scope), problem)
            else:
                response = await run_in_threadpool(cast("Callable[..., object]", handler), Request(scope), problem)
            return cast("Response | None", await response if inspect.isawaitable(response) else response)

        async def roles_of(user: User) -> Iterable[str] | None:
            found = await run_in_threadpool(cast("Roles", roles), user)
            return cast("Iterable[str]", await found) if inspect.isawaitable(found) else found

        super().__init__(
            app,
            config,
            clock=clock,
            unauthorized=None if unauthorized is None else answer,
            roles=roles if roles is None or is_async(roles) else roles_of,
            linker=linker,
            app_login=_with_request(app_login) if isinstance(app_login, AppLogin) else app_login,
            hooks=hooks,
        )


def _with_request(app_login: AppLogin) -> AppLogin:
    """The same, called with a request of Starlette's."""
    who = app_login.who

    async def who_async(scope: Scope) -> object:
        return await cast("Awaitable[object]", who(HTTPConnection(scope)))

    def who_sync(scope: Scope) -> object:
        return who(HTTPConnection(scope))

    return replace(app_login, who=who_async if is_async(who) else who_sync)


current_token = CurrentTokenProxy()
"""The access token of the current request, in an endpoint with `token_required`; or `current_token(request)`."""


def require_user(connection: HTTPConnection[Any]) -> User:
    """Return the user of this request, or end it with what `login_required` answers. A websocket is closed with 1008.

    What it raises for that is Starlette's; whatever the application makes of it, the response is ours, or that of
    `unauthorized`.
    """
    return required_user(connection.scope, ANY_LOGIN)


def required_user(scope: Scope, requirement: LoginRequirement) -> User:
    """As `require_user`, for a user who also meets the requirement."""
    found = request_state_of(scope).user_or_refusal(requirement)
    if isinstance(found, User):
        return found
    raise error_of(scope, found)


def error_of(scope: Scope, refused: Refusal) -> Exception:
    """Return the exception to raise for a refusal."""
    # The middleware sends the refusal in place of the framework's response to the exception, so that a browser is
    # redirected to the login and an API client gets the documented error, whatever exception handlers there are.
    error = request_state_of(scope).refuse(refused)
    raised = WebSocketException(POLICY_VIOLATION, refused.code) if scope["type"] == "websocket" else HTTPException(401)
    raised.__cause__ = error
    return raised


async def current_account(connection: HTTPConnection[Any], linker: Linker[A], *, session: object = None) -> A:
    """Return the user's account, or end the request with what `login_required` answers.

    `linker` is the one that the middleware has. Loaded once for a request, in `session` if one is given: the
    application's own of its database. If the account is blocked or gone, the session ends: 403 `not_allowed`, or the
    login. What it raises is as in `require_user`.
    """
    user, state = require_user(connection), request_state_of(connection.scope)
    found = await state.load_account(state.linker_of(linker), user.identity, session)
    if isinstance(found, Refusal):
        raise error_of(connection.scope, found)
    return found


@overload
def login_required(endpoint: E, /) -> E: ...
@overload
def login_required(
    *, fresh: timedelta | float | None = None, scopes: Sequence[str] = (), **params: Unpack[LoginParamArgs]
) -> Callable[[E], E]: ...
def login_required(
    endpoint: Any = None,
    /,
    *,
    fresh: timedelta | float | None = None,
    scopes: Sequence[str] = (),
    **params: Unpack[LoginParamArgs],
) -> Any:
    """Require login for this endpoint. Browsers are redirected to the login; API clients get a 401.

    For functions (async or not), `HTTPEndpoint` and `WebSocketEndpoint` classes, and websocket functions, whose
    handshake is refused with 1008.
    With `fresh`, a timedelta or seconds, users whose login is older have to log in again; until then their session
    continues. With `scopes`, a login for which one of them was not requested or not granted gets a 403 `not_approved`;
    only `flow="oauth2"` has scopes. `params` are those of the login: `ui_locales`, `prompt`, `login_hint` and
    `acr_values`.
    """
    requirement = LoginRequirement.of(fresh=fresh, scopes=scopes, **params)

    async def check(scope: Scope) -> Refusal | None:
        return request_state_of(scope).refusal(requirement)

    guard = partial(_guard, check=check, name="login_required")
    return guard if endpoint is None else guard(endpoint)


def require(
    *, role: str | Sequence[str] = (), verified_email: bool = False, domain: str | Sequence[str] = ()
) -> Callable[[E], E]:
    """Require of whoever is signed in a role in the application, a verified e-mail address, or one of a domain.

    `role` and `domain` take one or several, of which one is enough. A person who lacks it gets a 403 `not_allowed`, and
    nobody what `login_required` answers. For what `login_required` guards. The roles are those that `roles=` of the
    middleware returns. Raises ValueError if nothing is required.
    """
    requirement = LoginRequirement.of_person(role=role, verified_email=verified_email, domain=domain)

    async def check(scope: Scope) -> Refusal | None:
        return await request_state_of(scope).refusal_after_roles(requirement)

    return partial(_guard, check=check, name="require")


@overload
def token_required(endpoint: E, /) -> E: ...
@overload
def token_required(*, scopes: str | Sequence[str] = ()) -> Callable[[E], E]: ...
def token_required(endpoint: Any = None, /, *, scopes: str | Sequence[str] = ()) -> Any:
    """Require a valid access token for this endpoint; other requests get 401, 400 or 403 (RFC 6750).

    For functions (async or not), `HTTPEndpoint` and `WebSocketEndpoint` classes, and websocket functions, whose
    handshake is refused with 1008. With `scopes`, the token must have all of them. `current_token` is the token. A
    session gives no access here. Raises `ConfigError` without `flow="oauth2"`, and ValueError for an invalid scope.
    """
    names = parse_scopes(scopes)

    async def check(scope: Scope) -> Refusal | None:
        return await check_token(request_state_of(scope), scopes=names)

    def guard(unguarded: Any) -> Any:
        guarded = _guard(unguarded, check, name="token_required")
        setattr(guarded, NEEDS_TOKEN, True)
        return guarded

    return guard(endpoint) if endpoint is not None else guard


def _guard(endpoint: Any, check: "Check", *, name: str) -> Any:
    if inspect.isclass(endpoint):
        from ._core.adapters.asgi.starlette_endpoints import guard_class  # noqa: PLC0415  few applications have classes

        return guard_class(endpoint, check, name=name)

    is_async = inspect.iscoroutinefunction(endpoint)

    @wraps(endpoint)
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        connection = _connection(endpoint, (*args, *kwargs.values()))
        refused = await check(connection.scope)
        if refused is not None:
            return await _refuse(connection, refused)
        if is_async:
            return await endpoint(*args, **kwargs)
        return await run_in_threadpool(endpoint, *args, **kwargs)

    note_guard(endpoint, guarded, name)
    return guarded


def _connection(endpoint: Callable[..., Any], arguments: tuple[Any, ...]) -> HTTPConnection[Any]:
    for argument in arguments:
        if isinstance(argument, HTTPConnection):
            return argument  # pyright: ignore[reportUnknownVariableType]  the class is generic in its state
    raise TypeError(f"{endpoint.__qualname__} has no request or websocket parameter")


def xwms_login_url(
    request: HTTPConnection[Any],
    *,
    next: str | None = None,  # noqa: A002  as in the query
    **params: Unpack[LoginParamArgs],
) -> str:
    """The address that starts a login, which comes back to `next`, at first this page.

    `ui_locales`, `prompt`, `login_hint` and `acr_values` are those of OpenID Connect Core 3.1.2.1; a malformed one is a
    `ValueError`. Templates have it without the request.
    """
    state = request_state_of(request.scope)
    return widgets.login_url(state.served.context, state.request(), to=next, params=LoginParams.of(**params))


def template_context(request: Request) -> dict[str, Any]:
    """The names for templates: `Jinja2Templates(directory, context_processors=[template_context])`.

    `current_user`, `xwms_login_url(next=…)`, `xwms_login_button(locale=…, plain=…, next=…)`,
    `xwms_link_button(label=…, locale=…, plain=…, next=…)`, `xwms_logout_form(label=…, locale=…, plain=…)`,
    `xwms_login_script(locale=…, nonce=…)`, `xwms_language()`. `xwms_login_url` and
    `xwms_login_button` also take `ui_locales`, `prompt`, `login_hint` and `acr_values`.
    """
    request_state = request_state_of(request.scope)
    context, current = request_state.served.context, request_state.request()

    def place(*, varies: bool) -> tuple[Context, XWMSRequest]:
        if varies and not context.config.locale:
            request_state.vary_by_language()
        return context, current

    def xwms_login_button(
        *,
        locale: str | None = None,
        plain: bool = False,
        next: str | None = None,  # noqa: A002
        **params: Unpack[LoginParamArgs],
    ) -> "Html":
        login, here = LoginParams.of(**params), place(varies=locale is None)
        return widgets.login_button(*here, to=next, locale=locale, plain=plain, params=login)

    def xwms_link_button(*, next: str | None = None, **button: Unpack[widgets.Labelled]) -> "Html":  # noqa: A002
        return widgets.link_button(*place(varies=widgets.is_ours(button)), to=next, **button)

    def xwms_logout_form(**button: Unpack[widgets.Labelled]) -> "Html":
        place(varies=widgets.is_ours(button))
        return widgets.logout_form(context, request_state.session(), request=current, **button)

    def xwms_login_script(*, locale: str | None = None, nonce: str | None = None) -> "Html":
        return widgets.login_script(*place(varies=locale is None), locale=locale, nonce=nonce)

    def xwms_language() -> str:
        return widgets.language(*place(varies=True))

    return {
        "current_user": request.user,
        "xwms_login_url": partial(xwms_login_url, request),
        "xwms_login_button": xwms_login_button,
        "xwms_link_button": xwms_link_button,
        "xwms_logout_form": xwms_logout_form,
        "xwms_login_script": xwms_login_script,
        "xwms_language": xwms_language,
    }


async def _refuse(connection: HTTPConnection[Any], refused: Refusal) -> Response | None:
    if isinstance(connection, WebSocket):
        await connection.close(POLICY_VIOLATION, refused.code)
        return None
    answer = await request_state_of(connection.scope).own_answer(refused)
    if answer is not None:
        return _OwnAnswer(answer)
    ours = refused.response
    response = Response(ours.body, ours.status)
    response.raw_headers = encoded(ours.header_list())
    return response


class _OwnAnswer(Response):
    """The application's own answer to a request that needs a login."""

    def __init__(self, answer: ASGIApp) -> None:
        super().__init__()
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope, receive, never_stored(send))
