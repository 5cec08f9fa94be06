"""Login with XWMS for any WSGI application, such as those of Django, Falcon, Bottle and Pyramid.

`app = XWMSAuth(app)` serves our routes before the application's routing sees them, and adds cache headers to responses
that depend on the user. The session is looked up when the user is first asked for. `xwms_auth.flask` is the same for
Flask.

Imports no framework.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any, Generic, Unpack, overload

from ._core.accounts.hooks import Hooks
from ._core.accounts.linker import AppLogin, Linker
from ._core.adapters.application import Linkers, Parts
from ._core.adapters.clients import Configs, as_configs, client_at, client_of, serve_clients
from ._core.adapters.current_user import CurrentUserProxy
from ._core.adapters.passive import passive
from ._core.adapters.request_state import current_request_state, current_session_id
from ._core.adapters.roles import Roles
from ._core.adapters.wsgi.app import WSGIApp
from ._core.adapters.wsgi.messages import close
from ._core.adapters.wsgi.state import STATE_KEY, Unauthorized, WSGIRequestState
from ._core.base.health import HEALTH_SECONDS, Health
from ._core.base.models import User
from ._core.config.config import XWMSConfig
from ._core.config.context import Context
from ._core.http.login_params import LoginParamArgs
from ._core.io.operation.health import check
from ._core.io.session_manager import XWMSSessions
from ._core.responses.login_requirement import LoginRequirement
from ._core.responses.responses import Refusal

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from typing_extensions import TypeVar

    A = TypeVar("A", default=Any)
else:
    from typing import TypeVar

    A = TypeVar("A")

__all__ = ["XWMSAuth", "current_user", "login_required", "passive", "require", "require_user"]


class XWMSAuth(Generic[A]):
    """Adds login with XWMS to any WSGI application.

    `config=None` reads the `XWMS_…` environment variables. A list of configs is for several clients, of which the host
    of a request selects one: the one that has a redirect URI on it. `clock` returns seconds since 1970.
    `unauthorized(environ, problem)` may return an answer of the application's own to a request that needs a login: a
    WSGI application, such as a response of WebOb's or Werkzeug's. `problem` is the problem document (RFC 9457), with
    `code`, `login_url` and, if known, the `reason` why the session ended. None means ours.
    `roles(user)` returns the person's roles in the application, for `require`.
    `linker`, `app_login` and `hooks` are those of `xwms_auth.accounts`.
    Raises `ConfigError` with every fault at once.
    """

    def __init__(
        self,
        app: "WSGIApplication",
        config: Configs | None = None,
        *,
        clock: Callable[[], float] = time.time,
        unauthorized: Unauthorized | None = None,
        roles: Roles | None = None,
        linker: Linkers[A] | None = None,
        app_login: AppLogin | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        if config is None:
            config = XWMSConfig.from_env(session_secret_required=True)
        self.app = app
        self.configs = as_configs(config)
        """The settings of each client."""
        self._parts = parts = Parts(linker=linker, app_login=app_login, hooks=hooks)
        parts.check(self.configs, in_sync_code=True)

        def serve(context: Context, clients: Mapping[str, WSGIApp] | None = None) -> WSGIApp:
            served = WSGIApp(context, _InContext(app), debugged=app, clock=clock, clients=clients)
            served.answer, served.roles, served.parts = unauthorized, roles, parts.of_client(context)
            served.sessions = XWMSSessions.of(
                served.context, served.runtime, clock=served.clock, current=current_session_id
            )
            return served

        self._served = serve(*serve_clients(config, serve))

    @property
    def sessions(self) -> XWMSSessions:
        """Lists and revokes sessions, within a request or outside: `auth.sessions.list(current_user.sub)`.

        With several clients those of the client of this request; outside a request use `sessions_at`.
        """
        return self._client("sessions").sessions

    def sessions_at(self, host: str) -> XWMSSessions:
        """The sessions of the client that has a redirect URI on this host, such as `a.example` or `localhost:5000`.

        Raises ValueError if no client has.
        """
        return client_at(self._served, self._served.clients, host).sessions

    @property
    def config(self) -> XWMSConfig:
        """The settings; with several clients those of the client of this request."""
        return self._client("config").context.config

    def _client(self, asked: str) -> WSGIApp:
        """The application of the client of this request. Raises `HostNotRegistered` if no client has its host."""
        state = current_request_state.get(None)
        within = None if state is None or state.finished else state.served
        return client_of(self._served, self._served.clients, within, asked=asked)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse", /) -> Iterable[bytes]:
        return self._served(environ, start_response)

    def health(self, *, timeout: float = HEALTH_SECONDS) -> Health:
        """Return whether the session store answers, and what this process knows of XWMS, for a health check of yours.

        XWMS is not called, and a store that hangs has `timeout` seconds. With several clients it is the worst of all.
        """
        return check(self._served.health_checks(), timeout=timeout)

    def account(self, environ: "WSGIEnvironment", *, session: object = None) -> A:
        """Return the user's account, or end the request with what `login_required` answers.

        Loaded once for a request, in `session` if one is given: the application's own of its database. If the account
        is blocked or gone, the session ends: 403 `not_allowed`, or the login. What it raises is as in `require_user`.
        """
        state = _state_of(environ)
        linker: Linker[A] = state.linker_of(self._parts.linker_of(state.served.context))
        found = state.load_account(linker, state.require_user().identity, session)
        if isinstance(found, Refusal):
            raise state.refuse(found)
        return found

    def refresh_profile(self, environ: "WSGIEnvironment") -> User:
        """Ask XWMS about the user now, for the session and for the account: name, e-mail address, picture.

        Raises `LoginRequired` if nobody is signed in or the account is blocked, and an `APIError` if XWMS does not say
        who the user is. If the application does not catch them, the response is a login, or the error page.
        """
        state = _state_of(environ)
        found = state.refresh_profile()
        if isinstance(found, Refusal):
            raise state.refuse(found)
        return found

    def access_token(self, environ: "WSGIEnvironment") -> str:
        """Return the user's access token, for calls to XWMS on their behalf. It is refreshed before it expires.

        With `flow="oauth2"` only. Keep it out of pages and logs. Raises `LoginRequired` if there is none or XWMS no
        longer issues one, and an `APIError` if XWMS cannot be reached. If the application does not catch
        `LoginRequired`, the response is a login.
        """
        return _state_of(environ).access_token()


class _InContext:
    """The application, as the login's WSGI layer calls it: with the request as the current one."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse", /) -> Iterable[bytes]:
        state: WSGIRequestState = environ[STATE_KEY]
        if current_request_state.get(None) is state:
            return self._app(environ, start_response)  # inside another one of the same client

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            if status.startswith("5"):
                state.note_server_error()
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        is_sent_later = False
        reset_token = current_request_state.set(state)
        try:
            chunks = self._app(environ, start)
            is_sent_later = not state.is_complete(chunks)
        finally:
            current_request_state.reset(reset_token)
            state.finished = not is_sent_later
        return _Body(chunks, state) if is_sent_later else chunks


class _Body:
    """A body whose chunks are made with the request as the current one.

    Mixed up people: a server may make the bodies of several requests by turns in one thread, so the context is entered
    for each chunk.
    """

    __slots__ = ("_chunks", "_iterator", "_state")

    def __init__(self, chunks: Iterable[bytes], state: WSGIRequestState) -> None:
        self._chunks = chunks
        self._iterator: Iterator[bytes] | None = None
        self._state = state

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        reset_token = current_request_state.set(self._state)
        try:
            if self._iterator is None:
                self._iterator = iter(self._chunks)
            return next(self._iterator)
        finally:
            current_request_state.reset(reset_token)

    def close(self) -> None:
        self._state.finished = True
        close(self._chunks)


def _state_of(environ: "WSGIEnvironment") -> WSGIRequestState:
    state = environ.get(STATE_KEY)
    if not isinstance(state, WSGIRequestState):
        raise RuntimeError("XWMSAuth is not around this application")
    return state


current_user = CurrentUserProxy(_state_of)
"""The user of the current request: `current_user.name`, or `current_user(environ)` for a plain object.

If nobody is signed in, an object with `is_authenticated == False`, never None."""


def require_user(environ: "WSGIEnvironment") -> User:
    """Return the user, or end the request with what `login_required` answers.

    Raises `LoginRequired` if nobody is signed in, and `StoreUnavailable` if nobody can know. The application need not
    catch it: whatever it makes of it, the response is ours, or that of `unauthorized`.
    """
    return _state_of(environ).require_user()


@overload
def login_required(app: "WSGIApplication", /) -> "WSGIApplication": ...
@overload
def login_required(
    *, fresh: timedelta | float | None = None, scopes: Sequence[str] = (), **params: Unpack[LoginParamArgs]
) -> "Callable[[WSGIApplication], WSGIApplication]": ...
def login_required(
    app: "WSGIApplication | None" = None,
    /,
    *,
    fresh: timedelta | float | None = None,
    scopes: Sequence[str] = (),
    **params: Unpack[LoginParamArgs],
) -> Any:
    """Require login for this WSGI application, which `XWMSAuth` has to be around.

    Browsers are redirected to the login; API clients get a 401. With `fresh`, a timedelta or seconds, users whose login
    is older have to log in again; until then their session continues. With `scopes`, a login for which one of them was
    not requested or not granted gets a 403 `not_approved`; only `flow="oauth2"` has scopes. `params` are those of the
    login: `ui_locales`, `prompt`, `login_hint` and `acr_values`.
    """
    requirement = LoginRequirement.of(fresh=fresh, scopes=scopes, **params)
    return partial(_guard, requirement=requirement) if app is None else _guard(app, requirement=requirement)


def require(
    *, role: str | Sequence[str] = (), verified_email: bool = False, domain: str | Sequence[str] = ()
) -> "Callable[[WSGIApplication], WSGIApplication]":
    """Require of whoever is signed in a role in the application, a verified e-mail address, or one of a domain.

    `role` and `domain` take one or several, of which one is enough. A person who lacks it gets a 403 `not_allowed`, and
    nobody what `login_required` answers. The roles are those that `roles=` of `XWMSAuth` returns. Raises ValueError if
    nothing is required.
    """
    requirement = LoginRequirement.of_person(role=role, verified_email=verified_email, domain=domain)
    return partial(_guard, requirement=requirement)


def _guard(app: "WSGIApplication", *, requirement: LoginRequirement) -> "WSGIApplication":
    def guarded(environ: "WSGIEnvironment", start_response: "StartResponse", /) -> Iterable[bytes]:
        state = _state_of(environ)
        refused = state.refusal(requirement)
        return app(environ, start_response) if refused is None else state.send_refusal(refused, start_response)

    return update_wrapper(guarded, app)
