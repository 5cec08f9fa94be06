"""One person's login never becomes another's, in two operating-system processes of one application.

The stories, and a table of them, are in two_processes.py; here they have to end well, on both doors and in every store.

Knows: what each story promises.
Must not: let a process share anything that its settings do not name.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime, timedelta
from itertools import cycle, product
from threading import Barrier
from urllib.parse import urlencode

import pytest

from tests.attacks import two_processes as stories
from tests.attacks.real_servers import Answer
from tests.attacks.two_processes import EDGES, MODES, SHARED, STORES, App, Ending, Story, Town, happens, town
from tests.attacks.visitors import CALLBACK, LOGIN, Visitor, token_of
from tests.oauth2.fake_as import FakeAS
from tests.tools.faults import changed
from tests.tools.redis_server import RedisServer
from tests.tools.site import FROM_HERE, Site

PERSON = "xwms-user-1234"
TABS = 8
OWN_STARTS, CROSS_SITE_STARTS = 5, 10
HOUR = 3600  # seconds a token is remembered
CLICKED = {**FROM_HERE, "Sec-Fetch-User": "?1"}


@pytest.fixture(scope="module")
def here(redis_of_the_run: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with town(tmp_path_factory.mktemp("town"), redis_of_the_run.url) as place:
        yield place
        assert "Traceback" not in place.processes.log.read_text()


@pytest.fixture(scope="module")
def authorization_server() -> Iterator[FakeAS]:
    with FakeAS() as server:
        yield server


Case = tuple[str, str, str]
"""Door, mode, store."""


def cases(story: Story, *, each_door: bool = False) -> Iterator[Case]:
    """Of each mode in each store in which something is promised every second, at one door and the other in turn.

    With `each_door` all of them at both. `python -m tests.attacks.two_processes`, a part of `make nightly`, tells every
    story in every case.
    """
    promised = [pair for pair in product(MODES, STORES) if happens(story, *pair)]
    for number, (mode, store) in enumerate(promised):
        if each_door:
            yield from ((edge, mode, store) for edge in EDGES)
        elif number % 2 == len(story.__name__) % 2:
            yield EDGES[number // 2 % 2], mode, store


def assert_held(here: Town, story: Story, told: Iterable[Case], *, numbers: Sequence[int] = (0, 1)) -> None:
    """The story ends well in each of these cases."""
    endings = {case: story(here.app(*case, numbers=numbers)) for case in told}
    assert endings
    assert {case: ending for case, ending in endings.items() if ending != HELD} == {}


HELD = Ending(attacker=None, sent=True)


# --- the attacks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "story",
    [
        stories.early_try,
        stories.early_try_of_ones_own,
        stories.both_have_logins,
        stories.both_have_logins_and_the_victims_tried,
        stories.both_have_logins_and_the_token_is_unknown,
    ],
)
def test_what_was_tried_early_is_spent_when_the_victim_brings_it(here, story):
    """SM-19: "tried here" is not "spent": another process has not seen the try."""
    assert_held(here, story, cases(story))


def test_a_restart_forgets_no_token_that_a_victim_brought(here):
    """SM-19: a restarted process is another one."""
    told = list(cases(stories.early_try))
    apps = [here.app(*case, numbers=(2, 3)) for case in told]
    endings = dict(zip(told, stories.early_try_before_a_restart(apps), strict=True))
    assert endings == dict.fromkeys(told, HELD)


@pytest.mark.parametrize("story", [stories.in_a_frame, stories.in_a_frame_after_an_early_try])
def test_what_a_frame_brings_is_spent_as_well(here, story):
    """SM-20: the frame gets nothing, and neither does the attacker at the other process."""
    assert_held(here, story, cases(story))


@pytest.mark.parametrize(
    "story",
    [stories.held_refusal, stories.held_refusal_of_ones_own, stories.held_refusal_in_the_victims_browser],
)
def test_a_refusal_under_way_keeps_no_token_from_being_spent(here, story):
    """SM-21: nothing that is under way stops a spending."""
    assert_held(here, story, cases(story))


@pytest.mark.parametrize("story", [stories.polls, stories.polls_with_other_logins, stories.polls_at_the_other_process])
def test_who_polls_before_the_approval_gets_nothing_after_it(here, story):
    """SM-22: a token has one try at being redeemed, and XWMS's refusal does not give it back."""
    assert_held(here, story, cases(story))


def test_nobody_is_brought_into_somebody_elses_session_without_having_said_yes(here):
    """The other direction: a victim whose login is under way opens the address of the attacker's finished login."""
    story = stories.somebody_elses_session
    assert_held(here, story, cases(story, each_door=True))


@pytest.mark.parametrize("story", [*stories.ONE_PROCESS, stories.held_refusal_in_the_victims_browser])
def test_the_same_holds_in_one_process(here, story):
    """SM-19, SM-20, SM-21: the plausible mend, in which a try under way keeps the token, opened even this."""
    told = (case for case in cases(story, each_door=True) if case[2] == "cookie")
    assert_held(here, story, told, numbers=(0, 0))


def test_a_used_token_stays_used_when_it_is_no_longer_known_as_issued(edge, make_fx):
    """SM-11: the mark that it was issued ends an hour after the start; the mark of a try lives an hour from the try."""
    site = Site(edge, make_fx(), callback_token="either")
    # The fake XWMS has no clock that a test could move.
    later = datetime.now(UTC) + timedelta(seconds=2 * HOUR)
    site.fx.answer("sign-token", changed(expires_at=later.isoformat()))
    attackers = [site.browser() for _ in range(3)]
    token = attackers[0].start(headers=CLICKED)
    site.clock.advance(HOUR - 1)
    attackers[1].start(headers=CLICKED)
    assert attackers[1].come_back(token).status_code == 401
    site.clock.advance(2)
    # What has had its time makes room for what is new, as what is oldest does where there are too many.
    for _ in range(3):
        site.browser().start(headers=CLICKED)
    attackers[2].start(headers=CLICKED)
    site.fx.approve(token, sub="victim")
    attackers[2].come_back(token)
    assert attackers[2].who() is None


# --- everybody else comes home ---------------------------------------------------------------------------------------


def all_at_once(asked: Sequence[Callable[[], Answer]]) -> list[tuple[int, Answer]]:
    """Each in a thread of its own, all of them sent at one moment; number and answer, in the order of the answers."""
    together = Barrier(len(asked))

    def send(one: Callable[[], Answer]) -> Answer:
        together.wait()
        return one()

    with ThreadPoolExecutor(len(asked)) as threads:
        waiting = {threads.submit(send, one): number for number, one in enumerate(asked)}
        return [(waiting[done], done.result()) for done in as_completed(waiting)]


def at_once(browser: Visitor, targets: Sequence[str], *, site: str, shift: int = 0) -> list[Answer]:
    """The browser opens all these addresses with the cookies that it has now, and keeps what it is given."""
    jar, processes = dict(browser.jar), len(browser.doors)

    def tab(number: int, target: str) -> Callable[[], Answer]:
        return lambda: Visitor(browser.doors, dict(jar)).open((number + shift) % processes, target, site=site)

    answers = all_at_once([tab(number, target) for number, target in enumerate(targets)])
    for _, answer in answers:
        browser.keep(answer)
    return [answer for _, answer in sorted(answers, key=lambda numbered: numbered[0])]


def callback_of(app: App, location: str, *, sub: str = PERSON) -> str:
    """The person approves at this address at XWMS; where that sends the browser."""
    if isinstance(app.fx, FakeAS):
        return f"{CALLBACK}?{urlencode(app.fx.consent(location, sub=sub))}"
    return f"{CALLBACK}?{urlencode({'token': app.fx.approve(token_of(location), sub=sub)})}"


WAYS = (*MODES, "oauth2")


def app_for(here: Town, server: FakeAS, edge: str, way: str, store: str, numbers: Sequence[int]) -> App:
    return here.app(edge, way, store, numbers=numbers, fx=server if way == "oauth2" else None)


PLACES = (((0,), "cookie"), ((0, 1, 2, 3), "cookie"), ((0, 1, 2, 3), "sqlite"), ((0, 1, 2, 3), "redis"))
"""Numbers of processes, and the store that they share."""


@pytest.mark.parametrize("way", WAYS)
def test_eight_tabs_that_start_at_once_all_come_home(here, authorization_server, subtests, way):
    """SM-09: a browser is restarted, and every tab of it wants to log in."""
    for at, (numbers, store) in enumerate(PLACES, start=WAYS.index(way)):
        # At one door and the other in turn, and at the other first in the next way.
        edge = EDGES[at % 2]
        with subtests.test(edge=edge, processes=len(numbers), store=store):
            app = app_for(here, authorization_server, edge, way, store, numbers)
            browser = app.visitor()
            places = [f"/private?tab={number}" for number in range(TABS)]
            started = at_once(browser, [f"{LOGIN}?{urlencode({'next': place})}" for place in places], site="none")
            assert [answer.status for answer in started] == [302] * TABS
            homeward = [callback_of(app, answer.all("location")[0]) for answer in started]
            finished = at_once(browser, homeward, site="cross-site", shift=1)
            assert [answer.status for answer in finished] == [303] * TABS
            reached = [answer.all("location")[0] for answer in finished]
            if way != "fresh":
                assert reached == places
            elif len(numbers) == 1 or store in SHARED:
                # Nothing can tell the tabs apart, but each login is used once.
                assert sorted(reached) == places
            else:
                assert set(reached) <= set(places)
            assert browser.who() == PERSON


def test_starts_that_other_sites_cause_evict_nobodys_own_login(here, authorization_server, subtests):
    """SM-10: also the oldest of several own ones comes home, at another process."""
    for edge, way in zip(cycle(EDGES), WAYS):
        with subtests.test(edge=edge, way=way):
            app = app_for(here, authorization_server, edge, way, "cookie", (0, 1))
            browser = app.visitor()
            location = browser.start(0, target="/private?tab=0")
            for number in range(1, OWN_STARTS):
                browser.start(0, target=f"/private?tab={number}")
            for _ in range(CROSS_SITE_STARTS):
                assert browser.open(0, LOGIN, site="cross-site", clicked=False).status in (200, 302)
            finished = browser.open(1, callback_of(app, location), site="cross-site")
            assert finished.status == 303
            # A fresh token counts for the newest login that began here.
            assert finished.all("location") == [f"/private?tab={OWN_STARTS - 1 if way == 'fresh' else 0}"]
            assert browser.who() == PERSON
