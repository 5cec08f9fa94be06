"""The local XWMS where Authlib is not installed: its own login works, and OAuth says what to install."""

import sys

import pytest

from tests.sandbox.local_xwms import NOON, LocalXWMS, settings
from tests.tools.clock import Clock
from xwms_auth.sandbox import create_app

INSTALL = "pip install 'xwms-auth[oauth2]'"


@pytest.fixture(params=["authlib", "joserfc"])
def bare(request, monkeypatch):
    monkeypatch.setitem(sys.modules, request.param, None)  # is found as if it were not installed
    clock = Clock(NOON)
    xwms = LocalXWMS(create_app(settings(), clock=clock), clock)
    yield xwms
    xwms.close()


@pytest.mark.parametrize("path", ["/oauth/authorize?client_id=a", "/oauth/sign-in/token", "/oauth/logout"])
def test_a_person_gets_a_page_and_the_terminal_a_line_that_name_the_extra(bare, caplog, path):
    answer = bare.http.get(path)
    assert (answer.status_code, answer.mimetype) == (501, "text/html")
    assert "OAuth 2.0 is not installed" in answer.text
    assert INSTALL in answer.text.replace("&#39;", "'")
    assert [INSTALL in record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [True]


@pytest.mark.parametrize(
    "path", ["/oauth/token", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"]
)
def test_a_program_gets_the_same_as_json(bare, path):
    answer = bare.http.post(path)
    assert answer.status_code == 501
    assert answer.json["error"] == "server_error"
    assert INSTALL in answer.json["error_description"]


def test_xwms_own_login_needs_none_of_it(bare):
    assert bare.log_in("1001")["name"] == "Anna de Vries"
    assert bare.http.get("/.well-known/other").status_code == 404
