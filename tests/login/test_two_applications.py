"""Two applications on one host: two clients leave each other alone, and applications of one client share a session.

A browser keeps one set of cookies for a host, whatever the path or the port is.
"""

import re
from dataclasses import replace

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from tests.tools.site import CALLBACK, LOGIN, PROGRAM, Browser, Site, log_in
from xwms_auth import XWMSConfig
from xwms_auth.starlette import XWMSAuthMiddleware


def follow(browser: Browser, other: Site) -> Browser:
    """The same browser at another application on the same host: one jar for both."""
    neighbour = other.browser()
    neighbour.client.cookies = browser.client.cookies.jar
    return neighbour


@pytest.fixture(params=[("https://app.example", "cookie"), ("http://localhost:5000", "sqlite")], ids="-".join)
def shop(request, make_site, where) -> Site:
    origin, kind = request.param
    return make_site(client_id="shop", redirect_uris=f"{origin}{CALLBACK}", **where(kind))


def beside(shop: Site, client_id: str) -> Site:
    """An application on the same host, with its sessions in the same place."""
    config = shop.config
    return shop.restarted(client_id=client_id, redirect_uris=config.redirect_uris, session_store=config.session_store)


@pytest.fixture
def desk(shop) -> Site:
    return beside(shop, "desk")


def test_two_clients_on_one_host_leave_each_others_session_alone(shop, desk):
    """SM-16"""
    at_shop = shop.browser()
    at_desk = follow(at_shop, desk)
    at_shop.log_in(sub=1)
    at_desk.log_in(sub=2)
    assert (at_shop.who(), at_desk.who()) == ("1", "2")
    assert at_shop.log_out().status_code == 303
    assert (at_shop.who(), at_desk.who()) == (None, "2")
    # Nobody is told an untrue reason: the shop's session has ended, and there is no other one that it could not read.
    assert at_shop.get("/who", PROGRAM).json()["detail"] == shop.browser().get("/who", PROGRAM).json()["detail"]


def test_their_logins_under_way_do_not_push_each_other_out(shop, desk):
    """SM-16: nor does the logout of one client end the logins of the other."""
    at_shop = shop.browser()
    at_desk = follow(at_shop, desk)
    first = at_shop.start()
    for _ in range(12):
        desk.clock.advance(1)
        token = at_desk.start()
    at_desk.log_out()
    assert len(at_shop.logins()) == 1
    assert at_shop.come_back(shop.fx.approve(first)).status_code == 303
    assert at_desk.come_back(desk.fx.approve(token)).status_code == 400


@pytest.mark.more_packages
def test_two_flows_of_one_client_have_cookies_of_their_own(make_fx):
    options = make_fx().options()
    token = XWMSConfig(**options)
    code = XWMSConfig(**options, flow="oauth2", issuer=str(token.issuer))
    assert token.cookie_tag != code.cookie_tag


def test_the_tag_is_short_and_the_same_at_every_start(make_fx):
    options = make_fx().options()
    tags = {XWMSConfig(**{**options, "client_id": client}).cookie_tag for client in ("a", "b", "c", "a")}
    assert len(tags) == 3
    assert all(re.fullmatch("[a-z0-9]{8}", tag) for tag in tags)
    other_secret = {**options, "session_secret": "another-session-secret-0123456789-abcdef"}
    assert XWMSConfig(**other_secret).cookie_tag == XWMSConfig(**options).cookie_tag


def test_applications_of_one_client_share_a_session(shop):
    """With the same client, XWMS and session secret; and a logout in one is a logout in the other."""
    at_shop = shop.browser()
    at_twin = follow(at_shop, beside(shop, "shop"))
    at_shop.log_in(sub=1)
    assert at_twin.who() == "1"
    at_twin.log_out()
    assert at_shop.who() is None


def test_a_tag_of_its_own_separates_two_applications_of_one_client(shop):
    options = {"client_id": "shop", "redirect_uris": shop.config.redirect_uris}
    # One tag begins like the other: a name is compared as a whole.
    one, two = (shop.restarted(**options, cookie_tag=tag) for tag in ("desk", "desk2"))
    at_one = one.browser()
    at_two = follow(at_one, two)
    at_one.log_in(sub=1)
    assert at_two.who() is None
    at_two.log_in(sub=2)
    assert (at_one.who(), at_two.who()) == ("1", "2")
    assert set(at_one.cookies()) == {one.session_cookie, two.session_cookie}
    assert one.session_cookie.endswith("xwms_session_desk")


def test_the_note_of_a_session_from_the_future_has_the_tag_too(shop):
    browser = shop.browser()
    browser.log_in()
    shop.clock.advance(-200)
    browser.get("/who")
    tag = shop.config.cookie_tag
    assert [name for name in browser.cookies() if "ahead" in name] == [shop.session_cookie.replace("session", "ahead")]
    assert all(name.partition(tag)[1] for name in browser.cookies())


async def who(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{request.user.sub}")


def test_an_application_inside_another_of_its_client_is_separate_with_a_tag_of_its_own(make_fx):
    """Otherwise the inner one would show the outer one's session, and renew it under a name that nobody reads."""
    fx = make_fx()
    outer = XWMSConfig(**fx.options(cookie_tag="outer"))
    inner = replace(outer, cookie_tag="inner", login_path="/in/auth", redirect_uris="https://app.example/in/cb")
    pages = XWMSAuthMiddleware(Starlette(routes=[Route("/who", who)]), inner)
    app = XWMSAuthMiddleware(Starlette(routes=[Route("/who", who), Mount("/in", pages)]), outer)
    client = TestClient(app, base_url="https://app.example", follow_redirects=False)
    log_in(client, fx, sub="17")
    assert (client.get("/who").text, client.get("/in/who").text) == ("17", "None")
    assert client.get(LOGIN).status_code == 303
