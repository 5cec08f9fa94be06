"""A logout at the authorization server, and sessions that hold no tokens which could name their login."""

from dataclasses import replace

import pytest

from tests.oauth2.jwts import signed
from tests.oauth2.test_backchannel_logout import SUB, claims_of, logged_in, post
from xwms_auth._core.base.models import EndReason
from xwms_auth._core.base.session import Session
from xwms_auth.stores.memory import MemoryStore


@pytest.mark.parametrize("sid", ["sid-1", "sid-2"])
def test_a_session_that_holds_no_tokens_ends_with_any_of_the_persons(make_site, server, sid):
    """Nobody can say that its login was another one."""
    store = MemoryStore()
    site = make_site(session_store=store)
    browser = logged_in(site, server, sid="sid-1")
    handle, now = browser.cookies()[site.session_cookie], int(site.clock())
    session = store.load(handle, now=now)
    assert isinstance(session, Session)
    bare = store.create(replace(session, tokens=None), until=now + 3600, now=now)
    assert post(site, signed(server.key, claims_of(server, sid=sid))).status_code == 200
    assert store.load(bare, now=now) is EndReason.REVOKED
    assert browser.who() == (None if sid == "sid-1" else SUB)
