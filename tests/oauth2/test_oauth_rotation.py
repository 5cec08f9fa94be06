"""The client's credentials are refused at the endpoints of OAuth 2.0: each repeats once with the new secret."""

import logging
import re

import pytest

from tests.oauth2.apis import APISite
from tests.oauth2.fake_as import CLIENT_ID, INTROSPECT, TOKEN
from tests.oauth2.local_as import LocalAS
from tests.oauth2.steps import begin, come_back, log_in
from tests.statements.story import copied
from tests.tools.fake_xwms import CANARY
from tests.tools.faults import Reply
from tests.tools.places import KINDS
from tests.tools.site import LOGOUT

OLD = "the-secret-of-last-week"
EXPIRED = 3600
METHODS = ("client_secret_basic", "client_secret_post")


class Source:
    def __init__(self, *values: str) -> None:
        self.values = list(values)

    def __call__(self) -> str:
        return self.values.pop(0) if len(self.values) > 1 else self.values[0]


@pytest.mark.parametrize("client_auth", METHODS)
def test_a_code_is_exchanged_with_the_new_secret(make_site, server, caught, client_auth):
    site = make_site(client_auth=client_auth, client_secret=Source(OLD, CANARY))
    browser = site.browser()
    assert log_in(browser, server).status_code == 303
    assert browser.who() == "xwms-user-1234"
    assert len(server.to(TOKEN)) == 2
    assert "client_secret_renewed" in caught()
    assert OLD not in caught()
    assert CANARY not in caught()


@pytest.mark.parametrize("status", [400, 401])
def test_a_token_is_introspected_with_the_new_secret(edge, server, status):
    site = APISite(edge, server, client_secret=Source(OLD, CANARY))
    token = server.give(client_id=CLIENT_ID)
    server.answer(INTROSPECT, Reply(status=status, body=b'{"error": "invalid_client"}'), server.usual)
    assert site.call(token).status_code == 200
    assert len(server.to(INTROSPECT)) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_are_refreshed_and_revoked_with_the_new_secret(make_local, local: LocalAS, clock, where, kind, caplog):
    """In every store: a session that began before goes on, and a refused refresh has used nothing up."""
    caplog.set_level(logging.INFO)
    source = Source(local.settings.client_secret)
    site = make_local(client_secret=source, **where(kind))
    browser = site.browser()
    assert come_back(browser, local.consent(begin(browser))).status_code == 303
    first = browser.get("/token").text

    def regenerate(revision: int) -> None:
        answer = local.click("/clients/1/secrets/1/regenerate", revision=str(revision))
        source.values[:] = [copied(answer, "client-secret")]

    regenerate(1)
    clock.advance(EXPIRED)
    second = browser.get("/token")
    assert (second.status_code, second.text != first) == (200, True)

    regenerate(2)
    before = local.calls("oauth/revoke")
    assert browser.post(LOGOUT).status_code == 303
    assert local.calls("oauth/revoke") == before + 2
    assert "token_not_revoked" not in caplog.text
    assert len(re.findall("client_secret_renewed", caplog.text)) == 2


@pytest.mark.parametrize("edge", ["flask"])
def test_a_session_goes_on_while_the_secret_is_simply_wrong(make_local, local: LocalAS, clock, caplog):
    """No refresh ends a session because of the site's own credentials, and the next one works."""
    source = Source(local.settings.client_secret)
    site = make_local(client_secret=source)
    browser = site.browser()
    come_back(browser, local.consent(begin(browser)))
    answer = local.click("/clients/1/secrets/1/regenerate", revision="1")
    clock.advance(EXPIRED)
    assert browser.get("/token").status_code == 500
    assert browser.who() == "1001"
    source.values[:] = [copied(answer, "client-secret")]
    assert browser.get("/token").status_code == 200
    assert "session_ended" not in caplog.text
