"""Login with XWMS for Flask: `XWMSAuth`, `login_required`, `current_user`.

A thin layer of WSGI around the application answers our routes before Flask's own routing sees them, so that no
redirect of Werkzeug's (for a doubled or missing slash) can carry a token along, and adds the headers that a page needs
whose content depends on who is looking. The session is read when somebody asks for `current_user`, not before.

Knows: WSGI and Flask.
Must not: decide anything about a login, or touch Flask's own session, which is the application's.
"""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast, overload

try:
    from flask import Flask, Response, current_app, has_app_context, has_request_context, request
    from werkzeug.local import LocalProxy
except ImportError as missing:  # pragma: no cover
    raise ImportError("xwms_auth.flask needs Flask: pip install 'xwms-auth[flask]'") from missing

from ._core.adapters import flask_bearer
from ._core.adapters.guards import note_guard
from ._core.adapters.served_app import ServedApp
from ._core.adapters.wsgi import decoded, request_of, send
from ._core.adapters.wsgi_state import STATE_KEY, WSGIRequestState
from ._core.base.errors import ConfigError, LoginRequired, StoreUnavailable
from ._core.base.lifetimes import LoginRequirement
from ._core.base.model_guards import in_debug_mode
from ._core.base.models import Anonymous, User, anonymous
from ._core.base.secrets import Secret
from ._core.config.config import XWMSConfig
from ._core.http.messages import Response as XWMSResponse
from ._core.io.runner import run
from ._core.io.session_manager import XWMSSessions
from ._core.io.transport import HTTPTransport
from ._core.login import routes
from ._core.responses import widgets
from ._core.responses.pages import Html
from .stores import open_store

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

P = ParamSpec("P")
R = TypeVar("R")

_EXTENSION = "xwms_auth"

current_token, token_required = flask_bearer.current_token, flask_bearer.token_required


class XWMSAuth:
    """Login with XWMS for one Flask application.

    `XWMSAuth(app)` reads `app.config` and the environment (the same `XWMS_…` names, `app.config` first);
    `XWMSAuth(app, config)` takes an `XWMSConfig`; `auth = XWMSAuth()` with `auth.init_app(app)` serves factories.
    Without a session secret of its own it uses `app.secret_key` and `SECRET_KEY_FALLBACKS`.
    `clock` returns seconds since 1970. Raises `ConfigError` with every fault at once.
    """

    def __init__(
        self, app: Flask | None = None, config: XWMSConfig | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._config = config
        self._clock = clock
        self._served: list[_FlaskApp] = []
        if app is not None:
            self.init_app(app)

    @property
    def sessions(self) -> XWMSSessions:
        """Lists and ends people's sessions, in a request and outside of one: `auth.sessions.list(current_user.sub)`."""
        if len(self._served) == 1:
            return self._served[0].sessions
        if not has_app_context():
            raise RuntimeError("this XWMSAuth serves no application, or several: ask for sessions in one's context")
        return cast("_FlaskApp", current_app.extensions[_EXTENSION]).sessions

    def access_token(self) -> str:
        """The access token of this request's person, refreshed ahead of its end: for calls to XWMS in their name.

        With `flow="oauth2"` only. Keep it out of pages and logs. Raises `LoginRequired` where there is none, or XWMS
        no longer gives one, and an `APIError` where XWMS cannot be asked; a view that does not catch them answers with
        a login, or with the page of that error.
        """
        return _request_state().access_token()

    def init_app(self, app: Flask, config: XWMSConfig | None = None) -> None:
        """Set the application up. Once per application."""
        if _EXTENSION in app.extensions:
            raise ConfigError(["XWMSAuth is set up twice for this application; keep one"])
        made = _config_for(app, config or self._config)
        if isinstance(made, ConfigError):
            # Raised here: a crash report of `_config_for` would show the application's settings.
            raise made
        flask_bearer.require_tokens_for(app, made)
        served = _FlaskApp(made, app, clock=self._clock)
        self._served.append(served)
        app.extensions[_EXTENSION] = served
        for error in (StoreUnavailable, LoginRequired, ConfigError):
            app.register_error_handler(error, _on_error)
        app.wsgi_app = served  # type: ignore[method-assign]  # Flask documents this way to wrap an application
        app.context_processor(_template_names)


def _config_for(app: Flask, config: XWMSConfig | None) -> XWMSConfig | ConfigError:
    flask_config = cast("dict[str, Any]", app.config)
    flask_keys = [app.secret_key, *(flask_config.get("SECRET_KEY_FALLBACKS") or ())]
    keys = [Secret(_as_text(key)) for key in flask_keys if key]
    try:
        return _config_with(flask_config, keys, config)
    except ConfigError as error:
        return ConfigError(error.problems)


def _config_with(flask_config: dict[str, Any], keys: list[Secret], config: XWMSConfig | None) -> XWMSConfig:
    if config is None:
        settings = {**os.environ, **{name: value for name, value in flask_config.items() if value is not None}}
        own_secret = settings.get("XWMS_SESSION_SECRET") or keys
        return XWMSConfig.from_mapping({**settings, "XWMS_SESSION_SECRET": own_secret}, session_secret_required=True)
    return config if config.session_keys or not keys else replace(config, session_secret=keys)


def _as_text(key: str | bytes) -> str:
    return key.decode("latin-1") if isinstance(key, bytes) else key


class _FlaskApp(ServedApp):
    """The application with us around it."""

    def __init__(self, config: XWMSConfig, app: Flask, *, clock: Callable[[], float]) -> None:
        super().__init__(config, lambda context: (HTTPTransport(config), open_store(context)), clock)
        self.sessions = XWMSSessions.of(self.context, self.runtime, clock=clock, current=_current_id)
        self._app = app
        self._inner: WSGIApplication = app.wsgi_app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        self.check_guards(self._app.view_functions.values, debug=self.is_debugged)
        # The whole path, as the browser sees it; and the application's part of it, which its routes are about.
        route = environ.get("PATH_INFO", "")
        path = environ.get("SCRIPT_NAME", "") + route
        outer = environ.get(STATE_KEY)
        if not isinstance(outer, WSGIRequestState) or not self.serves_same_client(outer.served):
            outer = None
        if self.may_be_own(path) and self.context.is_own_route(path, environ.get("HTTP_HOST", "")):
            steps = routes.serve(
                self.context, self.provider, request_of(environ, debug=self.is_debugged()), now=self.now()
            )
            return send(run(steps, self.runtime_in(None if outer is None else outer.served)), start_response)
        state = outer or WSGIRequestState(self, environ, start_response, debug=self.is_debugged)
        if outer is None:
            environ[STATE_KEY] = state
        else:
            outer.enter_nested(self)
        # Not the whole path: SCRIPT_NAME may come from a header that a proxy lets through.
        if self.protects_all and not self.context.is_public(decoded(route)):
            refused = state.refusal()
            if refused is not None:
                return send(refused, start_response)
        return state.body(self._inner(environ, state.start)) if outer is None else self._inner(environ, start_response)

    def is_debugged(self) -> bool:
        """Whether the application is in debug mode now: `app.run(debug=True)` says so after we are set up."""
        # `is True`: what only looks like yes must not show a visitor what is for a developer.
        return self._app.debug is True


def _in_debug_mode() -> bool:
    return has_app_context() and current_app.debug is True


in_debug_mode.append(_in_debug_mode)


def _request_state() -> WSGIRequestState:
    # Not `request.environ`: looking an attribute up through Flask's proxy costs ten times as much.
    request_state = request._get_current_object().environ.get(STATE_KEY)  # type: ignore[attr-defined]  # werkzeug's LocalProxy
    if request_state is None:
        raise RuntimeError("this Flask application has no XWMSAuth: call XWMSAuth(app) or auth.init_app(app)")
    return cast("WSGIRequestState", request_state)


def _who() -> User | Anonymous:
    session, ended = _request_state().session_or_reason()
    return session.user if session else anonymous(ended)


def _current_id() -> str | None:
    """The id of the session of the request being served, if there is one."""
    request_state = request.environ.get(STATE_KEY) if has_request_context() else None
    session = request_state.session() if isinstance(request_state, WSGIRequestState) else None
    return session.id if session else None


def _on_error(error: StoreUnavailable | LoginRequired) -> Response:
    """A view that asked who is there, or for their token, and could not be told, is no fault of the application's."""
    return _as_response(_request_state().response_to(error))


def _as_response(answer: XWMSResponse) -> Response:
    return Response(answer.body, answer.status, answer.header_list())


current_user: User | Anonymous = cast("User | Anonymous", LocalProxy(_who))
"""The person of this request. Nobody is an object with `is_authenticated == False`, never None."""


@overload
def login_required(view: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def login_required(
    *, fresh: timedelta | float | None = None, scopes: Sequence[str] = ()
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def login_required(
    view: Callable[P, R] | None = None, /, *, fresh: timedelta | float | None = None, scopes: Sequence[str] = ()
) -> Any:
    """Let only people who are signed in see this view; others are sent to log in, programs get a 401.

    For functions, async views and `decorators = [login_required]` of a `MethodView`; below the route decorator.
    With `fresh`, a timedelta or seconds, a login that is older is asked for once more; the session goes on meanwhile.
    With `scopes`, a login at which XWMS was not asked for them, or the person did not grant them, is a 403
    `not_approved`; only `flow="oauth2"` has scopes.
    """
    requirement = LoginRequirement.of(fresh=fresh, scopes=scopes)
    return partial(_guard, requirement=requirement) if view is None else _guard(view, requirement=requirement)


def _guard(view: Callable[P, R], *, requirement: LoginRequirement) -> Callable[P, R]:
    is_async = iscoroutinefunction(view)

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        refused = _request_state().refusal(requirement)
        if refused is not None:
            return cast("R", _as_response(refused))
        return cast("R", (current_app.ensure_sync(view) if is_async else view)(*args, **kwargs))

    note_guard(view, guarded, "login_required")
    return guarded


def xwms_login_url(*, next: str | None = None) -> str:  # noqa: A002  the parameter's name in the address
    """The address that starts a login and comes back to `next`, by default to the page being shown."""
    return widgets.login_url(_request_state().served.context, request_of(request.environ), to=next)


def xwms_login_button(*, locale: str = "en", next: str | None = None) -> Html:  # noqa: A002
    """A login link as HTML, in one of XWMS's ten languages."""
    return widgets.login_button(_request_state().served.context, request_of(request.environ), to=next, locale=locale)


def xwms_logout_form(*, label: str = "Log out") -> Html:
    """A logout button as HTML: a form, because logging out changes something."""
    request_state = _request_state()
    return widgets.logout_form(request_state.served.context, request_state.session(), label=label)


def _template_names() -> dict[str, Any]:
    return {
        "current_user": current_user,
        "xwms_login_url": xwms_login_url,
        "xwms_login_button": xwms_login_button,
        "xwms_logout_form": xwms_logout_form,
    }
