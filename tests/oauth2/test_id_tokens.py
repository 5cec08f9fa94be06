"""ID tokens that must not log anybody in, and those that must: OC-09 to OC-12 and DS-09, offline.

The list follows the negative modules of the OpenID certification suite for relying parties. Every token comes the way
an honest one does, from the token endpoint, to a browser that has begun the login. No edge has a part in what is
decided of a token, so the lists run on one; what becomes of a refusal, and where keys come from, on both.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from tests.oauth2.fake_as import JWKS
from tests.oauth2.jwts import ALGORITHMS, at_hash, base64url, encode, hs256, make_key, signed
from tests.oauth2.steps import code_of, log_in
from tests.tools.fake_xwms import CANARY, CLIENT_ID
from xwms_auth import TokenRejected
from xwms_auth._core.oauth2.jwt import parse_signed_jwt

HOUR = 3600


@pytest.fixture
def edge() -> str:
    """One edge, unless a test asks for both."""
    return "flask"


both_edges = pytest.mark.parametrize("edge", ["flask", "asgi"])


def refused(browser, server, case: object = None) -> None:
    answer = log_in(browser, server)
    assert code_of(answer) == (401, "token_rejected"), case
    assert browser.who() is None, case
    assert "xwms_session" not in "".join(answer.headers.get_list("set-cookie")), case


def accepted(browser, server, case: object = None) -> None:
    assert log_in(browser, server).status_code == 303, case
    assert browser.who() == "xwms-user-1234", case


# --- the signature ---

Forge = Callable[[Any, dict[str, Any]], object]


def unsigned(header: object) -> Forge:
    return lambda server, claims: encode(header, claims, lambda data: b"")


def with_secret(secret: Callable[[Any], bytes], **header: object) -> Forge:
    return lambda server, claims: encode({"alg": "HS256", **header}, claims, hs256(secret(server)))


def own_key(**header: object) -> Forge:
    """Signed with the attacker's key, which the header names in some way."""
    mine = make_key("ES256", kid="key-1")
    return lambda server, claims: signed(mine, claims, **{"jwk": mine.jwk, **header})


def tampered(server: Any, claims: dict[str, Any]) -> str:
    head, _, signature = signed(server.key, claims).split(".")
    return f"{head}.{base64url(json.dumps({**claims, 'sub': 'somebody-else'}).encode())}.{signature}"


def der_signature(server: Any, claims: dict[str, Any]) -> str:

    header = {"alg": "ES256", "kid": "key-1"}
    return encode(header, claims, lambda data: server.key.private.sign(data, ec.ECDSA(SHA256())))


SIGNATURES: dict[str, Forge] = {
    "none": unsigned({"alg": "none"}),
    "none, in other letters": unsigned({"alg": "NonE"}),
    "none, with the key's id": unsigned({"alg": "none", "kid": "key-1"}),
    "no algorithm": unsigned({"kid": "key-1"}),
    "an algorithm that is null": unsigned({"alg": None}),
    "an algorithm that is a list": unsigned({"alg": ["ES256"]}),
    "the right algorithm, no signature": unsigned({"alg": "ES256", "kid": "key-1"}),
    "HS256 with the public key as PEM": with_secret(lambda server: server.key.public_pem(), kid="key-1"),
    "HS256 with the public key as JSON": with_secret(lambda server: json.dumps(server.key.jwk).encode()),
    "HS256 with the client secret": with_secret(lambda server: CANARY.encode()),
    "HS256 with an empty secret": with_secret(lambda server: b""),
    "an unknown algorithm": unsigned({"alg": "ES256K", "kid": "key-1"}),
    "a key of the attacker, embedded": own_key(),
    "a key of the attacker, embedded, without id": own_key(kid=None),
    "a key of the attacker, with an address": own_key(jwk=None, jku="https://evil.example/keys"),
    "a key of the attacker, with a certificate": own_key(jwk=None, x5c=["MIIB"], x5u="https://evil.example/c"),
    "a key id that the server does not have": own_key(jwk=None, kid="another"),
    "a key id that leads elsewhere": own_key(jwk=None, kid="../../../../dev/null"),
    "a key id that is no text": own_key(jwk=None, kid=["key-1"]),
    "claims changed after signing": tampered,
    "a signature in DER": der_signature,
    "the signature of another token": lambda server, claims: (
        signed(server.key, claims).rpartition(".")[0]
        + "."
        + signed(server.key, {**claims, "jti": "1"}).rpartition(".")[2]
    ),
    "crit with an unknown extension": lambda server, claims: signed(server.key, claims, crit=["exp"], exp=1),
    "crit that is empty": lambda server, claims: signed(server.key, claims, crit=[]),
    "b64 false": lambda server, claims: signed(server.key, claims, b64=False, crit=["b64"]),
    "a head with one name twice": lambda server, claims: encode(
        '{"alg":"none","alg":"ES256","kid":"key-1"}', claims, server.key.sign
    ),
    "two parts": lambda server, claims: signed(server.key, claims).rpartition(".")[0],
    "four parts": lambda server, claims: signed(server.key, claims) + ".e30",
    "five parts, as if encrypted": lambda server, claims: "e30.e30.e30.e30.e30",
    "garbage": lambda server, claims: "garbage",
    "garbage in three parts": lambda server, claims: "a.b.c",
    "a head that is a list": lambda server, claims: encode([], claims, server.key.sign),
    "claims that are a list": lambda server, claims: signed(server.key, [claims]),
    "claims that are no JSON": lambda server, claims: signed(server.key, "{sub: 1}"),
    "claims with sub twice": lambda server, claims: signed(
        server.key, json.dumps(claims)[:-1] + ', "sub": "somebody-else"}'
    ),
    "claims in UTF-16": lambda server, claims: (
        signed(server.key, claims).partition(".")[0] + "." + base64url(json.dumps(claims).encode("utf-16")) + ".AAAA"
    ),
}


def test_oc_09_a_token_that_no_key_of_the_server_has_signed_logs_nobody_in(site, server):
    """OC-09"""
    for name, forge in SIGNATURES.items():
        server.forge = lambda claims, forge=forge: forge(server, claims)
        refused(site.browser(), server, name)
    server.forge = None
    accepted(site.browser(), server)


def test_ds_09_a_huge_token_is_not_read(browser, server):
    """DS-09: signed by the server itself, but larger than 16 KiB."""
    for size in (16 * 1024 + 1, 60_000):
        server.forge = lambda claims, size=size: signed(server.key, {**claims, "padding": "x" * size})
        answer = log_in(browser, server)
        assert code_of(answer) in {(401, "token_rejected"), (502, "xwms_bad_answer")}, size
        assert browser.who() is None, size


def test_ds_09_the_reader_of_signed_tokens_has_the_limit_too():
    """DS-09: whoever else hands it one."""
    parse_signed_jwt(good := signed(make_key(), {"padding": "x" * 8000}))
    with pytest.raises(TokenRejected):
        parse_signed_jwt(good + "A" * 16_384)


def test_every_asymmetric_algorithm_of_the_list_logs_a_person_in(make_site, server):
    for algorithm in ALGORITHMS:
        server.rotate(make_key(algorithm))
        accepted(make_site().browser(), server, algorithm)


def test_oc_09_header_fields_with_keys_are_not_looked_at_in_a_good_token_either(browser, server):
    """OC-09: no address in it is fetched."""
    server.forge = lambda claims: signed(
        server.key,
        claims,
        jwk=make_key().jwk,
        jku=f"http://{server.sink_host}/keys",
        x5u=f"http://{server.sink_host}/c",
    )
    assert log_in(browser, server).status_code == 303
    assert server.sink.connections == 0


def test_oc_09_a_key_of_another_kind_or_for_another_use_signs_nothing(browser, server):
    """OC-09: the same id, but not a key for this algorithm, or not for signatures."""
    good = server.key.jwk
    for changed in (
        {"alg": "ES512"},
        {"use": "enc"},
        {"kty": "oct", "k": "AAAA"},
        {"crv": "P-384"},
        {"x": 5},
        {"x": "A"},
    ):
        server.keys = [{**good, **changed}]
        fresh = browser.site.restarted().browser()
        refused(fresh, server)
    server.keys = [{"kty": "EC"}, {}, "text", 5, good]
    assert log_in(browser.site.restarted().browser(), server).status_code == 303


def test_oc_09_a_key_that_is_too_short_signs_nothing(browser, server):
    """OC-09: 1024 bits can be factored."""
    server.rotate(make_key("RS256", size=1024))
    refused(browser, server)


def test_a_token_without_a_key_id_is_tried_with_every_key_that_fits(browser, server):
    server.rotate(make_key("ES256", kid=None))
    server.keys = [make_key("ES256", kid=None).jwk, make_key("EdDSA", kid="x").jwk, server.key.jwk]
    assert log_in(browser, server).status_code == 303


# --- the claims ---

# No date can be made of them: what is beyond the year 9999, as milliseconds are, is not far but wrong.
NO_MOMENTS: dict[str, object] = {
    "400 digits": 10**400,
    "400 digits below zero": -(10**400),
    "a huge float": 1e308,
    "milliseconds": 1_900_000_000_000.0,
}

CLAIMS: dict[str, dict[str, object]] = {
    "another issuer": {"iss": "https://evil.example"},
    "the issuer with a slash": {"iss": "{issuer}/"},
    "the issuer in capitals": {"iss": "HTTP://127.0.0.1"},
    "no issuer": {"iss": None},
    "an issuer that is a list": {"iss": ["{issuer}"]},
    "no sub": {"sub": None},
    "an empty sub": {"sub": ""},
    "a sub that is a number": {"sub": 17},
    "a sub that is true": {"sub": True},
    "another audience": {"aud": "another-client"},
    "an audience that begins like ours": {"aud": f"{CLIENT_ID}-2"},
    "no audience": {"aud": None},
    "an empty audience": {"aud": []},
    "an audience that is an object": {"aud": {CLIENT_ID: 1}},
    "an audience with something else than text": {"aud": [CLIENT_ID, 5], "azp": CLIENT_ID},
    "several audiences, no azp": {"aud": [CLIENT_ID, "another-client"]},
    "several audiences, another azp": {"aud": [CLIENT_ID, "another-client"], "azp": "another-client"},
    "another azp": {"azp": "another-client"},
    "an azp that is a list": {"azp": [CLIENT_ID]},
    "expired": {"exp": -HOUR},
    "expired a minute ago": {"exp": -61},
    "no exp": {"exp": None},
    "an exp that is text": {"exp": "9999999999"},
    "an exp that is true": {"exp": True},
    "from the future": {"iat": HOUR},
    "no iat": {"iat": None},
    "an iat that is text": {"iat": "0"},
    "not valid yet": {"nbf": HOUR},
    "an nbf that is text": {"nbf": "now"},
    **{f"{name} of {said}": {name: value} for said, value in NO_MOMENTS.items() for name in ("exp", "iat", "nbf")},
    "no nonce": {"nonce": None},
    "another nonce": {"nonce": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
    "an empty nonce": {"nonce": ""},
    "a nonce that is a list": {"nonce": ["x"]},
}
MOMENTS = ("exp", "iat", "nbf")


def made(server: Any, site: Any, changes: dict[str, object]) -> dict[str, object]:
    """The changes with the issuer filled in; times are relative to the application's clock."""
    done: dict[str, object] = {}
    for name, value in changes.items():
        if name in MOMENTS and type(value) is int and abs(value) < 10**9:
            done[name] = int(site.clock()) + value
        else:
            done[name] = json.loads(json.dumps(value).replace("{issuer}", server.issuer))
    return done


def test_oc_10_a_token_that_is_not_for_this_login_logs_nobody_in(site, server):
    """OC-10"""
    for name, changes in CLAIMS.items():
        server.claims = made(server, site, changes)
        refused(site.browser(), server, name)
    server.claims = {}
    accepted(site.browser(), server)


def test_an_id_token_may_say_that_it_is_a_jwt(site, server):
    for kind in ("JWT", "jwt", "application/JWT", "application/jwt", None):
        server.forge = lambda claims, kind=kind: signed(server.key, claims, typ=kind)
        accepted(site.browser(), server, kind)


OTHER_TYPES = ["at+jwt", "AT+JWT", "application/at+jwt", "secevent+jwt", "JWS", "", " JWT", "text/jwt", ["JWT"], 5, {}]


def test_a_token_of_another_type_is_no_id_token(site, server):
    """RFC 8725 3.11: the same keys sign access tokens and logout tokens."""
    for kind in (*OTHER_TYPES, "logout+jwt", "Logout+JWT"):
        server.forge = lambda claims, kind=kind: signed(server.key, claims, typ=kind)
        refused(site.browser(), server, kind)


def test_a_type_that_is_null_is_not_one_that_is_left_out(browser, server):
    server.forge = lambda claims: encode({"alg": "ES256", "kid": "key-1", "typ": None}, claims, server.key.sign)
    refused(browser, server)


GOOD: dict[str, dict[str, object]] = {
    "expired half a minute ago": {"exp": -30},
    "from half a minute ahead": {"iat": 30},
    "a list with one audience": {"aud": [CLIENT_ID]},
    "several audiences and our azp": {"aud": ["another-client", CLIENT_ID], "azp": CLIENT_ID},
    "an audience and our azp": {"azp": CLIENT_ID},
    "no at_hash": {"at_hash": None},
    "a time with a fraction": {"exp": 1e10},
    "claims that nobody knows": {"acr": "0", "events": {}, "__proto__": {"sub": "x"}},
}


def test_a_token_within_the_rules_logs_a_person_in(site, server):
    for name, changes in GOOD.items():
        server.claims = made(server, site, changes)
        accepted(site.browser(), server, name)


@both_edges
def test_oc_10_the_token_of_another_login_is_refused(site, browser, server):
    """OC-10: an ID token that was stolen, and comes with another login's code."""
    stolen: list[dict[str, object]] = []
    server.forge = lambda claims: signed(server.key, stolen.append(claims) or claims)
    log_in(site.browser(), server)
    server.forge = lambda claims: signed(server.key, stolen[0])
    refused(browser, server)


def test_oc_11_a_token_cannot_say_that_it_needs_no_nonce(browser, server):
    """OC-11: `nonce_supported` is one provider's claim, which switched a library's check off (CVE-2026-114617)."""
    server.claims = {"nonce": None, "nonce_supported": False}
    refused(browser, server)


def test_oc_12_an_access_token_that_the_id_token_was_not_given_with_is_refused(make_site, server):
    """OC-12"""
    for algorithm in ("ES256", "EdDSA", "PS512"):
        server.rotate(make_key(algorithm))
        site = make_site()
        for wrong in ("", "AAAAAAAAAAAAAAAAAAAAAA", 5, [], False):
            server.claims = {"at_hash": wrong}
            refused(site.browser(), server, (algorithm, wrong))


def test_oc_12_a_hash_of_the_whole_or_by_another_function_is_refused(browser, server):
    """OC-12: half of SHA-512 where the signature says SHA-256."""

    server.tokens = {"access_token": "an-access-token"}
    server.claims = {"at_hash": at_hash("an-access-token", "ES512")}
    refused(browser, server)


def test_oc_10_openid_without_an_id_token_logs_nobody_in(browser, server):
    """OC-10"""
    server.tokens = {"id_token": None}
    refused(browser, server)


def test_an_id_token_of_an_impossible_form_is_a_bad_answer(site, server):
    for token in ("", 5, [], {}, "with a space", "caf\u00e9", True):
        server.tokens = {"id_token": token}
        browser = site.browser()
        assert code_of(log_in(browser, server)) == (502, "xwms_bad_answer"), token
        assert browser.who() is None, token


# --- the keys ---


@both_edges
def test_keys_are_fetched_once_for_many_logins(site, server):
    for _ in range(3):
        assert log_in(site.browser(), server).status_code == 303
    assert server.calls(JWKS) == 1


@both_edges
def test_a_rotated_key_is_fetched_at_once_but_unknown_ids_only_once_a_minute(site, server):
    assert log_in(site.browser(), server).status_code == 303
    site.clock.advance(61)
    server.rotate(make_key("ES256", kid="key-2"))
    assert log_in(site.browser(), server).status_code == 303
    assert server.calls(JWKS) == 2
    good, server.forge = server.key, lambda claims: signed(make_key("ES256", kid="no-such-key"), claims)
    for _ in range(3):
        refused(site.browser(), server)
    assert server.calls(JWKS) == 2
    site.clock.advance(61)
    for _ in range(3):
        refused(site.browser(), server)
    assert server.calls(JWKS) == 3
    server.forge = None
    assert good.jwk in server.keys
    assert log_in(site.browser(), server).status_code == 303


@both_edges
def test_keys_are_fetched_again_after_an_hour(site, server):
    server.claims = {"exp": int(site.clock()) + 2 * HOUR}
    assert log_in(site.browser(), server).status_code == 303
    site.clock.advance(HOUR + 1)
    assert log_in(site.browser(), server).status_code == 303
    assert server.calls(JWKS) == 2


@both_edges
def test_a_key_set_that_is_none_is_a_bad_answer(make_site, server):
    for keys in ("no keys", 5, None, {}):
        server.keys = keys
        assert code_of(log_in(make_site().browser(), server)) == (502, "xwms_bad_answer"), keys
