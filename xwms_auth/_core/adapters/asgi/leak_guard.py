"""The leak guard around what an ASGI application sends, over HTTP and in websockets."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

from ...base.secret_in_response import SecretInResponse
from ...config.config import XWMSConfig
from .headers import is_event_stream
from .messages import INTERNAL_ERROR, Message, Scope, Send, discard, request_of, send_response

if TYPE_CHECKING:
    from ...responses.leak_guard import GuardedBody, LeakGuard

_UNREAD = ("http.response.pathsend", "http.response.zerocopysend")
"""Extensions by which a server sends a file that nobody here has read. An application sends it in pieces without."""


def guarded_send(guard: "LeakGuard | None", config: XWMSConfig, scope: Scope, send: Send) -> Send:
    """The `send` that lets through what an application sends as long as no secret is in it."""
    if guard is None:
        return send
    if extensions := scope.get("extensions"):
        scope["extensions"] = {name: options for name, options in extensions.items() if name not in _UNREAD}
    return _Guarded(guard, config, scope, send).send


class _Guarded:
    """One response or websocket. The start of a response waits, so that a page can still take its place."""

    def __init__(self, guard: "LeakGuard", config: XWMSConfig, scope: Scope, send: Send) -> None:
        self._guard, self._config, self._scope, self._send = guard, config, scope, send
        self._held: Message | None = None
        self._body: GuardedBody | None = None
        self._has_started = False
        # Of a websocket, what was sent as text and what as bytes.
        self._streams: dict[str, GuardedBody] = {}

    async def send(self, message: Message) -> None:
        """Send a message, or what takes its place."""
        found = await self._sent(message)
        del message  # a crash report of what is raised next would have it
        if found is not None:
            await self._stop(found.cause)

    async def _sent(self, message: Message) -> SecretInResponse | None:
        kind = message["type"].rpartition("response.")[2]
        try:
            if kind == "start":
                await self._start(message)
            elif kind == "body":
                await self._pass(message)
            elif kind == "websocket.send":
                self._check_sent(message)
                await self._send(message)
            else:
                message = _settled(message)
                for data in _data_in(message):
                    self._guard.check(data, where=f"the message {message['type']}")
                await self._send(message)
        except SecretInResponse as found:
            return found
        return None

    async def _start(self, message: Message) -> None:
        headers = [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]
        self._guard.check_headers(headers)
        self._held, self._body = {**message, "headers": headers}, self._guard.body(headers)
        if is_event_stream(headers):
            await self._release()  # nobody knows when the first event comes

    async def _pass(self, message: Message) -> None:
        piece, has_more = bytes(message.get("body", b"")), bool(message.get("more_body", False))
        passed = piece if self._body is None else self._body.feed(piece, is_last=not has_more)
        if passed or not piece:  # all of the last piece passes
            await self._release()
            await self._send({**message, "body": passed})

    async def _release(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._has_started = True
            await self._send(held)

    def _check_sent(self, message: Message) -> None:
        """A message cannot be held back. One that would complete a secret does not leave."""
        for name in ("text", "bytes"):
            if (data := message.get(name)) is not None:
                if name not in self._streams:
                    self._streams[name] = self._guard.messages()
                piece = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else bytes(data)
                self._streams[name].feed(piece, is_last=True)

    async def _stop(self, cause: str) -> None:
        send, self._send = self._send, discard
        found = SecretInResponse(cause)
        if not self._has_started and self._scope["type"] == "http":
            await send_response(self._guard.refusal(found, self._config, request_of(self._scope)), send)
            return
        self._guard.tell(found, self._scope["path"])
        if self._has_started:
            raise found  # the server closes the connection, so that nobody takes what was sent for the whole
        await send({"type": "websocket.close", "code": INTERNAL_ERROR, "reason": found.code})


def _settled(value: Any) -> Any:
    """The same with lists for what can be walked through only once, such as the headers of a generator."""
    if isinstance(value, dict):
        return {name: _settled(one) for name, one in cast("dict[object, object]", value).items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | bytearray | memoryview):
        settled = [_settled(one) for one in cast("Iterable[object]", value)]
        return tuple(settled) if isinstance(value, tuple) else settled
    return cast("object", value)


def _data_in(value: Any) -> Iterator[bytes]:
    """All text and bytes in a message that is settled."""
    if isinstance(value, bytes | bytearray | memoryview):
        yield bytes(cast("bytes", value))
    elif isinstance(value, str):
        yield value.encode("utf-8", "surrogatepass")
    elif isinstance(value, dict):
        yield from _data_in([part for item in cast("dict[object, object]", value).items() for part in item])
    elif isinstance(value, list | tuple):
        for one in cast("list[Any]", value):
            yield from _data_in(one)
