"""Does a connection hold exactly one answer?

Where an answer ends is XWMS's word (RFC 9112 6.3). If more bytes came with it, an HTTP library keeps them for the next
question on that connection: a proxy that is out of step by one answer would then hand each person's login to the next.
So a connection is used again only if the bytes that came make one whole answer and nothing else.

Knows: the framing of HTTP/1.1 answers.
Must not: be what reads the answer; it looks at the bytes beside the library that does, and when in doubt says no.
"""

import re

MAX_SEEN = 2 * 1024 * 1024
"""Bytes looked at. The longest answer that is read has half of it; a connection that brings more is not used again."""


# Answers with a body, to the only kinds of questions that are asked: 1xx, 204 and 304 have none, whatever they say.
_STATUS = re.compile(rb"HTTP/1\.1 (?:2(?!04)|3(?!04)|[45])[0-9]{2}(?: [^\r\n]*)?")
# Every line of the head as RFC 9112 5 has it: what is folded, or ends in a lone CR or LF, two readers read differently.
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*)")
# What int() would also take is no length: signs, spaces, underscores, 0x.
_LENGTH = re.compile(rb"[0-9]{1,16}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[^\r\n]*)?")


class ResponseTap:
    """The bytes of one answer as they came. `exact` tells whether they are one whole answer and nothing else."""

    def __init__(self) -> None:
        self._seen = bytearray()

    def asked(self) -> None:
        """A question is being sent: what comes from now on is its answer."""
        self._seen.clear()

    def came(self, data: bytes) -> None:
        """Some bytes came."""
        if len(self._seen) <= MAX_SEEN:
            self._seen += data

    @property
    def exact(self) -> bool:
        """Whether a next question may be asked on this connection."""
        if len(self._seen) > MAX_SEEN:
            return False
        head, separator, body = bytes(self._seen).partition(b"\r\n\r\n")
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
            # The last chunk, and no trailer fields: nobody sends us any.
            return body[end:] == b"\r\n\r\n"
        at = end + 2 + size + 2
        if body[at - 2 : at] != b"\r\n":
            return False
