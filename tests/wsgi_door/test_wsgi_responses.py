"""What a WSGI server is told of a response, by hand: when it begins, which headers it has, and what takes its place."""

import sys
from typing import Any

import pytest

from tests.tools.site import PROGRAM
from tests.wsgi_door.by_hand import DUE, NOW, SIGNS_OF_ACTIVITY, TEXT, Server, who
from xwms_auth import StoreUnavailable
from xwms_auth.wsgi import current_user, passive, require_user


def statuses(server: Server, **more: Any) -> list[str]:
    server.call(**more)
    return [status for status, _, _ in server.started]


def test_a_second_start_without_an_error_is_for_the_server_to_refuse():
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        start_response("201 Created", TEXT)
        return [b"x"]

    assert statuses(Server(app)) == ["200 OK", "201 Created"]


@pytest.mark.parametrize("reads", [True, False])
def test_a_start_after_an_error_takes_the_place_of_one_that_was_not_sent_yet(reads):
    def app(environ: Any, start_response: Any) -> Any:
        if reads:
            assert current_user.sub == "17"
        start_response("200 OK", TEXT)
        try:
            raise LookupError
        except LookupError:
            start_response("404 Not Found", [("Content-Type", "text/plain"), ("X-Mine", "1")], sys.exc_info())
        return [b"x"]

    server = Server(app)
    assert statuses(server) == (["200 OK", "404 Not Found"] if reads else ["404 Not Found"])
    _, headers, exc_info = server.started[-1]
    assert exc_info[0] is LookupError
    assert (headers["x-mine"], "vary" in headers) == ("1", reads)


def test_headers_may_be_any_iterable_and_the_list_may_be_used_again():
    def app(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/any":
            start_response("200 OK", iter(TEXT))
        else:
            headers = [*TEXT]
            start_response("200 OK", headers)
            headers.clear()
        return [b"x"]

    server = Server(app)
    for path in ("/any", "/again"):
        assert server.call(PATH_INFO=path)[1] == {"content-type": "text/plain"}


@pytest.mark.parametrize("reads", ["before", "after", "never"])
@pytest.mark.parametrize("kind", ["text/plain", "Text/Event-Stream; charset=utf-8"])
def test_headers_wait_for_the_first_chunk_which_may_read_the_session_but_not_those_of_events(reads, kind):
    seen: list[int] = []

    def app(environ: Any, start_response: Any) -> Any:
        if reads == "before":
            assert current_user.sub == "17"
        start_response("200 OK", [("Content-Type", kind)])
        seen.append(len(server.started))
        if reads == "after":
            assert current_user.sub == "17"
        yield b"x"
        yield b"y"

    server = Server(app)
    _, headers, body = server.call()
    is_told = reads == "before" or (reads == "after" and kind == "text/plain")
    assert (headers.get("vary"), body) == ("Cookie" if is_told else None, b"xy")
    assert seen == [0 if kind == "text/plain" and reads != "before" else 1]


@pytest.mark.parametrize("way", ["chunk", "write"])
@pytest.mark.parametrize("first", [b"", b"x"])
def test_an_application_that_sends_its_headers_ahead_may_still_read_the_session(way, first):
    def app(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", TEXT)
        if way == "write":
            write(first)
            write(b"y")
            return [b"z"]
        return iter([first, b"y", b"z"])

    server = Server(app)
    _, headers, body = server.call()
    assert (body, len(server.started)) == (first + b"yz", 1)
    assert ("vary" in headers) is (first == b"")
    server.store.error = StoreUnavailable("x")
    status, headers, body = server.call()
    assert (status, body) == ("200 OK", first + b"yz")
    assert headers.get("cache-control") == ("no-store" if first == b"" else None)


def test_what_is_written_reaches_the_server_if_the_session_was_read_before_too():
    def app(environ: Any, start_response: Any) -> Any:
        sub = str(current_user.sub).encode()
        start_response("200 OK", TEXT)(sub)
        return []

    server = Server(app)
    assert server.call()[2] == b"17"


def test_a_second_start_after_a_first_chunk_is_for_the_server_at_once():
    """It raises the error then, since it cannot take back what is sent (PEP 3333)."""
    told: list[int] = []

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", TEXT)(b"x")
        start_response("500 Oops", TEXT, (LookupError, LookupError(), None))
        told.append(len(server.started))
        return [b"y"]

    server = Server(app)
    server.call()
    assert told == [2]


def test_a_body_without_a_chunk_has_its_headers_all_the_same():
    def app(environ: Any, start_response: Any) -> Any:
        start_response("204 No Content", TEXT)
        return iter(())

    assert statuses(Server(app)) == ["204 No Content"]


@pytest.mark.parametrize(("headers", "is_active"), SIGNS_OF_ACTIVITY)
def test_only_a_sign_of_an_active_person_renews_their_session(headers, is_active):
    server = Server(passive(who) if headers == "decorated" else who)
    server.clock.now = NOW + DUE
    _, given, body = server.call({**PROGRAM, **({} if headers == "decorated" else headers)})
    assert (body, "set-cookie" in given) == (b"17", is_active)


@pytest.mark.parametrize("again", [True, False])
def test_a_page_in_the_language_of_the_browser_says_so_whatever_else_it_is(again):
    def app(environ: Any, start_response: Any) -> Any:
        environ["xwms_auth.state"].vary_by_language()
        write = start_response("200 OK", TEXT)
        if again:
            write(b"x")
            start_response("200 OK", TEXT, (LookupError, LookupError(), None))
            return []
        return [b"x"]

    server = Server(app)
    _, headers, body = server.call()
    assert (headers["vary"], body) == ("Accept-Language", b"x")
    assert server.started[-1][2] == ((LookupError, server.started[-1][2][1], None) if again else None)


def test_a_body_of_a_list_or_a_file_reaches_the_server_as_it_is():
    class File:
        def __init__(self, chunks: Any) -> None:
            self.chunks = chunks

        def __iter__(self) -> Any:
            return iter(self.chunks)

    for given in ([b"x"], (b"x",), File([b"x"])):

        def app(environ: Any, start_response: Any, given: Any = given) -> Any:
            start_response("200 OK", TEXT)
            return given

        server = Server(app)
        body = server.auth(server.environ(**{"wsgi.file_wrapper": File}), server.start_response)
        assert (body is given, b"".join(body)) == (True, b"x")
        assert len(server.started) == 1


@pytest.mark.parametrize("wrapper", ["none", "a function", "another class"])
def test_any_other_body_is_made_for_the_person_of_its_request(wrapper):
    wrappers = {"a function": lambda file: file, "another class": bytearray}

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        return (str(current_user.sub).encode() for _ in range(2))

    _, headers, body = Server(app).call(**{"wsgi.file_wrapper": wrappers.get(wrapper)})
    assert (headers["vary"], body) == ("Cookie", b"1717")


@pytest.mark.parametrize("cookie", [True, False])
def test_a_page_that_depends_on_the_session_is_private_to_whoever_is_signed_in(cookie):
    _, headers, _ = Server(who).call(cookie=cookie)
    assert headers["vary"] == "Cookie"
    assert headers.get("cache-control") == ("private, no-store" if cookie else None)


@pytest.mark.parametrize("guarded", [True, False])
def test_a_page_for_everybody_brings_no_cookie_unless_a_guard_let_it_through(guarded):
    def app(environ: Any, start_response: Any) -> Any:
        sub = (require_user(environ) if guarded else current_user).sub
        start_response("200 OK", [*TEXT, ("Cache-Control", "public")])
        return [str(sub).encode()]

    server = Server(app)
    server.clock.now = NOW + DUE
    _, headers, body = server.call()
    assert (body, "set-cookie" in headers) == (b"17", guarded)
    assert headers["cache-control"] == ("private" if guarded else "public")
