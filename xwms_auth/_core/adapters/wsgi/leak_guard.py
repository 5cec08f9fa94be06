"""The leak guard around a WSGI application."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ...base.secret_in_response import SecretInResponse
from ...config.config import XWMSConfig
from .messages import Closing, request_of, send

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from ...responses.leak_guard import GuardedBody, LeakGuard

    _Start = tuple[str, list[tuple[str, str]], Any]

_AROUND = ("wsgi.early_hints", "gunicorn.http2.send_trailers")
"""Functions in the environment, of gunicorn, that send headers beside those of the response."""


def guarded(
    app: "WSGIApplication",
    guard: "LeakGuard",
    config: XWMSConfig,
    environ: "WSGIEnvironment",
    start_response: "StartResponse",
) -> Iterable[bytes]:
    """Call an application, and let through what it sends as long as no secret is in it."""
    response = _Guarded(guard, config, environ, start_response)
    for name in _AROUND:
        if name in environ:
            environ[name] = response.checked(environ[name])
    return response.of(app(environ, response.start))


class _Guarded:
    """One response. Its headers wait for the first piece of its body, so that a page can still take their place."""

    def __init__(
        self, guard: "LeakGuard", config: XWMSConfig, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> None:
        self._guard, self._config, self._environ, self._start_response = guard, config, environ, start_response
        self._held: _Start | None = None
        self._body: GuardedBody | None = None
        self._write: Callable[[bytes], object] | None = None
        self._has_started = False
        self._found: SecretInResponse | None = None

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        """The application's `start_response`."""
        if self._has_started:
            return self._start_response(status, headers, exc_info)  # raises what the application wants to hide
        headers = list(headers)
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        try:
            self._guard.check_headers([(b"the status", status.encode("latin-1")), *encoded])
        except SecretInResponse as found:
            self._found = SecretInResponse(found.cause)
        self._held, self._body = (status, headers, exc_info), self._guard.body(encoded)
        return self._written

    def checked(self, send_headers: Callable[[Any], object]) -> Callable[[Any], None]:
        """A function that sends headers, unless a secret is in them: then the response ends as with one in its own."""

        def send_checked(headers: Iterable[tuple[str | bytes, str | bytes]]) -> None:
            given = list(headers)
            try:
                self._guard.check_headers((_latin_1(name), _latin_1(value)) for name, value in given)
            except SecretInResponse as found:
                self._found = SecretInResponse(found.cause)
            else:
                send_headers(given)

        return send_checked

    def of(self, chunks: Iterable[bytes]) -> Iterable[bytes]:
        """What the server gets in place of the application's body."""
        if type(chunks) not in (list, tuple):
            return Closing(self._streamed(chunks), chunks, lambda: None)
        whole = b"".join(chunks)
        passed = self._passed(whole, is_last=True)
        if self._found is not None:
            return self._instead(self._found)
        self._release()
        # Servers take the Content-Length of a list with one piece from it. More has passed if `write` had held some.
        return chunks if passed == whole else [passed]

    def _streamed(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            passed = self._passed(chunk)
            del chunk  # a crash report of what is raised next would have it
            if self._found is not None:
                break
            if passed:
                self._release()
                yield passed
        passed = self._passed(b"", is_last=True)
        if self._found is not None:
            yield from self._instead(self._found)
            return
        self._release()
        if passed:
            yield passed

    def _passed(self, chunk: bytes, *, is_last: bool = False) -> bytes:
        """What may be sent now, if nothing has been found."""
        if self._body is None:
            return chunk  # before `start`: the server raises
        try:
            return self._body.feed(chunk, is_last=is_last)
        except SecretInResponse as found:
            self._found = SecretInResponse(found.cause)
            return b""

    def _release(self) -> None:
        """Send the headers, if they have not been sent."""
        if self._held is not None:
            (status, headers, exc_info), self._held = self._held, None
            more = (exc_info,) if exc_info else ()
            self._has_started = True
            self._write = self._start_response(status, headers, *more)

    def _written(self, chunk: bytes) -> None:
        """The `write` of PEP 3333, for old applications."""
        was_empty, passed = not chunk, self._passed(chunk)
        if self._found is not None:
            return  # the end of the body says so: what is raised here would have the application's frames
        if passed or was_empty:
            self._release()
        if self._write is not None:
            self._write(passed)

    def _instead(self, found: SecretInResponse) -> Iterable[bytes]:
        """The page in place of the response. If that has begun, it is cut off: raises what was found."""
        request = request_of(self._environ, body=False)
        if self._has_started:
            self._guard.tell(found, request.path)
            raise SecretInResponse(found.cause)
        return send(self._guard.refusal(found, self._config, request), self._start_response)


def _latin_1(text: str | bytes) -> bytes:
    return text.encode("latin-1") if isinstance(text, str) else text
