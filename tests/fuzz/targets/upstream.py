"""Raw answers of XWMS and of an authorization server: head, framing, body; beside h11 and pydantic's JSON parser."""

import json
import re
from functools import cache
from types import SimpleNamespace
from typing import Any, Final

import pydantic_core

from tests.corpus.answers import BAD, BAD_URLS, GOOD, GOOD_URLS, SUBS, envelope
from tests.fuzz.answers import (
    FAILURES,
    HALF_PAIR,
    MARK,
    MAX_BODY,
    Answered,
    body_of,
    framed,
    id_of,
    object_of,
    response_of,
)
from tests.fuzz.house import TOKEN, Wire, doors_for, house, http_answer
from tests.fuzz.judges import judge, sealed_sub, signs_in, tally, where_a_browser_goes
from tests.fuzz.lines import lines_of
from tests.fuzz.targets import Target
from tests.fuzz.targets.callbacks import oauth_house, pending_of_oauth
from tests.tools.fake_xwms import CLIENT_ID
from tests.tools.site import CALLBACK, FROM_HERE, HTTPS_URI, LOGIN, PROGRAM
from xwms_auth import APIError, User, XWMSClient
from xwms_auth._core.api.login_calls import verify_token
from xwms_auth._core.base.effects import UpstreamResponse, run
from xwms_auth._core.base.strict_json import parse_json_object
from xwms_auth._core.oauth2.endpoints import state_of

LOGIN_ORIGINS: Final = ("https://login.xwms.nl", "https://xwms.nl")

PIECES: Final = lines_of("pieces", "answers")


def person_in(found: Answered | None) -> str | None:
    """Whom an answer to sign-token-verify names, if it may name anybody."""
    parsed = object_of(found)
    data = parsed.get("data") if parsed is not None and parsed.get("status") == "success" else None
    if not isinstance(data, dict):
        return None
    for name, expected in (("token", TOKEN), ("client_id", CLIENT_ID)):
        if data.get(name) is not None and str(data[name]) != expected:
            return None
    nested = data.get("user")
    return id_of((nested if isinstance(nested, dict) and nested else data).get("sub"))


class _Canned:
    """A transport with one response."""

    def __init__(self, response: UpstreamResponse) -> None:
        self._response = response

    def send(self, call: object) -> UpstreamResponse:
        return self._response


def envelope_of_verify(data: bytes) -> None:
    """A response to sign-token-verify, without HTTP, names the same person here and elsewhere, or is a known error.

    The first line is the status and the content type; without it, 200 and JSON.
    """
    number, kind, body = response_of(data)
    response = UpstreamResponse(status=number, content_type=kind, body=body)
    expected = person_in((number, [(b"content-type", kind.encode("latin-1"))], body))
    runtime: Any = SimpleNamespace(transport=_Canned(response), store=None)
    try:
        outcome: User | APIError = run(verify_token(house("answers").config, TOKEN, HTTPS_URI), runtime)
    except APIError as error:
        outcome = error
    _check(outcome, expected, body, data)


def _check(outcome: User | APIError, expected: str | None, body: bytes | None, data: bytes) -> None:
    """A person exactly where one was expected, or a known error that says nothing of the server's."""
    if isinstance(outcome, User):
        assert outcome.sub == expected, (data, outcome)
        tally["a person"] += 1
        return
    assert outcome.code in FAILURES | {"token_rejected", "not_approved"}, outcome
    assert MARK not in f"{outcome}{outcome.cause}", outcome
    if expected is not None and body is not None and len(body) <= MAX_BODY:
        assert parse_json_object(body) is None, (data, outcome)  # two equal keys, which only the strict reader sees
    tally[outcome.code] += 1


@cache
def _client() -> tuple[Wire, XWMSClient]:
    config = house("answers").config
    return Wire(lambda sent: b""), XWMSClient(config)


def client_answer(data: bytes) -> None:
    """`verify_token` of the client gives the person whom an answer names to other parsers too, or raises."""
    data = framed(data)
    wire, client = _client()
    expected = person_in(found := body_of(data))
    with wire.answering(lambda sent: data), wire.plugged():
        outcome = _verify(client)
    _check(outcome, expected, found[2] if found else None, data)


def _verify(client: XWMSClient) -> User | APIError:
    try:
        return client.verify_token(TOKEN, HTTPS_URI)
    except APIError as error:
        return error


def verify_answer(data: bytes) -> None:
    """An answer to sign-token-verify signs in whom it names to other parsers too, or is a known error."""
    data = framed(data)
    app = house("answers")
    expected = person_in(found := body_of(data))
    signed_in = None
    with app.wire.answering(lambda sent: data):
        for door in (doors := doors_for(data)):
            app.clock.now += 4_000
            headers = [*PROGRAM.items(), ("Cookie", app.pending(TOKEN))]
            answer = app.send(door, CALLBACK, query=f"token={TOKEN}", headers=headers)
            judge(answer, may_fail=FAILURES)
            assert MARK not in f"{answer.body!r}{answer.headers}{answer.lines}", answer
            now = sealed_sub(app, answer) if signs_in(answer) else None
            assert door == doors[0] or now == signed_in, (data, signed_in, now)
            signed_in = now
            if signed_in is not None:
                assert answer.status == 303, answer
                assert signed_in == expected, (data, signed_in, expected)
            elif expected is not None and found is not None and len(found[2]) <= MAX_BODY:
                assert parse_json_object(found[2]) is None, (data, answer)
            assert len(app.wire.requests) == 1, app.wire.requests
    tally["signed in" if signed_in else f"{answer.code}"] += 1


def start_answer(data: bytes) -> None:
    """An answer to sign-token leads to a login page of XWMS, or is a known error."""
    data = framed(data)
    app = house(login_origins=LOGIN_ORIGINS)
    parsed = object_of(body_of(data))
    with app.wire.answering(lambda sent: data):
        for door in doors_for(data):
            app.clock.now += 4_000
            answer = app.send(door, LOGIN, headers=[*{**FROM_HERE, **PROGRAM}.items()])
            judge(answer, may_fail=FAILURES, elsewhere=LOGIN_ORIGINS)
            assert MARK not in f"{answer.body!r}{answer.lines}", answer
            assert not signs_in(answer), answer
            if answer.status == 302:
                (location,) = answer.all("location")
                assert where_a_browser_goes(location).origin in LOGIN_ORIGINS, location
                assert parsed is not None, (data, location)
                assert parsed["status"] == "success", (data, location)
                assert location in (
                    parsed["data"].get("url"),
                    parsed["data"].get("redirect_url"),
                    parsed.get("redirect_url"),
                )
    tally["led to XWMS" if answer.status == 302 else f"{answer.code}"] += 1


def token_answer(data: bytes) -> None:
    """An answer of a token endpoint signs in only with a bearer token in a 200, and then whom userinfo names."""
    _oauth(data, lambda sent: sent.startswith(b"POST /token "), "access_token")


def userinfo_answer(data: bytes) -> None:
    """An answer of a userinfo endpoint signs in the person whom it names, or is a known error."""
    _oauth(data, lambda sent: sent.startswith(b"GET /userinfo "), "sub")


def _oauth(data: bytes, is_asked: Any, needed: str) -> None:
    data = framed(data)
    app = oauth_house()
    usual = app.wire.answer
    parsed = object_of(body_of(data))
    with app.wire.answering(lambda sent: data if is_asked(sent) else usual(sent)):
        for door in doors_for(data):
            app.clock.now += 4_000
            seed = f"{int(app.clock.now):043}"
            headers = [*PROGRAM.items(), ("Cookie", pending_of_oauth(app, seed, door))]
            answer = app.send(door, CALLBACK, query=f"code=a-code&state={state_of(seed)}", headers=headers)
            judge(answer, may_fail=FAILURES)
            assert MARK not in f"{answer.body!r}{answer.lines}", answer
            if signs_in(answer):
                assert parsed is not None, (data, answer)
                assert needed in parsed, (data, answer)
                assert needed != "sub" or sealed_sub(app, answer) == id_of(parsed["sub"]), (data, answer)
                assert needed == "sub" or str(parsed.get("token_type") or "bearer").lower() == "bearer", data
    tally["signed in" if signs_in(answer) else f"{answer.code}"] += 1


def strict_json(data: bytes) -> None:
    """What the strict reader takes, pydantic's parser reads as the same object; what it refuses is no such object."""
    ours = parse_json_object(data)
    try:
        theirs = pydantic_core.from_json(data, allow_inf_nan=False)
    except ValueError:
        theirs = None
    if ours is not None:
        # The other one stops at a depth of 200, and takes no half of a surrogate pair (RFC 8259 8.2 lets both do so).
        assert ours == theirs or (theirs is None and (_is_deep(data) or HALF_PAIR.search(data))), data
        tally["taken"] += 1
        return
    if isinstance(theirs, dict):
        twice: list[bool] = []
        json.loads(data, object_pairs_hook=lambda found: twice.append(len(dict(found)) < len(found)))
        assert any(twice) or re.search(rb"[eE]|\d{300}", data), (data, theirs)
    tally["refused"] += 1


def _is_deep(data: bytes) -> bool:
    return data.count(b"[") + data.count(b"{") > 100


# --- seeds -----------------------------------------------------------------------------------------------------------

_HEADS: Final = lines_of("seeds", "answers")


@cache
def _answers() -> list[bytes]:
    bodies = [
        b"HTTP/1.1 %d x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s"
        % (one.status, (one.content_type or "").encode(), len(one.body), one.body)
        for one in (*GOOD, *BAD)
        if len(one.body) < 4_000
    ]
    subs = [http_answer(envelope(f'{{"sub": {sub.json}}}')) for sub in SUBS if len(sub.json) < 4_000]
    refusals = [
        http_answer(json.dumps({"status": "error", "message": f"{text} {MARK}", "data": {}}).encode(), status=status)
        for status in (b"400 x", b"401 x", b"403 x", b"404 x", b"422 x", b"200 OK", b"503 x", b"429 x")
        for text in (
            "The token is not valid.",
            "The redirect URI is not registered.",
            "The client is disabled.",
            "The secret is wrong.",
        )
    ]
    echoes = [
        http_answer(envelope(f'{{"sub": "1234", "token": {token}}}'))
        for token in (f'"{TOKEN}"', '"another"', "1", "[[[[1]]]]", "{}", "null", "true", "[" * 900 + "]" * 900)
    ]
    return [*_HEADS, *bodies, *subs, *refusals, *echoes, *_documents()]


@cache
def _starts() -> list[bytes]:
    urls = [url for url in (*GOOD_URLS, *BAD_URLS) if len(url) < 2_000]
    documents = [{"status": "success", "data": {"token": TOKEN, "url": url}} for url in urls]
    documents += [{"status": "success", "redirect_url": GOOD_URLS[0], "data": {"token": TOKEN}}]
    documents += [
        {"status": "success", "data": {"token": TOKEN, "redirect_url": GOOD_URLS[0], "expires_at": moment}}
        for moment in (
            "2029-01-01T00:00:00Z",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "soon",
            1,
            None,
        )
    ]
    bodies = [json.dumps(document).encode() for document in documents]
    return [*_HEADS, *map(http_answer, bodies), *bodies]


@cache
def _tokens() -> list[bytes]:
    good = {"access_token": "an-access-token", "token_type": "Bearer", "expires_in": 3600, "scope": "profile"}
    changes: tuple[dict[str, object], ...] = (
        {},
        {"token_type": "MAC"},
        {"token_type": None},
        {"expires_in": "3600"},
        {"expires_in": 1e300},
        {"expires_in": -1},
        {"access_token": None},
        {"access_token": ["a"]},
        {"access_token": "a\nb"},
        {"scope": ["a", "b"]},
        {"scope": 1},
        {"refresh_token": ""},
        {"refresh_token": "r" * 5000},
        {"id_token": "a.b.c"},
        {"error": "invalid_grant"},
        {"access_token": "é"},
    )
    error = json.dumps({"error": "invalid_grant", "error_description": MARK}).encode()
    return [
        *_HEADS,
        *(http_answer(json.dumps({**good, **change}).encode()) for change in changes),
        *(json.dumps({**good, **change}).encode() for change in changes),
        *(http_answer(error, status=status) for status in (b"400 x", b"401 x", b"200 OK", b"500 x")),
    ]


@cache
def _people() -> list[bytes]:
    bodies = [
        f'{{"sub": {sub.json}, "name": "{MARK}"}}'.encode("utf-8", "replace") for sub in SUBS if len(sub.json) < 4_000
    ]
    return [*_HEADS, *map(http_answer, bodies), *bodies]


@cache
def _documents() -> list[bytes]:
    return [one.body for one in (*GOOD, *BAD) if len(one.body) < 4_000] + [
        envelope(f'{{"sub": {sub.json}}}') for sub in SUBS if len(sub.json) < 4_000
    ]


@cache
def _envelopes() -> list[bytes]:
    heads = [f"{one.status} {one.content_type or ''}\n".encode() for one in (*GOOD, *BAD)]
    return [*_documents(), *(head + GOOD[0].body for head in dict.fromkeys(heads))]


TARGETS: Final = (
    Target(run=envelope_of_verify, seeds=_envelopes, pieces=PIECES, longest=1000, figure=200_000),
    Target(run=client_answer, seeds=_answers, pieces=PIECES, longest=5000, figure=200_000),
    Target(run=verify_answer, seeds=_answers, pieces=PIECES, longest=5000, figure=50_000),
    Target(run=start_answer, seeds=_starts, pieces=PIECES, longest=5000, figure=50_000),
    Target(run=token_answer, seeds=_tokens, pieces=PIECES, longest=5000, figure=50_000),
    Target(run=userinfo_answer, seeds=_people, pieces=PIECES, longest=5000, figure=50_000),
    Target(run=strict_json, seeds=_documents, pieces=PIECES, longest=5000, figure=500_000),
)
