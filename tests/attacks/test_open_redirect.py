"""OR-01 to OR-08 and OR-14 over HTTP: nothing that a visitor says sends a browser to a place of their choice.

Judged is what leaves: the bytes of the Location header. The rule itself, without HTTP: tests/http/test_next_url.py.
What XWMS says: test_login_page_address.py.
"""

import re
from collections.abc import Iterator
from html import unescape
from itertools import chain, islice, product
from urllib.parse import quote

import httpx2
import pytest

from tests.attacks import forge
from tests.corpus.next_targets import DOUBTFUL, GOOD, HOSTILE
from tests.corpus.tokens import PLAUSIBLE
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, LOGIN, LOGOUT, NAVIGATION, PROGRAM, Browser, Site

WELCOME, BYE = "/welcome", "/bye"
LONGEST_URL = 60_000  # what the client of these tests sends; longer ones go out raw


@pytest.fixture
def landing(make_site) -> Site:
    """A site whose fallbacks can be told from any `next`."""
    return make_site(after_login=WELCOME, after_logout=BYE)


def asked(path: str, value: str) -> str:
    """The address of a route with this `next`, encoded once. A lone surrogate goes out as the bytes it would be."""
    return f"{path}?next={quote(value.encode('utf-8', 'surrogatepass'), safe='')}"


def hostile() -> Iterator[str]:
    """All hostile values that the client of these tests sends."""
    for family in HOSTILE.values():
        yield from (value for value in family if len(value) < LONGEST_URL)


def by_turns(site: Site) -> Iterator[str]:
    """Every other one of them, so that the two edges together have had all."""
    return islice(hostile(), int(site.edge == "asgi"), None, 2)


def location(answer: httpx2.Response, status: int = 303) -> str:
    """The one Location of a redirect without a body (OR-14)."""
    assert (answer.status_code, answer.content) == (status, b""), answer.text[:200]
    (value,) = [value for name, value in answer.headers.raw if name.lower() == b"location"]
    return value.decode("ascii")


def action(page: httpx2.Response) -> str:
    """Where the confirmation page's form leads."""
    assert page.status_code == 200
    (found,) = re.findall(r'action="([^"]*)"', page.text)
    return unescape(found)


def strays(place: str) -> bool:
    """Whether a Location could leave this origin, or do anything else that a path must not."""
    bad_start = not place.startswith("/") or place.startswith(("//", "/\\"))
    return bad_start or "\\" in place or any(not "!" <= char <= "~" for char in place)


def at_the_callback(browser: Browser, value: str) -> str:
    """The whole login with this `next`; where it ends."""
    started = browser.get(asked(LOGIN, value))
    sent_to = location(started, 302)
    assert sent_to.startswith(f"{browser.site.fx.url}/sign-in/")
    answer = browser.come_back(browser.site.fx.approve(sent_to.rpartition("/")[2]))
    browser.client.cookies.clear()
    return location(answer)


def at_the_confirmation(browser: Browser, value: str) -> str:
    """Where a login started elsewhere would come back to, as its page says."""
    leads = action(browser.get(asked(LOGIN, value), FROM_ELSEWHERE))
    assert leads.startswith(f"{LOGIN}?next=")
    return leads.removeprefix(f"{LOGIN}?next=")


def at_the_start(browser: Browser, value: str) -> str:
    """Where somebody who is signed in already is sent."""
    return location(browser.get(asked(LOGIN, value)))


def at_the_logout(browser: Browser, value: str) -> str:
    return location(browser.post(asked(LOGOUT, value)))


# --- `next` ----------------------------------------------------------------------------------------------------------


def test_or_01_a_hostile_next_at_the_start_ends_at_after_login(landing):
    """OR-01, OR-03, OR-07, OR-13: the whole login, for every value of the corpus, at one edge and the other in turn.

    How each edge reads every one of them is shown where somebody is signed in or logs out, in fewer requests.
    """
    browser = landing.browser()
    ends = {}
    for value in by_turns(landing):
        landing.clock.advance(1)
        ends[value] = at_the_callback(browser, value)
    assert {value: end for value, end in ends.items() if end != WELCOME} == {}


def test_or_03_a_hostile_next_is_not_in_the_confirmation(landing):
    """OR-03: the page and what its button does."""
    browser = landing.browser()
    ends = {value: at_the_confirmation(browser, value) for value in by_turns(landing)}
    assert {value: end for value, end in ends.items() if end != WELCOME} == {}
    assert landing.fx.requests == []


def test_or_03_a_hostile_next_of_somebody_signed_in_leads_to_after_login(landing):
    """OR-03"""
    browser = landing.browser()
    browser.log_in()
    ends = {value: at_the_start(browser, value) for value in hostile()}
    assert {value: end for value, end in ends.items() if end != WELCOME} == {}


def test_or_03_a_hostile_next_of_a_logout_leads_to_after_logout(landing):
    """OR-03, LO-05"""
    browser = landing.browser()
    ends = {value: at_the_logout(browser, value) for value in hostile()}
    assert {value: end for value, end in ends.items() if end != BYE} == {}


def test_or_03_a_hostile_next_on_an_error_page_is_not_where_it_leads(landing):
    """OR-03: a refused callback offers to start again."""
    browser = landing.browser()
    for value in by_turns(landing):
        page = browser.get(asked(CALLBACK, value), NAVIGATION)
        assert page.status_code == 400, value
        links = {unescape(link) for link in re.findall(r'href="([^"]*)"', page.text)}
        assert links <= {LOGIN, BYE}, (value, links)


def test_or_02_a_raw_hostile_query_never_strays(landing):
    """OR-02, OR-07, OR-13: not encoded at all, as only a raw request can be; `next` decodes to something else then."""
    cookie = cookie_of_somebody(landing)
    for value in chain.from_iterable(HOSTILE.values()):
        raw = value.encode("utf-8", "surrogatepass").decode("latin-1")
        answer = landing.raw(LOGIN, query=f"next={raw}", headers=[*FROM_HERE.items(), ("Cookie", cookie)])
        assert not strays(location(answer)), value


def cookie_of_somebody(site: Site) -> str:
    browser = site.browser()
    browser.log_in()
    return f"{site.session_cookie}={browser.cookies()[site.session_cookie]}"


def test_or_01_an_honest_next_is_where_everything_ends(landing):
    """OR-07: decoded once and emitted as it came, the same bytes at every place."""
    nobody, somebody = landing.browser(), landing.browser()
    # Pages that ask for a click come first: a login that ends well teaches the site that they are not needed.
    for value, _ in GOOD:
        landing.clock.advance(1)
        assert location(nobody.post(action(nobody.get(asked(LOGIN, value), FROM_ELSEWHERE))), 302)
        nobody.client.cookies.clear()
    somebody.log_in()
    for value, expected in GOOD:
        landing.clock.advance(1)
        assert at_the_callback(nobody, value) == expected
        assert at_the_logout(nobody, value) == expected
        assert at_the_start(somebody, value) == expected


def test_or_01_a_doubtful_next_stays_on_this_origin_everywhere(landing):
    """OR-01, OR-02, OR-13"""
    somebody, nobody = landing.browser(), landing.browser()
    somebody.log_in()
    for value in DOUBTFUL:
        landing.clock.advance(1)
        ends = {at_the_callback(nobody, value), at_the_logout(nobody, value), at_the_start(somebody, value)}
        assert not any(strays(end) for end in ends), value
        assert len(ends - {WELCOME, BYE}) <= 1, value


def test_or_03_two_nexts_are_none_and_only_next_is_next(landing):
    """OR-03: frameworks disagree on which of two counts."""
    browser = landing.browser()
    twice = ("next=/a&next=/b", "next=/a&next=//evil.example", "next=//evil.example&next=/a")
    for query in (*twice, "NEXT=/a", "next[]=/a", "return_to=/a", "url=/a", "redirect=/a", "next;=/a", ""):
        assert location(browser.post(f"{LOGOUT}?{query}")) == BYE, query


def test_or_03_a_next_in_a_form_or_a_header_is_not_looked_for(landing):
    """OR-03: one place to read it from means one place to check it."""
    browser = landing.browser()
    for name in ("X-Next", "X-Return-To", "X-Redirect", "Location"):
        assert location(browser.post(LOGOUT, {**FROM_HERE, name: "/hello"})) == BYE, name
    browser.log_in()
    for path, end in ((LOGIN, WELCOME), (LOGOUT, BYE)):
        assert location(browser.post(path, data={"next": "/hello"})) == end


def test_or_13_a_thousand_parameters_are_no_next(landing):
    """OR-13: the parser gives up, the answer does not."""
    query = "&".join(f"a{number}=b" for number in range(1_000)) + "&next=/hello"
    assert location(landing.browser().post(f"{LOGOUT}?{query}")) == BYE


def test_or_04_a_signed_pending_login_is_judged_again_where_it_ends(landing):
    """OR-04: a cookie of an older version with a laxer rule, or of somebody who has the key."""
    hostile_ones = ("//evil.example", "https://evil.example/", "/\\evil.example", "/\t/a", "/xwms/auth")
    for number, value in enumerate(hostile_ones):
        token = landing.fx.approve()
        pending = forge.pending(landing, token, next=value, id=f"a-login-number-{number}")
        cookie = forge.login_cookie(landing, pending)
        answer = landing.raw(CALLBACK, query=f"token={token}", headers=[("Cookie", cookie)])
        assert location(answer) == WELCOME, value


def test_or_04_a_signed_pending_login_with_a_bad_next_and_a_bad_token_is_refused_without_a_crash(landing):
    """OR-04: the way out that offers to start again."""
    bad_ones = ("//evil.example", "/\ud800", "/" + "a" * 3_000, "javascript:alert(1)", "")
    for number, value in enumerate(bad_ones):
        token = f"{PLAUSIBLE}{number}"
        pending = forge.pending(landing, token, next=value, id=f"a-login-number-{number}")
        for reader in (NAVIGATION, PROGRAM):
            headers = [*reader.items(), ("Cookie", forge.login_cookie(landing, pending))]
            answer = landing.raw(CALLBACK, query=f"token={token}", headers=headers)
            assert answer.status_code == 401, value
            assert not any(strays(unescape(link)) for link in re.findall(r'href="([^"]*)"', answer.text)), value


def test_or_05_where_somebody_comes_from_is_never_where_they_are_sent(landing):
    """OR-05: neither Referer nor Origin, neither hostile nor our own."""
    browser = landing.browser()
    for referer in ("https://evil.example/", "https://app.example/hello", "//evil.example", "/hello"):
        for name in ("Referer", "Origin"):
            started = browser.get(LOGIN, {**FROM_HERE, name: referer})
            answer = browser.come_back(landing.fx.approve(location(started, 302).rpartition("/")[2]))
            assert location(answer) == WELCOME, (name, referer)
            browser.client.cookies.clear()


def test_or_06_no_next_makes_a_loop(landing):
    """OR-06: signed in or not, at most three hops of our own."""
    nobody, somebody = landing.browser(), landing.browser()
    somebody.log_in()
    for start in HOSTILE["self-reference"]:
        landing.clock.advance(1)
        for browser in (nobody, somebody):
            place: str | None = asked(LOGIN, start)
            hops = 0
            while place is not None and place.startswith("/"):
                answer = browser.get(place)
                place = answer.headers.get("location")
                hops += 1
                assert hops <= 3, start


# --- other ways to a Location ----------------------------------------------------------------------------------------


TIDIED = (
    f"/{LOGIN}",
    f"//{LOGIN}",
    f"{LOGIN}/",
    f"{LOGIN}//",
    f"/{CALLBACK}",
    f"{CALLBACK}/",
    CALLBACK.replace("/xwms/", "/xwms//"),
    CALLBACK.replace("/xwms/", "/xwms/./"),
    "//evil.example/..",
    "//evil.example/../xwms/auth",
    "//evil.example/private",
    "/\\evil.example/private",
    "//private",
)


@pytest.mark.leaks("whatever is in the query of a page of the application's goes along where that page is")
def test_or_08_no_framework_tidies_a_slash_with_a_token_in_hand(landing, subtests):
    """OR-08: Werkzeug's and Starlette's slash redirects copy the query, and some make `//host` of a path."""
    for path, query in product(TIDIED, ("", f"token={PLAUSIBLE}", "next=//evil.example")):
        with subtests.test(path=path, query=query):
            landing.clock.advance(1)
            answer = landing.raw(path, query=query, headers=list(FROM_HERE.items()))
            place = answer.headers.get("location", "/")
            assert not strays(place) or place.startswith(landing.fx.url)
            assert place.partition("?")[0] in ("/", LOGIN, "/private") or place.startswith(landing.fx.url)
            assert PLAUSIBLE not in place.partition("?")[0]
            assert not (PLAUSIBLE in place and place.startswith(CALLBACK))
            assert answer.status_code < 500


def test_or_14_every_redirect_of_the_package_is_empty(landing):
    """OR-14: nothing to reflect a payload in, on the seven ways to one."""
    payload = "/a?b=<svg/onload=alert(1)>"
    browser = landing.browser()
    shown = [browser.get("/private?<svg/onload=alert(1)>")]
    page = browser.get(asked(LOGIN, payload), FROM_ELSEWHERE)
    confirmed = browser.post(action(page))
    shown.append(confirmed)
    token = landing.fx.approve(confirmed.headers["location"].rpartition("/")[2])
    shown += [browser.come_back(token), browser.come_back(token), browser.get(asked(LOGIN, payload))]
    shown += [browser.post(asked(LOGOUT, payload)), browser.get(asked(LOGIN, payload))]
    assert [answer.status_code for answer in shown] == [302, 302, 303, 303, 303, 303, 302]
    for answer in shown:
        assert answer.content == b""
        assert answer.headers["content-length"] == "0"
        assert "<" not in answer.headers["location"]
