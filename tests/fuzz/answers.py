"""Raw answers of a server: head, framing and body as h11 reads them, and the JSON in them as pydantic's parser does."""

import re
from collections.abc import Collection
from typing import Any, Final, TypeAlias

import h11
import pydantic_core

from tests.fuzz.house import http_answer
from xwms_auth._core.base.strict_json import parse_json_object

MARK: Final = "zyxqv_mark"
"""A word of the server's messages, which nobody may be shown and no log may have."""

FAILURES: Final = frozenset(
    {
        "credentials_rejected",
        "redirect_not_registered",
        "client_disabled",
        "xwms_unreachable",
        "xwms_timeout",
        "xwms_bad_answer",
    }
)
HALF_PAIR: Final = re.compile(rb"\\u[dD][89a-fA-F]")
MAX_BODY: Final = 65_536


def framed(data: bytes) -> bytes:
    """The answer itself, or one with this body: in most answers only the body is odd."""
    return data if data.startswith((b"HTTP/", b"SSH-", b"\r\n")) or not data else http_answer(data)


Answered: TypeAlias = tuple[int, list[tuple[bytes, bytes]], bytes]
"""Status, headers and body."""


def body_of(answer: bytes) -> Answered | None:
    """The final response in these bytes as h11 reads them; None if there is no whole one."""
    reader = h11.Connection(h11.CLIENT)
    reader.send(h11.Request(method="POST", target="/", headers=[("Host", "xwms.nl"), ("Content-Length", "0")]))
    reader.send(h11.EndOfMessage())
    reader.receive_data(answer)
    reader.receive_data(b"")
    body, head = b"", None
    try:
        while not isinstance(event := reader.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.Response):
                head = event
            elif not isinstance(event, h11.InformationalResponse):
                return None
    except h11.RemoteProtocolError:
        return None
    return None if head is None else (head.status_code, list(head.headers), body)


def response_of(data: bytes) -> tuple[int, str, bytes]:
    """Status, content type and body of an answer without HTTP: the first two in a first line, if there is one."""
    head, _, body = data.partition(b"\n") if data[:1].isdigit() else (b"200 application/json", b"", data)
    status, _, kind = head.decode("latin-1").partition(" ")
    return int(status) if re.fullmatch("[1-5][0-9]{2}", status, re.ASCII) else 200, kind, body


def object_of(found: Answered | None, *, types: Collection[str] = ("application/json",)) -> dict[str, Any] | None:
    """The JSON object of a 200 of one of these types, or None; of two equal keys the last one."""
    if found is None or found[0] != 200:
        return None
    named = [value for name, value in found[1] if name == b"content-type"]
    encodings = [value.strip().lower() for name, value in found[1] if name == b"content-encoding"]
    kind = named[-1].partition(b";")[0].strip().lower().decode("latin-1") if named else ""
    if kind not in types or set(encodings) - {b"", b"identity"}:
        return None
    try:
        parsed = pydantic_core.from_json(found[2], allow_inf_nan=False)
    except ValueError:
        # Half of a surrogate pair in a name or a claim, which RFC 8259 8.2 leaves to the reader. Ours drops the claim.
        parsed = parse_json_object(found[2]) if HALF_PAIR.search(found[2]) else None
    return parsed if isinstance(parsed, dict) else None


def id_of(value: object) -> str | None:
    """An id as docs/security.md has a `sub`: printable text of at most 255 characters, or the digits of a number."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**255:
        return str(value)
    is_text = isinstance(value, str) and 1 <= len(value) <= 255 and value.isprintable() and value.strip()
    return value if is_text and isinstance(value, str) else None
