"""Attacks that a review of this very code found, and that the table has no row for. Each told by what must happen."""

import asyncio
import copy
import os
import pickle
import socket
import traceback
from time import process_time

import flask
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from tests.tools.fake_xwms import CANARY, FakeXWMS
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, FROM_SIBLING, LOGIN, NAVIGATION, PROGRAM, log_in
from xwms_auth import ConfigError, User, XWMSClient, XWMSConfig
from xwms_auth._core.base.memory.expiring import MAX_ENTRIES, ExpiringSet
from xwms_auth.flask import XWMSAuth, current_user, login_required
from xwms_auth.starlette import XWMSAuthMiddleware
from xwms_auth.starlette import current_user as asgi_current_user

FRAMED = {**NAVIGATION, "Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "cross-site"}
IMAGE = {"Accept": "image/*", "Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "cross-site"}
EVIL_LINK = {**FROM_ELSEWHERE, "Referer": "https://evil.example/"}


@pytest.mark.parametrize("mode", ["either", "same"])
@pytest.mark.parametrize("arrival", [FRAMED, IMAGE, EVIL_LINK, FROM_SIBLING], ids=["frame", "image", "link", "sibling"])
def test_a_victims_token_that_is_refused_by_its_headers_is_dead_for_the_attacker_too(make_site, mode, arrival):
    """SF-01: the attacker starts, the victim approves and comes by a way that is refused before anything else."""
    site = make_site(callback_token=mode)
    attacker, victim = site.browser(), site.browser()
    token = site.fx.approve(attacker.start(), sub="victim")
    assert victim.come_back(token, arrival).status_code in (400, 403)
    assert attacker.come_back(token).status_code == 401
    assert attacker.who() is None


def test_a_prefetch_of_the_callback_costs_the_person_nothing(site, browser):
    """LC-06: a browser may fetch the address beforehand, without cookies."""
    token = site.fx.approve(browser.start())
    early = site.browser().come_back(token, {**FROM_ELSEWHERE, "Sec-Purpose": "prefetch"})
    assert early.status_code == 403
    assert browser.come_back(token).status_code == 303


def test_in_either_mode_a_token_that_was_issued_here_for_another_login_is_foreign(site):
    """LC-01: the victim has a login of their own under way; the attacker brings one that they started here."""
    attacker, victim = site.browser(), site.browser()
    token = site.fx.approve(attacker.start(), sub="attacker")
    victim.start()
    assert victim.come_back(token).status_code == 401
    assert victim.who() is None


def test_a_flood_of_junk_does_not_make_a_dead_token_alive(make_site):
    site = make_site(callback_token="same")
    attacker, victim = site.browser(), site.browser()
    for number in range(10):
        site.browser().come_back(f"junk-that-uses-the-budget-up-{number}")
    token = site.fx.approve(attacker.start(), sub="victim")
    assert victim.come_back(token).status_code == 400
    assert site.fx.to("sign-token-verify")[-1].json["token"] == token, "spent, although the budget is used up"
    assert attacker.come_back(token).status_code == 401


def test_the_answers_of_one_person_are_not_made_of_the_headers_of_another(make_fx):
    """CK-14: an application inside may give the same list of headers each time."""
    fx = make_fx()
    config = XWMSConfig(
        **fx.options(redirect_uris="https://app.example/xwms/validateToken", protect="all", public="/open")
    )
    app = flask.Flask(__name__)
    constant = [("Content-Type", "text/plain"), ("Content-Length", "2")]

    def inner(environ, start_response):
        start_response("200 OK", constant)
        return [b"ok"]

    app.wsgi_app = inner
    XWMSAuth(app, config)
    client = httpx2.Client(transport=httpx2.WSGITransport(app), base_url="https://app.example")
    location = client.get(LOGIN, headers=FROM_HERE).headers["location"]
    client.get(CALLBACK, params={"token": fx.approve(location.rpartition("/")[2])}, headers=FROM_ELSEWHERE)
    assert client.get("/page").headers["vary"] == "Cookie"
    assert constant == [("Content-Type", "text/plain"), ("Content-Length", "2")]


def test_faults_in_flasks_settings_show_no_secret_in_a_traceback_with_locals():
    """SE-05"""
    app = flask.Flask(__name__)
    app.secret_key = CANARY
    app.config.from_mapping(XWMS_CLIENT_SECRET=CANARY, XWMS_CLIENT_ID="id", XWMS_REDIRECT_URI="nonsense")
    with pytest.raises(ConfigError) as raised:
        XWMSAuth(app)
    shown = "".join(traceback.TracebackException.from_exception(raised.value, capture_locals=True).format())
    assert CANARY not in shown.partition("test_review.py")[0] + shown.partition("init_app")[2]


def test_an_interrupted_call_shows_no_secret_in_a_traceback_with_locals(make_fx, monkeypatch):
    """SE-05: a worker that is told to exit while it waits for XWMS."""
    fx = make_fx()

    def exits(*args, **kwargs):
        raise SystemExit(1)

    monkeypatch.setattr(socket, "getaddrinfo", exits)
    with XWMSClient(XWMSConfig(**fx.options())) as client, pytest.raises(SystemExit) as raised:
        client.sign_token("http://localhost:5000/xwms/validateToken")
    shown = "".join(traceback.TracebackException.from_exception(raised.value, capture_locals=True).format())
    assert CANARY not in shown


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_does_not_share_its_parents_connections(make_fx):
    """UT-17"""
    fx = make_fx()
    with XWMSClient(XWMSConfig(**fx.options())) as client:
        client.info()
        child = os.fork()
        if child == 0:
            try:
                client.info()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert fx.connections == 2
        client.info()
        assert fx.connections == 2


def asgi_site(fx, routes, **options):
    config = XWMSConfig(**fx.options(redirect_uris="https://app.example/xwms/validateToken", **options))
    app = XWMSAuthMiddleware(Starlette(routes=routes), config)
    return app, config


def test_a_task_that_outlives_its_request_is_nobodys(make_fx):
    """A worker that was first started during one person's request must not go on as that person."""
    fx = make_fx()
    seen = []

    async def start(request):
        go_on = asyncio.Event()

        async def worker():
            await go_on.wait()
            seen.append(asgi_current_user.sub)

        request.app.state.task, request.app.state.go_on = asyncio.create_task(worker()), go_on
        return PlainTextResponse("started", background=BackgroundTask(lambda: seen.append(asgi_current_user.sub)))

    async def end(request):
        request.app.state.go_on.set()
        await request.app.state.task
        return PlainTextResponse("ended")

    app, _ = asgi_site(fx, [Route("/start", start), Route("/end", end)])
    with TestClient(app, base_url="https://app.example", follow_redirects=False) as client:
        log_in(client, fx)
        client.get("/start")
        client.get("/end")
    assert seen[0] == "17"
    assert seen[1] is None


def test_a_copy_of_the_user_is_the_plain_person_and_the_proxies_are_equal(make_fx):
    fx = make_fx()
    kept = []

    async def page(request):
        kept.extend([copy.copy(request.user), copy.deepcopy(request.user), pickle.loads(pickle.dumps(request.user))])
        return PlainTextResponse(f"{asgi_current_user == request.user} {request.user == asgi_current_user}")

    app, _ = asgi_site(fx, [Route("/", page)])
    client = TestClient(app, base_url="https://app.example", follow_redirects=False)
    log_in(client, fx)
    assert client.get("/").text == "True True"
    assert [type(one) for one in kept] == [User] * 3
    assert {one.sub for one in kept} == {"17"}


def test_a_second_middleware_of_the_same_client_adds_no_second_session(make_fx):
    fx = make_fx()

    async def who(request):
        return PlainTextResponse(f"{request.user.sub}")

    inner, config = asgi_site(fx, [Route("/who", who)], session_store="memory://")
    client = TestClient(XWMSAuthMiddleware(inner, config), base_url="https://app.example", follow_redirects=False)
    log_in(client, fx)
    cookie = client.cookies[f"__Host-xwms_session_{config.cookie_tag}"]
    assert client.get("/who").text == "17"
    client.post("/xwms/logout", headers={"Origin": "https://app.example"})
    client.cookies.set(f"__Host-xwms_session_{config.cookie_tag}", cookie, domain="app.example")
    assert client.get("/who").text == "None"


def test_a_clock_that_jumped_ahead_and_back_does_not_close_the_login(site):
    for _ in range(110):
        site.browser().get(LOGIN)
    site.clock.advance(86_400)
    site.browser().get(LOGIN)
    site.clock.advance(-86_400)
    assert site.browser().get(LOGIN, PROGRAM).status_code in (302, 429)
    site.clock.advance(5)
    assert site.browser().get(LOGIN).status_code == 302


def test_head_answers_have_no_body(browser):
    """LC-17"""
    for path in (LOGIN, CALLBACK, "/who"):
        assert browser.client.request("HEAD", path, headers=PROGRAM).content == b""


def test_an_error_after_a_held_head_gives_one_answer(make_fx):
    """A streamed page that fails before its first piece: the server must be told one status, the last."""
    fx = make_fx()
    app = flask.Flask(__name__)
    told = []

    def inner(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        start_response(
            "500 Internal Server Error", [("Content-Type", "text/plain"), ("Content-Length", "2")], (None, None, None)
        )
        return [b"no"]

    app.wsgi_app = inner
    XWMSAuth(app, XWMSConfig(**fx.options()))
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": ""}
    body = app.wsgi_app(environ, lambda status, headers, exc_info=None: told.append(status))
    assert b"".join(body) == b"no"
    assert told == ["500 Internal Server Error"]


def test_an_application_may_begin_its_answer_as_late_as_with_the_first_piece(make_fx):
    """PEP 3333; and an empty first piece does not count."""
    fx = make_fx()
    app = flask.Flask(__name__)

    @app.get("/stream")
    def stream():
        @flask.stream_with_context
        def pieces():
            yield ""
            yield f"{current_user.is_authenticated}"

        return flask.Response(pieces())

    inner = app.wsgi_app
    app.wsgi_app = lambda environ, start_response: (piece for piece in inner(environ, start_response))
    XWMSAuth(app, XWMSConfig(**fx.options(redirect_uris="https://app.example/xwms/validateToken")))
    client = httpx2.Client(transport=httpx2.WSGITransport(app), base_url="https://app.example")
    answer = client.get("/stream")
    assert (answer.status_code, answer.text, answer.headers["vary"]) == (200, "False", "Cookie")


def test_an_old_application_may_write_its_answer_piece_by_piece(make_fx):
    """PEP 3333's `write`, with a head that was held back."""
    app = flask.Flask(__name__)
    told = []

    def inner(environ, start_response):
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"one ")
        write(b"two")
        return []

    app.wsgi_app = inner
    XWMSAuth(app, XWMSConfig(**make_fx().options()))

    def start_response(status, headers, exc_info=None):
        told.append(status)
        return told.append

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": ""}
    assert list(app.wsgi_app(environ, start_response)) == []
    assert told == ["200 OK", b"one ", b"two"]


def test_the_traces_of_a_flood_are_cleared_away_a_little_at_a_time():
    """A hundred thousand marks that are over must not be one request's work."""

    marks = ExpiringSet()
    for number in range(MAX_ENTRIES + 10):
        assert marks.add(f"{number}", until=10, now=0)
    before = process_time()
    for number in range(1000):
        assert marks.add(f"later {number}", until=30, now=20)
    assert process_time() - before < 2
    assert marks.add("0", until=30, now=20)
    assert not marks.add("0", until=30, now=20)


def test_a_guard_that_is_outermost_still_sees_the_person(make_fx: "type[FakeXWMS]"):
    fx = make_fx()
    app = flask.Flask(__name__)
    app.add_url_rule("/who", "who", login_required(lambda: f"{current_user.sub}"))
    XWMSAuth(app, XWMSConfig(**fx.options(redirect_uris="https://app.example/xwms/validateToken")))
    client = httpx2.Client(transport=httpx2.WSGITransport(app), base_url="https://app.example")
    log_in(client, fx)
    assert client.get("/who").text == "17"
