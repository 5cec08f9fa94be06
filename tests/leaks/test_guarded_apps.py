"""The leak guard in applications: which secrets it knows, where it is on, and what its refusals tell."""

import base64
import os
import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import flask
import pytest

import xwms_auth.flask
from tests.leaks.guarded import (
    CLIENT_SECRET,
    HTML,
    SESSION_SECRET,
    Sent,
    config,
    over_asgi,
    over_wsgi,
    run,
)
from xwms_auth import SecretInResponse
from xwms_auth._core.config.secret_sources import SecretFromFile
from xwms_auth._core.responses.leak_guard import LeakGuard
from xwms_auth.asgi import XWMSAuthMiddleware
from xwms_auth.testing import local_xwms
from xwms_auth.wsgi import XWMSAuth

pytestmark = pytest.mark.usefixtures("caplog")


@pytest.fixture(params=[over_wsgi, over_asgi], ids=["wsgi", "asgi"])
def served(request: pytest.FixtureRequest) -> Any:
    return request.param


OLD, NEW = "the-secret-before-0123456789", "the-secret-after-0123456789"


def test_a_secret_in_a_file_is_looked_for_before_and_after_it_changes(served, tmp_path, caplog):
    file = tmp_path / "secret"
    names = {"XWMS_CLIENT_ID": "desk", "XWMS_REDIRECT_URI": "https://app.example/xwms/validateToken"}
    file.write_text(OLD)
    settings = {**names, "XWMS_CLIENT_SECRET_FILE": str(file), "XWMS_SESSION_SECRET": SESSION_SECRET}
    from_file = config().from_env({**settings, "XWMS_LEAK_GUARD": "1"})
    shown = iter([b"clean", OLD.encode(), b"clean", NEW.encode(), OLD.encode()])
    statuses = []
    app = _app(served, lambda: next(shown), from_file)
    for _ in range(3):
        statuses.append(app())
    file.write_text(NEW)
    statuses += [app(), app()]
    assert statuses == [200, 500, 200, 500, 500]


@pytest.mark.leaks("what was replaced long ago is not looked for any more")
@pytest.mark.parametrize("rotations", [40, 41])
@pytest.mark.parametrize(("others", "kept"), [(0, 15), (1, 29)], ids=["one client", "two"])
def test_after_many_rotations_the_last_secrets_are_looked_for_and_no_others(tmp_path, rotations, others, kept):
    """Sixteen for each client: of one a session secret and fifteen client secrets; of two, three are in use as well."""
    values = [f"secret-{'x' * number}-{number}" for number in range(10, 10 + rotations)]
    other = config(client_id="other", session_secret=SESSION_SECRET[::-1], **OTHER_HOST)
    guard = _rotated(tmp_path, values, *[other] * others)
    for value in values[-kept:]:
        with pytest.raises(SecretInResponse, match="the client secret"):
            guard.check(value.encode(), where="a line")
    for value in values[:-kept]:
        guard.check(value.encode(), where="a line")


@pytest.mark.parametrize("shown", [SESSION_SECRET, SESSION_SECRET[::-1], CLIENT_SECRET, "of now"])
def test_a_secret_that_is_in_use_is_looked_for_after_each_of_many_rotations(tmp_path, shown):
    values = [f"secret-{'x' * number}-{number}" for number in range(10, 60)]
    other = config(client_id="other", session_secret=SESSION_SECRET[::-1], **OTHER_HOST)

    def found(guard: LeakGuard, value: str) -> None:
        with pytest.raises(SecretInResponse):
            guard.check((value if shown == "of now" else shown).encode(), where="a line")

    _rotated(tmp_path, values, other, each=found)


OTHER_HOST = {"redirect_uris": "https://other.example/xwms/validateToken"}


def _rotated(folder: Path, values: list[str], *others: Any, each: Any = lambda guard, value: guard.patterns()) -> Any:
    """A guard that has had each of these as the client secret of its first client. ``each`` is called meanwhile."""
    source = folder / "secret"
    source.write_text(values[0])
    guard = LeakGuard([config(client_secret=SecretFromFile(source)), *others])
    for value in values:
        source.write_text(value)
        each(guard, value)
    return guard


@pytest.mark.parametrize("letter", "é€Ā")
def test_a_session_secret_with_letters_beyond_ascii_is_looked_for(served, letter):
    secret = f"a key with {letter}, 0123456789, abcdefghi"
    assert served([f"<p>{secret}".encode()], [HTML], config(session_secret=secret), whole=list).status == 500


@pytest.mark.parametrize(("secret", "status"), [("12 letters..", 500), ("11 letters.", 200)])
def test_a_secret_of_twelve_characters_is_long_enough_to_look_for(served, secret, status):
    assert served([secret.encode()], [HTML], config(client_secret=secret), whole=list).status == status


def _app(served: Any, make: Any, settings: Any) -> Any:
    """One application that is asked several times. Returns the function that asks it, which gives the status."""
    statuses: list[int] = []
    if served is over_wsgi:

        def wsgi(environ: Any, start_response: Any) -> list[bytes]:
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [make()]

        guarded = XWMSAuth(wsgi, settings)

        def ask(host: str = "app.example") -> int:
            environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_HOST": host}
            b"".join(guarded(environ, lambda status, headers, *_: statuses.append(int(status[:3]))))
            return statuses[-1]

        return ask

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": make()})

    middleware = XWMSAuthMiddleware(asgi, settings)

    def ask_async(host: str = "app.example") -> int:
        async def send(message: Any) -> None:
            statuses.append(message.get("status") or statuses[-1])

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/",
            "query_string": b"",
            "headers": [(b"host", host.encode())],
        }
        anyio.run(middleware, scope, None, send)
        return statuses[-1]

    return ask_async


def test_a_secret_that_a_function_gives_is_looked_for(served):
    sent = served([OLD.encode()], [HTML], config(client_secret=lambda: OLD), whole=list)
    assert sent.status == 500


def test_a_secret_that_a_login_has_fetched_is_looked_for_and_not_fetched_again(fx):
    reads: list[str] = []

    def fetch() -> str:
        reads.append(OLD)
        return OLD

    client = _flask_client(config(client_secret=fetch, api_url=fx.api_url), OLD)
    started = client.post("/xwms/auth", base_url="https://app.example", headers={"Origin": "https://app.example"})
    assert started.status_code == 302
    assert client.get("/shown").status_code == 500
    assert reads == [OLD]


def test_a_function_whose_secret_nobody_has_needed_yet_is_asked_once_a_minute(served, monkeypatch, caplog):
    reads: list[str] = []

    def fetch() -> str:
        reads.append(OLD)
        return OLD

    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    app = _app(served, lambda: b"clean", config(client_secret=fetch))
    for seconds, asked in ((0, 1), (59, 1), (60, 2), (61, 2)):
        now[0] = 1000.0 + seconds
        assert app() == 200
        assert len(reads) == asked
    assert "leak_guard_cannot_read" not in caplog.text


def test_without_settings_there_is_nothing_to_look_for_and_the_application_answers(served, caplog):
    settings = config(client_id="", client_secret=(), session_secret=(), allow_missing_settings=True)
    sent = served([b"miss", b"ing"], [HTML], settings)
    assert (sent.status, sent.body) == (200, b"missing")
    assert [message["body"] for message in sent.messages[1:3]] in ([], [b"miss", b"ing"]), "a piece was held back"
    assert "leak_guard" not in caplog.text


def test_a_guard_shows_and_pickles_no_secret():
    guard = LeakGuard([config()])
    for one in (guard, *(patterns for _, patterns in guard.patterns())):
        assert repr(one) == f"{type(one).__name__}()"
        with pytest.raises(TypeError, match="secret"):
            pickle.dumps(one)


def test_a_source_that_fails_is_told_once_and_the_session_secrets_are_still_looked_for(served, caplog):
    def broken() -> str:
        raise OSError("no secret manager")

    sent = served([SESSION_SECRET.encode()], [HTML], config(client_secret=broken), whole=list)
    assert sent.status == 500
    assert caplog.text.count("leak_guard_cannot_read what='the client secret, which its source does not give'") == 1


def test_a_secret_that_is_too_short_is_told_and_not_looked_for(served, caplog):
    app = _app(served, lambda: b"letmein", config(client_secret="letmein"))
    assert [app(), app()] == [200, 200]
    assert caplog.text.count("leak_guard_cannot_read what='the client secret is too short to look for'") == 1


def test_of_several_clients_the_secrets_of_all_are_looked_for_at_each_host(served, caplog):
    other = {"client_id": "other", "client_secret": NEW, "redirect_uris": "https://other.example/xwms/validateToken"}
    app = _app(served, lambda: NEW.encode(), [config(), config(**other, session_secret=SESSION_SECRET[::-1])])
    assert [app("app.example"), app("other.example"), app("nobody.example")] == [500, 500, 500]
    assert "the client secret of client 2 is in the body" in caplog.text


def test_an_error_page_that_would_show_the_secret_itself_is_a_bare_line(served):
    sent = served([CLIENT_SECRET.encode()], [HTML], config(site_name=f"Desk {SESSION_SECRET}"), whole=list)
    assert (sent.status, sent.body) == (500, b"secret_in_response\n")
    headers = dict(sent.headers)
    assert (headers[b"content-type"], headers[b"cache-control"]) == (b"text/plain; charset=utf-8", b"no-store")


@pytest.mark.parametrize("strange", ["\xff", "\udcff"], ids=["wsgi", "asgi"])
def test_each_secret_in_the_path_is_masked_in_the_log_whatever_else_the_path_has(strange, caplog):
    path = f"/{SESSION_SECRET}/{CLIENT_SECRET}/{SESSION_SECRET}/{strange}/a"
    served = over_wsgi if strange == "\xff" else over_asgi
    assert served([CLIENT_SECRET.encode()], [HTML], config(), path=path, whole=list).status == 500
    assert "path='/***/***/***/" in caplog.text


def test_a_program_gets_a_problem_document_and_a_developer_the_cause(fx):
    client = _flask_client(config(debug=True), CLIENT_SECRET)
    answer = client.get("/shown", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json["code"]) == (500, "secret_in_response")
    assert answer.json["developer"][-1] == "Cause: the client secret is in the body, plain"


def _flask_client(settings: Any, shown: str | bytes) -> Any:
    app = flask.Flask(__name__)
    app.add_url_rule("/shown", "shown", lambda: shown)
    xwms_auth.flask.XWMSAuth(app, settings)
    return app.test_client()


def test_flasks_own_key_of_bytes_is_looked_for_where_it_is_the_session_secret():
    key = os.urandom(16) + b"\xff" * 8 + os.urandom(16)
    for shown in (key, base64.b64encode(key), key.hex()):
        app = flask.Flask(__name__)
        app.secret_key = key
        app.add_url_rule("/shown", "shown", lambda shown=shown: shown)
        xwms_auth.flask.XWMSAuth(app, config(session_secret=()))
        assert app.test_client().get("/shown").status_code == 500


def test_the_routes_of_the_login_itself_are_guarded(fx):
    app = flask.Flask(__name__)
    shows = config(pages={"error": lambda content: f"<p>{SESSION_SECRET}</p>"}, api_url=fx.api_url)
    xwms_auth.flask.XWMSAuth(app, shows)
    answer = app.test_client().get("/xwms/validateToken", headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate"})
    assert (answer.status_code, answer.text) == (500, "secret_in_response\n")


def test_what_is_raised_where_a_stream_is_cut_off_holds_no_secret(served):
    """SE-05: a crash report has the local variables of each frame."""
    reports: list[str] = []

    def pieces() -> Iterator[bytes]:
        yield b"." * 1000
        yield CLIENT_SECRET.encode()

    def reported(call: Any) -> None:
        try:
            call()
        except SecretInResponse as error:
            frames = traceback.TracebackException.from_exception(error, capture_locals=True).stack
            reports.extend(repr(frame.locals) for frame in frames if "/xwms_auth/" in frame.filename)
            reports.append(f"{error!r} {error.__context__!r}")

    if served is over_wsgi:

        def app(environ: Any, start_response: Any) -> Iterator[bytes]:
            start_response("200 OK", [("Content-Type", "text/html")])
            return pieces()

        body = XWMSAuth(app, config())({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *_: None)
        reported(lambda: list(body))
    else:

        async def asgi(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [HTML]})
            for piece in pieces():
                await send({"type": "http.response.body", "body": piece, "more_body": True})

        async def sink(message: Any) -> None: ...

        scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
        reported(lambda: anyio.run(XWMSAuthMiddleware(asgi, config()), scope, None, sink))
    assert len(reports) > 1
    assert reports[-1].endswith(" None")
    assert [one for one in reports if CLIENT_SECRET[:8] in one] == []


def test_the_headers_of_a_response_may_come_from_any_iterable():
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": (header for header in [HTML])})
        await send({"type": "http.response.body", "body": b"fine"})

    sent = Sent()
    run(sent, application, config(), {"type": "http", "method": "GET", "path": "/"})
    assert (sent.headers, sent.body) == ([HTML], b"fine")


def test_an_empty_piece_sends_the_head_and_the_last_message_needs_no_body():
    before: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [HTML]})
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        before.extend(sent.messages)
        await send({"type": "http.response.body"})

    sent = Sent()
    run(sent, application, config(), {"type": "http", "method": "GET", "path": "/"})
    assert [message["type"] for message in before] == ["http.response.start", "http.response.body"]
    assert (sent.messages[2:], sent.body) == ([{"type": "http.response.body", "body": b""}], b"")


def test_the_head_of_an_event_stream_is_sent_before_there_is_an_event():
    before: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        before.extend(sent.messages)
        await send({"type": "http.response.body", "body": b"data: 1\n\n"})

    sent = Sent()
    run(sent, application, config(), {"type": "http", "method": "GET", "path": "/"})
    assert [message["type"] for message in before] == ["http.response.start"]


# --- in tests ---


@pytest.mark.leaks("it shows what the guard is for")
def test_the_guard_is_on_in_tests_unless_one_says_otherwise(monkeypatch, caplog):
    with local_xwms() as xwms:
        settings = xwms.config()
        shown = settings.session_keys[0].reveal()
        assert _flask_client(settings, shown).get("/shown").status_code == 500
        assert _flask_client(xwms.config(leak_guard=False), shown).get("/shown").status_code == 200
    monkeypatch.setenv("XWMS_LEAK_GUARD", "0")
    with local_xwms() as xwms:
        settings = xwms.config()
        assert _flask_client(settings, settings.session_keys[0].reveal()).get("/shown").status_code == 200


def test_an_application_that_was_made_before_the_test_is_guarded_in_it(caplog):
    app = flask.Flask(__name__)
    shown: list[str] = []
    app.add_url_rule("/shown", "shown", lambda: shown[0])
    auth = xwms_auth.flask.XWMSAuth(app, config(leak_guard=False))
    assert auth is not None
    with local_xwms() as xwms:
        client = app.test_client()
        xwms.login(client)
        shown.append(xwms.config().secret_source().reveal())
        assert client.get("/shown").status_code == 500
