"""UT-17: a connection is used again only if it held one whole answer and nothing else."""

import asyncio
import select
from collections.abc import Iterable

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.tools.clients import Client, both, config, info
from tests.tools.fake_xwms import FakeXWMS, ask
from xwms_auth import AsyncXWMSClient, Timeout
from xwms_auth._core.base.effects import ApiCall
from xwms_auth._core.io.connections import MAX_INSPECTED, ResponseTap
from xwms_auth._core.io.deferred import AsyncDeferredTransport

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
COUNTED = HEAD + b"Content-Length: 2\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


WHOLE = [
    COUNTED + b"{}",
    CHUNKED + b"2\r\n{}\r\n0\r\n\r\n",
    CHUNKED + b"0\r\n\r\n",
    CHUNKED + b'002;a=b;c="d"\r\n{}\r\n0;end\r\n\r\n',
    HEAD + b"content-LENGTH:2 \t\r\n\r\n{}",
    COUNTED.replace(b" OK", b"") + b"{}",
]


def test_one_whole_answer_is_exact_however_it_is_cut():
    for answer in WHOLE:
        for cut in range(len(answer)):
            tap = ResponseTap()
            tap.begin_request()
            tap.received(answer[:cut])
            assert not tap.reusable, (answer, cut)
            tap.received(answer[cut:])
            assert tap.reusable, (answer, cut)


ANYTHING_ELSE = [
    COUNTED + b"{}" + COUNTED + b"{}",
    COUNTED + b"{}\n",
    CHUNKED + b"2\r\n{}\r\n0\r\n\r\n" + CHUNKED + b"2\r\n{}\r\n0\r\n\r\n",
    CHUNKED + b"2\r\n{}\r\n0\r\nX-Trailer: 1\r\n\r\n",
    CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
    CHUNKED + b"-1\r\n{}\r\n0\r\n\r\n",
    *(CHUNKED + size + b"\r\n{}\r\n0\r\n\r\n" for size in (b"+2", b" 2", b"2 ", b"-2", b"0x2", b"0_2", b"", b"\xb2")),
    CHUNKED + b"10\r\n{}\r\n0\r\n\r\n",
    CHUNKED + b"f" * 5000 + b"\r\n{}\r\n0\r\n\r\n",
    CHUNKED + b"2\r\n{}xx0\r\n\r\n",
    CHUNKED + b"2\r\n{}\r\n-0\r\n\r\n",
    CHUNKED + b"2\r\n{}\r\n0\r\n\r\n\n",
    *(
        HEAD + b"Content-Length: " + length + b"\r\n\r\n{}"
        for length in (
            b"+2",
            b"2,2",
            b"2, 2",
            b"0x2",
            b"2_",
            b"-2",
            b"",
            b"\x0b2",
            b"2\x0c",
            b"0" * 5000 + b"2",
            b"1",
        )
    ),
    *(
        HEAD + b"Transfer-Encoding: " + coding + b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
        for coding in (b"gzip, chunked", b"chunked, chunked", b"chunked\r\nTransfer-Encoding: gzip", b"xchunked")
    ),
    HEAD + b"X: a\nContent-Length: 0\n\nContent-Length: 2\r\n\r\n{}",
    HEAD + b"Content-Length: 2\r\n 5\r\n\r\n{}",
    HEAD + b"Content-Length : 2\r\nContent-Length: 2\r\n\r\n{}",
    HEAD + b"no field\r\nContent-Length: 2\r\n\r\n{}",
    COUNTED.replace(b"200 OK", b"204 No Content") + b"{}",
    COUNTED.replace(b"200 OK", b"304 Not Modified") + b"{}",
    COUNTED.replace(b"200 OK", b"103 Early Hints") + b"{}",
    COUNTED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"{}",
    COUNTED.replace(b" OK", b" OK\0") + b"{}",
    b"\r\n" + COUNTED + b"{}",
    HEAD + b"\r\n{}",
    HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    b"HTTP/1.1 100 Continue\r\n\r\n" + COUNTED + b"{}",
    b"",
]


def test_anything_else_is_not():
    for answer in ANYTHING_ELSE:
        tap = ResponseTap()
        tap.received(answer)
        assert not tap.reusable, answer


def test_a_new_question_begins_anew():
    tap = ResponseTap()
    tap.received(COUNTED + b"{}")
    tap.begin_request()
    assert not tap.reusable
    tap.received(COUNTED + b"{}")
    assert tap.reusable


def test_an_answer_that_is_longer_than_what_is_read_is_not_exact():
    tap = ResponseTap()
    long = HEAD + b"Content-Length: %d\r\n\r\n" % MAX_INSPECTED
    for piece in (long, b"x" * (MAX_INSPECTED // 2), b"x" * (MAX_INSPECTED // 2), b"x"):
        tap.received(piece)
    assert not tap.reusable
    tap.begin_request()
    tap.received(COUNTED + b"{}")
    assert tap.reusable


@both
def test_where_the_system_has_no_poll_a_connection_is_kept_until_it_has_ended(
    fx: FakeXWMS, client: Client, monkeypatch: pytest.MonkeyPatch
):
    """As on Windows."""
    monkeypatch.delattr(select, "poll")

    def end(_: object) -> object:
        fx.drop_connections()
        return nothing() if client.__name__.startswith("Async") else None

    async def nothing() -> None: ...

    ask(client, config(fx), info, info, end, info)
    assert [request.connection for request in fx.to("info")] == [1, 1, 2]


# --- beside the library that reads the answer ---


def is_one_answer(data: bytes) -> bool:
    """Whether h11 reads one answer to a POST out of this and nothing is left."""
    reader = h11.Connection(h11.CLIENT)
    reader.send(h11.Request(method="POST", target="/", headers=[("Host", "xwms.nl"), ("Content-Length", "0")]))
    reader.send(h11.EndOfMessage())
    reader.receive_data(data)
    heads = 0
    try:
        while not isinstance(event := reader.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                return False
            heads += isinstance(event, h11.Response | h11.InformationalResponse)
    except h11.RemoteProtocolError:
        return False
    return heads == 1 and reader.trailing_data[0] == b""


PIECES = [
    *(b"HTTP/1.1 200 OK", b"HTTP/1.1 204 x", b"HTTP/1.1 304", b"HTTP/1.1 100 Continue", b"HTTP/1.0 200 OK"),
    *(b"Content-Length: ", b"Content-Length:", b"Transfer-Encoding: ", b"chunked", b"gzip, ", b"X: y"),
    *(b"Connection: close", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b";a=b", b"{}", b"0x", b"10", b"\xb2"),
    *(bytes([char]) for char in b"+- \t_,;0123ax\0"),
]


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """An answer that is right but for what is put in, taken out, or done twice."""
    body = draw(st.binary(max_size=20) | st.sampled_from([b"{}", b"0\r\n\r\n"]))
    if draw(st.booleans()):
        framed = [b"Content-Length: ", b"%d" % len(body), b"\r\n", b"\r\n", body]
    else:
        cut = draw(st.integers(0, len(body)))
        chunks: Iterable[bytes] = filter(None, (body[:cut], body[cut:]))
        framed = [b"Transfer-Encoding: ", b"chunked", b"\r\n", b"\r\n"]
        for chunk in chunks:
            framed += [b"%x" % len(chunk), b"\r\n", chunk, b"\r\n"]
        framed += [b"0", b"\r\n", b"\r\n"]
    parts = [b"HTTP/1.1 200 OK", b"\r\n", *framed]
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(parts)))
        parts[at : at + draw(st.integers(0, 1))] = draw(st.lists(st.sampled_from(PIECES), max_size=2))
    return b"".join(parts)


@given(answers() | st.lists(st.sampled_from(PIECES)).map(b"".join))
@example(COUNTED.replace(b"200", b"204") + b"{}")
@example(CHUNKED + b"+2\r\n{}\r\n0\r\n\r\n")
def test_whatever_is_exact_is_one_answer_to_the_library_too(data):
    """UT-17"""
    tap = ResponseTap()
    tap.received(data)
    assert not tap.reusable or is_one_answer(data)


@given(st.data())
def test_a_right_answer_is_exact_to_both(data):
    """UT-17: so that the property above is about something."""
    body = data.draw(st.binary(max_size=200))
    size = data.draw(st.integers(1, 50))
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    for answer in (HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body, CHUNKED + chunked):
        tap = ResponseTap()
        tap.received(answer)
        assert tap.reusable
        assert is_one_answer(answer)


def test_what_was_never_used_may_be_closed(fx: FakeXWMS):
    asyncio.run(AsyncXWMSClient(config(fx)).aclose())
    asyncio.run(AsyncDeferredTransport(config(fx)).aclose())
    assert fx.connections == 0


def test_a_call_whose_time_is_over_before_it_begins_is_not_sent(fx: FakeXWMS):
    sender = AsyncDeferredTransport(config(fx))
    with pytest.raises(Timeout) as late:
        asyncio.run(sender.send(ApiCall("GET", "info", seconds=0)))
    assert not late.value.sent
    assert fx.requests == []
