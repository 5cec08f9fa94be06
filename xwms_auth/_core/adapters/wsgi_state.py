"""One request of a WSGI application: who sits there, whether anybody asked, what to answer instead.

Knows: how an answer is marked that depends on the person.
Must not: know a framework.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from werkzeug.wsgi import ClosingIterator

from ..base.effects import Steps
from ..base.errors import LoginRequired, StoreUnavailable, XWMSError
from ..base.lifetimes import ANY_LOGIN, LoginRequirement
from ..base.models import EndReason, Session
from ..config.context import Context
from ..http.messages import Request, Response
from ..responses import access_control, cache_headers
from ..sessions import lookup
from .wsgi import request_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


T = TypeVar("T")

STATE_KEY = "xwms_auth.seat"
"""Where a WSGI environment has the seat of its request."""


class Served(Protocol):
    """What a seat asks of the application's wrapper."""

    context: Context

    @property
    def debug(self) -> bool:
        """Whether the application is in debug mode now."""
        ...

    def now(self) -> int:
        """Whole seconds since 1970."""
        ...

    def visit(self, environ: "WSGIEnvironment") -> lookup.SessionLookup:
        """Read the session of a request."""
        ...

    def run_steps(self, steps: Steps[T]) -> T:
        """Play a story that a view asks for."""
        ...

    def renew(self, visit: lookup.SessionLookup) -> str | None:
        """The Set-Cookie value that an answer during this visit should carry, or None."""
        ...

    def access_token(
        self, visit: lookup.SessionLookup, environ: "WSGIEnvironment"
    ) -> tuple[lookup.SessionLookup, str | None]:
        """The access token of a visit, and the visit as it is from then on."""
        ...


class RequestState:
    """What is known about one request, in its WSGI environment: who sits there, and whether anybody asked."""

    __slots__ = ("_environ", "_held", "_nested", "_server_write", "_start_response", "_started", "_visit", "served")

    def __init__(self, served: Served, environ: "WSGIEnvironment", start_response: "StartResponse") -> None:
        self.served = served
        self._environ = environ
        self._start_response = start_response
        self._server_write: Callable[[bytes], object] | None = None
        self._started = False
        self._visit: lookup.SessionLookup | StoreUnavailable | None = None
        self._nested: list[Callable[[lookup.SessionLookup], lookup.SessionLookup]] = []
        self._held: tuple[str, list[tuple[str, str]], Any] | None = None

    def session(self) -> Session | None:
        """The session, which the answer depends on from now on. Raises `StoreUnavailable` if it cannot be looked up."""
        if self._visit is None:
            try:
                self._visit = self.served.visit(self._environ)
            except StoreUnavailable as error:
                self._visit = error  # asked once: half a page must not be made for somebody and half for nobody
        while self._nested and not isinstance(self._visit, StoreUnavailable):
            try:
                self._visit = self._nested.pop(0)(self._visit)
            except StoreUnavailable as error:
                self._visit = error
        if isinstance(self._visit, StoreUnavailable):
            raise self._visit
        return self._visit.session

    def enter_nested(self, visit: Callable[[lookup.SessionLookup], lookup.SessionLookup]) -> None:
        """The request comes to where the same client is set up once more: `visit` says what the visit is in there."""
        self._nested.append(visit)

    def visit(self) -> tuple[Session | None, EndReason | None]:
        """The session, or why there no longer is one."""
        session = self.session()
        return session, self._visit.ended if isinstance(self._visit, lookup.SessionLookup) else None

    def refusal(self, requirement: LoginRequirement = ANY_LOGIN) -> Response | None:
        """What to answer instead of a page that needs a person: None if there is one, with a login as demanded."""
        config, now = self.served.context.config, self.served.now()
        return access_control.unless_signed_in(config, self.visit, self._asked, requirement=requirement, now=now)

    def access_token(self) -> str:
        """The person's access token. Raises `LoginRequired`, `StoreUnavailable`, or an `APIError`."""
        self.session()
        if isinstance(self._visit, lookup.SessionLookup):
            self._visit, token = self.served.access_token(self._visit, self._environ)
            if token is not None:
                return token
        raise LoginRequired("the access token could not be refreshed, and the session has ended")

    def response_to(self, error: XWMSError) -> Response:
        """What to answer for an application that did not catch our own error."""
        visit = self._visit if isinstance(self._visit, lookup.SessionLookup) else lookup.NO_SESSION
        config, now = self.served.context.config, self.served.now()
        return access_control.for_failure(
            config, self._asked(), error, session=visit.session, ended=visit.ended, now=now
        )

    def _asked(self) -> Request:
        return request_of(self._environ, debug=self.served.debug)

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Callable[[bytes], object]:
        """The application's `start_response`: marks the answer's head if somebody asked who is there."""
        self._started, self._held = True, None
        if self._visit is None and cache_headers.is_streamed(headers):
            self._held = (status, headers, exc_info)  # until the first piece of the body shows whether making it asks
            return self._write
        return self._start(status, headers, exc_info)

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: Any) -> Callable[[bytes], object]:
        if isinstance(self._visit, StoreUnavailable):
            # The view caught it and made a page of its own, which is nobody's in particular and not for long.
            headers = [*headers, *cache_headers.headers_for_unknown_session(headers)]
        elif self._visit is not None:
            may_renew = self._visit.handle is not None and cache_headers.may_set_cookie(headers)
            cookie = self.served.renew(self._visit) if may_renew else None
            marks = cache_headers.headers_for_session(headers, signed_in=self._visit.session is not None, cookie=cookie)
            # A new list: the application's may be a constant that the next person's answer is made of.
            headers = [*headers, *marks]
        return self._start_response(status, headers, exc_info) if exc_info else self._start_response(status, headers)

    def _release(self) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            self._server_write = self._start(*held)

    def _write(self, data: bytes) -> None:
        """PEP 3333's `write`, for old applications: the first piece releases the head here too."""
        self._release()
        if self._server_write is not None:
            self._server_write(data)

    def body(self, pieces: Iterable[bytes]) -> Iterable[bytes]:
        """The application's body; where the head was held back, it goes out with the first piece."""
        if self._started and self._held is None:
            return pieces
        # Also where the application has not begun yet: it may do so as late as with the first piece (PEP 3333).
        return ClosingIterator(self._streamed(pieces), getattr(pieces, "close", None))

    def _streamed(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            if piece:
                self._release()
                yield piece
        self._release()
