"""`@public`: a view that anybody may see although `protect="all"`."""

from typing import Any

import flask
import httpx2
import pytest
from flask.views import MethodView
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from tests.tools.site import HTTPS_URI, NAVIGATION, PROGRAM, log_in
from xwms_auth import XWMSConfig
from xwms_auth.flask import XWMSAuth, current_user, login_required, public

ORIGIN = "https://app.example"


def name() -> str:
    return current_user.sub if current_user.is_authenticated else "nobody"


@pytest.fixture
def config(fx):
    return XWMSConfig(**fx.options(redirect_uris=HTTPS_URI, protect="all", public="/path"))


@pytest.fixture
def app():
    app = flask.Flask(__name__)

    @app.get("/open")
    @public
    def view() -> str:
        return name()

    @app.get("/async/<int:number>")
    @public
    async def asynchronous(number: int) -> str:
        return name()

    class Open(MethodView):
        decorators = [public]

        def get(self) -> str:
            return name()

    app.add_url_rule("/class", view_func=Open.as_view("class"))
    part = flask.Blueprint("part", __name__, url_prefix="/part")
    part.add_url_rule("/", "home", public(lambda: name()))
    part.add_url_rule("/closed", "closed", lambda: name())
    app.register_blueprint(part)
    app.add_url_rule("/closed", "closed", name, methods=["GET", "POST"])
    app.add_url_rule("/guarded", "guarded", public(login_required(lambda: name())))
    app.add_url_rule("/path", "path", lambda: name())
    return app


def client_of(app: Any) -> httpx2.Client:
    return httpx2.Client(transport=httpx2.WSGITransport(app), base_url=ORIGIN)


OPEN = ("/open", "/async/1", "/class", "/part/", "/path")
CLOSED = ("/closed", "/part/closed", "/guarded", "/missing", "/async/a", "/open/", "/part", "//open", "/open/../closed")


def test_anybody_may_see_it_and_nothing_else(app, config, fx):
    XWMSAuth(app, config)
    client = client_of(app)
    for path in OPEN:
        assert (client.get(path).status_code, client.get(path).text) == (200, "nobody"), path
        assert client.head(path).status_code == 200
    for path in CLOSED:
        assert client.get(path, headers=PROGRAM).status_code == 401, path
        assert client.get(path, headers=NAVIGATION).headers["location"].startswith("/xwms/auth?next="), path
    assert client.post("/open", headers=PROGRAM).status_code == 401
    log_in(client, fx)
    assert [client.get(path).text for path in (*OPEN, "/closed")] == ["17"] * 6


def test_an_answer_of_it_may_be_shared_unless_it_asks_who_is_there(app, config):
    app.add_url_rule("/same", "same", public(lambda: flask.Response("same", headers={"Cache-Control": "public"})))
    XWMSAuth(app, config)
    assert client_of(app).get("/same").headers["cache-control"] == "public"
    assert "cookie" not in client_of(app).get("/same").headers.get("vary", "").lower()
    assert "cookie" in client_of(app).get("/open").headers["vary"].lower()


def test_it_is_no_way_to_another_view_that_an_inner_layer_leads_to(app, config, fx):
    routed = app.wsgi_app

    def rewriting(environ: Any, start_response: Any) -> Any:
        environ["PATH_INFO"] = environ.get("HTTP_X_REWRITE_URL", environ["PATH_INFO"])
        return routed(environ, start_response)

    app.wsgi_app = rewriting
    app.before_request(lambda: "an answer of the application's own" if current_user.is_anonymous else None)
    XWMSAuth(app, config)
    client = client_of(app)
    for path in ("/closed", "/missing"):
        refused = client.get("/open", headers={"X-Rewrite-URL": path, **PROGRAM})
        assert (refused.status_code, refused.json()["code"]) == (401, "login_required")
    log_in(client, fx)
    assert client.get("/open", headers={"X-Rewrite-URL": "/closed"}).text == "17"


def test_it_holds_for_its_own_application_only(app, config):
    """Mounted below another one, which protects all as well, and knows nothing of the view."""
    XWMSAuth(app, config)
    outer = flask.Flask("outer")
    outer.wsgi_app = DispatcherMiddleware(outer.wsgi_app, {"/app": app.wsgi_app})
    XWMSAuth(outer, config)
    client = client_of(outer)
    assert client.get("/app/open", headers=PROGRAM).status_code == 401
    assert client.get("/app/closed", headers=PROGRAM).status_code == 401


def test_without_everything_protected_it_changes_nothing(app, config, fx):
    XWMSAuth(app, XWMSConfig(**fx.options(redirect_uris=HTTPS_URI)))
    client = client_of(app)
    assert [client.get(path).status_code for path in ("/open", "/closed", "/guarded")] == [200, 200, 401]
