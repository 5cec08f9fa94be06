"""The leak guard over websockets, and over what a server is told beside a response."""

from collections.abc import Iterable
from typing import Any

import pytest

from tests.leaks.guarded import (
    ACCEPT,
    CLIENT_SECRET,
    CLOSED,
    FORMS,
    HALVES,
    HTML,
    SESSION_SECRET,
    Sent,
    assert_page,
    config,
    over_websocket,
    over_wsgi,
    run,
)
from xwms_auth._core.config.secret_sources import SecretFromFile

pytestmark = pytest.mark.usefixtures("logged")


SENT = "a message of a websocket"


@pytest.mark.parametrize(
    ("messages", "passed", "where"),
    [
        ([ACCEPT, {"type": "websocket.send", "text": f"a {CLIENT_SECRET}"}], 1, SENT),
        ([ACCEPT, {"type": "websocket.send", "bytes": FORMS["base64 1"](CLIENT_SECRET)}], 1, SENT),
        ([ACCEPT, *({"type": "websocket.send", "text": half} for half in HALVES)], 2, SENT),
        ([{**ACCEPT, "headers": [(b"x-debug", CLIENT_SECRET.encode())]}], 0, "the message .accept"),
        ([{**ACCEPT, "subprotocol": SESSION_SECRET}], 0, "the message .accept"),
        (
            [ACCEPT, {"type": "websocket.close", "code": 1000, "reason": SESSION_SECRET}],
            1,
            "the message .close",
        ),
        (
            [{"type": "websocket.http.response.start", "status": 403, "headers": [(b"a", SESSION_SECRET.encode())]}],
            0,
            "the header a",
        ),
    ],
)
def test_a_websocket_is_closed_in_place_of_a_message_with_a_secret(logged, messages, passed, where):
    sent = over_websocket(*messages, {"type": "websocket.send", "text": "more"})
    assert sent.messages == [*messages[:passed], CLOSED]
    assert "code=secret_in_response path='/live'" in logged.text
    assert f"secret is in {where.replace(' .', ' websocket.')}, " in logged.text


@pytest.mark.parametrize("kind", [list, tuple, iter, set, lambda pairs: dict(pairs).items()])
@pytest.mark.parametrize("type_", ["websocket.accept", "http.response.trailers", "http.response.early_hint"])
@pytest.mark.parametrize("place", [0, 1], ids=["name", "value"])
def test_headers_are_looked_at_in_whatever_they_stand(logged, kind, type_, place):
    def headers(text: str) -> list[tuple[bytes, bytes]]:
        return [(b"x-a", b"1"), (text.encode(), b"1") if place == 0 else (b"x-b", text.encode())]

    whole = {"type": type_, "headers": kind(headers("fine"))}
    [passed] = over_websocket(whole).messages
    assert sorted(passed["headers"]) == sorted(headers("fine"))
    if type_ != "websocket.accept":  # to which the middleware adds headers of its own
        assert passed == whole if kind in (list, tuple) else isinstance(passed["headers"], list)
    assert [
        one["type"] for one in over_websocket({"type": type_, "headers": kind(headers(SESSION_SECRET))}).messages
    ] == ["websocket.close"]


NEW = "The-secret-that-is-new-0123456789"


@pytest.mark.parametrize("type_", ["websocket", "http"])
def test_what_has_begun_before_a_rotation_is_searched_for_the_new_secret_too(logged, tmp_path, type_):
    path = tmp_path / "secret"
    path.write_text(CLIENT_SECRET)
    head = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}

    def piece(text: str) -> dict[str, Any]:
        if type_ == "websocket":
            return {"type": "websocket.send", "text": text}
        return {"type": "http.response.body", "body": f"data: {text}\n\n".encode(), "more_body": True}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send(ACCEPT if type_ == "websocket" else head)
        await send(piece("before"))
        path.write_text(NEW)
        await send(piece("between"))
        await send(piece(NEW))

    sent = Sent()
    run(
        sent, application, config(client_secret=SecretFromFile(path)), {"type": type_, "method": "GET", "path": "/live"}
    )
    assert sent.messages[:3] == [ACCEPT if type_ == "websocket" else head, piece("before"), piece("between")]
    assert sent.messages[3:] == ([CLOSED] if type_ == "websocket" else [])
    assert "the client secret is in" in logged.text


def test_messages_without_a_secret_arrive_at_once():
    texts = (HALVES[0], "", "%", "half of a pair: \ud83d", HALVES[0])
    messages = [ACCEPT, {"type": "websocket.send", "bytes": HALVES[1].encode()}]
    messages += [{"type": "websocket.send", "text": text} for text in texts]
    messages += [{"type": "websocket.close", "code": 1000, "reason": "half of a pair: \ud83d"}]
    assert over_websocket(*messages).messages == messages


@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.response.early_hint", "links": [CLIENT_SECRET.encode()]},
        {"type": "http.response.push", "path": "/a", "headers": [(b"a", CLIENT_SECRET.encode())]},
        {"type": "http.response.debug", "info": {"context": CLIENT_SECRET}},
    ],
)
def test_other_messages_of_asgi_are_looked_at_too(logged, message):
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send(message)

    sent = Sent()
    run(sent, application, config(), {"type": "http", "method": "GET", "path": "/"})
    assert_page(sent, logged, f"the client secret is in the message {message['type']}")


@pytest.mark.parametrize("name", ["wsgi.early_hints", "gunicorn.http2.send_trailers"])
@pytest.mark.parametrize("kind", [str, str.encode], ids=["text", "bytes"])
def test_headers_that_gunicorn_sends_beside_a_response_are_looked_at_too(logged, name, kind):
    left: list[Any] = []

    def over(value: str) -> Sent:
        def pieces(environ: Any) -> Iterable[bytes]:
            environ[name]([(kind("Link"), kind(value))])
            yield b"<p>"

        return over_wsgi(pieces, [HTML], config(), environ={name: left.append})

    assert over("</a.css>; rel=preload").body == b"<p>"
    assert left == [[(kind("Link"), kind("</a.css>; rel=preload"))]]
    assert_page(over(f"</{SESSION_SECRET}.css>"), logged, "a session secret is in the header Link")
    assert len(left) == 1


def test_a_file_that_the_server_would_send_by_itself_is_not_offered():
    found: dict[str, Any] = {}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        found.update(scope["extensions"])

    options = {"http.response.pathsend": {}, "http.response.zerocopysend": {}, "http.response.trailers": {}}
    run(Sent(), application, config(), {"type": "http", "method": "GET", "path": "/", "extensions": options})
    assert found == {"http.response.trailers": {}}
