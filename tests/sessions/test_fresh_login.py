"""`login_required(fresh=…)`: an older login is asked for once more, and nobody loses a session over it."""

from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

import xwms_auth.flask
import xwms_auth.starlette
from tests.tools.faults import refusal
from tests.tools.places import KINDS, SERVERS
from tests.tools.session_pages import FRESH, enter, given, greet, outside, started_afresh, with_pages
from tests.tools.site import FROM_ELSEWHERE, LOGIN, ME, PROGRAM, TYPED, Site, query_of
from xwms_auth import User
from xwms_auth.fastapi import fresh_user

SUB = "xwms-user-1234"
TOO_OLD = int(FRESH.total_seconds()) + 1
GUARDS = [xwms_auth.flask.login_required, xwms_auth.starlette.login_required]

# Each kind on one edge, and on the other those that answer at once and those that are waited for.
every_kind = pytest.mark.parametrize(
    ("edge", "kind"), [*(("flask", kind) for kind in KINDS), ("asgi", "cookie"), ("asgi", "sqlite")]
)


@pytest.fixture
def pages(make_site):
    return with_pages(make_site())


@pytest.fixture
def old(pages):
    """A browser whose login is a second too old for /fresh."""
    browser = pages.browser()
    browser.log_in()
    pages.clock.advance(TOO_OLD)
    return browser


def test_a_fresh_login_opens_the_page_until_the_last_second(pages):
    browser = pages.browser()
    browser.log_in()
    assert browser.get("/fresh").text == SUB
    pages.clock.advance(TOO_OLD - 1)
    assert browser.get("/fresh").text == SUB
    pages.clock.advance(1)
    assert browser.get("/fresh").status_code == 302


def test_using_the_session_does_not_make_the_login_fresh(pages):
    browser = pages.browser()
    browser.log_in()
    for _ in range(TOO_OLD):
        pages.clock.advance(1)
        assert browser.who() == SUB
    assert browser.get("/fresh").status_code == 302


@every_kind
def test_an_older_login_goes_to_xwms_once_more_and_comes_back_to_the_page(make_site, where, kind):
    """And the session is a new one: new key, the old one dead (SF-06)."""
    site = with_pages(make_site(**where(kind)))
    browser = site.browser()
    browser.log_in()
    before = browser.cookies()[site.session_cookie]
    site.clock.advance(TOO_OLD)

    asked = browser.get("/fresh?tab=2")
    assert asked.status_code == 302
    assert urlsplit(asked.headers["location"]).path == LOGIN
    assert query_of(asked.headers["location"]) == {"next": ["/fresh?tab=2"], "fresh": ["60"]}
    begun = browser.get(asked.headers["location"])
    assert begun.headers["location"].startswith(site.fx.url)
    assert browser.who() == SUB  # nothing has happened yet

    token = site.fx.approve(urlsplit(begun.headers["location"]).path.rpartition("/")[2], sub=SUB)
    back = browser.come_back(token)
    assert (back.status_code, back.headers["location"]) == (303, "/fresh?tab=2")
    assert browser.get("/fresh?tab=2").text == SUB
    assert given(site, before).who() is None
    if kind in SERVERS:
        assert len(outside(site, lambda sessions: sessions.list(SUB))) == 1


def test_a_program_is_told_and_stays_signed_in(old):
    answer = old.get("/fresh", PROGRAM)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["status"]) == (401, "login_too_old", 401)
    assert problem["login_url"] == f"{LOGIN}?next=/fresh&fresh=60"
    assert "reason" not in problem
    assert old.who() == SUB


def test_htmx_is_sent_to_log_in(old):
    answer = old.get("/fresh", {"HX-Request": "true", "Accept": "*/*"})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, f"{LOGIN}?next=/fresh&fresh=60")


def test_a_form_that_was_sent_is_not_sent_again(old):
    """A POST cannot be repeated by a redirect, so nobody comes back to it."""
    answer = old.post("/fresh")
    assert (answer.status_code, answer.headers["location"]) == (302, f"{LOGIN}?fresh=60")


def test_nobody_at_all_is_told_to_log_in_and_nothing_about_an_old_login(pages):
    browser = pages.browser()
    assert browser.get("/fresh", PROGRAM).json()["code"] == "login_required"
    assert browser.get("/fresh").headers["location"] == f"{LOGIN}?next=/fresh"
    browser.log_in(next="/fresh")
    assert browser.get("/fresh").text == SUB


# what becomes of the session when the login is not finished


@every_kind
def test_a_re_login_that_fails_keeps_the_session(make_site, where, kind, subtests):
    site = with_pages(make_site(**where(kind)))
    browser = site.browser()
    browser.log_in()
    for fault in ("turned back", "no token", "not approved", "XWMS down", "XWMS says no"):
        site.clock.advance(TOO_OLD)
        with subtests.test(fault):
            token = started_afresh(browser)
            if fault == "no token":
                assert browser.get("/xwms/validateToken", FROM_ELSEWHERE).status_code == 400
            elif fault == "not approved":
                assert browser.come_back(token).status_code >= 400
            elif fault == "XWMS down":
                site.fx.answer("sign-token-verify", "close")
                assert browser.come_back(site.fx.approve(token)).status_code >= 500
            elif fault == "XWMS says no":
                site.fx.answer("sign-token-verify", refusal(403, "The client is disabled."))
                assert browser.come_back(site.fx.approve(token)).status_code >= 400
            assert browser.who() == SUB
            assert browser.get("/fresh").status_code == 302
            site.fx.answer("sign-token-verify")
            browser.come_back(site.fx.approve(started_afresh(browser)))
            assert browser.get("/fresh").text == SUB


def test_a_start_that_fails_keeps_the_session(old, pages):
    pages.fx.answer("sign-token", "close")
    assert old.get(LOGIN, params={"fresh": "60"}).status_code == 503
    assert old.who() == SUB


@every_kind
def test_another_person_at_the_re_login_takes_the_place_of_the_first(make_site, where, kind):
    """LC-15: the first one's session is over, and nothing of theirs is seen any more."""
    site = with_pages(make_site(**where(kind)))
    browser = site.browser()
    browser.log_in("one", name="Ada One")
    first = browser.cookies()[site.session_cookie]
    site.clock.advance(TOO_OLD)
    browser.come_back(site.fx.approve(started_afresh(browser), sub="two", name="Bea Two"))
    assert browser.get("/fresh").text == "two"
    assert browser.get("/claims").json()["name"] == "Bea Two"
    assert given(site, first).who() is None
    if kind in SERVERS:
        assert outside(site, lambda sessions: sessions.list("one")) == ()


# the address


def test_the_confirmation_keeps_the_demand(make_site):
    """Started from another site: the click on our page still asks for a fresh login."""
    site = with_pages(make_site("fresh", callback_token="fresh"))
    old = site.browser()
    old.log_in()
    site.clock.advance(TOO_OLD)
    page = old.get(LOGIN, FROM_ELSEWHERE, params={"next": "/fresh", "fresh": "60"})
    assert page.status_code == 200
    assert f"{LOGIN}?next=/fresh&amp;fresh=60" in page.text
    assert old.post(f"{LOGIN}?next=/fresh&fresh=60").headers["location"].startswith(old.site.fx.url)


def test_junk_in_the_address_asks_for_nothing(old):
    junk = ["", "x", "-1", "1.5", "60s", "0x3c", "١٢", "9" * 10, "60&fresh=60", "%00", "60%0d%0aX:1", "nan", " 60"]
    for one in junk:
        answer = old.get(f"{LOGIN}?next=/hello&fresh={one}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/hello"), one
        assert old.site.fx.calls("sign-token") == 1, one


def test_an_address_cannot_ask_for_fresher_than_thirty_seconds(pages):
    """Otherwise a link could send a person round and round."""
    browser = pages.browser()
    browser.log_in()
    for seconds, status in ((30, 303), (1, 302)):
        pages.clock.advance(seconds)
        for asked in ("0", "1", "29"):
            assert browser.get(f"{LOGIN}?fresh={asked}").status_code == status, asked


@pytest.mark.parametrize("headers", [TYPED, FROM_ELSEWHERE], ids=["typed", "from elsewhere"])
def test_nobody_goes_round_in_circles(old, headers):
    """From the page to XWMS and back in at most five addresses, and then the page opens."""
    site, url, seen = old.site, "/fresh", []
    for _ in range(5):
        seen.append(url)
        answer = old.get(url, headers)
        if answer.status_code == 200 and "<form" in answer.text:  # our confirmation
            answer = old.post(url)
        if answer.status_code == 200:
            break
        url = answer.headers["location"]
        if url.startswith(site.fx.url):
            token = site.fx.approve(urlsplit(url).path.rpartition("/")[2], sub=SUB)
            url = f"/xwms/validateToken?token={token}"
    assert answer.text == SUB, seen
    assert site.fx.calls("sign-token") == 2


def test_the_page_and_the_address_count_alike(pages):
    """Where the page demands a login, the login it sends to does not think that there is one already."""
    browser = pages.browser()
    browser.log_in()
    for _ in range(TOO_OLD + 5):
        page = browser.get("/fresh")
        start = browser.get(f"{LOGIN}?next=/fresh&fresh=60")
        assert (page.status_code, start.status_code) in ((200, 303), (302, 302))
        pages.clock.advance(1)


# the decorators


@pytest.mark.parametrize("guard", [*GUARDS, fresh_user])
def test_less_than_half_a_minute_is_refused_where_it_is_written(guard):
    for fresh in (timedelta(seconds=29.9), timedelta(0), timedelta(-1), 0, 29, -60, float("nan")):
        with pytest.raises(ValueError, match="at least 30 seconds"):
            guard(fresh) if guard is fresh_user else guard(fresh=fresh)


@pytest.mark.parametrize("guard", GUARDS)
def test_half_a_minute_and_more_is_fine(guard):
    for fresh in (timedelta(seconds=30), 30, 30.5, timedelta(days=4000), float("inf"), None):
        assert callable(guard(fresh=fresh)(lambda: "x")), fresh


class Rooms:
    """Starlette's classes and websockets, and FastAPI, behind a fresh login; for one browser."""

    def __init__(self, fx) -> None:
        self.site = Site("asgi", fx)
        guard = xwms_auth.starlette.login_required(fresh=FRESH)
        middleware = xwms_auth.starlette.XWMSAuthMiddleware

        @guard
        class Page(HTTPEndpoint):
            async def get(self, request: Request) -> Response:
                return PlainTextResponse(request.user.sub)

        @guard
        class Room(WebSocketEndpoint):
            async def on_connect(self, websocket: WebSocket) -> None:
                await greet(websocket)

        @guard
        def plain(request: Request) -> Response:
            return PlainTextResponse(request.user.sub)

        routes = [Route("/class", Page), Route("/plain", plain)]
        routes += [WebSocketRoute("/ws", guard(greet)), WebSocketRoute("/ws-class", Room)]
        fast = FastAPI()

        @fast.get("/fastapi")
        async def me(user: Annotated[User, fresh_user(FRESH)]) -> str:
            return user.sub

        @fast.websocket("/ws-fastapi")
        async def ws(websocket: WebSocket, user: Annotated[User, fresh_user(FRESH)]) -> None:
            await greet(websocket)

        fast.mount("/", Starlette(routes=routes))
        self.site.app = middleware(fast, self.site.config, clock=self.site.clock)
        self.browser = self.site.browser()
        self.browser.log_in()


@pytest.fixture
def rooms(make_fx):
    return Rooms(make_fx())


@pytest.mark.parametrize("path", ["/ws", "/ws-class", "/ws-fastapi"])
def test_a_websocket_is_refused_to_an_old_login_and_the_session_goes_on(rooms, path):
    assert enter(rooms.browser, path) == SUB
    rooms.site.clock.advance(TOO_OLD)
    assert enter(rooms.browser, path) == "1008"
    assert rooms.browser.get(ME, PROGRAM).json()["user"]["sub"] == SUB


@pytest.mark.parametrize("path", ["/class", "/plain", "/fastapi"])
def test_classes_plain_functions_and_fastapi_ask_for_it_in_the_same_way(rooms, path):
    assert SUB in rooms.browser.get(path).text
    rooms.site.clock.advance(TOO_OLD)
    assert rooms.browser.get(path).headers["location"] == f"{LOGIN}?next={path}&fresh=60"
    problem = rooms.browser.get(path, PROGRAM).json()
    assert (problem["code"], problem["login_url"]) == ("login_too_old", f"{LOGIN}?next={path}&fresh=60")
