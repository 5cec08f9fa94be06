"""Scopes as servers say them (RFC 6749 3.3): visible ASCII without quotes and backslashes, U+0020 between two.

Splitting at anything else makes two scopes of one that somebody else chose the name of; keeping anything else writes it
into the session.
"""

import pytest

from tests.oauth2.apis import APISite
from tests.oauth2.steps import code_of, log_in, nothing_happened

EDGES = ["flask", "asgi", "fastapi"]
SPACES = ["\u2003", "\u00a0", "\u3000", "\u2028", "\t", "\n", "\r\n", "\x0b", "\x0c", "\x1c", "\x1f", "\x85"]
OTHERS = ["\x00", "\x7f", "\u00e9", "\u200b", "\ud800", '"', "\\"]


@pytest.mark.parametrize(("edge", "store"), [("flask", "cookie"), ("asgi", "memory://")])
def test_a_login_whose_scopes_are_none_logs_nobody_in(make_site, server, store):
    site = make_site(session_store=store)
    for between in SPACES + OTHERS:
        server.tokens = {"scope": f"openid payment:x{between}write"}
        browser = site.browser()
        answer = log_in(browser, server)
        assert code_of(answer) == (502, "xwms_bad_answer"), between
        assert nothing_happened(browser, answer), between


@pytest.mark.parametrize("edge", ["flask"])
def test_scopes_have_a_bound(site, server):
    for scope in ("x" * 8193, "x " * 30_000 + "x"):
        server.tokens = {"scope": scope}
        assert code_of(log_in(site.browser(), server)) == (502, "xwms_bad_answer"), len(scope)


@pytest.mark.parametrize("edge", ["flask"])
def test_scopes_within_the_rules_log_a_person_in(make_site, server):
    site = make_site(session_store="memory://")
    for scope in ("openid", " openid  profile ", "openid urn:x:y/z?a=b#!~[]^`{|}", "x" * 8192):
        server.tokens = {"scope": scope}
        assert log_in(site.browser(), server).status_code == 303, scope


@pytest.mark.parametrize("edge", EDGES)
def test_a_scope_with_a_strange_space_in_its_name_opens_nothing(edge, server):
    """Whoever may register `payment:…` anywhere could otherwise grant themselves `write`."""
    asked = APISite(edge, server)
    verified = APISite(edge, server, token_validation="jwt", audience="https://api.example")
    for between in SPACES + OTHERS:
        scope = f"read payment:x{between}write"
        assert code_of(asked.call(server.give(scope=scope), "/api/write")) == (502, "xwms_bad_answer"), between
        assert code_of(verified.call(server.access_jwt(scope=scope), "/api/write")) == (401, "invalid_token"), between


@pytest.mark.parametrize("edge", EDGES)
def test_scopes_in_a_list_are_those_of_its_entries(edge, server):
    asked = APISite(edge, server)
    verified = APISite(edge, server, token_validation="jwt", audience="https://api.example")
    for scope, status in ((["read", "write"], 200), (["read"], 403), ([], 403)):
        assert asked.call(server.give(scope=scope), "/api/write").status_code == status
        assert verified.call(server.access_jwt(scope=scope), "/api/write").status_code == status
    for between in SPACES + OTHERS:
        scope = ["read", f"payment:x{between}write"]
        assert code_of(asked.call(server.give(scope=scope), "/api/write")) == (502, "xwms_bad_answer"), between
        assert code_of(verified.call(server.access_jwt(scope=scope), "/api/write")) == (401, "invalid_token"), between


@pytest.mark.parametrize("edge", EDGES)
def test_a_page_that_wants_two_scopes_opens_with_both_and_not_with_one_that_holds_their_names(edge, server):
    api = APISite(edge, server)
    assert api.call(server.give(scope="read write"), "/api/write").status_code == 200
    assert code_of(api.call(server.give(scope="read,write"), "/api/write")) == (403, "insufficient_scope")
