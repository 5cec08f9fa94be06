"""A real Redis that fails: what is asked meanwhile is refused in time, and nothing is lost or revived by it.

Knows: what happens to servers, and what may be asked of a store.
Must not: pretend any of it.
"""

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from inspect import isawaitable
from typing import Any

import pytest

from tests.stores.conftest import opened
from tests.stores.questions import (
    QUESTIONS,
    READS,
    WRITES,
    await_answer,
    begin,
    require_down,
    sub_of,
)
from tests.tools.fake_xwms import Listener
from tests.tools.redis_server import RedisServer, redis_server
from xwms_auth import StoreUnavailable
from xwms_auth._core.base.models import EndReason
from xwms_auth._core.base.session import Session
from xwms_auth.cli.ports import any_free
from xwms_auth.testing.harness import StoreHarness
from xwms_auth.testing.store_contract import DAY, NOW, session


@pytest.fixture
def server(tmp_path) -> Iterator[RedisServer]:
    with redis_server(tmp_path, durable=True) as made:
        yield made


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
@pytest.mark.usefixtures("short_store_timeouts")
class TestARedisThatFails(StoreHarness):
    def store(self, url: str, *, is_async: bool) -> Any:
        return self.opened(opened(session_store=url, is_async=is_async))

    def test_one_that_was_never_started_is_down_and_not_empty(self, is_async):
        """SL-11"""
        require_down(self, self.store(f"redis://127.0.0.1:{any_free()}/0", is_async=is_async))

    @pytest.mark.parametrize("end", ["stop", "kill"])
    def test_one_that_ended_is_down_until_it_is_back_with_everything(self, server, is_async, end):
        """SL-11: the same store object serves again, and the first question is answered."""
        store = self.store(server.url, is_async=is_async)
        handle, left = begin(self, store), begin(self, store)
        self.ask(store.drop(left, why=None, now=NOW))
        getattr(server, end)()
        require_down(self, store)
        server.start()
        assert sub_of(self, store, handle) == "1001"
        assert sub_of(self, store, left) is None
        assert len(self.ask(store.list(session().user.identity, now=NOW))) == 1

    def test_one_that_stalls_is_down_within_the_bound_and_serves_again_when_it_goes_on(self, server, is_async):
        """SL-11"""
        store = self.store(server.url, is_async=is_async)
        handle = begin(self, store)
        server.pause()
        try:
            require_down(self, store)
        finally:
            server.resume()
        await_answer(self, store)
        assert sub_of(self, store, handle) == "1001"

    def test_many_who_ask_a_stalled_one_are_all_told_and_get_their_own_answers_later(self, server, is_async):
        """DS-10: an answer that comes too late is nobody's."""
        store = self.store(server.url, is_async=is_async)
        handles = {f"sub-{number}": begin(self, store, f"sub-{number}") for number in range(16)}
        server.pause()
        try:
            told = self.at_once(*[lambda one=one: _what_is_told(store, one) for one in handles.values()])
        finally:
            server.resume()
        assert told == ["down"] * len(handles)
        await_answer(self, store)
        found = self.at_once(*[lambda one=one: store.load(one, now=NOW) for one in handles.values()])
        assert [one.user.sub for one in found] == list(handles)

    def test_a_wrong_password_is_down_and_told_to_nobody(self, tmp_path, is_async):
        """SL-11"""
        with redis_server(tmp_path, password="right-Passw0rd") as server:
            for url in (
                server.url.replace("right-Passw0rd", "wr0ng-Passw0rd"),
                server.url.replace(":right-Passw0rd@", ""),
            ):
                store = self.store(url, is_async=is_async)
                require_down(self, store)
                with pytest.raises(StoreUnavailable) as refused:
                    begin(self, store)
                assert "Passw0rd" not in f"{refused.value!r} {refused.value} {refused.value.__context__!r}"

    def test_a_password_that_was_changed_back_needs_no_new_store(self, tmp_path, is_async):
        with redis_server(tmp_path, password="right-Passw0rd") as server:
            store = self.store(server.url, is_async=is_async)
            handle = begin(self, store)
            server.client.config_set("requirepass", "another-Passw0rd")
            server.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            require_down(self, store)
            server.client.config_set("requirepass", "right-Passw0rd")
            assert sub_of(self, store, handle) == "1001"

    def test_a_full_one_refuses_logins_and_goes_on_knowing_who_is_there(self, server, is_async):
        store = self.store(server.url, is_async=is_async)
        handle = begin(self, store)
        server.client.config_set("maxmemory-policy", "noeviction")
        server.client.config_set("maxmemory", "1")
        require_down(self, store, writes_about(handle, "create", "renew", "claim", "forbid"))
        assert sub_of(self, store, handle) == "1001"
        # Ending a session needs a little room for the reason; without one it needs none.
        self.ask(store.drop(handle, why=None, now=NOW))
        assert sub_of(self, store, handle) is None
        server.client.config_set("maxmemory", "0")
        assert sub_of(self, store, begin(self, store)) == "1001"

    def test_a_copy_that_may_not_be_written_to_goes_on_knowing_who_is_there(self, server, is_async):
        store = self.store(server.url, is_async=is_async)
        handle = begin(self, store)
        server.client.config_set("replica-serve-stale-data", "yes")
        server.client.execute_command("REPLICAOF", "127.0.0.1", any_free())
        require_down(self, store, writes_about(handle, "create", "drop", "renew", "claim", "forbid"))
        assert sub_of(self, store, handle) == "1001"
        server.client.execute_command("REPLICAOF", "NO", "ONE")
        assert sub_of(self, store, begin(self, store)) == "1001"

    def test_something_else_on_its_port_is_down(self, is_async):
        """SL-11: a web server, one that hangs up, half an answer, an error, and junk."""
        for answer in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"$5\r\nab", b"-ERR no\r\n", b"\xff\xfe\r\n"):

            def serve(peer, number, answer=answer):
                while peer.recv(65536):
                    peer.sendall(answer)
                    if not answer:
                        return

            listener = Listener(serve)
            try:
                require_down(self, self.store(f"redis://{listener.host}/0", is_async=is_async), READS)
            finally:
                listener.close()

    def test_restarts_amid_traffic_lose_nobody_and_revive_nobody(self, server, is_async):
        """SL-05, SL-14"""
        store = self.store(server.url, is_async=is_async)
        over = threading.Event()
        people = [_Person(store, f"sub-{number}", over) for number in range(6)]

        def restart() -> None:
            try:
                for end in (server.kill, server.stop, server.kill):
                    for person in people:
                        person.wait_for_more()
                    end()
                    for person in people:
                        person.wait_for_a_refusal()
                    server.start()
            finally:
                over.set()

        self._all(is_async, people, restart)
        for person in people:
            assert person.faults == []
            assert min(len(person.ended), len(person.alive)) > 0, "the traffic was too thin to say anything"
            for handle in person.alive:
                assert sub_of(self, store, handle) == person.sub
            for handle in person.ended:
                assert sub_of(self, store, handle) in (None, EndReason.WITHDRAWN)
            listed = self.ask(store.list(session(person.sub).user.identity, now=NOW))
            assert len(person.alive) <= len(listed) <= len(person.alive) + person.unknown

    def _all(self, is_async: bool, people: "list[_Person]", restart: Callable[[], None]) -> None:
        with ThreadPoolExecutor(len(people) + 1) as threads:
            restarted = threads.submit(restart)
            if is_async:

                async def everybody() -> None:
                    await asyncio.gather(*(person.live() for person in people))

                self.ask(everybody())
            else:
                for one in [threads.submit(asyncio.run, person.live()) for person in people]:
                    one.result()
            restarted.result()


async def _answer(asked: Any) -> Any:
    return await asked if isawaitable(asked) else asked


def _what_is_told(store: Any, handle: str) -> Any:
    async def wait(asked: Awaitable[Any]) -> str:
        with suppress(StoreUnavailable):
            return f"{await asked}"
        return "down"

    try:
        asked = store.load(handle, now=NOW)
    except StoreUnavailable:
        return "down"
    return wait(asked) if isawaitable(asked) else f"{asked}"


def writes_about(handle, *names):
    """These writes, about a session that is there."""
    chosen = {name: WRITES[name] for name in names}
    return chosen | {"renew": lambda store: store.renew(handle, session(), until=NOW + DAY, now=NOW)}


class _Person:
    """Logs in, comes back and logs out until it is over, and notes what must be true whatever happens meanwhile."""

    def __init__(self, store: Any, sub: str, over: threading.Event) -> None:
        self.sub = sub
        self.alive: list[str] = []
        self.ended: list[str] = []
        self.faults: list[str] = []
        self.unknown = 0  # sessions of which nobody can say: the answer to their beginning or end was lost
        self._store, self._over = store, over
        self._random = random.Random(sub)
        self._done, self._refused = threading.Semaphore(0), threading.Semaphore(0)

    def wait_for_more(self) -> None:
        for _ in range(20):
            assert self._done.acquire(timeout=20)

    def wait_for_a_refusal(self) -> None:
        while self._refused.acquire(blocking=False):
            pass
        assert self._refused.acquire(timeout=20)

    async def live(self) -> None:
        first = [self._log_out, *[self._log_in] * 5]  # so that there is something to lose and something to revive
        while not self._over.is_set():
            choice = self._random.choice([self._log_in, self._come_back, self._come_back, self._log_out])
            step = first.pop() if first else choice
            try:
                await step()
            except StoreUnavailable:
                self._refused.release()
                await asyncio.sleep(0)
            else:
                self._done.release()

    async def _log_in(self) -> None:
        if len(self.alive) > 5:
            return
        self.unknown += 1
        self.alive.append(await _answer(self._store.create(session(self.sub), until=NOW + DAY, now=NOW)))
        self.unknown -= 1

    async def _come_back(self) -> None:
        for handle in self._random.sample(self.alive, min(1, len(self.alive))):
            found = await _answer(self._store.load(handle, now=NOW))
            if not (isinstance(found, Session) and found.user.sub == self.sub):
                self.faults.append(f"lost: {found}")
            if await _answer(self._store.renew(handle, session(self.sub), until=NOW + DAY, now=NOW)) is None:
                self.faults.append("lost at its renewal")
        for handle in self._random.sample(self.ended, min(1, len(self.ended))):
            found = await _answer(self._store.load(handle, now=NOW))
            if found not in (None, EndReason.WITHDRAWN):
                self.faults.append(f"wrongly alive: {found}")

    async def _log_out(self) -> None:
        if len(self.alive) < 3:
            return  # an end whose answer is lost says nothing, and some must be left to say it of
        handle = self.alive.pop()
        self.unknown += 1
        why = self._random.choice([None, EndReason.WITHDRAWN])
        await _answer(self._store.drop(handle, why=why, now=NOW))
        self.unknown -= 1
        self.ended.append(handle)
        if await _answer(self._store.renew(handle, session(self.sub), until=NOW + DAY, now=NOW)) is not None:
            self.faults.append("revived by a renewal")


def test_every_method_of_a_store_is_among_the_questions():
    asked = {name.partition(" ")[0] for name in QUESTIONS}
    store = opened(session_store="memory://")
    methods = {name for name in dir(store) if not name.startswith("_") and callable(getattr(store, name))}
    assert methods - asked == {"recall"}
