"""Login with XWMS for any ASGI application: one middleware, http and websocket.

Pure ASGI, so that streaming, background tasks and context variables work as without us. `scope["user"]` and
`scope["auth"]` follow Starlette's convention. The session is looked up when a request brings its cookie; an answer is
marked as depending on it only if somebody asked who the user is, so static files stay cacheable.

Knows: ASGI.
Must not: import a framework, or decide anything about a login.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from contextvars import ContextVar
from typing import Any
from urllib.parse import quote

from . import answers, flow, visits
from .config import XWMSConfig
from .drive import arun
from .effects import World
from .errors import XWMSError
from .messages import Answer, Request, parse_form
from .models import ANONYMOUS, USER_FIELDS, Anonymous, Session, User
from .redirects import RedirectURI
from .site import Site
from .stores import open_store
from .transport import AsyncHTTPTransport

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_FORM = 64 * 1024
"""Bytes of a form that one of our routes reads. Ours have one short field."""

POLICY_VIOLATION = 1008
"""The websocket close code of a refused handshake (RFC 6455 7.4.1)."""


class Seat:
    """What the middleware knows about one request: who sits there, whether anybody asked, what to answer instead.

    It is `scope["auth"]` too, and stands between the application's `send` and the server's.
    """

    __slots__ = ("_held", "_send", "_visit", "answer", "scope", "served", "touched")

    def __init__(self, served: "XWMSAuthMiddleware", scope: Scope, visit: visits.Visit | XWMSError, send: Send) -> None:
        self.served = served
        self.scope = scope
        self.touched = False
        self.answer: Answer | None = None
        """Set by whoever refuses from inside the application; it then takes the place of the application's answer."""
        self._visit = visit
        self._send = send
        self._held: Message | None = None

    def session(self) -> Session | None:
        """The session, which the answer now depends on. Raises `StoreUnavailable` if it could not be looked up."""
        self.touched = True
        if isinstance(self._visit, XWMSError):
            raise self._visit
        return self._visit.session

    def user(self) -> User | Anonymous:
        """The person, or the anonymous one."""
        session = self.session()
        return session.user if session else ANONYMOUS

    @property
    def scopes(self) -> list[str]:
        """What Starlette's `@requires` looks at: `["authenticated"]` for a person, nothing for nobody."""
        return ["authenticated"] if self.session() else []

    def refusal(self) -> Answer | None:
        """What to answer instead of something that needs a person: None if there is one."""
        config = self.served.site.config
        try:
            if self.session() is not None:
                return None
        except XWMSError as error:
            return answers.refusal(config, request_of(self.scope), error)
        return answers.needs_login(config, request_of(self.scope))

    def send(self, message: Message) -> Awaitable[None]:
        """The application's `send`: passes everything on, and marks the answer's head if somebody asked.

        Plain where it can be: a coroutine for every piece of every body would cost more than all the rest.
        """
        if message["type"] != "http.response.start":
            return self._send(message) if self._held is None else self._send_held(message)
        if self.answer is not None:
            send, self._send = self._send, _nowhere
            return _reply(self.answer, send)
        if self.touched:
            return self._send_marked(message)
        if _is_made_later(message):
            self._held = message  # until the first piece of the body shows whether making it asks
            return _nowhere(message)
        return self._send(message)

    async def _send_held(self, message: Message) -> None:
        if self._held is not None:
            start, self._held = self._held, None
            await (self._send_marked(start) if self.touched else self._send(start))
        await self._send(message)

    def _send_marked(self, start: Message) -> Awaitable[None]:
        visit, headers = self._visit, start.get("headers", ())
        if isinstance(visit, XWMSError):
            return self._send({**start, "headers": [*headers, *_MARKS_OF_DOUBT]})
        if visit.handle is None and not any(name.lower() in _JUDGED for name, _ in headers):
            return self._send({**start, "headers": [*headers, *_MARKS[visit.session is not None]]})
        return self._send_judged(start, visit)

    async def _send_judged(self, start: Message, visit: visits.Visit) -> None:
        said = list(_decoded(start.get("headers", ())))
        may_renew = visit.handle is not None and answers.may_set_cookie(said)
        cookie = await self.served.renew(visit) if may_renew else None
        marks = answers.marks_of_reading(said, signed_in=visit.session is not None, cookie=cookie)
        await self._send({**start, "headers": [*start.get("headers", ()), *_encoded(marks)]})


async def _nowhere(message: Message) -> None:
    """Where the rest of an answer goes that was replaced."""


class LazyUser:
    """`scope["user"]`: behaves as the `User` or `Anonymous` of the request, and notes that somebody asked."""

    __slots__ = ("_seat",)

    def __init__(self, seat: Seat) -> None:
        self._seat = seat

    def __getattr__(self, name: str) -> Any:
        return getattr(self._seat.user(), name)

    @property
    def __class__(self) -> type:  # so that isinstance() tells a User from an Anonymous
        return type(self._seat.user())

    @__class__.setter
    def __class__(self, value: type) -> None:
        raise TypeError("the class of a user cannot be changed")

    def __eq__(self, other: object) -> bool:
        return self._seat.user() == (other._seat.user() if type(other) is LazyUser else other)

    def __hash__(self) -> int:
        return hash(self._seat.user())

    def __repr__(self) -> str:
        return repr(self._seat.user())


def _passed_on(name: str) -> property:
    def read(lazy: LazyUser) -> Any:
        return getattr(lazy._seat.user(), name)  # pyright: ignore[reportPrivateUsage]  a part of the class above

    return property(read)


# What is asked for most; the same as `__getattr__` would find, in half the time.
for _name in (*USER_FIELDS, "is_authenticated", "display_name", "identity"):
    setattr(LazyUser, _name, _passed_on(_name))

_seat: ContextVar[Seat] = ContextVar("xwms_auth_seat")


def seat_of(scope: Scope) -> Seat:
    """The seat of a request, from its scope."""
    seat = scope.get("xwms_auth")
    if not isinstance(seat, Seat):
        raise RuntimeError("XWMSAuthMiddleware is not around this application")
    return seat


class CurrentUserProxy:
    """`current_user`: the person of the request being served; `current_user(request)` says it of any request."""

    __slots__ = ()

    def __call__(self, connection: Any) -> User | Anonymous:
        """The person of this request or websocket: a plain object that may be kept."""
        return seat_of(connection.scope).user()

    def __getattr__(self, name: str) -> Any:
        try:
            seat = _seat.get()
        except LookupError:
            raise RuntimeError("current_user is used outside a request, or without XWMSAuthMiddleware") from None
        return getattr(seat.user(), name)


class XWMSAuthMiddleware:
    """Login with XWMS around any ASGI application.

    `config=None` reads the `XWMS_…` environment variables. `clock` returns seconds since 1970.
    Raises `ConfigError` with every fault at once.
    """

    def __init__(
        self, app: ASGIApp, config: XWMSConfig | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        config = config or XWMSConfig.from_env(session_secret_required=True)
        self.app = app
        self.site = Site(config)
        self._transport = AsyncHTTPTransport(config)
        self._world = World(self._transport, open_store(config, seal=self.site.seal))
        self._clock = clock
        self._own_paths = config.own_paths
        self._protects_all = config.protect == "all"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        path: str = scope["path"]
        is_http = scope["type"] == "http"
        if is_http and path in self._own_paths and self.site.is_own(path, _header(scope, b"host", ", ")):
            request = request_of(scope, form=await _form(scope, receive))
            await _reply(await arun(flow.serve(self.site, request, now=self._now()), self._world), send)
            return
        uri = self.site.only or self.site.uri_for(_header(scope, b"host", ", "))
        if not is_http and not _is_own_websocket(scope, uri):
            await _refuse_websocket(receive, send, "cross_site")
            return

        cookie, now = _header(scope, b"cookie", "; "), self._now()
        visit = visits.recognise(self.site, self._world.store, cookie, uri, now=now)
        seat = Seat(self, scope, visit or await self._look_up(cookie, uri, now), send)
        scope["xwms_auth"] = scope["auth"] = seat
        scope["user"] = LazyUser(seat)
        if self._protects_all and not self.site.is_public(_route_path(scope)):
            refused = seat.refusal()
            if refused is not None:
                await (_reply(refused, send) if is_http else _refuse_websocket(receive, send, "login_required"))
                return
        mark = _seat.set(seat)
        try:
            await self.app(scope, receive, seat.send if is_http else send)
        finally:
            _seat.reset(mark)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Keep connections to XWMS for as long as the application lives. Its own lifespan passes through untouched."""
        self._transport.keep_connections()
        try:
            await self.app(scope, receive, send)
        finally:
            await self._transport.aclose()

    def _now(self) -> int:
        return int(self._clock())

    async def renew(self, visit: visits.Visit) -> str | None:
        """The Set-Cookie value that an answer during this visit should carry, or None."""
        return await arun(visits.renew(self.site, visit, now=self._now()), self._world)

    async def _look_up(self, cookie: str, uri: RedirectURI | None, now: int) -> visits.Visit | XWMSError:
        try:
            return await arun(visits.who_visits(self.site, cookie, uri, now=now), self._world)
        except XWMSError as error:
            return error  # raised to whoever asks; a page that does not ask need not fail


def _is_own_websocket(scope: Scope, uri: RedirectURI | None) -> bool:
    """A browser names the page that opens a websocket, and cookies travel whatever page it is: only this site's may."""
    named = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
    return not named or (uri is not None and named == [uri.origin])


def _decoded(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
    return ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers)


def _encoded(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _is_made_later(start: Message) -> bool:
    headers = start.get("headers", ())
    return not any(name == b"content-length" for name, _ in headers) and answers.is_made_later(_decoded(headers))


# Nearly every answer has neither of these, and then gets the same marks.
_JUDGED = frozenset((b"vary", b"cache-control"))
_MARKS_OF_DOUBT = [(b"vary", b"Cookie"), (b"cache-control", b"no-store")]
_MARKS = {who: _encoded(answers.marks_of_reading((), signed_in=who, cookie=None)) for who in (True, False)}


def _header(scope: Scope, name: bytes, joint: str) -> str:
    """One header of any request. HTTP/2 may split the Cookie header; two hosts are no host of ours."""
    found: list[bytes] = [value for key, value in scope["headers"] if key == name]
    return found[0].decode("latin-1") if len(found) == 1 else joint.join(value.decode("latin-1") for value in found)


def _route_path(scope: Scope) -> str:
    """The path as the application's routes have it: without the prefix it is mounted at."""
    root: str = scope.get("root_path", "")
    path: str = scope["path"]
    return path.removeprefix(root) if root and path.startswith(root + "/") else path


def request_of(scope: Scope, *, form: dict[str, str] | None = None) -> Request:
    """An ASGI scope as a `Request`."""
    headers: dict[str, str] = {}
    for name, value in _decoded(scope["headers"]):
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    query = scope.get("query_string", b"").decode("latin-1")
    raw: bytes = scope.get("raw_path") or quote(scope["path"], errors="surrogateescape").encode()
    return Request(
        method=scope.get("method", "GET"),
        path=scope["path"],
        query=query,
        target=raw.partition(b"?")[0].decode("latin-1") + (f"?{query}" if query else ""),
        headers=headers,
        cookie=_header(scope, b"cookie", "; "),
        form=form or {},
    )


async def _form(scope: Scope, receive: Receive) -> dict[str, str]:
    """A small urlencoded body of a POST to one of our routes; anything else is nothing."""
    content_type = dict(scope["headers"]).get(b"content-type", b"").partition(b";")[0].strip().lower()
    if scope["method"] != "POST" or content_type != b"application/x-www-form-urlencoded":
        return {}
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return {}
        body += message.get("body", b"")
        if len(body) > MAX_FORM:
            return {}
        if not message.get("more_body", False):
            return dict(parse_form(body.decode("latin-1")))


async def _reply(answer: Answer, send: Send) -> None:
    headers = _encoded(answer.header_list())
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body.encode()})


async def _refuse_websocket(receive: Receive, send: Send, reason: str) -> None:
    await receive()
    await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": reason})
