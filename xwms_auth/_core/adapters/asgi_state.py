"""One request of an ASGI application: who is signed in, and the headers of a response that depends on it.

Knows: the messages between an application and its server.
Must not: import a framework.
"""

from collections.abc import Awaitable
from contextvars import ContextVar
from typing import Any, cast

from ..base.errors import ConfigError, LoginRequired, StoreUnavailable, XWMSError
from ..base.model_guards import in_debug_mode
from ..base.models import USER_FIELDS, AccessToken, Anonymous, Session, User, anonymous
from ..http.messages import Request, Response
from ..io.runner import arun
from ..io.session_manager import AsyncXWMSSessions
from ..responses import cache_headers
from ..sessions.lookup import SessionLookup, renew
from ..sessions.token_refresh import access_token
from .asgi import ASGIApp, Message, Scope, Send, decoded, encoded, header_of, request_of, send_response
from .request_state import RequestState
from .served_app import ServedApp


def _is_streamed(start: Message) -> bool:
    headers = start.get("headers", ())
    return not any(name == b"content-length" for name, _ in headers) and cache_headers.is_streamed(decoded(headers))


# Nearly every answer has neither of these, and then gets the same marks.
_NAMED = frozenset((b"vary", b"cache-control"))
_HEADERS = {who: encoded(cache_headers.headers_for_session((), signed_in=who, cookie=None)) for who in (True, False)}


class ASGIRequestState(RequestState[SessionLookup | XWMSError]):
    """Looked up by the middleware; the response depends on it from when somebody asks.

    It is `scope["auth"]` too, and stands between the application's `send` and the server's.
    """

    __slots__ = (
        "_app",
        "_begun",
        "_failure",
        "_held",
        "_send",
        "_sessions",
        "over",
        "response",
        "scope",
        "token",
        "touched",
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
        self.touched = False
        self.over = False
        self._app = app
        self._begun = False
        self._failure: XWMSError | None = None
        self.response: Response | None = None
        """Set by whoever refuses from inside the application; it then takes the place of the application's response."""
        self.token: AccessToken | None = None
        """The access token that the request was let through with; `request.auth.token`. Nothing of the session."""
        self._send = send
        self._sessions = sessions
        self._held: Message | None = None

    def session(self) -> Session | None:
        self.touched = True
        if isinstance(self.lookup, XWMSError):
            self._failure = self.lookup
            raise self.lookup
        return self.lookup.session

    def user(self) -> User | Anonymous:
        """The person, or the anonymous one."""
        session, ended = self.session_or_reason()
        return session.user if session else anonymous(ended)

    @property
    def sessions(self) -> AsyncXWMSSessions:
        """Lists and ends people's sessions: `await request.auth.sessions.list(request.user.sub)`."""
        return self._sessions.seen_from(self._id, failed=self._fail)

    async def access_token(self) -> str:
        """The access token of this request's person, refreshed ahead of its end: for calls to XWMS in their name.

        With `flow="oauth2"` only. Keep it out of pages and logs. Raises `LoginRequired` where there is none, or XWMS
        no longer gives one, and an `APIError` where XWMS cannot be asked; an application that does not catch the first
        answers with a login.
        """
        self.session()
        try:
            if isinstance(self.lookup, SessionLookup):
                served, cookie = self.served, header_of(self.scope, b"cookie", "; ")
                steps = access_token(served.context, served.provider, self.lookup, cookie, now=served.now())
                self.lookup, token = await arun(steps, served.runtime)
                if token is not None:
                    return token.reveal()
            raise LoginRequired("the access token could not be refreshed, and the session has ended")
        except (LoginRequired, StoreUnavailable, ConfigError) as error:
            self._fail(error)
            raise

    def _fail(self, error: XWMSError) -> None:
        """An error of ours is on its way through the application, which may not catch it."""
        self._failure = error

    def _id(self) -> str | None:
        session = self.session()
        return session.id if session else None

    @property
    def scopes(self) -> list[str]:
        """What Starlette's `@requires` looks at: `["authenticated"]` for a person, nothing for nobody."""
        return ["authenticated"] if self.session() else []

    async def respond_instead(self, error: XWMSError) -> bool:
        """Answer for an application that did not catch our own error. False if it has its own answer."""
        if error is not self._failure:
            return False
        if not self._begun or self._held is not None:
            self._held = None
            await self.send({"type": "http.response.start", "status": 500, "headers": []})
        return self.response is not None

    def request(self) -> Request:
        return request_of(self.scope, app=self._app)

    @property
    def debug(self) -> bool:
        """Whether the application is in debug mode now."""
        return self.request().debug

    def send(self, message: Message) -> Awaitable[None]:
        """The application's `send`: passes everything on, and marks the answer's head if somebody asked.

        Plain where it can be: a coroutine for every piece of every body would cost more than all the rest.
        """
        if message["type"] != "http.response.start":
            return self._send(message) if self._held is None else self._send_held(message)
        self._begun = True
        if self._failure is not None and message["status"] >= 500:
            # What a framework makes of our error when the application does not catch it.
            self.response = self.response_to(self._failure)
        if self.response is not None:
            send, self._send = self._send, _nowhere
            return send_response(self.response, send)
        if self.token is not None:
            said = message.get("headers", ())
            message = {**message, "headers": [*said, *encoded(cache_headers.headers_for_token(decoded(said)))]}
        if self.touched:
            return self._send_dependent(message)
        if _is_streamed(message):
            self._held = message  # until the first piece of the body shows whether making it asks
            return _nowhere(message)
        return self._send(message)

    async def _send_held(self, message: Message) -> None:
        if message["type"] == "http.response.body" and not message.get("body") and message.get("more_body"):
            return  # nothing to send yet, and the next piece may still ask
        if self._held is not None:
            start, self._held = self._held, None
            await (self._send_dependent(start) if self.touched else self._send(start))
        await self._send(message)

    def _send_dependent(self, start: Message) -> Awaitable[None]:
        known, headers = self.lookup, start.get("headers", ())
        if isinstance(known, XWMSError):
            return self._send(
                {**start, "headers": [*headers, *encoded(cache_headers.headers_for_unknown_session(decoded(headers)))]}
            )
        if known.handle is not None:
            return self._send_checked(start, known)
        for name, _ in headers:
            if name.lower() in _NAMED:
                return self._send_checked(start, known)
        return self._send({**start, "headers": [*headers, *_HEADERS[known.session is not None]]})

    async def _send_checked(self, start: Message, known: SessionLookup) -> None:
        said, cookie = list(decoded(start.get("headers", ()))), None
        if known.handle is not None and cache_headers.may_set_cookie(said):
            served = self.served
            cookie = await arun(renew(served.context, known, now=served.now()), served.runtime)
        added = cache_headers.headers_for_session(said, signed_in=known.session is not None, cookie=cookie)
        await self._send({**start, "headers": [*start.get("headers", ()), *encoded(added)]})


async def _nowhere(message: Message) -> None:
    """Where the rest of an answer goes that was replaced."""


def _same(user: User | Anonymous) -> User | Anonymous:
    return user


class LazyUser:
    """`scope["user"]`: behaves as the `User` or `Anonymous` of the request, and notes that somebody asked."""

    __slots__ = ("_request_state",)
    __dataclass_fields__ = User.__dataclass_fields__  # so that `asdict()`, and FastAPI by it, can write one

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
        # `type` and not `isinstance`, which would be told the class of the person.
        theirs = cast("LazyUser", other)._request_state.user() if issubclass(type(other), LazyUser) else other
        return self._request_state.user() == theirs

    def __bool__(self) -> bool:
        return bool(self._request_state.user())

    def __hash__(self) -> int:
        return hash(self._request_state.user())

    def __repr__(self) -> str:
        return repr(self._request_state.user())

    def __reduce_ex__(self, protocol: object) -> Any:
        # A copy is a copy of the person, which may be kept when the request is over.
        return (_same, (self._request_state.user(),))


def _passed_on(name: str) -> property:
    def read(lazy: LazyUser) -> Any:
        return getattr(lazy._request_state.user(), name)  # pyright: ignore[reportPrivateUsage]  a part of the class above

    return property(read)


# What is asked for most; the same as `__getattr__` would find, in half the time.
for _name in (*USER_FIELDS, "is_authenticated", "is_anonymous", "is_active", "display_name", "identity", "signed_out"):
    setattr(LazyUser, _name, _passed_on(_name))

current_request_state: ContextVar[ASGIRequestState] = ContextVar("xwms_auth_seat")
"""The seat of the request being served."""


def _in_debug_mode() -> bool:
    request_state = current_request_state.get(None)
    return request_state is not None and not request_state.over and request_state.debug


in_debug_mode.append(_in_debug_mode)


def request_state_of(scope: Scope) -> ASGIRequestState:
    """The seat of a request, from its scope."""
    request_state = scope.get("xwms_auth")
    if not isinstance(request_state, ASGIRequestState):
        raise RuntimeError("XWMSAuthMiddleware is not around this application")
    return request_state


class CurrentUserProxy(LazyUser):
    """`current_user`: the person of the request being served; `current_user(request)` says it of any request."""

    __slots__ = ()

    def __init__(self) -> None:
        pass

    @property
    def _request_state(self) -> ASGIRequestState:  # type: ignore[override]  # looked up anew each time, where LazyUser keeps one
        request_state = current_request_state.get(None)
        # A task that outlives the request it was started in must not go on as that request's person.
        if request_state is None or request_state.over:
            raise RuntimeError("current_user is used outside a request, or without XWMSAuthMiddleware")
        return request_state

    def __call__(self, connection: Any) -> User | Anonymous:
        """The person of this request or websocket: a plain object that may be kept."""
        return request_state_of(connection.scope).user()
