"""One request of a WSGI application: who is signed in, and the headers of a response that depends on it.

Knows: `start_response`, and that an application may call it late, or twice.
Must not: know a framework.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from werkzeug.wsgi import ClosingIterator

from ..base.errors import LoginRequired, StoreUnavailable, XWMSError
from ..base.models import Session
from ..http.messages import Request
from ..io.runner import run
from ..responses import cache_headers
from ..sessions.lookup import SessionLookup, cached_lookup, renew
from ..sessions.revalidation import look_up_for_page, look_up_nested
from ..sessions.token_refresh import access_token
from .request_state import RequestState
from .served_app import ServedApp
from .wsgi import request_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


STATE_KEY = "xwms_auth.state"
"""Where a WSGI environment has the state of its request."""


class WSGIRequestState(RequestState[SessionLookup | XWMSError | None]):
    """Who is signed in is looked up when somebody asks; from then on the response depends on it."""

    __slots__ = ("_debug", "_environ", "_held", "_nested", "_server_write", "_start_response", "_started")

    def __init__(
        self,
        served: ServedApp,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
        *,
        debug: Callable[[], bool],
    ) -> None:
        self.served = served
        self.lookup = None
        self._environ = environ
        self._start_response = start_response
        self._debug = debug
        self._server_write: Callable[[bytes], object] | None = None
        self._started = False
        self._nested: list[ServedApp] = []
        self._held: tuple[str, list[tuple[str, str]], Any] | None = None

    def session(self) -> Session | None:
        # Asked once: half a page must not be made for somebody and half for nobody.
        if self.lookup is None:
            self.lookup = self._looked_up()
        while self._nested and isinstance(self.lookup, SessionLookup):
            self.lookup = self._looked_up_in(self._nested.pop(0), self.lookup)
        if isinstance(self.lookup, XWMSError):
            raise self.lookup
        return self.lookup.session

    def _looked_up(self) -> SessionLookup | StoreUnavailable:
        served, cookie = self.served, self._environ.get("HTTP_COOKIE", "")
        context, now = served.context, served.now()
        uri = context.only_uri or context.redirect_uri_for(self._environ.get("HTTP_HOST", ""))
        try:
            known = cached_lookup(context, served.store, cookie, uri, now=now)
            return known or run(look_up_for_page(context, served.provider, cookie, uri, now=now), served.runtime)
        except StoreUnavailable as error:
            return error

    def _looked_up_in(self, inner: ServedApp, known: SessionLookup) -> SessionLookup | StoreUnavailable:
        cookie = self._environ.get("HTTP_COOKIE", "")
        steps = look_up_nested(inner.context, inner.provider, known, cookie, now=inner.now())
        try:
            return run(steps, inner.runtime_in(self.served))
        except StoreUnavailable as error:
            return error

    def enter_nested(self, inner: ServedApp) -> None:
        """The request comes to where the same client is set up once more: from there on both have their say."""
        self._nested.append(inner)

    def access_token(self) -> str:
        """The person's access token. Raises `LoginRequired`, `StoreUnavailable`, or an `APIError`."""
        self.session()
        if isinstance(self.lookup, SessionLookup):
            served, cookie = self.served, self._environ.get("HTTP_COOKIE", "")
            steps = access_token(served.context, served.provider, self.lookup, cookie, now=served.now())
            self.lookup, token = run(steps, served.runtime)
            if token is not None:
                return token.reveal()
        raise LoginRequired("the access token could not be refreshed, and the session has ended")

    def request(self, *, body: bool = False) -> Request:
        return request_of(self._environ, debug=self._debug(), body=body)

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Callable[[bytes], object]:
        """The application's `start_response`: marks the answer's head if somebody asked who is there."""
        self._started, self._held = True, None
        if self.lookup is None and cache_headers.is_streamed(headers):
            self._held = (status, headers, exc_info)  # until the first piece of the body shows whether making it asks
            return self._write
        return self._start(status, headers, exc_info)

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: Any) -> Callable[[bytes], object]:
        if isinstance(self.lookup, XWMSError):
            # The view caught it and made a page of its own, which is nobody's in particular and not for long.
            headers = [*headers, *cache_headers.headers_for_unknown_session(headers)]
        elif self.lookup is not None:
            cookie = None
            if self.lookup.handle is not None and cache_headers.may_set_cookie(headers):
                served = self.served
                cookie = run(renew(served.context, self.lookup, now=served.now()), served.runtime)
            marks = cache_headers.headers_for_session(headers, signed_in=self.lookup.session is not None, cookie=cookie)
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
