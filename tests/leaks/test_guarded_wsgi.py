"""The leak guard and what PEP 3333 allows an application: two beginnings, `write`, and streams that end early."""

import sys
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from tests.leaks.guarded import CLIENT_SECRET, HTML, config, over_wsgi
from xwms_auth import SecretInResponse
from xwms_auth.wsgi import XWMSAuth

GET = {"REQUEST_METHOD": "GET", "PATH_INFO": "/"}


def test_an_error_after_a_response_has_begun_is_for_the_server_which_raises_it():
    """As PEP 3333 says of `start_response` with `exc_info`."""

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"." * 2000
        try:
            raise OSError("the application's own")
        except OSError:
            start_response("500 Oops", [], sys.exc_info())
        went_on.append("after the error")

    went_on: list[str] = []
    started: list[str] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        if started:
            raise exc_info[1]
        started.append(status)

    body = iter(XWMSAuth(app, config())({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, start_response))
    assert next(body) == b"." * 2000
    with pytest.raises(OSError, match="own"):
        next(body)
    assert (started, went_on) == (["200 OK"], [])


@pytest.mark.parametrize("fails", [False, True])
def test_the_last_beginning_is_the_one_that_the_server_gets_with_its_error_if_it_has_one(fails):
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("X-First", "1")])
        if fails:
            try:
                raise OSError("the application's own")
            except OSError:
                start_response("500 Oops", [("X-Second", "2")], sys.exc_info())
        return [b"body"]

    got: list[Any] = []
    assert b"".join(XWMSAuth(app, config())({**GET}, lambda *given: got.append(given))) == b"body"
    assert len(got) == 1
    status, headers, *error = got[0]
    assert (status, headers[0]) == (("500 Oops", ("X-Second", "2")) if fails else ("200 OK", ("X-First", "1")))
    assert [one[0] for one in error] == [OSError] * fails


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("before", [b"", b"." * 2000])
def test_nothing_more_is_sent_of_what_has_been_cut_nor_asked_of_a_stream(write, before):
    asked: list[str] = []

    def pieces() -> Iterator[bytes]:
        if before:
            yield before
        yield CLIENT_SECRET.encode()
        asked.append("more")
        yield b"more"

    sent = over_wsgi(pieces(), [HTML], config(), write=write)
    assert bool(sent.cut) is bool(before)
    assert before.startswith(sent.body) or not before
    # What writes ends by itself: an error that is raised there would have the secret in its traceback.
    assert asked == ["more"] * write


@pytest.mark.parametrize(("pieces", "sent"), [([], []), ([b""], []), ([b"q7"], [b"q7"])])
def test_a_stream_of_little_or_nothing_begins_all_the_same(pieces, sent):
    started: list[str] = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("204 No Content", [])
        yield from pieces

    assert list(XWMSAuth(app, config())({**GET}, lambda status, *_: started.append(status))) == sent
    assert started == ["204 No Content"]


def test_an_empty_write_sends_the_headers():
    seen: list[list[str]] = []
    started: list[str] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [])
        write(b"q7")  # may be the beginning of a secret
        seen.append(list(started))
        write(b"")
        seen.append(list(started))
        return []

    def start(status: str, *_: Any) -> Any:
        started.append(status)
        return written.append

    written: list[bytes] = []
    rest = XWMSAuth(app, config())({**GET}, start)
    assert b"".join([*written, *rest]) == b"q7"
    assert seen == [[], ["200 OK"]]


def test_a_body_before_any_headers_is_for_the_server_to_refuse():
    body = XWMSAuth(lambda environ, start_response: iter([b"body"]), config())({**GET}, lambda *_: None)
    assert list(body) == [b"body"]


def test_what_is_raised_where_an_old_application_is_cut_off_holds_no_secret():
    """SE-05: a crash report has the local variables of each frame."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [])
        write(b"." * 2000)
        write(CLIENT_SECRET.encode())
        return []

    with pytest.raises(SecretInResponse) as caught:
        XWMSAuth(app, config())({**GET}, lambda *_: lambda data: None)
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    ours = [repr(frame.locals) for frame in frames if "/xwms_auth/" in frame.filename]
    assert ours
    assert [one for one in ours if CLIENT_SECRET[:8] in one] == []


def test_the_page_in_place_of_a_response_does_not_wait_for_the_body_of_the_request():
    """The application may have read it, and a server that is asked for more waits for the visitor."""

    class Read:
        def read(self, *_: object) -> bytes:
            raise AssertionError("it has been read")

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [CLIENT_SECRET.encode()]

    form = {"CONTENT_TYPE": "application/x-www-form-urlencoded", "CONTENT_LENGTH": "3", "wsgi.input": Read()}
    started: list[str] = []
    posted = {**GET, **form, "REQUEST_METHOD": "POST"}
    body = b"".join(XWMSAuth(app, config())(posted, lambda status, *_: started.append(status)))
    assert started == ["500 Internal Server Error"]
    assert CLIENT_SECRET.encode() not in body
