"""What a WSGI server is told of a response that takes the place of the application's, by hand: refusals and errors."""

import sys
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from tests.tools.site import PROGRAM
from tests.wsgi_door.by_hand import TEXT, Server, who
from xwms_auth import LoginRequired, StoreUnavailable
from xwms_auth.wsgi import current_user, login_required, require_user


def test_what_an_application_writes_once_it_was_refused_goes_nowhere():
    """Its refusal may be an answer that has not begun yet."""
    ended: list[bool] = []

    def late(environ: Any, start_response: Any) -> Any:
        start_response("418 Teapot", TEXT)
        yield b"own"

    def app(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", TEXT)
        with pytest.raises(LoginRequired):
            require_user(environ)
        again = start_response("200 OK", TEXT, (LookupError, LookupError(), None))
        write(b"the page")
        again(b"the page")
        ended.append(True)
        return [b"the page"]

    server = Server(app, unauthorized=lambda environ, problem: late)
    assert server.call(cookie=False)[::2] == ("418 Teapot", b"own")
    assert ended == [True]


def test_a_response_that_may_not_be_started_before_its_first_chunk_may_be_refused_there():
    def late(environ: Any, start_response: Any, *, raises: bool) -> Any:
        try:
            require_user(environ)
        except LoginRequired:
            if raises:
                raise
        start_response("200 OK", TEXT)
        yield b"the page"

    def refused_before(environ: Any, start_response: Any) -> Any:
        with pytest.raises(LoginRequired):
            require_user(environ)

        def chunks() -> Any:
            start_response("200 OK", TEXT)
            yield b"the page"

        return chunks()

    for app in (partial(late, raises=True), partial(late, raises=False), refused_before):
        server = Server(app)
        status, headers, body = server.call(cookie=False)
        assert (status, headers["location"], body) == ("302 Found", "/xwms/auth?next=/page", b"")
        assert len(server.started) == 1


@pytest.mark.parametrize("is_held", [True, False])
def test_an_answer_of_the_applications_own_in_place_of_a_body_is_sent_whole_and_closed_with_it(is_held):
    closed: list[str] = []

    class Body:
        def __init__(self, name: str, *chunks: bytes) -> None:
            self.name, self.chunks = name, chunks

        def __iter__(self) -> Any:
            yield from self.chunks

        def close(self) -> None:
            closed.append(self.name)

    class Page(Body):
        def __iter__(self) -> Any:
            if not is_held:
                self.start_response("200 OK", TEXT)
            with pytest.raises(LoginRequired):
                require_user(self.environ)
            yield b"the page"

    def own(environ: Any, start_response: Any) -> Any:
        start_response("418 Teapot", TEXT)
        return Body("own", b"o", b"wn")

    def app(environ: Any, start_response: Any) -> Any:
        page = Page("page")
        page.environ, page.start_response = environ, start_response
        if is_held:
            start_response("200 OK", TEXT)
        return page

    server = Server(app, unauthorized=lambda environ, problem: own)
    assert server.call(cookie=False)[::2] == ("418 Teapot", b"own")
    assert sorted(closed) == ["own", "page"]


def test_a_body_that_writes_when_it_is_closed_begins_no_second_response():
    class Page:
        def __init__(self, environ: Any, write: Any) -> None:
            self.environ, self.close = environ, lambda: write(b"late")

        def __iter__(self) -> Any:
            with pytest.raises(LoginRequired):
                require_user(self.environ)
            yield b"the page"

    server = Server(lambda environ, start_response: Page(environ, start_response("200 OK", TEXT)))
    assert server.call(cookie=False)[0] == "302 Found"
    assert len(server.started) == 1


def test_a_middleware_that_takes_no_third_argument_may_stand_between_two_of_ours():
    def own(environ: Any, start_response: Any) -> Any:
        start_response("418 Teapot", TEXT)
        return [b"own"]

    def between(environ: Any, start_response: Any) -> Any:
        return inner(environ, lambda status, headers: start_response(status, [*headers, ("X-Between", "1")]))

    server = Server(between)
    inner = server.inside(who, protect="all", unauthorized=lambda environ, problem: own)
    status, headers, body = server.call(cookie=False)
    assert (status, headers["x-between"], body) == ("418 Teapot", "1", b"own")


def test_a_response_that_has_begun_is_sent_to_its_end():
    def app(environ: Any, start_response: Any) -> Any:
        assert not current_user.is_authenticated
        start_response("200 OK", TEXT)
        return chunks(environ)

    def chunks(environ: Any) -> Any:
        yield b"x"
        with pytest.raises(LoginRequired):
            require_user(environ)
        yield b"y"

    assert Server(app).call(cookie=False)[::2] == ("200 OK", b"xy")


@pytest.mark.parametrize("when", ["at once", "after the start", "with the first chunk", "with the second chunk"])
def test_an_error_of_ours_becomes_its_response_unless_the_first_chunk_was_sent(when):
    def streamed(environ: Any) -> Any:
        if when == "with the second chunk":
            yield b"x"
        require_user(environ)
        yield b"y"

    def app(environ: Any, start_response: Any) -> Any:
        if when != "at once":
            start_response("200 OK", TEXT)
        if when in ("at once", "after the start"):
            require_user(environ)
        if when == "at once":
            start_response("200 OK", TEXT)
        return streamed(environ)

    server = Server(app)
    if when == "with the second chunk":
        with pytest.raises(LoginRequired):
            server.call(cookie=False)
        assert (statuses_of(server), server.sent) == (["200 OK"], [b"x"])
    else:
        assert server.call(cookie=False)[0] == "302 Found"
        assert (statuses_of(server), server.started[0][2]) == (["302 Found"], None)
    assert server.call()[0] == "200 OK"


def statuses_of(server: Server) -> list[str]:
    return [status for status, _, _ in server.started]


def test_an_error_that_is_not_ours_is_the_servers():
    def at_once(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        raise LookupError

    def streamed(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        raise LookupError
        yield b""

    for app in (at_once, streamed):
        server = Server(app)
        with pytest.raises(LookupError):
            server.call()
        assert server.started == []


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ("unrelated", None),
        ("while handling ours", "503 Service Unavailable"),
        ("caused by ours", "503 Service Unavailable"),
    ],
)
def test_an_error_of_the_application_is_ours_only_if_one_of_ours_is_behind_it(how, status):
    def app(environ: Any, start_response: Any) -> Any:
        try:
            return [str(current_user.sub).encode()]
        except StoreUnavailable as error:
            if how == "while handling ours":
                raise LookupError  # noqa: B904
            if how == "caused by ours":
                raise LookupError from error
        raise LookupError

    server = Server(app)
    server.store.error = StoreUnavailable("x")
    if status is None:
        with pytest.raises(LookupError):
            server.call()
        assert server.started == []
    else:
        assert server.call()[0] == status


@pytest.mark.parametrize("own", [True, False])
def test_a_response_that_takes_the_place_of_one_that_was_sent_says_which_error_it_is_for(own):
    """PEP 3333: without `exc_info` the server would refuse the second start."""

    def answer(environ: Any, start_response: Any) -> Any:
        start_response("418 Teapot", TEXT)
        try:
            raise LookupError
        except LookupError:
            start_response("419 Teapot", [*TEXT, ("Cache-Control", "public")], sys.exc_info())
        return [b"own"]

    def app(environ: Any, start_response: Any) -> Any:
        assert not current_user.is_authenticated
        start_response("200 OK", TEXT)
        require_user(environ)

    server = Server(app, unauthorized=(lambda environ, problem: answer) if own else None)
    server.call(cookie=False)
    told = [(status, exc_info and exc_info[0]) for status, _, exc_info in server.started]
    answers = [("418 Teapot", LoginRequired), ("419 Teapot", LookupError)] if own else [("302 Found", LoginRequired)]
    assert told == [("200 OK", None), *answers]
    assert server.started[-1][1]["cache-control"] == "no-store"


def test_a_store_that_is_down_is_answered_by_us_even_if_the_application_answers_for_logins():
    asked: list[Any] = []
    server = Server(login_required(who), unauthorized=lambda environ, problem: asked.append(problem))
    server.store.error = StoreUnavailable("x")
    assert server.call(PROGRAM)[0] == "503 Service Unavailable"
    assert asked == []


@pytest.mark.parametrize("is_down", [True, False])
def test_an_error_page_of_the_applications_own_is_its_own_unless_an_error_of_ours_came_before_it(is_down):
    def app(environ: Any, start_response: Any) -> Any:
        with suppress(StoreUnavailable):
            assert current_user.sub
        start_response("500 Oops", TEXT)
        return [b"the page"]

    server = Server(app)
    server.store.error = StoreUnavailable("x") if is_down else None
    status, _, body = server.call()
    assert (status, body == b"the page") == ("503 Service Unavailable" if is_down else "500 Oops", not is_down)
