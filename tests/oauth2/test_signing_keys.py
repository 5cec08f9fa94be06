"""The keys of a server: kept as objects between two tokens, and never another key than the server has now."""

import base64
import gc
import time

import joserfc.jwk
import pytest

from tests.oauth2.apis import APISite
from tests.oauth2.fake_as import JWKS
from tests.oauth2.jwts import base64url, encode, make_key, signed
from tests.oauth2.steps import code_of
from xwms_auth import APIError
from xwms_auth._core.config.server.cache import METADATA_MAX_AGE
from xwms_auth._core.oauth2.jwt import MAX_IMPORTED_KEYS, parse_signed_jwt, verified_claims

AUDIENCE = "https://api.example"
NO = (401, "invalid_token")


def make_api(edge, server):
    return APISite(edge, server, token_validation="jwt", audience=AUDIENCE)


def is_accepted(text, *keys):
    """Whether a token is accepted with these keys, by the reader of signed tokens alone."""
    try:
        return verified_claims(parse_signed_jwt(text), keys)["sub"] == "ada"
    except APIError:
        return False


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_key_that_takes_over_the_id_of_another_one_is_another_key(make_as, algorithm):
    server = make_as(algorithm=algorithm)
    api, old = make_api("asgi", server), server.key
    ends = int(time.time()) + 3 * METADATA_MAX_AGE
    assert api.call(server.access_jwt(exp=ends)).status_code == 200
    new = make_key(algorithm, kid=old.jwk["kid"], another=1)
    server.rotate(new)
    # The server's keys are cached; until they are fetched again, the new key is unknown.
    assert code_of(api.call(server.access_jwt(exp=ends))) == NO
    api.clock.advance(METADATA_MAX_AGE)
    assert api.call(server.access_jwt(exp=ends)).status_code == 200
    assert code_of(api.call(server.access_jwt(key=old, exp=ends))) == NO
    assert server.calls(JWKS) == 2
    server.rotate(old)
    api.clock.advance(METADATA_MAX_AGE)
    assert api.call(server.access_jwt(exp=ends)).status_code == 200
    assert code_of(api.call(server.access_jwt(key=new, exp=ends))) == NO


def test_servers_whose_keys_have_the_same_id_do_not_sign_for_each_other(make_as):
    one, two = make_as(), make_as()
    assert one.key.jwk["kid"] == two.key.jwk["kid"]
    apis = {server: make_api("asgi", server) for server in (one, two)}
    for _ in range(2):
        for server, other in ((one, two), (two, one)):
            assert apis[server].call(server.access_jwt()).status_code == 200
            assert code_of(apis[server].call(server.access_jwt(key=other.key))) == NO


def test_a_key_is_looked_at_anew_in_each_algorithm():
    """Algorithm confusion: that a key has verified RS256 does not make it one for PS256 if the server says RS256."""
    key = make_key("RS256")
    named = {**key.jwk, "alg": "RS256"}
    pss = make_key("PS256")  # the same material
    assert is_accepted(signed(key, {"sub": "ada"}), named)
    assert not is_accepted(signed(pss, {"sub": "ada"}), named)
    assert is_accepted(signed(pss, {"sub": "ada"}), pss.jwk)
    assert not is_accepted(signed(key, {"sub": "ada"}), {**key.jwk, "use": "enc"})
    assert is_accepted(signed(key, {"sub": "ada"}), {**key.jwk, "use": "enc"}, key.jwk)


def test_only_so_many_keys_are_kept():
    keys = [make_key("ES256", kid=str(number)) for number in range(MAX_IMPORTED_KEYS + 40)]
    for _ in range(2):
        for key in keys:
            assert is_accepted(signed(key, {"sub": "ada"}), key.jwk)
    gc.collect()
    kept = [one for one in gc.get_objects() if type(one) is joserfc.jwk.ECKey]
    assert len(kept) <= MAX_IMPORTED_KEYS


def test_a_key_that_is_none_is_passed_over():
    good = make_key("RS256")
    token = signed(good, {"sub": "ada"})
    broken = ({"n": 5}, {"n": None}, {"n": "!"}, {"n": ""}, {"e": "AA"}, {"e": ["AQAB"]}, {"kty": "EC"}, {"kty": None})
    for changes in broken:
        bad = {name: value for name, value in {**good.jwk, **changes}.items() if value is not None}
        for _ in range(2):
            assert not is_accepted(token, bad), changes
            assert is_accepted(token, bad, good.jwk), changes


def test_a_short_rsa_key_stays_short_with_zeros_in_front():
    short = make_key("RS256", size=1024)
    modulus = base64.urlsafe_b64decode(short.jwk["n"] + "==")
    for zeros in (0, 1, 128, 256):
        jwk = {**short.jwk, "n": base64url(bytes(zeros) + modulus)}
        assert not is_accepted(signed(short, {"sub": "ada"}), jwk), zeros


def test_a_token_has_one_spelling():
    """RFC 7515 2: base64url without padding, line breaks and bits that mean nothing."""
    key = make_key("ES256")
    good = signed(key, {"sub": "ada", "filling": "~~~???"})
    head, body, signature = good.split(".")
    assert is_accepted(good, key.jwk)
    assert len(signature) % 4 == 2
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    again = signature[:-1] + letters[letters.index(signature[-1]) + 1]
    assert base64.urlsafe_b64decode(again + "==") == base64.urlsafe_b64decode(signature + "==")
    for part in (again, signature + "=", signature + "==", signature + "\n", " " + signature, signature[:-1], ""):
        assert not is_accepted(f"{head}.{body}.{part}", key.jwk), part

    def spelt(part: str, change):
        """A token whose header or claims are spelt otherwise, signed as they are."""
        parts = {"head": head, "body": body} | {part: change({"head": head, "body": body}[part])}
        data = f"{parts['head']}.{parts['body']}"
        return f"{data}.{base64url(key.sign(data.encode()))}"

    standard = base64.b64encode(b'{"sub":"ada","filling":"~~~???"}').decode().rstrip("=")
    assert "+" in standard or "/" in standard
    assert is_accepted(spelt("body", lambda body: standard.replace("+", "-").replace("/", "_")), key.jwk)
    assert not is_accepted(spelt("body", lambda body: standard), key.jwk)
    for part in ("head", "body"):
        assert is_accepted(spelt(part, lambda same: same), key.jwk)
        for change in (lambda same: same + "=", lambda same: same + "\n", lambda same: same[:4] + "\n" + same[4:]):
            assert not is_accepted(spelt(part, change), key.jwk)


def test_a_header_parameter_of_the_wrong_type_is_refused():
    key = make_key("ES256")
    for name, value in {"x5c": 5, "jku": 5, "x5t": [], "cty": {}, "typ": 5, "kid": ["key-1"], "jwk": "x"}.items():
        assert not is_accepted(signed(key, {"sub": "ada"}, **{name: value}), key.jwk), name


def test_a_header_or_a_signature_that_is_too_long_is_refused():
    key = make_key("RS256")
    assert is_accepted(signed(key, {"sub": "ada"}, filling="x" * 2900), key.jwk)
    assert not is_accepted(signed(key, {"sub": "ada"}, filling="x" * 3200), key.jwk)
    head = {"alg": "RS256", "kid": "key-1"}
    assert not is_accepted(encode(head, {"sub": "ada"}, lambda data: key.sign(data) + bytes(600)), key.jwk)


@pytest.mark.parametrize("edge", ["flask", "asgi"])
def test_a_token_that_was_seen_ends_with_its_key(make_as, edge):
    server = make_as()
    api, old = make_api(edge, server), server.key
    token = server.access_jwt(exp=int(time.time()) + 3 * METADATA_MAX_AGE)
    for _ in range(3):
        assert api.call(token).status_code == 200
    server.rotate(make_key(kid=old.jwk["kid"], another=1))
    api.clock.advance(METADATA_MAX_AGE)
    for _ in range(3):
        assert code_of(api.call(token)) == NO
    server.rotate(old)
    api.clock.advance(METADATA_MAX_AGE)
    assert api.call(token).status_code == 200


def test_a_token_that_was_seen_is_still_validated(make_as):
    server = make_as()
    api = make_api("asgi", server)
    now = int(api.clock())
    token = server.access_jwt(exp=now + 50, nbf=now, iat=now)
    assert api.call(token).status_code == 200
    assert api.call(token, "/api/read").status_code == 200
    assert code_of(api.call(token, "/api/write")) == (403, "insufficient_scope")
    other = APISite("asgi", server, token_validation="jwt", audience="https://other.example")
    assert code_of(other.call(token)) == NO
    api.clock.advance(-3600)
    assert code_of(api.call(token)) == NO  # from the future
    api.clock.advance(3600 + 49)
    assert api.call(token).status_code == 200
    api.clock.advance(1)
    assert code_of(api.call(token)) == NO


def test_a_token_that_differs_in_one_character_from_one_that_was_seen_is_another(make_as):
    server = make_as()
    api = make_api("asgi", server)
    token = server.access_jwt()
    assert api.call(token).status_code == 200
    for place in (5, token.index(".") + 5, token.rindex(".") + 5):
        other = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert code_of(api.call(other)) == NO
    assert api.call(token).status_code == 200
