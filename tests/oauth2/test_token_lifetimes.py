"""How long an access token lasts, as token endpoints write it (RFC 6749 5.1): a number, of which some make text."""

import pytest

from tests.oauth2.local_as import token_page
from tests.oauth2.steps import log_in
from tests.oauth2.test_oauth_answers import answered
from tests.tools.site import PROGRAM, Site
from xwms_auth._core.base.errors import BadAnswer
from xwms_auth._core.oauth2.endpoints import read_tokens

LIVES = {
    1300: [300, "300", "+300", 300.0, 300.9, "300.0", "300.9"],
    1000: [0, "0", -1, -5.5, "-5", -(10**400), 0.4],
    None: [None, 10**12, "1000000000000", 10**400, 1e308],
}


NO_LIVES = ["soon", "", "1e3", "3 00", "300.", "\u0663", "9" * 5000, [], [300], {}, True, False, float("nan"), 1e999]


def test_a_lifetime_is_a_number_however_it_is_written():
    """One that has ended at once is not one that never ends; a very long one is as good as none said."""
    for until, lives in LIVES.items():
        for life in lives:
            assert read_tokens(answered(expires_in=life), asked=(), now=1000).expires_at == until, life


def test_a_lifetime_that_is_no_number_is_a_bad_answer():
    for life in NO_LIVES:
        with pytest.raises(BadAnswer):
            pytest.fail(f"{life!r} is {read_tokens(answered(expires_in=life), asked=(), now=1000)!r}")


def test_a_token_that_ends_soon_is_refreshed_however_that_is_written(edge, server):
    site = token_page(Site(edge, server, session_store="memory://", scopes="profile"))
    for life in ("60", 60.0, 0, -1):
        server.tokens = {"refresh_token": f"stays-the-same-{life!r}", "expires_in": life}
        before = len(server.forms())
        browser = site.browser()
        log_in(browser, server)
        assert browser.get("/token", PROGRAM).status_code == 200, life
        grants = [form["grant_type"] for form in server.forms()[before:]]
        assert grants == ["authorization_code", "refresh_token"], life
