"""What the WSGI door has besides the journeys: the person of the request, guards, answers of the application's own."""

import os
import threading
from contextvars import copy_context
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from tests.tools.clock import Clock
from tests.tools.site import FROM_HERE, HTTPS_URI, NAVIGATION, PROGRAM, Site, flask_app, log_in
from xwms_auth import ConfigError, LoginRequired, User, XWMSConfig, XWMSError, XWMSSessions
from xwms_auth.wsgi import XWMSAuth, current_user, login_required, passive, require_user

ORIGIN = "https://app.example"
TEXT = [("Content-Type", "text/plain; charset=utf-8")]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def visit(fx, clock):
    """Make a client of a WSGI application inside `XWMSAuth`."""

    def made(app: Any, *, unauthorized: Any = None, **options: Any) -> httpx2.Client:
        config = XWMSConfig(**fx.options(redirect_uris=HTTPS_URI, **options))
        return client_of(XWMSAuth(app, config, clock=clock, unauthorized=unauthorized))

    return made


def client_of(app: Any) -> httpx2.Client:
    return httpx2.Client(transport=httpx2.WSGITransport(app, raise_app_exceptions=False), base_url=ORIGIN)


def sub() -> str:
    return current_user.sub if current_user.is_authenticated else "nobody"


def who(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", TEXT)
    return [sub().encode()]


def required(environ: Any, start_response: Any) -> Any:
    user = require_user(environ)
    start_response("200 OK", TEXT)
    return [user.sub.encode()]


# --- who is there ---


def test_current_user_is_the_person_of_the_request_and_nobody_outside_of_one(visit, fx):
    kept: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        kept[:] = [current_user(environ), copy_context()]
        return who(environ, start_response)

    client = visit(app)
    assert client.get("/").text == "nobody"
    log_in(client, fx)
    assert client.get("/").text == "17"
    assert isinstance(kept[0], User)
    assert kept[1].run(sub) == "nobody"  # what outlives the request acts for nobody
    assert sub() == "nobody"
    assert repr(current_user)


@pytest.mark.parametrize("first", [b"", b"so "])
def test_a_streamed_body_is_made_for_the_person_of_its_request(visit, fx, first):
    kept: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        yield first
        kept[:] = [copy_context()]
        yield sub().encode()

    client = visit(app)
    log_in(client, fx)
    assert client.get("/").text == f"{first.decode()}17"
    assert kept[0].run(sub) == "nobody"


def test_bodies_that_one_thread_makes_by_turns_do_not_mix_people_up(fx, clock):
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        for _ in range(3):
            yield sub().encode()

    auth = XWMSAuth(app, XWMSConfig(**fx.options(redirect_uris=HTTPS_URI)), clock=clock)
    somebody, nobody = client_of(auth), client_of(auth)
    log_in(somebody, fx)
    environs = [environ_of(client) for client in (somebody, nobody)]
    bodies = [iter(auth(environ, lambda *_: lambda data: None)) for environ in environs]
    turns = [[next(body) for body in bodies] for _ in range(3)]
    assert turns == [[b"17", b"nobody"]] * 3
    assert sub() == "nobody"


def environ_of(client: httpx2.Client) -> dict[str, Any]:
    """The environment of a request with this client's cookies."""
    seen: list[dict[str, Any]] = []

    def app(environ: Any, start_response: Any) -> Any:
        seen.append(environ)
        start_response("204 No Content", [])
        return []

    with httpx2.Client(transport=httpx2.WSGITransport(app), base_url=ORIGIN, cookies=client.cookies) as bare:
        bare.get("/")
    return seen[0]


def test_a_body_is_closed_once_and_a_list_stays_a_list(fx, clock):
    closed: list[str] = []

    class Body(list[bytes]):
        def close(self) -> None:
            closed.append(sub())

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        return [b"a"] if environ["PATH_INFO"] == "/list" else Body([b"a", b"b"])

    auth = XWMSAuth(app, XWMSConfig(**fx.options(redirect_uris=HTTPS_URI)), clock=clock)
    client = client_of(auth)
    assert client.get("/").text == "ab"
    assert closed == ["nobody"]
    assert type(auth({**environ_of(client), "PATH_INFO": "/list"}, lambda *_: lambda data: None)) is list


def test_the_response_depends_on_the_session_only_if_it_was_read(visit, fx):
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        return [b"same for all"]

    for application, is_read in ((app, False), (who, True)):
        client = visit(application)
        log_in(client, fx)
        answer = client.get("/")
        assert ("cookie" in answer.headers.get("vary", "").lower()) is is_read
        assert ("no-store" in answer.headers.get("cache-control", "")) is is_read


def test_passive_looks_without_renewing(visit, fx, clock):
    for application, renews in ((who, True), (passive(who), False)):
        client = visit(application)
        log_in(client, fx)
        clock.advance(3600)
        assert ("set-cookie" in client.get("/").headers) is renews


def test_sessions_are_listed_and_ended(fx, clock, tmp_path):
    def app(environ: Any, start_response: Any) -> Any:
        (session,) = auth.sessions.list(current_user.sub)
        assert session.is_current
        auth.sessions.revoke_all(current_user.sub)
        return who(environ, start_response)

    store = f"sqlite:///{tmp_path / 'sessions.sqlite3'}"
    auth = XWMSAuth(app, XWMSConfig(**fx.options(redirect_uris=HTTPS_URI, session_store=store)), clock=clock)
    assert isinstance(auth.sessions, XWMSSessions)
    client = client_of(auth)
    log_in(client, fx)
    assert client.get("/").text == "17"
    assert not any(session.is_current for session in auth.sessions.list("17"))
    assert client.get("/xwms/me", headers=PROGRAM).json()["user"] is None


# --- guards ---


def swallowed(environ: Any, start_response: Any) -> Any:
    """As a framework that makes a page of every error."""
    try:
        return required(environ, start_response)
    except XWMSError:
        start_response("200 OK" if environ["PATH_INFO"] == "/fine" else "500 Oops", TEXT)
        return [b"the application's page"]


def streamed_and_swallowed(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", TEXT)
    try:
        yield require_user(environ).sub.encode()
    except LoginRequired:
        yield b"the application's page"


def started_before(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", TEXT)
    try:
        return [require_user(environ).sub.encode()]
    except LoginRequired:
        return [b"the application's page"]


GUARDED = {
    "raised": required,
    "swallowed": swallowed,
    "streamed": streamed_and_swallowed,
    "started": started_before,
    "decorated": login_required(who),
    "decorated with options": login_required(fresh=timedelta(minutes=5))(who),
}


@pytest.mark.parametrize("guarded", GUARDED.values(), ids=GUARDED)
def test_a_request_without_a_person_ends_as_with_login_required(visit, fx, guarded):
    client = visit(guarded)
    for path in ("/page", "/fine"):
        refused = client.get(path, headers=NAVIGATION)
        assert (refused.status_code, refused.headers["location"]) == (302, f"/xwms/auth?next={path}")
        assert "the application's page" not in refused.text
        assert refused.headers["cache-control"] == "no-store"
        program = client.get(path, headers=PROGRAM)
        assert (program.status_code, program.json()["code"]) == (401, "login_required")
        assert client.get(path, headers={"HX-Request": "true"}).headers["hx-redirect"]
    log_in(client, fx)
    answer = client.get("/page")
    assert (answer.status_code, answer.text) == (200, "17")
    assert answer.headers["cache-control"] == "private, no-store"


def test_a_login_that_is_too_old_is_asked_for_again(visit, fx, clock):
    client = visit(login_required(fresh=300)(who))
    log_in(client, fx)
    assert client.get("/").text == "17"
    clock.advance(600)
    assert client.get("/", headers=NAVIGATION).headers["location"] == "/xwms/auth?next=/&fresh=300"


def test_with_everything_protected_only_public_paths_are_open(visit, fx):
    client = visit(who, protect="all", public=["/open", "/static/*"])
    assert [client.get(path, headers=NAVIGATION).status_code for path in ("/open", "/static/a", "/a")] == [
        200,
        200,
        302,
    ]
    log_in(client, fx)
    assert client.get("/a").text == "17"


def test_a_guard_without_the_door_around_it_says_so():
    for guarded in (required, login_required(who)):
        with pytest.raises(RuntimeError, match="XWMSAuth is not around this application"):
            guarded({}, lambda *_: None)
    with pytest.raises(RuntimeError, match="XWMSAuth is not around this application"):
        current_user({})


# --- a store that is down ---


def asks(environ: Any, start_response: Any) -> Any:
    try:
        return who(environ, lambda *_: None)
    except XWMSError:
        start_response("500 Oops", TEXT)
        return [b"the application's page"]


@pytest.mark.parametrize("app", [who, asks, *GUARDED.values()])
def test_a_store_that_is_down_is_a_503_and_never_nobody(make_fx, tmp_path, clock, app):
    folder = tmp_path / "sessions"
    folder.mkdir()
    site = Site("wsgi", make_fx(), redirect_uris=HTTPS_URI, session_store=f"sqlite:///{folder / 'sessions.sqlite3'}")
    browser = site.browser()
    browser.log_in()
    folder.rename(tmp_path / "elsewhere")
    answer = client_of(XWMSAuth(app, site.config, clock=clock)).get(
        "/", headers=PROGRAM | {"Cookie": "; ".join(f"{key}={value}" for key, value in browser.cookies().items())}
    )
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")


# --- answers of the application's own ---


class Own:
    """A WSGI application as an answer; counts how often its body was closed."""

    closed = 0

    def __call__(self, environ: Any, start_response: Any) -> Any:
        start_response("418 Teapot", [*TEXT, ("Cache-Control", "public")])
        self._chunks = iter([b"own ", environ["PATH_INFO"].encode()])
        return self

    def __iter__(self) -> Any:
        return self._chunks

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("guarded", [*GUARDED.values(), who])
def test_the_application_answers_in_our_place(visit, guarded):
    own, seen = Own(), []

    def unauthorized(environ: Any, problem: dict[str, object]) -> Any:
        seen.append(problem)
        return None if environ["PATH_INFO"] == "/ours" else own

    client = visit(guarded, unauthorized=unauthorized, protect="all" if guarded is who else "marked")
    answer = client.get("/page", headers=NAVIGATION)
    assert (answer.status_code, answer.text, own.closed) == (418, "own /page", 1)
    assert answer.headers["cache-control"] == "no-store"
    assert client.get("/ours", headers=NAVIGATION).headers["location"] == "/xwms/auth?next=/ours"
    assert [problem["code"] for problem in seen] == ["login_required"] * 2


# --- setting up ---


def test_the_environment_is_read_and_all_faults_are_told(monkeypatch, fx):
    with pytest.raises(ConfigError, match="XWMS_CLIENT_ID"):
        XWMSAuth(who)
    options = fx.options(redirect_uris=HTTPS_URI)
    for key, value in {
        "CLIENT_ID": "client_id",
        "CLIENT_SECRET": "client_secret",
        "REDIRECT_URI": "redirect_uris",
    }.items():
        monkeypatch.setenv(f"XWMS_{key}", options[value])
    with pytest.raises(ConfigError, match="XWMS_SESSION_SECRET"):
        XWMSAuth(who)
    monkeypatch.setenv("XWMS_SESSION_SECRET", os.urandom(32).hex())
    monkeypatch.setenv("XWMS_API_URI", options["api_url"])
    auth = XWMSAuth(who)
    assert auth.config.registered[0].uri == HTTPS_URI
    assert log_in(client_of(auth), fx).status_code == 303


def test_inside_another_one_of_the_same_client_the_rules_of_both_hold(visit, fx, clock):
    config = XWMSConfig(**fx.options(redirect_uris=HTTPS_URI, protect="all"))
    client = visit(XWMSAuth(who, config, clock=clock), unauthorized=lambda environ, problem: None)
    assert client.get("/page", headers=NAVIGATION).status_code == 302
    log_in(client, fx)
    assert client.get("/page").text == "17"


def test_a_flask_application_inside_it_has_the_same_person(visit, fx, clock):
    config = XWMSConfig(**fx.options(redirect_uris=HTTPS_URI))
    client = visit(flask_app(config, clock))
    assert client.get("/private", headers=FROM_HERE).status_code == 302
    log_in(client, fx)
    assert client.get("/private").text == "17"


def test_threads_serve_each_their_own_person(visit, fx):
    meet = threading.Barrier(2, timeout=30)

    def app(environ: Any, start_response: Any) -> Any:
        meet.wait()
        return who(environ, start_response)

    somebody, nobody = visit(app), visit(app)
    log_in(somebody, fx)
    found: dict[str, str] = {}
    clients = {"somebody": somebody, "nobody": nobody}
    threads = [
        threading.Thread(target=lambda key=key, client=client: found.update({key: client.get("/").text}))
        for key, client in clients.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"somebody": "17", "nobody": "nobody"}


def test_a_logout_without_a_body_reads_none(fx):
    class EndOfText:
        """What flup's SCGI server has for input, against PEP 3333: text at its end."""

        def read(self, size: int) -> str:
            return ""

    through = XWMSAuth(who, XWMSConfig(**fx.options(redirect_uris=HTTPS_URI)))

    def flup(environ: Any, start_response: Any) -> Any:
        return through({**environ, "CONTENT_LENGTH": "0", "wsgi.input": EndOfText()}, start_response)

    form = {**FROM_HERE, "Origin": ORIGIN, "Content-Type": "application/x-www-form-urlencoded"}
    assert client_of(flup).post("/xwms/logout", headers=form, content=b"").status_code == 303
