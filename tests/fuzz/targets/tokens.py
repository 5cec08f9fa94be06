"""ID tokens and logout tokens: signatures beside PyJWT, claims beside the rules of the specifications, written again.

A token whose first part begins with `{` is a list of two JSON texts, header and claims, which the target signs: so the
engines reach what comes after a good signature.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import jwt as pyjwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import OKPAlgorithm

from tests.fuzz.judges import tally
from tests.fuzz.lines import lines_of
from tests.fuzz.shapes import shaped
from tests.fuzz.targets import Target
from tests.oauth2.jwts import Key, at_hash, base64url, encode, hs256, make_key
from tests.oauth2.jwts import signed as signed_by
from xwms_auth import Secret, TokenRejected
from xwms_auth._core.base.strict_json import JSONObject, parse_json_object
from xwms_auth._core.oauth2.id_token import check_id_token
from xwms_auth._core.oauth2.jwt import parse_signed_jwt, verified_claims
from xwms_auth._core.oauth2.logout_token import EVENT, read_logout_token

ISSUER: Final = "https://as.example"
CLIENT: Final = "fx-client"
NONCE: Final = "n-0S6_WzA2Mj"
ACCESS_TOKEN: Final = "an-access-token-of-the-server"
NOW: Final = 1_900_000_000
ALLOWED: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
_LARGE: Final = 253_402_300_799

PIECES: Final = lines_of("pieces", "tokens")


@cache
def keys() -> dict[str, Key]:
    """Fixed keys, so that a finding can be repeated, and an RSA key of this run."""
    private = ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"fuzz").digest())
    raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    ed = Key("EdDSA", private, {"kty": "OKP", "crv": "Ed25519", "x": base64url(raw), "use": "sig", "kid": "fixed-ed"})
    curve = ec.derive_private_key(0xF022, ec.SECP256R1())
    point = curve.public_key().public_numbers()
    x, y = (base64url(value.to_bytes(32)) for value in (point.x, point.y))
    es = Key("ES256", curve, {"kty": "EC", "crv": "P-256", "x": x, "y": y, "use": "sig", "kid": "fixed-es"})
    return {"EdDSA": ed, "ES256": es, "RS256": make_key("RS256", kid="rsa")}


@cache
def _jwks() -> tuple[JSONObject, ...]:
    return tuple(JSONObject(key.jwk) for key in keys().values())


def token_of(data: bytes) -> str:
    """The token that is fed, or one of this header and these claims, with a good signature."""
    text = data.decode("latin-1")
    if not text.startswith("{"):
        return text
    header, _, claims = text.partition("\n")
    found = re.search(r'"alg": "([A-Za-z0-9]+)"', header)
    key = keys().get(found[1] if found else "", keys()["EdDSA"])
    return encode(header, claims, key.sign)


def _verified(text: str) -> tuple[Any, str] | None:
    try:
        token = parse_signed_jwt(text)
        return verified_claims(token, _jwks()), token.algorithm
    except TokenRejected:
        return None


def signed_jwt(data: bytes) -> None:
    """What has a good signature here has one for PyJWT, with the same claims; and no other algorithm or key counts."""
    text = token_of(data)
    ours, theirs = _verified(text), by_pyjwt(text)
    if ours is not None:
        assert ours[1] in ALLOWED, text
        assert dict(ours[0]) == theirs, text
        tally["verified"] += 1
        return
    assert theirs is None or not is_canonical(text), text
    tally["refused"] += 1


def by_pyjwt(text: str) -> dict[str, Any] | None:
    """The claims if any of the server's keys that suits has signed this, with only the signature checked."""
    try:
        header = pyjwt.get_unverified_header(text)
    except (pyjwt.PyJWTError, ValueError, RecursionError):
        return None
    for key in keys().values():
        if header.get("kid") not in (None, key.jwk["kid"]):
            continue
        try:
            public = pyjwt.PyJWK({**key.jwk, "alg": key.algorithm}).key
            claims = json.loads(_jws().decode(text, public, algorithms=[key.algorithm, *_likes(key)]))
        except (pyjwt.PyJWTError, ValueError, TypeError, RecursionError):
            continue
        return claims if isinstance(claims, dict) else None
    return None


@cache
def _jws() -> pyjwt.PyJWS:
    """PyJWT, with the name that RFC 9864 gives to EdDSA with this curve."""
    jws = pyjwt.PyJWS()
    jws.register_algorithm("Ed25519", OKPAlgorithm())
    return jws


def _likes(key: Key) -> tuple[str, ...]:
    return {"RS256": ("RS384", "RS512", "PS256", "PS384", "PS512"), "EdDSA": ("Ed25519",)}.get(key.algorithm, ())


def is_canonical(text: str, *, may_have: str = "") -> bool:
    """Whether this is one token in the only spelling, whose header asks for nothing that is not supported."""
    parts = text.encode("utf-8", "replace").split(b".")
    if len(parts) != 3 or len(text) > 16_384 or len(parts[0]) > 4096:
        return False
    for part in parts:
        try:
            if base64.urlsafe_b64encode(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))).rstrip(b"=") != part:
                return False
        except ValueError:
            return False
    header, claims = (parse_json_object(base64.urlsafe_b64decode(part + b"==")) for part in parts[:2])
    if (
        header is None
        or claims is None
        or header.keys() & {"crit", "b64"}
        or not isinstance(header.get("kid", ""), str)
    ):
        return False
    # joserfc checks the types of the registered parameters.
    return not header.keys() & {"jwk", "jku", "x5c", "x5u", "x5t", "x5t#S256", "cty", "typ"} - {may_have}


def _signed_claims(data: bytes) -> tuple[Any, str] | None:
    return _verified(token_of(data if b"\n" in data else b'{"alg": "EdDSA"}\n' + data))


def is_time(value: object) -> bool:
    return type(value) in (int, float) and -_LARGE <= float(value) <= _LARGE if not _is_huge(value) else False


def _is_huge(value: object) -> bool:
    return isinstance(value, int) and value.bit_length() > 60


def _is_for_us(claims: dict[str, Any]) -> bool:
    """`aud` and `azp` of OpenID Connect Core 2 and 3.1.3.7."""
    audience = claims.get("aud")
    names = audience if isinstance(audience, list) else [audience]
    if (
        CLIENT not in names
        or not all(isinstance(name, str) for name in names)
        or (len(names) > 1 and "azp" not in claims)
    ):
        return False
    return "azp" not in claims or claims["azp"] == CLIENT


def id_token(data: bytes) -> None:
    """An ID token with a good signature is accepted exactly if OpenID Connect Core 3.1.3.7 accepts its claims."""
    found = _signed_claims(data)
    if found is None:
        tally["not verified"] += 1
        return
    claims, algorithm = found
    accepted = _accepts(
        lambda: check_id_token(
            claims,
            algorithm=algorithm,
            issuer=ISSUER,
            client_id=CLIENT,
            nonce=NONCE,
            access_token=Secret(ACCESS_TOKEN),
            now=NOW,
        )
    )
    good = (
        claims.type in (None, "jwt")
        and claims.get("iss") == ISSUER
        and isinstance(claims.get("sub"), str)
        and bool(claims["sub"])
        and _is_for_us(claims)
        and all(is_time(claims.get(name)) for name in ("exp", "iat"))
        and claims["exp"] > NOW - 60
        and claims["iat"] <= NOW + 60
        and (claims.get("nbf") is None or (is_time(claims["nbf"]) and claims["nbf"] <= NOW + 60))
        and claims.get("nonce") == NONCE
        and ("at_hash" not in claims or claims["at_hash"] == at_hash(ACCESS_TOKEN, algorithm))
    )
    assert accepted == good, (dict(claims), accepted)
    tally["accepted" if accepted else "refused"] += 1


def logout_token(data: bytes) -> None:
    """A logout token with a good signature is accepted exactly if Back-Channel Logout 2.6 accepts its claims."""
    found = _signed_claims(data)
    if found is None:
        tally["not verified"] += 1
        return
    claims, _ = found
    accepted = _accepts(lambda: read_logout_token(claims, issuer=ISSUER, client_id=CLIENT, now=NOW))
    sub, sid, events = claims.get("sub"), claims.get("sid"), claims.get("events")
    has_sid = isinstance(sid, str) and 1 <= len(sid) <= 255 and sid.isprintable()
    good = (
        claims.type in (None, "jwt", "logout+jwt")
        and claims.get("iss") == ISSUER
        and _is_for_us(claims)
        and is_time(claims.get("iat"))
        and NOW - 360 <= claims["iat"] <= NOW + 60
        and (claims.get("exp") is None or (is_time(claims["exp"]) and claims["exp"] > NOW - 60))
        and isinstance(events, dict)
        and isinstance(events.get(EVENT), dict)
        and "nonce" not in claims
        and isinstance(claims.get("jti"), str)
        and bool(claims["jti"])
        and (sub is None or (isinstance(sub, str) and bool(sub)))
        and (sub is not None or has_sid)
    )
    assert accepted == good, (dict(claims), accepted)
    tally["accepted" if accepted else "refused"] += 1


def _accepts(check: Callable[[], object]) -> bool:
    try:
        check()
    except TokenRejected:
        return False
    return True


# --- seeds -----------------------------------------------------------------------------------------------------------

ID_CLAIMS: Final[dict[str, object]] = {
    "iss": ISSUER,
    "sub": "xwms-user-1234",
    "aud": CLIENT,
    "exp": NOW + 300,
    "iat": NOW,
    "nonce": NONCE,
}
LOGOUT_CLAIMS: Final[dict[str, object]] = {
    "iss": ISSUER,
    "aud": CLIENT,
    "sub": "xwms-user-1234",
    "iat": NOW,
    "exp": NOW + 120,
    "jti": "one",
    "events": {EVENT: {}},
}
_CHANGES: Final[tuple[dict[str, object], ...]] = (
    {},
    {"aud": [CLIENT]},
    {"aud": [CLIENT, "other"]},
    {"aud": [CLIENT, "other"], "azp": CLIENT},
    {"azp": "other"},
    {"aud": "other"},
    {"iss": ISSUER + "/"},
    {"sub": ""},
    {"sub": 1},
    {"sub": None},
    {"exp": NOW - 60},
    {"exp": NOW - 59.5},
    {"exp": str(NOW)},
    {"exp": True},
    {"exp": 1e300},
    {"exp": 10**40},
    {"iat": NOW + 60},
    {"iat": NOW + 61},
    {"iat": NOW - 361},
    {"nbf": NOW + 61},
    {"nbf": None},
    {"nonce": "other"},
    {"nonce": None},
    {"at_hash": at_hash(ACCESS_TOKEN, "EdDSA")},
    {"at_hash": "other"},
    {"at_hash": None},
    {"sid": "s"},
    {"sid": "\u0000"},
    {"sid": ["s"]},
    {"events": {}},
    {"events": {EVENT: None}},
    {"events": [EVENT]},
    {"jti": ""},
    {"jti": 1},
    {"sub": None, "sid": "s"},
    {"aud": [CLIENT, 1]},
    {"auth_time": NOW},
)
_HEADERS: Final = (
    '{"alg": "EdDSA"}',
    '{"alg": "ES256", "kid": "fixed-es"}',
    '{"alg": "EdDSA", "typ": "JWT"}',
    '{"alg": "EdDSA", "typ": "at+jwt"}',
    '{"alg": "EdDSA", "typ": "application/logout+jwt"}',
    '{"alg": "none"}',
    '{"alg": "EdDSA", "crit": ["exp"], "exp": 1}',
    '{"alg": "EdDSA", "b64": false}',
    '{"alg": "EdDSA", "kid": "another"}',
    '{"alg": "EdDSA", "alg": "none"}',
    '{"alg": "RS256", "kid": "rsa"}',
    '{"alg": "Ed25519"}',
    '{"alg": "EdDSA", "typ": null}',
    '{"alg": "EdDSA", "jwk": {"kty": "oct", "k": "AA"}}',
    '{"alg": "eddsa"}',
)


def _claims(good: dict[str, object]) -> list[bytes]:
    bodies = [json.dumps({**good, **change}).encode() for change in _CHANGES]
    return [*bodies, *(f"{header}\n{json.dumps(good)}".encode() for header in _HEADERS)]


@cache
def _id_seeds() -> list[bytes]:
    return _claims(ID_CLAIMS)


@cache
def _logout_seeds() -> list[bytes]:
    return _claims(LOGOUT_CLAIMS)


@cache
def _jwt_seeds() -> list[bytes]:
    tokens = [signed_by(key, ID_CLAIMS) for key in keys().values()]
    head, claims, signature = tokens[0].split(".")
    public = keys()["ES256"].public_pem()
    tokens += [
        *(
            encode({"alg": "none"}, ID_CLAIMS, lambda signed: b""),
            f"{head}.{claims}.",
            f"{head}.{claims}",
            f"{tokens[0]}.",
            f"{tokens[0]}=",
        ),
        encode({"alg": "HS256", "kid": "fixed-es"}, ID_CLAIMS, hs256(public)),
        *(
            f"{head}.{claims}.{tokens[1].split('.')[2]}",
            f" {tokens[0]}",
            tokens[0] + "\n",
            f"{head}=.{claims}.{signature}",
            "..",
            "",
        ),
    ]
    return [
        *(token.encode() for token in tokens),
        *(f"{header}\n{json.dumps(ID_CLAIMS)}".encode() for header in _HEADERS),
    ]


TARGETS: Final = (
    Target(run=signed_jwt, seeds=_jwt_seeds, pieces=PIECES, longest=3000, figure=200_000),
    Target(
        run=id_token,
        seeds=_id_seeds,
        pieces=PIECES,
        variants=shaped(_id_seeds),
        longest=3000,
        figure=200_000,
    ),
    Target(
        run=logout_token,
        seeds=_logout_seeds,
        pieces=PIECES,
        variants=shaped(_logout_seeds),
        longest=3000,
        figure=200_000,
    ),
)
