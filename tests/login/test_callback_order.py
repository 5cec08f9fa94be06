"""The order of a callback's steps, whatever the browser has, XWMS says and the store does.

Hypothesis draws a browser, a token and a request; what is asked of XWMS and of the store is noted in its order.

Knows: the steps of a login without any I/O (test_flow_steps.py).
Must not: look at what the steps know; every verdict is about what they ask for and what the browser gets.
"""

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.login.test_flow_steps import NOW, URI, Story, answer, headers, started
from tests.tools.site import FROM_ELSEWHERE, FROM_HERE, FROM_SIBLING, NAVIGATION, PROGRAM, TYPED
from xwms_auth import StoreUnavailable, Timeout, Unreachable, XWMSConfig
from xwms_auth._core.base.effects import UpstreamResponse
from xwms_auth._core.config.context import Context
from xwms_auth._core.http.messages import Request
from xwms_auth._core.login import routes
from xwms_auth._core.login.select import provider_of
from xwms_auth.stores.memory import MemoryStore

REFUSED = UpstreamResponse(status=401, content_type="application/json", body=b'{"status": "error", "message": "No."}')
IN_A_FRAME = {**FROM_ELSEWHERE, "Sec-Fetch-Dest": "iframe"}
PREFETCH = {**FROM_ELSEWHERE, "Sec-Purpose": "prefetch"}
SENT_BY_XWMS = [FROM_ELSEWHERE, TYPED, NAVIGATION, PROGRAM]
SENT_BY_OTHERS = [
    FROM_HERE, FROM_SIBLING, IN_A_FRAME, {**FROM_ELSEWHERE, "Referer": "https://evil.example/"},
    {**FROM_ELSEWHERE, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
]  # fmt: skip


class Noting(MemoryStore):
    """A store that notes what it is asked, and is down at the question of one number."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[tuple[str, ...]] = []
        self.down_at = -1

    def note(self, *what: str) -> None:
        self.notes.append(what)
        if len(self.notes) - 1 == self.down_at:
            self.down_at = -1
            raise StoreUnavailable("the store is down")

    def claim(self, name: str, *, until: int, now: int) -> bool:
        self.note("claim", name.partition("/")[0])
        return super().claim(name, until=until, now=now)

    def claimed(self, names: Any, *, now: int) -> Any:
        self.note("claimed", *(name.partition("/")[0] for name in names))
        return super().claimed(names, now=now)

    def release(self, name: str) -> None:
        self.note("release", name.partition("/")[0])
        super().release(name)

    def load(self, handle: str, *, now: int) -> Any:
        self.note("load")
        return super().load(handle, now=now)

    def drop(self, handle: str, **more: Any) -> Any:
        self.note("drop")
        return super().drop(handle, **more)

    def create(self, session: Any, **more: Any) -> str:
        self.note("create", session.user.sub)
        return super().create(session, **more)


@dataclass(kw_only=True)
class House:
    """The application, its store, and the browsers of two people, each a Cookie header."""

    site: Context
    store: Noting
    issued: int = 0

    @classmethod
    def of(cls, mode: str, *, has_learned: bool) -> "House":
        key = "0123456789abcdefghijklmnopqrstuv"
        config = XWMSConfig(
            client_id="id", client_secret="secret", redirect_uris=URI, session_secret=key, callback_token=mode
        )
        house = cls(site=Context.of(config), store=Noting())
        house.site.state.same_token_seen = has_learned
        return house

    def start(self, *, now: int = NOW) -> tuple[str, str]:
        """A token of sign-token, and the cookie of its login."""
        self.issued += 1
        token = f"token-of-sign-token-{self.issued}"
        return token, started(self.site, self.store, token, now=now)

    def call_back(
        self, query: str, cookie: str, sent: Any, reply: Any, *, down_at: int = -1, now: int = NOW + 5
    ) -> Any:
        """The answer to a callback; XWMS gives the same reply, or fails in the same way, as often as it is asked."""
        self.store.notes.clear()
        self.store.down_at = down_at
        request = Request(method="GET", path="/xwms/validateToken", query=query, headers=headers(sent), cookie=cookie)
        story = Story(routes.serve(self.site, provider_of(self.site), request, now=now), self.store)
        call = story.go_on()
        while call is not None:
            self.store.notes.append(("verify", json.loads(call.body)["token"]))
            call = story.failed(reply) if isinstance(reply, Exception) else story.answered(reply)
        self.store.down_at = -1
        return story.done


MODES = st.sampled_from(["same", "either", "fresh"])
REPLIES = st.sampled_from(
    [
        answer(sub="17"),
        REFUSED,
        UpstreamResponse(status=200, content_type="text/html", body=b"<p>Hello"),
        Unreachable("refused", sent=False),
        Unreachable("reset"),
        Timeout("late"),
    ]
)


def session_of(done: Any) -> str | None:
    found = [line.partition(";")[0] for line in done.cookies if "xwms_session" in line]
    assert len(found) <= 1
    return found[0] if found else None


@given(
    mode=MODES,
    has_learned=st.booleans(),
    brings=st.sampled_from(["own", "of another browser", "unknown"]),
    pending=st.integers(0, 3),
    is_signed_in=st.booleans(),
    sent=st.sampled_from(SENT_BY_XWMS + SENT_BY_OTHERS + [PREFETCH]),
    reply=REPLIES,
    down_at=st.integers(-1, 9),
    later=st.sampled_from([0, 5, 599, 600, 700]),
)
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_a_session_begins_only_after_the_claims_then_the_call_then_a_last_look(
    mode: str,
    has_learned: bool,
    brings: str,
    pending: int,
    is_signed_in: bool,
    sent: dict[str, str],
    reply: Any,
    down_at: int,
    later: int,
) -> None:
    """LC-01, LC-13, SF-03, RP-02, RP-04, SM-19, SM-23"""
    house = House.of(mode, has_learned=has_learned)
    logins = [house.start() for _ in range(pending)]
    attackers_token, attackers_cookie = house.start()
    cookies = [cookie for _, cookie in logins]
    if is_signed_in:
        token, cookie = house.start() if mode != "fresh" else ("a-fresh-token-of-xwms", house.start()[1])
        cookies.append(session_of(house.call_back(f"token={token}", cookie, TYPED, answer(sub="16"))) or "")
        house.site.state.same_token_seen = has_learned
    token = {"own": logins[0][0] if logins else "an-unknown-token", "of another browser": attackers_token}.get(
        brings, "an-unknown-token"
    )
    done = house.call_back(f"token={token}", "; ".join(cookies), sent, reply, down_at=down_at, now=NOW + later)
    notes = house.store.notes
    calls = [note for note in notes if note[0] == "verify"]
    created = [note for note in notes if note[0] == "create"]
    assert calls in ([], [("verify", token)]), "a token is tried once"
    assert (session_of(done) is not None) == bool(created) == done.logged_in or down_at >= 0
    if created:
        assert created == [("create", "17")]
        assert done.status == 303 or down_at >= 0
        at = notes.index(("verify", token))
        before = [note for note in notes[:at] if note not in (("claimed", "issued"), ("load",))]
        assert before == [("claim", "pair"), ("claim", "login"), ("claim", "token"), ("claimed", "foreign")]
        after = notes[at + 1 :]
        assert after.index(("claimed", "foreign")) < after.index(("create", "17"))
        assert (("drop",) in after[: after.index(("create", "17"))]) == is_signed_in
        assert sent in SENT_BY_XWMS
        assert later < 600
        assert brings == "own" or mode != "same"
        assert brings != "own" or mode != "fresh"
        assert brings != "of another browser"
    if calls and not created:
        assert session_of(done) is None
    if sent is PREFETCH:
        assert (calls, created, done.cookies) == ([], [], ())
        return
    # Whoever began the login waits for the approval of a victim who has brought the token here.
    if brings == "of another browser" and mode != "fresh":
        attack = house.call_back(f"token={token}", attackers_cookie, TYPED, answer(sub="17"), now=NOW + later)
        assert session_of(attack) is None
        assert not attack.logged_in


@given(
    mode=MODES,
    query=st.sampled_from(
        [
            "",
            "token=",
            "token=short",
            f"token={'a' * 5000}",
            "token=a-good-token-1&token=a-good-token-1",
            "token=%00" * 9,
        ]
    ),
    pending=st.integers(0, 2),
    sent=st.sampled_from(SENT_BY_XWMS + SENT_BY_OTHERS + [PREFETCH]),
)
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
def test_a_callback_without_one_plausible_token_asks_for_nothing(
    mode: str, query: str, pending: int, sent: dict[str, str]
) -> None:
    """RP-07, RP-08"""
    house = House.of(mode, has_learned=False)
    cookie = "; ".join(house.start()[1] for _ in range(pending))
    done = house.call_back(query, cookie, sent, answer(sub="17"))
    assert (done.status, done.cookies, house.store.notes) == (400, (), [])
