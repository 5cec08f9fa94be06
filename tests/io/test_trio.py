"""The async client and the transport of an ASGI application on trio."""

import time

import pytest

from tests.tools.clients import config
from tests.tools.fake_xwms import REDIRECT_URI, FakeXWMS
from xwms_auth import AsyncXWMSClient, Timeout
from xwms_auth._core.base.effects import ApiCall
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
