"""CORS preflights in Flask where another layer is in between: a guard of programs, and a proxy's middleware."""

import flask
import pytest
from werkzeug.middleware.proxy_fix import ProxyFix

from tests.oauth2.fake_as import FakeAS
from tests.tools.site import HTTPS_URI
from xwms_auth import XWMSConfig
from xwms_auth.flask import XWMSAuth, token_required

PREFLIGHT = {"Origin": "https://front.example.net", "Access-Control-Request-Method": "GET"}


@pytest.mark.more_packages  # Authlib
def test_a_guard_of_programs_in_before_request_lets_preflights_pass():
    app = flask.Flask(__name__)

    @app.before_request
    @token_required
    def _work_for_programs() -> None:
        raise AssertionError("there is no token")

    app.add_url_rule("/api", "api", lambda: "what only programs see")
    with FakeAS() as server:
        XWMSAuth(app, XWMSConfig(**server.options(redirect_uris=HTTPS_URI)))
        client = app.test_client()
        allowed = client.options("/api", headers=PREFLIGHT)
        assert (allowed.status_code, allowed.text) == (200, "")
        assert "GET" in allowed.headers["Allow"]
        assert client.get("/api").status_code == 401
        assert client.options("/api").status_code == 401


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_everything_protected_lets_preflights_pass_behind_the_middleware_for_a_proxy(fx, layers):
    app = flask.Flask(__name__)
    app.add_url_rule("/api", "api", lambda: "what only people see")
    for _ in range(layers):
        app.wsgi_app = ProxyFix(app.wsgi_app)
    XWMSAuth(app, XWMSConfig(**fx.options(redirect_uris=HTTPS_URI, protect="all")))
    client = app.test_client()
    assert client.options("/api", headers=PREFLIGHT).status_code == 200
    assert client.get("/api", headers={"Accept": "application/json"}).status_code == 401
