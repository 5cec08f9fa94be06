"""The state of a WSGI request: its session, and the cache headers of a response that depends on it.

An application may call `start_response` late, or twice (PEP 3333).
"""

import sys
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from ...accounts.application import Application
from ...accounts.linker import Linker
from ...base import events
from ...base.effects import run
from ...base.errors import ConfigError, LoginRequired, StoreUnavailable, XWMSError
from ...base.models import Identity, User
from ...base.session import Session
from ...base.unexpected import internal_error
from ...http.fetch_metadata import is_passive
from ...http.messages import Request
from ...responses import cache_headers
from ...responses.responses import Refusal
from ...sessions.lookup import SessionLookup, cached_lookup, renew
from ...sessions.revalidation import look_up_for_page, look_up_nested
from ...sessions.token_refresh import access_token
from ..application import call_sync
from ..request_state import RequestState
from ..roles import Roles, no_roles, parse_roles
from ..served_app import ServedApp
from .messages import Closing, close, request_of, send

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

A = TypeVar("A")

Unauthorized = Callable[["WSGIEnvironment", dict[str, object]], "WSGIApplication | None"]
"""The application's own answer to a request that needs a login, as a WSGI application; None for ours."""


class WSGIServedApp(ServedApp):
    """What the state of a request asks of the application that serves it."""

    answer: Unauthorized | None = None
    """The application's own answer to a request that needs a login. Flask has one of another kind."""

    roles: Roles | None = None

    def call(self, function: Callable[..., Any], args: tuple[object, ...]) -> Any:
        """Call a function of the application, within a request of its own."""
        return call_sync(function, args)

    @abstractmethod
    def application_of(self, environ: "WSGIEnvironment") -> Application:
        """The application's own parts of a login, as this request reaches them."""

    @abstractmethod
    def in_debug_mode(self) -> bool:
        """Whether the application is in debug mode now."""


STATE_KEY = "xwms_auth.state"
"""The key of the request state in a WSGI environment."""


_ENDED = {"REQUEST_METHOD": "GET"}
"""Stands in for the environment of a request that has ended."""

_ASKED = ("REQUEST_METHOD", "HTTP_COOKIE", "HTTP_HOST")
"""What a lookup still needs of it."""


class WSGIRequestState(RequestState[SessionLookup | XWMSError | None]):
    """The session is looked up when it is first read; from then on the response depends on it."""

    served: WSGIServedApp
    has_request_session = True
    lookup: SessionLookup | XWMSError | None = None
    unauthorized: Unauthorized | None = None
    """The own answers of a nested application."""

    resolver: Roles | None = None
    """The `roles` of a nested application."""

    _cookie = ""
    """The Cookie header that the session was looked up with: a thread that outlives the request may need it again."""

    _server_write: Callable[[bytes], object] | None = None
    _started = False
    _held: tuple[str, list[tuple[str, str]], Any] | None = None
    _nested: tuple[ServedApp, ...] = ()
    _refused_body: Iterable[bytes] = ()

    def __init__(self, served: "WSGIServedApp", environ: "WSGIEnvironment", start_response: "StartResponse") -> None:
        self.served = served  # pyright: ignore[reportIncompatibleVariableOverride]  never assigned again
        self._environ = environ
        self._start_response = start_response
        self._began_at = served.clock()

    def session(self) -> Session | None:
        # Looked up once, so that a page is never rendered half signed in and half signed out.
        found = self.lookup
        if found is None:
            found = self.lookup = self._look_up()
        if self._nested:
            found = self._look_up_nested(found)
        if isinstance(found, XWMSError):
            self._failure = found
            raise found
        return found.session

    def _look_up(self) -> SessionLookup | XWMSError:
        served, cookie = self.served, self._environ.get("HTTP_COOKIE", "")
        self._cookie = cookie
        # As of the beginning: a renewal that comes late must not undo what this browser did meanwhile.
        context, now = served.context, int(self._began_at)
        uri = context.only_uri or context.redirect_uri_for(self._environ.get("HTTP_HOST", ""))
        try:
            found = cached_lookup(context, served.store, cookie, uri, now=now)
            return found or run(look_up_for_page(context, served.provider, cookie, uri, now=now), served.runtime)
        except Exception as error:  # noqa: BLE001  raised when the session is read
            return internal_error(error)

    def _look_up_nested(self, found: SessionLookup | XWMSError) -> SessionLookup | XWMSError:
        nested, self._nested = self._nested, ()
        for inner in nested:
            if isinstance(found, SessionLookup):
                found = self.lookup = self._look_up_in(inner, found)
        return found

    def _look_up_in(self, inner: ServedApp, found: SessionLookup) -> SessionLookup | XWMSError:
        if (fault := inner.fault_in(self.served)) is not None:
            return fault
        known = self.dated(found)
        steps = look_up_nested(inner.context, inner.provider, known, self._cookie, now=inner.now())
        try:
            return run(steps, inner.runtime_in(self.served))
        except Exception as error:  # noqa: BLE001  as above
            return internal_error(error)

    def enter_nested(self, inner: WSGIServedApp) -> None:
        """Note that the request enters an inner application of the same client. The session must be valid for both."""
        self._nested = (*self._nested, inner)
        self.unauthorized = inner.answer or self.unauthorized
        if inner.roles is not None:
            self.resolver, self.roles = inner.roles, None

    def access_token(self) -> str:
        """Return the user's access token. Raises `LoginRequired`, `StoreUnavailable`, or an `APIError`."""
        known, served = self.dated(self._look()), self.served
        try:
            steps = access_token(served.context, served.provider, known, self._cookie, now=served.now())
            self.lookup, token = run(steps, served.runtime)
            if self.lookup.has_new_tokens and self._started and self._held is None:
                events.tokens_not_saved()
            if token is not None:
                return token.reveal()
            raise LoginRequired("the access token could not be refreshed, and the session has ended")
        except (LoginRequired, StoreUnavailable, ConfigError) as error:
            self._failure = error
            raise

    def load_account(self, linker: Linker[A], identity: Identity, session: object) -> A | Refusal:
        """Return the person's account, or the refusal to send instead. Loaded once."""
        steps = self.account_steps(linker, identity, session, call=self.served.call, cookie=self._cookie)
        return run(steps, self.served.runtime)

    def refresh_profile(self) -> User | Refusal:
        """Ask XWMS about the person, or return the refusal to send instead. Raises as `access_token` does."""
        self.session()  # from then on the cookie is known
        application = self.served.application_of(self._environ)
        return run(self.profile_steps(application, self._cookie), self.served.runtime)

    def known_roles(self) -> frozenset[str]:
        if self.roles is None:
            resolver, session = self.resolver or self.served.roles, self.session()
            if resolver is None:
                raise no_roles()
            self.roles = frozenset() if session is None else parse_roles(resolver(session.user))
        return self.roles

    def request(self, *, body: bool = False) -> Request:
        return request_of(self._environ, debug=self.served.in_debug_mode(), body=body)

    def vary_by_language(self) -> None:
        start_response = self._start_response

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            headers = cache_headers.for_language(headers).applied(headers)
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        self._start_response = start

    def note_uncaught(self, error: BaseException) -> None:
        """Note an error that the application did not catch. If one of ours is behind it, the response is ours."""
        if self._failure is not None and self._failure.is_behind(error):
            self._refuse_for(self._failure)

    def note_server_error(self) -> None:
        """Note that the application answers with a server error. If one of ours came before it, the response is ours.

        For frameworks that make a page of every error.
        """
        if self._failure is not None:
            self._refuse_for(self._failure)

    def send_refusal(self, refused: Refusal, start: "StartResponse", error: Any = None) -> Iterable[bytes]:
        """Send a refusal, or the application's own answer in its place. Return the body.

        `error` is the `exc_info` of a second call of `start`.
        """
        problem = refused.problem
        unauthorized = self.unauthorized or self.served.answer
        own = unauthorized(self._environ, problem) if unauthorized and problem else None
        if own is None:
            return send(refused.response, start, error, reserved=self.reserved())

        def never_stored(
            status: str, headers: list[tuple[str, str]], exc_info: Any = None
        ) -> Callable[[bytes], object]:
            headers, exc_info = cache_headers.for_unknown_session(headers).applied(headers), exc_info or error
            return start(status, headers, exc_info) if exc_info else start(status, headers)

        return own(self._environ, never_stored)

    def _send_instead(self, refused: Refusal, exc_info: Any) -> Iterable[bytes]:
        # Only a second call needs `exc_info`. With a first one the server would report the application's error.
        return self.send_refusal(refused, self._start, None if self._server_write is None else exc_info)

    def respond_instead(self, error: Exception) -> Iterable[bytes] | None:
        """Return the body of our response to an error that the application raised. None if it is the server's."""
        self.note_uncaught(error)
        if self.refused is None:
            return None
        return self._send_instead(self.refused, sys.exc_info())

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        """The application's `start_response`: adds cache headers if the session has been read."""
        if self._held is not None:
            if not exc_info:
                self._release()  # a second call, for the server to refuse
            self._held = None
        self._started = True
        if self.refused is not None:
            self._refused_body = self._send_instead(self.refused, exc_info)
            return _discard
        if type(headers) is not list:  # PEP 3333 wants a list, but servers take any iterable
            headers = list(headers)
        if self.lookup is None and self._server_write is None and cache_headers.is_streamed(headers):
            # Held back until the first chunk of the body, since producing it may read the session. A copy, because the
            # application may use the list again.
            self._held = (status, headers.copy(), exc_info)
            return self._write
        return self._start(status, headers, exc_info)

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Callable[[bytes], object]:
        found = self.lookup
        if found is not None:
            # A new list: the application's may be a constant that it uses for the next response too.
            headers = self._edit_for(headers, found).applied(headers)
        start_response = self._start_response
        self._server_write = start_response(status, headers, exc_info) if exc_info else start_response(status, headers)
        return self._server_write

    def _edit_for(self, headers: list[tuple[str, str]], found: SessionLookup | XWMSError) -> cache_headers.Edit:
        if isinstance(found, XWMSError):
            # The view has caught the error and made a page of its own, for an unknown user.
            return cache_headers.for_unknown_session(headers)
        cookie = None
        if found.handle is not None and found.session is not None:
            served, environ = self.served, self._environ
            passive = self.passive or is_passive(environ.get("HTTP_XWMS_PASSIVE"), environ.get("HTTP_SEC_FETCH_SITE"))
            shared = not self.guarded and cache_headers.is_shared(headers)
            steps = renew(served.context, found, now=served.now(), is_passive=passive, is_shared=shared)
            cookie = run(steps, served.runtime)
        signed_in = found.session is not None
        return cache_headers.for_session(headers, signed_in=signed_in, guarded=self.guarded, cookie=cookie)

    def _release(self, *, ahead: bool = False) -> None:
        """Send headers that were held back. `ahead` is whether the body, which may read the session, comes later."""
        if self._held is not None:
            if ahead:
                with suppress(XWMSError):
                    self.session()  # the response may depend on it
            held, self._held = self._held, None
            self._start(*held)

    def _write(self, data: bytes) -> None:
        """The `write` of PEP 3333, for old applications. It too sends headers that were held back."""
        self._release(ahead=not data)
        if self._server_write is not None:
            self._server_write(data)

    def body(self, chunks: Iterable[bytes]) -> Iterable[bytes]:
        """The application's body. Headers that were held back are sent with its first chunk."""
        if self.refused is not None and self._started:
            return Closing(self._instead(self.refused), chunks, self.leave)
        if self._started and self.is_complete(chunks):
            self._release()
            self.leave()
            return chunks
        if self._started and self._held is None:
            return Closing(chunks, (), self.leave)
        # Also if the application has not called `start_response` yet: it may do so with its first chunk (PEP 3333).
        return Closing(self._streamed(chunks), chunks, self.leave)

    def leave(self) -> None:
        """The request has ended. What is kept of it does not lead back to it, so that it needs no garbage collector."""
        environ = self._environ
        self._environ = {name: environ[name] for name in _ASKED if name in environ} if self.lookup is None else _ENDED

    def _instead(self, refused: Refusal) -> Iterable[bytes]:
        """The body of the response that replaces the application's. Its headers are sent, if they have not been yet."""
        if self._held is not None:
            self._held = None
            self._refused_body = self._send_instead(refused, None)
        return self._refused_body

    def is_complete(self, chunks: object) -> bool:
        """Whether nothing of the application runs while this body is sent.

        Such a body must reach the server as it is: servers take the Content-Length of a list with one chunk from it,
        and send a file without reading it (PEP 3333).
        """
        file_wrapper = self._environ.get("wsgi.file_wrapper")
        return type(chunks) in (list, tuple) or (isinstance(file_wrapper, type) and isinstance(chunks, file_wrapper))

    def _streamed(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        try:
            for chunk in chunks:
                if self.refused is not None:
                    break
                if self._held is not None:
                    self._release(ahead=not chunk)
                yield chunk
        except Exception as error:
            ours = self.respond_instead(error) if self._held is not None or not self._started else None
            if ours is None:
                raise
            self._held, self._refused_body = None, ours
        if self.refused is None:
            self._release()
            return
        body = self._instead(self.refused)
        try:
            yield from body
        finally:
            close(body)


def _discard(data: bytes) -> None:
    """The `write` of a response that was replaced."""
