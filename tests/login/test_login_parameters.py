"""The parameters of a login with XWMS's own protocol, which has none: only the language of our own pages counts."""

from urllib.parse import urlsplit

import pytest

import xwms_auth.flask
from tests.tools.site import FROM_ELSEWHERE, FROM_HERE, HTTPS_URI, LOGIN

CONFIRM = "nl", "Doorgaan"


def test_a_link_chooses_the_language_of_the_page_that_asks_before_a_login(make_site):
    browser = make_site("fresh").browser()
    for query, language in (("nl", "nl"), ("fr+pt-BR+nl", "pt"), ("fr", "en"), ("zh-Hant", "zh"), ("n%22l", "en")):
        answer = browser.get(f"{LOGIN}?ui_locales={query}", FROM_ELSEWHERE)
        assert (answer.status_code, answer.headers["content-language"]) == (200, language)
    named = browser.get(f"{LOGIN}?ui_locales=nl", {**FROM_ELSEWHERE, "Accept-Language": "de"})
    assert named.headers["content-language"] == "nl"
    assert "vary" not in named.headers
    assert browser.get(LOGIN, {**FROM_ELSEWHERE, "Accept-Language": "de"}).headers["content-language"] == "de"


def test_the_language_outlasts_the_page_that_asks_and_the_way_to_xwms(make_site):
    site = make_site("fresh", confirm_person=True, callback_token="fresh")
    browser = site.browser()
    page = browser.get(f"{LOGIN}?ui_locales=nl&next=/hello", FROM_ELSEWHERE)
    action = page.text.partition('action="')[2].partition('"')[0].replace("&amp;", "&")
    assert "ui_locales=nl" in action
    started = browser.post(action, {**FROM_HERE, "Origin": "https://app.example"})
    token = urlsplit(started.headers["location"]).path.rpartition("/")[2]
    asked = browser.come_back(site.fx.approve(token, sub="17", name="Anna"))
    assert browser.get(asked.headers["location"], FROM_HERE).headers["content-language"] == "nl"


def test_a_site_may_forbid_the_language_and_everything_else_is_ignored(make_site):
    browser = make_site("fresh", login_params="none").browser()
    assert browser.get(f"{LOGIN}?ui_locales=nl", FROM_ELSEWHERE).headers["content-language"] == "en"
    site = make_site(login_params="prompt login_hint acr_values")
    for query in ("prompt=none", "prompt=login", "login_hint=anna", "acr_values=x"):
        browser = site.browser()
        assert "?" not in browser.get(f"{LOGIN}?{query}").headers["location"]
        site_token = browser.start()
        assert browser.come_back(site.fx.approve(site_token)).status_code == 303
        assert browser.get(f"{LOGIN}?{query}&next=/hello").headers["location"] == "/hello"


@pytest.mark.parametrize("edge", ["flask"])
def test_in_code_the_other_parameters_are_left_out_of_the_address(site):
    with site.app.test_request_context("/", base_url="https://app.example"):
        url = xwms_auth.flask.xwms_login_url(next="/a", prompt="login", login_hint="anna", ui_locales=["nl", "en"])
        assert url == "/xwms/auth?next=/a&ui_locales=nl+en"
        with pytest.raises(ValueError, match="prompt"):
            xwms_auth.flask.xwms_login_button(prompt="dance")


@pytest.mark.parametrize("edge", ["flask"])
def test_what_the_site_forbids_to_links_its_own_code_may_still_set(make_site):
    site = make_site("fresh", login_params="none")
    with site.app.test_request_context("/", base_url="https://app.example"):
        url = xwms_auth.flask.xwms_login_url(next="/a", ui_locales="nl")
    assert "nl" not in url.partition("params=")[0]
    assert site.browser().get(url, FROM_ELSEWHERE).headers["content-language"] == "nl"


@pytest.mark.parametrize("edge", ["flask"])
@pytest.mark.parametrize(("seconds", "language"), [(86_400, "nl"), (86_401, "en"), (-60, "nl"), (-61, "en")])
def test_what_is_sealed_counts_for_a_day(make_site, seconds, language):
    site = make_site("fresh", login_params="none")
    with site.app.test_request_context("/", base_url="https://app.example"):
        url = xwms_auth.flask.xwms_login_url(next="/a", ui_locales="nl")
    site.clock.advance(seconds)
    page = site.browser().get(url, FROM_ELSEWHERE)
    assert (page.status_code, page.headers["content-language"]) == (200, language)


def test_the_parameters_survive_the_way_to_the_host_of_the_redirect_uri(make_site):
    site = make_site(redirect_uris="http://localhost:5000/xwms/validateToken")
    browser = site.browser("http://127.0.0.1:5000")
    moved = browser.get(f"{LOGIN}?ui_locales=nl&next=/hello", FROM_HERE).headers["location"]
    assert moved.startswith("http://localhost:5000/xwms/auth?next=/hello&ui_locales=nl&")
    assert HTTPS_URI not in moved
