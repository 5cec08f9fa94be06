"""Where the endpoints are: the discovery document, its issuer to the byte, and how long it counts (OC-05)."""

import asyncio
import json

import pytest

from tests.oauth2.fake_as import DISCOVERY, RFC8414, TOKEN, document
from tests.oauth2.steps import asked, begin, code_of, log_in
from tests.tools.site import CALLBACK, FROM_HERE, LOGIN, Site
from xwms_auth._core.base.effects import UpstreamResponse
from xwms_auth._core.base.errors import BadAnswer
from xwms_auth._core.config.server.metadata import read_metadata


def start(browser):
    return browser.get(LOGIN, FROM_HERE)


ISSUERS = [
    "https://evil.example",
    "{url}/",
    "{url}/tenant",
    "{url}#",
    "{url}?",
    "HTTP://{host}",
    "http://localhost",
    "",
    None,
    5,
]
NO_ENDPOINTS = [
    "http://evil.example/token",
    "ftp://id.example.org/token",
    "//id.example.org/token",
    "/token",
    "https://user@id.example.org/token",
    "https://id.example.org/token#x",
    "https://id.example.org\\@evil.example/",
    "javascript:alert(1)",
    "https://id.example.org/to ken",
    "https://id.example.org/token?a=b\r\nX: y",
    "https://127.1/token",
    "",
    5,
    ["https://id.example.org/token"],
]


@pytest.mark.parametrize("edge", ["flask"])
def test_oc_05_a_document_of_another_issuer_is_refused(browser, server):
    """OC-05: its endpoints would be the other issuer's, with our secret (RFC 8414 3.3)."""
    for issuer in ISSUERS:
        said = issuer.format(url=server.url, host=server.host) if isinstance(issuer, str) else issuer
        server.metadata["issuer"] = said
        assert code_of(start(browser)) == (502, "xwms_bad_answer"), issuer
    server.metadata["issuer"] = server.issuer
    assert start(browser).status_code == 302


@pytest.mark.parametrize("edge", ["flask"])
def test_oc_05_an_endpoint_that_is_not_an_https_address_is_refused(browser, server):
    """OC-05: one that a login needs; others are left out."""
    usual = dict(server.metadata)
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        for endpoint in NO_ENDPOINTS:
            server.metadata = {**usual, name: endpoint}
            assert code_of(start(browser)) == (502, "xwms_bad_answer"), (name, endpoint)
    server.metadata = usual
    assert start(browser).status_code == 302


def test_oc_05_a_document_without_an_endpoint_that_is_needed_is_refused(browser, server):
    """OC-05"""
    usual = dict(server.metadata)
    for name in ("authorization_endpoint", "token_endpoint"):
        server.metadata = {other: value for other, value in usual.items() if other != name}
        assert code_of(start(browser)) == (502, "xwms_bad_answer"), name


def test_oc_05_an_https_issuer_has_no_endpoint_on_plain_http_on_this_machine():
    """OC-05: loopback is for a server that is itself on loopback."""

    body = {"issuer": "https://id.example.org", "authorization_endpoint": "https://id.example.org/a"}
    for endpoint, good in (("https://tokens.example.net/t", True), ("http://127.0.0.1/t", False)):
        reply = UpstreamResponse(
            status=200,
            content_type="application/json",
            body=json.dumps({**body, "token_endpoint": endpoint}).encode(),
        )
        if good:
            assert read_metadata(reply, issuer="https://id.example.org", allow_http=True) is not None
        else:
            with pytest.raises(BadAnswer):
                read_metadata(reply, issuer="https://id.example.org", allow_http=True)


def test_the_document_of_rfc_8414_is_looked_for_where_openid_has_none(make_site, server):
    for first in ("200 html", document({}, 404), document([]), "empty"):
        before = len(server.requests)
        server.answer(DISCOVERY, first)
        assert start(make_site().browser()).status_code == 302, first
        assert [request.target for request in server.requests[before:]] == [DISCOVERY, RFC8414], first


def test_an_issuer_with_a_path_has_its_documents_in_two_places(make_as, edge):

    server = make_as(path="/tenant")
    browser = Site(edge, server).browser()
    assert log_in(browser, server).status_code == 303
    assert [r.target for r in server.requests][:2] == [f"/tenant{DISCOVERY}", f"{RFC8414}/tenant"]


def test_oc_05_a_document_may_be_elsewhere_if_it_names_the_issuer(make_as, edge):
    """OC-05: as for a local XWMS whose name is not the port that was free."""
    server = make_as()
    server.answer("/elsewhere", document(server.metadata))
    browser = Site(edge, server, discovery_url=f"{server.url}/elsewhere").browser()
    assert log_in(browser, server).status_code == 303
    assert server.requests[0].target == "/elsewhere"
    assert server.calls(DISCOVERY) == server.calls(RFC8414) == 0
    server.answer("/elsewhere", document(server.metadata | {"issuer": "https://evil.example"}))
    other = Site(edge, server, discovery_url=f"{server.url}/elsewhere").browser()
    assert code_of(start(other)) == (502, "xwms_bad_answer")


def test_without_a_document_nobody_is_sent_anywhere(browser, server):
    for path in (DISCOVERY, RFC8414):
        server.answer(path, document({}, 404))
    assert code_of(start(browser)) == (502, "xwms_bad_answer")


def test_a_server_that_is_down_is_said_to_be_down_and_asked_again_next_time(browser, server):
    for fault in ("close", document({}, 503)):
        server.answer(DISCOVERY, fault)
        assert code_of(start(browser)) == (503, "xwms_unreachable"), fault
        assert server.calls(RFC8414) == 0, fault
    server.answer(DISCOVERY)
    assert start(browser).status_code == 302


def test_the_document_counts_for_an_hour(site, server):
    begin(site.browser())
    site.clock.advance(3599)
    begin(site.browser())
    assert server.calls(DISCOVERY) == 1
    site.clock.advance(2)
    begin(site.browser())
    assert server.calls(DISCOVERY) == 2
    site.clock.advance(-7200)
    begin(site.browser())
    assert server.calls(DISCOVERY) == 3


def test_a_callback_in_a_process_that_does_not_know_the_server_asks_for_it_first(site, server):
    browser = site.browser()
    query = server.consent(begin(browser))
    other = site.restarted().browser()
    other.carry(browser.pending())
    server.answer(DISCOVERY, "close")
    down = other.get(CALLBACK, params=query)
    assert code_of(down) == (503, "xwms_unreachable")
    assert down.headers.get_list("set-cookie") == []
    server.answer(DISCOVERY)
    assert other.get(CALLBACK, params=query).status_code == 303
    assert server.calls(TOKEN) == 1


def test_an_authorization_endpoint_keeps_its_own_query(browser, server):
    server.metadata["authorization_endpoint"] = f"{server.url}/authorize?tenant=a%20b"
    location = begin(browser)
    assert location.startswith(f"{server.url}/authorize?tenant=a")
    assert asked(location)["tenant"] == "a b"
    assert asked(location)["response_type"] == "code"


@pytest.mark.parametrize("edge", ["asgi"])
def test_a_visitor_who_leaves_while_the_document_is_fetched_holds_nobody_up(site, server):
    headers = [(name.lower().encode(), value.encode()) for name, value in {**FROM_HERE, "Host": "app.example"}.items()]
    scope = {"type": "http", "method": "GET", "path": LOGIN, "query_string": b"", "headers": headers}

    async def receive():
        return {"type": "http.request"}

    async def begun():
        sent = []

        async def send(message):
            sent.append(message)

        await site.app(dict(scope), receive, send)
        return sent[0]["status"]

    async def story():
        with server.hold(DISCOVERY):
            leaving = asyncio.ensure_future(begun())
            await asyncio.to_thread(server.wait_for_calls, DISCOVERY)
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
        return await asyncio.wait_for(begun(), 10)

    assert asyncio.run(story()) == 302
    assert server.calls(DISCOVERY) == 2
