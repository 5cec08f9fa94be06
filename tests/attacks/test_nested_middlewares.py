"""SM-02: where a client is set up once more further in, what is asked there is asked of everybody who comes in.

The application of each edge has an open page at / and a part below /inside that is set up by itself:
/inside/admin and /inside/open say who asks, /inside/guarded needs a person by its own guard.
"""

from math import inf

import flask
import pytest
from asgiref.wsgi import WsgiToAsgi
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware

import xwms_auth.fastapi
import xwms_auth.flask
import xwms_auth.starlette
from tests.tools.session_pages import enter, greet
from tests.tools.site import FROM_HERE, LOGIN, ME, PROGRAM, Site
from xwms_auth import XWMSConfig
from xwms_auth.stores import MemoryStore

SUB = "xwms-user-1234"
DAY = 86_400


def said(user) -> str:
    return f"ADMIN DATA for {user.sub or 'nobody'}"


def flask_inside(config, clock):
    app = flask.Flask("inside")
    user = xwms_auth.flask.current_user
    for path in ("/admin", "/open", "/"):
        app.add_url_rule(path, path, lambda: said(user))
    app.add_url_rule("/guarded", "guarded", xwms_auth.flask.login_required(lambda: said(user)))
    xwms_auth.flask.XWMSAuth(app, config, clock=clock)
    return app


def flask_app(outer, inner, clock):
    app = flask.Flask("outside")
    user = xwms_auth.flask.current_user
    app.add_url_rule("/", "home", lambda: f"home {user.sub}")
    app.add_url_rule("/who", "who", xwms_auth.flask.login_required(lambda: f"{user.sub}"))
    mounted = {"/inside": flask_inside(inner, clock)}
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, mounted)
    xwms_auth.flask.XWMSAuth(app, outer, clock=clock)
    return app


def starlette_inside(config, clock):
    async def page(request):
        return PlainTextResponse(said(request.user))

    guarded = xwms_auth.starlette.login_required(page)
    routes = [Route(path, page) for path in ("/admin", "/open", "/")]
    routes += [Route("/guarded", guarded), WebSocketRoute("/ws", greet)]
    return xwms_auth.starlette.XWMSAuthMiddleware(Starlette(routes=routes), config, clock=clock)


def starlette_app(outer, inner, clock):
    async def home(request):
        return PlainTextResponse(f"home {request.user.sub}")

    @xwms_auth.starlette.login_required
    async def who(request):
        return PlainTextResponse(request.user.sub)

    routes = [Route("/", home), Route("/who", who), Mount("/inside", starlette_inside(inner, clock))]
    return xwms_auth.starlette.XWMSAuthMiddleware(Starlette(routes=routes), outer, clock=clock)


def fastapi_app(outer, inner, clock):
    inside = FastAPI()
    inside.add_middleware(xwms_auth.fastapi.XWMSAuthMiddleware, config=inner, clock=clock)

    @inside.get("/admin")
    @inside.get("/open")
    @inside.get("/")
    async def page(user: xwms_auth.fastapi.OptionalUser) -> PlainTextResponse:
        return PlainTextResponse(said(user or xwms_auth.Anonymous()))

    @inside.get("/guarded")
    async def guarded(user: xwms_auth.fastapi.CurrentUser) -> PlainTextResponse:
        return PlainTextResponse(said(user))

    inside.websocket("/ws")(greet)
    app = FastAPI()
    app.add_middleware(xwms_auth.fastapi.XWMSAuthMiddleware, config=outer, clock=clock)

    @app.get("/")
    async def home(user: xwms_auth.fastapi.OptionalUser) -> PlainTextResponse:
        return PlainTextResponse(f"home {user.sub if user else None}")

    @app.get("/who")
    async def who(user: xwms_auth.fastapi.CurrentUser) -> PlainTextResponse:
        return PlainTextResponse(user.sub)

    app.mount("/inside", inside)
    return app


KINDS = {"flask": flask_app, "starlette": starlette_app, "fastapi": fastapi_app}


@pytest.fixture(params=KINDS)
def make_nested(request, make_fx):
    """Make the application: `make_nested(outer={…}, **options of the inner config)`."""

    def make(outer=None, **inner) -> Site:
        site = Site("flask" if request.param == "flask" else "asgi", make_fx(), **(outer or {}))
        options = {"redirect_uris": site.config.registered[0].uri, **(outer or {}), **inner}
        site.app = KINDS[request.param](site.config, XWMSConfig(**site.fx.options(**options)), site.clock)
        return site

    return make


def shown(browser, path="/inside/admin"):
    answer = browser.get(path, PROGRAM)
    return answer.text if answer.status_code == 200 else (answer.status_code, answer.json()["code"])


REFUSED = (401, "login_required")


@pytest.mark.parametrize("store", ["cookie", "memory://"])
def test_sm_02_an_inner_protect_all_lets_nobody_in(make_nested, store):
    """SM-02"""
    site = make_nested({"session_store": store}, protect="all", public=("/open",))
    browser = site.browser()
    assert shown(browser, "/") == "home None"
    assert shown(browser) == shown(browser, "/inside/") == shown(browser, "/inside/guarded") == REFUSED
    assert shown(browser, "/inside/open") == "ADMIN DATA for nobody"
    sent = browser.get("/inside/admin")
    assert (sent.status_code, sent.headers["location"]) == (302, f"{LOGIN}?next=/inside/admin")
    browser.log_in(SUB)
    for path in ("/inside/admin", "/inside/", "/inside/guarded", "/inside/open"):
        assert shown(browser, path) == f"ADMIN DATA for {SUB}"
    browser.log_out()
    assert shown(browser) == REFUSED


@pytest.mark.parametrize("public", [(), ("/inside/*",), ("/*",)])
def test_sm_02_what_is_public_further_out_is_not_public_further_in(make_nested, public):
    """SM-02"""
    site = make_nested({"protect": "all", "public": public}, public=("/open",))
    assert shown(site.browser()) == REFUSED


def test_sm_02_what_is_public_further_in_only_is_not_public(make_nested):
    """SM-02: the stricter of both."""
    site = make_nested({"protect": "all", "public": ()}, protect="marked")
    assert shown(site.browser(), "/inside/open") == REFUSED


@pytest.mark.parametrize("store", ["cookie", "memory://"])
@pytest.mark.parametrize("protect", ["all", "marked"])
def test_sm_02_an_inner_lifetime_ends_the_session_in_there(make_nested, store, protect):
    """SM-02"""
    site = make_nested({"session_store": store}, protect=protect, session_lifetime=DAY, public=("/open",))
    browser = site.browser()
    browser.log_in(SUB)
    for _ in range(4):
        site.clock.advance(DAY / 4 - 1)
        assert shown(browser) == f"ADMIN DATA for {SUB}"
    site.clock.advance(5)
    assert shown(browser, "/inside/guarded") == REFUSED
    assert shown(browser, "/inside/open") == "ADMIN DATA for nobody"
    assert shown(browser, "/who") == SUB


@pytest.mark.parametrize("store", ["cookie", "memory://"])
def test_sm_02_an_inner_idle_limit_ends_the_session_in_there_and_use_moves_it(make_nested, store):
    """SM-02: also where it is shorter than the time between two renewals out there."""
    site = make_nested({"session_store": store}, session_idle=300, public=("/open",))
    browser = site.browser()
    browser.log_in(SUB)
    for _ in range(10):
        site.clock.advance(200)
        assert shown(browser, "/inside/guarded") == f"ADMIN DATA for {SUB}"
    site.clock.advance(301)
    assert shown(browser, "/inside/guarded") == REFUSED
    assert shown(browser, "/inside/open") == "ADMIN DATA for nobody"
    assert shown(browser, "/who") == SUB


@pytest.mark.parametrize("store", ["cookie", "memory://"])
def test_sm_02_frequent_use_moves_an_inner_idle_limit_too(make_nested, store):
    """SM-02: what a process remembers of a cookie is not as old as the request that brings it."""
    site = make_nested({"session_store": store}, session_idle=300)
    browser = site.browser()
    browser.log_in(SUB)
    for _ in range(60):
        site.clock.advance(12)
        assert shown(browser, "/inside/guarded") == f"ADMIN DATA for {SUB}"


@pytest.mark.parametrize("store", ["cookie", "memory://"])
def test_what_was_guarded_further_out_is_kept_by_no_cache_where_the_session_ends_further_in(make_nested, store):
    site = make_nested({"protect": "all", "session_store": store}, protect="marked", session_idle=300)
    browser = site.browser()
    browser.log_in(SUB)
    for seconds in (301, 1000):
        site.clock.advance(seconds)
        answer = browser.get("/inside/open")
        assert answer.text == "ADMIN DATA for nobody"
        assert answer.headers.get_list("cache-control") == ["private, no-store"]


def test_what_nobody_asks_further_in_stays_for_everybody(make_fx):
    async def page(request):
        return PlainTextResponse("style", headers={"Cache-Control": "public, max-age=60"})

    site = Site("asgi", make_fx())
    clock, middleware = site.clock, xwms_auth.starlette.XWMSAuthMiddleware
    site.app = middleware(middleware(Starlette(routes=[Route("/", page)]), site.config, clock=clock), site.config)
    browser = site.browser()
    browser.log_in(SUB)
    assert "vary" not in browser.get("/").headers


def test_sm_02_an_outer_limit_holds_further_in(make_nested):
    """SM-02: the stricter of both."""
    site = make_nested({"session_idle": 300, "session_lifetime": 600}, session_idle=DAY, session_lifetime=7 * DAY)
    browser = site.browser()
    browser.log_in(SUB)
    site.clock.advance(301)
    assert shown(browser) == "ADMIN DATA for nobody"
    assert shown(browser, "/inside/guarded") == REFUSED


def test_sm_02_the_inner_one_asks_xwms_as_often_as_it_says(make_nested):
    """SM-02"""
    site = make_nested({"session_store": "memory://"}, recheck=60)
    browser = site.browser()
    browser.log_in(SUB)
    site.clock.advance(61)
    asked = len(site.fx.requests)
    shown(browser, "/who")
    assert len(site.fx.requests) == asked
    shown(browser)
    assert len(site.fx.requests) == asked + 1


def test_a_login_route_of_the_inner_ones_own_signs_in_for_both(make_nested):
    own = {"login_path": "/inside/login", "me_path": "/inside/me", "logout_path": "/inside/logout"}
    site = make_nested({"session_store": "memory://"}, protect="all", **own)
    browser = site.browser()
    started = browser.get("/inside/login", FROM_HERE)
    assert started.status_code == 302
    browser.come_back(site.fx.approve(started.headers["location"].rpartition("/")[2], sub=SUB))
    assert shown(browser) == f"ADMIN DATA for {SUB}"
    assert browser.get("/inside/me", PROGRAM).json()["user"]["sub"] == SUB
    assert browser.get(ME, PROGRAM).json()["user"]["sub"] == SUB
    assert browser.post("/inside/logout").status_code == 303
    assert shown(browser) == REFUSED
    assert browser.get(ME, PROGRAM).json()["user"] is None


def test_an_answer_from_further_in_is_marked_once_for_the_person_it_is_for(make_nested):
    browser = make_nested(protect="all").browser()
    browser.log_in(SUB)
    answer = browser.get("/inside/admin")
    assert answer.headers.get_list("cache-control") == ["private, no-store"]
    assert answer.headers.get_list("vary") == ["Cookie"]


def test_two_clients_inside_one_another_stay_apart(make_nested):
    site = make_nested(client_id="another", protect="all")
    browser = site.browser()
    browser.log_in(SUB)
    assert shown(browser, "/who") == SUB
    assert shown(browser) == REFUSED


@pytest.mark.parametrize("kind", ["starlette", "fastapi"])
def test_sm_02_a_websocket_further_in_is_refused_to_nobody(make_fx, kind):
    """SM-02"""
    site = Site("asgi", make_fx())
    options = {"redirect_uris": site.config.registered[0].uri, "protect": "all", "session_lifetime": DAY}
    site.app = KINDS[kind](site.config, XWMSConfig(**site.fx.options(**options)), site.clock)
    browser = site.browser()
    assert enter(browser, "/inside/ws") == "1008"
    browser.log_in(SUB)
    assert enter(browser, "/inside/ws") == SUB
    site.clock.advance(DAY)
    assert enter(browser, "/inside/ws") == "1008"


def test_sm_02_a_flask_application_in_an_asgi_one_asks_for_itself(make_fx):
    """SM-02: two doors, two worlds; nothing is passed from the one to the other."""
    site = Site("asgi", make_fx())
    options = {"redirect_uris": site.config.registered[0].uri, "protect": "all", "session_lifetime": DAY}
    inner = flask_inside(XWMSConfig(**site.fx.options(**options)), site.clock)
    routes = [Mount("/inside", WsgiToAsgi(inner))]
    site.app = xwms_auth.starlette.XWMSAuthMiddleware(Starlette(routes=routes), site.config, clock=site.clock)
    browser = site.browser()
    assert shown(browser) == REFUSED
    browser.log_in(SUB)
    assert shown(browser) == f"ADMIN DATA for {SUB}"
    site.clock.advance(DAY)
    assert shown(browser) == REFUSED


def test_sm_02_also_in_the_third_one_and_where_they_stand_around_one_another(make_fx):
    """SM-02: no Mount between them; each adds what it asks."""
    site = Site("asgi", make_fx())
    base = site.fx.options(redirect_uris=site.config.registered[0].uri)
    made = starlette_inside(XWMSConfig(**base, protect="all", public=("/admin", "/open")), site.clock)
    for public in (("/open", "/admin"), ("/open",)):
        made = xwms_auth.asgi.XWMSAuthMiddleware(
            made, XWMSConfig(**base, protect="all", public=public), clock=site.clock
        )
    site.app = xwms_auth.asgi.XWMSAuthMiddleware(made, site.config, clock=site.clock)
    browser = site.browser()
    assert shown(browser, "/open") == "ADMIN DATA for nobody"
    assert shown(browser, "/admin") == shown(browser, "/") == REFUSED
    with TestClient(site.app, base_url=site.origin) as client:  # with its lifespan
        assert client.get("/open").status_code == 200


class OddStore(MemoryStore):
    """Raises what no store should, once it has found as many sessions as it is told."""

    finds: float = inf

    def load(self, handle, *, now):
        self.finds -= 1
        if self.finds < 0:
            raise LookupError("a fault of this store")
        return super().load(handle, now=now)


def test_a_store_with_a_fault_lets_nobody_further_in(make_nested):
    store = OddStore()
    site = make_nested({"session_store": store}, recheck=60)
    browser = site.browser()
    browser.log_in(SUB)
    assert shown(browser, "/inside/guarded") == f"ADMIN DATA for {SUB}"
    site.clock.advance(61)
    store.finds = 1
    assert shown(browser, "/inside/guarded") == (500, "internal_error")
