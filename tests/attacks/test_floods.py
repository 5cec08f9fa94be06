"""Many requests at once cost XWMS little, and the people who come meanwhile nothing."""

import time

from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, LOGIN, PROGRAM

MANY = 200
AT_ONCE = 130  # logins that one process starts at once; fifty a second after that


def test_ds_01_a_flood_of_starts_is_no_flood_at_xwms_and_ends_in_a_second(site):
    """DS-01: each start is a call to XWMS, so one process begins only so many."""
    answers = [site.browser().get(LOGIN) for _ in range(MANY)]
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {302, 429}
    assert site.fx.calls("sign-token") == statuses.count(302) == AT_ONCE
    refused = answers[-1]
    assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (429, True)
    assert "too_many_logins" in refused.text
    site.clock.advance(int(refused.headers["retry-after"]))
    assert site.browser().get(LOGIN).status_code == 302


def test_ds_01_what_is_signed_in_or_asks_for_nobody_does_not_notice(site):
    """DS-01"""
    browser = site.browser()
    browser.log_in()
    for _ in range(MANY):
        site.browser().get(LOGIN)
    assert browser.who() == "xwms-user-1234"
    assert site.browser().get("/").text == "home"


def test_ds_03_junk_shuts_nobody_else_out(site):
    """DS-03: what XWMS refuses says nothing about XWMS; there is no switch that junk could throw."""
    for number in range(MANY):
        answer = site.browser().get(CALLBACK, FROM_ELSEWHERE, params={"token": f"junk-{number:06}"})
        assert answer.status_code == 400
    for number in range(AT_ONCE // 2):
        browser = site.browser()
        browser.start()
        assert browser.come_back(f"junk-of-a-login-{number:06}").status_code in (400, 401)
    good = site.browser()
    assert good.log_in().status_code == 303
    assert good.who() == "xwms-user-1234"


COUNTERS = [
    "{name}_chunks=99999999",
    "{name}.chunks=99999999; {name}.0=a; {name}.1=b",
    "{name}-0=a; {name}-99999999=b",
    "{name}={name}.99999999",
]


def test_ds_06_no_cookie_says_how_often_something_is_done(site):
    """DS-06 (GHSA-hxr6-w4gc-7vvv): a session is one cookie, so there is nothing to count."""
    for counter in COUNTERS:
        cookie = counter.format(name=site.session_cookie)
        began = time.process_time()
        answer = site.raw("/who", headers=[*PROGRAM.items(), ("Cookie", cookie)])
        assert answer.status_code == 401, counter
        started = site.raw(LOGIN, headers=[*FROM_HERE.items(), ("Cookie", cookie)])
        assert started.status_code == 302, counter
        assert time.process_time() - began < 5, f"{counter}: a hundred million of anything would take longer"
