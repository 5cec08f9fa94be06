"""The state of an ASGI request: its session, and the cache headers of a response that depends on it."""

import inspect
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

from ...accounts.linker import Linker
from ...base import events
from ...base.effects import arun, run
from ...base.errors import ConfigError, LoginRequired, StoreUnavailable, XWMSError
from ...base.models import AccessToken, Identity, User
from ...base.session import Session
from ...base.unexpected import internal_error
from ...http.fetch_metadata import is_passive
from ...http.messages import Request
from ...http.urls import RedirectURI
from ...io.session_manager import AsyncXWMSSessions
from ...responses import cache_headers
from ...responses.login_requirement import LoginRequirement
from ...responses.responses import Refusal
from ...sessions.lookup import SessionLookup, cached_lookup, renew
from ...sessions.revalidation import look_up_for_page, look_up_nested
from ...sessions.token_refresh import access_token
from ..application import DoorApplication, call_async, tell_async
from ..request_state import RequestState, current_request_state
from ..roles import AsyncRoles, no_roles, parse_roles
from ..served_app import ServedApp
from .door import AnswersHealth, Door, Unauthorized
from .headers import edited, editing, for_token, is_event_stream, never_stored, usual, with_listed_headers
from .messages import (
    ENDED_SCOPE,
    ASGIApp,
    Message,
    Receive,
    Scope,
    Send,
    decoded,
    discard,
    header_in,
    header_of,
    is_with,
    missing_prefix,
    request_of,
    send_response,
)

A = TypeVar("A")


class ASGIRequestState(RequestState[SessionLookup | XWMSError | None], AnswersHealth):
    """The session is looked up ahead, or when it is first read; from then on the response depends on it.

    Also `scope["auth"]`, and the `send` that the application gets.
    """

    session_read = False
    """Whether the response depends on the session."""

    token: AccessToken | None = None
    """The access token that authenticated the request: `request.auth.token`. It is independent of the session."""

    _started = False
    is_passed_on = False
    """Whether nothing of the response is held back or changed any more."""

    _held: Message | None = None
    lookup: SessionLookup | XWMSError | None = None

    def __init__(self, served: ServedApp, scope: Scope, receive: Receive, send: Send, door: "Door") -> None:
        self.served = served
        self.scope = scope
        self._door = door
        self._began_at = served.clock()
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]
        self._receive = receive
        self._send = send

    def session(self) -> Session | None:
        self.session_read = True
        found = self.lookup or self.looked_up()
        if isinstance(found, XWMSError):
            self._failure = found
            raise found
        return found.session

    def looked_up(self) -> SessionLookup | XWMSError:
        """The lookup. By itself this does not make the response depend on the session."""
        if self.lookup is None:
            self.lookup = self._look_up()
        return self.lookup

    def _look_up(self) -> SessionLookup | XWMSError:
        """The lookup that needs no I/O (`ServedApp.is_lazy`)."""
        try:
            # As of the beginning: a renewal that comes late must not undo what this browser did meanwhile.
            served, cookie, uri, now = self.served, self._asked(), self.redirect_uri, int(self._began_at)
            found = cached_lookup(served.context, served.store, cookie, uri, now=now)
            return found or run(look_up_for_page(served.context, served.provider, cookie, uri, now=now), served.runtime)
        except Exception as error:  # noqa: BLE001  raised whenever the session is read
            return internal_error(error)

    def vary_by_language(self) -> None:
        if self._send is not discard:
            self._send = editing(self._send, cache_headers.for_language)

    async def look_up_ahead(self) -> None:
        """Look the session up with I/O. An error is raised when the session is read: not every page needs it."""
        served, now = self.served, int(self._began_at)
        try:
            cookie, uri = self._asked(), self.redirect_uri
            found = cached_lookup(served.context, served.store, cookie, uri, now=now)
            if found is None:
                steps = look_up_for_page(served.context, served.provider, cookie, uri, now=now)
                found = await arun(steps, served.runtime)
            # New tokens have to reach the browser, whatever the application asks.
            self.lookup, self.session_read = found, found.has_new_tokens
        except Exception as error:  # noqa: BLE001  as said above
            self.lookup = internal_error(error)

    async def look_up_nested(self, inner: ServedApp) -> None:
        """Look the session up by the limits of a nested application too, which the request has come to."""
        found = self.looked_up()  # the nested application may ask
        if isinstance(found, SessionLookup):
            steps = look_up_nested(inner.context, inner.provider, self.dated(found), self._asked(), now=inner.now())
            try:
                self.lookup = await arun(steps, inner.runtime_in(self.served))
            except Exception as error:  # noqa: BLE001  as in `look_up_ahead`
                self.lookup = internal_error(error)

    def _asked(self) -> str:
        return header_in(self._headers, b"cookie", "; ")

    @property
    def redirect_uri(self) -> RedirectURI | None:
        """The redirect URI of the host that was asked."""
        context = self.served.context
        return context.only_uri or context.redirect_uri_for(header_in(self._headers, b"host", ", "))

    unauthorized: Unauthorized | None = None
    """The own answers of a nested application."""

    resolver: AsyncRoles | None = None
    """The `roles` of a nested application."""

    nested: tuple[ServedApp, ...] = ()
    """The nested applications of the same client that the request has come through, whose limits apply too."""

    def known_roles(self) -> frozenset[str]:
        if self.roles is None:
            raise no_roles()
        return self.roles

    async def refusal_after_roles(self, requirement: LoginRequirement) -> Refusal | None:
        """As `refusal`. If the requirement has roles, the application is asked for those of the person."""
        if requirement.roles and self.roles is None and self.refusal() is None:
            found = await self.ask_for_roles(self.resolver)
            if isinstance(found, Refusal):
                return found
            self.roles = found
        return self.refusal(requirement)

    async def ask_for_roles(self, resolver: AsyncRoles | None) -> frozenset[str] | Refusal | None:
        """The roles of the person now, by the resolver or that of the outermost application; None without either."""
        resolver, user = resolver or self._door.roles, self.user()
        if resolver is None or not isinstance(user, User):
            return None
        try:
            found = resolver(user)
            return parse_roles(await found if inspect.isawaitable(found) else found)
        except XWMSError as error:  # such as that of an account which is blocked
            return self.refusal_for(error)

    async def load_account(self, linker: Linker[A], identity: Identity, session: object) -> A | Refusal:
        """Return the person's account, or the refusal to send instead. Loaded once."""
        steps = self.account_steps(linker, identity, session, call=call_async, cookie=self._asked())
        return await arun(steps, self.served.runtime)

    async def refresh_profile(self) -> User:
        """Ask XWMS about the user now, for the session and for the account: name, e-mail address, picture.

        Raises `LoginRequired` if nobody is signed in or the account is blocked, and an `APIError` if XWMS does not say
        who the user is. If the application does not catch them, the response is a login, or the error page.
        """
        application = DoorApplication(self.served.parts, call_async, lambda: self.scope, tell=tell_async)
        found = await arun(self.profile_steps(application, self._asked()), self.served.runtime)
        if isinstance(found, Refusal):
            raise self.refuse(found)
        return found

    def is_of(self, scope: Scope) -> bool:
        """Whether this is the state of the request that has this scope, or a copy of it."""
        return not self.finished and (scope is self.scope or is_with(self._headers, scope))

    def end(self) -> None:
        """The request has ended. What is kept of it does not lead back to it, so that it needs no garbage collector."""
        self.finished = True
        self.scope, self._send = ENDED_SCOPE, discard

    @property
    def sessions(self) -> AsyncXWMSSessions:
        """Lists and revokes sessions: `await request.auth.sessions.list(request.user.sub)`."""
        return self._door.sessions.seen_from(self._id, failed=self._fail)

    async def access_token(self) -> str:
        """Return the user's access token, for calls to XWMS on their behalf. It is refreshed before it expires.

        With `flow="oauth2"` only. Keep it out of pages and logs. Raises `LoginRequired` if there is none or XWMS no
        longer issues one, and an `APIError` if XWMS cannot be reached. If the application does not catch
        `LoginRequired`, the response is a login.
        """
        known, served = self.dated(self._look()), self.served
        try:
            steps = access_token(served.context, served.provider, known, self._asked(), now=served.now())
            found, token = await arun(steps, served.runtime)
            self.lookup = found
            if found.has_new_tokens and self._is_too_late:
                events.tokens_not_saved()
            if token is not None:
                return token.reveal()
            raise LoginRequired("the access token could not be refreshed, and the session has ended")
        except (LoginRequired, StoreUnavailable, ConfigError) as error:
            self._fail(error)
            raise

    @property
    def _is_too_late(self) -> bool:
        """Whether no cookie can be set any more."""
        return (self._started and self._held is None) or self.scope["type"] == "websocket"

    def _fail(self, error: XWMSError) -> None:
        """Note one of our errors that the application may not catch."""
        self._failure = error

    def _id(self) -> str | None:
        session = self.session()
        return session.id if session else None

    @property
    def scopes(self) -> list[str]:
        """For Starlette's `@requires`: `["authenticated"]` if a user is signed in, otherwise empty."""
        if self.session() is None:
            return []
        self.guarded = True
        return ["authenticated"]

    async def respond_instead(self, error: Exception) -> bool:
        """End a request whose application raised this error. False if the error is the server's to handle.

        One of our errors that the application did not catch becomes its response, also if the application raised
        another one while it handled ours.
        """
        failure = self._failure
        if failure is None:
            await self.release()
            return False
        if self._held is not None or not self._started:
            self._held = None
            await self.send({"type": "http.response.start", "status": 500})
        return self._send is discard and failure.is_behind(error)

    def request(self) -> Request:
        return request_of(self.scope, prefix=missing_prefix(self.scope, self.served.context), app=self._door.app)

    async def send_refusal(self, refused: Refusal, send: Send) -> None:
        """Send a refusal, or the application's own answer in its place."""
        answer = await self.own_answer(refused)
        if answer is None:
            await send_response(refused.response, send, reserved=self.reserved())
        else:
            await answer(self.scope, self._receive, never_stored(send))

    async def own_answer(self, refused: Refusal) -> ASGIApp | None:
        """Return the application's answer to a request that needs a login. None if it has none."""
        unauthorized = self.unauthorized or self._door.unauthorized
        if unauthorized is None or (problem := refused.problem) is None:
            return None
        answer = unauthorized(self.scope, problem)
        return await answer if inspect.isawaitable(answer) else answer

    def send(self, message: Message) -> Awaitable[None]:
        """The application's `send`: passes messages on, and adds cache headers if the session has been read.

        Not async: a coroutine for each chunk of each body would cost more than everything else here.
        """
        if self.is_passed_on:
            return self._send(message)
        if self._held is not None:
            return self._send_held(self._held, message)
        if message["type"] != "http.response.start":
            return self._send(message)
        return self._start(message)

    def _start(self, message: Message) -> Awaitable[None]:
        self._started = True
        if self._failure is not None and message["status"] >= 500:
            # The framework's response to our error, which the application did not catch.
            self._refuse_for(self._failure)
        if self.refused is not None:
            send, self._send = self._send, discard
            return self._send_instead(self.refused, send)
        if type(message.get("headers")) is not list:
            message = with_listed_headers(message)
        if self.token is not None:
            message = for_token(message)
        if self.session_read:
            return self._send_dependent(message)
        if not is_event_stream(message["headers"]):
            # Until the first chunk of the body, since producing it may read the session. ASGI lets servers wait for it
            # too. A copy, because the application may use the list again.
            self._held = {**message, "headers": message["headers"].copy()}
            return discard(message)
        self.is_passed_on = True
        return self._send(message)

    async def _send_instead(self, refused: Refusal, send: Send) -> None:
        if isinstance(self.lookup, SessionLookup) and self.lookup.has_new_tokens:
            cookie = await self._renewed(self.lookup)
            if cookie is not None:
                edit = cache_headers.Edit(frozenset(), [("Set-Cookie", cookie)])
                send = editing(send, lambda _: edit)
        await self.send_refusal(refused, send)

    def _send_held(self, held: Message, message: Message) -> Awaitable[None]:
        if self.refused is not None:
            self._held = None
            send, self._send = self._send, discard
            return self._send_instead(self.refused, send)
        if message["type"] == "http.response.body" and not message.get("body") and message.get("more_body"):
            # The application sends its headers ahead, and may still read the session: the response may depend on it.
            with suppress(XWMSError):
                self.session()
        return self._send_both(held, message)

    async def _send_both(self, held: Message, message: Message) -> None:
        await self._release_held(held)
        await self._send(message)

    async def release(self) -> None:
        """Send the start of a response that was held back."""
        if self._held is not None:
            await self._release_held(self._held)

    def _release_held(self, start: Message) -> Awaitable[None]:
        self._held, self.is_passed_on = None, True
        return self._send_dependent(start) if self.session_read else self._send(start)

    def _send_dependent(self, start: Message) -> Awaitable[None]:
        self.is_passed_on = True
        found, headers = self.lookup, start["headers"]
        if not isinstance(found, SessionLookup):
            return self._send(edited(start, cache_headers.for_unknown_session(decoded(headers))))
        session = found.session
        if found.handle is not None and session is not None:
            return self._send_merged(start, found)
        dependent = usual(headers, signed_in=session is not None or self.guarded)
        return self._send_merged(start, found) if dependent is None else self._send({**start, "headers": dependent})

    async def _send_merged(self, start: Message, found: SessionLookup) -> None:
        headers, cookie = list(decoded(start.get("headers", ()))), None
        if found.handle is not None:
            cookie = await self._renewed(found, is_shared=not self.guarded and cache_headers.is_shared(headers))
        signed_in = found.session is not None
        edit = cache_headers.for_session(headers, signed_in=signed_in, guarded=self.guarded, cookie=cookie)
        await self._send(edited(start, edit))

    async def _renewed(self, found: SessionLookup, *, is_shared: bool = False) -> str | None:
        """Renew the session if that is due. Return the Set-Cookie value that the response has to carry."""
        served, scope = self.served, self.scope
        passive = self.passive or is_passive(
            header_of(scope, b"xwms-passive", ","), header_of(scope, b"sec-fetch-site", ",") or None
        )
        steps = renew(served.context, found, now=served.now(), is_passive=passive, is_shared=is_shared)
        return await arun(steps, served.runtime)


def request_state_of(scope: Scope) -> ASGIRequestState:
    """Return the state of a request, from its scope."""
    request_state = find_request_state(scope)
    if request_state is None:
        raise RuntimeError("XWMSAuthMiddleware is not installed in this application")
    return request_state


def find_request_state(scope: Scope) -> ASGIRequestState | None:
    """Return the state of a request, or None if it has not come through our middleware."""
    request_state: object = scope.get("auth")
    if isinstance(request_state, ASGIRequestState):
        return request_state
    # Another middleware has its own `scope["auth"]`, as Starlette's AuthenticationMiddleware does. A key of ours beside
    # it would make most scopes grow, which costs more than all that is done with it.
    request_state = current_request_state.get(None)
    return request_state if isinstance(request_state, ASGIRequestState) and request_state.is_of(scope) else None
