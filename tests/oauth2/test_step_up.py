"""`login_required(fresh=…)` with OpenID Connect: what counts is when the person proved at the server who they are.

A server that knows its person answers a login at once, without asking; that makes a new session here, and says nothing
of who sits at the keyboard.
"""

from datetime import timedelta

import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import xwms_auth.flask
import xwms_auth.starlette
from tests.oauth2.steps import asked, begin, come_back
from tests.tools.session_pages import given
from tests.tools.site import PROGRAM, TYPED, Site

FRESH = timedelta(minutes=5)


def with_danger(site: Site) -> Site:
    if site.edge == "flask":
        site.app.add_url_rule("/danger", "danger", xwms_auth.flask.login_required(fresh=FRESH)(lambda: "done"))
    else:

        async def danger(request):
            return PlainTextResponse("done")

        site.app.app.router.routes.append(Route("/danger", xwms_auth.starlette.login_required(fresh=FRESH)(danger)))
    return site


@pytest.fixture
def site(make_site):
    return with_danger(make_site())


def log_in(browser, server, *, proved: int | None, location: str | None = None):
    """A login at a server to which the person proved who they are so many seconds before; None: it does not say."""
    now = browser.site.clock.now
    server.claims = {"iat": now, "exp": now + 300, "auth_time": None if proved is None else now - proved}
    return come_back(browser, server.consent(location or begin(browser)))


def opens(browser) -> bool:
    answer = browser.get("/danger", PROGRAM)
    assert answer.status_code in (200, 401), answer.text
    return bool(answer.status_code == 200)


def test_a_login_is_as_fresh_as_the_proof_behind_it(site, server):
    for proved, fresh in ((0, True), (299, True), (301, False), (7200, False), (None, False)):
        browser = site.browser()
        assert log_in(browser, server, proved=proved).status_code == 303, proved
        assert opens(browser) is fresh, proved


def test_nobody_at_the_keyboard_can_drop_the_demand_from_the_address(site, server):
    """The person has left two hours ago. Whoever comes logs out, and in again without asking for a fresh login."""
    browser = site.browser()
    log_in(browser, server, proved=7200)
    browser.log_out()
    for address in ("/xwms/auth?next=/danger", "/xwms/auth?next=/danger&fresh=999999"):
        location = browser.get(address, TYPED).headers["location"]
        log_in(browser, server, proved=7200, location=location)
        assert browser.who() == "xwms-user-1234"
        assert not opens(browser)
        browser.log_out()


def test_proving_it_again_opens_the_page(site, server):
    browser = site.browser()
    log_in(browser, server, proved=7200)
    sent = browser.get("/danger", TYPED).headers["location"]
    location = browser.get(sent).headers["location"]
    assert asked(location)["max_age"] == "300"
    answer = log_in(browser, server, proved=2, location=location)
    assert answer.headers["location"] == "/danger"
    assert opens(browser)
    site.clock.advance(299)
    assert not opens(browser)


def test_a_server_whose_clock_is_behind_makes_no_login_older(site, server):
    """Fifty seconds, which its tokens may be: how long ago the proof was is told by one clock alone."""
    browser = site.browser()
    then = int(browser.site.clock.now) - 50
    server.claims = {"iat": then, "exp": then + 300, "auth_time": then - 260}
    come_back(browser, server.consent(begin(browser)))
    assert opens(browser)


def test_without_openid_the_login_itself_is_all_there_is(make_site, server):
    site = with_danger(make_site(scopes="profile"))
    browser = site.browser()
    log_in(browser, server, proved=7200)
    assert opens(browser)


def test_a_renewed_session_is_no_fresher(site, server):
    browser = site.browser()
    log_in(browser, server, proved=200)
    site.clock.advance(4000)
    assert browser.who() == "xwms-user-1234"
    assert not opens(browser)


@pytest.mark.parametrize(("edge", "kind"), [("flask", "cookie"), ("asgi", "sqlite"), ("flask", "redis")])
def test_a_picture_makes_no_proof_fresher_and_a_proof_is_no_picture(make_site, server, where, kind):
    """At another process, which knows of the session only what its record says."""
    options = where(kind)
    for picture in (None, "https://xwms.example/ada.png"):
        browser = make_site(**options).browser()
        now = browser.site.clock.now
        server.claims = {"iat": now, "exp": now + 300, "auth_time": now - 86_400}
        come_back(browser, server.consent(begin(browser), picture=picture))
        there = given(with_danger(make_site(**options)), browser.cookies()[browser.site.session_cookie])
        assert not opens(there), picture
        assert there.get("/xwms/me").json()["user"]["picture"] == picture
