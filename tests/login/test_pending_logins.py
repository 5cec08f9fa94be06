"""The pending logins of one browser, in any order of steps: how many there are, which make room, and what tabs share.

Hypothesis plays tabs that start at one moment, come back, are left alone, or bring tokens that are not theirs.

Knows: the Cookie header that a browser sends, and the Set-Cookie lines that it gets.
Must not: open a cookie.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tests.login.test_flow_steps import NOW, URI, Story, answer, headers
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, LOGIN
from xwms_auth import XWMSConfig
from xwms_auth._core.base.effects import UpstreamResponse
from xwms_auth._core.config.context import Context
from xwms_auth._core.http.messages import Request, Response
from xwms_auth._core.login import routes
from xwms_auth._core.login.select import provider_of
from xwms_auth.stores.memory import MemoryStore

MOST, MOST_BYTES, MOST_FROM_ELSEWHERE, MOST_WAITING = 10, 3000, 600, 1000
LIFETIME, TO_CONFIRM, TRIES = 600, 180, 3
SHORT = 200  # characters of a page that every login of one's own comes back to
KNOWN = answer(sub="17", name="Ada")
REFUSED = UpstreamResponse(status=401, content_type="application/json", body=b'{"status": "error", "message": "No."}')


@dataclass(kw_only=True)
class Login:
    """What the browser's owner knows of a login. `over_at` is when it ends by itself."""

    token: str
    target: str
    here: bool
    started_at: int
    over_at: int
    waits: bool = False
    used: bool = False
    refused: int = 0

    @property
    def order(self) -> tuple[int, int]:
        """The lowest makes room first: one that nobody has confirmed, then one begun elsewhere, then one's own."""
        return 0 if self.waits else 2 if self.here else 1, self.started_at


class Tabs(RuleBasedStateMachine):
    """One browser, at a site that has learned that callbacks have sign-token's own token."""

    def __init__(self) -> None:
        super().__init__()
        key = "0123456789abcdefghijklmnopqrstuv"
        self.site = Context.of(
            XWMSConfig(client_id="id", client_secret="secret", redirect_uris=URI, session_secret=key)
        )
        self.store, self.now, self.issued = MemoryStore(), NOW, 0
        self.jar: dict[str, str] = {}
        self.logins: dict[str, Login] = {}  # by the names of their cookies, also those that are over
        self.start([(True, 1)])
        self.finish(next(iter(self.logins)))
        self.start([(False, 1)])
        self.smallest = self.size(self.jar)
        self.finish(next(iter(self.jar)))

    # what the browser does

    @rule(tabs=st.lists(st.tuples(st.booleans(), st.sampled_from([1, 99, SHORT, 420, 1500])), min_size=1, max_size=4))
    def start(self, tabs: list[tuple[bool, int]]) -> None:
        """Each tab sends what the browser had before any of them was answered."""
        self.now += 1  # logins have a rate limit
        before, sent = self.alive(), dict(self.jar)
        for here, length in tabs:
            self.issued += 1
            token, target = f"token-of-sign-token-{self.issued}", "/".ljust(length, "a")
            reply = answer(token=token, url="https://xwms.nl/login")
            done = self.play(LOGIN, f"next={target}", reply, FROM_HERE if here else FROM_ELSEWHERE, sent)
            changes = changes_of(done)
            if done.status == 429:
                assert not here, "one's own login finds room"
                assert not changes
                assert self.are_too_many(before, sent, more=self.smallest)
                continue
            assert done.status == 302
            (name,) = [name for name, value in changes.items() if value]
            assert here or self.size({name: changes[name]}) <= MOST_FROM_ELSEWHERE
            self.assert_room_was_made(name, before, sent, changes, for_own=here)
            self.keep(changes)
            self.logins[name] = Login(
                token=token, target=target, here=here, started_at=self.now, over_at=self.now + LIFETIME
            )

    @rule(which=st.data())
    def come_back(self, which: st.DataObject) -> None:
        self.finish(which.draw(st.sampled_from(list(self.logins))))

    def finish(self, name: str) -> None:
        """The callback of a login of this browser, also of one that is over, was used, waits or had to make room."""
        login, before = self.logins[name], self.alive()
        goes_on = name in before and not login.waits
        last = self.candidate() if login.used else None
        done = self.play(CALLBACK, f"token={login.token}", KNOWN if goes_on else REFUSED)
        changes = changes_of(done)
        touched = changes.keys() & before.keys()
        if goes_on:
            assert done.status == 303
            assert leads_to(done, login)
            assert touched == {name}
            login.used = True
        else:
            assert done.status in (400, 401)
            # A used token looks like that of somebody else's login, which XWMS has confirmed.
            assert touched == ({last} if last else set())
        assert set(changes.values()) <= {""}
        self.keep(changes)

    @rule(is_known=st.booleans())
    def bring_another_token(self, is_known: bool) -> None:
        """A token that no login here was started for; XWMS says whose it is, or refuses it."""
        self.issued += 1
        before, sent, name = self.alive(), dict(self.jar), self.candidate()
        done = self.play(CALLBACK, f"token=token-of-nobody-{self.issued}", KNOWN if is_known else REFUSED)
        changes = changes_of(done)
        touched = changes.keys() & before.keys()
        self.keep(changes)
        if name is None:
            assert done.status == 400
            assert not touched
            return
        login = before.pop(name)
        if not is_known:
            login.refused += 1
            assert done.status == 401
            assert touched == ({name} if login.refused == TRIES else set())
        elif done.status == 429:
            assert changes[name] == ""
            assert self.are_too_many(before, sent, more=MOST_WAITING)
            assert touched == {name}
        else:
            assert done.status == 303
            assert dict(done.headers)["Location"].endswith(f"&confirm={self.key(name)}")
            assert self.size({name: changes[name]}) <= MOST_WAITING
            self.assert_room_was_made(name, before, sent, changes, for_own=False)
            login.waits, login.over_at = True, self.now + TO_CONFIRM

    @precondition(lambda self: self.waiting())
    @rule(which=st.data())
    def confirm(self, which: st.DataObject) -> None:
        name = which.draw(st.sampled_from(self.waiting()))
        before = self.alive()
        asked = self.play(LOGIN, f"confirm={self.key(name)}", REFUSED)
        assert (asked.status, changes_of(asked)) == (200, {})
        done = self.play(LOGIN, "", REFUSED, FROM_HERE, method="POST", form={"confirm": self.key(name)})
        assert done.status == 303
        assert done.logged_in
        assert leads_to(done, self.logins[name])
        changes = changes_of(done)
        assert changes.keys() & before.keys() == {name}
        assert changes[name] == ""
        self.keep(changes)

    @rule(seconds=st.sampled_from([1, 60, TO_CONFIRM - 1, TO_CONFIRM, LIFETIME - 1, LIFETIME]))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    # what must hold

    def assert_room_was_made(
        self,
        name: str,
        before: Mapping[str, Login],
        sent: Mapping[str, str],
        changes: Mapping[str, str],
        *,
        for_own: bool,
    ) -> None:
        """As much as was needed and no more, by those that come first, and never by one's own for another site's."""
        order = {one: (*login.order, at) for at, (one, login) in enumerate(before.items())}
        gone = {one: order[one] for one in before if one in changes}
        kept = {one: order[one] for one in before if one not in changes}
        held = {name: changes[name], **{one: sent[one] for one in kept}}
        assert all(changes[one] == "" for one in gone)
        assert len(held) <= MOST
        assert self.size(held) <= MOST_BYTES
        if gone:
            last = max(gone, key=gone.__getitem__)
            assert for_own or gone[last][0] < 2
            assert gone[last] <= min(kept.values(), default=gone[last])
            assert len(held) == MOST or self.size({**held, last: sent[last]}) > MOST_BYTES

    def are_too_many(self, before: Mapping[str, Login], sent: Mapping[str, str], *, more: int) -> bool:
        """Whether one's own logins alone leave no room for one that may push none of them out."""
        own = {name: sent[name] for name, login in before.items() if login.here and not login.waits}
        return len(own) >= MOST or self.size(own) + more > MOST_BYTES

    # what the browser has

    def alive(self) -> dict[str, Login]:
        """In the order of the Cookie header."""
        return {name: self.logins[name] for name in reversed(self.jar) if self.now < self.logins[name].over_at}

    def waiting(self) -> list[str]:
        return [name for name, login in self.alive().items() if login.waits]

    def candidate(self) -> str | None:
        """The login that a token belongs to which shows none: the newest of one's own, else the newest."""
        found = [
            (login.here, login.started_at, at, name)
            for at, (name, login) in enumerate(self.alive().items())
            if not login.waits
        ]
        return max(found)[-1] if found else None

    def key(self, name: str) -> str:
        return name[-8:]

    def size(self, cookies: Mapping[str, str]) -> int:
        """Bytes in a Cookie header, with what stands between two."""
        return sum(len(f"{name}={value}; ") for name, value in cookies.items())

    def keep(self, changes: Mapping[str, str]) -> None:
        for name, value in changes.items():
            self.jar.pop(name, None)
            if value:
                self.jar[name] = value

    def play(
        self,
        path: str,
        query: str,
        reply: UpstreamResponse,
        sent: Mapping[str, str] = FROM_ELSEWHERE,
        jar: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Response:
        """One request and its answer. The newest cookie stands first in its header."""
        cookies = reversed((self.jar if jar is None else jar).items())
        cookie = "; ".join(f"{name}={value}" for name, value in cookies)
        request = Request(**{"method": "GET", **more}, path=path, query=query, headers=headers(sent), cookie=cookie)
        story = Story(routes.serve(self.site, provider_of(self.site), request, now=self.now), self.store)
        call = story.go_on()
        while call is not None:
            call = story.answered(reply)
        return story.done


def changes_of(done: Response) -> dict[str, str]:
    """The login cookies that an answer sets, or deletes with an empty value. It names each once."""
    lines = [value for name, value in done.header_list() if name == "Set-Cookie" and "xwms_login_" in value]
    pairs = [line.partition(";")[0].partition("=") for line in lines]
    found = {name: value for name, _, value in pairs}
    assert len(found) == len(lines)
    return found


def leads_to(done: Response, login: Login) -> bool:
    target = dict(done.headers)["Location"]
    return target == login.target or (target == "/" and (len(login.target) > SHORT or not login.here or login.waits))


def test_pending_logins_in_any_order_keep_their_limits_and_leave_each_other_alone() -> None:
    """LC-14, SF-10, SM-09, SM-10, CK-10, DS-05"""
    profile = settings(
        max_examples=25,
        stateful_step_count=30,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    run_state_machine_as_test(Tabs, settings=profile)
