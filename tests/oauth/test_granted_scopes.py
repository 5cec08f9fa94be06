"""Scopes as servers say them (RFC 6749 3.3): visible ASCII without quotes and backslashes, U+0020 between two.

Splitting at anything else makes two scopes of one that somebody else chose the name of; keeping anything else writes it
into the session.
"""

import pytest

from tests.edges import Site
from tests.oauth.apis import APISite
from tests.oauth.steps import code_of, log_in, nothing_happened

EDGES = ["flask", "asgi", "fastapi"]
SPACES = ["\u2003", "\u00a0", "\u3000", "\u2028", "\t", "\n", "\r\n", "\x0b", "\x0c", "\x1c", "\x1f", "\x85"]
OTHERS = ["\x00", "\x7f", "\u00e9", "\u200b", "\ud800", '"', "\\"]


@pytest.mark.parametrize("between", SPACES + OTHERS)
@pytest.mark.parametrize("store", ["cookie", "memory://"])
def test_a_login_whose_scopes_are_none_logs_nobody_in(edge, server, store, between):
    server.tokens = {"scope": f"openid payment:x{between}write"}
    browser = Site(edge, server, session_store=store).browser()
    answer = log_in(browser, server)
    assert code_of(answer) == (502, "xwms_bad_answer")
    assert nothing_happened(browser, answer)


@pytest.mark.parametrize("scope", ["x" * 8193, "x " * 30_000 + "x"])
def test_scopes_have_a_bound(browser, server, scope):
    server.tokens = {"scope": scope}
    assert code_of(log_in(browser, server)) == (502, "xwms_bad_answer")


@pytest.mark.parametrize("scope", ["openid", " openid  profile ", "openid urn:x:y/z?a=b#!~[]^`{|}", "x" * 8192])
def test_scopes_within_the_rules_log_a_person_in(make_site, server, scope):
    server.tokens = {"scope": scope}
    assert log_in(make_site(session_store="memory://").browser(), server).status_code == 303


@pytest.mark.parametrize("between", SPACES + OTHERS)
@pytest.mark.parametrize("edge", EDGES)
def test_a_scope_with_a_strange_space_in_its_name_opens_nothing(edge, server, between):
    """Whoever may register `payment:…` anywhere could otherwise grant themselves `write`."""
    scope = f"read payment:x{between}write"
    asked = APISite(edge, server)
    assert code_of(asked.call(server.give(scope=scope), "/api/write")) == (502, "xwms_bad_answer")
    verified = APISite(edge, server, token_validation="jwt", audience="https://api.example")
    assert code_of(verified.call(server.access_jwt(scope=scope), "/api/write")) == (401, "invalid_token")


@pytest.mark.parametrize("edge", EDGES)
def test_a_page_that_wants_two_scopes_opens_with_both_and_not_with_one_that_holds_their_names(edge, server):
    api = APISite(edge, server)
    assert api.call(server.give(scope="read write"), "/api/write").status_code == 200
    assert code_of(api.call(server.give(scope="read,write"), "/api/write")) == (403, "insufficient_scope")
