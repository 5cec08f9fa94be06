"""`sessions_valid_after`: an administrator ends every session that began before a time, in every store."""

import dataclasses
import time
from datetime import UTC, datetime

import pytest

from tests.tools.places import KINDS, SHARED
from tests.tools.session_pages import inside, with_pages
from tests.tools.site import LOGIN, ME, PROGRAM, Site
from xwms_auth import XWMSConfig

SUB = "xwms-user-1234"
DAY = 86_400

# Nothing in memory survives the restart that a new option takes.
every_kind = pytest.mark.parametrize(
    ("edge", "kind"), [*(("flask", kind) for kind in KINDS if kind != "memory"), ("asgi", "cookie"), ("asgi", "sqlite")]
)


def deployed(site: Site, browser, **options: object):
    """The site as it runs after its options were changed, and the same browser there."""
    after = with_pages(site.restarted(**options))
    again = after.browser()
    again.carry("; ".join(f"{name}={value}" for name, value in browser.cookies().items()))
    return after, again


@every_kind
@pytest.mark.parametrize("seconds", [0, 1])
def test_what_began_before_that_time_is_over_and_nothing_else_is(make_site, where, kind, seconds):
    options = where(kind)
    site = with_pages(make_site(**options))
    site.clock.now -= DAY
    browser = site.browser()
    browser.log_in(SUB)
    assert browser.who() == SUB
    began = site.clock.now
    site.clock.advance(3000)  # in use since, which moves no beginning
    assert browser.who() == SUB
    after, again = deployed(site, browser, **options, sessions_valid_after=began + seconds)
    if seconds == 0:
        assert again.who() == SUB
        assert again.who() == SUB
        return
    refused = again.get("/who", PROGRAM).json()
    assert (refused["code"], refused["reason"]) == ("login_required", "session_revoked")
    assert again.get(ME, PROGRAM).json()["user"] is None
    later = after.browser()
    later.log_in(SUB)
    assert later.who() == SUB
    if kind in SHARED:
        listed = inside(later, lambda sessions: sessions.list(SUB))
        assert [one.is_current for one in listed] == [True]


def test_a_login_that_waited_since_before_that_time_becomes_no_session(make_site):
    options = {"callback_token": "fresh", "confirm_person": True}
    site = make_site("fresh", **options)
    site.clock.now -= 100
    began = site.clock.now
    browser = site.browser()
    asked = browser.come_back(site.fx.approve(browser.start()))
    assert asked.status_code == 303
    page = asked.headers["Location"]
    assert browser.get(page).status_code == 200
    confirm = {"confirm": page.rpartition("confirm=")[2], "next": "/"}
    for since, is_signed_in in ((1, False), (0, True)):
        site, browser = deployed(site, browser, **options, sessions_valid_after=began + since)
        browser.post(LOGIN, data=confirm)
        assert (browser.who() is not None) is is_signed_in


def test_the_option_is_the_same_in_each_form_and_survives_a_copy():
    moment = datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC)
    given = (moment, "2024-02-03T04:05:06Z", "2024-02-03 05:05:06+01:00", moment.timestamp(), str(moment.timestamp()))
    base = {
        "client_id": "desk",
        "client_secret": "s" * 40,
        "redirect_uris": "https://app.example.com/cb",
    }
    configs = [XWMSConfig(**base, sessions_valid_after=one) for one in (*given, moment.timestamp() - 0.5)]
    assert [config.sessions_valid_after for config in configs] == [moment] * 6
    now = XWMSConfig(**base, sessions_valid_after=time.time())
    assert dataclasses.replace(now, domain="example.com").sessions_valid_after == now.sessions_valid_after


def test_the_log_says_since_when(make_site, caplog):
    caplog.set_level("INFO", logger="xwms_auth")
    make_site(sessions_valid_after="2024-02-03T04:05:06Z")
    assert any(line.startswith("sessions_valid_after time=") and "2024-02-03" in line for line in caplog.messages)
    caplog.clear()
    make_site()
    assert "sessions_valid_after" not in caplog.text


@pytest.mark.parametrize(("options", "is_warned"), [({"revocation_store": "memory://"}, True), ({}, False)])
def test_a_revocation_store_that_forgets_is_told_at_the_start(make_site, caplog, options, is_warned):
    caplog.set_level("WARNING", logger="xwms_auth")
    make_site(**options)
    assert any(line.startswith("revocations_forgotten ") for line in caplog.messages) is is_warned
