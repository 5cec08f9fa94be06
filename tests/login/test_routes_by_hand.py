"""Our routes, decision by decision, without any I/O: what they let in, and what they answer to everything else."""

import logging
import re

import pytest

from tests.login.test_accounts_by_hand import Shop
from tests.login.test_flow_steps import NOW
from tests.login.visits import Visit, code, cookies_of, location
from tests.tools.site import (
    CALLBACK,
    FROM_ELSEWHERE,
    FROM_HERE,
    FROM_SIBLING,
    LOGIN,
    LOGOUT,
    ME,
    NAVIGATION,
    PROGRAM,
    TYPED,
)
from xwms_auth._core.accounts.hooks import LoginRefused
from xwms_auth._core.accounts.linker import Linked
from xwms_auth._core.http.messages import MAX_HEADERS, header_bytes

BACKCHANNEL = "/xwms/backchannel-logout"
BY_WORKER = {**FROM_HERE, "Sec-Fetch-Dest": "empty"}
FRONT = "https://front.example"
METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH")


def header(done, name):
    return [value for key, value in done.header_list() if key == name]


# --- which methods and pages there are ---


@pytest.mark.parametrize("method", METHODS)
def test_each_route_has_its_methods_and_refuses_the_others(method):
    """LC-17"""
    allowed = {LOGIN: "GET, POST", LOGOUT: "POST", ME: "GET", CALLBACK: "GET", BACKCHANNEL: "POST"}
    visit = Visit()
    paths = {**allowed, **dict.fromkeys([visit.site.config.style_path, visit.site.config.script_path], "GET")}
    assert visit.site.config.backchannel_path == BACKCHANNEL
    for path, methods in paths.items():
        done = visit.ask(path, "", FROM_HERE, method=method)
        if method in methods.split(", "):
            assert done.status != 405, path
        else:
            assert code(done) == (405, "method_not_allowed"), path
            assert header(done, "Allow") == [methods]


@pytest.mark.parametrize(
    ("query", "locale", "accepted", "language", "varies"),
    [
        ("", "", "nl", "nl", True),
        ("", "", "de,nl", "de", True),
        ("lang=nl", "", "de", "nl", False),
        ("lang=xx", "", "nl", "nl", True),
        ("lang=", "", "nl", "nl", True),
        ("", "nl", "de", "nl", False),
        ("lang=de", "nl", "fr", "de", False),
        ("lang=nl&lang=de", "", "fr", "nl", False),
    ],
)
def test_the_script_speaks_the_language_that_is_asked_for(query, locale, accepted, language, varies):
    visit = Visit(**({"locale": locale} if locale else {}))
    config = visit.site.config
    script = visit.ask(config.plain_script_path, query, {**PROGRAM, "Accept-Language": accepted})
    assert script.status == 200
    assert re.search(rf"\|{language}\b", script.body)
    assert header(script, "Content-Type") == ["text/javascript; charset=utf-8"]
    assert header(script, "Vary") == (["Accept-Language"] if varies else [])
    assert "max-age=3600" in header(script, "Cache-Control")[0]


def test_the_style_and_the_script_with_texts_of_its_tag_never_change():
    visit = Visit()
    for path, kind in ((visit.site.config.style_path, "css"), (visit.site.config.script_path, "javascript")):
        done = visit.ask(path)
        assert (done.status, header(done, "Content-Type")) == (200, [f"text/{kind}; charset=utf-8"])
        assert "immutable" in header(done, "Cache-Control")[0]


def test_without_settings_there_are_pages_parts_and_nothing_else():
    visit = Visit(client_secret="", allow_missing_settings=True)
    for path, method in ((LOGIN, "GET"), (LOGOUT, "POST"), (ME, "GET"), (CALLBACK, "GET")):
        assert code(visit.ask(path, method=method)) == (500, "config")
    assert visit.ask(visit.site.config.style_path).status == 200


def test_the_application_hears_of_every_refusal_and_of_nothing_else():
    shop = Shop(found=Linked(key="1"))
    visit = Visit(shop)
    visit.ask(ME)
    assert shop.told == []
    assert code(visit.ask(CALLBACK)) == (400, "token_missing")
    (told,) = shop.told
    assert (type(told), told.code, told.path) == (LoginRefused, "token_missing", CALLBACK)
    assert "no token" in told.cause


def test_a_refusal_leads_to_a_login_that_comes_back_to_the_page_that_was_asked_for():
    visit = Visit()
    refused = visit.ask(LOGIN, "next=/private%3Fa=1", {**FROM_ELSEWHERE, "Sec-Fetch-Dest": "iframe"})
    assert code(refused) == (403, "cross_site")
    assert 'href="/xwms/auth?next=/private%3Fa%3D1"' in refused.body or "next=/private%3Fa%3D1" in refused.body


# --- the pages of trusted origins ---


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("origin", [FRONT, "https://evil.example", None])
def test_only_pages_of_trusted_origins_read_what_is_for_scripts(trusted, origin):
    visit = Visit(**({"trusted_origins": [FRONT]} if trusted else {}))
    is_read = trusted and origin == FRONT
    sent = {**PROGRAM, **({} if origin is None else {"Origin": origin})}
    for path, method in ((ME, "GET"), (LOGOUT, "POST")):
        done = visit.ask(path, "", sent, method=method)
        assert header(done, "Access-Control-Allow-Origin") == ([FRONT] if is_read else [])
        assert ("Origin" in header(done, "Vary")) is trusted
        asked = {**sent, "Access-Control-Request-Method": method}
        preflight = visit.ask(path, "", asked, method="OPTIONS")
        assert preflight.status == (200 if is_read else 405)
        assert header(preflight, "Access-Control-Allow-Methods") == ([method] if is_read else [])
    done = visit.ask(LOGIN, "", {**TYPED, **({} if origin is None else {"Origin": origin})})
    assert header(done, "Access-Control-Allow-Origin") == []
    assert "Origin" not in header(done, "Vary")


# --- who is there ---


def test_a_script_is_told_who_is_there_and_why_nobody_is():
    visit = Visit(session_idle=600)
    nobody = visit.ask(ME)
    assert (nobody.status, header(nobody, "Vary")) == (200, ["Cookie"])
    assert nobody.body == '{"user": null, "login_url": "/xwms/auth"}'
    visit.log_in()
    assert '"sub": "17"' in visit.ask(ME).body
    visit.now += 601
    assert '"user": null' in visit.ask(ME).body
    assert '"signed_out": "session_idle"' in visit.ask(ME).body


def test_with_several_redirect_uris_who_is_there_depends_on_the_host():
    uris = ("https://app.example/xwms/validateToken", "http://localhost:5000/xwms/validateToken")
    visit = Visit(redirect_uris=uris)
    there = {**PROGRAM, "Host": "app.example"}
    visit.come_back(visit.start("", {**FROM_HERE, "Host": "app.example"}), {**FROM_ELSEWHERE, "Host": "app.example"})
    assert '"sub": "17"' in visit.ask(ME, "", there).body
    for host in ({"Host": "localhost:5000"}, {"Host": "other.example"}, {}):
        assert '"user": null' in visit.ask(ME, "", {**PROGRAM, **host}).body


# --- the start ---


@pytest.mark.parametrize("others", [0, 10])
def test_a_login_keeps_its_page_as_long_as_a_proxy_reads_the_headers_of_its_start(others):
    """The address of XWMS is long, and another login may have to make room, which takes a header too."""
    shortest, longest, most = 200, 1800, 0
    while longest - shortest > 1:
        visit = Visit()
        for _ in range(others):
            visit.start("next=/")
        length = (shortest + longest) // 2
        visit.ticket["url"] = "https://xwms.nl/".ljust(length, "a")
        page = "/".ljust(1100, "b")
        begun = visit.ask(LOGIN, f"next={page}")
        assert begun.status == 302
        assert (len(cookies_of(begun)) > 1) is bool(others)
        assert location(begun) == visit.ticket["url"]
        if location(visit.come_back(visit.token)) == page:
            shortest, most = length, header_bytes(begun.header_list())
        else:
            longest = length
    assert most == MAX_HEADERS


@pytest.mark.parametrize(("length", "status"), [(1800, 302), (1801, 502)])
def test_an_address_of_xwms_that_leaves_no_room_for_a_login_is_refused(length, status):
    visit = Visit()
    visit.ticket["url"] = "https://xwms.nl/".ljust(length, "a")
    begun = visit.ask(LOGIN)
    assert begun.status == status
    assert len(visit.names("login")) == (status == 302)


@pytest.mark.parametrize("is_post", [True, False])
def test_through_a_worker_a_page_leads_on_in_place_of_a_redirect(is_post):
    """SM-08"""
    visit = Visit()
    visit.start()
    visit.now += 601
    (old,) = visit.names("login")
    page = visit.ask(LOGIN, "next=/hello", BY_WORKER, method="POST" if is_post else "GET")
    assert page.status == 200
    assert "https://xwms.nl/login" in page.body
    assert old not in visit.jar
    assert len(visit.names("login")) == 1
    waiting = visit.come_back("a-token-that-sign-token-never-gave")
    assert not waiting.logged_in, "it counts as begun elsewhere"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (FROM_HERE, 302),
        ({**FROM_HERE, "Origin": "https://app.example"}, 302),
        ({**FROM_HERE, "Origin": "https://evil.example"}, 403),
        (FROM_ELSEWHERE, 403),
        (FROM_SIBLING, 403),
        ({**BY_WORKER, "Origin": "https://app.example"}, 200),
        ({**BY_WORKER, "Sec-Fetch-Site": "cross-site"}, 403),
        ({**BY_WORKER, "Sec-Fetch-Site": "same-site"}, 403),
        (NAVIGATION, 403),
    ],
)
def test_only_a_form_of_this_site_posts_a_login(sent, status):
    assert Visit().ask(LOGIN, "", sent, method="POST").status == status


def test_whoever_is_in_goes_on_and_a_login_that_is_too_old_begins_another():
    visit = Visit(after_login="/home")
    visit.log_in()
    on = visit.ask(LOGIN, "next=/hello")
    assert (on.status, location(on)) == (303, "/hello")
    assert dict(on.header_list(reserved=MAX_HEADERS))["Location"] == "/home"
    assert location(visit.ask(LOGIN)) == "/home"
    for fresh, later, status in (("30", 30, 303), ("30", 31, 302), ("10", 30, 303), ("5000", 31, 303)):
        visit.now = NOW + later
        assert visit.ask(LOGIN, f"next=/hello&fresh={fresh}").status == status, (fresh, later)


@pytest.mark.parametrize(
    ("fresh", "counts"),
    [
        ("fresh=30", True),
        ("fresh=0", True),
        ("fresh=999999999", False),
        ("fresh=0000000030", False),
        ("fresh=000000030", True),
        ("fresh=30&fresh=30", False),
        ("fresh=", False),
        ("fresh=-1", False),
        ("fresh=3O", False),
        ("fresh=\u0663\u0660", False),
        ("", False),
    ],
)
def test_an_age_in_the_address_is_a_number_of_nine_digits_at_most(fresh, counts):
    visit = Visit()
    visit.log_in()
    visit.now += 100
    assert visit.ask(LOGIN, f"next=/hello&{fresh}").status == (302 if counts else 303)


def test_a_link_with_an_old_login_asks_for_a_newer_one_first():
    shop = Shop(found=Linked(key="7"))
    visit = Visit(shop)
    visit.log_in()
    shop.linked.append(("17", "7"))
    visit.now += 900
    assert visit.ask(LOGIN, "next=/settings", method="POST", link="1").status == 302
    visit.now += 1
    refused = visit.ask(LOGIN, "next=/settings", method="POST", link="1")
    assert code(refused) == (401, "login_too_old")
    assert "/xwms/auth?next=/settings&amp;fresh=900" in refused.body
    for more in ({"link": "2"}, {"link": ""}, {}):
        assert visit.ask(LOGIN, "next=/settings", method="POST", **more).status == 303, "only `1` links"
    assert visit.ask(LOGIN, "next=/settings&link=1").status == 303, "and only a form"
    assert visit.ask(LOGIN, "next=/settings", link="1").status == 303, "that is posted"


def test_a_link_counts_as_a_start_for_the_rate_limit_before_anybody_is_asked():
    """DS-01: the own login of the application may be expensive to ask."""
    shop = Shop(here="7")
    visit = Visit(shop, logins_per_address=10)
    statuses = [visit.ask(LOGIN, method="POST", link="1", address="203.0.113.7").status for _ in range(7)]
    assert statuses == [302] * 5 + [429] * 2


def test_why_the_session_has_ended_is_said_on_the_page_and_in_the_log(caplog):
    visit = Visit(session_idle=600)
    visit.log_in()
    visit.now += 601
    with caplog.at_level(logging.INFO):
        page = visit.ask(LOGIN, "", FROM_SIBLING)
    assert "session_ended" in caplog.text
    assert page.status in (200, 302)
    caplog.clear()
    visit.jar = {}
    with caplog.at_level(logging.INFO):
        visit.ask(LOGIN, "", FROM_SIBLING)
    assert "session_ended" not in caplog.text


def test_an_outcome_of_a_silent_login_is_no_part_of_the_page_to_come_back_to():
    visit = Visit()
    assert location(visit.come_back(visit.start("next=/hello%3Fxwms_error=login_required"))) == "/hello"


def test_a_login_from_elsewhere_that_finds_no_room_calls_nobody():
    """SM-10"""
    visit = Visit(callback_token="same")
    for _ in range(10):
        visit.start()
    issued = visit.issued
    refused = visit.ask(LOGIN, "next=/hello", FROM_ELSEWHERE)
    assert code(refused) == (429, "too_many_logins")
    assert (visit.issued, cookies_of(refused)) == (issued, {})


# --- a developer's machine ---

LOCAL = {"redirect_uris": "http://localhost:5000/xwms/validateToken"}


@pytest.mark.parametrize(
    ("host", "leads"),
    [
        ("127.0.0.1:5000", True),
        ("127.0.0.2:5000", True),
        ("[::1]:5000", True),
        ("LOCALHOST:5000", False),
        ("localhost:5000", False),
        ("127.0.0.1:5001", False),
        ("127.0.0.1", False),
        ("app.example:5000", False),
        (None, False),
    ],
)
def test_a_start_at_another_name_of_this_machine_is_led_to_the_registered_one_once(host, leads):
    visit = Visit(**LOCAL)
    sent = {**TYPED, **({} if host is None else {"Host": host})}
    done = visit.ask(LOGIN, "next=/hello&fresh=60", sent)
    if leads:
        assert (done.status, visit.issued) == (303, 0)
        assert location(done) == "http://localhost:5000/xwms/auth?next=/hello&fresh=60&moved=1"
        short = dict(done.header_list(reserved=MAX_HEADERS))["Location"]
        assert short == "http://localhost:5000/xwms/auth?fresh=60&moved=1"
        assert location(visit.ask(LOGIN, "", sent)) == "http://localhost:5000/xwms/auth?moved=1"
    else:
        assert done.status == 302
    assert visit.ask(LOGIN, "moved=1", sent).status == 302


@pytest.mark.parametrize(
    ("uris", "host", "leads_to"),
    [
        (("http://127.0.0.1:5000", "http://localhost:5000"), "127.0.0.1:5000", None),
        (("http://127.0.0.1:5000", "http://localhost:5000"), "localhost:5000", None),
        (("http://localhost:8000", "http://localhost:5000"), "127.0.0.1:5000", "http://localhost:5000"),
        (("http://localhost",), "127.0.0.1", "http://localhost"),
        (("http://localhost",), "127.0.0.1:80", "http://localhost"),
        (("https://localhost",), "127.0.0.1:443", "https://localhost"),
        (("https://app.example:5000",), "127.0.0.1:5000", None),
    ],
)
def test_a_start_is_led_to_the_redirect_uri_with_its_port_and_stays_where_it_is_registered(uris, host, leads_to):
    visit = Visit(redirect_uris=tuple(f"{uri}{CALLBACK}" for uri in uris))
    done = visit.ask(LOGIN, "", {**TYPED, "Host": host})
    assert done.status == (302 if leads_to is None else 303)
    assert leads_to is None or location(done) == f"{leads_to}{LOGIN}?moved=1"


@pytest.mark.parametrize(
    ("options", "sent", "warns"),
    [
        (LOCAL, {"Host": "dev.example:5000", "Referer": "http://dev.example:5000/a"}, True),
        (
            LOCAL,
            {"Host": "DEV.example:5000", "Origin": "http://dev.example:5000", "Referer": "http://x.example/"},
            True,
        ),
        (LOCAL, {"Host": "dev.example:5000", "Referer": "http://other.example:5000/a"}, False),
        (LOCAL, {"Host": "dev.example:5000", "Referer": "https://dev.example:5000/a"}, False),
        (LOCAL, {"Host": "dev.example:5000"}, False),
        (LOCAL, {"Host": "localhost:5000", "Referer": "http://localhost:5000/a"}, False),
        (LOCAL, {"Referer": "http:///"}, False),
        (LOCAL, {"Referer": "http://x/"}, False),
        ({}, {"Host": "dev.example", "Referer": "https://dev.example/a"}, False),
    ],
)
def test_a_login_on_a_developers_machine_that_will_not_come_home_is_told_of(options, sent, warns, caplog):
    visit = Visit(**options)
    assert visit.ask(LOGIN, "", {**TYPED, **sent}).status == 302
    assert ("login_at_another_host" in caplog.text) is warns
