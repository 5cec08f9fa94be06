"""A real Redis that fails, under uvloop, which tells what happened to a connection in exceptions of its own."""

import asyncio
import socket
import struct
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.stores.conftest import opened
from tests.stores.questions import HANDLE, QUESTIONS, require_down
from tests.tools.fake_xwms import Listener
from tests.tools.redis_server import RedisServer, redis_server
from xwms_auth import StoreUnavailable
from xwms_auth.testing.harness import StoreHarness
from xwms_auth.testing.store_contract import NOW

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uvloop is not for Windows")


@pytest.fixture
def server(tmp_path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as made:
        yield made


class TestARedisThatFailsUnderUvloop(StoreHarness):
    @pytest.fixture(autouse=True)
    def event_loop(self) -> Iterator[None]:
        import uvloop

        self._opened: list[Any] = []
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as self._loop:
            yield
            for store in self._opened:
                self.ask(store.close())

    def store(self, url: str) -> Any:
        return self.opened(opened(session_store=url, is_async=True))

    @pytest.mark.parametrize("limit", [("maxclients", "1"), ("maxmemory", "1")])
    def test_a_full_one_is_a_store_that_is_down(self, server, limit):
        """SL-11"""
        server.client.config_set("maxmemory-policy", "noeviction")
        store = self.store(server.url)
        server.client.config_set(*limit)
        require_down(self, store, {"create": QUESTIONS["create"], "claim": QUESTIONS["claim"]})

    @pytest.mark.parametrize("says", [b"", b"-ERR max number of clients reached\r\n"])
    def test_one_that_resets_connections_is_a_store_that_is_down(self, says):
        """SL-11: where the reset meets what is being written, uvloop raises RuntimeError; one time in twenty."""

        def serve(peer, number):
            peer.sendall(says)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        async def ask_often(store: Any) -> set[type[BaseException]]:
            found: set[type[BaseException]] = set()
            for _ in range(60):
                asked = [store.load(HANDLE, now=NOW) for _ in range(5)]
                found |= {type(one) for one in await asyncio.gather(*asked, return_exceptions=True)}
            return found

        listener = Listener(serve)
        try:
            assert self.ask(ask_often(self.store(f"redis://{listener.host}/0"))) == {StoreUnavailable}
        finally:
            listener.close()
