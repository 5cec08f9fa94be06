"""The attack by session fixation, told as stories over two operating-system processes of one application.

In every story the attacker starts a login, the victim is brought to approve it at XWMS, and the victim's browser comes
to the callback before the attacker's does. The attacker must not be signed in as the victim afterwards.

`python -m tests.attacks.two_processes` tells all of them and prints what came of each.

Knows: the stories, and how to start the processes.
Must not: look inside the package.
"""

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import IO, Any

from tests.attacks.real_servers import Line
from tests.attacks.visitors import CALLBACK, ORIGIN, Door, Visitor
from tests.tools.fake_xwms import PATIENCE, FakeXWMS
from tests.tools.faults import Exchange, Reply
from tests.tools.redis_server import redis_server

VERIFY = "sign-token-verify"
EDGES = ("flask", "asgi")
MODES = ("same", "either", "learned", "fresh")
"""`learned` is `either` after somebody's login has shown both processes that the tokens are the same."""

STORES = ("cookie", "cookie+revocations", "sqlite", "redis")
SHARED = ("cookie+revocations", "sqlite", "redis")
"""Where what one process does holds for the other. With `cookie` they share nothing but the key."""


# --- processes -------------------------------------------------------------------------------------------------------


class AppProcess:
    """One operating-system process; `serve` has it serve one more application."""

    def __init__(self, log: Path) -> None:
        command = [sys.executable, "-m", "tests.attacks.app_process"]
        with log.open("ab") as complaints:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, text=True
            )

    def serve(self, edge: str, name: str, options: Mapping[str, Any]) -> Door:
        asked, answers = self._pipes()
        asked.write(json.dumps({"edge": edge, "name": name, "options": options}) + "\n")
        asked.flush()
        return Door(Line(("127.0.0.1", int(answers.readline()))), name)

    def end(self) -> None:
        """As a machine that fails: nothing is said to anybody."""
        self._process.kill()
        self._process.wait(PATIENCE)
        for pipe in self._pipes():
            # What is left in the buffer has nobody to go to.
            with suppress(BrokenPipeError):
                pipe.close()

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout


class Processes:
    """Processes by number, each started when it is first needed; what they complain about is added to `log`."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self._running: dict[int, AppProcess] = {}

    def __getitem__(self, number: int) -> AppProcess:
        if number not in self._running:
            self._running[number] = AppProcess(self.log)
        return self._running[number]

    def start(self, numbers: Iterable[int]) -> None:
        """Start these, so that nobody waits for one after another."""
        for number in numbers:
            self[number]

    def end(self, number: int) -> None:
        if number in self._running:
            self._running.pop(number).end()

    def end_all(self) -> None:
        for number in list(self._running):
            self.end(number)


@dataclass(frozen=True, slots=True)
class Town:
    """Where the stories happen: the processes, a fake XWMS of each kind, and room for stores."""

    processes: Processes
    same: FakeXWMS
    fresh: FakeXWMS
    folder: Path
    redis_url: str
    _numbers: Iterator[int] = field(default_factory=count)

    def app(self, edge: str, mode: str, store: str, *, numbers: Sequence[int] = (0, 1), fx: Any = None) -> "App":
        """A new application at processes of these numbers, with a store that nobody has used yet."""
        number = next(self._numbers)
        places = {
            "cookie": {},
            "cookie+revocations": {"revocation_store": f"sqlite:///{self.folder}/{number}.sqlite3"},
            "sqlite": {"session_store": f"sqlite:///{self.folder}/{number}.sqlite3"},
            "redis": {"session_store": self.redis_url},
        }
        xwms = fx or (self.fresh if mode == "fresh" else self.same)
        options = xwms.options(
            redirect_uris=f"{ORIGIN}{CALLBACK}",
            timeout=PATIENCE,
            # A client of its own, because all of them share one Redis.
            **({} if fx else {"client_id": f"app-{number}", "callback_token": "either" if mode == "learned" else mode}),
            **places[store],
        )
        app = App(edge, f"app-{number}", xwms, self.processes, tuple(numbers), options)
        app.connect()
        if mode == "learned":
            for at in range(len(set(numbers))):
                honest = app.visitor()
                honest.come_back(at, xwms.approve(honest.begin(at), sub="somebody honest"))
                assert honest.who() == "somebody honest"
        return app


@dataclass(slots=True)
class App:
    """One application in several processes. `numbers` are theirs; the same twice is one process."""

    edge: str
    name: str
    fx: FakeXWMS
    processes: Processes
    numbers: tuple[int, ...]
    options: Mapping[str, Any]
    doors: list[Door] = field(default_factory=list)

    def connect(self) -> None:
        self.processes.start(set(self.numbers))
        doors = {
            number: self.processes[number].serve(self.edge, self.name, self.options) for number in set(self.numbers)
        }
        self.doors[:] = [doors[number] for number in self.numbers]

    def lose(self) -> None:
        """Every process of it ends; `connect` has others take their places."""
        for number in set(self.numbers):
            self.processes.end(number)

    def visitor(self) -> Visitor:
        return Visitor(self.doors)

    def verified(self, token: str) -> int:
        """How often XWMS was asked who has approved this token."""
        return sum(call.json["token"] == token for call in self.fx.to(VERIFY))


@contextmanager
def town(folder: Path, redis_url: str) -> Iterator[Town]:
    processes = Processes(folder / "processes.log")
    with FakeXWMS(callback_token="same") as same, FakeXWMS(callback_token="fresh") as fresh:
        try:
            yield Town(processes, same, fresh, folder, redis_url)
        finally:
            processes.end_all()


# --- stories ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ending:
    """What came of a story: who the attacker is signed in as, and whether XWMS was sent what the victim brought."""

    attacker: str | None
    sent: bool = True

    def __str__(self) -> str:
        signed_in = "held" if self.attacker is None else f"SIGNED IN AS THE {self.attacker.upper()}"
        return signed_in if self.sent else f"{signed_in}; not spent"


def attacker_tries(attacker: Visitor, token: str, places: Sequence[int] = (1, 0)) -> str | None:
    """The attacker's own callback, at one process and then at the other; who that makes them."""
    for at in places:
        attacker.insist(at, attacker.come_back(at, token))
        if (sub := attacker.who()) is not None:
            return sub
    return None


def arrives(app: App, victim: Visitor, token: str, *, dest: str = "document") -> bool:
    """The victim's browser is first at the callback; whether XWMS was asked about the token then."""
    before = app.verified(token)
    victim.come_back(0, token, dest=dest)
    return app.verified(token) > before


def plain(app: App) -> Ending:
    """Nothing clever: the attacker starts, the victim approves and arrives, the attacker redeems."""
    attacker, victim = app.visitor(), app.visitor()
    token = attacker.begin(0)
    sent = arrives(app, victim, app.fx.approve(token, sub="victim"))
    return Ending(attacker_tries(attacker, token), sent)


def early_try(app: App) -> Ending:
    """SM-19: before anybody has approved, the token is tried without a cookie where the victim will arrive."""
    attacker, victim, stranger = app.visitor(), app.visitor(), app.visitor()
    token = attacker.begin(0)
    assert stranger.come_back(0, token).status == 400
    sent = arrives(app, victim, app.fx.approve(token, sub="victim"))
    return Ending(attacker_tries(attacker, token), sent)


def early_try_of_ones_own(app: App) -> Ending:
    """SM-19: the try is with the pending login; a copy of its cookie is kept, and another login beside it."""
    attacker, victim = app.visitor(), app.visitor()
    token = attacker.begin(0)
    kept = dict(attacker.jar)
    other = app.visitor()
    other.begin(1)
    assert attacker.come_back(0, token).status == 401
    sent = arrives(app, victim, app.fx.approve(token, sub="victim"))
    attacker.jar = kept
    return Ending(attacker_tries(attacker, token) or attacker_tries(other, token), sent)


def early_try_before_a_restart(apps: Sequence[App]) -> Iterator[Ending]:
    """SM-19: what one process remembers is gone with it.

    At many applications at once, because starting a process takes longer than the story.
    """
    told = []
    for app in apps:
        attacker, victim, stranger = app.visitor(), app.visitor(), app.visitor()
        token = attacker.begin(0)
        assert stranger.come_back(0, token).status == 400
        sent = arrives(app, victim, app.fx.approve(token, sub="victim"))
        told.append((app, attacker, token, sent))
    for app in apps:
        app.lose()
    for app, attacker, token, sent in told:
        app.connect()
        yield Ending(attacker_tries(attacker, token), sent)


def both_have_logins(app: App) -> Ending:
    """SM-19: the victim is in the middle of a login of their own, which began on the site."""
    attacker, victim, stranger = app.visitor(), app.visitor(), app.visitor()
    token = attacker.begin(0)
    victim.begin(0)
    assert stranger.come_back(0, token).status == 400
    sent = arrives(app, victim, app.fx.approve(token, sub="victim"))
    return Ending(attacker_tries(attacker, token), sent)


def both_have_logins_and_the_victims_tried(app: App) -> Ending:
    """SM-19: the early try is made in the victim's own browser, by a page that leads it to the callback."""
    attacker, victim = app.visitor(), app.visitor()
    token = attacker.begin(0)
    victim.begin(1)
    victim.come_back(0, token)
    sent = arrives(app, victim, app.fx.approve(token, sub="victim"))
    return Ending(attacker_tries(attacker, token), sent)


def both_have_logins_and_the_token_is_unknown(app: App) -> Ending:
    """SM-19: the same where the victim's process has not issued the token, so that it may be the victim's own."""
    attacker, victim = app.visitor(), app.visitor()
    token = attacker.begin(1)
    victim.begin(0)
    victim.come_back(0, token)
    sent = arrives(app, victim, app.fx.approve(token, sub="victim"))
    return Ending(attacker_tries(attacker, token), sent)


def in_a_frame(app: App) -> Ending:
    """SM-20: the victim's callback comes in a frame."""
    attacker, victim = app.visitor(), app.visitor()
    token = attacker.begin(0)
    sent = arrives(app, victim, app.fx.approve(token, sub="victim"), dest="iframe")
    return Ending(attacker_tries(attacker, token), sent)


def in_a_frame_after_an_early_try(app: App) -> Ending:
    """SM-20: and the token was tried before."""
    attacker, victim, stranger = app.visitor(), app.visitor(), app.visitor()
    token = attacker.begin(0)
    stranger.come_back(0, token)
    sent = arrives(app, victim, app.fx.approve(token, sub="victim"), dest="iframe")
    return Ending(attacker_tries(attacker, token), sent)


def held_refusal(app: App) -> Ending:
    """SM-21: XWMS has refused a stranger's early try, and its answer is still on its way when the victim arrives."""
    attacker, victim, stranger = app.visitor(), app.visitor(), app.visitor()
    token = attacker.begin(0)
    with under_way(app, token, lambda: stranger.come_back(0, token)):
        sent = arrives(app, victim, app.fx.approve(token, sub="victim"))
    return Ending(attacker_tries(attacker, token), sent)


def held_refusal_of_ones_own(app: App) -> Ending:
    """SM-21: the try is with the attacker's own pending login, of which they keep a copy."""
    attacker, victim = app.visitor(), app.visitor()
    token = attacker.begin(0)
    kept = dict(attacker.jar)
    with under_way(app, token, lambda: attacker.come_back(0, token)):
        sent = arrives(app, victim, app.fx.approve(token, sub="victim"))
    attacker.jar = kept
    return Ending(attacker_tries(attacker, token), sent)


def held_refusal_in_the_victims_browser(app: App) -> Ending:
    """SM-21: a page leads the victim's browser, which has a login of its own, to the callback; it comes once more."""
    attacker, victim = app.visitor(), app.visitor()
    token = attacker.begin(1)
    victim.begin(0)
    twin = Visitor(victim.doors, dict(victim.jar))
    with under_way(app, token, lambda: twin.come_back(0, token)):
        sent = arrives(app, victim, app.fx.approve(token, sub="victim"))
    return Ending(attacker_tries(attacker, token), sent)


def polls(app: App) -> Ending:
    """SM-22: three tries before the approval, then one after it, at the process that has seen them; nobody arrives."""
    attacker = app.visitor()
    token = attacker.begin(0)
    kept = dict(attacker.jar)
    for _ in range(3):
        assert Visitor(app.doors, dict(kept)).come_back(0, token).status in (400, 401)
    app.fx.approve(token, sub="victim")
    attacker.jar = kept
    return Ending(attacker_tries(attacker, token, (0,)))


def polls_with_other_logins(app: App) -> Ending:
    """SM-22: each try with another login, so that none of these is used up."""
    attackers = [app.visitor() for _ in range(4)]
    token, *_ = [attacker.begin(0) for attacker in attackers]
    for attacker in attackers[1:]:
        assert attacker.come_back(0, token).status in (400, 401)
    app.fx.approve(token, sub="victim")
    return Ending(attacker_tries(attackers[0], token, (0,)))


def polls_at_the_other_process(app: App) -> Ending:
    """SM-22: after the tries at one process, the last is at the other, with a login that was never used."""
    attacker, other = app.visitor(), app.visitor()
    token = attacker.begin(0)
    other.begin(1)
    for _ in range(3):
        assert attacker.come_back(0, token).status in (400, 401)
    app.fx.approve(token, sub="victim")
    return Ending(attacker_tries(other, token, (1,)))


def somebody_elses_session(app: App) -> Ending:
    """The other way round: a victim whose login is under way is brought home with the attacker's token.

    The ending tells who the victim is, without having said yes to anything.
    """
    attacker, victim = app.visitor(), app.visitor()
    victim.begin(0)
    victim.come_back(1, app.fx.approve(attacker.begin(0), sub="attacker"))
    return Ending(victim.who())


Story = Callable[[App], Ending]
TWO_PROCESSES: tuple[Story, ...] = (
    plain,
    early_try,
    early_try_of_ones_own,
    both_have_logins,
    both_have_logins_and_the_victims_tried,
    both_have_logins_and_the_token_is_unknown,
    in_a_frame,
    in_a_frame_after_an_early_try,
    held_refusal,
    held_refusal_of_ones_own,
    held_refusal_in_the_victims_browser,
    polls,
    polls_with_other_logins,
    polls_at_the_other_process,
    somebody_elses_session,
)
ONE_PROCESS: tuple[Story, ...] = (plain, early_try, held_refusal, held_refusal_of_ones_own, in_a_frame)


def happens(story: Story, mode: str, store: str) -> bool:
    """Whether the story is one that the package promises to end well."""
    if story is polls_at_the_other_process:
        # Where nothing is shared this is the attacker who is simply quicker than the victim; see docs/security.md.
        return store in SHARED
    if story is somebody_elses_session:
        # A fresh token tells nothing, and what nobody has shown yet is not known.
        return mode in ("same", "learned")
    return True


@contextmanager
def under_way(app: App, token: str, try_it: Callable[[], object]) -> Iterator[None]:
    """Somebody's try of the token: XWMS has answered it, and the answer arrives when the block ends."""
    reached, release = threading.Event(), threading.Event()

    def first_is_held(at: Exchange) -> Reply:
        reply = at.fx.usual(at)
        if at.request.json["token"] == token and not reached.is_set():
            reached.set()
            release.wait(PATIENCE)
        return reply

    app.fx.answer(VERIFY, first_is_held)
    with ThreadPoolExecutor(1) as threads:
        trying = threads.submit(try_it)
        # With `fresh`, sign-token's own token is refused without a call.
        trying.add_done_callback(lambda _: reached.set())
        try:
            assert reached.wait(PATIENCE)
            yield
        finally:
            release.set()
            app.fx.answer(VERIFY)
        trying.result(PATIENCE)


# --- the table -------------------------------------------------------------------------------------------------------

CASES = [(mode, store) for mode in MODES for store in STORES]


def tell(title: str, told: Iterable[tuple[tuple[str, str], Sequence[Ending], bool]]) -> None:
    sys.stdout.write(f"\n{title}\n")
    for (mode, store), endings, promised in told:
        # Both doors in one line where they agree.
        said = " / ".join(dict.fromkeys(map(str, endings)))
        note = "" if promised else "  (nothing is promised here)"
        sys.stdout.write(f"  {mode:8} {store:19} {said}{note}\n")
        sys.stdout.flush()


def main() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = stack.enter_context(redis_server(folder))
        here = stack.enter_context(town(folder, redis.url))
        for numbers, stories in (((0, 1), TWO_PROCESSES), ((0, 0), ONE_PROCESS)):
            for story in stories:
                said = (story.__doc__ or "").partition("\n")[0]
                how_many = "one process" if len(set(numbers)) == 1 else "two processes"
                told = (
                    (case, [story(here.app(edge, *case, numbers=numbers)) for edge in EDGES], happens(story, *case))
                    for case in CASES
                )
                tell(f"{story.__name__}, {how_many}: {said}", told)
        endings = [
            list(early_try_before_a_restart([here.app(edge, *case, numbers=(2, 3)) for case in CASES]))
            for edge in EDGES
        ]
        both = zip(CASES, zip(*endings, strict=True), (True for _ in CASES), strict=True)
        tell("early_try_before_a_restart, two processes: SM-19: what one process remembers is gone with it.", both)


if __name__ == "__main__":
    main()
