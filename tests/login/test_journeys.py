"""Every story of a browser, told once and demanded of every edge."""

import re

import pytest

from tests.tools.site import CALLBACK, FROM_ELSEWHERE, LOGIN, LOGOUT, ME, NAVIGATION, PROGRAM, query_of


@pytest.fixture(params=["flask", "asgi", "wsgi"])
def edge(request):
    return request.param


def test_a_person_logs_in_sees_who_they_are_and_logs_out(site, browser):
    refused = browser.get("/private?page=2")
    assert refused.status_code == 302
    assert refused.headers["location"] == "/xwms/auth?next=/private%3Fpage%3D2"
    answer = browser.log_in(sub="17", next=query_of(refused.headers["location"])["next"][0], name="Anna")
    assert (answer.status_code, answer.headers["location"]) == (303, "/private?page=2")
    assert browser.get("/private").text == "17"
    assert browser.get("/hello").text == "hello Anna"
    left = browser.log_out()
    assert (left.status_code, left.headers["location"]) == (303, "/")
    assert browser.who() is None


@pytest.mark.parametrize("callback", ["same", "fresh"])
@pytest.mark.parametrize("store", ["cookie", "memory://"])
def test_the_callback_token_may_be_sign_tokens_or_another(make_site, callback, store):
    site = make_site(callback, session_store=store)
    browser = site.browser()
    assert browser.log_in(sub="17").status_code == 303
    assert browser.who() == "17"
    strict = site.restarted(callback_token=callback).browser()
    assert strict.log_in(sub="18").status_code == 303
    assert strict.who() == "18"


def test_http_on_localhost_has_cookies_of_its_own_without_secure(make_site):
    site = make_site(redirect_uris="http://localhost:5000/xwms/validateToken")
    browser = site.browser()
    started = browser.get(LOGIN)
    assert started.headers["set-cookie"].startswith("xwms_login_")
    assert "Secure" not in started.headers["set-cookie"]
    browser.come_back(site.fx.approve(started.headers["location"].rpartition("/")[2]))
    assert browser.who() == "xwms-user-1234"
    assert set(browser.cookies()) == {site.session_cookie}
    assert site.session_cookie.startswith("xwms_session_")


def test_who_is_already_signed_in_is_not_sent_to_xwms(site, browser):
    browser.log_in()
    answer = browser.get(LOGIN, params={"next": "/hello"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/hello")
    assert site.fx.calls("sign-token") == 1


def test_me_tells_a_script_who_is_signed_in(site, browser):
    nobody = browser.get(ME, PROGRAM)
    assert nobody.json() == {"user": None, "login_url": "/xwms/auth"}
    browser.log_in(sub="17", name="Anna", email="anna@example.org", email_verified=True)
    person = browser.get(ME, PROGRAM)
    assert person.headers["cache-control"] == "no-store"
    assert person.json()["user"]["sub"] == "17"
    assert person.json()["user"]["email_verified"] is True


def test_programs_get_a_problem_and_htmx_gets_its_redirect(browser):
    program = browser.get("/who", PROGRAM)
    assert program.status_code == 401
    assert program.headers["content-type"] == "application/problem+json"
    assert program.json()["code"] == "login_required"
    assert program.json()["login_url"] == "/xwms/auth?next=/who"
    htmx = browser.get("/who", {"HX-Request": "true", "Sec-Fetch-Mode": "cors"})
    assert (htmx.status_code, htmx.headers["hx-redirect"]) == (401, "/xwms/auth?next=/who")
    part = browser.get("/who", {"HX-Request": "true", "HX-Current-URL": "https://app.example/hello?a=b"})
    assert part.headers["hx-redirect"] == "/xwms/auth?next=/hello%3Fa%3Db"
    foreign = browser.get("/who", {"HX-Request": "true", "HX-Current-URL": "https://evil.example/hello"})
    assert foreign.headers["hx-redirect"] == "/xwms/auth?next=/who"
    fetch = browser.get("/who", {"Sec-Fetch-Mode": "cors", "Accept": "*/*"})
    assert fetch.status_code == 401
    xhr = browser.get("/who", {"X-Requested-With": "XMLHttpRequest", "Accept": "text/html"})
    assert xhr.status_code == 401


def test_a_posted_form_is_not_named_as_the_place_to_come_back_to(browser):
    answer = browser.post("/private", NAVIGATION)
    assert (answer.status_code, answer.headers["location"]) == (302, "/xwms/auth")


def test_a_login_started_from_another_site_asks_for_a_click_first(site, browser):
    page = browser.get(LOGIN, FROM_ELSEWHERE, params={"next": "/hello"})
    assert page.status_code == 200
    assert site.fx.calls("sign-token") == 0
    assert 'action="/xwms/auth?next=/hello"' in page.text
    clicked = browser.post(f"{LOGIN}?next=/hello", {**NAVIGATION, "Sec-Fetch-Site": "same-origin", "Origin": "null"})
    assert clicked.status_code == 302
    token = clicked.headers["location"].rpartition("/")[2]
    assert browser.come_back(site.fx.approve(token)).headers["location"] == "/hello"


def test_where_the_token_tells_no_click_is_needed(make_site):
    site = make_site(callback_token="same")
    assert site.browser().get(LOGIN, FROM_ELSEWHERE).status_code == 302


def test_answers_that_depend_on_the_person_are_marked_and_others_are_not(browser):
    assert "vary" not in browser.get("/").headers
    anonymous = browser.get("/hello")
    assert anonymous.headers["vary"] == "Cookie"
    assert "cache-control" not in anonymous.headers
    browser.log_in()
    assert "vary" not in browser.get("/").headers
    person = browser.get("/hello")
    assert person.headers["vary"] == "Cookie"
    assert person.headers["cache-control"] == "private, no-store"
    own = browser.get("/cached")
    assert own.headers["cache-control"] == "public, max-age=60"
    assert own.headers.get_list("vary") == ["Accept", "Cookie"]


def test_a_session_is_renewed_seldom_and_ends_when_idle_or_old(site, browser):
    browser.log_in()
    assert "set-cookie" not in browser.get("/hello").headers
    site.clock.advance(601)
    assert "set-cookie" in browser.get("/hello").headers
    assert "set-cookie" not in browser.get("/hello").headers
    site.clock.advance(86_399)
    assert browser.who() == "xwms-user-1234"
    site.clock.advance(86_401)
    assert browser.who() is None


def test_a_session_ends_at_its_absolute_lifetime_however_busy(site, browser):
    browser.log_in()
    for _ in range(13):
        site.clock.advance(43_000)
        assert browser.who() == "xwms-user-1234"
    site.clock.advance(604_800 - 13 * 43_000 - 1)
    assert browser.who() == "xwms-user-1234"
    site.clock.advance(1)
    assert browser.who() is None


def test_two_tabs_finish_in_reverse_order_each_at_its_own_place(site, browser):
    """SF-10"""
    first, second = browser.start("/hello"), browser.start("/private")
    assert browser.come_back(site.fx.approve(second)).headers["location"] == "/private"
    assert browser.come_back(site.fx.approve(first)).headers["location"] == "/hello"


def test_an_eleventh_tab_costs_the_oldest_one_only(site, browser):
    tokens = [site.fx.approve(browser.start()) for _ in range(11)]
    answers = [browser.come_back(token).status_code for token in tokens]
    assert answers == [401, *[303] * 10]


def test_the_callback_opened_again_leaves_another_tab_alone(make_site):
    """RP-01"""
    for callback in ("same", "fresh"):
        site = make_site(callback)
        browser = site.browser()
        first, second = (browser.start(path) for path in ("/hello", "/private"))
        done = site.fx.approve(first)
        other = site.fx.approve(second)
        assert browser.come_back(done).status_code == 303
        again = browser.come_back(done)
        assert (again.status_code, again.headers["location"]) == (303, "/")
        assert browser.come_back(other).status_code == 303


def test_a_connection_that_never_was_keeps_the_login_for_a_reload(make_site):
    site = make_site()
    browser = site.browser()
    token = site.fx.approve(browser.start())
    listener = site.fx._listener
    listener.close()
    down = browser.come_back(token)
    assert down.status_code == 503
    assert "xwms_unreachable" in down.text
    assert down.headers["retry-after"]
    assert "set-cookie" not in down.headers


def test_errors_are_pages_for_people_and_problems_for_programs(browser):
    page = browser.get(CALLBACK, FROM_ELSEWHERE, params={"token": "a-token-of-nobody"})
    assert page.status_code == 400
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "login_not_started" in page.text
    problem = browser.get(CALLBACK, PROGRAM, params={"token": "a-token-of-nobody"})
    assert problem.json()["code"] == "login_not_started"


@pytest.mark.parametrize(
    ("path", "method", "allow"),
    [(LOGIN, "PUT", "GET, POST"), (LOGIN, "HEAD", "GET, POST"), (CALLBACK, "POST", "GET"), (LOGOUT, "GET", "POST")],
)
def test_other_methods_are_405_and_say_what_is_allowed(site, browser, path, method, allow):
    answer = browser.client.request(method, path, headers=PROGRAM)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert site.fx.requests == []


def test_with_several_redirect_uris_the_host_picks_one(make_site):
    uris = ("https://one.example/xwms/validateToken", "http://localhost:5000/back")
    site = make_site(redirect_uris=uris)
    for origin, uri in zip(("https://one.example", "http://localhost:5000"), uris, strict=True):
        assert site.browser(origin).get(LOGIN).status_code == 302
        assert site.fx.to("sign-token")[-1].json["redirect_url"] == uri
    lost = site.browser("https://two.example").get(LOGIN)
    assert lost.status_code == 400
    assert "host_not_registered" in lost.text
    assert site.browser("https://two.example").get("/hello").text == "hello nobody"


def test_protect_all_lets_only_public_paths_through(make_site):
    site = make_site(protect="all", public=("/", "/static/*"))
    browser = site.browser()
    assert browser.get("/").text == "home"
    assert browser.get("/hello").status_code == 302
    assert browser.get("/static/style.css").status_code == 404
    assert browser.get("/static/../hello", PROGRAM).status_code == 401
    assert site.raw("/static/../hello").status_code == 401
    browser.log_in()
    assert browser.get("/hello").status_code == 200


@pytest.mark.parametrize(
    ("options", "links"),
    [({}, []), ({"protect": "all"}, []), ({"protect": "all", "public": ["/"]}, ["/"])],
)
def test_the_page_that_asks_first_leads_to_no_page_that_would_start_the_login(make_site, options, links):
    """Its link home would do what the person has not yet agreed to, where the front page needs a login."""
    page = make_site(**options).browser().get(LOGIN, FROM_ELSEWHERE)
    assert page.status_code == 200
    assert "Close this page, and nothing happens" in page.text
    assert re.findall('<a href="([^"]+)"', page.text) == links
