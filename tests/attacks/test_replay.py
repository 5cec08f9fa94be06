"""Replay and races: a token, a login and an ended session are worth something once (RFC 6749 4.1.2, RFC 9700 4.3.1).

Knows: threads, and the access logs of real servers.
Must not: look inside the package.
"""

import asyncio
import logging
import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx2
import pytest
import uvicorn
from werkzeug.serving import make_server

from tests.corpus.tokens import ABSURD, GOOD, PLAUSIBLE
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, PROGRAM, Site

BOTH_STORES = pytest.mark.parametrize("store", ["cookie", "memory://"])
EVERY_MODE = pytest.mark.parametrize("mode", ["either", "same", "fresh"])
CROWD = 100  # callbacks at one moment
PATIENCE = 20.0  # seconds for something that should come at once


def session_in(site, answer):
    """The session cookie that the answer gives, or None."""
    start = f"{site.session_cookie}="
    lines = [line for line in answer.headers.get_list("set-cookie") if line.startswith(start)]
    return lines[0].removeprefix(start).partition(";")[0] if lines else None


def who_with(site, session):
    """The status of a page that needs a person, for exactly this session cookie."""
    return site.raw("/who", headers=[*PROGRAM.items(), ("Cookie", f"{site.session_cookie}={session}")]).status_code


def come_back_with(site, token, cookie):
    """The callback with exactly this Cookie header."""
    return site.raw(CALLBACK, query=f"token={token}", headers=[*FROM_ELSEWHERE.items(), ("Cookie", cookie)])


def at_once(questions):
    """Put all questions in the same moment, one thread each; gives their answers."""
    barrier = threading.Barrier(len(questions))

    def put(question):
        barrier.wait(PATIENCE)
        return question()

    with ThreadPoolExecutor(len(questions)) as threads:
        return list(threads.map(put, questions))


def site_of_mode(make_site, mode, **options):
    """A site in this mode over an XWMS that behaves so."""
    return make_site("fresh" if mode == "fresh" else "same", callback_token=mode, **options)


@BOTH_STORES
def test_the_same_callback_again_changes_nothing(make_site, store):
    """RP-01: the back button, or a reload."""
    site = make_site(session_store=store)
    browser = site.browser()
    token = site.fx.approve(browser.start("/hello"))
    assert browser.come_back(token).headers["location"] == "/hello"
    before = browser.cookies()
    again = browser.come_back(token)
    assert (again.status_code, again.headers["location"]) == (303, "/")
    assert "token" not in again.headers["location"]
    assert session_in(site, again) is None
    assert browser.cookies() == before
    assert browser.who() == "xwms-user-1234"


@BOTH_STORES
@EVERY_MODE
def test_a_hundred_callbacks_at_once_make_one_session(make_site, mode, store):
    """RP-02"""
    site = site_of_mode(make_site, mode, session_store=store)
    browser = site.browser()
    token = site.fx.approve(browser.start())
    cookie = browser.pending()
    answers = at_once([lambda: come_back_with(site, token, cookie)] * CROWD)
    assert sorted({answer.status_code for answer in answers}) == [303, 401]
    sessions = [session for answer in answers if (session := session_in(site, answer)) is not None]
    assert len(sessions) == 1
    assert who_with(site, sessions[0]) == 200
    assert site.fx.calls("sign-token-verify") == 1


@BOTH_STORES
def test_a_hundred_different_tokens_at_once_have_one_login_between_them(make_site, store):
    """RP-02: in `fresh` mode any token fits a login, so the login itself must be what is used up."""
    site = make_site("fresh", callback_token="fresh", session_store=store)
    browser = site.browser()
    browser.start()
    cookie = browser.pending()
    tokens = [site.fx.approve(sub=f"user-{number}") for number in range(CROWD)]
    answers = at_once([lambda token=token: come_back_with(site, token, cookie) for token in tokens])
    assert sum(session_in(site, answer) is not None for answer in answers) == 1
    assert site.fx.calls("sign-token-verify") <= 6, "one redeems; the others are spent, as far as the budget goes"


def test_four_workers_that_share_nothing_make_one_session_because_xwms_counts_too(make_site):
    """RP-02: with the cookie store a worker does not know what another one has used up."""
    site = make_site()
    workers = [site, *(site.restarted() for _ in range(3))]
    browser = site.browser()
    token = site.fx.approve(browser.start())
    cookie = browser.pending()
    questions = [lambda worker=worker: come_back_with(worker, token, cookie) for worker in workers * 10]
    answers = at_once(questions)
    assert sum(session_in(site, answer) is not None for answer in answers) == 1
    assert site.fx.calls("sign-token-verify") <= len(workers)
    assert {answer.status_code for answer in answers} <= {303, 400, 401}


@BOTH_STORES
def test_a_hundred_tasks_of_one_event_loop_make_one_session(make_fx, store):
    """RP-02: the shape of the race under ASGI, where every call to XWMS lets others in."""
    site = Site("asgi", make_fx(), session_store=store)
    browser = site.browser()
    token = site.fx.approve(browser.start())
    headers = {**FROM_ELSEWHERE, "Cookie": browser.pending()}

    async def crowd() -> list[httpx2.Response]:
        transport = httpx2.ASGITransport(app=site.app)
        async with httpx2.AsyncClient(transport=transport, base_url=site.origin) as client:
            asked = (client.get(CALLBACK, params={"token": token}, headers=headers) for _ in range(CROWD))
            return list(await asyncio.gather(*asked))

    answers = asyncio.run(crowd())
    assert sum(answer.status_code == 303 for answer in answers) == 1
    assert site.fx.calls("sign-token-verify") == 1


@BOTH_STORES
def test_a_callback_that_worked_works_in_no_other_browser(make_site, store):
    """RP-03: alone, with a login of its own under way, and with the very cookie of the first."""
    site = make_site(session_store=store)
    first = site.browser()
    token = site.fx.approve(first.start())
    cookie = first.pending()
    assert first.come_back(token).status_code == 303
    stranger, busy = site.browser(), site.browser()
    busy.start()
    assert stranger.come_back(token).status_code == 400
    assert busy.come_back(token).status_code == 401
    assert come_back_with(site, token, cookie).status_code == 401
    assert stranger.who() is None
    assert busy.who() is None


@pytest.mark.parametrize(("fault", "status"), [("consume then close", 503), ("consume then hang", 504), ("reset", 503)])
def test_a_token_that_xwms_may_have_seen_is_not_tried_again(make_site, fault, status):
    """RP-04: XWMS spends the token, and its answer is lost."""
    site = make_site(timeout=0.5)
    browser = site.browser()
    token = site.fx.approve(browser.start("/hello"))
    site.fx.answer("sign-token-verify", fault)
    lost = browser.come_back(token)
    assert lost.status_code == status
    assert site.fx.calls("sign-token-verify") == 1
    assert 'href="/xwms/auth?next=/hello"' in lost.text
    assert not browser.logins()
    site.fx.answer("sign-token-verify")
    assert browser.come_back(token).status_code == 400
    assert browser.who() is None


class _Overheard(logging.Handler):
    """What an access log says, and what XWMS had been asked when it was said."""

    def __init__(self, asked: Callable[[], int]) -> None:
        super().__init__()
        self.said: list[tuple[str, int]] = []
        self._asked = asked

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append((record.getMessage(), self._asked()))


@contextmanager
def _logging_server(site) -> Iterator[tuple[str, _Overheard]]:
    """The site on a real server that logs every request with its query: `host:port`, and what the log says."""
    overheard = _Overheard(lambda: site.fx.calls("sign-token-verify"))
    log = logging.getLogger("werkzeug" if site.edge == "flask" else "uvicorn.access")
    level = log.level
    log.addHandler(overheard)
    log.setLevel(logging.INFO)
    try:
        with (_werkzeug if site.edge == "flask" else _uvicorn)(site.app) as port:
            yield f"127.0.0.1:{port}", overheard
    finally:
        log.removeHandler(overheard)
        log.setLevel(level)


@contextmanager
def _werkzeug(app) -> Iterator[int]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join(PATIENCE)
        server.server_close()


@contextmanager
def _uvicorn(app) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        server = uvicorn.Server(uvicorn.Config(app, http="h11", log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        try:
            yield bound.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(PATIENCE)


@pytest.mark.leaks("the filter of access logs is off, and the test reads the token there")
def test_a_token_read_from_a_real_access_log_is_dead_when_it_stands_there(make_site):
    """RP-05"""
    # A path of its own: the filter serves every application of this process that has asked for it.
    path = "/back/from/elsewhere"
    site = make_site(redirect_uris=f"https://app.example{path}", redact_access_logs=False)
    browser, thief = site.browser(), site.browser()
    token = site.fx.approve(browser.start())
    headers = {**FROM_ELSEWHERE, "Host": "app.example", "Cookie": browser.pending(), "Connection": "close"}
    with _logging_server(site) as (address, overheard), httpx2.Client(trust_env=False) as client:
        answer = client.get(f"http://{address}{path}", params={"token": token}, headers=headers)
        assert answer.status_code == 303
    lines = [(match[1], asked) for line, asked in overheard.said if (match := re.search(r"token=([\w-]+)", line))]
    assert lines == [(token, 1)], "the server logs the token; by then XWMS has been asked"
    assert thief.get(path, FROM_ELSEWHERE, params={"token": lines[0][0]}).status_code == 400
    thief.start()
    assert thief.get(path, FROM_ELSEWHERE, params={"token": lines[0][0]}).status_code == 401
    assert thief.who() is None


@BOTH_STORES
@EVERY_MODE
def test_the_callback_from_the_history_does_not_work_after_logout(make_site, mode, store):
    """RP-06: also for who has kept the login cookie."""
    site = site_of_mode(make_site, mode, session_store=store)
    browser = site.browser()
    token = site.fx.approve(browser.start())
    cookie = browser.pending()
    assert browser.come_back(token).status_code == 303
    assert browser.log_out().status_code == 303
    assert browser.come_back(token).status_code == 400
    assert come_back_with(site, token, cookie).status_code == 401
    assert browser.who() is None


def test_an_absurd_token_is_refused_without_asking_xwms(site, browser):
    """RP-07, RP-08: and none of them costs the login that is under way."""
    token = browser.start()
    headers = [*PROGRAM.items(), ("Cookie", browser.pending())]
    for query in ABSURD:
        answer = site.raw(CALLBACK, query=query, headers=headers)
        assert answer.status_code == 400, query[:100]
        assert answer.json()["code"] in ("token_missing", "token_malformed"), query[:100]
        assert answer.headers.get_list("set-cookie") == [], query[:100]
        assert PLAUSIBLE not in answer.text, query[:100]
        assert site.fx.calls("sign-token-verify") == 0, query[:100]
    assert browser.come_back(site.fx.approve(token)).status_code == 303


def test_two_good_tokens_are_none(site, browser):
    """RP-07: one framework takes the first, another the last."""
    mine = site.fx.approve(browser.start(), sub="me")
    other = site.fx.approve(sub="attacker")
    for query in (f"token={mine}&token={other}", f"token={other}&token={mine}", f"token={mine}&token={mine}"):
        headers = [*FROM_ELSEWHERE.items(), ("Cookie", browser.pending())]
        assert site.raw(CALLBACK, query=query, headers=headers).status_code == 400
    assert site.fx.calls("sign-token-verify") == 0
    assert browser.come_back(mine).status_code == 303


def test_an_honest_token_reaches_xwms_unchanged(make_site):
    """RP-08: what must still work."""
    site = make_site("fresh", callback_token="fresh")
    for token in GOOD:
        browser = site.browser()
        browser.start()
        browser.come_back(token)
        assert site.fx.to("sign-token-verify")[-1].json["token"] == token
    assert site.fx.calls("sign-token-verify") == len(GOOD)


def test_a_token_anywhere_but_in_the_query_is_not_looked_for(site, browser):
    """RP-09: each channel alone."""
    token = site.fx.approve(browser.start())
    own = [*PROGRAM.items(), ("Cookie", browser.pending())]
    form = ("Content-Type", "application/x-www-form-urlencoded")
    json = ("Content-Type", "application/json")
    answers = [
        site.raw(CALLBACK, headers=[*own, form], body=f"token={token}".encode()),
        site.raw(CALLBACK, headers=[*own, json], body=f'{{"token": "{token}"}}'.encode()),
        site.raw(CALLBACK, headers=[*PROGRAM.items(), ("Cookie", f"{browser.pending()}; token={token}")]),
        site.raw(CALLBACK, headers=[*own, ("Authorization", f"Bearer {token}")]),
        site.raw(CALLBACK, headers=[*own, ("X-Token", token)]),
        site.raw(CALLBACK, headers=[*own, ("Token", token)]),
        site.raw(CALLBACK, headers=[*own, ("Referer", f"{site.origin}{CALLBACK}?token={token}")]),
        site.raw(CALLBACK, query=f"#token={token}", headers=own),
        *(
            site.raw(CALLBACK, query=f"{name}={token}", headers=own)
            for name in ("access_token", "id_token", "code", "Token", "xwms_token", "token[]")
        ),
    ]
    assert [answer.json()["code"] for answer in answers] == ["token_missing"] * len(answers)
    assert site.fx.calls("sign-token-verify") == 0
    assert browser.come_back(token).status_code == 303


@BOTH_STORES
def test_a_session_cookie_is_dead_after_logout_in_every_copy(make_site, store):
    """RP-11: the oldest copy, the renewed one, and one that was never renewed."""
    site = make_site(session_store=store, session_idle=1200)
    browser = site.browser()
    browser.log_in()
    copies = [browser.cookies()[site.session_cookie]]
    site.clock.advance(61)
    assert browser.who() == "xwms-user-1234"
    copies.append(browser.cookies()[site.session_cookie])
    browser.log_out()
    assert {who_with(site, copy) for copy in copies} == {401}
    site.clock.advance(600)
    assert {who_with(site, copy) for copy in copies} == {401}


def test_in_another_worker_a_logged_out_cookie_ends_with_its_idle_time(make_site):
    """RP-11: what the cookie store cannot do, and how long it lasts; the documentation says so."""
    site = make_site()
    browser = site.browser()
    browser.log_in()
    kept = browser.cookies()[site.session_cookie]
    browser.log_out()
    other = site.restarted()
    assert who_with(site, kept) == 401
    other.clock.advance(86_399)
    assert who_with(other, kept) == 200
    other.clock.advance(1)
    assert who_with(other, kept) == 401


@BOTH_STORES
def test_a_kept_cookie_ends_with_the_session_not_with_max_age(make_site, store):
    """RP-12: the thief's cookie jar ignores Max-Age, and the thief keeps the session busy."""
    site = make_site(session_store=store)
    browser = site.browser()
    browser.log_in()
    kept = first = browser.cookies()[site.session_cookie]
    for _ in range(167):
        site.clock.advance(3600)
        answer = site.raw("/who", headers=[*PROGRAM.items(), ("Cookie", f"{site.session_cookie}={kept}")])
        assert answer.status_code == 200
        kept = session_in(site, answer) or kept
    site.clock.advance(3599)
    assert who_with(site, kept) == 200
    site.clock.advance(1)
    assert who_with(site, kept) == 401
    assert who_with(site, first) == 401
    site.clock.advance(-2)
    assert who_with(site, kept) == 200


@BOTH_STORES
def test_a_session_from_the_future_is_refused(make_site, store):
    """RP-12: the clock is set back, which would make every session live longer."""
    site = make_site(session_store=store)
    browser = site.browser()
    browser.log_in()
    site.clock.advance(-60)
    assert browser.who() == "xwms-user-1234"
    site.clock.advance(-1)
    assert browser.who() is None
