"""One request of an ASGI application: who sits there, whether anybody asked, what to answer instead.

Knows: how an answer is marked that depends on the person.
Must not: look a session up; the middleware has done so.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar, cast

from ..base.effects import Steps
from ..base.errors import ConfigError, LoginRequired, StoreUnavailable, XWMSError
from ..base.lifetimes import ANY_LOGIN, LoginRequirement
from ..base.model_guards import in_debug_mode
from ..base.models import USER_FIELDS, AccessToken, Anonymous, EndReason, Session, User, anonymous
from ..config.context import Context
from ..http.messages import Request, Response
from ..io.session_manager import AsyncXWMSSessions
from ..responses import access_control, cache_headers
from ..responses.cache_headers import headers_for_token
from ..sessions import lookup
from .asgi import ASGIApp, Message, Scope, Send, decoded, encoded, request_of, send_response

T = TypeVar("T")


class Served(Protocol):
    """What a seat asks of the middleware."""

    context: Context
    app: ASGIApp

    def now(self) -> int:
        """Whole seconds since 1970."""
        ...

    async def run_steps(self, steps: Steps[T]) -> T:
        """Play a story that an endpoint asks for."""
        ...

    async def renew(self, visit: lookup.SessionLookup) -> str | None:
        """The Set-Cookie value that an answer during this visit should carry, or None."""
        ...

    async def access_token(self, visit: lookup.SessionLookup, scope: Scope) -> tuple[lookup.SessionLookup, str | None]:
        """The access token of a visit, and the visit as it is from then on."""
        ...

    def sessions_for(
        self, current: Callable[[], str | None], *, failed: Callable[[XWMSError], object] | None = None
    ) -> AsyncXWMSSessions:
        """The sessions as somebody sees them whose own session has the id that `current` gives."""
        ...


def _is_made_later(start: Message) -> bool:
    headers = start.get("headers", ())
    return not any(name == b"content-length" for name, _ in headers) and cache_headers.is_streamed(decoded(headers))


# Nearly every answer has neither of these, and then gets the same marks.
_JUDGED = frozenset((b"vary", b"cache-control"))
_MARKS = {who: encoded(cache_headers.headers_for_session((), signed_in=who, cookie=None)) for who in (True, False)}


class RequestState:
    """What the middleware knows about one request: who sits there, whether anybody asked, what to answer instead.

    It is `scope["auth"]` too, and stands between the application's `send` and the server's.
    """

    __slots__ = (
        "_begun",
        "_failure",
        "_held",
        "_send",
        "answer",
        "over",
        "scope",
        "served",
        "token",
        "touched",
        "visited",
    )

    def __init__(self, served: Served, scope: Scope, visit: lookup.SessionLookup | XWMSError, send: Send) -> None:
        self.served = served
        self.scope = scope
        self.touched = False
        self.over = False
        self._begun = False
        self._failure: XWMSError | None = None
        self.answer: Response | None = None
        """Set by whoever refuses from inside the application; it then takes the place of the application's answer."""
        self.token: AccessToken | None = None
        """The access token that the request was let through with; `request.auth.token`. Nothing of the session."""
        self.visited = visit
        """What the session cookie tells, or why nobody could be asked. A middleware further in may make it less."""
        self._send = send
        self._held: Message | None = None

    def session(self) -> Session | None:
        """The session, which the answer now depends on. Raises `StoreUnavailable` if it could not be looked up."""
        self.touched = True
        if isinstance(self.visited, XWMSError):
            self._failure = self.visited
            raise self.visited
        return self.visited.session

    def user(self) -> User | Anonymous:
        """The person, or the anonymous one."""
        session, ended = self.visit()
        return session.user if session else anonymous(ended)

    def visit(self) -> tuple[Session | None, EndReason | None]:
        """The session, or why there no longer is one."""
        session = self.session()
        return session, None if isinstance(self.visited, XWMSError) else self.visited.ended

    @property
    def sessions(self) -> AsyncXWMSSessions:
        """Lists and ends people's sessions: `await request.auth.sessions.list(request.user.sub)`."""
        return self.served.sessions_for(self._id, failed=self._fail)

    async def access_token(self) -> str:
        """The access token of this request's person, refreshed ahead of its end: for calls to XWMS in their name.

        With `flow="oauth2"` only. Keep it out of pages and logs. Raises `LoginRequired` where there is none, or XWMS
        no longer gives one, and an `APIError` where XWMS cannot be asked; an application that does not catch the first
        answers with a login.
        """
        self.session()
        try:
            if isinstance(self.visited, lookup.SessionLookup):
                self.visited, token = await self.served.access_token(self.visited, self.scope)
                if token is not None:
                    return token
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

    def refusal(self, requirement: LoginRequirement = ANY_LOGIN) -> Response | None:
        """What to answer instead of something that needs a person: None if there is one, with a login as demanded."""
        config, now = self.served.context.config, self.served.now()
        return access_control.unless_signed_in(config, self.visit, self._asked, requirement=requirement, now=now)

    async def answer_instead(self, error: XWMSError) -> bool:
        """Answer for an application that did not catch our own error. False if it has its own answer."""
        if error is not self._failure:
            return False
        if not self._begun or self._held is not None:
            self._held = None
            await self.send({"type": "http.response.start", "status": 500, "headers": []})
        return self.answer is not None

    def _response_to(self, error: XWMSError) -> Response:
        visit = lookup.NO_SESSION if isinstance(self.visited, XWMSError) else self.visited
        config, now = self.served.context.config, self.served.now()
        return access_control.for_failure(
            config, self._asked(), error, session=visit.session, ended=visit.ended, now=now
        )

    def _asked(self) -> Request:
        return request_of(self.scope, app=self.served.app)

    @property
    def debug(self) -> bool:
        """Whether the application is in debug mode now."""
        return self._asked().debug

    def send(self, message: Message) -> Awaitable[None]:
        """The application's `send`: passes everything on, and marks the answer's head if somebody asked.

        Plain where it can be: a coroutine for every piece of every body would cost more than all the rest.
        """
        if message["type"] != "http.response.start":
            return self._send(message) if self._held is None else self._send_held(message)
        self._begun = True
        if self._failure is not None and message["status"] >= 500:
            # What a framework makes of our error when the application does not catch it.
            self.answer = self._response_to(self._failure)
        if self.answer is not None:
            send, self._send = self._send, _nowhere
            return send_response(self.answer, send)
        if self.token is not None:
            said = message.get("headers", ())
            message = {**message, "headers": [*said, *encoded(headers_for_token(decoded(said)))]}
        if self.touched:
            return self._send_marked(message)
        if _is_made_later(message):
            self._held = message  # until the first piece of the body shows whether making it asks
            return _nowhere(message)
        return self._send(message)

    async def _send_held(self, message: Message) -> None:
        if message["type"] == "http.response.body" and not message.get("body") and message.get("more_body"):
            return  # nothing to send yet, and the next piece may still ask
        if self._held is not None:
            start, self._held = self._held, None
            await (self._send_marked(start) if self.touched else self._send(start))
        await self._send(message)

    def _send_marked(self, start: Message) -> Awaitable[None]:
        visit, headers = self.visited, start.get("headers", ())
        if isinstance(visit, XWMSError):
            return self._send(
                {**start, "headers": [*headers, *encoded(cache_headers.headers_for_unknown_session(decoded(headers)))]}
            )
        if visit.handle is not None:
            return self._send_judged(start, visit)
        for name, _ in headers:
            if name.lower() in _JUDGED:
                return self._send_judged(start, visit)
        return self._send({**start, "headers": [*headers, *_MARKS[visit.session is not None]]})

    async def _send_judged(self, start: Message, visit: lookup.SessionLookup) -> None:
        said = list(decoded(start.get("headers", ())))
        may_renew = visit.handle is not None and cache_headers.may_set_cookie(said)
        cookie = await self.served.renew(visit) if may_renew else None
        marks = cache_headers.headers_for_session(said, signed_in=visit.session is not None, cookie=cookie)
        await self._send({**start, "headers": [*start.get("headers", ()), *encoded(marks)]})


async def _nowhere(message: Message) -> None:
    """Where the rest of an answer goes that was replaced."""


def _same(user: User | Anonymous) -> User | Anonymous:
    return user


class LazyUser:
    """`scope["user"]`: behaves as the `User` or `Anonymous` of the request, and notes that somebody asked."""

    __slots__ = ("_request_state",)
    __dataclass_fields__ = User.__dataclass_fields__  # so that `asdict()`, and FastAPI by it, can write one

    def __init__(self, request_state: RequestState) -> None:
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

current_request_state: ContextVar[RequestState] = ContextVar("xwms_auth_seat")
"""The seat of the request being served."""


def _in_debug_mode() -> bool:
    request_state = current_request_state.get(None)
    return request_state is not None and not request_state.over and request_state.debug


in_debug_mode.append(_in_debug_mode)


def request_state_of(scope: Scope) -> RequestState:
    """The seat of a request, from its scope."""
    request_state = scope.get("xwms_auth")
    if not isinstance(request_state, RequestState):
        raise RuntimeError("XWMSAuthMiddleware is not around this application")
    return request_state


class CurrentUserProxy(LazyUser):
    """`current_user`: the person of the request being served; `current_user(request)` says it of any request."""

    __slots__ = ()

    def __init__(self) -> None:
        pass

    @property
    def _request_state(self) -> RequestState:  # type: ignore[override]  # looked up anew each time, where LazyUser keeps one
        request_state = current_request_state.get(None)
        # A task that outlives the request it was started in must not go on as that request's person.
        if request_state is None or request_state.over:
            raise RuntimeError("current_user is used outside a request, or without XWMSAuthMiddleware")
        return request_state

    def __call__(self, connection: Any) -> User | Anonymous:
        """The person of this request or websocket: a plain object that may be kept."""
        return request_state_of(connection.scope).user()
