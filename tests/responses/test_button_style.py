"""The buttons for an application's templates look right by themselves, and are plain where one says so."""

import re

import flask
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

import xwms_auth.flask
import xwms_auth.starlette
from tests.tools.site import FROM_HERE, LOGIN, Site
from xwms_auth import XWMSConfig
from xwms_auth._core.base.assets.button_style import BUTTON_STYLE, STYLE_PATH

HELPERS = ("xwms_login_button", "xwms_link_button", "xwms_logout_form")


@pytest.fixture
def buttons(edge, make_site):
    """An application whose page has all three buttons: `buttons(plain=True)` gives the site and that page."""

    def make(options: dict | None = None, **arguments) -> tuple[Site, str]:
        site = make_site(**(options or {}))
        if edge == "flask":

            @site.app.get("/buttons")
            def page():
                return "".join(str(getattr(xwms_auth.flask, helper)(**arguments)) for helper in HELPERS)
        else:

            async def served(request):
                names = xwms_auth.starlette.template_context(request)
                return HTMLResponse("".join(str(names[helper](**arguments)) for helper in HELPERS))

            app = Starlette(routes=[Route("/buttons", served)])
            site.app = xwms_auth.starlette.XWMSAuthMiddleware(app, site.config, clock=site.clock)
        return site, site.browser().get("/buttons").text

    return make


def stylesheets(page: str) -> set[str]:
    return set(re.findall(r'<link rel="stylesheet" href="([^"]+)">', page))


def test_a_button_brings_its_style_which_may_be_kept_for_ever(buttons):
    site, page = buttons()
    assert page.count('class="xwms-button"') == 2
    assert page.count('class="xwms-button xwms-quiet"') == 1
    [url] = stylesheets(page)
    answer = site.browser().get(url, {"Sec-Fetch-Dest": "style", "Sec-Fetch-Mode": "no-cors"})
    assert (answer.status_code, answer.text) == (200, BUTTON_STYLE)
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in answer.headers
    assert "vary" not in answer.headers


def test_a_plain_button_brings_none(buttons):
    _, page = buttons(plain=True)
    assert "stylesheet" not in page
    assert "xwms-button" not in page
    assert page.count("<form") == 3


def test_the_style_is_below_the_prefix_and_open_where_all_is_protected(buttons):
    uri = "https://app.example/shop/xwms/validateToken"
    site, _ = buttons({"redirect_uris": uri, "protect": "all"})
    assert site.config.style_path == f"/shop{STYLE_PATH}"
    assert site.browser().get(f"/shop{STYLE_PATH}").text == BUTTON_STYLE


def test_the_style_is_there_although_settings_are_missing():
    app = flask.Flask(__name__)
    app.secret_key = "r7Qw2mZx9KfT4vLbN6cYpHs1JdGe8Ua3"
    xwms_auth.flask.XWMSAuth(app, XWMSConfig.from_mapping({"XWMS_ALLOW_MISSING_SETTINGS": "1"}))
    client = httpx2.Client(transport=httpx2.WSGITransport(app), base_url="https://app.example")
    assert client.get(STYLE_PATH).text == BUTTON_STYLE
    assert client.get(LOGIN, headers=FROM_HERE).status_code == 500


def test_only_its_own_address_has_the_style(site):
    for path in ("/xwms/buttons-000000000000.css", "/xwms/buttons.css"):
        assert site.browser().get(path).status_code == 404
    assert site.browser().post(STYLE_PATH).status_code == 405


def test_the_style_is_small_and_asks_for_nothing_else():
    assert len(BUTTON_STYLE) <= 1024
    assert "url(" not in BUTTON_STYLE
    assert "@import" not in BUTTON_STYLE
    assert not re.search(r"\b(?:left|right)\b", BUTTON_STYLE)  # the same from right to left
    assert re.findall(r"^\S.*\{", BUTTON_STYLE, re.M) == [
        line for line in re.findall(r"^\S.*\{", BUTTON_STYLE, re.M) if line.startswith(".xwms-")
    ]
