"""What an introspection endpoint may say of a token, and when it or the keys are asked, without a server."""

import json
from typing import Any
from urllib.parse import parse_qs

import joserfc.jws
import pytest

from tests.oauth2.jwts import make_key, signed
from tests.oauth2.test_flow_by_hand import DISCOVERED, NAMED, Server, answer
from tests.oauth2.test_refresh_by_hand import ISSUER, NOW, context_of
from xwms_auth import Secret
from xwms_auth._core.base.bearer_errors import InvalidToken
from xwms_auth._core.base.effects import CallXWMS, Pause, UpstreamResponse
from xwms_auth._core.base.errors import APIError, BadAnswer, CredentialsRejected, TooManyTokens, Unreachable
from xwms_auth._core.config.server.cache import METADATA_MAX_AGE
from xwms_auth._core.config.state import NEW_BURST, VALID_SECONDS
from xwms_auth._core.oauth2.code_flow import OAuth2Tokens
from xwms_auth._core.oauth2.token_validation import introspect, read_introspection, validate

GONE: Any = object()


def read(
    response: UpstreamResponse | None = None, *, audience: str = "api", needs_type: bool = True, **changes: Any
) -> Any:
    good = {"active": True, "token_type": "Bearer", "aud": "api", "sub": "17", "client_id": "another"} | changes
    said = {name: value for name, value in good.items() if value is not GONE}
    return read_introspection(
        response or answer(**said), issuer=ISSUER, client_id="id", audience=audience, needs_type=needs_type, now=NOW
    )


def refused(response: UpstreamResponse) -> tuple[type[Exception], str, int | None]:
    with pytest.raises((APIError, InvalidToken)) as raised:
        read(response)
    return type(raised.value), raised.value.cause, getattr(raised.value, "upstream_status", None)


# --- the answer ---


@pytest.mark.parametrize("status", [429, 500, 502, 503, 599])
def test_an_endpoint_that_is_busy_or_down_says_when_to_come_back(status):
    body = json.dumps({"error": "invalid_client"}).encode()
    with pytest.raises(Unreachable) as raised:
        read(UpstreamResponse(status=status, content_type="application/json", body=body, retry_after=7))
    assert (raised.value.retry_after, raised.value.upstream_status) == (7, status)
    assert raised.value.cause == f"the introspection endpoint answered {status}"


@pytest.mark.parametrize(
    ("status", "says", "expected"),
    [
        (401, {}, CredentialsRejected),
        (403, {"error": "x"}, CredentialsRejected),
        (400, {"error": "invalid_client"}, CredentialsRejected),
        (400, {"error": "unsupported_token_type"}, InvalidToken),
        (400, {"error": "invalid_request"}, BadAnswer),
        (400, {}, BadAnswer),
        (402, {"error": "invalid_client"}, BadAnswer),
        (404, {"error": "unsupported_token_type"}, BadAnswer),
        (428, {}, BadAnswer),
        (430, {}, BadAnswer),
        (499, {}, BadAnswer),
        (201, {"active": True}, BadAnswer),
        (302, {}, BadAnswer),
        (200, {"active": False, "error": "invalid_client"}, BadAnswer),
        (200, {"active": False, "error": "unsupported_token_type"}, BadAnswer),
        (200, {"active": False, "error": 0}, BadAnswer),
    ],
)
def test_any_other_status_and_an_error_in_a_200_open_nothing(status, says, expected):
    kind, cause, upstream = refused(answer(status, **says))
    assert kind is expected
    if expected is not InvalidToken:
        assert (cause.startswith(f"the introspection endpoint answered {status}"), upstream) == (True, status)
    for status_without_json in (401, 403):
        page = UpstreamResponse(status=status_without_json, content_type="text/html", body=b"<html>")
        assert refused(page)[0] is CredentialsRejected


@pytest.mark.parametrize("status", [200, 400, 404])
def test_a_page_instead_of_an_answer_is_named_as_one(status):
    kind, cause, upstream = refused(UpstreamResponse(status=status, content_type="text/html", body=b"<html>"))
    assert (kind, upstream) == (BadAnswer, status)
    assert cause.startswith("the introspection endpoint: the response is text/html")


def test_only_true_means_active():
    for error in (None, ""):
        assert read(error=error).sub == "17"
    with pytest.raises(InvalidToken, match="reports that it is not active"):
        read(active=False)
    for value in (GONE, None, "true", "false", 1, 0, [], {}):
        with pytest.raises(BadAnswer, match="does not say whether"):
            read(active=value)


def test_what_is_not_of_type_bearer_is_no_access_token():
    for kind in ("bearer", "BEARER"):
        assert read(token_type=kind, nonce="n", typ="ID").sub == "17"
    for kind in ("", "refresh_token", "mac", 5, ["Bearer"]):
        with pytest.raises(InvalidToken, match="token_type is not Bearer"):
            read(token_type=kind, needs_type=False)
    with pytest.raises(InvalidToken, match="XWMS_INTROSPECTION_TOKEN_TYPE=optional"):
        read(token_type=GONE)
    for typ in (GONE, "Bearer", "AT+JWT", "JWT"):
        assert read(token_type=GONE, typ=typ, needs_type=False).sub == "17"
    for changes in ({"typ": "Refresh"}, {"typ": "ID"}, {"typ": None}, {"typ": ""}, {"nonce": "n"}, {"nonce": None}):
        with pytest.raises(InvalidToken, match="another type of token"):
            read(token_type=GONE, needs_type=False, **changes)
    for name in ("at_hash", "c_hash"):
        with pytest.raises(InvalidToken, match="only ID tokens have"):
            read(**{name: "x"})
    with pytest.raises(InvalidToken, match="bound to a key"):
        read(cnf=None)


@pytest.mark.parametrize(
    ("audience", "aud", "client_id", "is_for_us"),
    [
        ("api", "api", "another", True),
        ("api", ["other", "api"], "another", True),
        ("api", "other", "another", False),
        ("api", "id", "id", False),
        ("api", GONE, "another", False),
        ("api", GONE, "id", False),
        ("", "id", "another", True),
        ("", ["id"], "another", True),
        ("", "other", "id", False),
        ("", GONE, "id", True),
        ("", None, "id", True),
        ("", GONE, "another", False),
        ("", [], "id", False),
    ],
)
def test_a_token_is_for_this_api_or_for_the_client_itself(audience, aud, client_id, is_for_us):
    if is_for_us:
        assert read(audience=audience, aud=aud, client_id=client_id).client_id == client_id
    else:
        with pytest.raises(InvalidToken, match="not for this API"):
            read(audience=audience, aud=aud, client_id=client_id)


@pytest.mark.parametrize(
    ("says", "sub", "username"),
    [
        ({}, "17", None),
        ({"username": "ada"}, "17", "ada"),
        ({"sub": GONE, "username": "ada"}, None, "ada"),
        ({"sub": GONE}, None, None),
        ({"sub": "another"}, None, None),
        ({"username": ""}, "17", None),
        ({"username": 5}, "17", None),
    ],
)
def test_who_a_token_acts_for(says, sub, username):
    token = read(**says)
    assert (token.sub, token.username, token.scopes, token.expires_at) == (sub, username, (), None)


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        *(({"sub": None, "username": value}, "no sub, and its username is malformed") for value in ("", "a\nb", 5, [])),
        *(({"client_id": value}, "the token has no client_id") for value in (GONE, None, 5, [])),
        *(({"client_id": value}, "the token's client_id is") for value in ("", "a\nb", "x" * 256)),
        *(({"sub": value}, "the token's sub is") for value in ("", "a\nb", True, [])),
        *(({"scope": value}, "the token's scope is") for value in (5, None, 'a"b', [["a"]])),
    ],
)
def test_what_nobody_can_be_told_by_is_a_bad_answer(says, reason):
    with pytest.raises(BadAnswer, match=reason):
        read(**says)


def test_the_token_is_sent_in_a_form():
    call = introspect(f"{ISSUER}/introspect", Secret("a+b/c="))
    assert parse_qs(str(call.form)) == {"token": ["a+b/c="], "token_type_hint": ["access_token"]}
    assert (call.url, call.bearer) == (f"{ISSUER}/introspect", None)


# --- when the endpoint is asked ---

ACTIVE = answer(active=True, sub="17", client_id="another", aud="id", scope="")
INACTIVE = answer(active=False)


def asked(server: Server, token: str = "t", *, now: int = NOW) -> Any:
    return server.play(validate(server.context, Secret(token), now=now))


def test_an_answer_serves_for_a_while_and_for_its_token_alone():
    server = Server(context_of(**NAMED), introspect=ACTIVE)
    for now in (NOW, NOW + 1, NOW + VALID_SECONDS - 1):
        assert asked(server, now=now).sub == "17"
    assert server.asked == ["introspect"]
    server.answers["introspect"] = INACTIVE
    with pytest.raises(InvalidToken, match="not active"):
        asked(server, "another")
    assert asked(server).sub == "17"
    with pytest.raises(InvalidToken, match="not active"):
        asked(server, now=NOW + VALID_SECONDS)


def test_tokens_that_were_never_valid_are_asked_about_only_so_often():
    server = Server(context_of(**NAMED), introspect=INACTIVE)
    for number in range(NEW_BURST):
        with pytest.raises(InvalidToken):
            asked(server, str(number))
    with pytest.raises(TooManyTokens):
        asked(server, "one more")
    assert len(server.asked) == NEW_BURST


def test_a_token_type_is_needed_unless_the_setting_says_otherwise():
    server = Server(context_of(**(NAMED | {"introspection_token_type": "required"})), introspect=ACTIVE)
    with pytest.raises(InvalidToken, match="sends no token_type"):
        asked(server)
    with pytest.raises(BadAnswer, match="names no introspection_endpoint"):
        asked(Server(context_of(scopes="openid"), openid_configuration=answer(**DISCOVERED)))


def effects(server: Server, *, now: int = NOW) -> Any:
    return validate(server.context, Secret("t"), now=now)


def test_whoever_waits_for_a_call_waits_no_longer_than_it_can_last(quick):
    """The timeout is 3 seconds, and two more are for what is around the call."""
    server = Server(context_of(**NAMED))
    first = effects(server)
    assert isinstance(next(first), CallXWMS)
    assert isinstance(next(effects(server, now=NOW + 4)), Pause)
    with pytest.raises(Unreachable, match="has failed") as error:
        asked(server, now=NOW + 4)
    assert (len(server.paused), error.value.sent) == (50, False)
    assert isinstance(next(effects(server, now=NOW + 5)), CallXWMS)


def test_whoever_makes_the_call_after_a_wait_is_waited_for_in_turn():
    server = Server(context_of(**NAMED))
    first, second = effects(server), effects(server)
    assert isinstance(next(first), CallXWMS)
    assert isinstance(next(second), Pause)
    first.close()
    assert isinstance(second.send(None), CallXWMS)
    assert isinstance(next(effects(server, now=NOW + 4)), Pause)
    with pytest.raises(StopIteration):
        second.send(ACTIVE)
    assert asked(server).sub == "17"
    assert server.asked == []


# --- signed tokens ---

KEY = make_key("ES256")
KEYS = answer(keys=[KEY.jwk])
JWT = {"token_validation": "jwt", "audience": "api"}


def access_jwt(key: Any = KEY, *, typ: str | None = "at+jwt", **changes: Any) -> str:
    claims = {"iss": ISSUER, "aud": "api", "sub": "17", "client_id": "another", "iat": NOW, "exp": NOW + 9999}
    return signed(key, {name: value for name, value in (claims | changes).items() if value is not GONE}, typ=typ)


def api(**answers: Any) -> Server:
    options = {**NAMED, **JWT, "jwks_uri": f"{ISSUER}/keys"}
    return Server(context_of(**options), **({"keys": KEYS} | answers))


def discovering() -> Server:
    return Server(context_of(**JWT, scopes="openid"), openid_configuration=answer(**DISCOVERED), keys=KEYS)


@pytest.mark.parametrize("make", [api, discovering])
def test_the_signature_of_a_token_that_comes_again_and_again_is_verified_twice(make, monkeypatch):
    verified: list[bytes] = []
    algorithm = joserfc.jws.JWSRegistry.algorithms["ES256"]
    usual = algorithm.verify
    monkeypatch.setattr(algorithm, "verify", lambda data, *rest: verified.append(data) or usual(data, *rest))
    server, token = make(), access_jwt()
    assert [asked(server, token).sub for _ in range(5)] == ["17"] * 5
    assert len(verified) == 2
    assert asked(server, access_jwt(sub="18")).sub == "18"
    assert len(verified) == 3
    assert server.asked[-1] == "keys"


def test_a_token_that_is_known_needs_the_metadata_all_the_same():
    server, token = discovering(), access_jwt()
    server.play(OAuth2Tokens().prepare_refresh(server.context, now=NOW))
    for _ in range(3):
        asked(server, token, now=NOW + 10)
    assert asked(server, token, now=NOW + METADATA_MAX_AGE + 5).sub == "17"
    assert server.asked == ["openid_configuration", "keys", "openid_configuration"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        *(({"typ": typ}, "its typ is not at.jwt") for typ in (None, "", "JWT", "at", "at+jwtX", "logout+jwt")),
        ({"key": make_key(another=1)}, "its signature matches none"),
        ({"key": make_key(kid="2")}, "none of the server's keys"),
        ({"sub": GONE}, "it has no sub"),
        ({"sub": ""}, "the token's sub is"),
        ({"exp": GONE}, "it has no exp"),
        ({"aud": GONE}, "not for this API"),
        ({"aud": GONE, "client_id": "id"}, "not for this API"),
        ({"cnf": {}}, "bound to a key"),
    ],
)
def test_a_signed_token_that_is_not_good_is_invalid(changes, reason):
    with pytest.raises(InvalidToken, match=reason):
        asked(api(), access_jwt(**changes))


@pytest.mark.parametrize(("text", "reason"), [("a.b.c", "its header is not"), ("opaque", "in compact form")])
def test_what_is_no_signed_token_is_invalid(text, reason):
    with pytest.raises(InvalidToken, match=reason):
        asked(api(), text)


def test_keys_that_are_not_known_yet_are_asked_for_only_so_often():
    server = api(keys=answer(503))
    for number in range(NEW_BURST):
        with pytest.raises(Unreachable):
            asked(server, access_jwt(jti=str(number)))
    with pytest.raises(TooManyTokens):
        asked(server, access_jwt())
    assert len(server.asked) == NEW_BURST
    server.answers["keys"] = KEYS
    assert asked(server, access_jwt(), now=NOW + 1).sub == "17"
    for number in range(NEW_BURST):
        with pytest.raises(InvalidToken):
            asked(server, access_jwt(make_key(another=1), jti=str(number)), now=NOW + 1)
