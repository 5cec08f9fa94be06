"""Does a connection hold exactly one answer?

Where an answer ends is XWMS's word (RFC 9112 6.3). If more bytes came with it, an HTTP library keeps them for the next
question on that connection: a proxy that is out of step by one answer would then hand each person's login to the next.
So a connection is used again only if the bytes that came make one whole answer and nothing else.

Knows: the framing of HTTP/1.1 answers.
Must not: be what reads the answer; it looks at the bytes beside the library that does, and when in doubt says no.
"""

MAX_SEEN = 2 * 1024 * 1024
"""Bytes looked at. The longest answer that is read has half of it; a connection that brings more is not used again."""


class Tap:
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
        fields = [line.partition(b":") for line in head.split(b"\r\n")[1:]]
        lengths = [value.strip() for name, _, value in fields if name.lower() == b"content-length"]
        codings = [value.strip().lower() for name, _, value in fields if name.lower() == b"transfer-encoding"]
        if not separator:
            return False
        if len(lengths) == 1 and not codings:
            return lengths[0].isdigit() and len(body) == int(lengths[0])
        return codings == [b"chunked"] and not lengths and _is_one_chunked_body(body)


def _is_one_chunked_body(body: bytes) -> bool:
    at = 0
    while True:
        end = body.find(b"\r\n", at)
        try:
            size = int(body[at:end].partition(b";")[0], 16) if end >= 0 else -1
        except ValueError:
            size = -1
        if size <= 0:
            # The last chunk, and no trailer fields: nobody sends us any.
            return size == 0 and body[end:] == b"\r\n\r\n"
        at = end + 2 + size + 2
