"""Response desynchronisation: a connection is reused only if it carried exactly one complete response.

XWMS defines where a response ends (RFC 9112 6.3). If more bytes follow it, an HTTP library keeps them for the next
request on that connection: a proxy that is off by one response would then deliver each user's login to the next user.
So a connection is reused only if the received bytes are one complete response and nothing else.

The HTTP library parses the response; this module only checks the same bytes, and when in doubt says no.
"""

import re

MAX_INSPECTED = 2 * 1024 * 1024
"""Bytes that are inspected. The longest response that is read has half of it; after more, the connection is dropped."""


# Responses that have a body, to the methods that are used (GET, POST): 1xx, 204 and 304 have none, whatever they claim.
_STATUS = re.compile(rb"HTTP/1\.1 (?:2(?!04)|3(?!04)|[45])[0-9]{2}(?: [^\r\n]*)?")
# A field line as in RFC 9112 5. Parsers disagree about folded lines and about a lone CR or LF as line end.
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*)")
# Not int(), which also accepts signs, spaces, underscores and 0x.
_LENGTH = re.compile(rb"[0-9]{1,16}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[^\r\n]*)?")


class ResponseTap:
    """Records the bytes received for one request, to tell whether they are one complete response and nothing else."""

    def __init__(self) -> None:
        self._received = bytearray()

    def begin_request(self) -> None:
        """Start over: the bytes received from now on are the response to a new request."""
        self._received.clear()

    def received(self, data: bytes) -> None:
        """Record received bytes."""
        if len(self._received) <= MAX_INSPECTED:
            self._received += data

    @property
    def reusable(self) -> bool:
        """Whether the connection may carry another request."""
        if len(self._received) > MAX_INSPECTED:
            return False
        head, separator, body = bytes(self._received).partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        fields = [found for line in lines if (found := _FIELD.fullmatch(line))]
        if not separator or len(fields) != len(lines) or not _STATUS.fullmatch(status):
            return False
        lengths = [found[2].rstrip(b" \t") for found in fields if found[1].lower() == b"content-length"]
        codings = [found[2].rstrip(b" \t").lower() for found in fields if found[1].lower() == b"transfer-encoding"]
        if len(lengths) == 1 and not codings:
            return _LENGTH.fullmatch(lengths[0]) is not None and len(body) == int(lengths[0])
        return codings == [b"chunked"] and not lengths and _is_one_chunked_body(body)


def _is_one_chunked_body(body: bytes) -> bool:
    at = 0
    while True:
        end = body.find(b"\r\n", at)
        line = _CHUNK_SIZE.fullmatch(body, at, end) if end >= 0 else None
        if line is None:
            return False
        size = int(line[1], 16)
        if size == 0:
            # The last chunk. Trailer fields are not accepted: XWMS sends none.
            return body[end:] == b"\r\n\r\n"
        at = end + 2 + size + 2
        if body[at - 2 : at] != b"\r\n":
            return False
