"""Pictures that are made to hurt: an answer without an end."""

import time
from contextlib import suppress
from typing import Any

import pytest

from xwms_auth.accounts import PictureError


def endless(chunk: bytes, *, first: bytes = b"") -> Any:
    def serve(peer: Any) -> None:
        with suppress(OSError):  # the mirror has left
            peer.sendall(first)
            while True:
                peer.sendall(chunk)

    return serve


@pytest.mark.parametrize(
    ("first", "chunk"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 50),
        (b"HTTP/1.1 200 OK\r\n", b"X-Header: value\r\n" * 50),
        (b"HTTP/1.1 200 OK\r\nX: ", b"a" * 1000),
        (b"HTTP/1.1 ", b"2" * 1000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"a" * 1000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: value\r\n" * 50),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", b"\x1f\x8b\x08" * 100),
    ],
    ids=["100", "103", "headers", "header", "status", "chunk extension", "tiny chunks", "trailers", "gzip"],
)
def test_an_answer_that_never_ends_ends(make_mirror, server, first, chunk):
    server.routes["/a.png"] = endless(chunk, first=first)
    began = time.monotonic()
    with pytest.raises(PictureError):
        make_mirror(timeout=1.5).fetch("http://pictures.example/a.png")
    assert time.monotonic() - began < 4
