"""Sessions against a model of them: people, browsers, two processes, keys, revocations and a clock, in any order.

Hypothesis looks for an order of events in which the application and the model (`session_model.py`) disagree about any
cookie that was ever given out. `XWMS_AUTH_EXAMPLES` says how long it looks.

Knows: the application over HTTP, and its `sessions`.
Must not: look into a store.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.stores.session_model import (
    BELIEVED,
    FORGOTTEN,
    IDLE,
    LIFETIME,
    PROCESSES,
    REMEMBERED,
    RENEWAL,
    Kind,
    Login,
    Model,
)
from tests.tools.fake_xwms import FakeXWMS
from tests.tools.session_pages import outside, with_pages
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, LOGIN, LOGOUT, ME, PROGRAM, Site
from xwms_auth import ConfigError
from xwms_auth.stores.memory import MemoryStore

EXAMPLES, STEPS = int(os.environ.get("XWMS_AUTH_EXAMPLES", "12")), 40
PEOPLE, BROWSERS = ("1001", "1002", "x y"), 3
LIMITS = ("renewal", "idle", "lifetime", "remembered", "believed")


def key(number: int) -> str:
    return f"K3y-number-{number:04}-0123456789-abcdefghij"


@dataclass(slots=True)
class Browser:
    """`session` is what its session cookie holds. Nothing is ever deleted for being old, as a thief would do."""

    session: str | None = None


class Sessions(RuleBasedStateMachine):
    """One application in two processes, over one store that is empty at first."""

    def __init__(self, kind: Kind, options: dict[str, Any], fx: FakeXWMS, number: int) -> None:
        super().__init__()
        self.kind = kind
        if kind.store == "memory":
            options = {"session_store": MemoryStore()}
        elif kind.revocations:
            options = {"revocation_store": MemoryStore()}
        # A client of its own: also in one place, clients see nothing of each other.
        self.options = {**options, "client_id": f"client-{number}", "session_idle": IDLE, "session_lifetime": LIFETIME}
        first = with_pages(Site(kind.edge, fx, session_secret=key(0), **self.options))
        self.sites = [first, with_pages(first.restarted(session_secret=key(0), **self.options))]
        self.model = Model(kind, int(first.clock.now))
        self.browsers = [Browser() for _ in range(BROWSERS)]
        self.used = self.newest = 0

    # Requests.

    def ask(self, process: int, path: str, session: str | None, headers=PROGRAM, query="", method="GET", more=()):
        self.used = process
        site = self.sites[process]
        cookies = [*([f"{site.session_cookie}={session}"] if session else []), *more]
        fields = [*headers.items(), *([("Cookie", "; ".join(cookies))] if cookies else [])]
        return site.raw(path, method=method, query=query, headers=fields)

    def set_by(self, process: int, answer: Any, name: str) -> str | None:
        """The value an answer gives to a cookie; "" where it takes it away."""
        start = f"{name}="
        found = [line for line in answer.headers.get_list("set-cookie") if line.startswith(start)]
        return found[0].removeprefix(start).partition(";")[0] if found else None

    def judged(self, value: str, process: int) -> set[str]:
        """What the model allows; and the process has then looked the session up."""
        allowed = self.model.allowed(value, process)
        if self.kind.in_cookie:
            self.model.looked_up(value, process)
        return allowed

    def look(self, value: str, process: int) -> None:
        """/xwms/me says who it is, or why nobody, as the model does; and changes nothing."""
        allowed = self.judged(value, process)
        answer = self.ask(process, ME, value)
        told = json.loads(answer.content)
        got = f"sub {told['user']['sub']}" if told["user"] else told.get("signed_out", FORGOTTEN)
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers
        assert got in allowed

    # Events.

    browser = st.integers(0, BROWSERS - 1)
    process = st.integers(0, PROCESSES - 1)
    person = st.sampled_from(PEOPLE)

    @rule(browser=browser, process=process, other=process, person=person)
    def log_in(self, browser: int, process: int, other: int, person: str) -> None:
        """Begun where nobody was signed in; comes back, maybe to another process, with the session there is by then."""
        at, site = self.browsers[browser], self.sites[process]
        started = self.ask(process, LOGIN, None, FROM_HERE)
        assert started.status_code == 302, started.text
        token = site.fx.approve(started.headers["location"].rpartition("/")[2], sub=person)
        cookies = [started.headers["set-cookie"].partition(";")[0]]
        back = self.ask(other, CALLBACK, at.session, FROM_ELSEWHERE, f"token={token}", more=cookies)
        assert back.status_code == 303, back.text
        if at.session is not None:
            self.model.dropped(at.session, other)
        value = self.set_by(other, back, site.session_cookie)
        assert value, "a login gives a session"
        assert value not in self.model.cookies, "of its own"
        self.model.began(value, person)
        at.session = value

    @precondition(lambda self: self.model.cookies)
    @rule(browser=browser, process=process, data=st.data())
    def use_a_page(self, browser: int, process: int, data: st.DataObject) -> None:
        """By its browser; sometimes somebody has kept an old cookie."""
        at, model = self.browsers[browser], self.model
        old = data.draw(st.booleans(), "an old cookie")
        value = data.draw(st.sampled_from(list(model.cookies)), "which") if old or not at.session else at.session
        cookie = model.cookies[value]
        due = model.now - model.seen_at(cookie) > RENEWAL
        allowed = self.judged(value, process)
        answer = self.ask(process, "/who", value)
        got = f"sub {answer.text}" if answer.status_code == 200 else json.loads(answer.content).get("reason", FORGOTTEN)
        assert got in allowed
        given = self.set_by(process, answer, self.sites[process].session_cookie)
        if given is not None:
            assert due, "a session is renewed when it is time, and not before"
            assert answer.status_code == 200, "and never a dead one"
            assert given == value or self.kind.in_cookie
            model.renewed(value, given, process)
            if at.session == value:
                at.session = given
        elif due and answer.status_code == 200:
            assert model.now < cookie.login.renewals[process], "a process renews once in an interval"

    @rule(browser=browser, process=process)
    def start_where_somebody_may_be_signed_in(self, browser: int, process: int) -> None:
        at = self.browsers[browser]
        allowed = self.judged(at.session, process) if at.session else {FORGOTTEN}
        answer = self.ask(process, LOGIN, at.session, FROM_HERE)
        assert answer.status_code in {303 if who.startswith("sub ") else 302 for who in allowed}

    @rule(browser=browser, process=process)
    def log_out(self, browser: int, process: int) -> None:
        at = self.browsers[browser]
        answer = self.ask(process, LOGOUT, at.session, FROM_HERE, method="POST")
        assert answer.status_code == 303
        assert self.set_by(process, answer, self.sites[process].session_cookie) == ""
        if at.session is not None:
            if self.kind.in_cookie:
                self.model.looked_up(at.session, process)
            self.model.dropped(at.session, process)
        at.session = None

    def manage(self, process: int, name: str, *args: str) -> Any:
        """Call `sessions` of that process as an application does."""
        return outside(self.sites[process], lambda sessions: getattr(sessions, name)(*args))

    @rule(process=process, person=person, data=st.data())
    def revoke_one(self, process: int, person: str, data: st.DataObject) -> None:
        """One of the list, which is what the model says is alive."""
        model = self.model
        if self.kind.in_cookie:
            with pytest.raises(ConfigError):
                self.manage(process, "list", person)
            return
        mine = {value: cookie for value, cookie in model.cookies.items() if cookie.login.sub == person}
        alive = [cookie.login for value, cookie in mine.items() if model.who(value, process) == f"sub {person}"]
        listed = self.manage(process, "list", person)
        if not any(model.doubtful(cookie) for cookie in mine.values()):
            assert sorted(int(one.started_at.timestamp()) for one in listed) == sorted(x.started_at for x in alive)
        # Two logins of one second look alike here, and in which order they are listed is chance.
        times = [(one.started_at.timestamp(), one.seen_at.timestamp()) for one in listed]
        distinct = sorted(pair for pair in times if times.count(pair) == 1)
        if distinct:
            pair = data.draw(st.sampled_from(distinct), "which")
            assert self.manage(process, "revoke", listed[times.index(pair)].id) is True
            model.revoked([login for login in alive if (login.started_at, login.seen_at) == pair])

    @rule(process=process, person=person)
    def revoke_all(self, process: int, person: str) -> None:
        self.revoke(
            process, f"person {person}", [x for x in self.model.logins if x.sub == person], "revoke_all", person
        )

    @rule(process=process)
    def revoke_client(self, process: int) -> None:
        self.revoke(process, "client", self.model.logins, "revoke_client")

    def revoke(self, process: int, name: str, logins: list[Login], *call: str) -> None:
        if not self.kind.reaches:
            with pytest.raises(ConfigError):
                self.manage(process, *call)
            return
        self.manage(process, *call)
        if self.kind.in_cookie:
            self.model.forbidden(name, process)
        else:
            self.model.revoked(logins)

    @precondition(lambda self: self.kind.reaches and any(at.session for at in self.browsers))
    @rule(browser=browser, process=process, after=st.sampled_from([0, BELIEVED - 1, BELIEVED]))
    def a_revocation_reaches_another_process(self, browser: int, process: int, after: int) -> None:
        """At once, or where sessions are cookies as late as is promised: `look` knows."""
        at = self.browsers[browser]
        if at.session is None:
            return
        self.look(at.session, process)
        self.revoke_all(1 - process, self.model.cookies[at.session].login.sub)
        heard = self.model.cookies[at.session].login.heard.get(process, self.model.now)
        self.time_passes(max(0, heard + after - self.model.now))
        self.look(at.session, process)

    @rule(how=st.sampled_from(["keep the old", "remove the old", "take back"]))
    def rotate_keys(self, how: str) -> None:
        """New keys need a restart; what a process knew by itself is gone then."""
        keys = self.model.keys
        if how == "take back":
            self.model.keys = keys[1:] or keys
        else:
            self.newest += 1
            self.model.keys = [self.newest, *(keys[:3] if how == "keep the old" else [])]
        chosen = [key(number) for number in self.model.keys]
        for process, site in enumerate(self.sites):
            self.sites[process] = with_pages(site.restarted(session_secret=chosen, **self.options))
            self.model.restarted(process)

    @precondition(lambda self: any(at.session for at in self.browsers))
    @rule(browser=browser, process=process, limit=st.sampled_from(LIMITS), off=st.integers(-1, 1))
    def time_comes(self, browser: int, process: int, limit: str, off: int) -> None:
        """The second in which something about the session of a browser changes, or the one before or after."""
        at = self.browsers[browser]
        if at.session is None:
            return
        cookie = self.model.cookies[at.session]
        seen, login = self.model.seen_at(cookie), cookie.login
        limits = [seen + RENEWAL, seen + IDLE, login.started_at + LIFETIME, self.model.kept_until(login)]
        limits += [login.heard.get(process, self.model.now) + BELIEVED]
        self.time_passes(max(0, dict(zip(LIMITS, limits, strict=True))[limit] + off - self.model.now))
        self.used = process

    @rule(seconds=st.sampled_from([1, 9, RENEWAL + 1, 300, IDLE, LIFETIME, REMEMBERED + LIFETIME, -5, -45, -100]))
    def time_passes(self, seconds: int) -> None:
        """Or the clock is set back a little."""
        self.model.now += seconds
        self.model.latest = max(self.model.latest, self.model.now)
        for site in self.sites:
            site.clock.now = float(self.model.now)

    @invariant()
    def every_browser_is_who_the_model_says(self) -> None:
        for at in self.browsers:
            if at.session is not None:
                self.look(at.session, self.used)

    def teardown(self) -> None:
        """Every cookie that was ever given out, in both processes."""
        for value in self.model.cookies:
            for process in range(PROCESSES):
                self.look(value, process)


KINDS = {
    "cookie": Kind(store="cookie"),
    "cookie-with-revocations": Kind(store="cookie", revocations=True, edge="asgi"),
    "memory": Kind(store="memory"),
    "sqlite": Kind(store="sqlite", edge="asgi"),
    "redis": Kind(store="redis"),
}


@pytest.mark.parametrize("name", KINDS)
def test_sessions_do_as_the_model_says(
    name: str, place: Callable[[str], str], make_fx: Callable[..., FakeXWMS], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SL-03, SL-04, SL-13, SL-15, SF-03, SF-06, RP-11, RP-12"""
    kind, fx = KINDS[name], make_fx()
    # `with_pages` replaces a site's own application at once, and making one is most of what a restart takes.
    for edge in ("flask", "asgi"):
        monkeypatch.setattr(f"tests.tools.site.{edge}_app", lambda config, clock: None)
    # XWMS says in real time when its tokens expire; this one does not say it, so that the clock can be moved by days.
    fx.answer("sign-token", _without_expiry)
    options = {} if kind.in_cookie or kind.store == "memory" else {"session_store": place(kind.store)}
    number = iter(range(1_000_000))
    profile = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=True,
        database=None,
        # Each example is an application in two processes; nothing can be made smaller or quicker about it.
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    run_state_machine_as_test(lambda: Sessions(kind, options, fx, next(number)), settings=profile)


def _without_expiry(at: Any) -> Any:
    reply = at.fx.usual(at)
    told = json.loads(reply.body)
    del told["data"]["expires_at"]
    return replace(reply, body=json.dumps(told).encode())
