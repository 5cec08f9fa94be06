"""The WSGI layer as Flask has it: its views, its own answers, and the state of its current request."""

import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cached_property
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, cast

from flask import Flask, Request, Response, current_app, got_request_exception, has_request_context, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException

from ...accounts.application import Application
from ...accounts.hooks import Event
from ...config.context import Context
from ...io.session_manager import XWMSSessions
from ...responses import cache_headers
from ...responses.responses import Refusal
from ..application import ClientParts, DoorApplication, call_sync
from ..clients import client_of
from ..wsgi.app import WSGIApp
from ..wsgi.state import STATE_KEY, WSGIRequestState
from . import preflight as flask_preflight
from . import signals as flask_signals

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

Unauthorized = Callable[[Request, dict[str, object]], Any]
"""The application's own answer to a request that needs a login: whatever a view may return; None for ours."""

_EXTENSION = "xwms_auth"
PUBLIC = "_xwms_auth_public"
"""The attribute of a view that anybody may see."""

_ROUTED_TO_PUBLIC = "xwms_auth.public"
"""The key in a WSGI environment of the application that has routed the request to such a view."""

_UNSERVED = "_xwms_auth_state"
"""The attribute of a request that is not being served, for its state."""


class FlaskApp(WSGIApp):
    """The WSGI layer around a Flask application. Kept by the application, and by nothing else."""

    clients: "Mapping[str, FlaskApp]"

    def __init__(
        self,
        context: Context,
        app: Flask,
        *,
        clock: Callable[[], float],
        unauthorized: Unauthorized | None,
        clients: "Mapping[str, FlaskApp] | None" = None,
    ) -> None:
        super().__init__(context, app.wsgi_app, debugged=app, clock=clock, clients=clients)
        self.sessions = XWMSSessions.of(self.context, self.runtime, clock=self.clock, current=_current_id)
        self.unauthorized = unauthorized
        self._app = app
        if self.protects_all:
            app.before_request_funcs.setdefault(None, []).insert(0, self._require_public_view)

    def install(self) -> None:
        """Serve the application's requests from now on."""
        self._app.extensions[_EXTENSION] = self
        self._app.wsgi_app = self  # type: ignore[method-assign]  # Flask documents this way to wrap an application

    def of_request(self, asked: str) -> "FlaskApp":
        """The application of the client of the current request, as `client_of` says."""
        within = request_state().served if self.clients and has_request_context() else None
        return client_of(self, self.clients, within, asked=asked)

    def application_of(self, environ: "WSGIEnvironment") -> Application:
        return _FlaskApplication(self.parts, self._app, environ)

    def call(self, function: Callable[..., Any], args: tuple[object, ...]) -> Any:
        return call_sync(self._app.ensure_sync(function), args)

    def views(self) -> Iterable[object]:
        return self._app.view_functions.values()

    def is_public(self, environ: "WSGIEnvironment") -> bool:
        if super().is_public(environ):
            return True
        if not self._has_public_views:
            return False
        app = self._app
        try:
            adapter = app.create_url_adapter(app.request_class(environ, populate_request=False))
            endpoint: str = adapter.match()[0] if adapter else ""
        except HTTPException:
            return False
        if not self._is_public_view(endpoint):
            return False
        environ[_ROUTED_TO_PUBLIC] = self
        return True

    @cached_property
    def _has_public_views(self) -> bool:
        return any(map(self._is_public_view, self._app.view_functions))

    def _is_public_view(self, endpoint: str | None) -> bool:
        return getattr(self._app.view_functions.get(endpoint or ""), PUBLIC, False) is True

    def _require_public_view(self) -> Response | None:
        """Called before the view. An inner WSGI layer may have led the request to another one than `is_public` saw."""
        if current_request().environ.get(_ROUTED_TO_PUBLIC) is not self or self._is_public_view(request.endpoint):
            return None
        refused = request_state().refusal()
        return None if refused is None else response_of(refused)

    def send_refusal(
        self, refused: Refusal, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        is_from_elsewhere = environ.get("HTTP_ORIGIN") not in (None, *self.context.origins)
        if self.unauthorized is None and not is_from_elsewhere:
            return super().send_refusal(refused, environ, start_response)
        app = self._app
        with app.request_context(environ):
            try:
                response = self._preflight_answer() or response_of(refused)
            except Exception as error:  # noqa: BLE001  as Flask does with an error of a view
                try:
                    response = app.make_response(app.handle_user_exception(error))
                except Exception as unhandled:  # noqa: BLE001
                    response = app.handle_exception(unhandled)
            if is_from_elsewhere:
                response = self._processed(response)
            return response(environ, start_response)

    def _preflight_answer(self) -> Response | None:
        return flask_preflight.answer(current_request()) if flask_preflight.is_routed_by_flask(self._inner) else None

    def _processed(self, response: Response) -> Response:
        """Run the `after_request` functions: Flask-CORS there lets a page of another origin read the refusal.

        One that relies on a `before_request` function, none of which has run, fails and changes nothing.
        """
        try:
            return self._app.process_response(response)
        except Exception:  # noqa: BLE001  any of the application's
            self._app.log_exception(sys.exc_info())
            return response


class _FlaskApplication(DoorApplication):
    """A Flask application, as a request for one of our routes reaches it: each call has a request context of its own.

    So `flask.request` is there, and what is kept for a context, such as Flask-SQLAlchemy's session, is cleaned up.
    What a function changes in `flask.session` is lost.
    """

    __slots__ = ("_app", "_environ")

    def __init__(self, parts: ClientParts, app: Flask, environ: "WSGIEnvironment") -> None:
        super().__init__(parts, self._in_context, current_request)
        self._app, self._environ = app, environ

    def _in_context(self, function: Callable[..., Any], args: tuple[object, ...]) -> Any:
        with self._app.request_context(self._environ):
            return call_sync(self._app.ensure_sync(function), args)

    def tell(self, event: Event) -> object:
        result = super().tell(event)
        if flask_signals.has_receivers(event):
            self._in_context(flask_signals.send, (self._app, event))
        return result

    def who(self) -> object:
        app_login = self.app_login
        if app_login is None:
            return None
        return self._in_context(lambda: call_sync(self._app.ensure_sync(app_login.who), (current_request(),)), ())


def _note_uncaught(_app: Flask, *, exception: BaseException, **_: object) -> None:
    """Called when Flask makes an error page. Its handler for 500 may ask for the user again."""
    state = current_request().environ.get(STATE_KEY) if has_request_context() else None
    if isinstance(state, WSGIRequestState):
        state.note_uncaught(exception)


# Of every Flask application: one that is mounted below ours asks for the same user.
got_request_exception.connect(_note_uncaught)


def is_set_up(app: Flask) -> bool:
    """Whether the application has an `XWMSAuth`."""
    return _EXTENSION in app.extensions


def served_app() -> FlaskApp:
    """Return what belongs to the current application. Raises `RuntimeError` if it has no `XWMSAuth`."""
    found = current_app.extensions.get(_EXTENSION)
    if found is None:
        raise RuntimeError("this Flask application has no XWMSAuth: call XWMSAuth(app) or auth.init_app(app)")
    return cast("FlaskApp", found)


def current_request() -> Request:
    """Return Flask's request itself. Attribute access through its proxy is ten times as slow."""
    return cast("Request", request._get_current_object())  # type: ignore[attr-defined]  # werkzeug's LocalProxy


def request_state() -> WSGIRequestState:
    """Return the state of the current request, also of one that did not come through our WSGI layer.

    Such is the request of `app.test_request_context()`, or of a handler of Flask-SocketIO. Raises `RuntimeError`
    outside a request.
    """
    current = cast("Request", request._get_current_object())  # type: ignore[attr-defined]  # as in `current_request`
    state = current.environ.get(STATE_KEY)
    if state is None:
        # Kept by the request and not in its environment, which a connection of Flask-SocketIO keeps for hours.
        state = getattr(current, _UNSERVED, None) or _unserved_state(current)
        setattr(current, _UNSERVED, state)
    return cast("WSGIRequestState", state)


def _unserved_state(current: Request) -> WSGIRequestState:
    return served_app().for_host(current.environ).state_of(current.environ, _no_response)


def _no_response(*_: object) -> Callable[[bytes], object]:
    raise RuntimeError("this request is not being served")


def _current_id() -> str | None:
    """The id of the current session, or None outside a request or if nobody is signed in."""
    if not has_request_context() or not (STATE_KEY in current_request().environ or is_set_up(current_app)):
        return None
    session = request_state().session()
    return session.id if session else None


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer


def response_of(refused: Refusal) -> Response:
    """Return the response to a refused request: the application's own answer if it has one, otherwise ours."""
    served = current_app.extensions.get(_EXTENSION) or request_state().served
    unauthorized = cast("FlaskApp", served).unauthorized
    if unauthorized is not None and (problem := refused.problem) is not None:
        answer = unauthorized(current_request(), problem)
        if isawaitable(answer):
            answer = current_app.async_to_sync(_awaited)(answer)
        if answer is not None:
            response = current_app.make_response(answer)
            edit = cache_headers.for_unknown_session(response.headers)
            response.headers = Headers(edit.applied(response.headers))
            return response
    ours = refused.response
    return Response(ours.body, ours.status, ours.header_list(reserved=request_state().reserved()))
