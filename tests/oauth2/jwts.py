"""JSON Web Tokens made by hand, good ones and bad ones, with cryptography alone.

No JOSE library, which would refuse to make most of what an attacker sends, and none of the package under test.
"""

import base64
import functools
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HASHES: Mapping[str, HashAlgorithm] = {"256": SHA256(), "384": SHA384(), "512": SHA512()}
CURVES: Mapping[str, tuple[ec.EllipticCurve, str]] = {
    "ES256": (ec.SECP256R1(), "P-256"),
    "ES384": (ec.SECP384R1(), "P-384"),
    "ES512": (ec.SECP521R1(), "P-521"),
}
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", *CURVES, "EdDSA")


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int) -> str:
    return base64url(value.to_bytes((value.bit_length() + 7) // 8))


@dataclass(frozen=True)
class Key:
    """A key pair with its algorithm; `jwk` is the public half as a server publishes it."""

    algorithm: str
    private: Any
    jwk: dict[str, Any]

    def sign(self, data: bytes) -> bytes:
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            return self.private.sign(data)
        digest = HASHES[self.algorithm[-3:]]
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            size = (self.private.key_size + 7) // 8
            r, s = utils.decode_dss_signature(self.private.sign(data, ec.ECDSA(digest)))
            return r.to_bytes(size) + s.to_bytes(size)
        if self.algorithm.startswith("PS"):
            return self.private.sign(data, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
        return self.private.sign(data, padding.PKCS1v15(), digest)

    def public_pem(self) -> bytes:
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@functools.cache  # RSA keys take a second each
def _rsa(size: int, number_: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, size)


def make_key(algorithm: str = "ES256", *, kid: str | None = "key-1", size: int = 2048, another: int = 0) -> Key:
    """A key for an algorithm; `another` gives a different one of the same kind."""
    if algorithm == "EdDSA":
        private: Any = ed25519.Ed25519PrivateKey.generate()
        raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        jwk: dict[str, Any] = {"kty": "OKP", "crv": "Ed25519", "x": base64url(raw)}
    elif algorithm in CURVES:
        curve, name = CURVES[algorithm]
        private = ec.generate_private_key(curve)
        point, length = private.public_key().public_numbers(), (curve.key_size + 7) // 8
        x, y = (base64url(value.to_bytes(length)) for value in (point.x, point.y))
        jwk = {"kty": "EC", "crv": name, "x": x, "y": y}
    else:
        private = _rsa(size, another)
        numbers = private.public_key().public_numbers()
        jwk = {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
    return Key(algorithm, private, {**jwk, "use": "sig", **({} if kid is None else {"kid": kid})})


def encode(header: object, claims: object, sign: Callable[[bytes], bytes]) -> str:
    """A JWT of any header and any claims; text is taken as it is, everything else becomes JSON."""
    parts = [part if isinstance(part, str) else json.dumps(part) for part in (header, claims)]
    signed = ".".join(base64url(part.encode()) for part in parts)
    return f"{signed}.{base64url(sign(signed.encode()))}"


def signed(key: Key, claims: object, **header: object) -> str:
    """A JWT signed with this key; a header field that is None is left out."""
    fields = {"alg": key.algorithm, "kid": key.jwk.get("kid"), **header}
    return encode({name: value for name, value in fields.items() if value is not None}, claims, key.sign)


def hs256(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda data: hmac.digest(secret, data, "sha256")


def at_hash(access_token: str, algorithm: str) -> str:
    """The claim of OpenID Connect Core 3.1.3.6."""
    raw = hashlib.new({"256": "sha256", "384": "sha384"}.get(algorithm[-3:], "sha512"), access_token.encode()).digest()
    return base64url(raw[: len(raw) // 2])
