"""Whose login is a callback? state and PKCE, on both edges: LC-09 to LC-15, RP-10, OC-01 to OC-03, OC-07.

B1 and B2 are two browsers.
"""

import base64
import hashlib
import html
import json
import re

import pytest

from tests.oauth2.fake_as import DISCOVERY, TOKEN
from tests.oauth2.steps import asked, begin, code_of, come_back, log_in, nothing_happened
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, HTTPS_URI, LOGIN, PROGRAM, Site

PARAMETERS = {
    "response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
}  # fmt: skip


# --- the story ---


def test_a_person_logs_in_and_goes_on_where_they_wanted_to(site, browser, server):
    location = begin(browser, "/private?a=b")
    assert set(asked(location)) == PARAMETERS
    assert location.startswith(f"{server.url}/authorize?")
    answer = come_back(browser, server.consent(location, sub="17", name="Ada"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/private?a=b")
    assert browser.who() == "17"
    assert browser.get("/hello").text == "hello Ada"
    assert browser.cookies().keys() == {site.session_cookie}
    assert browser.log_out().status_code == 303
    assert browser.who() is None


def test_a_second_start_asks_the_server_nothing(site, server):
    for _ in range(3):
        begin(site.browser())
    assert [request.target for request in server.requests] == [DISCOVERY]


def test_a_start_from_another_site_needs_no_click_because_the_state_is_not_known_there(browser):
    """LC-04: the attack itself is LC-09, below; a state that another site caused is still this browser's alone."""
    answer = browser.get(LOGIN, FROM_ELSEWHERE)
    assert answer.status_code == 302
    assert asked(answer.headers["location"])["state"]


def test_a_person_comes_home_through_a_service_worker_because_the_state_is_this_browsers(site, server):
    """SM-08: it hides who asks, and the state tells more; the same callback is nothing in another browser."""
    by_worker = {"Accept": "text/html", "Sec-Fetch-Dest": "empty", "Upgrade-Insecure-Requests": "1"}
    passed_on = {**by_worker, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "cross-site"}
    rebuilt = {**by_worker, "Sec-Fetch-Mode": "same-origin", "Sec-Fetch-Site": "same-origin"}
    for headers in (passed_on, rebuilt):
        browser = site.browser()
        page = browser.get(LOGIN, headers)
        assert (page.status_code, "frame-ancestors 'none'" in page.headers["content-security-policy"]) == (200, True)
        [location] = re.findall(r'content="0;url=([^"]+)"', page.text)
        query = server.consent(html.unescape(location), sub="17")
        assert site.browser().get(CALLBACK, headers, params=query).status_code == 400
        assert browser.get(CALLBACK, headers, params=query).status_code == 303
        assert browser.who() == "17"


def test_ru_07_the_redirect_uri_is_the_same_at_both_ends(make_site, server):
    """RU-07: byte for byte the configured one, in the authorization request and in the token request."""
    uris = (HTTPS_URI, "https://other.example/back")
    site = make_site(redirect_uris=uris)
    for origin, path, uri in (("https://app.example", CALLBACK, uris[0]), ("https://other.example", "/back", uris[1])):
        browser = site.browser(origin)
        location = begin(browser)
        assert asked(location)["redirect_uri"] == uri
        query = {**server.consent(location), "redirect_uri": "https://evil.example/"}
        assert browser.get(path, FROM_ELSEWHERE, params=query).status_code == 303
        assert server.forms()[-1]["redirect_uri"] == uri


def test_ru_07_a_login_begun_for_one_redirect_uri_cannot_end_at_another(make_site, server):
    """RU-07"""
    site = make_site(redirect_uris=(HTTPS_URI, "https://other.example/back"))
    browser = site.browser()
    query = server.consent(begin(browser))
    cookie = browser.pending()
    text = "&".join(f"{name}={value}" for name, value in query.items())
    moved = site.raw("/back", query=text, headers=[("Cookie", cookie)], host="other.example")
    assert moved.json()["code"] == "login_not_started"
    assert server.calls(TOKEN) == 0


# --- state ---


def test_lc_09_the_callback_of_another_browsers_login_is_refused(site, server):
    """LC-09: B2 starts and consents; B1 is led to B2's callback, without and with a login of its own under way."""
    b1, b2 = site.browser(), site.browser()
    theirs = server.consent(begin(b2), sub="attacker")
    assert code_of(come_back(b1, theirs)) == (400, "login_not_started")
    own = begin(b1)
    answer = come_back(b1, theirs)
    assert code_of(answer) == (400, "login_not_started")
    assert nothing_happened(b1, answer)
    assert server.calls(TOKEN) == 0
    # Neither login has suffered.
    assert come_back(b1, server.consent(own, sub="victim")).status_code == 303
    assert b1.who() == "victim"
    assert come_back(b2, theirs).status_code == 303
    assert b2.who() == "attacker"


def test_oc_07_a_foreign_code_with_the_victims_own_state_logs_nobody_in(site, server):
    """OC-07: whoever could read the victim's state still lacks the verifier that the code is bound to."""
    attacker, victim = site.browser(), site.browser()
    theirs, own = server.consent(begin(attacker), sub="attacker"), server.consent(begin(victim), sub="victim")
    answer = come_back(victim, {**own, "code": theirs["code"]})
    assert code_of(answer) == (401, "token_rejected")
    assert nothing_happened(victim, answer)
    assert "Max-Age=0" in answer.headers["set-cookie"]


def test_lc_11_two_logins_of_one_browser_do_not_exchange_their_states(site, server):
    """LC-11: the states of two tabs, swapped between their callbacks."""
    browser = site.browser()
    one, two = server.consent(begin(browser), sub="1"), server.consent(begin(browser), sub="2")
    for query in ({**one, "state": two["state"]}, {**two, "state": one["state"]}):
        answer = come_back(browser, query)
        assert code_of(answer) == (401, "token_rejected")
        assert nothing_happened(browser, answer)


def test_two_logins_of_one_browser_end_in_any_order(site, server):
    browser = site.browser()
    one, two = server.consent(begin(browser, "/1"), sub="1"), server.consent(begin(browser, "/2"), sub="2")
    assert come_back(browser, one).headers["location"] == "/1"
    assert browser.who() == "1"
    assert come_back(browser, two).headers["location"] == "/2"
    assert browser.who() == "2"


def test_lc_12_a_callback_without_the_right_state_is_refused_whatever_the_login_began_with(site, server):
    """LC-12: stripped from the callback, or from the authorization request, or empty on both sides (LC-02)."""
    for state in (None, "", "0", "null", "undefined", "x" * 43, "\u00e9" * 43, "x" * 5000):
        browser = site.browser()
        query = server.consent(begin(browser))
        del query["state"]
        answer = come_back(browser, query if state is None else {**query, "state": state})
        assert answer.status_code == 400, state
        assert nothing_happened(browser, answer), state
        assert server.calls(TOKEN) == 0, state


def test_lc_12_what_was_stripped_from_the_authorization_request_is_still_demanded(site, server):
    """LC-12: somebody has taken it out of the address; the server then does not send it back, or does not check it."""
    for stripped in ("state", "code_challenge", "nonce"):
        browser = site.browser()
        location = re.sub(rf"[?&]{stripped}=[^&]*", "", begin(browser).replace("?", "?&", 1))
        server.checks_pkce = stripped != "code_challenge"
        query = server.consent(location)
        answer = come_back(browser, query)
        if stripped == "code_challenge":
            # The server that was never asked cannot check; the verifier is sent all the same, and state holds.
            assert len(server.forms()[0]["code_verifier"]) == 43
        else:
            assert answer.status_code in (400, 401), stripped
            assert nothing_happened(browser, answer), stripped


def test_lc_14_a_login_is_one_shot_after_success_and_after_failure(site, server):
    """LC-14, RP-10: the same state does not count a second time, with the same code or another."""
    browser = site.browser()
    query = server.consent(begin(browser))
    kept = browser.pending()
    assert come_back(browser, query).status_code == 303
    assert come_back(browser, query).headers["location"] == "/"  # signed in: nothing happens
    assert browser.log_out().status_code == 303
    assert code_of(come_back(browser, query)) == (400, "login_not_started")
    browser.carry(kept)
    for again in (query, {**server.consent(begin(site.browser())), "state": query["state"]}):
        answer = come_back(browser, again)
        assert code_of(answer)[1] == "login_not_started"
        assert browser.who() is None
    assert server.calls(TOKEN) == 1

    failing = site.browser()
    query = server.consent(begin(failing))
    assert code_of(come_back(failing, {**query, "code": "not-a-code"})) == (401, "token_rejected")
    assert code_of(come_back(failing, query)) == (400, "login_not_started")


def test_rp_10_a_code_that_was_used_elsewhere_logs_nobody_in(site, browser, server):
    """RP-10: the server says invalid_grant, and the person reads nothing of it."""
    query = server.consent(begin(browser))
    server.asked.pop(query["code"])
    answer = come_back(browser, query)
    assert code_of(answer) == (401, "token_rejected")
    assert "a code" not in answer.text
    assert nothing_happened(browser, answer)


def test_a_login_may_take_ten_minutes_and_no_longer(site, server):
    for seconds, expected in ((599, 303), (601, 400)):
        browser = site.browser()
        query = server.consent(begin(browser))
        site.clock.advance(seconds)
        server.claims = {"exp": int(site.clock()) + 60, "iat": int(site.clock())}
        assert come_back(browser, query).status_code == expected


@pytest.mark.parametrize("edge", ["flask"])
def test_oc_03_states_are_256_bits_and_never_the_same(make_site):
    """OC-03, OC-01: so are verifiers, as their challenges show."""
    site, seen = make_site(), []
    for _ in range(3):
        browser = site.browser()
        seen += [asked(begin(browser)) for _ in range(25)]
        site.clock.advance(60)
    for name in ("state", "nonce", "code_challenge"):
        values = {query[name] for query in seen}
        assert len(values) == len(seen)
        assert all(len(base64.urlsafe_b64decode(value + "=")) == 32 for value in values)
    assert not {query["state"] for query in seen} & {query["nonce"] for query in seen}


# --- PKCE ---


def test_oc_01_pkce_is_s256_and_the_verifier_is_in_the_token_request_only(browser, server, caught):
    """OC-01, SE-13: 43 characters, in no byte for a browser, and in no line of the log, ours or a library's."""
    location = begin(browser)
    (cookie,) = browser.logins().values()
    answer = come_back(browser, server.consent(location))
    form = server.forms()[0]
    verifier, query = form["code_verifier"], asked(location)
    assert re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", verifier)
    assert query["code_challenge_method"] == "S256"
    digest = hashlib.sha256(verifier.encode()).digest()
    assert query["code_challenge"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    everything = [location, str(answer.headers), answer.text, str(browser.cookies())]
    everything += [request.target for request in server.requests if request.call != TOKEN]
    for part in cookie.split("."):
        everything.append(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode("latin-1"))
    assert verifier not in "".join(everything)
    lines = caught()
    assert "login_finished" in lines
    for secret in (verifier, query["state"], query["nonce"], form["code"], "eyJ"):
        assert secret not in lines


def test_oc_01_the_pending_cookie_shows_nothing_of_the_login(browser):
    """OC-01: sealed, not only signed; its parts decode to noise."""
    query = asked(begin(browser, "/where-to-go"))
    (cookie,) = browser.logins().values()
    decoded = b"".join(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in cookie.split("."))
    for known in ("where-to-go", query["state"], query["nonce"], "["):
        assert known.encode() not in decoded or known == "["
    with pytest.raises(ValueError):
        json.loads(base64.urlsafe_b64decode(cookie.split(".")[0] + "=="))


def test_oc_02_state_is_demanded_of_a_server_that_knows_nothing_of_pkce(site, server):
    """OC-02"""
    server.checks_pkce = False
    victim, attacker = site.browser(), site.browser()
    begin(victim)
    theirs = server.consent(begin(attacker), sub="attacker")
    answer = come_back(victim, theirs)
    assert answer.status_code == 400
    assert nothing_happened(victim, answer)


# --- two flows ---


def test_lc_10_a_login_begun_by_one_flow_cannot_end_by_the_other(site, edge, server, make_fx):
    """LC-10: both ways, with everything valid, keys and client the same; also the same cookie by name."""
    fx = make_fx()
    other = Site(edge, fx, cookie_tag=site.config.cookie_tag)
    ours, theirs = site.browser(), other.browser()
    query, token = server.consent(begin(ours)), fx.approve(theirs.start())

    ours_there, theirs_here = other.browser(), site.browser()
    ours_there.carry(ours.pending())
    theirs_here.carry(theirs.pending())
    for browser, there in ((theirs_here, query), (theirs_here, {"token": token}), (ours_there, query)):
        answer = come_back(browser, there)
        assert answer.status_code == 400
        assert nothing_happened(browser, answer)
    # Its token is spent, so that nobody can use it.
    assert code_of(ours_there.come_back(token)) == (400, "login_not_started")
    assert ours_there.who() is None
    assert server.calls(TOKEN) == 0
    assert come_back(ours, query).status_code == 303


def test_sl_08_one_sub_of_two_flows_is_two_people_and_neither_session_is_the_others(site, edge, server, make_fx):
    """SL-08: the issuer is half of everybody's identity, and of every cookie's salt."""
    other = Site(edge, make_fx(), cookie_tag=site.config.cookie_tag)
    ours, theirs = site.browser(), other.browser()
    log_in(ours, server, sub="1")
    theirs.log_in("1")
    people = [browser.get("/xwms/me", PROGRAM).json()["user"] for browser in (ours, theirs)]
    assert [person["sub"] for person in people] == ["1", "1"]
    assert [person["issuer"] for person in people] == [server.issuer, other.fx.api_url]
    moved = other.browser()
    moved.client.cookies.set(site.session_cookie, ours.cookies()[site.session_cookie])
    assert moved.who() is None


def test_a_person_who_is_signed_in_already_is_not_sent_away_again(browser, server):
    log_in(browser, server)
    answer = browser.get(LOGIN, FROM_HERE, params={"next": "/hello"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/hello")


def test_lc_15_a_login_of_another_person_ends_the_session_before_it(site, browser, server):
    """LC-15"""
    query = server.consent(begin(browser), sub="2")
    other = site.browser()
    log_in(other, server, sub="1")
    old = other.cookies()[site.session_cookie]
    browser.client.cookies.set(site.session_cookie, old)
    assert come_back(browser, query).status_code == 303
    assert site.raw("/who", headers=[("Cookie", f"{site.session_cookie}={old}"), *PROGRAM.items()]).status_code == 401
