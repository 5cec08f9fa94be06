"""What an ASGI server is told of a response, by hand: when it begins, its headers, and what takes its place."""

from contextlib import suppress
from typing import Any

import pytest

from tests.asgi_door.by_hand import PLAIN, Answer, Remote, Server, body, start, who
from tests.tools.site import PROGRAM
from tests.wsgi_door.by_hand import DUE, NOW, SIGNS_OF_ACTIVITY, Store
from xwms_auth import LoginRequired, StoreUnavailable
from xwms_auth._core.base.models import EndReason
from xwms_auth.asgi import passive, refuse, require_user


def sending(*messages: dict[str, Any], reads: int | None = None, raises: Exception | None = None) -> Any:
    """An application that sends these, reads the session before the one with this number, and raises in the end."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for number, message in enumerate(messages):
            if number == reads:
                with suppress(StoreUnavailable):
                    assert scope["user"].sub in ("17", None)
            await send(message)
        if raises is not None:
            raise raises

    return app


def varies(answer: Answer) -> bool:
    return answer.headers.get("vary", "").lower() == "cookie"


# --- when it begins ---


@pytest.mark.parametrize("reads", [0, 1, 2, None])
@pytest.mark.parametrize("kind", [b"text/plain", b"Text/Event-Stream; charset=utf-8"])
def test_headers_wait_for_the_first_chunk_which_may_read_the_session_but_not_those_of_events(reads, kind):
    begins = {**start(), "headers": [(b"content-type", kind)]}
    answer = Server(sending(begins, body(b"x", more=True), body(b"y"), reads=reads)).call()
    assert (answer.statuses, answer.body) == ([200], b"xy")
    assert varies(answer) is (reads == 0 or (reads == 1 and kind == b"text/plain"))


@pytest.mark.parametrize("kind", [Store, Remote])
@pytest.mark.parametrize("first", [b"", b"x"])
@pytest.mark.parametrize("more", [True, False])
def test_an_application_that_sends_its_headers_ahead_may_still_read_the_session(kind, first, more):
    is_ahead = more and not first
    server = Server(sending(start(), body(first, more=more), body(b"y")), store=kind())
    answer = server.call()
    assert (answer.body, varies(answer)) == (first + b"y", is_ahead)
    server.store.error = StoreUnavailable("x")
    answer = server.call()
    assert (answer.status, answer.body) == (200, first + b"y")
    assert answer.headers.get("cache-control") == ("no-store" if is_ahead else None)


def test_headers_without_a_body_are_sent_when_the_application_ends_and_so_they_are_if_it_fails():
    assert Server(sending(start(status=204))).call().statuses == [204]
    server = Server(sending(start(status=204), raises=LookupError()))
    with pytest.raises(LookupError):
        server.call()
    assert Answer(server.sent).statuses == [204]


@pytest.mark.parametrize("kind", [b"text/plain", b"text/event-stream"])
@pytest.mark.parametrize("reads", [0, 2])
def test_a_second_start_is_for_the_server_to_refuse_as_it_is(kind, reads):
    begins = {**start(), "headers": [(b"content-type", kind)]}
    answer = Server(sending(begins, body(b"x", more=True), start(status=201), body(b"y"), reads=reads)).call()
    assert (answer.statuses, answer.headers) == ([200, 201], {"content-type": "text/plain"})


def test_a_file_that_the_server_sends_is_no_sign_that_the_session_may_still_be_read():
    file = {"type": "http.response.zerocopysend", "file": 3, "more_body": True}
    answer = Server(sending(start(), file, body())).call()
    assert answer.headers == {"content-type": "text/plain"}


def test_messages_of_other_kinds_are_passed_on_in_their_order():
    debug, push = {"type": "http.response.debug"}, {"type": "http.response.push"}
    trailers = {"type": "http.response.trailers"}
    answer = Server(sending(debug, start(), push, body(b"x", more=True), trailers)).call()
    kinds = [message["type"].rpartition(".")[2] for message in answer.sent]
    assert kinds == ["debug", "start", "push", "body", "trailers"]


def test_headers_may_be_any_iterable_or_none_and_the_list_may_be_used_again():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [PLAIN]
        await send({**start(), "headers": headers})
        headers.clear()
        await send(body())

    bare = {"type": "http.response.start", "status": 200}
    for one, given in (
        (app, {"content-type": "text/plain"}),
        (sending({**start(), "headers": iter([PLAIN])}, body()), {"content-type": "text/plain"}),
        (sending(bare, body()), {}),
    ):
        assert Server(one).call().headers == given
    answer = Server(sending({**start(), "headers": (one for one in [PLAIN])}, body(), reads=0)).call()
    assert (answer.headers["content-type"], varies(answer)) == ("text/plain", True)


# --- which headers it has ---


@pytest.mark.parametrize("cookie", [True, False])
@pytest.mark.parametrize("own", [(), ((b"cache-control", b"max-age=60"),)])
def test_a_page_that_depends_on_the_session_is_private_to_whoever_is_signed_in(cookie, own):
    answer = Server(sending(start(*own), body(), reads=0)).call(cookie=cookie)
    assert varies(answer)
    usual = "private, no-store" if cookie else None
    assert answer.headers.get("cache-control") == ("max-age=60" if own else usual)


def test_a_page_that_a_guard_has_looked_at_is_private_whatever_it_makes_of_that():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["auth"].refusal() is not None
        await send(start())
        await send(body())

    answer = Server(app).call(cookie=False)
    assert (varies(answer), answer.headers["cache-control"]) == (True, "private, no-store")


@pytest.mark.parametrize(("headers", "is_active"), SIGNS_OF_ACTIVITY)
def test_only_a_sign_of_an_active_person_renews_their_session(headers, is_active):
    server = Server(passive(who) if headers == "decorated" else who)
    server.clock.now = NOW + DUE
    answer = server.call({**PROGRAM, **({} if headers == "decorated" else headers)})
    assert (answer.body, server.handle in answer.headers.get("set-cookie", "")) == (b"17", is_active)
    assert answer.headers["cache-control"] == "private, no-store"


@pytest.mark.parametrize(
    ("name", "values"),
    [(b"xwms-passive", (b"1", b"1")), (b"xwms-passive", (b"", b"1")), (b"sec-fetch-site", (b"same-", b"origin"))],
)
def test_two_headers_where_one_belongs_say_nothing(name, values):
    server = Server(who)
    server.clock.now = NOW + DUE
    scope = server.scope({} if name == b"xwms-passive" else {"Xwms-Passive": "1"})
    scope["headers"] += [(name, value) for value in values]
    assert "set-cookie" in server.run(scope).headers


@pytest.mark.parametrize("guarded", [True, False])
def test_a_page_for_everybody_brings_no_cookie_unless_a_guard_let_it_through(guarded):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        sub = (require_user(scope) if guarded else scope["user"]).sub
        await send(start((b"cache-control", b"public")))
        await send(body(sub.encode()))

    server = Server(app)
    server.clock.now = NOW + DUE
    answer = server.call()
    assert (answer.body, "set-cookie" in answer.headers) == (b"17", guarded)
    assert answer.headers["cache-control"] == ("private" if guarded else "public")


def test_a_response_for_a_token_depends_on_that():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["auth"].token = "what a bearer guard has found"
        await send(start())
        await send(body())

    answer = Server(app).call()
    assert (answer.headers["vary"], answer.headers["cache-control"]) == ("Authorization", "private, no-store")


def test_a_page_in_the_language_of_the_browser_says_so_and_its_refusal_does_not():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["auth"].vary_by_language()
        await send(start())
        await send(body(b"x"))

    async def refused(scope: Any, receive: Any, send: Any) -> None:
        try:
            require_user(scope)
        except LoginRequired as error:
            await send(start())
            scope["auth"].vary_by_language()
            await send(body(b"the page"))
            raise LookupError from error

    answer = Server(app).call()
    assert (answer.headers["vary"], answer.body) == ("Accept-Language", b"x")
    answer = Server(refused).call(cookie=False)
    assert (answer.statuses, answer.body) == ([302], b"")


# --- what takes its place ---


@pytest.mark.parametrize("sent", ["nothing", "the start", "the start and a chunk"])
@pytest.mark.parametrize("then", ["raises it", "raises another for it", "makes a page of its own"])
def test_a_refusal_takes_the_place_of_the_page_unless_that_has_begun(sent, then):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if sent != "nothing":
            await send(start())
        if "chunk" in sent:
            await send(body(b"x", more=True))
        try:
            require_user(scope)
        except LoginRequired as error:
            if then == "raises it":
                raise
            if then == "raises another for it":
                raise LookupError from error
        if sent == "nothing":
            await send(start())
        await send(body(b"y"))

    server = Server(app)
    if "chunk" not in sent:
        answer = server.call(cookie=False)
        assert (answer.statuses, answer.headers["location"], answer.body) == ([302], "/xwms/auth?next=/page", b"")
    elif then == "makes a page of its own":
        assert server.call(cookie=False).statuses == [200]
    else:
        with pytest.raises(LoginRequired if then == "raises it" else LookupError):
            server.call(cookie=False)
        assert (Answer(server.sent).statuses, Answer(server.sent).body) == ([200], b"x")


@pytest.mark.parametrize(("status", "is_ours"), [(499, False), (500, True), (503, True)])
def test_an_error_page_of_the_applications_own_is_its_own_unless_an_error_of_ours_came_before_it(status, is_ours):
    app = sending(start(status=status), body(b"mine"), reads=0)
    server = Server(app)
    assert server.call().status == status
    server.store.error = StoreUnavailable("x")
    answer = server.call(PROGRAM)
    assert (answer.statuses, answer.body == b"mine") == ([503 if is_ours else status], not is_ours)


@pytest.mark.parametrize("kind", [Store, Remote])
def test_an_error_of_ours_takes_the_place_of_headers_that_have_waited(kind):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        assert scope["user"].sub

    server = Server(app, store=kind())
    server.store.error = StoreUnavailable("x")
    assert server.call(PROGRAM).statuses == [503]


def test_an_error_that_is_not_ours_is_the_servers_also_if_ours_is_answered():
    server = Server(sending(start(), reads=0, raises=LookupError()))
    with pytest.raises(LookupError):
        server.call()
    assert Answer(server.sent).statuses == [200]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with suppress(StoreUnavailable):
            assert scope["user"].sub
        raise LookupError

    server = Server(app)
    server.store.error = StoreUnavailable("x")
    with pytest.raises(LookupError):
        server.call(PROGRAM)
    assert Answer(server.sent).statuses == [503]


@pytest.mark.parametrize("is_async", [True, False])
def test_an_answer_of_the_applications_own_is_stored_nowhere_and_may_be_ours_again(is_async):
    asked: list[Any] = []

    async def own(scope: Any, receive: Any, send: Any) -> None:
        await send({**start((b"cache-control", b"public")), "status": 418})
        await send(body(b"own"))

    def answer_to(scope: Any, problem: Any) -> Any:
        asked.append(problem["code"])
        return own if scope["path"] == "/own" else None

    async def answer_later(scope: Any, problem: Any) -> Any:
        return answer_to(scope, problem)

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if not await refuse(scope, receive, send):
            await who(scope, receive, send)

    server = Server(guarded, unauthorized=answer_later if is_async else answer_to)
    answer = server.call(path="/own", cookie=False)
    assert (answer.status, answer.body, answer.headers["cache-control"]) == (418, b"own", "no-store")
    assert server.call(path="/page", cookie=False).status == 302
    assert asked == ["login_required"] * 2
    server.store.error = StoreUnavailable("x")
    assert server.call(PROGRAM).status == 503
    assert len(asked) == 2, "no login helps"


def test_an_answer_of_the_applications_own_is_asked_for_once_however_much_the_page_sends():
    asked: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        with suppress(LoginRequired):
            require_user(scope)
        for _ in range(3):
            await send(body(b"the page", more=True))

    server = Server(app, unauthorized=lambda scope, problem: asked.append(problem))
    assert server.call(cookie=False).statuses == [302]
    assert len(asked) == 1


def test_a_refusal_renews_no_session():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        state = scope["auth"]
        assert state.user().sub == "17"
        raise state.refuse(state.refusal_for(StoreUnavailable("x")))

    server = Server(app)
    server.clock.now = NOW + DUE
    assert "set-cookie" not in server.call(PROGRAM).headers


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("sent", ["nothing", "the start"])
def test_a_refusal_brings_new_tokens_to_the_browser_if_their_session_goes_on(ended, sent):
    """Only this response can carry them."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if sent == "the start":
            await send(start())
        state = scope["auth"]
        state.session()
        state.lookup = state.lookup._replace(handle=server.handle, changed=True, has_new_tokens=True)
        if ended:
            server.store.drop(server.handle, why=EndReason.REVOKED, now=NOW)
        raise state.refuse(state.refusal_for(StoreUnavailable("x")))

    server = Server(app)
    answer = server.call(PROGRAM)
    assert (answer.statuses, answer.headers["content-type"]) == ([503], "application/problem+json")
    assert (server.handle in answer.headers.get("set-cookie", "")) is not ended
