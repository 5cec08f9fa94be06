"""What the leak guard holds back of a stream until it knows whether a secret begins there, and what it lets through."""

import base64
import gzip
import zlib

import pytest

from tests.leaks.guarded import (
    ACCEPT,
    CLIENT_SECRET,
    CLOSED,
    HTML,
    SESSION_SECRET,
    config,
    over_websocket,
)

EVENTS = (b"content-type", b"text/event-stream")
IN_LINES = base64.b64encode(CLIENT_SECRET.encode())
CLEAN = b"." * 2000 + b" "


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("headers", [[HTML], [], [(b"content-type", b"text/plain"), (b"content-type", b"text/html")]])
def test_an_empty_line_lets_the_first_half_of_a_secret_through_in_an_event_stream_only(served, headers, end):
    pieces = [CLEAN, b"data: " + IN_LINES[:16] + end, IN_LINES[16:] + end]
    sent = served(pieces, headers, config())
    assert sent.cut
    assert IN_LINES[:8] not in sent.body
    assert served(pieces, [EVENTS], config()).body == pieces[0] + pieces[1]


@pytest.mark.parametrize("lines", [[b"text/event-stream; charset=utf-8"], [b"text/plain", b"TEXT/event-stream"]])
def test_an_event_stream_is_known_by_any_of_its_headers(served, lines):
    event = b"data: " + IN_LINES[:16] + b"\n\n"
    sent = served([event, IN_LINES[16:]], [(b"Content-Type", line) for line in lines], config())
    assert (bool(sent.cut), sent.body) == (True, event)


def test_half_an_event_is_held_back_as_half_of_anything_else(served):
    half = len(SESSION_SECRET) // 2
    events = [b"data: 1\n\n", f"data: {SESSION_SECRET[:half]}".encode(), f"{SESSION_SECRET[half:]}\n\n".encode()]
    sent = served(events, [EVENTS], config())
    assert sent.cut
    assert sent.body in (b"data: 1\n\n", b"data: 1\n\ndata: ")


def test_a_secret_in_the_longest_of_escapes_is_found_in_messages_of_a_letter_each():
    letters = [f"&amp;amp;#x00000{ord(letter):02x};" for letter in SESSION_SECRET]
    messages = [{"type": "websocket.send", "text": letter} for letter in letters]
    assert over_websocket(ACCEPT, *messages).messages == [ACCEPT, *messages[:-1], CLOSED]


# --- compressed bodies ---


def packed(*pieces: bytes, wbits: int = 31) -> list[bytes]:
    """The same pieces compressed, each so that it can be read when it arrives."""
    packer = zlib.compressobj(wbits=wbits)
    written = [packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH) for piece in pieces[:-1]]
    return [*written, packer.compress(pieces[-1]) + packer.flush()]


GZIP = [HTML, (b"content-encoding", b"gzip")]


@pytest.mark.parametrize("how", [{}, {"write": True}], ids=["pieces", "write"])
def test_a_compressed_piece_with_half_a_secret_waits_for_the_next_one(served, how):
    half, rest = CLIENT_SECRET[:13].encode(), CLIENT_SECRET[13:].encode()
    pieces = packed(CLEAN, half, rest)
    sent = served(pieces, GZIP, config(), **how)
    assert sent.cut.startswith("SecretInResponse")
    assert sent.body == pieces[0]
    for clean in (packed(CLEAN, half, b"and no more"), packed(CLEAN, b"and " + half)):
        assert served(clean, GZIP, config(), **how).body == b"".join(clean)


def test_a_compressed_body_that_breaks_off_behind_a_secret_is_read_to_the_end(served):
    """What is decompressed at once ends within the secret, and nothing of the body is left to be read by then."""
    half, rest = CLIENT_SECRET[:13].encode(), CLIENT_SECRET[13:].encode()
    text = (rest + b"..." + half + rest).rjust((1 << 16) + 5, b".")
    (body,) = packed(text)
    cut = next(end for end in range(len(body)) if zlib.decompressobj(31).decompress(body[:end]) == text)
    assert served([body[:cut]], GZIP, config(), whole=list).status == 500


@pytest.mark.parametrize("end", ["in clear, as if it were deflate", "in a second part", "in a second part, far apart"])
def test_what_follows_the_end_of_a_compressed_body_is_read_too(served, end):
    secret, body = SESSION_SECRET.encode(), gzip.compress(b"a")
    if end == "in clear, as if it were deflate":
        body += b"x^" + secret
    else:
        apart = "".join(map(str, range(5500 if "far" in end else 9))).encode()  # 20 kB, of the 32 that gzip knows
        body += gzip.compress(apart * 4 + secret)
    assert served([body], GZIP, config(), whole=list).status == 500


@pytest.mark.parametrize("encoding", [b"br", b"gzip, br"])
def test_a_body_that_cannot_be_opened_is_read_as_it_stands(served, encoding):
    assert served([CLIENT_SECRET.encode()], [HTML, (b"content-encoding", encoding)], config(), whole=list).status == 500
