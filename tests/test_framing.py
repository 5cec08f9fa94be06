"""UT-17: a connection is used again only if it held one whole answer and nothing else."""

import pytest

from xwms_auth.framing import Tap

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
COUNTED = HEAD + b"Content-Length: 2\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("answer", [COUNTED + b"{}", CHUNKED + b"2\r\n{}\r\n0\r\n\r\n", CHUNKED + b"0\r\n\r\n"])
def test_one_whole_answer_is_exact_however_it_is_cut(answer):
    for cut in range(len(answer)):
        tap = Tap()
        tap.asked()
        tap.came(answer[:cut])
        assert not tap.exact
        tap.came(answer[cut:])
        assert tap.exact


@pytest.mark.parametrize(
    "answer",
    [
        COUNTED + b"{}" + COUNTED + b"{}",
        COUNTED + b"{}\n",
        CHUNKED + b"2\r\n{}\r\n0\r\n\r\n" + CHUNKED + b"2\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"2\r\n{}\r\n0\r\nX-Trailer: 1\r\n\r\n",
        CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"-1\r\n{}\r\n0\r\n\r\n",
        HEAD + b"\r\n{}",
        HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"HTTP/1.1 100 Continue\r\n\r\n" + COUNTED + b"{}",
        b"",
    ],
)
def test_anything_else_is_not(answer):
    tap = Tap()
    tap.came(answer)
    assert not tap.exact


def test_a_new_question_begins_anew():
    tap = Tap()
    tap.came(COUNTED + b"{}")
    tap.asked()
    assert not tap.exact
    tap.came(COUNTED + b"{}")
    assert tap.exact
