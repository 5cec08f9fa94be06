"""What a signed token has to look like, part by part, which keys may have signed it, and why another one is refused."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry

from tests.oauth2.jwts import Key, base64url, encode, make_key, number, signed
from xwms_auth import TokenRejected
from xwms_auth._core.base.strict_json import JSONObject
from xwms_auth._core.oauth2.jwt import MAX_JWT, MAX_JWT_HEADER, MAX_SIGNATURE, parse_signed_jwt, verified_claims

EC = make_key("ES256")


def rsa_key(top: int, *below: int) -> Key:
    """A key of two primes that lie so far below a number; to search for long ones takes seconds."""
    p, q = (top - one for one in below)
    public = rsa.RSAPublicNumbers(65537, p * q)
    d = pow(65537, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)
    jwk = {"kty": "RSA", "n": number(public.n), "e": number(65537), "kid": "key-1"}
    return Key("RS256", numbers.private_key(unsafe_skip_rsa_key_validation=True), jwk)


def as_signed(key: Key, claims: object = None, **header: object) -> str:
    return signed(key, {"sub": "ada"} if claims is None else claims, **header)


def with_header(header: object) -> str:
    return encode(header, {"sub": "ada"}, EC.sign)


def why_refused(text: str, *keys: dict[str, object]) -> str:
    with pytest.raises(TokenRejected) as refused:
        verified_claims(parse_signed_jwt(text), [JSONObject(key) for key in keys or (EC.jwk,)])
    return refused.value.cause


def sub_of(text: str, *keys: dict[str, object]) -> object:
    return verified_claims(parse_signed_jwt(text), [JSONObject(key) for key in keys])["sub"]


# --- the parts ---


def test_a_token_may_have_so_many_characters_and_no_more():
    text = as_signed(EC)
    assert parse_signed_jwt(text.ljust(MAX_JWT, "A")).algorithm == "ES256"
    assert "too long" in why_refused(text.ljust(MAX_JWT + 1, "A"))


def test_a_header_may_have_so_many_characters_and_no_more():
    usual = len('{"alg": "ES256", "filling": ""}')
    room = MAX_JWT_HEADER * 3 // 4 - usual
    fits, does_not = (with_header({"alg": "ES256", "filling": "x" * length}) for length in (room, room + 1))
    assert fits.index(".") == MAX_JWT_HEADER
    assert sub_of(fits, EC.jwk) == "ada"
    assert "its header is too long" in why_refused(does_not)


@pytest.mark.parametrize("part", ["head", "body", "signature"])
@pytest.mark.parametrize("letter", ["\u00e9", "\u0660", "\ud800"])
def test_no_part_has_letters_beyond_ascii(part, letter):
    head, body, signature = as_signed(EC).split(".")
    parts = {"head": head, "body": body, "signature": signature}
    parts[part] += letter
    assert "not a signed JWT in compact form" in why_refused(".".join(parts.values()))


@pytest.mark.parametrize("part", ["head", "body", "signature"])
@pytest.mark.parametrize("junk", ["\n\n\n\n", "====", "!!!!", "+/+/", "    ", "\0\0\0\0"])
def test_what_is_no_base64url_is_not_skipped(part, junk):
    """Four of them, so that the length is as good as before."""
    head, body, signature = as_signed(EC).split(".")
    parts = {"head": head, "body": body, "signature": signature}
    parts[part] = parts[part][:4] + junk + parts[part][4:]
    if part != "signature":
        parts["signature"] = base64url(EC.sign(f"{parts['head']}.{parts['body']}".encode()))
    reasons = {"head": "its header is not", "body": "its claims are not", "signature": "its signature matches none"}
    assert reasons[part] in why_refused(".".join(parts.values()))


@pytest.mark.parametrize("text", ["", "a", "a.b", "a.b.c.d", "a.b.c.d.e", "..."])
def test_a_token_has_three_parts(text):
    assert "not a signed JWT in compact form" in why_refused(text)


@pytest.mark.parametrize("text", ["..", "!.e30.AAAA", "A.e30.AAAA", "W10.e30.AAAA", "bnVsbA.e30.AAAA"])
def test_a_header_is_a_json_object(text):
    assert "its header is not a JSON object" in why_refused(text)


@pytest.mark.parametrize("claims", ["[]", "null", "{", "{sub: 1}", ""])
def test_claims_are_a_json_object(claims):
    assert "its claims are not a JSON object" in why_refused(as_signed(EC, claims))


# --- the header ---


@pytest.mark.parametrize(
    ("algorithm", "shown"),
    [
        *((name, name) for name in ("none", "HS256", "HS384", "HS512")),
        *((name, "unknown") for name in ("HS256X", "NONE", "", "ES256K", "<svg>", None, 5, ["ES256"])),
    ],
)
def test_an_algorithm_that_is_not_accepted_is_named_only_if_its_name_is_known(algorithm, shown):
    reason = why_refused(with_header({"alg": algorithm}))
    assert f"its alg is {shown}, " in reason
    assert "svg" not in reason


@pytest.mark.parametrize("header", [{"crit": []}, {"crit": ["alg"]}, {"b64": True}, {"b64": False}, {"b64": None}])
def test_an_extension_is_never_understood(header):
    assert "requires an extension" in why_refused(with_header({"alg": "ES256", **header}))


@pytest.mark.parametrize("key_id", [5, True, ["key-1"], {}])
def test_a_key_id_is_text(key_id):
    assert "its key id is not text" in why_refused(with_header({"alg": "ES256", "kid": key_id}))


@pytest.mark.parametrize(
    "header", [{"x5c": 5}, {"jku": "key"}, {"x5t": []}, {"cty": {}}, {"typ": 5}, {"typ": None}, {"kid": None}]
)
def test_a_header_parameter_has_the_type_that_the_rfc_says(header):
    assert "a parameter of its header is not of the right type" in why_refused(with_header({"alg": "ES256", **header}))


@pytest.mark.parametrize(
    ("kind", "read"),
    [("JWT", "jwt"), ("at+JWT", "at+jwt"), ("application/AT+jwt", "at+jwt"), ("text/jwt", "text/jwt"), ("", "")],
)
def test_a_type_is_read_without_its_case_and_the_beginning_of_a_media_type(kind, read):
    assert parse_signed_jwt(as_signed(EC, typ=kind)).type == read
    assert verified_claims(parse_signed_jwt(as_signed(EC, typ=kind)), [JSONObject(EC.jwk)]).type == read
    assert parse_signed_jwt(as_signed(EC)).type is None


# --- the keys ---

RSA = {"kty": "RSA"}
P256 = {"kty": "EC", "crv": "P-256"}


@pytest.mark.parametrize(
    ("algorithm", "key_id", "key", "is_one"),
    [
        ("RS256", None, RSA, True),
        ("RS256", None, {**RSA, "crv": "P-256"}, True),  # RFC 7517 4: what says nothing for this type is ignored
        ("RS256", None, P256, False),
        ("RS256", None, {}, False),
        ("ES256", None, P256, True),
        ("ES256", None, {**P256, "crv": "P-384"}, False),
        ("ES256", None, {"kty": "EC"}, False),
        ("ES256", None, {**P256, "kty": "OKP"}, False),
        ("EdDSA", None, {"kty": "OKP", "crv": "Ed25519"}, True),
        ("EdDSA", None, {"kty": "OKP", "crv": "X25519"}, False),
        ("RS256", None, {**RSA, "use": "sig"}, True),
        ("RS256", None, {**RSA, "use": None}, True),
        ("RS256", None, {**RSA, "use": "enc"}, False),
        ("RS256", None, {**RSA, "use": ""}, False),
        ("RS256", None, {**RSA, "alg": "RS256"}, True),
        ("RS256", None, {**RSA, "alg": None}, True),
        ("RS256", None, {**RSA, "alg": "RS512"}, False),
        ("RS256", None, {**RSA, "alg": ""}, False),
        ("RS256", None, {**RSA, "kid": "1"}, True),
        ("RS256", "1", {**RSA, "kid": "1"}, True),
        ("RS256", "1", {**RSA, "kid": "2"}, False),
        ("RS256", "1", RSA, False),
        ("RS256", "", {**RSA, "kid": "1"}, False),
    ],
)
def test_a_key_may_have_signed_a_token_if_all_that_both_say_agrees(algorithm, key_id, key, is_one):
    header = {"alg": algorithm} | ({} if key_id is None else {"kid": key_id})
    other = JSONObject(kty="oct")
    found = parse_signed_jwt(with_header(header)).keys([other, JSONObject(key), other])
    assert found == ([key] if is_one else [])


def test_whether_there_was_a_key_at_all_is_told_apart_from_a_wrong_signature():
    another = make_key("ES256", kid="key-2")
    assert "none of the server's keys has its kid" in why_refused(as_signed(EC), another.jwk)
    assert "its signature matches none" in why_refused(as_signed(EC), {**another.jwk, "kid": "key-1"})
    for signature in ("", "!", "A", "AAAA"):
        text = f"{as_signed(EC).rpartition('.')[0]}.{signature}"
        assert "its signature matches none" in why_refused(text), signature


@pytest.mark.parametrize(
    ("top", "below", "is_used"),
    [
        (1 << 3072, (47, 2165), True),
        (1 << 4096, (2549, 8067), False),
    ],
    ids=["6144 bits", "8192 bits"],
)
def test_a_signature_is_as_long_as_that_of_the_longest_key_at_most(top, below, is_used):
    key = rsa_key(top, *below)
    text = as_signed(key)
    assert (len(text.rpartition(".")[2]) <= MAX_SIGNATURE) is is_used
    if is_used:
        assert sub_of(text, key.jwk) == "ada"
    else:
        assert "its signature matches none" in why_refused(text, key.jwk)


def test_an_rsa_key_has_2048_bits_at_least():
    """RFC 7518 3.3. The modulus of this one takes as many bytes, but its first bit is not set; joserfc warns of it."""
    short, good = rsa_key(301 << 1015, 355, 1521), make_key("RS256")
    assert "its signature matches none" in why_refused(as_signed(short), short.jwk)
    assert sub_of(as_signed(good), short.jwk, good.jwk) == "ada"


@pytest.mark.parametrize(
    ("algorithm", "changes"),
    [
        ("RS256", {"n": "!"}),
        ("RS256", {"n": ""}),
        ("RS256", {"n": "A" * 400}),
        ("RS256", {"n": "\ud800"}),
        ("RS256", {"n": None}),
        ("RS256", {"e": "AA"}),
        ("RS256", {"e": ""}),
        ("RS256", {"e": "!"}),
        ("RS256", {"e": "\u00e9"}),
        ("RS256", {"e": ["AQAB"]}),
        ("RS256", {"n": 5, "e": 5}),
        ("ES256", {"x": ""}),
        ("ES256", {"x": "AAAA"}),
        ("ES256", {"x": "!"}),
        ("ES256", {"x": "\ud800"}),
        ("ES256", {"x": None}),
        ("ES256", {"y": 5}),
        ("EdDSA", {"x": ""}),
        ("EdDSA", {"x": "AAAA"}),
        ("EdDSA", {"x": "\u00e9"}),
        ("EdDSA", {"x": {}}),
    ],
)
def test_a_key_that_is_broken_is_passed_over_for_the_next(algorithm, changes):
    good = make_key(algorithm)
    broken = {**good.jwk, **changes}
    text = as_signed(good)
    assert "its signature matches none" in why_refused(text, broken)
    assert sub_of(text, broken, good.jwk) == "ada"


@pytest.mark.parametrize("kind", [JoseError, ValueError, TypeError])
@pytest.mark.parametrize(
    ("owner", "name", "reason"),
    [
        (JWSRegistry.algorithms["ES256"], "verify", "its signature matches none"),
        (JWSRegistry.algorithms["ES256"], "check_key", "its signature matches none"),
        (ECKey, "import_key", "its signature matches none"),
        (JWSRegistry, "check_header", "a parameter of its header"),
    ],
    ids=["verify", "check_key", "import_key", "check_header"],
)
def test_whatever_the_library_raises_makes_no_token_good(kind, owner, name, reason, monkeypatch):
    """No version raises each of these at each place, and none promises not to."""

    def raising(*args: object, **more: object) -> object:
        raise kind("x")

    key = make_key("ES256", kid=f"{name} {kind.__name__}")  # neither it nor the header is kept from before
    monkeypatch.setattr(owner, name, raising)
    assert reason in why_refused(as_signed(key), key.jwk)
