"""The ID token at a logout that goes on to the server (OpenID Connect RP-Initiated Logout 1.0, section 2)."""

import base64
import json
import time

import pytest

from tests.oauth2.conformance.stage import END_SESSION, LOGGED_IN, SUB, Stage
from tests.oauth2.fake_as import FakeAS

STORES = ["cookie", "memory://", "sqlite"]


def stage_with(edge: str, server: FakeAS, tmp_path, store: str, **options: object) -> Stage:
    stage = Stage(edge, server)
    stage.options["session_store"] = f"sqlite:///{tmp_path / 'sessions.db'}" if store == "sqlite" else store
    stage.options |= options
    return stage


@pytest.mark.parametrize("store", STORES)
def test_the_id_token_of_the_login_goes_along_if_it_was_asked_for(edge, server, tmp_path, store):
    stage = stage_with(edge, server, tmp_path, store, id_token_hint=True)
    browser = stage.site.browser()
    assert stage.log_in(browser) == LOGGED_IN
    [token] = stage.log_out(browser)["id_token_hint"]
    body = token.split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["sub"] == SUB


@pytest.mark.parametrize("store", STORES)
def test_without_the_option_it_is_neither_sent_nor_kept(edge, server, tmp_path, store):
    stage = stage_with(edge, server, tmp_path, store)
    browser = stage.site.browser()
    assert stage.log_in(browser) == LOGGED_IN
    assert "id_token_hint" not in stage.log_out(browser)


def test_it_is_that_of_the_login_after_a_refresh_too(edge, server, tmp_path):
    stage = stage_with(edge, server, tmp_path, "memory://", id_token_hint=True)
    server.tokens = {"refresh_token": "a-refresh-token"}
    browser = stage.site.browser()
    assert stage.log_in(browser) == LOGGED_IN
    stage.server.refreshed_sub = SUB
    stage.server.claims = {"exp": int(time.time()) + 100_000, "nonce": None}
    stage.site.clock.advance(4000)
    assert browser.get("/token", {"Accept": "application/json"}).status_code == 200
    assert "id_token_hint" in stage.log_out(browser)


@pytest.mark.parametrize("store", STORES)
def test_one_that_does_not_fit_is_left_out_and_the_person_is_logged_out(edge, server, tmp_path, store, caplog):
    """A server that puts much into it: a cookie, and the header of the way to the logout, have their limits."""
    stage = stage_with(edge, server, tmp_path, store, id_token_hint=True)
    server.claims = {"groups": ["a-group-with-a-long-name"] * 200}
    browser = stage.site.browser()
    assert stage.log_in(browser) == LOGGED_IN
    # The access token is kept all the same.
    assert browser.get("/token", {"Accept": "application/json"}).status_code == 200
    assert "id_token_hint" not in stage.log_out(browser)
    assert ("id_token_hint_too_long" in caplog.text) is (store != "cookie")


def test_a_server_without_a_logout_gets_nothing(edge, server, tmp_path):
    stage = stage_with(edge, server, tmp_path, "memory://", id_token_hint=True)
    del server.metadata["end_session_endpoint"]
    browser = stage.site.browser()
    assert stage.log_in(browser) == LOGGED_IN
    answer = browser.log_out()
    assert answer.headers["location"] == "/"
    assert server.calls(END_SESSION) == 0
