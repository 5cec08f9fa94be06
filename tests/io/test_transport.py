"""How calls to XWMS travel: headers, deadline, size, redirects, cookies, the environment, connections, many at once.

Every story runs on both clients through one body; see `ask` in `tools/fake_xwms.py`.
"""

import asyncio
import gc
import json
import random
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.tools.clients import Client, both, config, info, sign, verify
from tests.tools.fake_xwms import CANARY, CLIENT_ID, REDIRECT_URI, FakeXWMS, ask, outcomes, outcomes_at_once
from tests.tools.faults import Exchange, Reply, delayed, envelope, redirect
from xwms_auth import AsyncXWMSClient, XWMSClient
from xwms_auth._core.base.errors import APIError
from xwms_auth.cli.ports import any_free

TIMEOUTS = (
    "hang",
    "drip body",
    "drip chunks",
    "drip headers",
    "drip informational",
    "body never ends",
    "consume then hang",
)
BROKEN_CONNECTIONS = ("close", "reset", "consume then close", "truncated", "truncated chunks", "truncated headers")
NOT_HTTP = ("not http", "bad chunk size", "two lengths", "huge header")
TOO_LARGE = ("huge body", "huge chunks", "gzip bomb")
CAP = 64 * 1024
LONG = 5.0  # seconds: far more than the deadline of a second, far less than a drip would take


# --- what is sent ----------------------------------------------------------------------------------------------------


@both
def test_a_secured_call_carries_the_documented_headers_once_each_and_the_redirect_url(fx: FakeXWMS, client: Client):
    token = fx.approve()
    ask(client, config(fx, domain="app.example"), sign, verify(token))
    (started,), (verified,) = fx.to("sign-token"), fx.to("sign-token-verify")
    assert (started.target, verified.target) == ("/api/sign-token", "/api/sign-token-verify")
    assert started.json == {"redirect_url": REDIRECT_URI}
    assert verified.json == {"token": token, "redirect_url": REDIRECT_URI}
    for request in (started, verified):
        assert request.method == "POST"
        assert request.all("X-Client-Id") == [CLIENT_ID]
        assert request.all("X-Client-Secret") == [CANARY]
        assert request.all("X-Client-Domain") == ["app.example"]
        assert request.all("Accept") == ["application/json"]
        assert request.all("Content-Type") == ["application/json"]
        assert request.all("Accept-Encoding") == ["identity"]
        assert request.all("Host") == [fx.host]
        assert request.all("Cookie") == request.all("Authorization") == []


@both
def test_info_needs_no_credentials_and_therefore_sends_no_secret(fx: FakeXWMS, client: Client):
    ask(client, config(fx), info)
    (request,) = fx.requests
    assert (request.method, request.target, request.body) == ("GET", "/api/info", b"")
    assert CANARY.encode() not in request.raw_head
    assert request.all("Accept-Encoding") == ["identity"]


@both
def test_an_api_base_without_its_last_slash_still_works(fx: FakeXWMS, client: Client):
    for base in ("/api", "/api/"):
        ask(client, config(fx, api_url=fx.url + base), info, sign)
        assert [request.target for request in fx.requests[-2:]] == ["/api/info", "/api/sign-token"], base


@both
def test_an_api_below_a_longer_path_keeps_that_path(fx: FakeXWMS, client: Client):
    fx.answer("/proxy/v2/api/info", envelope({"application": {}, "client": {}, "api": {}}))
    outcomes(client, config(fx, api_url=fx.url + "/proxy/v2/api"), info)
    assert [request.target for request in fx.requests] == ["/proxy/v2/api/info"]


@both
def test_a_token_cannot_change_where_a_call_goes(fx: FakeXWMS, client: Client):
    """UT-16"""
    tokens = ["../../info", "https://evil.example/", "//evil.example/x", "a?b=c#d", "a%2f..%2fb", "@evil.example"]
    outcomes(client, config(fx), *map(verify, tokens))
    assert {request.target for request in fx.requests} <= {"/api/sign-token-verify"}
    assert {request.json["token"] for request in fx.requests} <= set(tokens)


# --- nothing is followed, kept, or taken from the environment ------------------------------------------------------


@both
def test_a_redirect_is_never_followed(fx: FakeXWMS, client: Client):
    """SE-01"""
    locations = ["http://{sink}/x", "//{sink}/x", "http://{fx}@{sink}/x", "http://{fx}/api/info", "/api/info", "", "?x"]
    cases = [(status, place) for status in (300, 301, 302, 303, 304, 307, 308) for place in locations]
    questions = {"info": info, "sign-token": sign, "sign-token-verify": verify("a-token-0123456789")}
    for call, question in questions.items():
        fx.answer(call, *(redirect(status, place) for status, place in cases))
        failures = outcomes(client, config(fx), *[question] * len(cases))
        for case, failure in zip(cases, failures, strict=True):
            assert getattr(failure, "code", failure) == "xwms_bad_answer", (call, case)
    assert fx.sink.connections == 0
    assert len(fx.requests) == len(questions) * len(cases)


@both
def test_a_cookie_of_xwms_is_not_sent_back(fx: FakeXWMS, client: Client):
    """UT-14"""
    fx.answer("info", "set-cookie")
    fx.answer("sign-token", "set-cookie")
    ask(client, config(fx), info, sign, info, sign, verify(fx.approve()))
    assert [request.all("Cookie") for request in fx.requests] == [[]] * 5


@both
def test_proxies_and_netrc_of_the_environment_are_ignored(
    fx: FakeXWMS, client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """SE-09"""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://{fx.sink_host}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login joe password hunter2\ndefault login joe password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    ask(client, config(fx), info, sign)
    assert fx.sink.connections == 0
    assert [request.target for request in fx.requests] == ["/api/info", "/api/sign-token"]
    assert [request.all("Authorization") for request in fx.requests] == [[], []]


@both
def test_tls_keys_are_not_written_where_the_environment_says(
    fx: FakeXWMS, client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """SE-09"""
    log = tmp_path / "tls-keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    (failure,) = outcomes(client, config(fx, api_url=f"https://{fx.sink_host}/api/"), sign)
    assert isinstance(failure, APIError)
    assert not log.exists()


# --- deadline --------------------------------------------------------------------------------------------------------


@both
def test_one_deadline_covers_the_whole_call(client: Client, subtests: pytest.Subtests):
    """A timeout per read would never fire: every byte of the drip comes in time (UT, DS-04)."""

    def story(fault: str) -> tuple[float, int, Any, Any]:
        with FakeXWMS() as fx:
            fx.answer("sign-token-verify", fault, lasting=False)
            began = time.monotonic()
            token = fx.approve()
            failure, later = outcomes(client, config(fx, timeout=1), verify("a-token-0123456789"), verify(token))
            return time.monotonic() - began, fx.calls("sign-token-verify"), failure, later

    with ThreadPoolExecutor(len(TIMEOUTS)) as threads:  # all of them wait for the same second
        stories = list(threads.map(story, TIMEOUTS))
    for fault, (seconds, calls, failure, later) in zip(TIMEOUTS, stories, strict=True):
        with subtests.test(fault):
            assert seconds < LONG
            assert (failure.code, failure.status, failure.sent) == ("xwms_timeout", 504, True)
            assert later.sub == "xwms-user-1234"
            assert calls == 2


@both
def test_waiting_for_a_free_connection_counts_towards_the_deadline(fx: FakeXWMS, client: Client):
    fx.answer("sign-token", "hang")
    began = time.monotonic()
    failures = outcomes_at_once(client, config(fx, timeout=0.3), [sign] * 80)
    # The last ones are not tried: so many timeouts in a row open the circuit breaker.
    assert {getattr(failure, "code", failure) for failure in failures} <= {"xwms_timeout", "xwms_unreachable"}
    assert time.monotonic() - began < 3 * LONG  # 20 threads need four rounds


@both
def test_a_slow_call_does_not_hold_up_another(fx: FakeXWMS, client: Client):
    """The answer to info is let go only when sign-token has arrived."""
    with fx.hold("info") as gate:

        def let_go(at: Exchange) -> Reply | None:
            gate.set()
            return fx.usual(at)

        fx.answer("sign-token", let_go)
        first, second = outcomes_at_once(client, config(fx), [info, sign])
    assert not isinstance(first, Exception)
    assert not isinstance(second, Exception)


# --- size ------------------------------------------------------------------------------------------------------------


def padded(size: int) -> Reply:
    body = envelope({"sub": "1234"}).body
    return Reply(body=body + b" " * (size - len(body)))


@both
def test_an_answer_of_exactly_64_kib_is_read_and_one_byte_more_is_refused(fx: FakeXWMS, client: Client):
    """UT-08"""
    fx.answer("sign-token-verify", padded(CAP), padded(CAP + 1))
    fits, refused = outcomes(client, config(fx), verify("a-token-0123456789"), verify("a-token-9876543210"))
    assert fits.sub == "1234"
    assert refused.code == "xwms_bad_answer"


@both
@pytest.mark.parametrize("fault", TOO_LARGE)
def test_a_hundred_megabytes_are_refused_without_being_held(fx: FakeXWMS, client: Client, fault: str):
    """UT-08"""
    fx.answer("sign-token", fault)
    settings = config(fx)
    (warm,) = outcomes(client, settings, sign)  # what is made once is made: imports, contexts, the bomb itself
    assert (warm.code, warm.status) == ("xwms_bad_answer", 502)
    gc.collect()
    tracemalloc.start()
    try:
        (failure,) = outcomes(client, settings, sign)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert failure.code == "xwms_bad_answer"
    assert peak < 5 * 1024 * 1024


# --- broken connections --------------------------------------------------------------------------------------------


@both
def test_a_refused_connection_is_unreachable_and_nothing_was_sent(fx: FakeXWMS, client: Client):
    (failure,) = outcomes(client, config(fx, api_url=f"http://127.0.0.1:{any_free()}/api/"), verify("a-token-01234"))
    assert (failure.code, failure.status, failure.sent) == ("xwms_unreachable", 503, False)
    assert failure.retry_after


@both
def test_a_broken_answer_is_an_error_is_not_tried_again_and_harms_no_later_call(
    fx: FakeXWMS, client: Client, subtests: pytest.Subtests
):
    """RP-04"""
    for calls, fault in enumerate((*BROKEN_CONNECTIONS, *NOT_HTTP), start=1):
        fx.answer("sign-token-verify", fault, lasting=False)
        token = fx.approve()
        failure, later = outcomes(client, config(fx), verify("a-token-0123456789"), verify(token))
        with subtests.test(fault):
            assert isinstance(failure, APIError)
            assert (failure.code, failure.status) in {("xwms_unreachable", 503), ("xwms_bad_answer", 502)}
            assert failure.sent
            assert later.sub == "xwms-user-1234"
            assert fx.calls("sign-token-verify") == 2 * calls


@both
def test_xwms_spent_the_token_but_its_answer_was_lost_so_the_call_is_not_repeated(fx: FakeXWMS, client: Client):
    """RP-04"""
    token = fx.approve()
    fx.answer("sign-token-verify", "consume then close", lasting=False)
    (failure,) = outcomes(client, config(fx), verify(token))
    assert failure.sent
    assert fx.calls("sign-token-verify") == 1


@both
def test_connections_are_kept_and_reused(fx: FakeXWMS, client: Client):
    ask(client, config(fx), info, sign, info, sign)
    assert fx.connections == 1


@both
def test_a_connection_that_xwms_closed_while_idle_costs_no_call(fx: FakeXWMS, client: Client):
    token = fx.approve()
    person = ask(client, config(fx), sign, lambda _: fx.drop_connections(), verify(token))
    assert person.sub == "xwms-user-1234"
    assert fx.calls("sign-token-verify") == 1


@both
def test_an_answer_that_came_before_the_question_is_never_taken(fx: FakeXWMS, client: Client):
    """UT-17: a second answer behind the first one must not become the answer to the next person's call."""
    stray = envelope({"sub": "somebody-else"}).wire()

    def two_answers(at: Exchange) -> Reply | None:
        usual = fx.usual(at)
        at.send(usual.wire() + stray)
        at.wait_until_gone()
        return None

    fx.answer("sign-token-verify", two_answers)
    first, second = fx.approve(sub="first"), fx.approve(sub="second")
    one, two = outcomes(client, config(fx, timeout=2), verify(first), verify(second))
    assert one.sub == "first"
    assert isinstance(two, APIError) or two.sub == "second"


# --- many at once ----------------------------------------------------------------------------------------------------


@both
def test_two_hundred_answers_in_random_order_each_reach_their_own_caller(fx: FakeXWMS, client: Client):
    """UT-17"""
    chance = random.Random(1)
    fx.answer("sign-token-verify", *(delayed(chance.uniform(0, 0.02)) for _ in range(200)))
    tokens = {f"person-{number}": fx.approve(sub=f"person-{number}") for number in range(200)}
    people = outcomes_at_once(client, config(fx), [verify(token) for token in tokens.values()])
    assert [getattr(person, "sub", person) for person in people] == list(tokens)
    assert fx.calls("sign-token-verify") == 200


@both
def test_twenty_calls_really_are_in_flight_together(fx: FakeXWMS, client: Client):
    with fx.hold("sign-token") as gate:

        def last(at: Exchange) -> Reply | None:
            fx.wait_for_calls("sign-token", 19)
            gate.set()
            return fx.usual(at)

        fx.answer("info", last)
        answers = outcomes_at_once(client, config(fx), [*[sign] * 19, info])
    assert not [answer for answer in answers if isinstance(answer, Exception)]
    assert fx.max_in_flight == 20


def test_a_cancelled_call_leaves_a_client_that_works(fx: FakeXWMS):
    """DS-10"""

    async def story() -> None:
        async with AsyncXWMSClient(config(fx)) as client:
            with fx.hold("sign-token"):
                for number in range(1, 31):
                    task = asyncio.ensure_future(client.sign_token(REDIRECT_URI))
                    await asyncio.to_thread(fx.wait_for_calls, "sign-token", number)
                    task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await task
            await client.sign_token(REDIRECT_URI)

    asyncio.run(story())


def test_the_body_of_a_call_is_plain_json(fx: FakeXWMS):
    """A token with quotes, line breaks or other scripts cannot add members to the body."""
    strange = 'a","redirect_url":"https://evil.example/","x":"\u2028é'
    outcomes(XWMSClient, config(fx), verify(strange))
    for request in fx.requests:
        pairs = json.loads(request.body, object_pairs_hook=list)
        assert sorted(name for name, _ in pairs) == ["redirect_url", "token"]
        assert request.json == {"token": strange, "redirect_url": REDIRECT_URI}
