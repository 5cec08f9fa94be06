"""Views that are no plain functions, and errors of the application's own after one of ours."""

from contextlib import suppress

import flask
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

import xwms_auth.flask
import xwms_auth.starlette
from tests.tools.site import HTTPS_URI, PROGRAM, Site
from xwms_auth import ConfigError, XWMSConfig


class Slotted:
    """A view that nothing can refer to weakly."""

    __slots__ = ()
    __name__ = "slotted"

    def __call__(self):
        return "PAGE"


class Unhashable:
    """A view that is equal to others, as a dataclass is."""

    __hash__ = None
    __name__ = "unhashable"

    def __call__(self):
        return "PAGE"


class Endless:
    """As a mock: it has every attribute, and wraps itself."""

    def __call__(self):
        return "PAGE"

    def __getattr__(self, name):
        if name == "__wrapped__":
            return self
        raise AttributeError(name)


@pytest.mark.parametrize("kind", [Slotted, Unhashable, Endless])
@pytest.mark.parametrize("debug", [False, True])
def test_a_view_that_is_an_object_may_be_guarded_and_open(fx, kind, debug, caplog):
    app = flask.Flask(__name__)
    app.debug = debug
    app.add_url_rule("/open", "open", kind())
    app.add_url_rule("/guarded", "guarded", xwms_auth.flask.login_required(kind()))
    xwms_auth.flask.XWMSAuth(app, XWMSConfig(**fx.options(redirect_uris=HTTPS_URI)))
    client = app.test_client()
    assert client.get("/open").text == "PAGE"
    assert client.get("/guarded", headers=PROGRAM).status_code == 401
    assert "guard_not_in_effect" not in caplog.text


def test_in_debug_mode_a_guard_that_is_not_in_effect_is_told_at_each_request_and_logged_once(fx, caplog):
    def page():
        return "PAGE"

    xwms_auth.flask.login_required(page)
    app = flask.Flask(__name__)
    app.debug = True
    app.add_url_rule("/page", "page", page)
    xwms_auth.flask.XWMSAuth(app, XWMSConfig(**fx.options(redirect_uris=HTTPS_URI)))
    for _ in range(3):
        with pytest.raises(ConfigError, match="page: it must stand below"):
            app.test_client().get("/page", headers=PROGRAM)
    assert caplog.text.count("guard_not_in_effect") == 1


def test_an_error_of_the_applications_own_after_a_refusal_that_it_caught_is_for_the_server_too(fx):
    async def page(request):
        with suppress(Exception):
            xwms_auth.starlette.require_user(request)
        raise LookupError("the application's own")

    site = Site("asgi", fx)
    app = xwms_auth.starlette.XWMSAuthMiddleware(Starlette(routes=[Route("/page", page)]), site.config)
    answer = TestClient(app, base_url=site.origin, raise_server_exceptions=False).get("/page", headers=PROGRAM)
    assert (answer.status_code, answer.json()["code"]) == (401, "login_required")
    with pytest.raises(LookupError):
        TestClient(app, base_url=site.origin).get("/page", headers=PROGRAM)


def test_a_refusal_that_caused_the_error_is_the_answer_and_no_error_of_the_server(fx):
    async def page(request):
        try:
            xwms_auth.starlette.require_user(request)
        except Exception as error:
            raise LookupError("the application's own") from error
        return PlainTextResponse("PAGE")

    async def app(scope, receive, send):
        await Route("/page", page).handle({**scope, "path_params": {}}, receive, send)

    site = Site("asgi", fx)
    guarded = xwms_auth.starlette.XWMSAuthMiddleware(app, site.config)
    answer = TestClient(guarded, base_url=site.origin).get("/page", headers=PROGRAM)
    assert (answer.status_code, answer.json()["code"]) == (401, "login_required")
