"""Login with XWMS for Flask: `XWMSAuth`, `login_required`, `current_user`.

A thin WSGI layer around the application serves our routes before Flask's routing sees them, so that no redirect of
Werkzeug (for a doubled or missing slash) can leak a token. It adds cache headers to responses that depend on the user.
The session is looked up when `current_user` is first read.

Never touches Flask's own session, which belongs to the application.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Unpack, cast, overload
from weakref import WeakSet

try:
    from flask import Flask, Response, abort, current_app, has_app_context, has_request_context
    from werkzeug.local import LocalProxy
except ImportError as missing:  # pragma: no cover
    raise ImportError("xwms_auth.flask needs Flask: pip install 'xwms-auth[flask]'") from missing

from ._core.accounts.errors import AccountBlocked, LastIdentity, LinkedElsewhere, NobodyToLink
from ._core.accounts.hooks import Hooks
from ._core.accounts.linker import AppLogin, Linker
from ._core.adapters.application import Linkers, Parts
from ._core.adapters.clients import Configs, as_configs, client_at, serve_clients
from ._core.adapters.current_user import FoundUserProxy
from ._core.adapters.flask import bearer as flask_bearer
from ._core.adapters.flask import preflight as flask_preflight
from ._core.adapters.flask.app import (
    PUBLIC,
    FlaskApp,
    Unauthorized,
    current_request,
    is_set_up,
    request_state,
    response_of,
    served_app,
)
from ._core.adapters.flask.bearer import current_token, token_required
from ._core.adapters.flask.pages import with_templates
from ._core.adapters.flask.signals import (
    account_created,
    account_linked,
    email_changed,
    logged_in,
    logged_out,
    login_refused,
)
from ._core.adapters.flask.templates import (
    xwms_language,
    xwms_link_button,
    xwms_login_button,
    xwms_login_script,
    xwms_login_url,
    xwms_logout_form,
)
from ._core.adapters.guard_check import note_guard
from ._core.adapters.roles import AsyncRoles, Roles
from ._core.adapters.wsgi.state import WSGIRequestState
from ._core.base.errors import ConfigError, HostNotRegistered, InternalError, LoginRequired, StoreUnavailable, XWMSError
from ._core.base.health import HEALTH_SECONDS, Health
from ._core.base.models import Anonymous, Secret, User
from ._core.base.output_only import in_debug_mode
from ._core.config.config import XWMSConfig
from ._core.config.context import Context
from ._core.http.login_params import LoginParamArgs
from ._core.io.operation.health import check
from ._core.io.session_manager import XWMSSessions
from ._core.responses.login_requirement import LoginRequirement
from ._core.responses.responses import Refusal

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    A = TypeVar("A", default=Any)
else:
    from typing import TypeVar

    A = TypeVar("A")

__all__ = [
    "XWMSAuth",
    "account_created",
    "account_linked",
    "current_token",
    "current_user",
    "email_changed",
    "logged_in",
    "logged_out",
    "login_refused",
    "login_required",
    "passive",
    "public",
    "require",
    "require_user",
    "token_required",
    "xwms_login_url",
]

P = ParamSpec("P")
R = TypeVar("R")


class XWMSAuth(Generic[A]):
    """Login with XWMS for one Flask application.

    `XWMSAuth(app)` reads `app.config` and the environment (the same `XWMS_…` names; `app.config` takes precedence).
    `XWMSAuth(app, config)` takes an `XWMSConfig`, or a list of them for several clients, of which the host of a request
    selects one: the one that has a redirect URI on it. `auth = XWMSAuth()` and `auth.init_app(app)` are for application
    factories. Without a session secret, `app.secret_key` and `SECRET_KEY_FALLBACKS` are used.
    `unauthorized(request, problem)` may answer in our place a request that needs a login: it returns whatever a view
    may return, or None for our answer. `problem` is the problem document (RFC 9457), with `code`, `login_url` and, if
    known, the `reason` why the session ended.
    `roles(user)`, async or not, returns the person's roles in the application, for `require`.
    `linker`, `app_login` and `hooks` are those of `xwms_auth.accounts`.
    `clock` returns seconds since 1970. Raises `ConfigError` with every fault at once.
    """

    def __init__(
        self,
        app: Flask | None = None,
        config: Configs | None = None,
        *,
        clock: Callable[[], float] = time.time,
        unauthorized: Unauthorized | None = None,
        roles: AsyncRoles | None = None,
        linker: Linkers[A] | None = None,
        app_login: AppLogin | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._unauthorized = unauthorized
        self._roles = roles
        self._parts = Parts(linker=linker, app_login=app_login, hooks=hooks)
        # Weakly: one XWMSAuth may set up an application for every test, and must not keep them all.
        self._served: WeakSet[FlaskApp] = WeakSet()
        if app is not None:
            self.init_app(app)

    @property
    def sessions(self) -> XWMSSessions:
        """Lists and revokes sessions, within a request or outside: `auth.sessions.list(current_user.sub)`.

        With several clients those of the client of this request; outside a request use `sessions_at`.
        """
        return self._application().of_request("sessions").sessions

    def sessions_at(self, host: str) -> XWMSSessions:
        """The sessions of the client that has a redirect URI on this host, such as `a.example` or `localhost:5000`.

        Raises ValueError if no client has.
        """
        served = self._application()
        return client_at(served, served.clients, host).sessions

    def _application(self) -> FlaskApp:
        known = list(self._served)
        if len(known) == 1:
            return known[0]
        if not has_app_context():
            raise RuntimeError("this XWMSAuth has no application, or several: use sessions in an application context")
        return served_app()

    def health(self, *, timeout: float = HEALTH_SECONDS) -> Health:
        """Return whether the session store answers, and what this process knows of XWMS, for a health check of yours.

        XWMS is not called, and a store that hangs has `timeout` seconds. With several clients it is the worst of all.
        """
        return check(self._application().health_checks(), timeout=timeout)

    def account(self, *, session: object = None) -> A:
        """Return the user's account, or end the request with what `login_required` answers.

        Loaded once for a request, in `session` if one is given: the application's own of its database. If the account
        is blocked or gone, the session ends: 403 `not_allowed`, or the login. What it raises is as in `require_user`.
        """
        state = request_state()
        linker: Linker[A] = state.linker_of(self._parts.linker_of(state.served.context))
        found = state.load_account(linker, require_user().identity, session)
        return abort(response_of(found)) if isinstance(found, Refusal) else found

    @property
    def current_account(self) -> A:
        """A proxy for `account()`, for views and templates."""
        return cast("A", LocalProxy(self.account))

    def refresh_profile(self) -> User:
        """Ask XWMS about the user now, for the session and for the account: name, e-mail address, picture.

        Raises `LoginRequired` if nobody is signed in, and an `APIError` if XWMS does not say who the user is. If the
        view does not catch them, the response is a login, or the error page.
        """
        found = request_state().refresh_profile()
        return abort(response_of(found)) if isinstance(found, Refusal) else found

    def access_token(self) -> str:
        """Return the user's access token, for calls to XWMS on their behalf. It is refreshed before it expires.

        With `flow="oauth2"` only. Keep it out of pages and logs. Raises `LoginRequired` if there is none or XWMS no
        longer issues one, and an `APIError` if XWMS cannot be reached. If the view does not catch them, the response is
        a login, or the error page.
        """
        return request_state().access_token()

    def init_app(self, app: Flask, config: Configs | None = None) -> None:
        """Set up the application. Once per application."""
        if is_set_up(app):
            raise ConfigError(["XWMSAuth is set up twice for this application; keep one"])
        app_config = _configs_for(app, self._config if config is None else config)
        if isinstance(app_config, ConfigError):
            # Raised here: a crash report of `_config_for` would contain the application's settings.
            raise app_config
        flask_bearer.require_tokens_for(app, app_config)

        def serve(context: Context, clients: Mapping[str, FlaskApp] | None = None) -> FlaskApp:
            unauthorized = self._unauthorized
            served = FlaskApp(context, app, clock=self._clock, unauthorized=unauthorized, clients=clients)
            served.parts = self._parts.of_client(context)
            if self._roles is not None:
                served.roles = cast("Roles", app.ensure_sync(self._roles))
            return served

        self._parts.check(as_configs(app_config), in_sync_code=True)
        if isinstance(app_config, XWMSConfig):
            app_config = with_templates(app, app_config)
        else:
            app_config = [with_templates(app, one) for one in app_config]
        served = serve(*serve_clients(app_config, serve))
        served.install()
        self._served.add(served)
        ours = (StoreUnavailable, LoginRequired, ConfigError, InternalError, HostNotRegistered)
        for error in (*ours, AccountBlocked, LastIdentity, LinkedElsewhere, NobodyToLink):
            app.register_error_handler(error, _on_error)
        app.context_processor(_template_names)


def _configs_for(app: Flask, config: Configs | None) -> Configs | ConfigError:
    if config is None or isinstance(config, XWMSConfig):
        return _config_for(app, config)
    found = [_config_for(app, one) for one in as_configs(config)]
    faults = [fault for one in found if isinstance(one, ConfigError) for fault in one.problems]
    return ConfigError(list(dict.fromkeys(faults))) if faults else cast("list[XWMSConfig]", found)


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
        if not settings.get("XWMS_SESSION_SECRET") and not settings.get("XWMS_SESSION_SECRET_FILE"):
            settings["XWMS_SESSION_SECRET"] = keys
        return XWMSConfig.from_mapping(settings, session_secret_required=True)
    return config if config.session_keys or not keys else replace(config, session_secret=keys)


def _as_text(key: str | bytes) -> str:
    return key.decode("latin-1") if isinstance(key, bytes) else key


def _in_debug_mode() -> bool:
    return has_app_context() and current_app.debug is True


in_debug_mode.append(_in_debug_mode)


def _current_state() -> WSGIRequestState | None:
    try:
        return request_state()
    except RuntimeError:
        if has_request_context():
            raise
        return None


def _on_error(error: XWMSError) -> Response:
    """Handle our errors in a view that reads the user or the access token: not errors of the application."""
    return response_of(request_state().refusal_for(error))


current_user: User | Anonymous = cast("User | Anonymous", FoundUserProxy(_current_state))
"""The user of this request. If nobody is signed in, an object with `is_authenticated == False`, never None."""


def require_user() -> User:
    """Return the user of this request, or end it with what `login_required` answers.

    For views, async or not, and for `before_request` functions. What it raises for that is an `HTTPException` with the
    response, which no error handler of Flask's sees.
    """
    if (answer := flask_preflight.answer(current_request())) is not None:
        return abort(answer)
    found = request_state().user_or_refusal()
    return abort(response_of(found)) if isinstance(found, Refusal) else found


@overload
def login_required(view: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def login_required(
    *, fresh: timedelta | float | None = None, scopes: Sequence[str] = (), **params: Unpack[LoginParamArgs]
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def login_required(
    view: Callable[P, R] | None = None,
    /,
    *,
    fresh: timedelta | float | None = None,
    scopes: Sequence[str] = (),
    **params: Unpack[LoginParamArgs],
) -> Any:
    """Require login for this view. Browsers are redirected to the login; API clients get a 401.

    For functions, async views and `decorators = [login_required]` of a `MethodView`; place it below the route
    decorator. With `fresh`, a timedelta or seconds, users whose login is older have to log in again; until then their
    session continues. With `scopes`, a login for which one of them was not requested or not granted gets a 403
    `not_approved`; only `flow="oauth2"` has scopes. `params` are those of the login: `ui_locales`, `prompt`,
    `login_hint` and `acr_values`.
    """
    requirement = LoginRequirement.of(fresh=fresh, scopes=scopes, **params)
    return partial(_guard, requirement=requirement) if view is None else _guard(view, requirement=requirement)


def require(
    *, role: str | Sequence[str] = (), verified_email: bool = False, domain: str | Sequence[str] = ()
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Require of whoever is signed in a role in the application, a verified e-mail address, or one of a domain.

    `role` and `domain` take one or several, of which one is enough. A person who lacks it gets a 403 `not_allowed`, and
    nobody what `login_required` answers. For what `login_required` guards. The roles are those that `roles=` of
    `XWMSAuth` returns. Raises ValueError if nothing is required.
    """
    requirement = LoginRequirement.of_person(role=role, verified_email=verified_email, domain=domain)
    return partial(_guard, requirement=requirement, name="require")


def _guard(view: Callable[P, R], *, requirement: LoginRequirement, name: str = "login_required") -> Callable[P, R]:
    is_async = iscoroutinefunction(view)

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if (answer := flask_preflight.answer(current_request())) is not None:
            return cast("R", answer)
        refused = request_state().refusal(requirement)
        if refused is not None:
            return cast("R", response_of(refused))
        return cast("R", (current_app.ensure_sync(view) if is_async else view)(*args, **kwargs))

    note_guard(view, guarded, name)
    return guarded


def passive(view: Callable[P, R], /) -> Callable[P, R]:
    """Let this view look at the user without renewing the session, as for a page that polls.

    For functions, async views and `decorators = [passive]` of a `MethodView`; place it below the route decorator. What
    has changed in the session is saved nevertheless.
    """
    is_async = iscoroutinefunction(view)

    @wraps(view)
    def quiet(*args: P.args, **kwargs: P.kwargs) -> R:
        request_state().passive = True
        return cast("R", (current_app.ensure_sync(view) if is_async else view)(*args, **kwargs))

    return quiet


def public(view: Callable[P, R], /) -> Callable[P, R]:
    """Let anybody see this view although `protect="all"`.

    For functions, async views and `decorators = [public]` of a `MethodView`; place it below the route decorator.
    """
    setattr(view, PUBLIC, True)
    return view


def _template_names() -> dict[str, Any]:
    return {
        "current_user": current_user,
        "xwms_login_url": xwms_login_url,
        "xwms_login_button": xwms_login_button,
        "xwms_link_button": xwms_link_button,
        "xwms_logout_form": xwms_logout_form,
        "xwms_login_script": xwms_login_script,
        "xwms_language": xwms_language,
    }
