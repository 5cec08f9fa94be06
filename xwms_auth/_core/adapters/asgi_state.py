"""The state of an ASGI request: its session, and the cache headers of a response that depends on it."""

import inspect
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ..base import events
from ..base.effects import arun
from ..base.errors import ConfigError, LoginRequired, StoreUnavailable, XWMSError
from ..base.models import AccessToken
from ..base.session import Session
from ..http.fetch_metadata import is_passive
from ..http.messages import Request
from ..io.session_manager import AsyncXWMSSessions
from ..responses import cache_headers
from ..responses.responses import Refusal
from ..sessions.lookup import SessionLookup, renew
from ..sessions.token_refresh import access_token
from .asgi import (
    ASGIApp,
    Message,
    Receive,
    Scope,
    Send,
    close_of,
    decoded,
    encoded,
    header_of,
    is_server_error,
    missing_prefix,
    request_of,
    send_response,
)
from .request_state import RequestState
from .served_app import ServedApp

Unauthorized = Callable[[Scope, dict[str, object]], ASGIApp | None | Awaitable[ASGIApp | None]]
"""The application's own answer to a request that needs a login, as an ASGI application; None for ours."""


def _with_listed_headers(start: Message) -> Message:
    """The message, with headers that can be read more than once: ASGI allows any iterable, so also a generator.

    Lost headers: Sanic passes a generator, and whoever reads it leaves nothing for the server.
    """
    headers = start.get("headers", ())
    return start if isinstance(headers, (list, tuple)) else {**start, "headers": list(headers)}


# Most responses have no header about caches, and then get the same ones, encoded once.
_CACHE_HEADERS = tuple(ending.encode() for ending in cache_headers.NAME_ENDINGS)
_USUAL_HEADERS = {
    signed_in: encoded(cache_headers.for_session((), signed_in=signed_in).added) for signed_in in (True, False)
}
_USUAL_TOKEN_HEADERS = encoded(cache_headers.for_token(()).added)


def _for_token(start: Message) -> Message:
    headers = start.get("headers", ())
    for name, _ in headers:
        if name.lower().endswith(_CACHE_HEADERS):
            return _edited(start, cache_headers.for_token(list(decoded(headers))))
    return {**start, "headers": [*headers, *_USUAL_TOKEN_HEADERS]}


def _edited(start: Message, edit: cache_headers.Edit) -> Message:
    return {**start, "headers": [*edit.kept(start.get("headers", ())), *encoded(edit.added)]}


class ASGIRequestState(RequestState[SessionLookup | XWMSError]):
    """The middleware looks the session up; once it has been read, the response depends on it.

    Also `scope["auth"]`, and the `send` that the application gets.
    """

    __slots__ = (
        "_app",
        "_held",
        "_receive",
        "_send",
        "_sessions",
        "_started",
        "scope",
        "session_read",
        "token",
        "unauthorized",
    )

    def __init__(
        self,
        served: ServedApp,
        scope: Scope,
        lookup: SessionLookup | XWMSError,
        receive: Receive,
        send: Send,
        *,
        app: ASGIApp,
        sessions: AsyncXWMSSessions,
        unauthorized: Unauthorized | None,
    ) -> None:
        self.served = served
        self.scope = scope
        self.lookup = lookup
        # New tokens have to reach the browser, whatever the application asks.
        self.session_read = isinstance(lookup, SessionLookup) and lookup.has_new_tokens
        """Whether the response depends on the session."""
        self.guarded = self.passive = False
        self.finished = False
        self._app = app
        self._started = False
        self._failure: XWMSError | None = None
        self.refused: Refusal | None = None
        self.unauthorized = unauthorized
        self.token: AccessToken | None = None
        """The access token that authenticated the request: `request.auth.token`. It is independent of the session."""
        self._receive = receive
        self._send = send
        self._sessions = sessions
        self._held: Message | None = None

    def session(self) -> Session | None:
        self.session_read = True
        if isinstance(self.lookup, XWMSError):
            self._failure = self.lookup
            raise self.lookup
        return self.lookup.session

    @property
    def sessions(self) -> AsyncXWMSSessions:
        """Lists and revokes sessions: `await request.auth.sessions.list(request.user.sub)`."""
        return self._sessions.seen_from(self._id, failed=self._fail)

    async def access_token(self) -> str:
        """Return the user's access token, for calls to XWMS on their behalf. It is refreshed before it expires.

        With `flow="oauth2"` only. Keep it out of pages and logs. Raises `LoginRequired` if there is none or XWMS no
        longer issues one, and an `APIError` if XWMS cannot be reached. If the application does not catch
        `LoginRequired`, the response is a login.
        """
        self.session()
        try:
            if isinstance(self.lookup, SessionLookup):
                served, cookie = self.served, header_of(self.scope, b"cookie", "; ")
                steps = access_token(served.context, served.provider, self.lookup, cookie, now=served.now())
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

        One of our errors that the application did not catch becomes its response, or closes the websocket, also if the
        application raised another one while it handled ours.
        """
        failure = self._failure
        if failure is None:
            await self.release()
            return False
        if self.scope["type"] == "websocket":
            if not self._started:
                self._refuse_for(failure)
                send, self._send = self._send, _discard
                with suppress(RuntimeError, OSError):  # the visitor has gone
                    await send(close_of(failure.code))
        elif self._held is not None or not self._started:
            self._held = None
            await self.send({"type": "http.response.start", "status": 500, "headers": []})
        return self._send is _discard and failure.is_behind(error)

    def request(self) -> Request:
        return request_of(self.scope, prefix=missing_prefix(self.scope, self.served.context), app=self._app)

    @property
    def debug(self) -> bool:
        """Whether the application is in debug mode."""
        return self.request().debug

    async def send_refusal(self, refused: Refusal, send: Send) -> None:
        """Send a refusal, or the application's own answer in its place."""
        answer = await self.own_answer(refused)
        if answer is None:
            await send_response(refused.response, send, reserved=self.reserved())
        else:
            await answer(self.scope, self._receive, never_stored(send))

    async def own_answer(self, refused: Refusal) -> ASGIApp | None:
        """Return the application's answer to a request that needs a login. None if it has none."""
        if self.unauthorized is None or (problem := refused.problem) is None:
            return None
        answer = self.unauthorized(self.scope, problem)
        return await answer if inspect.isawaitable(answer) else answer

    def send_to_websocket(self, message: Message) -> Awaitable[None]:
        """The application's `send` for a websocket."""
        if message["type"] in ("websocket.close", "websocket.http.response.start"):
            self._started = True
            if self._failure is not None and is_server_error(message):
                # The framework's answer to our error, which the application did not catch.
                self._refuse_for(self._failure)
        if self.refused is not None and self._send is not _discard:
            self._started = True
            send, self._send = self._send, _discard
            return send(close_of(self.refused.code))
        return self._send(message)

    def send(self, message: Message) -> Awaitable[None]:
        """The application's `send`: passes messages on, and adds cache headers if the session has been read.

        Not async: a coroutine for each chunk of each body would cost more than everything else here.
        """
        if message["type"] != "http.response.start" or self._held is not None:
            return self._send(message) if self._held is None else self._send_held(message)
        self._started = True
        if self._failure is not None and message["status"] >= 500:
            # The framework's response to our error, which the application did not catch.
            self._refuse_for(self._failure)
        if self.refused is not None:
            send, self._send = self._send, _discard
            return self._send_instead(self.refused, send)
        message = _with_listed_headers(message)
        if self.token is not None:
            message = _for_token(message)
        if self.session_read:
            return self._send_dependent(message)
        if cache_headers.is_streamed(decoded(message.get("headers", ()))):
            # Until the first chunk of the body, since producing it may read the session. ASGI lets servers wait for it
            # too. A copy, because the application may use the list again.
            self._held = {**message, "headers": list(message.get("headers", ()))}
            return _discard(message)
        return self._send(message)

    async def _send_instead(self, refused: Refusal, send: Send) -> None:
        if isinstance(self.lookup, SessionLookup) and self.lookup.has_new_tokens:
            cookie = await self._renewed(self.lookup)
            if cookie is not None:
                edit = cache_headers.Edit(frozenset(), [("Set-Cookie", cookie)])
                send = _editing(send, lambda _: edit)
        await self.send_refusal(refused, send)

    async def _send_held(self, message: Message) -> None:
        if self.refused is not None:
            self._held = None
            send, self._send = self._send, _discard
            await self._send_instead(self.refused, send)
            return
        if message["type"] == "http.response.body" and not message.get("body") and message.get("more_body"):
            # The application sends its headers ahead, and may still read the session: the response may depend on it.
            self.session_read = True
        await self.release()
        await self._send(message)

    async def release(self) -> None:
        """Send the start of a response that was held back, and close a refused websocket that was left open."""
        if self._held is not None:
            start, self._held = self._held, None
            await (self._send_dependent(start) if self.session_read else self._send(start))
        elif self.refused is not None and self.scope["type"] == "websocket" and self._send is not _discard:
            with suppress(RuntimeError, OSError):  # the visitor has gone, or the application has closed it
                await self.send_to_websocket(close_of(self.refused.code))

    def _send_dependent(self, start: Message) -> Awaitable[None]:
        found, headers = self.lookup, start.get("headers", ())
        if isinstance(found, XWMSError):
            return self._send(_edited(start, cache_headers.for_unknown_session(decoded(headers))))
        if found.handle is not None:
            return self._send_merged(start, found)
        for name, _ in headers:
            if name.lower().endswith(_CACHE_HEADERS):
                return self._send_merged(start, found)
        return self._send({**start, "headers": [*headers, *_USUAL_HEADERS[found.session is not None]]})

    async def _send_merged(self, start: Message, found: SessionLookup) -> None:
        headers, cookie = list(decoded(start.get("headers", ()))), None
        if found.handle is not None:
            cookie = await self._renewed(found, is_shared=not self.guarded and cache_headers.is_shared(headers))
        signed_in = found.session is not None
        edit = cache_headers.for_session(headers, signed_in=signed_in, guarded=self.guarded, cookie=cookie)
        await self._send(_edited(start, edit))

    async def _renewed(self, found: SessionLookup, *, is_shared: bool = False) -> str | None:
        """Renew the session if that is due. Return the Set-Cookie value that the response has to carry."""
        served, scope = self.served, self.scope
        passive = self.passive or is_passive(
            header_of(scope, b"xwms-passive", ","), header_of(scope, b"sec-fetch-site", ",") or None
        )
        steps = renew(served.context, found, now=served.now(), is_passive=passive, is_shared=is_shared)
        return await arun(steps, served.runtime)


async def _discard(message: Message) -> None:
    """Takes a message that is not sent now, or not at all because the response was replaced."""


def never_stored(send: Send) -> Send:
    """A `send` for an answer that the application gives in place of a refusal."""
    return _editing(send, cache_headers.for_unknown_session)


def _editing(send: Send, edit_for: Callable[[cache_headers.Headers], cache_headers.Edit]) -> Send:
    async def send_edited(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = _with_listed_headers(message)
            message = _edited(message, edit_for(decoded(message.get("headers", ()))))
        await send(message)

    return send_edited


def request_state_of(scope: Scope) -> ASGIRequestState:
    """Return the state of a request, from its scope."""
    request_state = scope.get("xwms_auth")
    if not isinstance(request_state, ASGIRequestState):
        raise RuntimeError("XWMSAuthMiddleware is not installed in this application")
    return request_state
