"""Logins without a pause while the client secret changes at XWMS: which of them fail, and when.

Both ways that docs/rotation.md describes, at a real local XWMS with its dashboard, through a real server:

- `regenerate`: the secret is regenerated, and some logins later its source is updated. Those in between are refused.
- `second`: a second secret is added, the source is updated, and the first one is removed. No login is refused.

`python -m tests.statements.rotation [LOGINS]` does it for each door, login flow and kind of source, and prints a line
each; it exits with 1 if a login failed that must not. One person is signed in all the time.
"""

import asyncio
import logging
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import httpx2

from tests.attacks.real_servers import listening
from tests.oauth2.steps import code_of
from tests.statements.story import Dashboard, copied
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, LOGIN, PROGRAM, asgi_app, flask_app
from xwms_auth import XWMSConfig
from xwms_auth._core.config.secret_sources import SecretFromFile
from xwms_auth.cli.ports import any_free
from xwms_auth.sandbox import SandboxServer, SandboxSettings

LOGINS, AT_ONCE = 400, 8  # with a few more, so that some begin after the last step
MOST_A_SECOND = 40  # a process lets 50 begin: what it refuses beyond is not what is measured here
PATIENCE = 60.0
WAYS = ("regenerate", "second")
FLOWS = ("sign-token", "oauth2")
SOURCES = {"flask": ("file", "callable"), "asgi": ("file", "callable", "async")}
CASES = [(edge, flow, source) for edge, sources in SOURCES.items() for flow, source in product(FLOWS, sources)]
SECRETS = "/clients/1/secrets"


class Source:
    """Where the application has its secret from."""

    def __init__(self, kind: str, secret: str, folder: Path) -> None:
        self.kind = kind
        self.reads = 0
        self._file = folder / "secret"
        self.update(secret)

    def update(self, secret: str) -> None:
        """As an operator does it: the file is emptied and written, or the secret manager gets another value."""
        if self.kind == "file":
            self._file.write_text(secret)
        self._secret = secret

    def option(self) -> Any:
        if self.kind == "file":
            return SecretFromFile(self._file)
        return self._read if self.kind == "callable" else self._wait

    def _read(self) -> str:
        self.reads += 1
        time.sleep(0.02)
        return self._secret

    async def _wait(self) -> str:
        self.reads += 1
        await asyncio.sleep(0.02)
        return self._secret


@dataclass(frozen=True, slots=True)
class Login:
    """One login. The times are monotonic; `code` is that of a refusal, empty if there was none."""

    began: float
    ended: float
    code: str


@dataclass
class Outcome:
    """What came of a run. `moments` are the steps of the rotation, by name, when they were done."""

    way: str
    logins: list[Login] = field(default_factory=list)
    moments: dict[str, float] = field(default_factory=dict)
    pages: Counter[int] = field(default_factory=Counter)
    reads: int = 0

    @property
    def failed(self) -> list[Login]:
        return [login for login in self.logins if login.code]

    @property
    def wrong(self) -> list[Login]:
        """Failures that must not be: any with two secrets; with one those that were not in between."""
        if self.way == "second":
            return self.failed
        # A login is in between if it was under way at any time between the two steps.
        first, last = self.moments["regenerate"], self.moments["update"]
        return [one for one in self.failed if one.began > last or one.ended < first or one.code != REFUSED]

    @property
    def is_good(self) -> bool:
        return not self.wrong and set(self.pages) == {200}

    def __str__(self) -> str:
        codes = ", ".join(f"{count} {code}" for code, count in Counter(one.code for one in self.failed).items())
        before, after = min(self.moments.values()), self.moments["update"]
        between = sum(one.ended >= before and one.began <= after for one in self.failed)
        return (
            f"{len(self.logins)} logins, {len(self.failed)} failed ({codes or 'none'}): "
            f"{between} in between, {sum(one.began > after for one in self.failed)} after the update; "
            f"{self.pages[200]} of {self.pages.total()} pages of who was signed in; source read {self.reads} times"
        )


REFUSED = "credentials_rejected"


class Person:
    """A browser. The application is at its redirect URI's origin."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        # Without certificates, which take longer to read than a login: nothing here is https.
        self._http = httpx2.Client(base_url=origin, trust_env=False, timeout=PATIENCE, verify=False)

    def log_in(self) -> Login:
        began = time.monotonic()
        answer = self._http.get(LOGIN, headers=FROM_HERE)
        for _ in range(5):
            if answer.status_code not in (302, 303):
                break
            location = answer.headers["location"]
            if not location.startswith("http"):
                return Login(began, time.monotonic(), "" if self.sees() == 200 else "not signed in")
            answer = self._http.get(location, headers=FROM_ELSEWHERE)
        status, code = code_of(answer)
        return Login(began, time.monotonic(), code or str(status))

    def sees(self) -> int:
        return self._http.get("/who", headers=PROGRAM).status_code

    def close(self) -> None:
        self._http.close()


def rotate(way: str, edge: str, flow: str, kind: str, *, logins: int, folder: Path) -> Outcome:
    """Do all of it, once."""
    port = any_free()
    origin = f"http://localhost:{port}"
    settings = SandboxSettings(redirect_uris=(origin + CALLBACK,), auto_login="1001", scopes=("userinfo",))
    with SandboxServer(settings, port=0) as server:
        source = Source(kind, settings.client_secret, folder)
        config = XWMSConfig(
            client_id=settings.client_id,
            client_secret=source.option(),
            redirect_uris=origin + CALLBACK,
            api_url=server.api_url,
            session_secret="a session secret of the app, long enough for anybody",
            # All of it is in one process, which may be slow.
            timeout=PATIENCE,
            max_slow_calls=100,
            **({"flow": "oauth2", "issuer": server.url} if flow == "oauth2" else {}),
        )
        with serving(edge, config, port):
            dashboard = Dashboard(server.url)
            try:
                return _under_load(way, dashboard, source, origin, logins=logins)
            finally:
                dashboard.close()


@contextmanager
def serving(edge: str, config: XWMSConfig, port: int) -> Iterator[None]:
    app = (flask_app if edge == "flask" else asgi_app)(config, time.time)
    with listening(Served(edge, app), socket.create_server(("127.0.0.1", port))):
        yield


@dataclass(frozen=True, slots=True)
class Served:
    """As much of a `Site` as a server needs."""

    edge: str
    app: Any


def _under_load(way: str, dashboard: Dashboard, source: Source, origin: str, *, logins: int) -> Outcome:
    outcome, news = Outcome(way), threading.Condition()
    started, started_after = 0, -1
    done = threading.Event()

    def log_in_again_and_again() -> None:
        nonlocal started
        while True:
            with news:
                # Some at least have to begin when everything is over.
                if started >= logins and 0 <= started_after <= started - AT_ONCE:
                    return
                started += 1
            begun = time.monotonic()
            person = Person(origin)
            login = person.log_in()
            person.close()
            with news:
                outcome.logins.append(login)
                news.notify_all()
            done.wait(max(AT_ONCE / MOST_A_SECOND - (time.monotonic() - begun), 0.0))

    def stay() -> None:
        person = Person(origin)
        assert not person.log_in().code
        ready.set()
        while not done.is_set():
            outcome.pages[person.sees()] += 1
            done.wait(0.01)
        person.close()

    def when(count: int) -> None:
        with news:
            assert news.wait_for(lambda: len(outcome.logins) >= count, PATIENCE * 2), "the logins have stopped"

    ready = threading.Event()
    with ThreadPoolExecutor(AT_ONCE + 1) as threads:
        staying = threads.submit(stay)
        assert ready.wait(PATIENCE)
        working = [threads.submit(log_in_again_and_again) for _ in range(AT_ONCE)]
        try:
            steps = _steps(way, dashboard, source)
            enough = 0
            for number, (name, step) in enumerate(steps, 1):
                when(max(logins * number // (len(steps) + 1), enough))
                began = time.monotonic()
                step()
                # XWMS takes the new secret at some time within the step; the source has it at the end of its own.
                outcome.moments[name] = began if name == "regenerate" else time.monotonic()
                enough = len(outcome.logins) + AT_ONCE + 1  # so that one of them begins after this step
            with news:
                started_after = started
            for one in working:
                one.result()
        finally:
            done.set()
        staying.result()
    outcome.reads = source.reads
    return outcome


def _steps(way: str, dashboard: Dashboard, source: Source) -> Sequence[tuple[str, Callable[[], object]]]:
    """What the operator does, one after the other."""
    fresh: list[str] = []

    def regenerate() -> None:
        fresh.append(copied(dashboard.send(f"{SECRETS}/1/regenerate", "/regenerate"), "client-secret"))

    def add() -> None:
        fresh.append(copied(dashboard.send(SECRETS, "/secrets", label="Second"), "client-secret"))

    def update() -> None:
        source.update(fresh[0])

    def remove() -> None:
        assert dashboard.send(SECRETS, "/secrets/1/remove").status_code == 200

    dashboard.send("", "/enter", member="1")
    if way == "regenerate":
        return (("regenerate", regenerate), ("update", update))
    return (("add", add), ("update", update), ("remove", remove))


def main(logins: int) -> int:
    logging.disable()  # each refusal is a line, and is counted here
    bad = 0
    for way in WAYS:
        for edge, flow, kind in CASES:
            with tempfile.TemporaryDirectory() as folder:
                outcome = rotate(way, edge, flow, kind, logins=logins, folder=Path(folder))
            bad += not outcome.is_good
            verdict = "good" if outcome.is_good else "BAD"
            sys.stdout.write(f"{way:10} {edge:5} {flow:10} {kind:8} {verdict:4} {outcome}\n")
            sys.stdout.flush()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else LOGINS))
