"""A session is looked up when somebody asks who is there, and ahead of the application only where that needs I/O."""

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.tools.site import PROGRAM, Site
from xwms_auth.flask import current_user
from xwms_auth.stores.memory import MemoryStore

SUB = "xwms-user-1234"


class Counted(MemoryStore):
    """Counts the look-ups."""

    def __init__(self) -> None:
        super().__init__()
        self.loads = 0

    def load(self, handle: str, *, now: int) -> Any:
        self.loads += 1
        return super().load(handle, now=now)


class Remote(Counted):
    """Says that its look-ups need I/O."""

    loads_at_once = False


def signed_in(edge: str, fx: Any, store: Counted, **options: Any) -> Any:
    browser = Site(edge, fx, session_store=store, **options).browser()
    browser.log_in(sub=SUB)
    store.loads = 0
    return browser


def test_a_page_that_asks_nobody_looks_nothing_up(edge, make_fx):
    store = Counted()
    browser = signed_in(edge, make_fx(), store)
    answer = browser.get("/")
    assert (answer.text, store.loads) == ("home", 0)
    assert "vary" not in answer.headers
    assert "cache-control" not in answer.headers


def test_a_page_that_asks_looks_it_up_once(edge, make_fx):
    store = Counted()
    browser = signed_in(edge, make_fx(), store)
    assert browser.who() == SUB
    assert store.loads == 1


def test_a_store_of_its_own_kind_is_asked_ahead_in_async_code(make_fx, edge):
    """An application asks without `await`, so what needs I/O has to be there before."""
    store = Remote()
    browser = signed_in(edge, make_fx(), store)
    assert browser.get("/").text == "home"
    assert store.loads == (0 if edge == "flask" else 1)
    assert browser.who() == SUB


def test_a_check_that_is_due_is_made_ahead_in_async_code(make_fx, edge):
    store = Counted()
    browser = signed_in(edge, make_fx(), store, recheck=60)
    browser.site.clock.advance(61)
    browser.who()
    assert browser.site.fx.calls("get/user/info") == 1


def test_everything_protected_looks_up_where_it_is_protected(make_fx, edge):
    store = Counted()
    browser = signed_in(edge, make_fx(), store, protect="all", public=["/"])
    assert (browser.get("/").text, store.loads) == ("home", 0)
    assert browser.get("/hello").status_code == 200
    assert store.loads == 1


def asking_late(site: Site, seconds: int) -> Site:
    """/late asks who is there after so many seconds."""
    if site.edge == "flask":

        def late() -> str:
            site.clock.advance(seconds)
            return str(current_user.sub)

        site.app.add_url_rule("/late", "late", late)
    else:

        async def late_too(request: Request) -> Response:
            site.clock.advance(seconds)
            return PlainTextResponse(str(request.user.sub))

        site.app.app.router.routes.append(Route("/late", late_too))
    return site


@pytest.mark.parametrize(("seconds", "renews"), [(4, True), (6, False)])
def test_who_is_asked_late_renews_no_cookie_of_long_ago(make_fx, edge, seconds, renews):
    """SL-05: meanwhile the person may have logged out at another process. The time counts from the request, not from
    when the page asked."""
    site = asking_late(Site(edge, make_fx(), session_idle=1000), seconds)
    browser = site.browser()
    browser.log_in(sub=SUB)
    site.clock.advance(60)
    answer = browser.get("/late", PROGRAM)
    assert answer.text == SUB
    assert ("set-cookie" in answer.headers) == renews
    assert browser.get("/who", PROGRAM).text == SUB


def test_a_session_that_is_read_after_the_request_is_still_that_one(make_fx, edge):
    """An access log outside of ours asks when all is over."""
    seen: list[object] = []
    site = Site(edge, make_fx())
    app = site.app
    if edge == "flask":
        ours = app.wsgi_app

        def logged(environ: Any, start_response: Any) -> Any:
            body = ours(environ, start_response)
            content = b"".join(body)
            getattr(body, "close", lambda: None)()
            if environ["PATH_INFO"] in ("/", "/hello"):
                seen.append(environ["xwms_auth.state"].user().sub)
            return [content]

        app.wsgi_app = logged
    else:

        async def logged_too(scope: Any, receive: Any, send: Any) -> None:
            await app(scope, receive, send)
            if scope.get("path") in ("/", "/hello"):
                seen.append(scope["user"].sub)

        site.app = logged_too
    browser = site.browser()
    browser.log_in(sub=SUB)
    seen.clear()
    browser.get("/")
    browser.get("/hello")
    assert seen == [SUB, SUB]
