"""Sessions against a model of them: people, browsers, two processes, keys, revocations and a clock, in any order.

`Model` is the whole of what is promised about when a session counts, in plain Python. Where a store may differ, one
of the fields of `Kind` says so. Hypothesis looks for an order of events in which the application and the model disagree
about any cookie that was ever given out.

Knows: the application over HTTP, and its `sessions`.
Must not: look into a store.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.edges import CALLBACK, FROM_ELSEWHERE, FROM_HERE, LOGIN, LOGOUT, ME, PROGRAM, Site
from tests.fx import FakeXWMS
from tests.session_pages import outside, with_pages
from xwms_auth import ConfigError
from xwms_auth.stores.memory import MemoryStore

IDLE, LIFETIME, RENEWAL = 1000, 5000, 50
REMEMBERED = 86_400  # a store keeps what has ended by itself, so that people are told why
AHEAD = 60  # a clock may be wrong by so much
BELIEVED = 10  # a process goes on with what the revocation store said
EXAMPLES, STEPS = int(os.environ.get("XWMS_AUTH_EXAMPLES", "50")), 40
PEOPLE, BROWSERS, PROCESSES = ("1001", "1002", "x y"), 3, 2
FORGOTTEN = "forgotten"  # not signed in, and no reason is told
LIMITS = ("renewal", "idle", "lifetime", "remembered", "believed")
REASONS = ("session_idle", "session_lifetime", "session_revoked", "session_key_rotated")


def key(number: int) -> str:
    return f"K3y-number-{number:04}-0123456789-abcdefghij"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A store, and where it may differ from the others."""

    store: str
    edge: str = "flask"
    revocations: bool = False
    """The cookie store ends a session elsewhere only with a revocation store; without one a logout is known to the
    process it happened in, until that one restarts."""

    @property
    def in_cookie(self) -> bool:
        """Each renewal makes another cookie, with limits of its own; there is no list."""
        return self.store == "cookie"

    @property
    def sealed(self) -> bool:
        """The memory store seals nothing, so no key can be taken from it."""
        return self.store != "memory"

    @property
    def reaches(self) -> bool:
        return not self.in_cookie or self.revocations

    @property
    def forgets(self) -> bool:
        """Redis forgets by its own clock, which no test moves; a cookie is never forgotten."""
        return self.store in ("memory", "sqlite")


@dataclass(slots=True)
class Login:
    """One session. Server stores keep one state of it; `ended` is the reason, or FORGOTTEN after a logout."""

    sub: str
    started_at: int
    counts_from: int
    seen_at: int
    key: int
    ended: str | None = None
    ended_in: set[int] = field(default_factory=set)
    """Of the cookie store: the processes that know of the logout by themselves."""
    not_before: int = 0
    heard: dict[int, int] = field(default_factory=dict)
    renewals: list[int] = field(default_factory=lambda: [0] * PROCESSES)


@dataclass(slots=True)
class Cookie:
    """A cookie that was given out. In the cookie store it has its own age and key."""

    login: Login
    seen_at: int
    key: int


class Model:
    """Who a cookie is for, at this time, in this process."""

    def __init__(self, kind: Kind, now: int) -> None:
        self.kind = kind
        self.now = self.latest = now
        self.keys = [0]
        self.cookies: dict[str, Cookie] = {}
        self.logins: list[Login] = []
        self.not_before: dict[str, tuple[int, int]] = {}

    def seen_at(self, cookie: Cookie) -> int:
        return cookie.seen_at if self.kind.in_cookie else cookie.login.seen_at

    def readable(self, cookie: Cookie) -> bool:
        key = cookie.key if self.kind.in_cookie else cookie.login.key
        return not self.kind.sealed or key in self.keys

    def kept_until(self, login: Login) -> int:
        return min(login.seen_at + IDLE, login.started_at + LIFETIME) + REMEMBERED

    def doubtful(self, cookie: Cookie) -> bool:
        """The clock was already beyond the time up to which something has to be kept, and came back."""
        login = cookie.login
        if self.kind.in_cookie:
            return self.now < login.started_at + LIFETIME <= self.latest
        return self.kind.forgets and self.now < self.kept_until(login) <= self.latest

    def allowed(self, value: str, process: int) -> set[str]:
        """What an application may say: one thing, but for what it may have forgotten meanwhile."""
        cookie = self.cookies[value]
        if self.doubtful(cookie):
            return {f"sub {cookie.login.sub}", FORGOTTEN, *REASONS}
        allowed = {self.who(value, process)}
        if self.kind.in_cookie and self.readable(cookie) and self.now >= cookie.login.started_at + LIFETIME:
            # It has ended in any case, so nobody need remember that it was ended before.
            allowed |= {"session_lifetime", *(["session_revoked"] if self.kind.revocations else [])}
        return allowed

    def who(self, value: str, process: int) -> str:
        """The sub, prefixed with "sub ", or why it is nobody."""
        cookie = self.cookies[value]
        login, seen = cookie.login, self.seen_at(cookie)
        ended = self._ended_of_cookie(cookie, process) if self.kind.in_cookie else self._ended_at_server(login)
        if ended is not None:
            return ended
        if self.now >= login.started_at + LIFETIME:
            return "session_lifetime"
        if self.now >= seen + IDLE:
            return "session_idle"
        if seen > self.now + AHEAD:
            return FORGOTTEN
        return f"sub {login.sub}"

    def _ended_at_server(self, login: Login) -> str | None:
        if self.kind.forgets and self.now >= self.kept_until(login):
            return FORGOTTEN
        if login.ended is not None:
            return login.ended
        return None if not self.kind.sealed or login.key in self.keys else "session_key_rotated"

    def _ended_of_cookie(self, cookie: Cookie, process: int) -> str | None:
        login = cookie.login
        if not self.readable(cookie):
            return "session_key_rotated"
        if process in login.ended_in:
            return FORGOTTEN
        if self.believes(login, process):
            return None
        marks = [self.not_before.get(name, (0, 0)) for name in ("client", f"person {login.sub}")]
        revoked = any(login.counts_from <= at and self.now < until for at, until in marks)
        return "session_revoked" if revoked or self.now < login.not_before else None

    def believes(self, login: Login, process: int) -> bool:
        return not self.kind.revocations or abs(self.now - login.heard.get(process, -BELIEVED)) < BELIEVED

    # What happens.

    def looked_up(self, value: str, process: int) -> None:
        """The process has asked about the session, and where it had to, the revocation store."""
        cookie = self.cookies[value]
        login = cookie.login
        if self._ended_of_cookie(cookie, process) is None and not self.believes(login, process):
            login.heard[process] = self.now

    def began(self, value: str, sub: str) -> None:
        marks = [self.not_before.get(name, (0, 0)) for name in ("client", f"person {sub}")]
        counts_from = max(self.now, *(at + 1 for at, until in marks if self.now < until), self.now)
        login = Login(sub, self.now, counts_from, self.now, self.keys[0])
        self.logins.append(login)
        self.cookies[value] = Cookie(login, self.now, self.keys[0])

    def renewed(self, old: str, value: str, process: int) -> None:
        login = self.cookies[old].login
        login.renewals[process] = self.now + RENEWAL
        login.seen_at, login.key = self.now, self.keys[0]
        self.cookies[value] = Cookie(login, self.now, self.keys[0])

    def dropped(self, value: str, process: int) -> None:
        """By a logout, or because the browser logged in once more."""
        cookie = self.cookies[value]
        login = cookie.login
        if not self.kind.in_cookie:
            # Redis keeps a reason that there was already.
            if not (self.kind.store == "redis" and login.ended is not None):
                login.ended = FORGOTTEN
        elif self.readable(cookie):
            login.ended_in.add(process)
            login.heard.pop(process, None)
            login.not_before = login.started_at + LIFETIME if self.kind.revocations else 0

    def revoked(self, logins: list[Login]) -> None:
        for login in logins:
            over = self.kind.forgets and self.now >= self.kept_until(login)
            if login.ended is None and not over:
                login.ended = "session_revoked"

    def forbidden(self, name: str, process: int) -> None:
        """A time of the clock: a session that began later by it, because the clock went back since, goes on."""
        before, _ = self.not_before.get(name, (0, 0))
        self.not_before[name] = (max(self.now, before + 1), self.now + LIFETIME)
        for login in self.logins:
            login.heard.pop(process, None)

    def restarted(self, process: int) -> None:
        for login in self.logins:
            login.ended_in.discard(process)
            login.heard.pop(process, None)
            login.renewals[process] = 0


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
        pending = self.set_by(process, started, site.login_cookie)
        token = site.fx.approve(started.headers["location"].rpartition("/")[2], sub=person)
        cookies = [f"{site.login_cookie}={pending}"]
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
        if listed:
            chosen = data.draw(st.sampled_from(listed), "which")
            when = (int(chosen.started_at.timestamp()), int(chosen.seen_at.timestamp()))
            same = [
                value for value, c in mine.items() if c.login in alive and (c.login.started_at, c.login.seen_at) == when
            ]
            assert self.manage(process, "revoke", chosen.id) is True
            # Two logins of one second look alike in the list: the one that is gone now was meant.
            gone = [value for value in same if not json.loads(self.ask(process, ME, value).content)["user"]]
            assert len(gone) == 1
            model.revoked([mine[gone[0]].login])

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
    "cookie-with-revocations": Kind(store="cookie", revocations=True),
    "memory": Kind(store="memory"),
    "sqlite": Kind(store="sqlite"),
    "redis": Kind(store="redis"),
    "cookie-with-revocations-asgi": Kind(store="cookie", revocations=True, edge="asgi"),
    "sqlite-asgi": Kind(store="sqlite", edge="asgi"),
}


@pytest.mark.parametrize("name", KINDS)
def test_sessions_do_as_the_model_says(
    name: str, place: Callable[[str], str], make_fx: Callable[..., FakeXWMS]
) -> None:
    """SL-03, SL-04, SL-13, SL-15, SF-03, SF-06, RP-11, RP-12"""
    kind, fx = KINDS[name], make_fx()
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
