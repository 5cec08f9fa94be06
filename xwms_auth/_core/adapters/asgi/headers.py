"""The changes that our headers make to the message that starts an ASGI response (`cache_headers`)."""

from collections.abc import Callable, Iterable

from ...responses import cache_headers
from .messages import Message, Send, decoded, encoded

# Most responses have no header about caches, and then get the same ones, encoded once.
_PLAIN_NAMES = frozenset((b"content-length", b"content-type"))
_CACHE_HEADERS = tuple(ending.encode() for ending in cache_headers.NAME_ENDINGS)
_USUAL_HEADERS = {
    signed_in: encoded(cache_headers.for_session((), signed_in=signed_in).added) for signed_in in (True, False)
}
_USUAL_TOKEN_HEADERS = encoded(cache_headers.for_token(()).added)


def with_listed_headers(start: Message) -> Message:
    """The message, with headers that can be read more than once: ASGI allows any iterable, so also a generator.

    Lost headers: Sanic passes a generator, and whoever reads it leaves nothing for the server.
    """
    headers = start.get("headers", ())
    return start if type(headers) is list else {**start, "headers": list(headers)}


def is_event_stream(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the headers of this response do not wait for its body (`cache_headers.is_streamed`)."""
    for name, value in headers:
        if name == b"content-type" or (name not in _PLAIN_NAMES and name.lower() == b"content-type"):
            return value[:17].lower() == b"text/event-stream"
    return False


def _concern_caches(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """As `cache_headers.concern_caches`, for headers that are not decoded."""
    for name, _ in headers:  # noqa: SIM110  as there
        if name not in _PLAIN_NAMES and name.lower().endswith(_CACHE_HEADERS):
            return True
    return False


def usual(headers: list[tuple[bytes, bytes]], *, signed_in: bool) -> list[tuple[bytes, bytes]] | None:
    """The headers with ours if the response depends on the session; None if some of them concern caches already."""
    return None if _concern_caches(headers) else headers + _USUAL_HEADERS[signed_in]


def for_token(start: Message) -> Message:
    """The message of a response that was made for an access token."""
    headers = start.get("headers", ())
    if _concern_caches(headers):
        return edited(start, cache_headers.for_token(list(decoded(headers))))
    return {**start, "headers": [*headers, *_USUAL_TOKEN_HEADERS]}


def edited(start: Message, edit: cache_headers.Edit) -> Message:
    """The message with the changes, as a new one."""
    return {**start, "headers": [*edit.kept(start.get("headers", ())), *encoded(edit.added)]}


def never_stored(send: Send) -> Send:
    """A `send` for an answer that the application gives in place of a refusal."""
    return editing(send, cache_headers.for_unknown_session)


def editing(send: Send, edit_for: Callable[[cache_headers.Headers], cache_headers.Edit]) -> Send:
    """A `send` that makes the changes which `edit_for` finds for the headers of a response."""

    async def send_edited(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = with_listed_headers(message)
            message = edited(message, edit_for(decoded(message.get("headers", ()))))
        await send(message)

    return send_edited
