"""Access tokens that are JWTs of the server (RFC 9068): signature, type and claims. OC-09's list again, for APIs."""

import base64
import json
import time

import pytest

from tests.oauth2.apis import APISite
from tests.oauth2.fake_as import INTROSPECT, JWKS, document
from tests.oauth2.jwts import ALGORITHMS, base64url, encode, hs256, make_key, signed
from tests.oauth2.steps import code_of
from tests.oauth2.test_id_tokens import NO_MOMENTS
from tests.tools.fake_xwms import CLIENT_ID
from xwms_auth._core.config.state import NEW_BURST

AUDIENCE = "https://api.example"
NO = (401, "invalid_token")
NOW = int(time.time())
"""When this file was read: near enough for what is wrong by an hour, and not for what has to be right."""


# An application prints who calls it, into logs and pages.
NO_TEXTS = {
    "a line break": "ada\nroot",
    "a null": "ada\x00",
    "an escape": "ada\x1b[2J",
    "a direction": "ada\u202egro",
    "half a character": "ada\ud800",
    "spaces only": "  ",
    "too much": "x" * 256,
}


@pytest.fixture
def edge() -> str:
    """One edge, unless a test asks for both: what is decided of a token is the same on each."""
    return "asgi"


both_edges = pytest.mark.parametrize("edge", ["flask", "asgi"])


def make_api(edge, server, **options):
    return APISite(edge, server, token_validation="jwt", audience=AUDIENCE, **options)


@pytest.fixture
def api(edge, server):
    return make_api(edge, server)


@both_edges
def test_a_good_token_opens_the_api_without_a_call_for_it(api, server):
    ends = int(time.time()) + 300
    answer = api.call(server.access_jwt(scope="read write", exp=ends))
    assert answer.json() == {
        "sub": "xwms-user-1234",
        "client_id": "another-app",
        "scopes": ["read", "write"],
        "expires_at": ends,
        "username": None,
        "acts_for_itself": False,
        "issuer": server.issuer,
        "identity": [server.issuer, "xwms-user-1234"],
        "user": None,
    }
    for _ in range(3):
        assert api.call(server.access_jwt(), "/api/read").status_code == 200
    assert (server.calls(JWKS), server.calls(INTROSPECT)) == (1, 0)
    assert code_of(api.call(server.access_jwt(), "/api/write")) == (403, "insufficient_scope")


def test_every_algorithm_that_is_allowed_works(edge, server):
    for algorithm in ALGORITHMS:
        server.rotate(make_key(algorithm))
        assert make_api(edge, server).call(server.access_jwt()).status_code == 200, algorithm


def test_its_type_may_be_written_as_a_media_type(api, server):
    for kind in ("at+jwt", "AT+JWT", "application/at+jwt", "application/AT+jwt"):
        assert api.call(server.access_jwt(header={"typ": kind})).status_code == 200, kind


def test_a_jwt_of_another_type_is_no_access_token(api, server):
    """RFC 9068 4, RFC 8725 3.11: the same keys sign ID tokens and logout tokens."""
    for kind in (None, "", "JWT", "at", "jwt", "logout+jwt", "text/at+jwt", ["at+jwt"], 5):
        assert code_of(api.call(server.access_jwt(header={"typ": kind}))) == NO, kind


def test_an_id_token_is_no_access_token(edge, server):
    """Neither with keys nor by introspection, not even where its audience is what the API is called."""
    now = int(time.time())
    claims = {"iss": server.issuer, "sub": "ada", "aud": CLIENT_ID, "exp": now + 300, "iat": now, "nonce": "n"}
    for header in ({}, {"typ": "JWT"}):
        token = signed(server.key, {**claims, "client_id": CLIENT_ID, "scope": "read"}, **header)
        by_keys = APISite(edge, server, token_validation="jwt", audience=CLIENT_ID)
        assert code_of(by_keys.call(token)) == NO
        assert code_of(APISite(edge, server).call(token)) == NO


CLAIMS = {
    "another issuer": {"iss": "https://evil.example"},
    "an issuer with a slash more": {"iss": "{issuer}/"},
    "no issuer": {"iss": None},
    "another audience": {"aud": "https://other.example"},
    "an audience that begins alike": {"aud": f"{AUDIENCE}.evil.example"},
    "our client id as the audience": {"aud": CLIENT_ID},
    "no audience": {"aud": None},
    "no audience, but our client": {"aud": None, "client_id": CLIENT_ID},
    "an empty list": {"aud": []},
    "expired": {"exp": NOW - 1},
    "no end": {"exp": None},
    "an end as text": {"exp": str(NOW + 300)},
    "an end that is true": {"exp": True},
    "from the future": {"iat": NOW + 3600},
    "no beginning": {"iat": None},
    "not valid yet": {"nbf": NOW + 3600},
    "valid from a day that is text": {"nbf": "today"},
    "no sub": {"sub": None},
    "an empty sub": {"sub": ""},
    "a sub that is a list": {"sub": ["ada"]},
    "no client": {"client_id": None},
    **{f"{name} of {said}": {name: value} for said, value in NO_MOMENTS.items() for name in ("exp", "iat", "nbf")},
    **{f"client_id with {said}": {"client_id": value} for said, value in NO_TEXTS.items()},
    **{f"sub with {said}": {"sub": value} for said, value in NO_TEXTS.items()},
    "a scope that is a number": {"scope": 5},
    "a list with two scopes in one entry": {"scope": ["read write"]},
    "bound to a key": {"cnf": {"jkt": "x"}},
}


def test_a_token_with_a_wrong_claim_is_refused(api, server):
    for case, changes in CLAIMS.items():
        said = {name: value.format(issuer=server.issuer) if name == "iss" and value else value
                for name, value in changes.items()}  # fmt: skip
        assert code_of(api.call(server.access_jwt(**said))) == NO, case
    assert api.call(server.access_jwt()).status_code == 200


def test_a_token_may_be_for_several_apis_and_a_client_may_act_for_itself(api, server):
    assert api.call(server.access_jwt(aud=["https://other.example", AUDIENCE])).status_code == 200
    told = api.call(server.access_jwt(sub="another-app")).json()
    assert (told["sub"], told["identity"], told["client_id"]) == (None, None, "another-app")
    assert api.call(server.access_jwt(scope=None)).json()["scopes"] == []


def forged(server):
    """Tokens that the server has not signed."""
    good = server.access_jwt()
    head, body, signature = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    header = {"typ": "at+jwt", "kid": server.key.jwk["kid"]}
    other = make_key(server.key.algorithm, another=1)
    pem = server.key.public_pem()
    jwk = json.dumps(server.key.jwk).encode()
    evil = base64url(json.dumps({**claims, "sub": "admin"}).encode())
    return {
        "none": encode({**header, "alg": "none"}, claims, lambda data: b""),
        "none, signed": encode({**header, "alg": "None"}, claims, server.key.sign),
        "HS256 with the public key": encode({**header, "alg": "HS256"}, claims, hs256(pem)),
        "HS256 with the public JWK": encode({**header, "alg": "HS256"}, claims, hs256(jwk)),
        "HS256 with an empty key": encode({**header, "alg": "HS256"}, claims, hs256(b"")),
        "another key of that id": signed(other, claims, typ="at+jwt"),
        "a key that it brings": signed(other, claims, typ="at+jwt", jwk=other.jwk),
        "a key that it brings, of no id": signed(other, claims, typ="at+jwt", jwk=other.jwk, kid=None),
        "a key at an address": signed(other, claims, typ="at+jwt", jku=f"{server.url}/jwks"),
        "an unknown key id": server.access_jwt(header={"kid": "unknown"}),
        "other claims under the signature": f"{head}.{evil}.{signature}",
        "no signature": f"{head}.{body}.",
        "a part too few": f"{head}.{body}",
        "a part too many": f"{good}.x",
        "an extension": server.access_jwt(header={"crit": ["exp"]}),
        "claims that are a list": signed(server.key, [claims], typ="at+jwt"),
        "no JSON": "eyJ.eyJ.eyJ",
        "opaque": server.give(),
    }


def test_oc_09_a_token_that_the_server_has_not_signed_is_refused(api, server):
    """OC-09: the same list as for ID tokens."""
    for name, token in forged(server).items():
        assert code_of(api.call(token)) == NO, name
    assert api.call(server.access_jwt()).status_code == 200


def test_oc_09_with_rsa_no_public_key_is_a_secret(edge, make_as):
    """OC-09: the classic, with the key type that it was found with."""
    server = make_as(algorithm="RS256")
    api, tokens = make_api(edge, server), forged(server)
    for name in ("none", "HS256 with the public key", "HS256 with the public JWK", "another key of that id"):
        assert code_of(api.call(tokens[name])) == NO
    assert api.call(server.access_jwt()).status_code == 200


def test_a_token_ends_when_it_says_so(api, server):
    token = server.access_jwt(exp=int(api.clock()) + 10)
    api.clock.advance(9)
    assert api.call(token).status_code == 200
    api.clock.advance(1)
    assert code_of(api.call(token)) == NO


@both_edges
def test_a_new_key_is_fetched_and_an_invented_one_at_most_once_a_minute(api, server):
    assert api.call(server.access_jwt()).status_code == 200
    for number in range(5):
        assert code_of(api.call(server.access_jwt(header={"kid": f"invented {number}"}))) == NO
    assert server.calls(JWKS) == 2
    api.clock.advance(61)
    server.rotate(make_key("ES256", kid="key-2"))
    assert api.call(server.access_jwt()).status_code == 200
    assert server.calls(JWKS) == 3


@both_edges
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("close", (503, "xwms_unreachable")),
        ("200 html", (502, "xwms_bad_answer")),
        (document({}, 503), (503, "xwms_unreachable")),
    ],
)
def test_without_keys_nothing_is_opened_and_a_flood_is_no_flood_at_the_server(api, server, fault, expected):
    server.answer(JWKS, fault)
    answers = [code_of(api.call(server.access_jwt())) for _ in range(NEW_BURST + 5)]
    assert answers == [expected] * NEW_BURST + [(429, "too_many_tokens")] * 5
    assert server.calls(JWKS) == NEW_BURST
    # What cannot be a token of the server's costs it nothing.
    assert code_of(api.call("junk")) == NO
    server.answer(JWKS)
    api.clock.advance(5)
    assert api.call(server.access_jwt()).status_code == 200


@both_edges
def test_a_server_without_keys_opens_nothing(api, server):
    del server.metadata["jwks_uri"]
    assert code_of(api.call(server.access_jwt())) == (502, "xwms_bad_answer")
