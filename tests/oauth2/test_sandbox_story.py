"""The login by OAuth 2.0 against the local XWMS, over HTTP: what it refuses, and what we refuse of it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.oauth2.local_as import LocalAS, log_in
from tests.oauth2.steps import begin, code_of, come_back
from tests.tools.clock import Clock
from tests.tools.site import HTTPS_URI, ME, PROGRAM, Site


@pytest.fixture
def server() -> Iterator[LocalAS]:
    with LocalAS(Clock()) as local:
        yield local


@pytest.fixture
def make(edge: str, server: LocalAS) -> Callable[..., Site]:
    return lambda **options: Site(edge, server, **options)


def test_a_person_logs_in_with_what_they_agreed_to(make, server):
    browser = make().browser()
    answer = log_in(browser, server, "xwms-user-1234")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    user = browser.get(ME, PROGRAM).json()["user"]
    assert (user["issuer"], user["sub"], user["name"]) == (server.server.url, "xwms-user-1234", "Bram Bakker")


def test_a_code_works_once_also_in_another_browser(make, server):
    """RP-10, LC-14"""
    site = make()
    browser = site.browser()
    query = server.consent(begin(browser))
    assert come_back(browser, query).status_code == 303
    browser.log_out()
    assert code_of(come_back(browser, query)) == (400, "login_not_started")
    assert browser.who() is None


def test_another_logins_code_is_worth_nothing_with_ones_own_state(make, server):
    """OC-07: the server compares the verifier, which is of the other login."""
    site = make()
    attacker, victim = site.browser(), site.browser()
    stolen = server.consent(begin(attacker), "xwms-user-1234")
    own = server.consent(begin(victim))
    assert code_of(come_back(victim, {**own, "code": stolen["code"]})) == (401, "token_rejected")
    assert victim.who() is None
    assert code_of(come_back(attacker, stolen)) == (401, "token_rejected"), "it was tried, so it is used"


@pytest.mark.parametrize("issuer", ["https://evil.example", None])
def test_a_callback_of_another_server_is_refused(make, server, issuer):
    """OC-04"""
    browser = make().browser()
    query = {**server.consent(begin(browser)), "iss": issuer}
    answer = come_back(browser, {name: value for name, value in query.items() if value is not None})
    assert code_of(answer) == (401, "token_rejected")
    assert browser.who() is None


def test_a_redirect_uri_that_is_not_registered_gets_no_browser_back(make, server):
    """RU-02: the server tells the person, and sends nobody anywhere."""
    browser = make(redirect_uris=HTTPS_URI + "/near-miss").browser()
    answer = server.http.get(begin(browser))
    assert answer.status_code == 400
    assert "location" not in answer.headers


def test_a_person_who_refuses_is_told_that_nothing_has_changed(make, server):
    browser = make().browser()
    page = server.http.get(begin(browser)).headers["location"]
    answer: Any = server.http.post(page, data={"answer": "no"})
    back = answer.headers["location"]
    assert "error=access_denied" in back
    assert code_of(browser.get(back.removeprefix("https://app.example"))) == (400, "token_missing")
    assert browser.who() is None


def test_a_wrong_secret_is_the_sites_fault_and_not_the_persons(make, server):
    browser = make(client_secret="not-the-secret-of-this-client").browser()
    assert code_of(log_in(browser, server)) == (500, "credentials_rejected")
    assert browser.who() is None
