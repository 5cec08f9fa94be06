"""Access tokens that the server is asked about (RFC 7662): what it may answer, for how long, and how often it is asked.

The edges differ in nothing here but their colour, so these run on Flask and on Starlette.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.oauth2.apis import APISite
from tests.oauth2.fake_as import DISCOVERY, INTROSPECT, TOKEN, USERINFO, document
from tests.oauth2.steps import code_of
from tests.oauth2.test_bearer_jwts import NO_TEXTS
from tests.oauth2.test_id_tokens import NO_MOMENTS
from xwms_auth import AccessToken, Secret
from xwms_auth._core.base.effects import OAuthCall
from xwms_auth._core.config.state import MAX_VALIDATED, NEW_BURST, ValidatedTokens
from xwms_auth._core.oauth2.token_validation import introspect


@pytest.fixture
def api(edge, server):
    return APISite(edge, server)


one_edge = pytest.mark.parametrize("edge", ["flask"])

NO = (401, "invalid_token")
STRANGE = (502, "xwms_bad_answer")

ANSWERS = {
    "not active": ({"active": False}, NO),
    "active as text": ({"active": "true"}, STRANGE),
    "active as a number": ({"active": 1}, STRANGE),
    "not active as text": ({"active": "false"}, STRANGE),
    "nothing about active": ({"active": None}, STRANGE),
    "expired": ({"exp": int(time.time()) - 1}, NO),
    "an end that is no time": ({"exp": "tomorrow"}, STRANGE),
    "an end that is true": ({"exp": True}, STRANGE),
    "not valid yet": ({"nbf": int(time.time()) + 3600}, NO),
    "another issuer": ({"iss": "https://evil.example"}, NO),
    "a foreign client's": ({"client_id": "another-app"}, NO),
    "a foreign client's for another API": ({"client_id": "another-app", "aud": "https://other.example"}, NO),
    "our client's for another API": ({"aud": ["https://other.example"]}, NO),
    "of no client": ({"client_id": None}, STRANGE),
    **{f"exp of {said}": ({"exp": value}, STRANGE) for said, value in NO_MOMENTS.items()},
    **{f"nbf of {said}": ({"nbf": value}, NO) for said, value in NO_MOMENTS.items()},
    **{
        f"client_id with {said}": ({"client_id": value, "aud": "fx-client"}, STRANGE)
        for said, value in NO_TEXTS.items()
    },
    **{f"sub with {said}": ({"sub": value}, STRANGE) for said, value in NO_TEXTS.items()},
    "a client that is a number": ({"client_id": 5}, STRANGE),
    "a refresh token, as oidc-provider tells": ({"token_type": None}, NO),
    "a refresh token, as others tell": ({"token_type": "refresh_token"}, NO),
    "an ID token": ({"token_type": "ID", "nonce": "n"}, NO),
    "an ID token under another name": ({"at_hash": "x"}, NO),
    "bound to a certificate": ({"cnf": {"x5t#S256": "x"}}, NO),
    "bound to a key": ({"token_type": "DPoP", "cnf": {"jkt": "x"}}, NO),
    "a sub that is a list": ({"sub": ["ada"]}, STRANGE),
    "an empty sub": ({"sub": ""}, STRANGE),
    "a scope that is a number": ({"scope": 5}, STRANGE),
    "a list with two scopes in one entry": ({"scope": ["read write"]}, STRANGE),
    "an endless scope": ({"scope": "x" * 9000}, STRANGE),
    "an error": ({"error": "invalid_request"}, STRANGE),
}


@one_edge
def test_what_the_server_says_of_a_token_must_be_a_clear_yes(api, server):
    for name, (changes, expected) in ANSWERS.items():
        api.clock.advance(1)
        assert code_of(api.call(server.give(**changes))) == expected, name
    assert api.call(server.give()).status_code == 200


GOOD = {
    "an end that is unknown": {"exp": None},
    "for our client": {"aud": "fx-client", "client_id": "another-app"},
    "for our client and others": {"aud": ["x", "fx-client"]},
    "no issuer": {"iss": None},
    "scopes in a list": {"scope": ["read"]},
    "an error that is empty": {"error": ""},
    "a type in small letters": {"token_type": "bearer"},
    "valid from now, by a clock that is a little ahead": {"nbf": int(time.time()) + 30},
    "a sub that is a number": {"sub": 1234},
}


@one_edge
def test_what_a_server_may_leave_open_is_no_fault(api, server):
    for name, changes in GOOD.items():
        assert api.call(server.give(**changes)).status_code == 200, name


@one_edge
def test_with_an_audience_a_token_counts_only_if_it_is_for_it_whoever_brings_it(edge, server):
    api = APISite(edge, server, audience="https://api.example")
    for aud in ("https://api.example", ["https://api.example", "https://other.example"]):
        answer = api.call(server.give(aud=aud, client_id="another-app"))
        assert answer.json()["client_id"] == "another-app"
    for aud in (None, "", "https://api.example/", "https://other.example", "fx-client", [], {"https://api.example": 1}):
        assert code_of(api.call(server.give(aud=aud))) == NO


# --- a server that gives no answer ---

FAILURES = {
    "500 html": (503, "xwms_unreachable"),
    "close": (503, "xwms_unreachable"),
    "reset": (503, "xwms_unreachable"),
    "200 html": (502, "xwms_bad_answer"),
    "truncated": (503, "xwms_unreachable"),
    "gzip": (502, "xwms_bad_answer"),
    "hang": (504, "xwms_timeout"),
    "drip body": (504, "xwms_timeout"),
}


def test_a_server_that_gives_no_answer_opens_nothing(edge, server):
    api = APISite(edge, server, timeout=0.5)
    for fault, expected in FAILURES.items():
        token = server.give()
        server.answer(INTROSPECT, fault)
        answer = api.call(token)
        assert code_of(answer) == expected, fault
        assert "www-authenticate" not in answer.headers, fault
        assert answer.headers["cache-control"] == "no-store", fault
        assert ("retry-after" in answer.headers) == (expected[0] != 502), fault
        # Nothing of it is remembered.
        server.answer(INTROSPECT)
        assert api.call(token).status_code == 200, fault


REPLIES = [
    (document({"active": True}, 503), (503, "xwms_unreachable")),
    (document({"active": True}, 429), (503, "xwms_unreachable")),
    (document({"active": True}, 401), (500, "credentials_rejected")),
    (document({"active": True}, 403), (500, "credentials_rejected")),
    (document({"active": True}, 400), (502, "xwms_bad_answer")),
    (document({"active": True}, 302, Location="http://127.0.0.1/"), (502, "xwms_bad_answer")),
    (document([{"active": True}]), (502, "xwms_bad_answer")),
    (document({"error": "unsupported_token_type"}, 400), NO),
]


@one_edge
def test_only_a_200_can_say_yes(api, server):
    for reply, expected in REPLIES:
        server.answer(INTROSPECT, reply)
        assert code_of(api.call(server.give())) == expected, reply


def test_a_server_without_the_endpoint_opens_nothing_and_the_log_says_what_to_do(api, server, caught):
    del server.metadata["introspection_endpoint"]
    assert code_of(api.call(server.give())) == STRANGE
    assert "XWMS_TOKEN_VALIDATION=jwt" in caught()


def test_an_endpoint_that_is_named_is_asked(edge, server):
    named = {"authorization_endpoint": f"{server.url}/authorize", "token_endpoint": server.url + TOKEN}
    named |= {"userinfo_endpoint": server.url + USERINFO, "introspection_endpoint": server.url + INTROSPECT}
    api = APISite(edge, server, scopes="profile", client_auth="client_secret_post", **named)
    assert api.call(server.give()).status_code == 200
    assert server.calls(DISCOVERY) == 0
    (request,) = server.to(INTROSPECT)
    assert request.all("Authorization") == []


# --- how long an answer counts ---


@one_edge
def test_an_answer_counts_for_thirty_seconds_so_long_a_revoked_token_works(api, server):
    token = server.give()
    assert api.call(token).status_code == 200
    server.given[token] = {"active": False}
    api.clock.advance(29)
    assert api.call(token).status_code == 200
    assert server.calls(INTROSPECT) == 1
    api.clock.advance(1)
    assert code_of(api.call(token)) == NO
    assert server.calls(INTROSPECT) == 2


@one_edge
def test_an_answer_never_counts_beyond_the_tokens_own_end(api, server):
    token = server.give(exp=int(api.clock()) + 10)
    assert api.call(token).status_code == 200
    api.clock.advance(9)
    assert api.call(token).status_code == 200
    api.clock.advance(1)
    assert code_of(api.call(token)) == NO


@one_edge
def test_a_no_counts_for_a_moment(api, server):
    token = server.give(active=False)
    for _ in range(3):
        assert code_of(api.call(token)) == NO
    assert server.calls(INTROSPECT) == 1
    server.given[token] = server.given[server.give()]
    api.clock.advance(10)
    assert api.call(token).status_code == 200


@one_edge
def test_a_clock_that_was_set_back_makes_no_answer_count_longer(api, server):
    token = server.give()
    assert api.call(token).status_code == 200
    api.clock.advance(-3600)
    assert api.call(token).status_code == 200
    assert server.calls(INTROSPECT) == 2


def test_what_is_remembered_has_a_bound_and_junk_pushes_no_good_token_out():
    known = ValidatedTokens()
    token = AccessToken(issuer="i", client_id="c", sub=None, scopes=(), expires_at=None)
    for number in range(MAX_VALIDATED):
        known.learn(f"good {number}", token, now=100)
    assert known.get("good 0", now=100) is token  # used last, so it stays
    for number in range(MAX_VALIDATED + 1):
        known.learn(f"bad {number}", None, now=100)
    known.learn("one more", token, now=100)
    assert known.get("good 0", now=100) is token
    assert known.get("good 1", now=100) is None
    assert known.is_bad("bad 1", now=100)
    assert not known.is_bad("bad 0", now=100)


# --- how often the server is asked ---


def test_a_flood_of_junk_is_no_flood_at_the_server_and_touches_nobody_who_was_good_before(api, server):
    token = server.give()
    assert api.call(token).status_code == 200
    api.clock.advance(60)
    answers = [api.call(f"junk-{number}") for number in range(NEW_BURST + 20)]
    assert server.calls(INTROSPECT) == NEW_BURST + 1
    refused = answers[-1]
    assert code_of(refused) == (429, "too_many_tokens")
    assert refused.headers["retry-after"] == "2"
    assert api.call(token).status_code == 200
    api.clock.advance(1)
    assert code_of(api.call("junk")) == NO


def at_once(api: APISite, token: str, count: int) -> list[int]:
    """The statuses of that many calls at one time: in threads, or in tasks of one event loop."""
    headers = {"Authorization": f"Bearer {token}"}
    if api.edge == "flask":
        with ThreadPoolExecutor(count) as threads:
            return list(threads.map(lambda _: api.call(token).status_code, range(count)))

    async def story() -> list[int]:
        transport = httpx2.ASGITransport(api.app)
        async with httpx2.AsyncClient(transport=transport, base_url=api.origin, headers=headers) as client:
            answers = await asyncio.gather(*(client.get("/api/token") for _ in range(count)))
        return [answer.status_code for answer in answers]

    return asyncio.run(story())


def test_fifty_calls_at_once_with_one_token_ask_the_server_once(api, server):
    token = server.give()
    with ThreadPoolExecutor(1) as aside:
        with server.hold(INTROSPECT) as gate:
            calls = aside.submit(at_once, api, token, 50)
            server.wait_for_calls(INTROSPECT)
            gate.set()
        assert calls.result(20) == [200] * 50
    assert server.calls(INTROSPECT) == 1


def test_whoever_waits_for_an_answer_that_fails_asks_again(api, server):
    token = server.give()
    server.answer(INTROSPECT, "close", server.usual)
    with ThreadPoolExecutor(1) as aside:
        with server.hold(INTROSPECT) as gate:
            calls = aside.submit(at_once, api, token, 3)
            server.wait_for_calls(INTROSPECT)
            gate.set()
        assert sorted(calls.result(20)) == [200, 200, 503]


def test_a_call_that_is_given_up_in_the_middle_keeps_nobody_waiting(server):
    """DS-10"""
    api = APISite("asgi", server)
    token = server.give()

    async def story() -> int:
        transport = httpx2.ASGITransport(api.app)
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx2.AsyncClient(transport=transport, base_url=api.origin, headers=headers) as client:
            with server.hold(INTROSPECT):
                first = asyncio.create_task(client.get("/api/token"))
                await asyncio.to_thread(server.wait_for_calls, INTROSPECT)
                first.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await first
            return (await client.get("/api/token")).status_code

    begun = time.monotonic()
    assert asyncio.run(story()) == 200
    assert time.monotonic() - begun < api.config.timeout_seconds


def test_a_token_is_shown_by_nothing_that_carries_it():

    call = introspect("https://id.example/introspect", Secret("the-token"))
    assert isinstance(call, OAuthCall)
    assert call.secret is None
    assert "the-token" not in repr(call)


@one_edge
def test_a_client_whose_sub_is_its_own_id_as_a_number_acts_for_itself(edge, server):
    api = APISite(edge, server, audience="https://api.example")
    for sub in (17, "17"):
        told = api.call(server.give(client_id="17", sub=sub, aud="https://api.example")).json()
        assert (told["client_id"], told["sub"], told["identity"]) == ("17", None, None)
