"""Login with XWMS for any ASGI application: one middleware, http and websocket.

Pure ASGI, so that streaming, background tasks and context variables work as without us. `scope["user"]` and
`scope["auth"]` follow Starlette's convention. The session is looked up when a request brings its cookie; an answer is
marked as depending on it only if somebody asked who the user is, so static files stay cacheable.

Knows: the order of things for one request.
Must not: import a framework, or decide anything about a login.
"""

import time
from collections.abc import Callable
from typing import TypeVar

from . import access_log
from ._core.adapters.asgi import (
    ASGIApp,
    Receive,
    Scope,
    Send,
    form_of,
    header_of,
    refuse_websocket,
    request_of,
    route_path,
    send_response,
)
from ._core.adapters.asgi_bearer import endpoints_of, needs_tokens
from ._core.adapters.asgi_state import LazyUser, RequestState, current_request_state
from ._core.adapters.guards import GuardCheck
from ._core.base import events
from ._core.base.effects import Runtime, Steps
from ._core.base.errors import ConfigError, XWMSError
from ._core.base.store_protocols import KeepsConnections
from ._core.config.config import XWMSConfig
from ._core.config.context import Context
from ._core.http.urls import RedirectURI
from ._core.io.runner import arun
from ._core.io.session_manager import AsyncXWMSSessions
from ._core.io.transport import AsyncHTTPTransport
from ._core.login import routes
from ._core.login.select import provider_of
from ._core.oauth2.bearer_guard import require_tokens
from ._core.sessions import lookup, revalidation, token_refresh
from .stores import open_store

__all__ = ["XWMSAuthMiddleware"]

T = TypeVar("T")

MAX_NESTED = 32
"""Middlewares inside ours that are looked at, outermost first."""


def _config_from_env() -> XWMSConfig:
    try:
        return XWMSConfig.from_env(session_secret_required=True)
    except ConfigError as error:
        # A framework may make its middleware only when the server starts, and uvicorn then takes the error to mean
        # that there is no lifespan: without this line nobody would see it before the first page.
        events.config_error(error)
        raise


class XWMSAuthMiddleware:
    """Login with XWMS around any ASGI application.

    `config=None` reads the `XWMS_…` environment variables. `clock` returns seconds since 1970.
    Raises `ConfigError` with every fault at once.
    """

    def __init__(
        self, app: ASGIApp, config: XWMSConfig | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        config = config or _config_from_env()
        self.app = app
        self.context = Context.of(config)
        _require_own_uris(app, self.context)
        _require_tokens_for(app, config)
        self._provider = provider_of(self.context)
        self._transport = AsyncHTTPTransport(config)
        self._runtime = Runtime(self._transport, open_store(self.context, is_async=True))
        self._clock = clock
        self.sessions = self.sessions_for(lambda: None)
        """Lists and ends people's sessions from outside a request; inside of one it is `request.auth.sessions`."""
        self._own_paths = config.own_paths
        self._protects_all = config.protect == "all"
        self._guards = GuardCheck()
        self._is_new = True
        access_log.redact(self.context)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        if not self._guards.settled:
            self._guards.check(lambda: endpoints_of(self.app), debug=lambda: request_of(scope, app=self.app).debug)
        path: str = scope["path"]
        if self._is_new or path in self._own_paths:
            self._is_new = False
            access_log.redact_coming(self.context)
        outer = scope.get("xwms_auth")
        if not isinstance(outer, RequestState) or outer.served.context.audience != self.context.audience:
            outer = None
        is_http = scope["type"] == "http"
        if is_http and path in self._own_paths and self.context.is_own_route(path, header_of(scope, b"host", ", ")):
            request = request_of(scope, form=await form_of(scope, receive), app=self.app)
            await send_response(
                await arun(routes.serve(self.context, request, now=self.now()), self._runtime_in(outer)), send
            )
            return
        if outer is not None:
            await self._serve_inside(outer, scope, receive, send)
            return
        uri = self.context.only_uri or self.context.redirect_uri_for(header_of(scope, b"host", ", "))
        if not is_http and not _is_own_websocket(scope, uri):
            await refuse_websocket(receive, send, "cross_site")
            return

        cookie, now = header_of(scope, b"cookie", "; "), self.now()
        visit = lookup.cached_lookup(self.context, self._runtime.store, cookie, uri, now=now)
        request_state = RequestState(self, scope, visit or await self._look_up(cookie, uri, now), send)
        scope["xwms_auth"] = scope["auth"] = request_state
        scope["user"] = LazyUser(request_state)
        if self._protects_all and await self._refuse(request_state, scope, receive, send):
            return
        mark = current_request_state.set(request_state)
        try:
            await self.app(scope, receive, request_state.send if is_http else send)
        except XWMSError as error:
            if not (is_http and await request_state.answer_instead(error)):
                raise
        finally:
            request_state.over = True
            current_request_state.reset(mark)

    async def _serve_inside(self, outer: RequestState, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request that comes through another middleware of this client: on its seat, by the rules of both.

        Two seats would be two sessions, of which one knows nothing of the other's end.
        """
        if isinstance(outer.visited, lookup.SessionLookup):
            cookie, now = header_of(scope, b"cookie", "; "), self.now()
            steps = revalidation.look_up_nested(self.context, self._provider, outer.visited, cookie, now=now)
            try:
                outer.visited = await arun(steps, self._runtime_in(outer))
            except XWMSError as error:
                outer.visited = error
        if not (self._protects_all and await self._refuse(outer, scope, receive, send)):
            await self.app(scope, receive, send)

    def _runtime_in(self, outer: RequestState | None) -> Runtime:
        """Our world; inside of another middleware with its store, where the sessions are."""
        served = None if outer is None else outer.served
        return (
            Runtime(self._transport, served._runtime.store) if isinstance(served, XWMSAuthMiddleware) else self._runtime
        )

    async def _refuse(self, request_state: RequestState, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer for an application that is not for everybody. False if it is to answer itself."""
        if self.context.is_public(route_path(scope)):
            return False
        refused = request_state.refusal()
        if refused is None:
            return False
        is_http = scope["type"] == "http"
        await (send_response(refused, send) if is_http else refuse_websocket(receive, send, "login_required"))
        return True

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Keep connections for as long as the application lives. Its own lifespan passes through untouched."""
        store = self._runtime.store if isinstance(self._runtime.store, KeepsConnections) else None
        self._transport.keep_connections()
        if store is not None:
            store.keep_connections()
        try:
            await self.app(scope, receive, send)
        finally:
            await self._transport.aclose()
            closing = store.close() if store is not None else None
            if closing is not None:
                await closing

    def now(self) -> int:
        """Whole seconds since 1970."""
        return int(self._clock())

    def sessions_for(
        self, current: Callable[[], str | None], *, failed: Callable[[XWMSError], object] | None = None
    ) -> AsyncXWMSSessions:
        """The sessions as somebody sees them whose own session has the id that `current` gives.

        `failed` is told of a store that is down.
        """
        made = AsyncXWMSSessions.of(self.context, self._runtime, clock=self._clock, current=current)
        return made if failed is None else made.telling(failed)

    async def access_token(self, visit: lookup.SessionLookup, scope: Scope) -> tuple[lookup.SessionLookup, str | None]:
        """The access token of a visit, and the visit as it is from then on."""
        cookie = header_of(scope, b"cookie", "; ")
        steps = token_refresh.access_token(self.context, self._provider, visit, cookie, now=self.now())
        visit, token = await arun(steps, self._runtime)
        return visit, None if token is None else token.reveal()

    async def run_steps(self, steps: Steps[T]) -> T:
        """Play a story that an endpoint asks for."""
        return await arun(steps, self._runtime)

    async def renew(self, visit: lookup.SessionLookup) -> str | None:
        """The Set-Cookie value that an answer during this visit should carry, or None."""
        return await arun(lookup.renew(self.context, visit, now=self.now()), self._runtime)

    async def _look_up(self, cookie: str, uri: RedirectURI | None, now: int) -> lookup.SessionLookup | XWMSError:
        try:
            return await arun(
                revalidation.look_up_for_page(self.context, self._provider, cookie, uri, now=now), self._runtime
            )
        except XWMSError as error:
            return error  # raised to whoever asks; a page that does not ask need not fail


def _require_own_uris(app: object, context: Context) -> None:
    """Refuse a redirect URI that a middleware inside this one has for another flow (RFC 9700 4.4.2.2).

    Which of two servers has sent a person back to one address could not be told.
    """
    for _ in range(MAX_NESTED):
        if isinstance(app, XWMSAuthMiddleware) and app.context.config.flow != context.config.flow:
            ours = {uri.uri for uri in context.config.registered}
            if any(uri.uri in ours for uri in app.context.config.registered):
                raise ConfigError(["XWMS_REDIRECT_URI (redirect_uris) has an address that another flow has too"])
        app = getattr(app, "app", None)


def _require_tokens_for(app: object, config: XWMSConfig) -> None:
    """Refuse a flow that has no access tokens where an endpoint needs some."""
    if needs_tokens(app):
        try:
            require_tokens(config)
        except ConfigError as error:
            events.config_error(error)  # as above: it may be raised where nobody sees it
            raise


def _is_own_websocket(scope: Scope, uri: RedirectURI | None) -> bool:
    """A browser names the page that opens a websocket, and cookies travel whatever page it is: only this site's may."""
    named = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
    return not named or (uri is not None and named == [uri.origin])
