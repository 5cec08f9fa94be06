"""Asking XWMS again about somebody who is signed in: only a clear no ends a session, and nobody is asked twice."""

import asyncio
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from tests.statements.story import copied
from tests.statements.story import told as told_story
from tests.tools.fake_xwms import CANARY, person
from tests.tools.faults import FAULTS, Reply, envelope, refusal
from tests.tools.places import KINDS, SERVERS, SHARED
from tests.tools.session_pages import enter, given, outside, with_pages
from tests.tools.site import ME, PROGRAM, Site, alive
from xwms_auth import StoreUnavailable
from xwms_auth.stores.memory import MemoryStore

SUB = "xwms-user-1234"
CALL = "get/user/info"
EVERY, PAUSE = 120, 60

# Each kind on one edge, and on the other those that answer at once and those that are waited for.
every_kind = pytest.mark.parametrize(
    ("edge", "kind"), [*(("flask", kind) for kind in KINDS), ("asgi", "cookie"), ("asgi", "sqlite")]
)


def known(**claims: object) -> Reply:
    """XWMS still knows this person; claims may be given as they are now."""
    return envelope({"user": {**person(SUB), **claims}})


@pytest.fixture
def make(make_site, where):
    """A site that asks again every two minutes, and one browser that is signed in there."""

    def made(kind: str = "memory", **more: Any):
        site = with_pages(make_site(recheck=EVERY, **where(kind), **more))
        browser = site.browser()
        browser.log_in()
        site.fx.answer(CALL, known())
        return site, browser

    return made


# when


def test_nobody_asks_unless_told_to(make_site):
    site = with_pages(make_site())
    browser = site.browser()
    browser.log_in()
    for _ in range(50):
        site.clock.advance(3600)
        assert browser.who() == SUB
    assert site.fx.calls(CALL) == 0


@every_kind
def test_xwms_is_asked_once_each_time_it_is_due(make, kind):
    site, browser = make(kind)
    for round_ in range(3):
        site.clock.advance(EVERY - 1)
        assert browser.who() == SUB
        assert site.fx.calls(CALL) == round_
        site.clock.advance(1)
        for _ in range(5):
            assert browser.who() == SUB
        assert site.fx.calls(CALL) == round_ + 1
    asked = site.fx.to(CALL)[0]
    assert (asked.method, asked.json["sub"], asked.all("X-Client-Secret")) == ("POST", SUB, [CANARY])


def test_a_session_that_is_not_used_is_not_asked_about(make):
    """Nor for pages that do not ask, for polling, or for starting a login."""
    site, browser = make()
    site.clock.advance(EVERY)
    for path in (ME, "/xwms/auth"):
        browser.get(path)
    if site.edge == "flask":  # ASGI reads the session with the request, so every page of the application counts
        browser.get("/")
    assert site.fx.calls(CALL) == 0


def test_every_session_is_asked_about_by_itself(make):
    site, browser = make()
    second = site.browser()
    second.log_in()
    site.clock.advance(EVERY)
    assert (browser.who(), second.who(), browser.who(), second.who()) == (SUB,) * 4
    assert site.fx.calls(CALL) == 2


@every_kind
def test_requests_that_come_meanwhile_neither_ask_nor_wait(make, kind):
    site, browser = make(kind)
    cookie = browser.cookies()[site.session_cookie]
    site.clock.advance(EVERY)
    headers = [*PROGRAM.items(), ("Cookie", f"{site.session_cookie}={cookie}")]
    with ThreadPoolExecutor(1) as thread, site.fx.hold(CALL) as gate:
        first = thread.submit(site.raw, "/who", headers=headers)
        site.fx.wait_for_calls(CALL)
        assert [site.raw("/who", headers=headers).text for _ in range(5)] == [SUB] * 5
        gate.set()
        assert first.result().text == SUB
    assert site.fx.calls(CALL) == 1


# a clear no

NOES = {
    "not approved": (403, "The user has not approved this scope."),
    "approval withdrawn": (403, "The user revoked the approval."),
    "a bare 403": (403, ""),
    "unknown person": (404, "The user is not known."),
    "a bare 404": (404, ""),
    "client disabled": (403, "The client is disabled."),
    "client deleted": (401, "the client ID is not known"),
}


def test_a_clear_no_ends_the_session(make, caplog, subtests):
    for name, no in NOES.items():
        with subtests.test(name):
            site, browser = make()  # XWMS's tokens expire in real time, so nobody logs in after many rounds
            caplog.clear()
            site.fx.answer(CALL, refusal(*no))
            site.clock.advance(EVERY - 1)
            assert browser.who() == SUB
            assert site.fx.calls(CALL) == 0
            site.clock.advance(1)
            problem = browser.get("/who", PROGRAM)
            assert (problem.status_code, problem.json()["reason"]) == (401, "access_withdrawn")
            assert "session_ended person=" in caplog.text
            assert "reason=access_withdrawn" in caplog.text
            assert SUB not in caplog.text
            site.fx.answer(CALL, known())
            assert browser.who() is None  # and it stays ended
            assert site.fx.calls(CALL) == 1
            browser.log_in()
            assert browser.who() == SUB


@every_kind
def test_a_withdrawn_session_is_over_for_every_copy_of_its_cookie(make, where, kind):
    site, browser = make(kind)
    cookie = browser.cookies()[site.session_cookie]
    site.fx.answer(CALL, refusal(*NOES["not approved"]))
    site.clock.advance(EVERY)
    assert browser.who() is None
    site.fx.answer(CALL, known())
    assert given(site, cookie).who() is None
    if kind not in ("cookie", "memory"):
        other = with_pages(site.restarted(recheck=EVERY, **where(kind)))
        assert given(other, cookie).who() is None
        if kind in SHARED:
            assert given(other, cookie).get(ME, PROGRAM).json()["signed_out"] == "access_withdrawn"
    if kind in SERVERS:
        assert outside(site, lambda sessions: sessions.list(SUB)) == ()


def test_by_policy_a_clear_no_is_a_warning_only(make, caplog, subtests):
    site, browser = make(recheck_policy="keep")
    for name, no in NOES.items():
        with subtests.test(name):
            caplog.clear()
            before = site.fx.calls(CALL)
            site.fx.answer(CALL, refusal(*no))
            site.clock.advance(EVERY)
            assert [browser.who() for _ in range(5)] == [SUB] * 5
            assert site.fx.calls(CALL) == before + 1
            warned = [one for one in caplog.records if one.levelno == logging.WARNING]
            assert [one.getMessage().split()[0] for one in warned] == ["session_kept"]
            site.clock.advance(EVERY - 1)
            assert browser.who() == SUB
            assert site.fx.calls(CALL) == before + 1  # it counts as asked
            site.clock.advance(1)
            assert browser.who() == SUB
            assert site.fx.calls(CALL) == before + 2


# cannot tell

DOUBTS = {
    "wrong secret": refusal(401, "The client secret is not valid."),
    "expired secret": refusal(401, "The secret has expired."),
    "a bare 401": refusal(401, ""),
    "wrong domain": refusal(403, "The domain is not active."),
    "server address": refusal(403, "The server IP is not allowed."),
    "500": refusal(500, "Server error."),
    "429": refusal(429, "Too many requests."),
    "422": refusal(422, "The sub is required."),
    "route gone": refusal(404, "The route api/get/user/info could not be found."),
    "firewall": refusal(403, "Request blocked."),
    "too many": refusal(403, "Too many calls."),
    "http": refusal(403, "HTTPS required."),
    "maintenance": refusal(400, "Maintenance: this service is disabled."),
    "200 but error": refusal(200, "Something went wrong."),
    "404 html": Reply(status=404, body=b"<h1>Not found", headers={"Content-Type": "text/html"}),
    "403 html": Reply(status=403, body=b"<h1>Forbidden", headers={"Content-Type": "text/html"}),
    "404 without our envelope": Reply(status=404, body=b'{"error": "no route"}'),
    "nobody in it": envelope({}),
    "another person": envelope({"user": person("somebody-else")}),
    "another person, as a number": envelope({"user": person(1234)}),
    "no sub": envelope({"user": {**person(SUB), "sub": None}}),
    **{name: FAULTS[name] for name in ("close", "reset", "truncated", "empty", "200 html", "500 html", "not http")},
}


@pytest.mark.parametrize(("edge", "policy"), [("flask", "end"), ("asgi", "end"), ("asgi", "keep")])
def test_whatever_is_no_clear_no_signs_nobody_out_and_is_asked_again_after_a_minute(make, caplog, policy, subtests):
    site, browser = make(recheck_policy=policy)
    for name, doubt in DOUBTS.items():
        with subtests.test(name):
            caplog.clear()
            asked, before = site.fx.calls(CALL), browser.get("/claims").json()
            site.fx.answer(CALL, doubt)
            site.clock.advance(EVERY)
            assert [browser.who() for _ in range(3)] == [SUB] * 3
            assert site.fx.calls(CALL) == asked + 1
            assert "session_not_checked" in caplog.text
            assert CANARY not in caplog.text
            assert SUB not in caplog.text
            site.clock.advance(PAUSE - 1)
            assert browser.who() == SUB
            assert site.fx.calls(CALL) == asked + 1
            site.clock.advance(1)
            assert browser.who() == SUB
            assert site.fx.calls(CALL) == asked + 2
            assert browser.get("/claims").json() == before
            site.fx.answer(CALL, known(name=f"Ada of {name}"))
            site.clock.advance(PAUSE)
            assert browser.get("/claims").json()["name"] == f"Ada of {name}"


@pytest.mark.parametrize("fault", ["hang", "close"])
def test_an_xwms_that_does_not_answer_is_asked_by_one_person_a_minute_for_all(make, fault):
    """DS-04: otherwise every person in turn would hold a worker until the deadline, and the site would be down too."""
    patient, browser = make("cookie")
    others = [patient.browser() for _ in range(4)]
    for one in others:
        one.log_in()
    site = with_pages(patient.restarted(recheck=EVERY, timeout=0.7))  # only now: no login depends on the load
    everybody = [given(site, one.cookies()[site.session_cookie]) for one in (browser, *others)]
    site.fx.answer(CALL, fault)
    site.clock.advance(EVERY)
    for minute in (1, 2):
        for second in (0, PAUSE - 1):
            site.clock.advance(second)
            assert [one.who() for one in everybody] == [SUB] * 5
            assert site.fx.calls(CALL) == minute
        site.clock.advance(1)
    site.fx.answer(CALL, known())
    for _ in range(2):  # the first who is answered makes way for all
        assert [one.who() for one in everybody] == [SUB] * 5
        site.clock.advance(PAUSE)
    assert site.fx.calls(CALL) == 2 + len(everybody)


def test_an_xwms_that_answers_nonsense_is_asked_by_everybody(make):
    """It costs no waiting, and perhaps only one person's answer is broken."""
    site, browser = make()
    second = site.browser()
    second.log_in()
    site.fx.answer(CALL, "200 html")
    site.clock.advance(EVERY)
    assert (browser.who(), second.who()) == (SUB, SUB)
    assert site.fx.calls(CALL) == 2


def test_an_xwms_that_is_not_there_signs_nobody_out(edge, make_fx):
    fx = make_fx()
    site = with_pages(Site(edge, fx, recheck=EVERY))
    browser = site.browser()
    browser.log_in()
    fx.__exit__(None, None, None)
    for _ in range(5):
        site.clock.advance(EVERY)
        assert browser.who() == SUB


# what comes back


@every_kind
def test_what_xwms_says_now_reaches_the_session_and_stays(make, kind):
    site, browser = make(kind)
    first = browser.cookies()[site.session_cookie]
    now = {"name": "Ada King", "family_name": "King", "email": "king@example.org", "picture": "https://x.example/k.png"}
    site.fx.answer(CALL, known(**now))
    site.clock.advance(EVERY)
    answer = browser.get("/claims")
    assert answer.json() == {**answer.json(), **now, "sub": SUB, "given_name": "Ada", "email_verified": True}
    assert answer.headers.get_list("set-cookie") != []
    assert (browser.cookies()[site.session_cookie] == first) == (kind in SERVERS)
    site.fx.answer(CALL, "close")
    assert browser.get("/claims").json()["name"] == "Ada King"
    assert site.fx.calls(CALL) == 1


def test_an_address_that_changed_is_only_as_verified_as_xwms_says(make):
    site, browser = make()
    for said, known_now in (
        ({"email": "new@example.org", "email_verified": False}, ("new@example.org", False)),
        ({"email": "new@example.org", "email_verified": "true"}, ("new@example.org", False)),
        ({"email": None, "email_verified": True}, ("new@example.org", False)),
        ({"email": "new@example.org", "email_verified": True}, ("new@example.org", True)),
        ({"email": None, "email_verified": None}, ("new@example.org", True)),
    ):
        site.fx.answer(CALL, known(**said))
        site.clock.advance(EVERY)
        claims = browser.get("/claims").json()
        assert (claims["email"], claims["email_verified"]) == known_now, said


@every_kind
def test_what_xwms_leaves_out_or_garbles_stays_as_it_was(make, kind):
    site, browser = make(kind)
    before = browser.get("/claims").json()
    names = ("name", "given_name", "family_name", "email", "picture")
    for asked, nothing in enumerate((None, "", 5, ["x"], "bad\x00"), start=1):
        site.fx.answer(CALL, known(**dict.fromkeys(names, nothing)))
        site.clock.advance(EVERY)
        assert browser.get("/claims").json() == before, nothing
        assert site.fx.calls(CALL) == asked


@every_kind
def test_an_answer_about_somebody_else_makes_nobody_else_of_the_person(make, kind):
    """SL-07: the identity of a session never changes."""
    site, browser = make(kind)
    site.fx.answer(CALL, envelope({"user": person("somebody-else")}))
    site.clock.advance(EVERY)
    assert browser.who() == SUB
    assert browser.get("/claims").json()["sub"] == SUB
    if kind in SERVERS:
        assert outside(site, lambda sessions: sessions.list("somebody-else")) == ()


@every_kind
def test_a_re_check_does_not_lengthen_a_login(make, kind):
    """SL-03: neither limit is moved by XWMS's yes, nor does it make a login fresh."""
    site, browser = make(kind, session_lifetime=500)
    for _ in range(4):
        site.clock.advance(EVERY)
        assert browser.who() == SUB
    assert browser.get("/fresh").status_code == 302
    site.clock.advance(20)
    assert browser.who() is None


@pytest.mark.parametrize("policy", ["end", "keep"])
def test_a_websocket_asks_too_and_is_refused_where_access_was_withdrawn(make_fx, policy):
    site = with_pages(Site("asgi", make_fx(), recheck=EVERY, recheck_policy=policy))
    browser = site.browser()
    browser.log_in()
    assert enter(browser, "/ws") == SUB
    site.fx.answer(CALL, refusal(*NOES["not approved"]))
    site.clock.advance(EVERY)
    assert enter(browser, "/ws") == ("1008" if policy == "end" else SUB)
    assert site.fx.calls(CALL) == 1


def a_client_of(story):
    """Account, plan, client, as the statements have it."""
    story.dashboard.register()
    story.dashboard.activate_plan()
    return story.dashboard.create_client()


# The local XWMS of these stories decides the same for both edges, so each is told to one of them.


@pytest.mark.parametrize("edge", ["flask"])
def test_s13_sessions_of_a_deleted_client_end_at_the_next_re_check(edge, tmp_path):
    """S13: against a local XWMS, whose dashboard deletes the client."""
    with told_story(edge, tmp_path) as story:
        credentials = a_client_of(story)
        app, old = story.app(credentials, recheck=EVERY), story.app(credentials)
        for one in (app, old):
            assert one.log_in("1001").status_code == 303
        story.clock.now += EVERY
        assert app.who() == "1001"  # approved, and confirmed
        story.dashboard.send(f"{credentials.page}/delete", "/delete", name="Shop")
        assert app.who() == "1001"  # confirmed a moment ago
        story.clock.now += EVERY
        problem = app.get("/who", PROGRAM)
        assert (problem.status_code, problem.json()["reason"]) == (401, "access_withdrawn")
        assert old.who() == "1001"  # nobody asked


@pytest.mark.parametrize("edge", ["asgi"])
def test_s12_sessions_of_a_disabled_client_follow_the_policy(edge, tmp_path):
    """S12: against a local XWMS."""
    with told_story(edge, tmp_path) as story:
        credentials = a_client_of(story)
        ending = story.app(credentials, recheck=EVERY)
        keeping = story.app(credentials, recheck=EVERY, recheck_policy="keep")
        for one in (ending, keeping):
            assert one.log_in("1001").status_code == 303
        story.dashboard.send(credentials.page, "/enabled", enabled="no")
        story.clock.now += EVERY
        assert (ending.who(), keeping.who()) == (None, "1001")
        story.dashboard.send(credentials.page, "/enabled", enabled="yes")
        assert ending.log_in("1001").status_code == 303
        assert ending.who() == "1001"


@pytest.mark.parametrize("edge", ["asgi"])
def test_s5_a_secret_that_was_replaced_signs_nobody_out(edge, tmp_path, caplog):
    """S5: an app that was not told the new secret yet."""
    with told_story(edge, tmp_path) as story:
        credentials = a_client_of(story)
        secret = [credentials.secret]
        app = story.app(credentials, client_secret=lambda: secret[0], recheck=EVERY)
        assert app.log_in("1001").status_code == 303
        page = story.dashboard.open(f"{credentials.page}/secrets").text
        asks = re.search(r'href="/dashboard([^"]+/regenerate)"', page)
        assert asks
        fresh = copied(story.dashboard.send(asks[1], "/regenerate"), "client-secret")
        story.clock.now += EVERY
        assert app.who() == "1001"
        assert "credentials" in caplog.text
        secret[0] = fresh
        story.clock.now += PAUSE
        caplog.clear()
        assert app.who() == "1001"
        assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_secret_that_cannot_be_read_signs_nobody_out(make_fx, edge, caplog):
    """A secret manager that is down while a process starts anew."""

    def fails() -> str:
        raise OSError("down")

    site = Site(edge, make_fx(), recheck=EVERY)
    browser = site.browser()
    browser.log_in(sub=SUB)
    anew = site.restarted(recheck=EVERY, client_secret=fails)
    anew.clock.advance(EVERY)
    visitor = anew.browser()
    visitor.carry("; ".join(f"{name}={value}" for name, value in browser.cookies().items()))
    assert visitor.who() == SUB
    assert "session_not_checked" in caplog.text


def test_a_no_that_could_not_be_kept_is_asked_for_again_at_once(make_fx, edge):
    """The store fails when the session is to be ended: the next page must not open for a minute."""

    class Fails(MemoryStore):
        failing = False

        def drop(self, handle, *, why, now):
            if self.failing:
                raise StoreUnavailable("as asked for")
            super().drop(handle, why=why, now=now)

    store = Fails()
    site = Site(edge, make_fx(), recheck=EVERY, session_store=store)
    browser = site.browser()
    browser.log_in(sub=SUB)
    site.fx.answer(CALL, refusal(*NOES["not approved"]))
    site.clock.advance(EVERY)
    store.failing = True
    assert [browser.get("/who", PROGRAM).status_code for _ in range(3)] == [503] * 3
    store.failing = False
    assert browser.get("/who", PROGRAM).json()["reason"] == "access_withdrawn"


@pytest.mark.parametrize("store", ["cookie", "memory://"])
def test_pages_that_ask_for_nobody_make_no_calls_of_their_own(make_fx, store):
    """On ASGI every request with a cookie is recognised, a picture's too, and its answer may not bring a new cookie."""
    site = Site("asgi", make_fx(), recheck=EVERY, session_store=store)
    browser = site.browser()
    browser.log_in(sub=SUB)
    site.fx.answer(CALL, known())
    site.clock.advance(EVERY)
    for _ in range(EVERY // 10):
        assert browser.get("/").text == "home"
        site.clock.advance(10)
    assert site.fx.calls(CALL) == 1


def test_whoever_gives_their_requests_up_in_time_is_asked_about_all_the_same(make_fx):
    site = Site("asgi", make_fx(), recheck=EVERY, session_store="memory://")
    browser = site.browser()
    browser.log_in(sub=SUB)
    site.fx.answer(CALL, refusal(*NOES["not approved"]))
    site.clock.advance(EVERY)

    async def story() -> int:
        transport, cookies = httpx2.ASGITransport(site.app), browser.cookies()
        async with (
            alive(site.app),
            httpx2.AsyncClient(transport=transport, base_url=site.origin, cookies=cookies, headers=PROGRAM) as client,
        ):
            with site.fx.hold(CALL) as gate:
                asked = asyncio.create_task(client.get("/who"))
                while not site.fx.calls(CALL):
                    await asyncio.sleep(0.01)
                asked.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asked
                gate.set()
            while (status := (await client.get("/who")).status_code) == 200:
                await asyncio.sleep(0.01)
            return status

    assert asyncio.run(story()) == 401
    assert site.fx.calls(CALL) == 1
