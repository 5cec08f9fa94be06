"""The leak guard: looks for the secrets of the clients in whatever an application sends, and stops it before they do.

For development and tests. It finds what `xwms-auth scan` finds, with the same patterns, also where it is cut into
pieces. Knows nothing of WSGI and ASGI: the doors hand it headers, pieces of bodies and messages.
"""

import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from ..base import events
from ..base.crypto.leak_patterns import LeakPatterns, masked
from ..base.models import Secret
from ..base.secret_in_response import SecretInResponse
from ..config.config import XWMSConfig
from ..config.secret_sources import SecretFromCallable
from ..http.messages import COMMON_HEADERS, Request, Response
from .responses import refusal

MIN_LENGTH: Final = 12
"""Characters. A shorter text is found by chance, once its escapes and base64 are looked for too."""

_FETCHED_AGAIN: Final = 60
"""Seconds after which a function of the application is asked for its secret again."""

_MAX_VALUES: Final = 16
"""Secrets that are remembered for one client: those that a source gave before are still secrets."""

_INFLATED: Final = 1 << 16
"""Bytes that are decompressed at once."""

_WINDOWS: Final = {"gzip": (31,), "x-gzip": (31,), "deflate": (zlib.MAX_WBITS, -zlib.MAX_WBITS)}
"""How to decompress a Content-Encoding (`wbits`). For deflate servers send zlib's format, and also that without it."""

_EVENT_STREAM: Final = "text/event-stream"

_Patterns = Callable[[], list[tuple[str, LeakPatterns]]]
"""What to look for now, each with the name of its secret."""


class LeakGuard:
    """Knows the secrets of some clients. It holds them, and neither prints nor pickles them."""

    __slots__ = ("_configs", "_due", "_known", "_told")

    def __init__(self, configs: Sequence[XWMSConfig]) -> None:
        self._configs = tuple(configs)
        self._known: dict[Secret, tuple[str, LeakPatterns]] = {}
        self._due: dict[int, float] = {}
        self._told: set[str] = set()

    def __repr__(self) -> str:
        return "LeakGuard()"

    def __reduce_ex__(self, protocol: object) -> str:
        raise TypeError("a LeakGuard cannot be pickled: it holds secrets")

    def patterns(self) -> list[tuple[str, LeakPatterns]]:
        """What to look for now, each with the name of its secret. A source of secrets is asked again."""
        current: set[Secret] = set()
        for number, config in enumerate(self._configs):
            if config.missing:
                continue
            of_client = f" of client {number + 1}" if len(self._configs) > 1 else ""
            for key in config.session_keys:
                current.add(key)
                self._learn(key, f"a session secret{of_client}")
            try:
                if (secret := self._client_secret(config)) is not None:
                    current.add(secret)
                    self._learn(secret, f"the client secret{of_client}")
            except Exception:  # noqa: BLE001  a call to XWMS says what is wrong with the source
                self._tell_once(f"the client secret{of_client}, which its source does not give")
        self._forget_oldest(but=current)
        return list(self._known.values())

    def _client_secret(self, config: XWMSConfig) -> Secret | None:
        source, now = config.secret_source, time.monotonic()
        if isinstance(source, SecretFromCallable):
            if source.kept is not None:
                return source.kept
            if self._due.get(id(config), now) > now:
                return None
            self._due[id(config)] = now + _FETCHED_AGAIN
        return source()

    def _learn(self, secret: Secret, name: str) -> None:
        if secret in self._known:
            return
        if len(secret.reveal()) < MIN_LENGTH:
            self._tell_once(f"{name} is too short to look for")
            return
        self._known[secret] = name, LeakPatterns(secret)

    def _forget_oldest(self, *, but: set[Secret]) -> None:
        surplus = len(self._known) - _MAX_VALUES * len(self._configs)
        if surplus > 0:
            for old in [one for one in list(self._known) if one not in but][:surplus]:
                self._known.pop(old, None)

    def _tell_once(self, what: str) -> None:
        if what not in self._told:
            self._told.add(what)
            events.warning("leak_guard_cannot_read", what=what)

    def masked(self, text: str) -> str:
        """The text without the secrets, for the log."""
        return _masked(text, self.patterns())

    def check(self, data: bytes, *, where: str) -> None:
        """Raise `SecretInResponse` if a secret is in ``data``. ``where`` is for the log."""
        _check(data, self.patterns(), where)

    def check_headers(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Raise `SecretInResponse` if a secret is in the name or the value of a header."""
        patterns, headers = self.patterns(), list(headers)
        if not any(one.is_in(b"\n\n".join(part for header in headers for part in header)) for _, one in patterns):
            return
        for name, value in headers:
            shown = _masked(name.decode("latin-1"), patterns)
            _check(name, patterns, "the name of a header")
            _check(value, patterns, f"the header {shown}")
        raise SecretInResponse("in the headers")

    def body(self, headers: Iterable[tuple[bytes, bytes]]) -> "GuardedBody":
        """What the body of a response with these headers goes through."""
        named: dict[bytes, list[str]] = {}
        for name, value in headers:  # a header may stand in several lines (RFC 9110 5.3)
            named.setdefault(name.lower(), []).extend(one.strip() for one in value.decode("latin-1").lower().split(","))
        encodings = [one for one in named.get(b"content-encoding", ()) if one not in ("identity", "")]
        is_stream = any(one.startswith(_EVENT_STREAM) for one in named.get(b"content-type", ()))
        plain = GuardedBody(self.patterns, events_at_once=is_stream)
        if not encodings:
            return plain
        if len(encodings) == 1 and encodings[0] in _WINDOWS:
            return _CompressedBody(plain, encodings[0])
        self._tell_once(f"a body with Content-Encoding {self.masked(', '.join(encodings))}")
        return plain

    def messages(self) -> "GuardedBody":
        """What the messages of a websocket go through, each with `is_last`: none of them can be held back."""
        return GuardedBody(self.patterns, where="a message of a websocket")

    def refusal(self, found: SecretInResponse, config: XWMSConfig, request: Request) -> Response:
        """The response in place of one that has a secret in it. Writes the line of the log."""
        response = refusal(config, replace(request, path=self.masked(request.path)), found)
        try:
            self.check(response.body.encode(), where="the page in its place")
            self.check_headers((name.encode(), value.encode()) for name, value in response.header_list())
        except SecretInResponse:  # a name or a page of the application's own has it too
            plain = (("Content-Type", "text/plain; charset=utf-8"), *COMMON_HEADERS)
            return Response(status=found.status, headers=plain, body=f"{found.code}\n", error=found)
        return response

    def tell(self, found: SecretInResponse, path: str) -> None:
        """Write the line of the log for what has been cut off, and cannot be answered any more."""
        events.refused(SecretInResponse(f"{found.cause}; cut off there"), path=self.masked(path))


class GuardedBody:
    """Lets the pieces of a body through, but for an end that may be the beginning of a secret.

    The events of an event stream are not held back, since nobody knows when the next one comes; the one that would
    complete a secret is. A body may take long, so each piece is searched for the secrets that there are by then.
    """

    __slots__ = ("_events_at_once", "_kept", "_patterns", "_sent", "_where")

    def __init__(self, patterns: _Patterns, *, events_at_once: bool = False, where: str = "the body") -> None:
        self._patterns = patterns
        self._where = where
        self._kept = b""
        self._sent = 0  # bytes of what is kept
        self._events_at_once = events_at_once

    @property
    def held(self) -> int:
        """Bytes that have not been let through yet."""
        return len(self._kept) - self._sent

    def feed(self, piece: bytes, *, is_last: bool = False) -> bytes:
        """What may be sent now. Raises `SecretInResponse`."""
        patterns = self._patterns()
        data = self._kept + piece
        _check(data, patterns, self._where)
        held = 0
        if not is_last and not (self._events_at_once and data.endswith((b"\n\n", b"\r\n\r\n"))):
            held = max((one.begun_in(data) for _, one in patterns), default=0)
        end = max(len(data) - held, self._sent)
        let_through = data[self._sent : end]
        start = max(0, min(end, len(data) - max((one.reach for _, one in patterns), default=0)))
        self._kept, self._sent = data[start:], end - start
        return let_through


class _CompressedBody(GuardedBody):
    """A body in gzip or deflate. A compressed piece waits until nothing is held back of what was compressed."""

    __slots__ = ("_head", "_inflater", "_plain", "_waiting", "_windows")

    def __init__(self, plain: GuardedBody, encoding: str) -> None:
        super().__init__(list)
        self._plain = plain
        self._windows = iter(_WINDOWS[encoding])
        self._inflater: Any = zlib.decompressobj(next(self._windows))
        self._waiting = b""
        self._head = b""  # what has been taken, and has given nothing yet

    def feed(self, piece: bytes, *, is_last: bool = False) -> bytes:
        self._waiting += piece
        for part in self._inflated(piece):
            self._plain.feed(part)
        self._plain.feed(b"", is_last=is_last)
        if self._plain.held:
            return b""
        let_through, self._waiting = self._waiting, b""
        return let_through

    def _inflated(self, piece: bytes) -> Iterator[bytes]:
        has_more = False  # of what it has read already
        while (piece or has_more) and self._inflater is not None:
            try:
                part = self._inflater.decompress(piece, _INFLATED)
            except zlib.error:
                window = next(self._windows, None)
                # Where it is not what its header says, it is read as it stands.
                self._inflater = None if window is None else zlib.decompressobj(window)
                piece, self._head = self._head + piece, b""
                continue
            self._head = b"" if part else (self._head + piece)[:_INFLATED]
            yield part
            piece, has_more = self._inflater.unconsumed_tail, len(part) == _INFLATED
            if self._inflater.eof:
                piece, self._inflater = self._inflater.unused_data, zlib.decompressobj(31)  # gzip may have several
        if piece:
            yield piece


def _check(data: bytes, patterns: list[tuple[str, LeakPatterns]], where: str) -> None:
    for name, one in patterns:
        if (leak := next(one.find(data), None)) is not None:
            raise SecretInResponse(f"{name} is in {where}, {leak.form}")


def _masked(text: str, patterns: list[tuple[str, LeakPatterns]]) -> str:
    return masked(text.encode("utf-8", "surrogatepass"), (one for _, one in patterns)).decode("utf-8", "replace")
