"""The state of an ASGI request: its session, and the cache headers of a response that depends on it."""

from collections.abc import Awaitable
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, cast

from ..base import events
from ..base.effects import arun
from ..base.errors import ConfigError, LoginRequired, StoreUnavailable, XWMSError
from ..base.models import USER_FIELDS, AccessToken, Anonymous, User, anonymous
from ..base.output_only import in_debug_mode
from ..base.session import Session
from ..http.fetch_metadata import is_passive
from ..http.messages import Request, Response
from ..io.session_manager import AsyncXWMSSessions
from ..responses import cache_headers
from ..sessions.lookup import SessionLookup, renew
from ..sessions.token_refresh import access_token
from .asgi import ASGIApp, Message, Scope, Send, decoded, encoded, header_of, request_of, send_response
from .request_state import RequestState
from .served_app import ServedApp

# Most responses have none of these headers, and then get the same ones. The endings of all that concern caches.
_CACHE_HEADERS = (b"vary", b"-control", b"x-accel-expires")
_USUAL_HEADERS = {
    signed_in: encoded(cache_headers.for_session((), signed_in=signed_in).added) for signed_in in (True, False)
}


def _edited(start: Message, edit: cache_headers.Edit) -> Message:
    return {**start, "headers": [*edit.kept(start.get("headers", ())), *encoded(edit.added)]}


class ASGIRequestState(RequestState[SessionLookup | XWMSError]):
    """The middleware looks the session up; once it has been read, the response depends on it.

    Also `scope["auth"]`, and the `send` that the application gets.
    """

    __slots__ = (
        "_app",
        "_failure",
        "_held",
        "_send",
        "_sessions",
        "_started",
        "finished",
        "response",
        "scope",
        "session_read",
        "token",
    )

    def __init__(
        self,
        served: ServedApp,
        scope: Scope,
        lookup: SessionLookup | XWMSError,
        send: Send,
        *,
        app: ASGIApp,
        sessions: AsyncXWMSSessions,
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
        self.response: Response | None = None
        """If a guard inside the application sets it, it is sent in place of the application's response."""
        self.token: AccessToken | None = None
        """The access token that authenticated the request: `request.auth.token`. It is independent of the session."""
        self._send = send
        self._sessions = sessions
        self._held: Message | None = None

    def session(self) -> Session | None:
        self.session_read = True
        if isinstance(self.lookup, XWMSError):
            self._failure = self.lookup
            raise self.lookup
        return self.lookup.session

    def user(self) -> User | Anonymous:
        """Return the user, or an anonymous one."""
        session, ended = self.session_or_reason()
        return session.user if session else anonymous(ended)

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

    async def respond_instead(self, error: XWMSError) -> bool:
        """Send the response for one of our errors that the application did not catch. False if it has sent its own."""
        if error is not self._failure:
            return False
        if not self._started or self._held is not None:
            self._held = None
            await self.send({"type": "http.response.start", "status": 500, "headers": []})
        return self.response is not None

    def request(self) -> Request:
        return request_of(self.scope, app=self._app)

    @property
    def debug(self) -> bool:
        """Whether the application is in debug mode."""
        return self.request().debug

    def send(self, message: Message) -> Awaitable[None]:
        """The application's `send`: passes messages on, and adds cache headers if the session has been read.

        Not async: a coroutine for each chunk of each body would cost more than everything else here.
        """
        if message["type"] != "http.response.start":
            return self._send(message) if self._held is None else self._send_held(message)
        self._started = True
        if self._failure is not None and message["status"] >= 500:
            # The framework's response to our error, which the application did not catch.
            self.response = self.response_to(self._failure)
        if self.response is not None:
            send, self._send = self._send, _discard
            return self._send_instead(self.response, send)
        if self.token is not None:
            message = _edited(message, cache_headers.for_token(decoded(message.get("headers", ()))))
        if self.session_read:
            return self._send_dependent(message)
        if cache_headers.is_streamed(decoded(message.get("headers", ()))):
            self._held = message  # until the first chunk of the body, since producing it may read the session
            return _discard(message)
        return self._send(message)

    async def _send_instead(self, response: Response, send: Send) -> None:
        if isinstance(self.lookup, SessionLookup) and self.lookup.has_new_tokens:
            cookie = await self._renewed(self.lookup)
            response = response if cookie is None else replace(response, cookies=(*response.cookies, cookie))
        await send_response(response, send)

    async def _send_held(self, message: Message) -> None:
        if message["type"] == "http.response.body" and not message.get("body") and message.get("more_body"):
            return  # nothing to send yet, and the next chunk may still read the session
        if self._held is not None:
            start, self._held = self._held, None
            await (self._send_dependent(start) if self.session_read else self._send(start))
        await self._send(message)

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


def _same(user: User | Anonymous) -> User | Anonymous:
    return user


class LazyUser:
    """`scope["user"]`: behaves like the `User` or `Anonymous` of the request. Once read, the response depends on it."""

    __slots__ = ("_request_state",)
    __dataclass_fields__ = User.__dataclass_fields__  # for `asdict()`, which FastAPI uses to serialize it

    def __init__(self, request_state: ASGIRequestState) -> None:
        self._request_state = request_state

    def __getattr__(self, name: str) -> Any:
        return getattr(self._request_state.user(), name)

    @property
    def __class__(self) -> type:  # so that isinstance() tells a User from an Anonymous
        return type(self._request_state.user())

    @__class__.setter
    def __class__(self, value: type) -> None:
        raise TypeError("the class of a user cannot be changed")

    def __eq__(self, other: object) -> bool:
        # `type` and not `isinstance`, which would use the class of the user.
        theirs = cast("LazyUser", other)._request_state.user() if issubclass(type(other), LazyUser) else other
        return self._request_state.user() == theirs

    def __bool__(self) -> bool:
        return bool(self._request_state.user())

    def __hash__(self) -> int:
        return hash(self._request_state.user())

    def __repr__(self) -> str:
        return repr(self._request_state.user())

    def __reduce_ex__(self, protocol: object) -> Any:
        # A copy is a copy of the user, which may be kept after the request.
        return (_same, (self._request_state.user(),))


def _forwarded(name: str) -> property:
    def read(lazy: LazyUser) -> Any:
        return getattr(lazy._request_state.user(), name)  # pyright: ignore[reportPrivateUsage]  a part of the class above

    return property(read)


# The most used attributes: the same values as from `__getattr__`, in half the time.
for _name in (*USER_FIELDS, "is_authenticated", "is_anonymous", "is_active", "display_name", "identity", "signed_out"):
    setattr(LazyUser, _name, _forwarded(_name))

current_request_state: ContextVar[ASGIRequestState] = ContextVar("xwms_auth_request_state")
"""The state of the current request."""


def _in_debug_mode() -> bool:
    request_state = current_request_state.get(None)
    return request_state is not None and not request_state.finished and request_state.debug


in_debug_mode.append(_in_debug_mode)


def request_state_of(scope: Scope) -> ASGIRequestState:
    """Return the state of a request, from its scope."""
    request_state = scope.get("xwms_auth")
    if not isinstance(request_state, ASGIRequestState):
        raise RuntimeError("XWMSAuthMiddleware is not installed in this application")
    return request_state


class CurrentUserProxy(LazyUser):
    """`current_user`: the user of the current request; `current_user(request)` returns that of any request."""

    __slots__ = ()

    def __init__(self) -> None:
        pass

    @property
    def _request_state(self) -> ASGIRequestState:  # type: ignore[override]  # looked up each time, where LazyUser keeps one
        request_state = current_request_state.get(None)
        # A task that outlives its request must not keep acting as the user of that request.
        if request_state is None or request_state.finished:
            raise RuntimeError("current_user is used outside a request, or without XWMSAuthMiddleware")
        return request_state

    def __call__(self, connection: Any) -> User | Anonymous:
        """Return the user of this request or websocket, as a plain object that may be kept."""
        return request_state_of(connection.scope).user()
