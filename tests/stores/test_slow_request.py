"""A request that is still under way while its session ends, and many that come when the session is due for renewal.

SL-05 (CVE-2025-46336), SL-06 (GHSA-qppm-g56g-fpvp): a slow page has read who is there and is past the time of renewal.
Its session ends. Then the page ends. What it sends, and what it writes, must not sign anybody in again.

Knows: pages that wait until a test lets them go on.
Must not: end anything before the page has read who is there, or let the page go on before all is over.
"""

import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import flask
import httpx2
import pytest
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.tools.fake_xwms import envelope, person
from tests.tools.faults import refusal
from tests.tools.places import KINDS, REACHING, SERVERS
from tests.tools.session_pages import given, outside, with_pages
from tests.tools.site import FROM_HERE, LOGOUT, ME, PROGRAM, Site
from xwms_auth.flask import current_user
from xwms_auth.stores.memory import MemoryStore

SUB = "xwms-user-1234"
IDLE, RENEWAL = 1000, 50
RECHECK, PAUSE = 30, 60  # between two checks with XWMS of one session, and of one process
BELIEVED = 10  # how late another process may hear of it where sessions are cookies
PATIENCE = 20.0
CROWD = 24


class Gate:
    """Where a slow page waits."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def close(self) -> None:
        self.entered.clear()
        self.open.clear()

    def wait(self) -> None:
        self.entered.set()
        assert self.open.wait(PATIENCE)


def with_slow_pages(site: Site, gate: Gate) -> Site:
    """/slow waits before it answers; /streamed after the first piece. Both read who is there at once."""
    made = with_pages(site)
    (_flask_pages if made.edge == "flask" else _asgi_pages)(made, gate)
    return made


def _flask_pages(site: Site, gate: Gate) -> None:
    def slow() -> str:
        sub = current_user.sub
        gate.wait()
        return f"{sub}"

    def streamed() -> flask.Response:
        def pieces() -> Iterator[str]:
            yield f"{current_user.sub}"
            gate.wait()
            yield "."

        return flask.Response(flask.stream_with_context(pieces()), mimetype="text/plain")

    site.app.add_url_rule("/slow", "slow", slow)
    site.app.add_url_rule("/streamed", "streamed", streamed)


def _asgi_pages(site: Site, gate: Gate) -> None:
    async def slow(request: Request) -> Response:
        sub = request.user.sub
        await run_sync(gate.wait)
        return PlainTextResponse(sub)

    async def streamed(request: Request) -> Response:
        async def pieces() -> AsyncIterator[str]:
            yield request.user.sub
            await run_sync(gate.wait)
            yield "."

        return StreamingResponse(pieces(), media_type="text/plain")

    site.app.app.router.routes += [Route("/slow", slow), Route("/streamed", streamed)]


def ask(site: Site, path: str, session: str, *, method: str = "GET", headers=PROGRAM) -> httpx2.Response:
    """One request with exactly this session."""
    cookie = ("Cookie", f"{site.session_cookie}={session}")
    return site.raw(path, method=method, headers=[*headers.items(), cookie])


def sessions_in(site: Site, answer: httpx2.Response) -> list[str]:
    """The session cookies that the answer gives."""
    pairs = [line.partition(";")[0].partition("=") for line in answer.headers.get_list("set-cookie")]
    return [value for name, _, value in pairs if name == site.session_cookie and value]


def sub_at(site: Site, session: str) -> str | None:
    user = ask(site, ME, session).json()["user"]
    return user and user["sub"]


@pytest.fixture
def options(where):
    """The options of a place that two sites share. A memory is an object, so that they can."""
    memory = MemoryStore()
    return lambda kind: {"session_store": memory} if kind == "memory" else where(kind)


@pytest.fixture
def make(make_site, options):
    """Two processes of one site, and the gate of the first one's slow pages."""

    def make(kind, **more):
        gate, chosen = Gate(), {**options(kind), "session_idle": IDLE, **more}
        site = with_slow_pages(make_site(**chosen), gate)
        other = with_pages(site.restarted(**chosen))
        other.clock = site.clock
        return site, with_pages(other), gate

    return make


def logged_out(site, session):
    answer = ask(site, LOGOUT, session, method="POST", headers=FROM_HERE)
    assert answer.status_code == 303


def all_revoked(site, session):
    outside(site, lambda sessions: sessions.revoke_all(SUB))


def access_withdrawn(site, session):
    """XWMS says no when it is asked about the person once more."""
    site.fx.answer("get/user/info", refusal(403, "The user has not approved this client."))
    site.clock.advance(PAUSE + 1)
    answer = ask(site, "/who", session)
    assert (answer.status_code, answer.json()["reason"]) == (401, "access_withdrawn")


PAGES = ("/slow", "/streamed")
EDGES = ("flask", "asgi")
TURNS = (logged_out, all_revoked, access_withdrawn)
ENDS = [(kind, end) for end in TURNS for kind in KINDS if kind in REACHING or end is not all_revoked]


def edge_of(kind, turn):
    """The edge whose turn it is."""
    return EDGES[(KINDS.index(kind) + turn) % 2]


def in_turn(first, kinds=KINDS):
    """Each kind on one edge, by turns: neither has a part in what the other does."""
    return pytest.mark.parametrize(("edge", "kind"), [(edge_of(kind, first), kind) for kind in kinds])


def ends_in_turn(first, ends):
    """Each kind meets both edges, and so does each end; with the other `first`, every end of a kind does."""
    return pytest.mark.parametrize(
        ("edge", "kind", "end"), [(edge_of(kind, first + TURNS.index(end)), kind, end) for kind, end in ends]
    )


def end_while_a_page_is_under_way(site, gate, page, session, end):
    """The answer of the page, which has read who is there before `end()` and sends its last word after it."""
    site.clock.advance(RENEWAL + 20)
    gate.close()
    with ThreadPoolExecutor(1) as thread:
        try:
            coming = thread.submit(given(site, session).get, page)
            assert gate.entered.wait(PATIENCE)
            assert not coming.done()
            end()
        finally:
            gate.open.set()
        answer = coming.result(PATIENCE)
    assert answer.text.rstrip(".") == SUB
    return answer


def checked_with(end):
    return {"recheck": RECHECK} if end is access_withdrawn else {}


def session_of(site):
    """The session of somebody who has just logged in."""
    site.clock.advance(1)
    browser = site.browser()
    browser.log_in(SUB)
    return browser.cookies()[site.session_cookie]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_page_renews_a_session_that_goes_on(make, kind):
    """So that the next tests are about something."""
    site, _, gate = make(kind)
    for page in PAGES:
        session = session_of(site)
        (renewed,) = sessions_in(site, end_while_a_page_is_under_way(site, gate, page, session, lambda: None))
        assert (renewed == session) == (kind in SERVERS), page
        assert sub_at(site, renewed) == SUB, page


@ends_in_turn(0, ENDS)
def test_a_session_that_ends_while_a_page_is_under_way_stays_dead(make, edge, kind, end):
    """SL-05, SL-06"""
    site, _, gate = make(kind, **checked_with(end))
    for page in PAGES:
        site.fx.answer("get/user/info", envelope({"user": person(SUB)}))
        session = session_of(site)
        answer = end_while_a_page_is_under_way(site, gate, page, session, lambda session=session: end(site, session))
        renewed = sessions_in(site, answer)
        # The head of a streamed answer left while the session was alive, and renewed it; that is over as well.
        assert len(renewed) == (page == "/streamed"), page
        for cookie in (session, *renewed):
            assert sub_at(site, cookie) is None, page
            assert ask(site, "/who", cookie).status_code == 401, page
        if kind in SERVERS:
            assert outside(site, lambda sessions: sessions.list(SUB)) == (), page


@ends_in_turn(1, [(kind, end) for kind, end in ENDS if kind != "cookie"])
def test_a_session_that_ends_in_another_process_stays_dead_too(make, edge, kind, end):
    """SL-05, SL-06, SL-15: the page is served by one process, and the session ends in another."""
    site, other, gate = make(kind, **checked_with(end))
    for page in PAGES:
        site.fx.answer("get/user/info", envelope({"user": person(SUB)}))
        session = session_of(other)

        def end_elsewhere(session=session):
            end(other, session)
            if kind not in SERVERS:
                site.clock.advance(BELIEVED)

        answer = end_while_a_page_is_under_way(site, gate, page, session, end_elsewhere)
        renewed = sessions_in(site, answer)
        assert len(renewed) == (page == "/streamed"), page
        for cookie in (session, *renewed):
            assert (sub_at(site, cookie), sub_at(other, cookie)) == (None, None), page
        if kind in SERVERS:
            assert outside(site, lambda sessions: sessions.list(SUB)) == (), page


@in_turn(0)
def test_a_slow_page_undoes_no_logout_of_the_browser_at_another_process(make, kind):
    """SL-06: what the page sends last must not take the place of what the logout left."""
    site, other, gate = make(kind)
    browser = other.browser()
    browser.log_in(SUB)
    session = browser.cookies()[site.session_cookie]

    def end_elsewhere():
        logged_out(other, session)
        if kind == "cookie":
            site.clock.advance(6)  # a store alone hears of nothing; with one to ask, there is no time at all

    assert sessions_in(site, end_while_a_page_is_under_way(site, gate, "/slow", session, end_elsewhere)) == []


@in_turn(1)
def test_after_a_slow_page_the_next_one_renews(make, kind):
    """Where the slow one could not bring its cookie."""
    site, _, gate = make(kind)
    browser = site.browser()
    browser.log_in(SUB)
    session = browser.cookies()[site.session_cookie]
    slow = end_while_a_page_is_under_way(site, gate, "/slow", session, lambda: site.clock.advance(6))
    quick = ask(site, "/who", session)
    assert len(sessions_in(site, slow) + sessions_in(site, quick)) == 1


@in_turn(0)
def test_who_logs_in_again_meanwhile_is_not_thrown_back(make, kind):
    """SF-06: the page ends as the person of the session it was asked with, whose cookie is worth nothing by then."""
    site, _, gate = make(kind)
    browser = site.browser()
    browser.log_in(SUB)
    session = browser.cookies()[site.session_cookie]

    def log_in_as_somebody_else():
        assert browser.log_out().status_code == 303
        browser.log_in("somebody-else")

    answer = end_while_a_page_is_under_way(site, gate, "/slow", session, log_in_as_somebody_else)
    assert sessions_in(site, answer) == []
    assert sub_at(site, session) is None
    assert browser.who() == "somebody-else"


@in_turn(1)
def test_of_many_requests_at_once_one_renews_the_session(make, kind):
    """SL-06, SL-14: once in an interval, and all that come of it is the same person's one session."""
    site, _, _ = make(kind)
    browser = site.browser()
    browser.log_in(SUB)
    alive = {browser.cookies()[site.session_cookie]}
    for _ in range(3):
        site.clock.advance(RENEWAL + 1)
        barrier = threading.Barrier(CROWD)
        cookies = [sorted(alive)[number % len(alive)] for number in range(CROWD)]

        def visit(cookie, barrier=barrier):
            barrier.wait(PATIENCE)
            return ask(site, "/who", cookie)

        with ThreadPoolExecutor(CROWD) as threads:
            answers = list(threads.map(visit, cookies))
        assert {(answer.status_code, answer.text) for answer in answers} == {(200, SUB)}
        renewed = [cookie for answer in answers for cookie in sessions_in(site, answer)]
        assert len(renewed) == 1
        assert set(renewed) <= alive or kind not in SERVERS
        alive |= set(renewed)
        assert {sub_at(site, cookie) for cookie in alive} == {SUB}
        assert not any(sessions_in(site, ask(site, "/who", renewed[0])) for _ in range(3))
    if kind in SERVERS:
        assert len(outside(site, lambda sessions: sessions.list(SUB))) == 1
    # One session, however many cookies it has had: one logout ends it.
    logged_out(site, min(alive))
    assert {sub_at(site, cookie) for cookie in alive} == {None}


@in_turn(0, SERVERS)
def test_each_process_renews_once_in_an_interval_at_the_most(make, kind):
    """The session stays one, and was seen when the last of them saw it."""
    site, other, _ = make(kind)
    browser = site.browser()
    browser.log_in(SUB)
    session = browser.cookies()[site.session_cookie]
    for _ in range(3):
        site.clock.advance(RENEWAL + 1)
        barrier = threading.Barrier(CROWD)

        def visit(place, barrier=barrier):
            barrier.wait(PATIENCE)
            return sessions_in(place, ask(place, "/who", session))

        with ThreadPoolExecutor(CROWD) as threads:
            renewed = [cookie for cookies in threads.map(visit, [site, other] * (CROWD // 2)) for cookie in cookies]
        assert set(renewed) == {session}
        assert len(renewed) <= 2
        (info,) = outside(other, lambda sessions: sessions.list(SUB))
        assert int(info.seen_at.timestamp()) == int(site.clock())
