"""SE-03, SE-04: the search of the whole run (tests/tools/canaries.py) finds what a test lets out on purpose."""

import base64
import logging
import secrets

import pytest

from tests.tools.canaries import canaries, watched
from tests.tools.site import ME, PROGRAM
from xwms_auth import XWMSConfig


def planted(fx, value, **where):
    """An application that shows a value, on either door."""
    import flask

    import xwms_auth.flask

    app = flask.Flask(__name__)

    @app.get("/shown")
    def shown():
        logging.getLogger("app").debug("here: %s", where.get("log", ""))
        return where.get("body", "nothing"), {"X-Debug": where.get("header", "nothing")}

    xwms_auth.flask.XWMSAuth(app, XWMSConfig(**fx.options(client_secret=value)))
    return app.test_client()


FORMS = {
    "as it is": lambda value: value,
    "hex": lambda value: value.encode().hex(),
    "base64": lambda value: base64.b64encode(b"a" + value.encode()).decode(),
    "URL-escaped": lambda value: "".join(f"%{byte:02X}" for byte in value.encode()),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", ["log", "body", "header"])
def test_a_secret_that_a_page_or_a_log_line_shows_is_found(fx, place, form):
    value = secrets.token_urlsafe(24)
    with watched() as found:
        planted(fx, value, **{place: FORMS[form](value)}).get("/shown")
    assert len(found) == 1
    assert found[0].startswith("a secret is in the log app" if place == "log" else "a secret is in the response to GET")
    with watched() as found:
        planted(fx, value, **{place: FORMS[form](value[:-1])}).get("/shown")
    assert found == []


def test_a_token_that_a_log_line_shows_after_its_callback_is_found(site, browser):
    came_back = browser.log_in()
    token = site.fx.to("sign-token-verify")[-1].json["token"]
    with watched() as found:
        logging.getLogger("app").warning("somebody came with %s", token)
    assert len(found) == 1
    assert came_back.status_code == 303


def test_a_cookie_may_be_where_it_is_set_and_nowhere_else(site, browser):
    with watched() as found:
        came_back = browser.log_in()
    assert found == []
    cookie = next(value for name, value in came_back.cookies.items() if "session" in name)
    with watched() as found:
        logging.getLogger("app").debug("cookie: %s", cookie)
    assert len(found) == 1
    with watched() as found:
        browser.get(ME, PROGRAM)
    assert found == []


def test_responses_and_log_lines_are_counted(site, browser):
    before = dict(canaries.figures)
    browser.log_in()
    assert all(canaries.figures[name] > before[name] for name in ("responses", "log lines", "tokens and cookies"))
