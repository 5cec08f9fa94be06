"""The WSGI layer around an application of any framework.

It serves our routes before the application's routing sees them, which may redirect a path with the token along.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from ...accounts.application import Application
from ...base.effects import Runtime, run
from ...base.unexpected import internal_error
from ...config.context import Context
from ...http.messages import Response
from ...io.deferred import DeferredTransport
from ...io.session_manager import XWMSSessions
from ...responses.responses import Refusal, refusal
from ..after_answer import follow
from ..application import DoorApplication, call_sync
from ..clients import store_of
from .leak_guard import guarded
from .messages import decoded, request_of, send
from .state import STATE_KEY, WSGIRequestState, WSGIServedApp

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_GUARDED_BY = "xwms_auth.guarded_by"
"""The key in a WSGI environment of the application whose leak guard the response goes through."""


class WSGIApp(WSGIServedApp):
    """A WSGI application with the login around it. `debugged` is what has the `debug` of the application, if any.

    `clients` are the applications of several clients by host; this one then serves all other hosts.
    """

    sessions: XWMSSessions

    def __init__(
        self,
        context: Context,
        inner: "WSGIApplication",
        *,
        debugged: object,
        clock: Callable[[], float],
        clients: "Mapping[str, WSGIApp] | None" = None,
    ) -> None:
        super().__init__(context, lambda context: (DeferredTransport(context.config), store_of(context)), clock)
        self._inner = inner
        self._debugged = debugged
        self.clients = clients or {}
        self.selects_client = bool(clients)
        self.of_clients = tuple(dict.fromkeys(self.clients.values()))

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if not self.is_prepared and (serving := self._prepared(environ)) is not self:
            return serving(environ, start_response)
        named = environ.get("SCRIPT_NAME", "")
        path = named + environ.get("PATH_INFO", "")  # the whole, as the browser sees it
        outer = environ.get(STATE_KEY)
        if outer is not None and not (isinstance(outer, WSGIRequestState) and self.serves_same_client(outer.served)):
            outer = None
        if named or path.endswith(self.own_segments):  # few paths can be ours
            if path in self.own_paths and self.context.is_own_route(path, environ.get("HTTP_HOST", "")):
                runtime = self.runtime if outer is None else self.runtime_in(outer.served)
                response = self._response_of(environ, runtime)
                return follow(self, send(response, start_response), path, response, runtime)
            if outer is None:
                self.look_for_prefix(path, named=named)
        state = outer or self.state_of(environ, start_response)
        if outer is None:
            environ[STATE_KEY] = state
        else:
            outer.enter_nested(self)
        if self.protects_all and not self.is_public(environ):
            refused = state.refusal()
            if refused is not None:
                return self.send_refusal(refused, environ, state.start if outer is None else start_response)
        if outer is not None:
            return self._inner(environ, start_response)
        try:
            chunks = self._inner(environ, state.start)
        except Exception as error:
            ours = state.respond_instead(error)
            if ours is None:
                raise
            return ours
        return state.body(chunks)

    def _response_of(self, environ: "WSGIEnvironment", runtime: Runtime) -> Response:
        """The response of one of our routes."""
        try:
            request = request_of(environ, debug=self.in_debug_mode())
            application = self.application_of(environ)
            steps = self.serve_route(
                self.context, self.provider, request, now=int(self.clock()), application=application
            )
            with self.observed(request.path) as note:
                response = run(steps, runtime)
                note(response)
            return response
        except Exception as error:  # noqa: BLE001  logged, and never a bare 500
            request = request_of(environ, debug=self.in_debug_mode(), body=False)
            return refusal(self.context.config, request, internal_error(error))

    def application_of(self, environ: "WSGIEnvironment") -> Application:
        return DoorApplication(self.parts, call_sync, lambda: environ)

    def _prepared(self, environ: "WSGIEnvironment") -> "WSGIApplication":
        """Prepare for requests, and return what serves this one."""
        if self.leak_guard is not None and environ.get(_GUARDED_BY) is not self:
            environ[_GUARDED_BY] = self
            return partial(guarded, self, self.leak_guard, self.context.config)
        client = self.for_host(environ)
        if client is self:
            self.prepare(self.views, debug=self.in_debug_mode)
        return client

    def for_host(self, environ: "WSGIEnvironment") -> "WSGIApp":
        """Return the application of the client at this host; this one, if there is none or no other client."""
        return self.clients.get(environ.get("HTTP_HOST", "").lower(), self)

    def is_public(self, environ: "WSGIEnvironment") -> bool:
        """Whether anybody may see this page although everything is protected."""
        # Not the whole path: SCRIPT_NAME may come from a request header that a proxy passes on.
        path = decoded(environ.get("PATH_INFO", ""))
        # Pyramid's traversal puts this header in front of the path, whoever sent it.
        root = environ.get("HTTP_X_VHM_ROOT")
        return self.context.is_public(path) and (root is None or self.context.is_public(decoded(root) + path))

    def views(self) -> Iterable[object]:
        """The functions that the application routes, as far as they are known."""
        return ()

    def state_of(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> WSGIRequestState:
        """Return a new state for a request."""
        return WSGIRequestState(self, environ, start_response)

    def in_debug_mode(self) -> bool:
        """Whether the application is in debug mode now. Flask's `app.run(debug=True)` sets it after `init_app`."""
        # `is True`: a merely truthy value must not show developer hints to visitors.
        return getattr(self._debugged, "debug", None) is True

    def send_refusal(
        self, refused: Refusal, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Refuse a request before the application has seen it. Return the body."""
        state: WSGIRequestState = environ[STATE_KEY]
        return state.send_refusal(refused, start_response)
