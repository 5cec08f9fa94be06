"""An application that is built without settings starts if it is told so, opens nothing, and says what is missing."""

import os
import time
from typing import Any

import flask
import httpx2
import pytest
from starlette.testclient import TestClient

from tests.tools.fake_xwms import ask
from tests.tools.site import CALLBACK, FROM_HERE, LOGIN, LOGOUT, ME, PROGRAM, Site, asgi_app, flask_app, wsgi_app
from xwms_auth import AsyncXWMSClient, ConfigError, XWMSClient, XWMSConfig
from xwms_auth.flask import XWMSAuth, token_required

REQUIRED = ("XWMS_CLIENT_ID", "XWMS_CLIENT_SECRET", "XWMS_REDIRECT_URI", "XWMS_SESSION_SECRET")
APPS = {"flask": flask_app, "wsgi": wsgi_app, "asgi": asgi_app}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in [name for name in os.environ if name.startswith("XWMS_")]:
        monkeypatch.delenv(name)


def visit(edge: str, config: Any = None) -> Any:
    app = APPS[edge](config, time.time)
    if edge == "asgi":
        return TestClient(app, base_url="https://app.example", follow_redirects=False)
    return httpx2.Client(transport=httpx2.WSGITransport(app), base_url="https://app.example")


@pytest.mark.parametrize("edge", APPS)
def test_nothing_opens_and_the_log_names_what_is_missing(edge, monkeypatch, caplog):
    with pytest.raises(ConfigError):
        visit(edge)
    monkeypatch.setenv("XWMS_ALLOW_MISSING_SETTINGS", "1")
    client = visit(edge)
    assert all(name in caplog.text for name in REQUIRED)
    assert client.get("/").text == "home"
    assert client.get("/hello").text == "hello nobody"
    caplog.clear()
    for method, path in (
        ("GET", LOGIN),
        ("GET", f"{CALLBACK}?token=abc"),
        ("GET", ME),
        ("POST", LOGOUT),
        ("GET", "/who"),
    ):
        refused = client.request(method, path, headers=PROGRAM)
        assert (refused.status_code, refused.json()["code"]) == (500, "config"), path
    assert caplog.text.count("code=config") == 5
    assert all(caplog.text.count(name) == 5 for name in REQUIRED)
    page = client.get("/private", headers=FROM_HERE)
    assert (page.status_code, "Login is not set up" in page.text, "XWMS_" in page.text) == (500, True, False)


@pytest.mark.parametrize("edge", APPS)
def test_where_everything_is_protected_only_public_paths_answer(edge, monkeypatch):
    monkeypatch.setenv("XWMS_ALLOW_MISSING_SETTINGS", "1")
    monkeypatch.setenv("XWMS_PROTECT", "all")
    monkeypatch.setenv("XWMS_PUBLIC", "/hello")
    client = visit(edge)
    assert client.get("/hello").text == "hello nobody"
    assert client.get("/", headers=PROGRAM).json()["code"] == "config"


@pytest.mark.parametrize("lost", ["client_secret", "redirect_uris", "session_secret"])
def test_one_lost_setting_signs_everybody_out(edge, fx, lost):
    """With the others as they were, cookies of before would open."""
    site = Site(edge, fx)
    browser = site.browser()
    browser.log_in()
    site.app = APPS[edge](
        XWMSConfig(
            **{**fx.options(redirect_uris="https://app.example/xwms/validateToken"), lost: ()},
            allow_missing_settings=True,
        ),
        site.clock,
    )
    later = site.browser()
    later.carry("; ".join(f"{name}={value}" for name, value in browser.cookies().items()))
    assert later.get("/hello").text == "hello nobody"
    assert later.get("/who", PROGRAM).json()["code"] == "config"


def test_an_api_lets_nobody_in(monkeypatch):
    monkeypatch.setenv("XWMS_ALLOW_MISSING_SETTINGS", "1")
    app = flask.Flask(__name__)
    app.add_url_rule("/api", view_func=token_required(lambda: "open"))
    XWMSAuth(app)
    answer = app.test_client().get("/api", headers={"Authorization": "Bearer abc"})
    assert answer.status_code == 500
    assert answer.get_json()["code"] == "config"


@pytest.mark.parametrize("client", [XWMSClient, AsyncXWMSClient])
def test_no_call_leaves_the_process(fx, client):
    config = XWMSConfig.from_env({"XWMS_API_URI": fx.api_url, "XWMS_ALLOW_MISSING_SETTINGS": "1"})
    with pytest.raises(ConfigError, match="XWMS_CLIENT_ID"):
        ask(client, config, lambda opened: opened.info())
    assert fx.requests == []


def test_a_setting_that_is_wrong_stops_the_start_as_ever():
    with pytest.raises(ConfigError, match="XWMS_TIMEOUT"):
        XWMSConfig.from_env({"XWMS_ALLOW_MISSING_SETTINGS": "1", "XWMS_TIMEOUT": "soon"})
