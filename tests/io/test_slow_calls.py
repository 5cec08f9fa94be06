"""An XWMS that hangs: few workers wait for it, everybody else is told at once, and it is tried again by one."""

import asyncio
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from email.utils import formatdate
from typing import Any

import httpx2
import pytest

from tests.tools.clients import Client, both, config, info
from tests.tools.fake_xwms import FakeXWMS, outcomes
from tests.tools.faults import Exchange, Reply
from tests.tools.site import FROM_HERE, LOGIN, Site
from xwms_auth import AsyncXWMSClient, Timeout, Unreachable, XWMSClient
from xwms_auth._core.base.effects import ApiCall
from xwms_auth._core.base.memory.limits import CircuitBreaker, Patience
from xwms_auth._core.io import transport
from xwms_auth._core.io.deferred import AsyncDeferredTransport
from xwms_auth.cli.ports import any_free

PATIENCE = 20.0


def starts(site: Site, count: int, threads: ThreadPoolExecutor) -> "list[Future[httpx2.Response]]":
    sent = [(name, value) for name, value in FROM_HERE.items()]
    return [threads.submit(site.raw, LOGIN, headers=sent) for _ in range(count)]


def until_ended(calls: "list[Future[httpx2.Response]]", count: int) -> "list[httpx2.Response]":
    """The responses of the first so many calls that end."""
    waiting = set(calls)
    while len(waiting) > len(calls) - count:
        ended, waiting = wait(waiting, timeout=PATIENCE, return_when=FIRST_COMPLETED)
        assert ended, "the calls do not end"
    return [call.result() for call in calls if call.done()]


# --- how many may be slow --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("limit", [1, 3])
def test_few_login_starts_wait_for_an_xwms_that_hangs_and_the_others_are_told(make_site: Any, limit: int):
    """SM-12"""
    site = make_site(max_slow_calls=limit, timeout=PATIENCE)
    with ThreadPoolExecutor(12) as threads, site.fx.hold("sign-token") as gate:
        calls = starts(site, 8, threads)
        given_up = until_ended(calls, 8 - limit)
        # One that begins only after the first have become slow is told at once.
        assert 504 in {answer.status_code for answer in given_up} <= {503, 504}
        assert all(int(answer.headers["Retry-After"]) > 0 for answer in given_up)
        arrived = site.fx.calls("sign-token")
        at_once = [call.result(PATIENCE) for call in starts(site, 4, threads)]
        assert {answer.status_code for answer in at_once} == {503}
        assert all(int(answer.headers["Retry-After"]) > 0 for answer in at_once)
        assert site.fx.calls("sign-token") == arrived
        assert site.raw("/").text == "home"
        gate.set()
        assert [call.result(PATIENCE).status_code for call in calls].count(302) == limit
        assert [call.result(PATIENCE).status_code for call in starts(site, 1, threads)] == [302]


@pytest.mark.usefixtures("quick")
def test_what_another_client_of_the_process_waits_for_counts_as_well(fx: FakeXWMS):
    """SM-12: they share the same workers."""
    settings = config(fx, max_slow_calls=1, timeout=PATIENCE)
    with ThreadPoolExecutor(2) as threads, fx.hold("info") as gate, XWMSClient(settings) as one:
        calls = [threads.submit(outcomes, AsyncXWMSClient, settings, info) for _ in range(2)]
        wait(calls, timeout=PATIENCE, return_when=FIRST_COMPLETED)
        with pytest.raises(Unreachable) as refused:
            one.countries()
        assert not refused.value.sent
        assert fx.calls("global/countries") == 0
        gate.set()


@both
@pytest.mark.usefixtures("quick")
def test_a_change_that_was_sent_is_not_given_up(fx: FakeXWMS, client: Client):
    """Whether the address was deleted would be unknown."""
    settings = config(fx, max_slow_calls=1, timeout=PATIENCE)
    other = Patience(1)
    with ThreadPoolExecutor(1) as threads, fx.hold("user/address") as gate:
        call = threads.submit(outcomes, client, settings, lambda opened: opened.addresses("1").delete("7"))
        fx.wait_for_calls("user/address")
        assert other.may_go_on()
        assert not wait([call], timeout=0.4).done
        gate.set()
        other.end()
        assert getattr(call.result(PATIENCE)[0], "code", "") != "xwms_timeout"


@both
def test_sixty_four_quick_calls_at_once_all_succeed(fx: FakeXWMS, client: Client):
    """SM-12: none is answered before all have come."""
    everybody = threading.Barrier(64)

    def together(at: Exchange) -> Reply | None:
        everybody.wait(PATIENCE)
        return fx.usual(at)

    fx.answer("info", together)
    settings = config(fx)
    if client is AsyncXWMSClient:

        async def story() -> list[Any]:
            async with AsyncXWMSClient(settings) as opened:
                return list(await asyncio.gather(*(opened.info() for _ in range(64))))

        assert len(asyncio.run(story())) == 64
    else:
        with ThreadPoolExecutor(64) as threads, XWMSClient(settings) as opened:
            assert len(list(threads.map(lambda _: opened.info(), range(64)))) == 64


# --- the circuit breaker ---------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_breaker_opens_after_several_outages_in_a_row_and_never_after_one():
    clock = Clock()
    breaker = CircuitBreaker(outages=3, seconds=5, clock=clock)
    for _ in range(10):
        breaker.failed()
        breaker.failed()
        breaker.answered()  # a refusal is an answer
        assert breaker.wait() == 0
    for _ in range(3):
        assert breaker.wait() == 0
        breaker.failed()
    assert breaker.wait() == 5
    clock.now += 4
    assert breaker.wait() == 1


def test_one_call_at_a_time_tries_and_the_first_answer_closes_it():
    clock = Clock()
    breaker = CircuitBreaker(outages=1, seconds=5, clock=clock)
    breaker.failed()
    clock.now += 5
    assert breaker.wait(9) == 0
    assert [breaker.wait(9) for _ in range(3)] == [9, 9, 9]
    breaker.failed()
    assert breaker.wait(9) == 5
    clock.now += 5
    assert breaker.wait(9) == 0
    breaker.answered()
    assert [breaker.wait(9) for _ in range(3)] == [0, 0, 0]


def test_whoever_cancels_the_call_that_tries_does_not_keep_the_breaker_open():
    """Denial of service: the next one tries at once."""
    clock = Clock()
    breaker = CircuitBreaker(outages=1, seconds=5, clock=clock)
    breaker.failed()
    clock.now += 5
    assert breaker.wait(9) == 0
    breaker.unknown()
    assert breaker.wait(9) == 0


def test_a_call_that_is_cancelled_while_it_tries_leaves_that_to_the_next(fx: FakeXWMS, monkeypatch: pytest.MonkeyPatch):
    """Denial of service: as above, for a whole call."""
    monkeypatch.setattr(transport, "OPEN_SECONDS", 0)
    fx.answer("info", *["hang"] * transport.OUTAGES, lasting=False)
    sender = AsyncDeferredTransport(config(fx))

    async def story() -> int:
        for _ in range(transport.OUTAGES):
            with pytest.raises(Timeout):
                await sender.send(ApiCall("GET", "info", seconds=0.1))
        with fx.hold("info"):
            trying = asyncio.ensure_future(sender.send(ApiCall("GET", "info")))
            await asyncio.to_thread(fx.wait_for_calls, "info", transport.OUTAGES + 1)
            with pytest.raises(Unreachable):
                await sender.send(ApiCall("GET", "info"))
            trying.cancel()
            await asyncio.gather(trying, return_exceptions=True)
        return (await sender.send(ApiCall("GET", "info"))).status

    assert asyncio.run(story()) == 200


@both
def test_a_server_that_refuses_connections_is_left_alone_after_some(fx: FakeXWMS, client: Client):
    """SM-12"""
    api = f"http://127.0.0.1:{any_free()}/api/"
    failures = outcomes(client, config(fx, api_url=api), *[info] * (transport.OUTAGES + 2))
    assert [failure.code for failure in failures] == ["xwms_unreachable"] * len(failures)
    assert not any(failure.sent for failure in failures)
    assert [f"{transport.OUTAGES} outages" in failure.cause for failure in failures] == [
        *[False] * transport.OUTAGES,
        True,
        True,
    ]
    assert 1 <= failures[-1].retry_after <= transport.OPEN_SECONDS


@both
def test_timeouts_in_a_row_open_the_breaker(fx: FakeXWMS, client: Client):
    """SM-12"""
    fx.answer("info", "hang")
    failures = outcomes(client, config(fx, timeout=0.1), *[info] * (transport.OUTAGES + 1))
    assert [failure.code for failure in failures] == ["xwms_timeout"] * transport.OUTAGES + ["xwms_unreachable"]
    assert fx.calls("info") == transport.OUTAGES


@both
def test_the_first_answer_closes_the_breaker(fx: FakeXWMS, client: Client, monkeypatch: pytest.MonkeyPatch):
    """SM-12"""
    monkeypatch.setattr(transport, "OPEN_SECONDS", 0)
    fx.answer("info", *["hang"] * transport.OUTAGES, lasting=False)
    answers = outcomes(client, config(fx, timeout=0.1), *[info] * (transport.OUTAGES + 3))
    assert [getattr(one, "name", None) for one in answers] == [None] * transport.OUTAGES + ["FX"] * 3


@both
def test_answers_of_any_kind_are_no_outages(fx: FakeXWMS, client: Client):
    fx.answer("info", *["hang", Reply(status=500), Reply(status=429), Reply(status=401)] * (transport.OUTAGES + 1))
    failures = outcomes(client, config(fx, timeout=0.05), *[info] * 4 * transport.OUTAGES)
    assert "outages" not in "".join(failure.cause for failure in failures)
    assert fx.calls("info") == len(failures)


# --- Retry-After -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        ("37", {37}),
        ("0", {0}),
        ("99999999999", {86_400}),
        ("in two minutes", set(range(60, 122))),
        ("Fri, 01 Jan 1990 00:00:00 GMT", {0}),
        ("soon", {10}),
        ("-5", {10}),
    ],
)
@pytest.mark.parametrize("status", [503, 429])
def test_when_to_come_back_is_passed_on(site: Site, sent: str, seconds: set[int], status: int):
    """RFC 9110 10.2.3: seconds or a date; anything else is ignored."""
    value = formatdate(time.time() + 120, usegmt=True) if sent == "in two minutes" else sent
    site.fx.answer("sign-token", Reply(status=status, headers={"Retry-After": value}))
    with ThreadPoolExecutor(1) as threads:
        (call,) = starts(site, 1, threads)
        answer = call.result(PATIENCE)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) in seconds
