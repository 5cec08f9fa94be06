"""Access tokens for APIs in Flask: `token_required`, `current_token`.

Knows: Flask's views, and where the state of a request is.
Must not: look at a session, or decide whether a token is good.
"""

from collections.abc import Callable, Sequence
from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import Any, ParamSpec, TypeVar, cast, overload

from flask import Flask, Response, after_this_request, current_app, request
from werkzeug.local import LocalProxy

from ..base.models import AccessToken
from ..config.config import XWMSConfig
from ..io.runner import run
from ..oauth2.bearer_guard import NEEDS_TOKEN, Refusal, authenticate
from ..responses.bearer_challenge import parse_scopes
from ..responses.cache_headers import headers_for_token
from .guards import note_guard
from .wsgi_state import STATE_KEY, WSGIRequestState

P = ParamSpec("P")
R = TypeVar("R")

_TOKEN = "xwms_auth.token"


def _environ() -> dict[str, Any]:
    # Not `request.environ`: looking an attribute up through Flask's proxy costs ten times as much.
    return cast("dict[str, Any]", request._get_current_object().environ)  # type: ignore[attr-defined]  # werkzeug's


def _token() -> AccessToken:
    token = _environ().get(_TOKEN)
    if token is None:
        raise RuntimeError("current_token is used in a view without token_required")
    return cast("AccessToken", token)


current_token: AccessToken = cast("AccessToken", LocalProxy(_token))
"""The access token of this request, in a view with `token_required`."""


@overload
def token_required(view: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def token_required(*, scopes: str | Sequence[str] = ()) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def token_required(view: Callable[P, R] | None = None, /, *, scopes: str | Sequence[str] = ()) -> Any:
    """Let only calls with a good access token reach this view: 401, or 400 or 403, for all others (RFC 6750).

    For functions, async views and `decorators = [token_required]` of a `MethodView`; below the route decorator.
    With `scopes` the token must have been granted all of them. `current_token` is the token. Who is signed in does
    not count here. Needs `flow="oauth2"`: `ConfigError`. Raises ValueError for what cannot be a scope.
    """
    names = parse_scopes(scopes)
    if view is None:
        return partial(_guard, scopes=names)
    return _guard(view, scopes=names)


def _guard(view: Callable[P, R], *, scopes: Sequence[str]) -> Callable[P, R]:
    is_async = iscoroutinefunction(view)

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        environ = _environ()
        state = environ.get(STATE_KEY)
        if not isinstance(state, WSGIRequestState):
            raise RuntimeError("this Flask application has no XWMSAuth: call XWMSAuth(app) or auth.init_app(app)")
        served = state.served
        steps = authenticate(served.context, state.request(), scopes=scopes, now=served.now())
        found = run(steps, served.runtime)
        if isinstance(found, Refusal):
            response = found.response
            return cast("R", Response(response.body, response.status, response.header_list()))
        environ[_TOKEN] = found
        after_this_request(_marked)
        return cast("R", (current_app.ensure_sync(view) if is_async else view)(*args, **kwargs))

    setattr(guarded, NEEDS_TOKEN, True)
    note_guard(view, guarded, "token_required")
    return guarded


def _marked(response: Response) -> Response:
    for name, value in headers_for_token(response.headers):
        response.headers.add(name, value)
    return response


def require_tokens_for(app: Flask, config: XWMSConfig) -> None:
    """Raise `ConfigError` at start, not at the first call, if a view needs tokens and there can be none."""
    if any(getattr(view, NEEDS_TOKEN, False) for view in app.view_functions.values()):
        config.require_tokens()
