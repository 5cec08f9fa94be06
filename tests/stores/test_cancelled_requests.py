"""Requests that end in the middle of a command to a real Redis, and event loops that share a store.

Knows: asyncio's ways to stop waiting.
Must not: pretend any of it.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from tests.stores.conftest import opened
from tests.stores.questions import DEADLINE, begin, sub_of
from tests.tools.redis_server import RedisServer, redis_server
from xwms_auth import StoreUnavailable
from xwms_auth.testing.harness import StoreHarness
from xwms_auth.testing.store_contract import DAY, NOW, session


@pytest.fixture
def server(tmp_path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as made:
        yield made


class TestCancelledRequests(StoreHarness):
    """In March 2023 a chat showed people the titles of other people's conversations: a cancelled command had left its
    answer in a connection, and the next to use that got it (CVE-2023-28858)."""

    PEOPLE = 40

    def begun(self, url: str) -> tuple[Any, dict[str, str]]:
        store = self.opened(opened(session_store=url, is_async=True))
        return store, {f"sub-{number}": begin(self, store, f"sub-{number}") for number in range(self.PEOPLE)}

    async def everybody(self, store: Any, handles: dict[str, str]) -> None:
        """Three times as many as there are connections, all at once, each with an answer of their own."""
        asked = list(handles.items()) * 5
        deadline = time.monotonic() + DEADLINE
        # A busy machine may be late, which is no wrong answer.
        while asked and time.monotonic() < deadline:
            found = await asyncio.gather(*(store.load(one, now=NOW) for _, one in asked), return_exceptions=True)
            answered = [not isinstance(one, StoreUnavailable) for one in found]
            assert [one.user.sub for one, here in zip(found, answered, strict=True) if here] == [
                sub for (sub, _), here in zip(asked, answered, strict=True) if here
            ]
            asked = [one for one, here in zip(asked, answered, strict=True) if not here]
        assert asked == []

    def test_an_answer_to_somebody_who_left_reaches_nobody_else(self, server):
        """DS-10, SL-14"""
        store, handles = self.begun(server.url)

        async def story() -> None:
            await self.everybody(store, handles)
            for _ in range(5):
                server.pause()
                try:
                    tasks = [asyncio.ensure_future(store.load(one, now=NOW)) for one in handles.values()]
                    for _ in range(20):
                        await asyncio.sleep(0)  # the commands are on their way; the answers cannot come
                    for task in tasks:
                        task.cancel()
                    ends = await asyncio.gather(*tasks, return_exceptions=True)
                finally:
                    server.resume()
                assert all(isinstance(end, asyncio.CancelledError) for end in ends)
                await self.everybody(store, handles)

        self.ask(story())

    def test_whoever_is_cancelled_at_any_moment_disturbs_nobody(self, server):
        """DS-10, SL-14"""
        store, handles = self.begun(server.url)
        chance = random.Random(28858)
        people = list(handles.items())
        cancelled = 0

        async def ask(sub: str, handle: str) -> None:
            kind = chance.randrange(4)
            if kind == 0:
                assert await store.renew(handle, session(sub), until=NOW + DAY, now=NOW) == handle
            elif kind == 1:
                (one,) = await store.list(session(sub).user.identity, now=NOW)
                assert one.user.sub == sub
            else:
                assert (await store.load(handle, now=NOW)).user.sub == sub

        async def leave(task: "asyncio.Task[None]", after: int) -> None:
            for _ in range(after):
                await asyncio.sleep(0)
            task.cancel()

        async def story() -> None:
            nonlocal cancelled
            deadline = time.monotonic() + 3 * DEADLINE
            while cancelled < 200:
                assert time.monotonic() < deadline, f"only {cancelled} were cancelled"
                tasks = [asyncio.ensure_future(ask(*chance.choice(people))) for _ in range(100)]
                leavers: list[Awaitable[None]] = [
                    leave(task, chance.randrange(60)) for task in chance.sample(tasks, 50)
                ]
                ends = await asyncio.gather(*tasks, *leavers, return_exceptions=True)
                cancelled += sum(isinstance(end, asyncio.CancelledError) for end in ends)
                # On a busy machine some are told that the store is down, which is no wrong answer.
                others = [end for end in ends if not isinstance(end, asyncio.CancelledError | StoreUnavailable | None)]
                assert others == []
            await self.everybody(store, handles)

        self.ask(story())

    def test_those_who_left_took_no_connection_with_them(self, server):
        """DS-10"""
        store, handles = self.begun(server.url)

        async def story() -> None:
            for _ in range(20):
                tasks = [asyncio.ensure_future(store.load(one, now=NOW)) for one in handles.values()]
                await asyncio.sleep(0)
                for task in tasks:
                    task.cancel()
                with suppress(asyncio.CancelledError):
                    await asyncio.gather(*tasks)
            await self.everybody(store, handles)

        self.ask(story())
        assert len(server.client.client_list()) <= 64 + 1


class TestLoopsThatShareAStore(StoreHarness):
    def test_another_event_loop_takes_no_connection_away_from_the_one_that_keeps_them(self, server):
        """A script, or a thread of plain code, may ask beside the server's own loop."""
        store = self.opened(opened(session_store=server.url, is_async=True))
        handle = begin(self, store)
        kept = {one["id"] for one in server.client.client_list()}

        async def elsewhere() -> Any:
            return await store.load(handle, now=NOW)

        for _ in range(5):
            with ThreadPoolExecutor(1) as thread:
                assert thread.submit(asyncio.run, elsewhere()).result().user.sub == "1001"
            assert sub_of(self, store, handle) == "1001"
        assert {one["id"] for one in server.client.client_list()} == kept
