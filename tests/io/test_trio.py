"""The async client and the transport of an ASGI application on trio."""

import socket
import time

import pytest
from starlette.testclient import TestClient

from tests.tools.clients import config
from tests.tools.fake_xwms import REDIRECT_URI, FakeXWMS
from tests.tools.faults import refusal
from tests.tools.site import HTTPS_URI, PROGRAM, Site, log_in
from xwms_auth import AsyncXWMSClient, Timeout, Unreachable
from xwms_auth._core.base.effects import ApiCall
from xwms_auth._core.io import sockets
from xwms_auth._core.io.deferred import AsyncDeferredTransport

trio = pytest.importorskip("trio")


def test_a_login_and_a_deadline(fx: FakeXWMS):
    async def story() -> None:
        async with AsyncXWMSClient(config(fx, timeout=0.5)) as client:
            await client.sign_token(REDIRECT_URI)
            assert (await client.verify_token(fx.approve(sub="1"), REDIRECT_URI)).sub == "1"
            fx.answer("info", "hang")
            with pytest.raises(Timeout):
                await client.info()
            await client.sign_token(REDIRECT_URI)

    began = time.monotonic()
    trio.run(story)
    assert time.monotonic() - began < 10
    assert fx.connections == 2


def test_many_at_once_and_one_that_is_cancelled(fx: FakeXWMS):
    found = []

    async def one(client: AsyncXWMSClient, number: int) -> None:
        found.append(await client.verify_token(fx.approve(sub=str(number)), REDIRECT_URI))

    async def story() -> None:
        async with AsyncXWMSClient(config(fx)) as client:
            with fx.hold("info"), trio.move_on_after(0.05):
                await client.info()
            async with trio.open_nursery() as nursery:
                for number in range(100):
                    nursery.start_soon(one, client, number)

    trio.run(story)
    assert sorted(int(person.sub) for person in found) == list(range(100))


def test_an_application_without_a_lifespan(fx: FakeXWMS):
    transport = AsyncDeferredTransport(config(fx))

    async def story() -> int:
        return (await transport.send(ApiCall("GET", "info"))).status

    assert trio.run(story) == 200


def test_a_server_that_breaks_off_is_unreachable(fx: FakeXWMS):
    fx.answer("info", "reset", "truncated", lasting=False)

    async def story() -> None:
        async with AsyncXWMSClient(config(fx)) as client:
            for _ in range(2):
                with pytest.raises(Unreachable):
                    await client.info()
            assert (await client.info()).name == "FX"

    trio.run(story)


def test_two_addresses_that_answer_at_one_moment_leave_one_connection(fx: FakeXWMS, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sockets, "NEXT_ADDRESS", 0)
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *more, **named: 2 * real("127.0.0.1", *more, **named))
    settings = config(fx, api_url=fx.api_url.replace("127.0.0.1", "localhost"))

    async def story() -> None:
        async with AsyncXWMSClient(settings) as client:
            for _ in range(3):
                assert (await client.info()).name == "FX"

    trio.run(story)
    assert len({request.connection for request in fx.requests}) == 1


def test_whoever_gives_up_a_page_does_not_keep_a_session_that_xwms_has_withdrawn(fx: FakeXWMS):
    site = Site("asgi", fx, recheck=60, session_store="memory://", redirect_uris=HTTPS_URI)
    fx.answer("get/user/info", refusal(404, "Not found."))
    client = TestClient(site.app, base_url="https://app.example", follow_redirects=False)
    assert log_in(client, fx).status_code == 303
    cookie = "; ".join(f"{one.name}={one.value}" for one in client.cookies.jar)
    headers = [(b"host", b"app.example"), (b"cookie", cookie.encode())]
    scope = {"type": "http", "method": "GET", "path": "/who", "query_string": b"", "headers": headers}

    async def never() -> None:
        await trio.sleep_forever()

    async def ignored(message: object) -> None: ...

    async def story() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(site.app, {**scope, "asgi": {"version": "3.0"}}, never, ignored)
            await trio.to_thread.run_sync(fx.wait_for_calls, "get/user/info")
            nursery.cancel_scope.cancel()
            gate.set()

    site.clock.advance(61)
    with fx.hold("get/user/info") as gate:
        trio.run(story)
    assert client.get("/who", headers=PROGRAM).status_code == 401
    assert fx.calls("get/user/info") == 1
