"""SM-15: two machines of one site whose clocks differ, behind a load balancer that knows nothing of it.

Knows: what a browser that follows every redirect meets, and the log.
Must not: move a clock by a second more than the test is about.
"""

import logging
from collections.abc import Callable
from itertools import cycle
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.stores.conftest import KEY
from tests.tools.places import KINDS
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, LOGIN, ME, PROGRAM, Browser, Site
from xwms_auth.stores.memory import MemoryStore

SUB = "xwms-user-1234"
SKEW, TOLERANCE = 90, 60
MOST = 12  # redirects: browsers give up at twenty

every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def machines(
    make_site: Callable[..., Site], where: Callable[[str], dict[str, Any]]
) -> Callable[..., tuple[Site, Site]]:
    """Two machines over one store: one with the right time, one that is ahead."""

    def made(kind: str, skew: int = SKEW, **more: Any) -> tuple[Site, Site]:
        options = {"session_store": MemoryStore()} if kind == "memory" else where(kind)
        right = make_site(session_secret=KEY, **options, **more)
        ahead = right.restarted(session_secret=KEY, **options, **more)
        ahead.clock.advance(skew)
        return right, ahead

    return made


class Person:
    """A browser whose requests go to one machine after another; at XWMS it approves at once."""

    def __init__(self, *turns: Site) -> None:
        self.browsers = {id(site): site.browser() for site in turns}
        self.turns = cycle(turns)
        self.jar = httpx2.Cookies()
        self.logins = 0

    def get(self, site: Site, url: str, headers: Any = FROM_HERE, **more: Any) -> httpx2.Response:
        browser: Browser = self.browsers[id(site)]
        browser.client.cookies = self.jar
        answer = browser.get(url, headers, **more)
        self.jar = browser.client.cookies
        return answer

    def open(self, path: str) -> httpx2.Response:
        """Open a page and follow every redirect, each at the machine whose turn it is."""
        answer = self.get(next(self.turns), path)
        for _ in range(MOST):
            if answer.status_code not in (302, 303):
                return answer
            location = answer.headers["location"]
            site = next(self.turns)
            if location.startswith("/"):
                answer = self.get(site, location)
            else:
                self.logins += 1
                token = site.fx.approve(urlsplit(location).path.rpartition("/")[2], sub=SUB)
                answer = self.get(site, CALLBACK, FROM_ELSEWHERE, params={"token": token})
        raise AssertionError("the browser is sent in circles")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "session_from_the_future" in record.getMessage()]


@every_kind
def test_a_session_from_the_future_reads_as_signed_out_and_one_line_names_the_seconds(machines, kind, caplog):
    """SM-15: public pages work, a page for members asks for a login, and one more minute mends it."""
    right, ahead = machines(kind)
    person = Person(right, ahead)
    browser = person.browsers[id(ahead)]
    browser.client.cookies = person.jar
    browser.log_in(SUB)
    person.jar = browser.client.cookies
    assert person.get(ahead, "/who").text == SUB
    assert person.get(right, "/").text == "home"
    assert warnings(caplog) == [] or right.edge == "asgi"  # which looks at once
    for _ in range(3):
        page = person.get(right, "/hello")
        assert (page.status_code, page.text) == (200, "hello nobody")
    assert person.get(right, ME, PROGRAM).json()["user"] is None
    refused = person.get(right, "/who")
    assert (refused.status_code, refused.headers["location"]) == (302, f"{LOGIN}?next=/who")
    (line,) = warnings(caplog)
    assert f"seconds={SKEW} " in line
    for site in (right, ahead):
        site.clock.advance(SKEW - TOLERANCE)
    assert person.get(right, "/who").text == SUB


TURNS = [
    (0, 1),  # one after the other
    (1, 0),
    (0, 1, 1),
    (0, 0, 1),
    (0, 1, 0, 1, 1, 0, 0, 1),
]


@every_kind
def test_nobody_is_sent_in_circles_wherever_each_request_goes(machines, kind):
    """SM-15: they see the page, or why they do not; and never log in more than twice for it."""
    for turns in TURNS:
        both = machines(kind)
        person = Person(*(both[turn] for turn in turns))
        codes = set()
        for _ in range(6):
            answer = person.open("/who")
            codes.add(answer.status_code)
            if answer.status_code == 200:
                assert answer.text == SUB
            else:
                assert answer.status_code == 503, answer.text
                assert "clock_skew" in answer.text
                assert int(answer.headers["retry-after"]) > 0
        assert person.logins <= 12, turns
        assert codes <= {200, 503}, turns


@every_kind
@pytest.mark.parametrize("skew", [SKEW, 240])
def test_a_login_that_would_be_refused_again_ends_at_a_page(machines, kind, skew):
    """SM-15: every login comes to the machine that is ahead, and every page to the other one."""
    right, ahead = machines(kind, skew)

    def visit(person: Person) -> httpx2.Response:
        """A page, where the login and its callback are at the other machine."""
        answer = person.get(right, "/who")
        if answer.status_code != 302:
            return answer
        started = person.get(ahead, answer.headers["location"])
        if started.status_code == 302:
            token = right.fx.approve(urlsplit(started.headers["location"]).path.rpartition("/")[2], sub=SUB)
            assert person.get(ahead, CALLBACK, FROM_ELSEWHERE, params={"token": token}).status_code == 303
        else:
            assert started.headers["location"] == "/who"
        return person.get(right, "/who")

    person = Person(right, ahead)
    answer = visit(person)  # the first session: refused for the first time
    assert (answer.status_code, answer.headers["location"]) == (302, f"{LOGIN}?next=/who")
    refused = visit(person)
    assert refused.status_code == 503
    assert "clock_skew" in refused.text
    assert f'href="{LOGIN}?next=/who"' in refused.text
    document = person.get(right, "/who", PROGRAM)
    assert (document.status_code, document.json()["code"]) == (503, "clock_skew")
    # Everything else works.
    assert person.get(right, "/hello").text == "hello nobody"
    assert person.get(ahead, "/who").text == SUB
    for site in (right, ahead):
        site.clock.advance(skew - TOLERANCE)
    assert person.get(right, "/who").text == SUB


def test_a_clock_that_was_set_back_costs_one_login(machines):
    """SM-15: the machine was ahead, and is right now. Nobody sees anything but a login."""
    right, ahead = machines("cookie")
    person = Person(ahead)
    assert person.open("/who").text == SUB
    now = Person(right)
    now.jar = person.jar
    assert now.open("/who").text == SUB
    assert now.logins == 1


def test_a_callback_before_its_login_began_says_why(machines):
    """SM-15: the pending login is from the future too, and its cookie is no stranger's."""
    right, ahead = machines("cookie")
    person = Person(right, ahead)
    started = person.get(ahead, LOGIN)
    token = right.fx.approve(urlsplit(started.headers["location"]).path.rpartition("/")[2], sub=SUB)
    answer = person.get(right, CALLBACK, FROM_ELSEWHERE, params={"token": token})
    assert answer.status_code == 503
    assert "clock_skew" in answer.text
    assert person.get(right, ME, PROGRAM).json()["user"] is None


def test_the_note_of_a_refusal_lets_nobody_in_and_keeps_nobody_out(site, browser):
    """SM-15: it is a plain cookie, which a sibling site may set."""
    name = site.session_cookie.replace("session", "ahead")
    browser.carry(f"{name}={'i' * 43}")
    assert browser.who() is None
    browser.log_in(SUB)
    assert browser.who() == SUB
    site.clock.advance(-61)
    assert browser.get("/private").status_code == 503
    site.clock.advance(61)
    assert browser.get("/private").text == SUB


def test_the_log_has_nothing_but_the_seconds_and_a_hash(site, browser, caplog):
    caplog.set_level(logging.DEBUG)
    browser.log_in(SUB)
    site.clock.advance(-1000)
    assert browser.who() is None
    (line,) = warnings(caplog)
    assert SUB not in line
    assert browser.cookies()[site.session_cookie] not in line
