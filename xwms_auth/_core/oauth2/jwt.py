"""Signed JSON Web Tokens of an authorization server (RFC 7515, 7519, 8725).

Algorithm confusion: joserfc verifies, but the algorithm and the key are chosen here, never by the token. A token may
name `none`, or HS256 with the public key as the secret, or contain its own key or the URL of one: each has led to
vulnerabilities (CVE-2026-28802, CVE-2024-37568, CVE-2026-27962).

The token is parsed once, here: joserfc gets the bytes that were signed, so there is no second parser that could read
another algorithm or other claims in them.
"""

import binascii
from collections.abc import Sequence
from dataclasses import field
from functools import lru_cache
from typing import Any

try:
    from joserfc import jws
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey, OKPKey, RSAKey
except ImportError as missing:  # pragma: no cover
    raise ImportError("flow=oauth2 needs Authlib: pip install 'xwms-auth[oauth2]'") from missing

from ..base.dataclass import dataclass
from ..base.errors import TokenRejected
from ..base.strict_json import JSONObject, parse_json_object

MAX_JWT = 16 * 1024
"""Characters. A legitimate ID token has one or two thousand."""

MAX_JWT_HEADER, MAX_SIGNATURE = 4096, 1024
"""Characters of these parts. The signature of an RSA key of 6,144 bits has 1,024."""

MAX_HEADERS = 64
"""Headers that are kept parsed; the least recently used go first. At most 300 kB."""

MAX_IMPORTED_KEYS = 128
"""Keys that are kept as objects; the least recently used go first. About 1 MB with the longest ones that are common."""

_MIN_RSA = 2048
"""Bits of the modulus of a key; shorter keys are not used (RFC 7518 3.3, NIST SP 800-131A)."""

# Base64url has no padding, and only one spelling of each value (RFC 7515 2): the last character before missing padding
# has no bits that are not used. "!" stands for what must not be there, and is in no alphabet.
_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/!!!")
_LAST = (b"", b"AEIMQUYcgkosw048", b"AQgw", b"")

# Algorithm to key type and curve. Asymmetric only, so neither a client secret nor a public key can serve as HMAC key.
_ALGORITHMS: dict[str, tuple[str, str | None]] = {
    "RS256": ("RSA", None),
    "RS384": ("RSA", None),
    "RS512": ("RSA", None),
    "PS256": ("RSA", None),
    "PS384": ("RSA", None),
    "PS512": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
    "Ed25519": ("OKP", "Ed25519"),
}
_KINDS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "RSA": (RSAKey, ("n", "e")),
    "EC": (ECKey, ("crv", "x", "y")),
    "OKP": (OKPKey, ("crv", "x")),
}


_registry = jws.JWSRegistry(strict_check_header=False)
"""joserfc's rules for headers; unknown parameters are allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedJWT:
    """A token whose header has been parsed but whose signature has not been verified: nothing in it is trusted yet."""

    signed: bytes = field(repr=False)
    """The header and the claims as they were signed, in base64url."""
    signature: bytes = field(repr=False)
    """In base64url."""
    algorithm: str
    key_id: str | None
    type: str | None
    """The `typ` header, in lower case and without `application/` (RFC 7515 4.1.9). None if there is no such header."""

    def keys(self, keys: Sequence[JSONObject]) -> list[JSONObject]:
        """Return the server keys that may have signed this token: by key id, if it has one, and by type."""
        kind, curve = _ALGORITHMS[self.algorithm]
        return [
            key
            for key in keys
            if key.get("kty") == kind
            and (curve is None or key.get("crv") == curve)
            and key.get("use") in (None, "sig")
            and key.get("alg") in (None, self.algorithm)
            and (self.key_id is None or key.get("kid") == self.key_id)
        ]


class VerifiedClaims(JSONObject):
    """The claims of a token with a verified signature. `type` is its `typ`: the same keys sign several token types."""

    def __init__(self, claims: JSONObject, *, type: str | None) -> None:  # noqa: A002
        super().__init__(claims)
        self.type = type

    def require_type(self, *types: str, what: str) -> None:
        """Raise `TokenRejected` unless the token has one of these types, or none (token confusion, RFC 8725 3.11)."""
        if self.type is not None and self.type not in types:
            raise TokenRejected(f"{what}: its typ is that of another type of token")


def parse_signed_jwt(text: str) -> SignedJWT:
    """Parse the header of a token in compact form. Raises `TokenRejected` with the reason."""
    if len(text) > MAX_JWT or not text.isascii() or text.count(".") != 2:
        raise TokenRejected("the token: it is too long, or not a signed JWT in compact form")
    signed, _, signature = text.encode().rpartition(b".")
    first = signed[: signed.index(b".")]
    if len(first) > MAX_JWT_HEADER:
        raise TokenRejected("the token: its header is too long")
    algorithm, key_id, kind = _parse_header(first)
    return SignedJWT(signed=signed, signature=signature, algorithm=algorithm, key_id=key_id, type=kind)


@lru_cache(MAX_HEADERS)
def _parse_header(encoded: bytes) -> tuple[str, str | None, str | None]:
    """Return the algorithm, the key id and the type. Cached: a server puts the same header into all its tokens."""
    header = parse_json_object(_decoded(encoded) or b"")
    if header is None:
        raise TokenRejected("the token: its header is not a JSON object")
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in _ALGORITHMS:
        # The name only if it is one of the known ones: everything else is text of others.
        shown = algorithm if algorithm in ("none", "HS256", "HS384", "HS512") else "unknown"
        raise TokenRejected(f"the token: its alg is {shown}, and only RS, PS and ES 256 to 512 and EdDSA are accepted")
    # `crit` requires extensions to be understood, and none is supported. A key or the URL of one in the header
    # (jwk, jku, x5c, x5u) is ignored: only the server's own keys are used.
    if "crit" in header or "b64" in header:
        raise TokenRejected("the token: its header requires an extension")
    if key_id is not None and not isinstance(key_id, str):
        raise TokenRejected("the token: its key id is not text")
    try:
        _registry.check_header(header)
    except (JoseError, ValueError, TypeError):
        has_valid_header = False
    else:
        has_valid_header = True
    if not has_valid_header:
        raise TokenRejected("the token: a parameter of its header is not of the right type")
    return algorithm, key_id, str(header["typ"]).lower().removeprefix("application/") if "typ" in header else None


def verified_claims(token: SignedJWT, keys: Sequence[JSONObject]) -> VerifiedClaims:
    """Verify the signature with the server's keys and return the claims. Raises `TokenRejected` with the reason."""
    suitable = token.keys(keys)
    if not suitable:
        raise TokenRejected("the token: none of the server's keys has its kid and suits its alg")
    signature = _decoded(token.signature) if len(token.signature) <= MAX_SIGNATURE else None
    for jwk in suitable if signature else ():
        kind = _ALGORITHMS[token.algorithm][0]
        members = [jwk.get(name) for name in _KINDS[kind][1]]
        if not all(isinstance(value, str) for value in members):
            continue
        key = _imported(kind, *members)
        if key is None or not _is_signed(token, signature, key):
            continue
        claims = parse_json_object(_decoded(token.signed[token.signed.index(b".") + 1 :]) or b"")
        if claims is None:
            raise TokenRejected("the token: its claims are not a JSON object")
        return VerifiedClaims(claims, type=token.type)
    raise TokenRejected("the token: its signature matches none of the server's keys")


def _is_signed(token: SignedJWT, signature: bytes | None, key: Any) -> bool:
    algorithm: Any = _registry.algorithms[token.algorithm]
    try:
        algorithm.check_key(key)
        return algorithm.verify(token.signed, signature, key) is True
    except (JoseError, ValueError, TypeError):  # no version raises here, and none promises not to
        return False


@lru_cache(MAX_IMPORTED_KEYS)
def _imported(kind: str, *members: str) -> Any:
    """Return the key with these members of a JWK, or None if it is not a key, or too short.

    Cached, since importing a key takes longer than verifying a signature. A key is the same only if all its members
    are: the id of a key may be that of another one after a rotation, or at another server.
    """
    importer, names = _KINDS[kind]
    try:
        if kind == "RSA" and int.from_bytes(_decoded(members[0].encode()) or b"").bit_length() < _MIN_RSA:
            return None
        return importer.import_key({"kty": kind, **dict(zip(names, members, strict=True))})
    except (JoseError, ValueError, TypeError):
        return None


def _decoded(part: bytes) -> bytes | None:
    """Decode base64url; None if it is spelt in any other way than the one."""
    missing = -len(part) % 4
    if missing and part[-1] not in _LAST[missing]:
        return None
    try:
        return binascii.a2b_base64(part.translate(_TO_BASE64) + b"==="[:missing], strict_mode=True)
    except binascii.Error:
        return None
