"""Login with XWMS for any ASGI application: one middleware, http and websocket.

Pure ASGI, so that streaming, background tasks and context variables work as without us. `scope["user"]` and
`scope["auth"]` follow Starlette's convention. The session is looked up when a request brings its cookie; an answer is
marked as depending on it only if somebody asked who the user is, so static files stay cacheable.

Knows: ASGI.
Must not: import a framework, or decide anything about a login.
"""

import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextvars import ContextVar
from typing import Any
from urllib.parse import quote

from . import answers, flow
from .config import XWMSConfig
from .drive import arun
from .effects import World
from .errors import XWMSError
from .messages import Answer, Request, parse_form
from .models import ANONYMOUS, Anonymous, User
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
    """What the middleware knows about one request: who sits there, whether anybody asked, what to answer instead."""

    __slots__ = ("_visit", "answer", "scope", "served", "touched")

    def __init__(self, served: "XWMSAuthMiddleware", scope: Scope, visit: flow.Visit | XWMSError) -> None:
        self.served = served
        self.scope = scope
        self.touched = False
        self.answer: Answer | None = None
        """Set by whoever refuses from inside the application; it then takes the place of the application's answer."""
        self._visit = visit

    def visit(self) -> flow.Visit:
        """The session, which the answer now depends on. Raises `StoreUnavailable` if it could not be looked up."""
        self.touched = True
        if isinstance(self._visit, XWMSError):
            raise self._visit
        return self._visit

    def user(self) -> User | Anonymous:
        """The person, or the anonymous one."""
        session = self.visit().session
        return session.user if session else ANONYMOUS

    def refusal(self) -> Answer | None:
        """What to answer instead of something that needs a person: None if there is one."""
        config = self.served.site.config
        try:
            if self.visit().session is not None:
                return None
        except XWMSError as error:
            return answers.refusal(config, request_of(self.scope), error)
        return answers.needs_login(config, request_of(self.scope))


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


class Credentials:
    """`scope["auth"]`: what Starlette's `@requires` looks at."""

    __slots__ = ("_seat",)

    def __init__(self, seat: Seat) -> None:
        self._seat = seat

    @property
    def scopes(self) -> list[str]:
        """`["authenticated"]` for a person, nothing for nobody."""
        return ["authenticated"] if self._seat.user().is_authenticated else []


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
        host, cookie = _host_and_cookie(scope)
        path: str = scope["path"]
        is_http = scope["type"] == "http"
        if is_http and path in self._own_paths and self.site.is_own(path, host):
            request = request_of(scope, form=await _form(scope, receive))
            await _reply(await arun(flow.serve(self.site, request, now=self._now()), self._world), send)
            return
        if not is_http and not self._is_own_websocket(scope):
            await _refuse_websocket(receive, send, "cross_site")
            return

        seat = Seat(self, scope, await self._look_up(cookie, host))
        scope["xwms_auth"] = seat
        scope["user"] = LazyUser(seat)
        scope["auth"] = Credentials(seat)
        if self._protects_all and not self.site.is_public(path):
            refused = seat.refusal()
            if refused is not None:
                await (_reply(refused, send) if is_http else _refuse_websocket(receive, send, "login_required"))
                return
        mark = _seat.set(seat)
        try:
            await self.app(scope, receive, self._watch(seat, send) if is_http else send)
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

    async def _look_up(self, cookie: str, host: str) -> flow.Visit | XWMSError:
        try:
            return await arun(flow.who_visits(self.site, cookie, self.site.uri_for(host), now=self._now()), self._world)
        except XWMSError as error:
            return error  # raised to whoever asks; a page that does not ask need not fail

    def _is_own_websocket(self, scope: Scope) -> bool:
        """A browser names the page that opens a websocket, and cookies travel whatever page it is: only ours may."""
        return all(
            name != b"origin" or value.decode("latin-1") in self.site.origins for name, value in scope["headers"]
        )

    def _watch(self, seat: Seat, send: Send) -> Send:
        replaced = False

        async def watched(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start":
                if seat.answer is not None:
                    replaced = True
                    await _reply(seat.answer, send)
                    return
                if seat.touched:
                    message = {**message, "headers": [*message.get("headers", ()), *await self._marks(seat, message)]}
            if not replaced:
                await send(message)

        return watched

    async def _marks(self, seat: Seat, message: Message) -> list[tuple[bytes, bytes]]:
        try:
            visit = seat.visit()
        except XWMSError:
            return [(b"vary", b"Cookie"), (b"cache-control", b"no-store")]
        cookie = await arun(flow.renew(self.site, visit, now=self._now()), self._world)
        marks = answers.marks_of_reading(
            _decoded(message.get("headers", ())), signed_in=visit.session is not None, cookie=cookie
        )
        return _encoded(marks)


def _decoded(headers: Any) -> Iterator[tuple[str, str]]:
    return ((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)


def _encoded(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _host_and_cookie(scope: Scope) -> tuple[str, str]:
    """The two headers every request is asked for. HTTP/2 may split the Cookie header; two hosts are no host of ours."""
    hosts: list[str] = []
    cookies: list[str] = []
    for name, value in scope["headers"]:
        if name == b"cookie":
            cookies.append(value.decode("latin-1"))
        elif name == b"host":
            hosts.append(value.decode("latin-1"))
    return ", ".join(hosts), "; ".join(cookies)


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
        cookie=_host_and_cookie(scope)[1],
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
