"""A developer's machine has several names: a login that begins at another one than the redirect URI's comes home."""

from urllib.parse import urlsplit

import pytest

from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, LOGIN, TYPED

LOCALHOST = f"http://localhost:5000{CALLBACK}"


def started(site, host, *, headers=TYPED, **more):
    return site.raw(LOGIN, headers=[*headers.items()], host=host, **more)


@pytest.mark.parametrize("host", ["127.0.0.1:5000", "127.0.0.2:5000", "[::1]:5000"])
def test_a_start_at_another_loopback_name_is_led_to_the_redirect_uris(make_site, host):
    site = make_site(redirect_uris=LOCALHOST)
    answer = started(site, host, query="next=/a%3Fb=c&fresh=60&x=1")
    assert (answer.status_code, answer.content) == (303, b"")
    assert answer.headers["location"] == f"http://localhost:5000{LOGIN}?next=/a%3Fb%3Dc&fresh=60&moved=1"
    assert "set-cookie" not in answer.headers
    assert site.fx.requests == []
    browser = site.browser()
    token = urlsplit(browser.get(answer.headers["location"], TYPED).headers["location"]).path.rpartition("/")[2]
    assert browser.come_back(site.fx.approve(token)).headers["location"] == "/a?b=c"


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        (f"http://127.0.0.1:5000{CALLBACK}", "localhost:5000"),
        (f"http://[::1]:5000{CALLBACK}", "localhost:5000"),
        (f"http://localhost{CALLBACK}", "127.0.0.1"),
        (f"http://localhost{CALLBACK}", "127.0.0.1:80"),
        (f"https://localhost{CALLBACK}", "127.0.0.1:443"),
    ],
)
def test_whichever_of_the_two_the_redirect_uri_has(make_site, uri, host):
    site = make_site(redirect_uris=uri)
    assert started(site, host).headers["location"] == f"{site.origin}{LOGIN}?moved=1"


def test_a_form_is_led_there_too_and_the_next_rule_counts(make_site):
    site = make_site(redirect_uris=LOCALHOST)
    posted = {**FROM_HERE, "Origin": "http://127.0.0.1:5000"}
    answer = started(site, "127.0.0.1:5000", method="POST", query="next=//evil.example", headers=posted)
    assert (answer.status_code, answer.headers["location"]) == (303, f"http://localhost:5000{LOGIN}?moved=1")


def test_of_several_redirect_uris_the_one_with_the_port_counts(make_site):
    site = make_site(redirect_uris=(f"http://localhost:8000{CALLBACK}", LOCALHOST))
    assert started(site, "127.0.0.1:5000").headers["location"].startswith("http://localhost:5000/")
    assert started(site, "127.0.0.1:8000").headers["location"].startswith("http://localhost:8000/")
    assert started(site, "127.0.0.1:9000").status_code == 400


def test_a_name_that_is_registered_itself_stays(make_site):
    site = make_site(redirect_uris=(f"http://127.0.0.1:5000{CALLBACK}", LOCALHOST))
    for host in ("127.0.0.1:5000", "localhost:5000"):
        assert started(site, host).headers["location"].startswith(site.fx.url), host


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1:5001", "127.0.0.1", "app:5000", "evil.example:5000", "127.0.0.1.evil.example:5000"),
        *("evil.example@127.0.0.1:5000", "127.0.0.1:5000, localhost:5000", "127.1:5000", ":5000", "", "[::1:5000"),
    ],
)
def test_any_other_host_starts_the_login_as_before(make_site, host):
    """A Host header never becomes a part of an address."""
    site = make_site(redirect_uris=LOCALHOST)
    answer = started(site, host)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith(site.fx.url)


def test_a_public_redirect_uri_is_no_business_of_loopback(make_site):
    site = make_site()
    assert started(site, "127.0.0.1").headers["location"].startswith(site.fx.url)


def test_behind_a_proxy_that_loses_the_host_the_login_goes_on_at_the_second_time(make_site, caplog):
    """And the log does not say that the browser is elsewhere, which it is not."""
    site = make_site(redirect_uris=LOCALHOST)
    first = started(site, "127.0.0.1:5000")
    assert started(site, "127.0.0.1:5000", query=urlsplit(first.headers["location"]).query).status_code == 302
    for headers in (TYPED, {**FROM_HERE, "Referer": "http://localhost:5000/"}):
        assert started(site, "127.0.0.1:9000", headers=headers).status_code == 302
    assert "login_at_another_host" not in caplog.text


def test_where_the_browser_says_that_it_is_elsewhere_the_log_says_where_to_go(make_site, caplog):
    """The login would fail at its end."""
    site = make_site(redirect_uris=LOCALHOST)
    started(site, "127.0.0.1:5001", headers={**FROM_HERE, "Referer": "http://127.0.0.1:5001/"})
    assert "login_at_another_host hint='open the site under http://localhost:5000/'" in caplog.text


def test_another_site_gains_nothing_by_it(make_site):
    """LC-04: browsers keep `Sec-Fetch-Site: cross-site` through a redirect, so the click is still asked for."""
    site = make_site(redirect_uris=LOCALHOST)
    led = started(site, "127.0.0.1:5000", headers=FROM_ELSEWHERE).headers["location"]
    page = site.browser().get(led, FROM_ELSEWHERE)
    assert page.status_code == 200
    assert "Continue" in page.text
    assert site.fx.requests == []
    for frame in ({"Sec-Fetch-Dest": "iframe"}, {"Sec-Fetch-Mode": "no-cors"}, {"Sec-Purpose": "prefetch"}):
        assert started(site, "127.0.0.1:5000", headers={**FROM_ELSEWHERE, **frame}).status_code == 403
