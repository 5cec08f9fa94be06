"""Login with XWMS for any ASGI application: a middleware for http and websocket.

Pure ASGI, so that streaming, background tasks and context variables work as without it. `scope["user"]` and
`scope["auth"]` follow Starlette's convention. The session is looked up when it is asked for, or ahead where that needs
I/O; a response gets cache headers only if the application has read the session, so static files remain cacheable.

Imports no framework.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, NamedTuple, TypeVar, cast

from ._core.accounts.hooks import Hooks
from ._core.accounts.linker import AppLogin, Linker
from ._core.adapters.after_answer import afollow
from ._core.adapters.application import DoorApplication, Linkers, Parts, call_async, tell_async
from ._core.adapters.asgi.bearer import MAX_NESTED, endpoints_of, needs_tokens
from ._core.adapters.asgi.door import Door, Unauthorized
from ._core.adapters.asgi.leak_guard import guarded_send
from ._core.adapters.asgi.messages import (
    ASGIApp,
    Receive,
    Scope,
    Send,
    form_of,
    header_of,
    is_cors_preflight,
    is_debugged,
    missing_prefix,
    preflight_answer,
    refuse_websocket,
    request_of,
    send_response,
)
from ._core.adapters.asgi.root_path import foreign_readers, is_public
from ._core.adapters.asgi.state import ASGIRequestState, find_request_state, request_state_of
from ._core.adapters.asgi.websocket import WebSocketState, is_own_websocket
from ._core.adapters.clients import Configs, as_configs, client_at, client_of, require_tokens, serve_clients, store_of
from ._core.adapters.current_user import CurrentUserProxy, LazyUser
from ._core.adapters.passive import passive
from ._core.adapters.request_state import current_request_state, current_session_id
from ._core.adapters.roles import AsyncRoles
from ._core.adapters.served_app import ServedApp
from ._core.base import events
from ._core.base.effects import Runtime, arun
from ._core.base.errors import ConfigError
from ._core.base.health import HEALTH_SECONDS, Health
from ._core.base.models import User
from ._core.base.store_protocols import KeepsConnections, SessionStore
from ._core.base.unexpected import internal_error
from ._core.config.config import XWMSConfig
from ._core.config.context import Context
from ._core.http.messages import Response
from ._core.io.deferred import AsyncDeferredTransport
from ._core.io.operation.health import acheck
from ._core.io.session_manager import AsyncXWMSSessions
from ._core.responses.login_requirement import ANY_LOGIN, LoginRequirement
from ._core.responses.responses import Refusal, refusal
from ._core.sessions.lookup import SessionLookup

__all__ = ["XWMSAuthMiddleware", "current_account", "current_user", "passive", "refuse", "require_user"]

A = TypeVar("A")

current_user = CurrentUserProxy(lambda request: request_state_of(getattr(request, "scope", request)))
"""The user of the current request: `current_user.name`, or `current_user(scope)` for a plain object.
`current_user(request)` takes what has a `scope`, such as the requests of most frameworks."""


def require_user(scope: Scope) -> User:
    """Return the user, or end the request with what `login_required` answers. A websocket is closed with 1008.

    Raises `LoginRequired` if nobody is signed in, and `StoreUnavailable` if nobody can know. The application need not
    catch it: whatever it makes of it, the response is ours, or that of `unauthorized`.
    """
    return request_state_of(scope).require_user()


async def current_account(scope: Scope, linker: Linker[A], *, session: object = None) -> A:
    """Return the user's account, or end the request with what `login_required` answers.

    `linker` is the one that the middleware has. Loaded once for a request, in `session` if one is given: the
    application's own of its database. If the account is blocked or gone, the session ends: 403 `not_allowed`, or the
    login. What it raises is as in `require_user`.
    """
    state = request_state_of(scope)
    found = await state.load_account(state.linker_of(linker), state.require_user().identity, session)
    if isinstance(found, Refusal):
        raise state.refuse(found)
    return found


async def refuse(
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    role: str | Sequence[str] = (),
    verified_email: bool = False,
    domain: str | Sequence[str] = (),
) -> bool:
    """Answer a request of nobody as `login_required` does. False, and nothing is sent, if somebody is signed in.

    For an ASGI application of no framework: `if await refuse(scope, receive, send): return`. For a websocket it has to
    be called before anything is received. Somebody who has none of the roles, no verified e-mail address, or one of
    another domain gets a 403 `not_allowed`.
    """
    state, requirement = request_state_of(scope), ANY_LOGIN
    if role or verified_email or domain:
        requirement = LoginRequirement.of_person(role=role, verified_email=verified_email, domain=domain)
    refused = await state.refusal_after_roles(requirement)
    if refused is None:
        return False
    if scope["type"] == "websocket":
        await refuse_websocket(receive, send, refused.code)
    else:
        await state.send_refusal(refused, send)
    return True


class _Given(NamedTuple):
    """What all clients of an application are given."""

    clock: Callable[[], float]
    unauthorized: Unauthorized | None
    roles: AsyncRoles | None
    parts: Parts[Any]


def _config_from_env() -> XWMSConfig:
    try:
        return XWMSConfig.from_env(session_secret_required=True)
    except ConfigError as error:
        # A framework may create its middleware only when the server starts. uvicorn then takes the error to mean that
        # there is no lifespan, so without this log line nobody would see it before the first request.
        events.config_error(error)
        raise


class XWMSAuthMiddleware:
    """Adds login with XWMS to any ASGI application.

    `config=None` reads the `XWMS_…` environment variables. A list of configs is for several clients, of which the host
    of a request selects one: the one that has a redirect URI on it. `clock` returns seconds since 1970.
    `unauthorized(scope, problem)`, async or not, may return an answer of the application's own to an http request that
    needs a login: an ASGI application, such as a response of Starlette's. `problem` is the problem document (RFC 9457),
    with `code`, `login_url` and, if known, the `reason` why the session ended. None means ours.
    `roles(user)`, async or not, returns the person's roles in the application, for `require`.
    `linker`, `app_login` and `hooks` are those of `xwms_auth.accounts`.
    Raises `ConfigError` with every fault at once.
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
        config = _config_from_env() if config is None else config
        try:
            self.configs = as_configs(config)
            """The settings of each client."""
            _check_redirect_uris(app, self.configs)
            if needs_tokens(app):
                require_tokens(config)
            parts = Parts(linker=linker, app_login=app_login, hooks=hooks)
            parts.check(self.configs)
            given = _Given(clock, unauthorized, roles, parts)
            context, self._clients = serve_clients(config, lambda context: _Client(app, context, given))
        except ConfigError as error:
            events.config_error(error)  # as in `_config_from_env`: nobody may see it otherwise
            raise
        self._set_up(app, context, given)
        self._served.selects_client = bool(self._clients)
        self._served_at = {host: client._served for host, client in self._clients.items()}
        self._served.of_clients = tuple(dict.fromkeys(self._served_at.values()))

    def _set_up(self, app: ASGIApp, context: Context, given: "_Given") -> None:
        self.app = app
        self._foreign = foreign_readers(app)
        self._served = _Served(context, _connect, given.clock)
        self._served.parts = given.parts.of_client(context)
        self._door = Door(app, self._served.sessions, given.unauthorized, given.roles)

    @property
    def sessions(self) -> AsyncXWMSSessions:
        """Lists and revokes sessions outside a request; within one, use `request.auth.sessions`.

        With several clients use `sessions_at`.
        """
        return self._client("sessions").sessions

    def sessions_at(self, host: str) -> AsyncXWMSSessions:
        """The sessions of the client that has a redirect URI on this host, such as `a.example` or `localhost:5000`.

        Raises ValueError if no client has.
        """
        return client_at(self._served, self._served_at, host).sessions

    @property
    def config(self) -> XWMSConfig:
        """The settings; with several clients those of the client of this request."""
        return self._client("config").context.config

    def _client(self, asked: str) -> "_Served":
        """What serves the client of this request. Raises `HostNotRegistered` if no client has its host."""
        state = current_request_state.get(None)
        within = None if state is None or state.finished else state.served
        return client_of(self._served, self._served_at, within, asked=asked)

    async def health(self, *, timeout: float = HEALTH_SECONDS) -> Health:
        """Return whether the session store answers, and what this process knows of XWMS, for a health check of yours.

        XWMS is not called, and a store that hangs has `timeout` seconds. With several clients it is the worst of all.
        """
        return await acheck(self._served.health_checks(), timeout=timeout)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await (self._run_lifespan if scope["type"] == "lifespan" else self.app)(scope, receive, send)
            return
        served, is_http = self._served, scope["type"] == "http"
        if type(scope.get("headers")) is not list:
            # ASGI allows any iterable, and these are read several times.
            scope["headers"] = list(scope.get("headers") or ())
        if not served.is_prepared:
            send = guarded_send(served.leak_guard, served.context.config, scope, send)
            if self._clients and (client := self._clients.get(header_of(scope, b"host", ", ").lower())) is not None:
                await client(scope, receive, send)
                return
            served.prepare(lambda: endpoints_of(self.app), debug=lambda: is_debugged(scope, self.app))
        may_be_ours = scope["path"].endswith(served.own_segments) or scope.get("root_path") or "auth" in scope
        if may_be_ours and await self._serve_elsewhere(scope, receive, send):
            return
        state = (ASGIRequestState if is_http else WebSocketState)(served, scope, receive, send, self._door)
        if not is_http and not is_own_websocket(served.context, scope, state.redirect_uri):
            await refuse_websocket(receive, send, "cross_site")
            return
        if not served.is_lazy:
            await state.look_up_ahead()
        scope["auth"] = state
        scope["user"] = LazyUser(state)
        reset_token = current_request_state.set(state)
        try:
            if served.protects_all and await self._refuse(state, scope, receive, send):
                return
            await self.app(scope, receive if is_http else cast("WebSocketState", state).receive, state.send)
            if state.refused is not None or not (is_http and state.is_passed_on):
                await state.release()
        except Exception as error:
            if not await state.respond_instead(error):
                raise
        finally:
            state.end()
            current_request_state.reset(reset_token)

    async def _serve_elsewhere(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Serve one of our routes, or a request that came through an outer middleware. False if it is neither."""
        served, context = self._served, self._served.context
        path = (prefix := missing_prefix(scope, context)) + scope["path"]
        outer = find_request_state(scope)
        if outer is not None and not served.serves_same_client(outer.served):
            outer = None
        is_ours = scope["type"] == "http" and path in served.own_paths
        if is_ours and context.is_own_route(path, header_of(scope, b"host", ", ")):
            runtime = served.runtime if outer is None else served.runtime_in(outer.served)
            response = await self._response_of(scope, receive, runtime, prefix=prefix)
            await send_response(response, send)
            await afollow(served, path, response, runtime)
            return True
        if outer is not None:
            await self._serve_nested(outer, scope, receive, send)
            return True
        served.look_for_prefix(path, named=scope.get("root_path", ""))
        return False

    async def _response_of(self, scope: Scope, receive: Receive, runtime: Runtime, *, prefix: str) -> Response:
        """The response of one of our routes."""
        served = self._served
        try:
            request = request_of(scope, prefix=prefix, form=await form_of(scope, receive), app=self.app)
            parts, application = served.parts, None
            if not parts.are_none:
                application = DoorApplication(parts, call_async, lambda: scope, tell=tell_async)
            steps = served.serve_route(
                served.context, served.provider, request, now=int(served.clock()), application=application
            )
            with served.observed(request.path) as note:
                response = await arun(steps, runtime)
                note(response)
            return response
        except Exception as error:  # noqa: BLE001  logged, and never a bare 500
            return refusal(served.context.config, request_of(scope, prefix=prefix, app=self.app), internal_error(error))

    async def _serve_nested(self, outer: ASGIRequestState, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request that came through an outer middleware of the same client. The rules of both apply."""
        served = self._served
        outer.nested += (served,)
        outer.unauthorized = self._door.unauthorized or outer.unauthorized
        if self._door.roles is not None:
            outer.resolver, outer.roles = self._door.roles, None
        if (fault := served.fault_in(outer.served)) is not None:
            outer.lookup = fault
        await outer.look_up_nested(served)
        if not (served.protects_all and await self._refuse(outer, scope, receive, send)):
            await self.app(scope, receive, send)

    async def _refuse(self, state: ASGIRequestState, scope: Scope, receive: Receive, send: Send) -> bool:
        """Deny access to a page that requires login. False if the application is to respond."""
        if is_public(scope, self._served.context, foreign=self._foreign):
            return False
        # New tokens have to reach the browser, whatever the response is.
        found = state.lookup
        carries = scope["type"] == "http" and isinstance(found, SessionLookup) and found.has_new_tokens
        send = state.send if carries else send
        if is_cors_preflight(scope) and state.refusal() is not None:
            answer = preflight_answer(self.app, refuse)
            if answer is not None:
                await answer(scope, receive, send)
                return True
        return await refuse(scope, receive, send)

    async def _run_lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Keep connections open while the application runs. Its own lifespan messages are passed on unchanged."""
        async with AsyncExitStack() as stack:
            for one in dict.fromkeys(self._clients.values()) or (self,):
                transport, store = one._served.transport, one._served.store
                stack.push_async_callback(_close, transport, store)
                _keep_connections(transport, store)
            await self.app(scope, receive, send)


def _connect(context: Context) -> tuple[AsyncDeferredTransport, SessionStore]:
    return AsyncDeferredTransport(context.config), store_of(context, is_async=True)


def _keep_connections(transport: AsyncDeferredTransport, store: SessionStore) -> None:
    transport.keep_connections()
    if isinstance(store, KeepsConnections):
        store.keep_connections()


async def _close(transport: AsyncDeferredTransport, store: SessionStore) -> None:
    await transport.aclose()
    closing = store.close() if isinstance(store, KeepsConnections) else None
    if closing is not None:
        await closing


class _Served(ServedApp):
    """What serves one client, with the manager of its sessions."""

    transport: AsyncDeferredTransport

    def __init__(
        self,
        context: Context,
        connect: Callable[[Context], tuple[AsyncDeferredTransport, SessionStore]],
        clock: Callable[[], float],
    ) -> None:
        super().__init__(context, connect, clock)
        self.sessions = AsyncXWMSSessions.of(self.context, self.runtime, clock=self.clock, current=current_session_id)


class _Client(XWMSAuthMiddleware):
    """The middleware of one of several clients, around the same application."""

    def __init__(self, app: ASGIApp, context: Context, given: "_Given") -> None:
        self.configs, self._clients, self._served_at = (context.config,), {}, {}
        self._set_up(app, context, given)


def _check_redirect_uris(app: object, configs: Sequence[XWMSConfig]) -> None:
    """Refuse a redirect URI that a middleware inside this one uses for another flow (mix-up, RFC 9700 4.4.2.2).

    With the same URI for two servers, a callback would not show which of them sent the browser.
    """
    ours = {(uri.uri, config.flow) for config in configs for uri in config.registered}
    for _ in range(MAX_NESTED):
        if isinstance(app, XWMSAuthMiddleware):
            theirs = {(uri.uri, config.flow) for config in app.configs for uri in config.registered}
            if {uri for uri, _ in ours - theirs} & {uri for uri, _ in theirs - ours}:
                raise ConfigError(["XWMS_REDIRECT_URI (redirect_uris) has a URI that another flow uses too"])
        app = getattr(app, "app", None)
