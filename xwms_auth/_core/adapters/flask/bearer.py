"""Access tokens in Flask: `token_required`, `current_token`.

Never looks at a session.
"""

from collections.abc import Callable, Sequence
from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import Any, ParamSpec, TypeVar, cast, overload

from flask import Flask, Response, after_this_request, current_app, has_request_context
from werkzeug.datastructures import Headers
from werkzeug.local import LocalProxy

from ...base.effects import run
from ...base.models import AccessToken
from ...oauth2.bearer_guard import NEEDS_TOKEN, authenticate
from ...responses import cache_headers
from ...responses.bearer_challenge import parse_scopes
from ...responses.responses import Refusal
from ..clients import Configs, require_tokens
from ..current_user import OutsideRequest
from ..guard_check import note_guard
from . import preflight as flask_preflight
from .app import current_request, request_state

P = ParamSpec("P")
R = TypeVar("R")

_TOKEN = "xwms_auth.token"


def _token() -> AccessToken:
    token = current_request().environ.get(_TOKEN) if has_request_context() else None
    if token is None:
        raise OutsideRequest("current_token is used in a view without token_required")
    return cast("AccessToken", token)


current_token: AccessToken = cast("AccessToken", LocalProxy(_token))
"""The access token of this request, in a view with `token_required`."""


@overload
def token_required(view: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def token_required(*, scopes: str | Sequence[str] = ()) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def token_required(view: Callable[P, R] | None = None, /, *, scopes: str | Sequence[str] = ()) -> Any:
    """Require a valid access token for this view; other requests get 401, 400 or 403 (RFC 6750).

    For functions, async views and `decorators = [token_required]` of a `MethodView`; place it below the route
    decorator. With `scopes`, the token must have all of them. `current_token` is the token. A session gives no access
    here. Raises `ConfigError` without `flow="oauth2"`, and ValueError for an invalid scope.
    """
    names = parse_scopes(scopes)
    if view is None:
        return partial(_guard, scopes=names)
    return _guard(view, scopes=names)


def _guard(view: Callable[P, R], *, scopes: Sequence[str]) -> Callable[P, R]:
    is_async = iscoroutinefunction(view)

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        current = current_request()
        if (answer := flask_preflight.answer(current)) is not None:
            return cast("R", answer)
        state = request_state()
        served, authorization = state.served, current.environ.get("HTTP_AUTHORIZATION", "")
        steps = authenticate(served.context, authorization, state.request, scopes=scopes, now=served.now())
        result = run(steps, served.runtime)
        if isinstance(result, Refusal):
            response = result.response
            return cast("R", Response(response.body, response.status, response.header_list()))
        current.environ[_TOKEN] = result
        after_this_request(_add_cache_headers)
        return cast("R", (current_app.ensure_sync(view) if is_async else view)(*args, **kwargs))

    setattr(guarded, NEEDS_TOKEN, True)
    note_guard(view, guarded, "token_required")
    return guarded


def _add_cache_headers(response: Response) -> Response:
    edit = cache_headers.for_token(list(response.headers))
    if edit.dropped:
        response.headers = Headers(edit.applied(response.headers))
    else:
        response.headers.extend(edit.added)
    return response


def require_tokens_for(app: Flask, config: Configs) -> None:
    """Raise `ConfigError` at startup, not at the first call, if a view needs tokens and the flow has none."""
    if any(getattr(view, NEEDS_TOKEN, False) for view in app.view_functions.values()):
        require_tokens(config)
