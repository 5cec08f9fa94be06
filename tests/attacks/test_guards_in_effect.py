"""SM-04: a guard above the route's decorator guards nothing, and that is said."""

import functools
import gc
import inspect

import flask
import pytest
from fastapi import APIRouter, FastAPI, Request
from flask.views import MethodView
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute

import xwms_auth.fastapi
import xwms_auth.flask
import xwms_auth.starlette
from tests.oauth2.fake_as import FakeAS
from tests.tools.site import PROGRAM, Site
from xwms_auth import ConfigError

EVENT = "guard_not_in_effect"
FRESH = {"fresh": 300}


class Door:
    """What an application of one framework is made of: its guards, its routes, and what is around it."""

    def __init__(self, kind):
        self.kind = kind
        self.edge = "flask" if kind == "flask" else "asgi"
        guards = xwms_auth.flask if kind == "flask" else xwms_auth.starlette
        self.login_required, self.token_required = guards.login_required, guards.token_required

    def app(self):
        return {"flask": lambda: flask.Flask(__name__), "starlette": Starlette, "fastapi": FastAPI}[self.kind]()

    def view(self):
        """A function that no other application has."""
        if self.kind == "flask":

            def page():
                return "PAGE"

        else:

            async def page(request: Request):
                return PlainTextResponse("PAGE")

        return page

    def route(self, app, path="/page"):
        """The route's decorator; Starlette's routes are a list, which comes to the same."""

        def decorator(view):
            if self.kind == "flask":
                app.add_url_rule(path, path, view)
            elif self.kind == "fastapi":
                app.get(path)(view)
            else:
                app.router.routes.append(Route(path, view))
            return view

        return decorator

    def site(self, app, fx, debug=False, **options):
        app.debug = debug
        site = Site(self.edge, fx, **options)
        if self.kind == "flask":
            xwms_auth.flask.XWMSAuth(app, site.config, clock=site.clock)
            site.app = app
        elif self.kind == "fastapi":
            app.add_middleware(xwms_auth.fastapi.XWMSAuthMiddleware, config=site.config, clock=site.clock)
            site.app = app
        else:
            site.app = xwms_auth.starlette.XWMSAuthMiddleware(app, site.config, clock=site.clock)
        return site


@pytest.fixture(params=["flask", "starlette", "fastapi"])
def door(request):
    return Door(request.param)


def warnings(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if EVENT in record.getMessage()]


def plain(view):
    @functools.wraps(view)
    def wrapped(*args, **kwargs):
        return view(*args, **kwargs)

    @functools.wraps(view)
    async def awaited(*args, **kwargs):
        return await view(*args, **kwargs)

    return awaited if inspect.iscoroutinefunction(view) else wrapped


MISTAKES = {
    "above the route": lambda door, app, view: door.login_required(door.route(app)(view)),
    "with an option": lambda door, app, view: door.login_required(**FRESH)(door.route(app)(view)),
    "above another decorator": lambda door, app, view: door.login_required(plain(door.route(app)(view))),
    "below one that is lost too": lambda door, app, view: plain(door.login_required(door.route(app)(view))),
    "between two routes": lambda door, app, view: door.route(app, "/other")(door.login_required(door.route(app)(view))),
    "a stricter one above": lambda door, app, view: door.login_required(**FRESH)(
        door.route(app)(door.login_required(view))
    ),
}


def test_sm_04_a_guard_above_its_route_is_told_in_the_log_once(door, fx, subtests, caplog):
    """SM-04: also where nothing keeps the guarded function alive, as in an application's factory."""
    made = {mistake: (door.app(), door.view()) for mistake in MISTAKES}
    for mistake, (app, view) in made.items():
        MISTAKES[mistake](door, app, view)
    gc.collect()
    for mistake, (app, view) in made.items():
        with subtests.test(mistake):
            caplog.clear()
            browser = door.site(app, fx).browser()
            assert warnings(caplog) == []
            for _ in range(3):
                browser.get("/page", PROGRAM)
            (line,) = warnings(caplog)
            assert view.__qualname__ in line
            assert "guard=login_required" in line
            assert {record.levelname for record in caplog.records if EVENT in record.getMessage()} == {"WARNING"}


def test_sm_04_in_debug_mode_no_page_comes_but_the_name_of_the_function(door, fx, subtests):
    """SM-04"""
    for mistake in (name for name in MISTAKES if name != "between two routes"):
        app, view = door.app(), door.view()
        MISTAKES[mistake](door, app, view)
        browser = door.site(app, fx, debug=True).browser()
        for path in ("/page", "/other"):
            with subtests.test(mistake, path=path):
                with pytest.raises(ConfigError, match=r"@login_required is not in effect on .*page") as told:
                    browser.get(path, PROGRAM)
                assert view.__qualname__ in str(told.value)


def test_sm_04_the_guard_of_programs_too(door, caplog):
    """SM-04"""
    with FakeAS() as server:
        app, view = door.app(), door.view()
        door.token_required(scopes=["read"])(door.route(app)(view))
        door.site(app, server).browser().get("/page", PROGRAM)
        (line,) = warnings(caplog)
        assert "guard=token_required" in line
        assert view.__qualname__ in line


FINE = {
    "no guard at all": lambda door, app, view: door.route(app)(view),
    "a guard in its place": lambda door, app, view: door.route(app)(door.login_required(view)),
    "guarded twice": lambda door, app, view: (
        door.route(app)(door.login_required(view)),
        door.route(app, "/other")(door.login_required(**FRESH)(view)),
    ),
    "one guard in two places": lambda door, app, view: door.route(app, "/other")(
        door.route(app)(door.login_required(view))
    ),
    "a guard around a guard, each in a place": lambda door, app, view: door.route(app, "/other")(
        door.login_required(**FRESH)(door.route(app)(door.login_required(view)))
    ),
    "two guards in one place": lambda door, app, view: door.route(app)(
        door.login_required(**FRESH)(door.login_required(view))
    ),
    "decorators around and below": lambda door, app, view: door.route(app)(plain(door.login_required(plain(view)))),
}


def test_sm_04_no_false_alarm(door, fx, caplog):
    """SM-04"""
    for case, make in FINE.items():
        app = door.app()
        make(door, app, door.view())
        status = door.site(app, fx, debug=True).browser().get("/page", PROGRAM).status_code
        assert status == (200 if case == "no guard at all" else 401), case
        assert warnings(caplog) == [], case


def test_sm_04_a_page_open_at_one_address_and_guarded_at_another_is_told_of_and_works(door, fx, caplog):
    """SM-04: nobody can tell it from a mistake, and it may be meant."""
    app, view = door.app(), door.view()
    door.route(app, "/other")(view)
    door.route(app)(door.login_required(view))
    browser = door.site(app, fx, debug=True).browser()
    assert browser.get("/other", PROGRAM).status_code == 200
    assert browser.get("/page", PROGRAM).status_code == 401
    assert len(warnings(caplog)) == 1


def test_sm_04_no_false_alarm_for_classes_of_views(fx, caplog):
    """SM-04"""
    app = flask.Flask(__name__)

    class Page(MethodView):
        decorators = [xwms_auth.flask.login_required]

        def get(self):
            return "PAGE"

    app.add_url_rule("/page", view_func=Page.as_view("page"))

    @xwms_auth.starlette.login_required
    class Endpoint(HTTPEndpoint):
        async def get(self, request):
            return PlainTextResponse("PAGE")

    for door, made in ((Door("flask"), app), (Door("starlette"), Starlette(routes=[Route("/page", Endpoint)]))):
        assert door.site(made, fx, debug=True).browser().get("/page", PROGRAM).status_code == 401
    assert warnings(caplog) == []


def test_sm_04_it_is_found_in_what_is_mounted_and_included_and_behind_a_websocket(fx, caplog):
    """SM-04"""
    guard = xwms_auth.starlette.login_required

    async def mounted(request):
        return PlainTextResponse("PAGE")

    async def socket(websocket):
        await websocket.close()

    async def included(request: Request):
        return PlainTextResponse("PAGE")

    router, app = APIRouter(), FastAPI()
    guard(router.get("/included")(included))
    app.include_router(router, prefix="/r")
    for view in (mounted, socket):
        guard(view)
    app.mount("/m", Starlette(routes=[Mount("/deep", routes=[Route("/", mounted)]), WebSocketRoute("/ws", socket)]))
    Door("fastapi").site(app, fx).browser().get("/r/included", PROGRAM)
    told = " ".join(warnings(caplog))
    assert len(warnings(caplog)) == 3
    assert all(view.__qualname__ in told for view in (mounted, socket, included))


def test_sm_04_it_is_found_in_a_blueprint(fx, caplog):
    """SM-04"""
    app, blueprint = flask.Flask(__name__), flask.Blueprint("b", __name__)

    @xwms_auth.flask.login_required
    @blueprint.get("/page")
    def of_a_blueprint():
        return "PAGE"

    app.register_blueprint(blueprint)
    assert Door("flask").site(app, fx).browser().get("/page", PROGRAM).text == "PAGE"
    (line,) = warnings(caplog)
    assert "of_a_blueprint" in line
