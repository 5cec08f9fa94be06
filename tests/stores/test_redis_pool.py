"""Connections to a real Redis: whose they are, and what becomes of one that is closed or gives an error."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.stores.alone import run_alone
from tests.stores.conftest import opened
from tests.stores.questions import begin, sub_of
from tests.tools.redis_server import RedisServer, redis_server
from xwms_auth import StoreUnavailable
from xwms_auth.testing.harness import StoreHarness
from xwms_auth.testing.store_contract import DAY, NOW, session


@pytest.fixture
def server(tmp_path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as made:
        yield made


def connections_of(server: RedisServer) -> int:
    """Connections of others than the test's own."""
    return sum(one["id"] != str(server.client.client_id()) for one in server.client.client_list())


async def turns_of_the_loop() -> None:
    """Let asyncio see what the sockets have to say."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_a_process_that_forks_after_use_shares_no_connection(server):
    """SL-14"""
    code = """
    import os, sys
    from tests.stores.conftest import opened
    from xwms_auth.testing.store_contract import DAY, NOW, session

    store = opened(session_store=sys.argv[1])
    handles = [store.create(session(f"sub-{number}"), until=NOW + DAY, now=NOW) for number in range(20)]

    def everybody():
        for _ in range(20):
            for number, handle in enumerate(handles):
                assert store.load(handle, now=NOW).user.sub == f"sub-{number}"

    children = []
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            try:
                everybody()
            except BaseException as error:
                sys.stderr.write(repr(error))
                os._exit(1)
            os._exit(0)
        children.append(pid)
    everybody()
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 3
    everybody()
    store.close()
    print("ok")
    """
    assert run_alone(code, server.url).strip() == "ok"


def test_the_threads_of_a_process_that_has_just_forked_share_none_either(server):
    """SL-14: another thread asks wherever the first one may be interrupted."""
    code = """
    import os, sys, threading
    import redis
    from tests.stores.conftest import opened
    from xwms_auth.testing.store_contract import DAY, NOW, session

    store = opened(session_store=sys.argv[1])
    handle = store.create(session("1001"), until=NOW + DAY, now=NOW)
    assert store.claim("login/1", until=NOW + DAY, now=NOW)
    client = redis.Redis.from_url(sys.argv[1])

    def was_used_for(command):
        return command in [one["cmd"] for one in client.client_list()]

    assert was_used_for("set"), "the connection of this process"

    def ask():
        assert store.load(handle, now=NOW).user.sub == "1001"

    def ask_and_be_interrupted(at):
        lines = iter(range(at + 1))

        def trace(frame, event, arg):
            if not frame.f_code.co_filename.endswith("redis_pool.py"):
                return None
            if event == "line" and next(lines, None) == at:
                other = threading.Thread(target=ask)
                other.start()
                other.join()
            return trace

        sys.settrace(trace)
        ask()
        return next(lines, None) is None

    for at in range(100):
        pid = os.fork()
        if pid == 0:
            os._exit(2 if ask_and_be_interrupted(at) else 0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert was_used_for("set"), "nobody else has used it"
        if status == 0:
            break
        assert status == 2
    assert 10 < at < 99, "each line once"
    print("ok")
    """
    assert run_alone(code, server.url).strip() == "ok"


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
class TestConnections(StoreHarness):
    def store(self, server: RedisServer, *, is_async: bool) -> Any:
        return self.opened(opened(session_store=server.url, is_async=is_async))

    def test_one_after_another_uses_one_connection_and_closing_closes_it(self, server, is_async):
        store = self.store(server, is_async=is_async)
        handle = begin(self, store)
        for _ in range(5):
            assert sub_of(self, store, handle) == "1001"
        assert connections_of(server) == 1
        self.ask(store.close())
        assert connections_of(server) == 0
        store = self.store(server, is_async=is_async)
        assert sub_of(self, store, handle) == "1001"

    def test_a_connection_that_redis_has_closed_is_replaced_and_the_first_question_answered(self, server, is_async):
        store = self.store(server, is_async=is_async)
        handle = begin(self, store)
        for _ in range(3):
            server.client.client_kill_filter(_type="normal", skipme=True)
            while connections_of(server):
                pass
            self.ask(turns_of_the_loop())
            assert sub_of(self, store, handle) == "1001"

    def test_after_an_error_of_redis_everybody_still_gets_their_own_answer(self, server, is_async):
        """DS-10: one command of several has failed, and the answers to the others are nobody else's."""
        store = self.store(server, is_async=is_async)
        people = {f"sub-{number}": begin(self, store, f"sub-{number}") for number in range(5)}
        lists = server.client.keys("*listed*")
        assert len(lists) == len(people)
        for name in lists:
            server.client.delete(name)
            server.client.set(name, "of somebody else")
        for sub, handle in people.items():
            with pytest.raises(StoreUnavailable):
                self.ask(store.create(session(sub), until=NOW + DAY, now=NOW))
            with pytest.raises(StoreUnavailable):
                self.ask(store.list(session(sub).user.identity, now=NOW))
            assert {sub: sub_of(self, store, one) for sub, one in people.items()} == {sub: sub for sub in people}
            assert sub_of(self, store, handle) == sub
        assert connections_of(server) == 1

    def test_closing_while_a_command_is_under_way_leaves_no_connection(self, server, is_async):
        store = self.store(server, is_async=is_async)
        handle = begin(self, store)
        server.pause()
        found: list[object] = []

        async def ask_and_close() -> None:
            asking = asyncio.ensure_future(store.load(handle, now=NOW))
            await turns_of_the_loop()
            await store.close()
            server.resume()
            found.append((await asking).user.sub)

        if is_async:
            self.ask(ask_and_close())
        else:
            begun = threading.Event()

            def ask() -> None:
                begun.set()
                found.append(store.load(handle, now=NOW).user.sub)

            thread = threading.Thread(target=ask)
            thread.start()
            begun.wait()
            store.close()
            server.resume()
            thread.join()
        assert found == ["1001"]
        if is_async:
            assert connections_of(server) == 0
