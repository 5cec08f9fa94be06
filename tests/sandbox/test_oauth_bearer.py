"""An API that is protected by access tokens of the local XWMS, asked by introspection."""

from types import SimpleNamespace

import pytest

from tests.oauth2.apis import APISite
from tests.oauth2.steps import code_of
from tests.sandbox.local_xwms import NOON, REDIRECT, SECRET
from tests.sandbox.oauth_app import CLIENT_ID


@pytest.fixture
def api(app, edge):
    options = {"client_id": CLIENT_ID, "client_secret": SECRET, "flow": "oauth2", "issuer": app.server.url}
    options["session_secret"] = "K3y-for-tests-0123456789-abcdefghij"
    xwms = SimpleNamespace(options=lambda **changes: {**options, **changes})
    site = APISite(edge, xwms, redirect_uris=REDIRECT)
    site.clock.now = NOON
    return site


def test_an_access_token_of_the_local_xwms_opens_an_api_until_it_is_revoked(app, api):
    tokens = app.log_in()
    told = api.call(tokens["access_token"]).json()
    assert (told["sub"], told["client_id"]) == ("1001", CLIENT_ID)
    assert told["scopes"] == tokens["scope"].split()
    assert told["identity"] == [app.server.url, "1001"]
    assert code_of(api.call(tokens["access_token"], "/api/read")) == (403, "insufficient_scope")
    for wrong in (tokens["refresh_token"], tokens["id_token"], "junk"):
        assert code_of(api.call(wrong)) == (401, "invalid_token")
    assert app.revoke(tokens["access_token"]).status_code == 200
    api.clock.advance(30)
    assert code_of(api.call(tokens["access_token"])) == (401, "invalid_token")
