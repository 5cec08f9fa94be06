"""Which connection a call uses, and how long it waits for one, on both clients."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.tools.clients import Client, both, config, info, sign, verify
from tests.tools.fake_xwms import REDIRECT_URI, FakeXWMS, ask, outcomes, outcomes_at_once
from xwms_auth import AsyncXWMSClient, Timeout
from xwms_auth._core.base.effects import ApiCall
from xwms_auth._core.io import pool
from xwms_auth._core.io.deferred import DeferredTransport


@both
def test_no_more_calls_are_on_the_way_than_connections_are_allowed(
    fx: FakeXWMS, client: Client, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pool, "MAX_XWMS_CONNECTIONS", 3)
    answers = outcomes_at_once(client, config(fx), [sign] * 40)
    assert not [answer for answer in answers if isinstance(answer, Exception)]
    assert fx.max_in_flight <= 3
    assert fx.connections <= 3


@both
def test_a_call_that_waited_in_vain_leaves_its_place_to_others(
    fx: FakeXWMS, client: Client, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pool, "MAX_XWMS_CONNECTIONS", 2)
    fx.answer("sign-token", "hang", "hang", lasting=False)
    failures = outcomes_at_once(client, config(fx, timeout=0.3), [sign] * 2 + [info] * 2)
    assert [failure.code for failure in failures[:2]] == ["xwms_timeout"] * 2
    assert {getattr(failure, "code", "") for failure in failures[2:]} <= {"xwms_timeout", ""}
    answers = outcomes_at_once(client, config(fx), [info] * 10)
    assert not [answer for answer in answers if isinstance(answer, Exception)]


def test_a_call_that_finds_no_connection_in_time_was_not_sent_and_leaves_its_place(
    fx: FakeXWMS, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pool, "MAX_XWMS_CONNECTIONS", 1)
    transport = DeferredTransport(config(fx))
    with ThreadPoolExecutor(2) as threads:
        with fx.hold("info"):
            first = threads.submit(transport.send, ApiCall("GET", "info"))
            fx.wait_for_calls("info")
            with pytest.raises(Timeout) as late:
                transport.send(ApiCall("GET", "info", seconds=0.1))
            patient = threads.submit(transport.send, ApiCall("GET", "info"))
        assert (first.result().status, patient.result().status) == (200, 200)
    assert not late.value.sent
    assert (fx.calls("info"), fx.max_in_flight) == (2, 1)


@both
def test_the_connection_that_was_used_last_is_used_next(fx: FakeXWMS, client: Client):
    """So that the others get old and are closed."""

    def several(opened: Any) -> Any:
        if client is AsyncXWMSClient:
            return asyncio.gather(*(sign(opened) for _ in range(5)))
        return sign(opened)

    outcomes(client, config(fx), several, info, info, info)
    assert len({request.connection for request in fx.to("info")}) == 1


@both
def test_a_connection_that_was_idle_for_too_long_is_not_used(
    fx: FakeXWMS, client: Client, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pool, "KEEPALIVE", 0.0)
    ask(client, config(fx), info, sign, info)
    assert fx.connections == 3


@both
def test_a_place_is_free_again_when_nobody_could_be_reached(
    fx: FakeXWMS, client: Client, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pool, "MAX_XWMS_CONNECTIONS", 1)
    fx.answer("info", "reset", "truncated", "huge body", lasting=False)
    *failures, answer = outcomes(client, config(fx), info, info, info, info)
    assert [failure.code for failure in failures] == ["xwms_unreachable", "xwms_unreachable", "xwms_bad_answer"]
    assert not isinstance(answer, Exception)


def test_a_call_that_is_cancelled_while_it_waits_does_not_hold_up_the_next(
    fx: FakeXWMS, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pool, "MAX_XWMS_CONNECTIONS", 1)

    async def story() -> None:
        async with AsyncXWMSClient(config(fx)) as client:
            with fx.hold("sign-token") as gate:
                first = asyncio.ensure_future(client.sign_token(REDIRECT_URI))
                await asyncio.to_thread(fx.wait_for_calls, "sign-token")
                waiting = [asyncio.ensure_future(client.info()) for _ in range(3)]
                await asyncio.sleep(0)
                waiting[0].cancel()
                gate.set()
                await first
                waiting[1].cancel()
                await waiting[2]
            await client.info()

    asyncio.run(story())
    assert fx.max_in_flight == 1


def test_a_call_that_is_cancelled_just_as_it_gets_its_place_gives_it_to_the_next(
    fx: FakeXWMS, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pool, "MAX_XWMS_CONNECTIONS", 1)

    async def story() -> None:
        async with AsyncXWMSClient(config(fx)) as client:
            waiting: list[asyncio.Future[Any]] = []

            async def first() -> None:
                await client.info()
                waiting[0].cancel()  # before its task runs, which has been woken

            with fx.hold("info"):
                running = asyncio.ensure_future(first())
                await asyncio.to_thread(fx.wait_for_calls, "info")
                waiting += [asyncio.ensure_future(client.info()) for _ in range(2)]
                await asyncio.sleep(0)
            await asyncio.wait_for(asyncio.gather(running, waiting[1]), 10)
            assert waiting[0].cancelled()
            await client.info()

    asyncio.run(story())
    assert fx.calls("info") == 3


@both
@pytest.mark.parametrize("end", ["close", "reset", "consume then close"])
def test_a_call_that_meets_a_kept_connection_which_is_just_closing_is_not_repeated(
    fx: FakeXWMS, client: Client, end: str
):
    """RP-04: nobody can tell whether the token is spent. The next call finds a new connection."""
    token, other = fx.approve(), fx.approve(sub="other")
    fx.answer("sign-token-verify", end, lasting=False)
    _, failure, person = outcomes(client, config(fx), info, verify(token), verify(other))
    assert (failure.code, failure.sent) == ("xwms_unreachable", True)
    assert person.sub == "other"
    assert [(request.connection, request.json["token"]) for request in fx.to("sign-token-verify")] == [
        (1, token),
        (2, other),
    ]
