"""Requests that refresh, read and renew beside each other: no token is used twice, and none that came is lost."""

import asyncio
from collections.abc import Callable
from typing import Any

import flask
import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import xwms_auth.flask
from tests.oauth2.local_as import LocalAS, log_in, token_page
from tests.tools.clock import Clock
from tests.tools.site import PROGRAM, Browser, Site, alive
from xwms_auth import LoginRequired
from xwms_auth.sandbox.faults.catalogue import parse_fault

TOKEN = "oauth/token"


@pytest.fixture
def server(local: LocalAS) -> LocalAS:
    return local


@pytest.fixture
def make(make_local: Callable[..., Site]) -> Callable[..., Site]:
    return make_local


def with_pages(site: Site, meanwhile: Callable[[], object]) -> Site:
    """Two pages that read who is there, and go on only after something else has happened: with a token, or without."""
    if site.edge == "flask":
        auth, user = xwms_auth.flask.XWMSAuth(), xwms_auth.flask.current_user

        def late_token() -> str:
            assert user.sub
            meanwhile()
            return auth.access_token()

        def late_page() -> str:
            sub = user.sub
            meanwhile()
            return str(sub)

        site.app.add_url_rule("/late-token", "late-token", late_token)
        site.app.add_url_rule("/late-page", "late-page", late_page)
        return site

    async def late_token_of(request: Request) -> Response:
        assert request.user.sub
        meanwhile()
        return PlainTextResponse(await request.auth.access_token())

    async def late_page_of(request: Request) -> Response:
        sub = request.user.sub
        meanwhile()
        return PlainTextResponse(sub)

    site.app.app.router.routes += [Route("/late-token", late_token_of), Route("/late-page", late_page_of)]
    return site


def token_of(browser: Browser) -> str:
    answer = browser.get("/token", PROGRAM)
    assert answer.status_code == 200, answer.text
    return answer.text


def same_person(browser: Browser, site: Site) -> Browser:
    """The same browser at another process."""
    other = site.browser()
    other.client.cookies.update(browser.cookies())
    return other


@pytest.fixture
def kept(kind: str, where: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """Options for sessions on a server; `memory` is one process only."""
    return where(kind)


@pytest.mark.parametrize(("edge", "kind"), [("flask", "memory"), ("asgi", "sqlite"), ("flask", "redis")])
def test_who_read_the_session_long_ago_uses_what_came_since(make, server, clock, kept):
    """A slow page, or a websocket: its own refresh token has been used, and the mark of that has long gone."""
    one, two = (make(**kept) for _ in range(2)) if "memory" not in str(kept) else (make(**kept),) * 2
    came: list[str] = []

    def refresh_elsewhere() -> None:
        came.append(token_of(same_person(browser, two)))
        clock.advance(100)

    browser = with_pages(one, refresh_elsewhere).browser()
    log_in(browser, server)
    clock.advance(600)
    assert browser.get("/late-token", PROGRAM).text == came[0]
    assert server.calls(TOKEN) == 2, "the login's, and one refresh"
    assert browser.who() == "1001"


@pytest.mark.parametrize(("edge", "kind"), [("asgi", "memory"), ("flask", "sqlite"), ("asgi", "redis")])
def test_a_page_that_only_says_that_somebody_was_here_brings_no_old_tokens_back(make, server, clock, kept):
    one, two = (make(**kept) for _ in range(2)) if "memory" not in str(kept) else (make(**kept),) * 2
    came: list[str] = []
    browser = with_pages(one, lambda: came.append(token_of(same_person(browser, two)))).browser()
    log_in(browser, server)
    clock.advance(4000)  # renewal and refresh are due together
    assert browser.get("/late-page").text == "1001"
    assert token_of(browser) == came[0]
    clock.advance(4000)
    assert token_of(browser) != came[0]
    assert server.calls(TOKEN) == 3
    assert browser.who() == "1001"


def test_in_cookies_too_where_the_page_answers_last(make, server, clock):
    site = make()
    came: list[str] = []
    browser = with_pages(site, lambda: came.append(token_of(same_person(browser, site)))).browser()
    log_in(browser, server)
    clock.advance(4000)
    assert browser.get("/late-page").text == "1001"
    assert token_of(same_person(browser, token_page(site.restarted()))) == came[0], (
        "they are in the cookie that arrived last"
    )


def test_an_answer_that_was_lost_is_made_good_by_the_next(make, server, clock):
    """With the cookie store the answer to a refresh has the new tokens, and a browser may never get it."""
    site = make()
    browser = site.browser()
    log_in(browser, server)
    clock.advance(600)
    second = token_of(same_person(browser, site))
    clock.advance(120)
    assert token_of(browser) == second
    clock.advance(600)
    restarted = same_person(browser, token_page(site.restarted()))
    assert token_of(restarted) != second
    assert server.calls(TOKEN) == 3


def test_an_answer_that_was_lost_is_made_good_also_where_the_cookie_has_been_read_before(make, server, clock):
    """What a process remembers of a cookie is not as old as the request that brings it."""
    site = make()
    browser = site.browser()
    log_in(browser, server)
    assert browser.who() == "1001"
    clock.advance(590)  # a refresh is due, and no renewal
    lost = same_person(browser, site)
    second = token_of(lost)
    assert token_of(browser) == second
    assert browser.cookies()[site.session_cookie] != lost.cookies()[site.session_cookie]
    assert token_of(same_person(browser, token_page(site.restarted()))) == second
    assert server.calls(TOKEN) == 2


def with_a_job(site: Site) -> list[Callable[[], str]]:
    """A page that begins a job, which needs a token and goes on after the response."""
    jobs: list[Callable[[], str]] = []
    if site.edge == "flask":
        auth, user = xwms_auth.flask.XWMSAuth(), xwms_auth.flask.current_user

        def begin() -> str:
            jobs.append(flask.copy_current_request_context(auth.access_token))
            return str(user.sub)

        site.app.add_url_rule("/begin", "begin", begin)
        return jobs

    async def begin_of(request: Request) -> Response:
        jobs.append(lambda: asyncio.run(request.auth.access_token()))
        return PlainTextResponse(request.user.sub)

    site.app.app.router.routes.append(Route("/begin", begin_of))
    return jobs


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_what_a_job_refreshes_after_its_request_is_kept_for_the_session(make, server, clock, kept):
    site = make(**kept)
    jobs, browser = with_a_job(site), site.browser()
    log_in(browser, server)
    assert browser.get("/begin").text == "1001"
    clock.advance(600)
    came = jobs[0]()
    assert token_of(browser) == came
    assert server.calls(TOKEN) == 2, "the login's, and one refresh"


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_job_gets_no_new_token_for_somebody_who_has_logged_out_since(make, server, clock, kept):
    site = make(**kept)
    jobs, browser = with_a_job(site), site.browser()
    log_in(browser, server)
    assert browser.get("/begin").text == "1001"
    browser.log_out()
    clock.advance(600)
    with pytest.raises(LoginRequired):
        jobs[0]()
    assert server.calls(TOKEN) == 1, "the login's"


def asgi_site(make: Callable[..., Site], page: Callable[[Request], Any], **options: Any) -> Site:
    site = make(**options)
    site.app.app.router.routes.append(Route("/page", page))
    return site


@pytest.fixture
def asgi(server: LocalAS, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Site]:
    """As `make`, for what there is on ASGI only."""
    monkeypatch.setattr("tests.tools.site.Clock", lambda: clock)
    return lambda **options: token_page(Site("asgi", server, **options))


async def get(site: Site, cookies: dict[str, str], *paths: str) -> list[httpx2.Response]:
    """These pages one after another, at an application that is alive all the time."""
    transport = httpx2.ASGITransport(site.app)
    async with (
        alive(site.app),
        httpx2.AsyncClient(transport=transport, base_url=site.origin, cookies=cookies, headers=PROGRAM) as client,
    ):
        return [await client.get(path) for path in paths]


@pytest.mark.parametrize("store", ["cookie", "memory://"])
def test_a_refresh_that_nobody_waits_for_any_more_comes_to_its_end(asgi, server, clock, store):
    """DS-10: the server has used the old refresh token up, so the new one must be kept."""

    async def hasty(request: Request) -> Response:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(request.auth.access_token(), 0.2)
        return PlainTextResponse("gave up")

    site = asgi_site(asgi, hasty, session_store=store)
    browser = site.browser()
    log_in(browser, server)
    clock.advance(600)
    server.server.inside.faults.add(parse_fault(f"slow=1:{TOKEN}:1"))
    gave_up, token = asyncio.run(get(site, browser.cookies(), "/page", "/token"))
    assert (gave_up.text, token.status_code) == ("gave up", 200), token.text
    assert server.calls(TOKEN) == 2
    assert server.is_active(token.text)


def test_two_tasks_of_one_request_get_one_token_and_the_browser_keeps_it(asgi, server, clock):
    async def twice(request: Request) -> Response:
        one, other = await asyncio.gather(request.auth.access_token(), request.auth.access_token())
        assert one == other
        return PlainTextResponse(one)

    site = asgi_site(asgi, twice)
    browser = site.browser()
    log_in(browser, server)
    clock.advance(600)
    (answer,) = asyncio.run(get(site, browser.cookies(), "/page"))
    after = token_page(site.restarted()).browser()
    after.client.cookies.update(dict(answer.cookies))
    assert token_of(after) == answer.text
    assert server.calls(TOKEN) == 2
