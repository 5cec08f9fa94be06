"""Signed JSON Web Tokens of an authorization server (RFC 7515, 7519, 8725).

joserfc verifies; which algorithm and which key it may use is decided here, and never by the token. A token can name
`none`, or HS256 with the public key as the secret, or bring a key of its own, or an address of one: each has been a
way in somewhere (CVE-2026-28802, CVE-2024-37568, CVE-2026-27962).

Knows: algorithms, keys and signatures.
Must not: know what a token is for, or fetch anything.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

try:
    from joserfc import jws
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey, OKPKey, RSAKey
except ImportError as missing:  # pragma: no cover
    raise ImportError("flow=oauth2 needs Authlib: pip install 'xwms-auth[oauth2]'") from missing

from ..base.errors import TokenRejected
from ..base.strict_json import JSONObject, parse_json_object

MAX_JWT = 16 * 1024
"""Characters. An honest ID token has one or two thousand."""

_MIN_RSA = 342
"""Characters of the modulus of a key of 2048 bits in base64url; shorter keys are not used (NIST SP 800-131A)."""

# Algorithm to key type and curve. Asymmetric only: no client secret, and no public key taken for one, signs here.
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


class _Allowed(jws.JWSRegistry):
    """joserfc's rules with our list of algorithms; header fields that nobody looks at are no fault."""

    max_header_length = 4096

    def get_alg(self, name: str) -> Any:
        # Not the library's own way, which warns of the name EdDSA; providers have not gone over to RFC 9864's yet.
        if name not in _ALGORITHMS:
            raise ValueError("an algorithm that is not allowed")
        return self.algorithms[name]


_registry = _Allowed(strict_check_header=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedJWT:
    """A token whose head has been read and whose signature has not been verified: it says nothing yet."""

    text: str = field(repr=False)
    algorithm: str
    key_id: str | None
    type: str | None
    """Its `typ`, in lower case and without `application/` (RFC 7515 4.1.9): what kind of token it is.

    None where it names none, and empty where that is not text.
    """

    def keys(self, keys: Sequence[JSONObject]) -> list[JSONObject]:
        """Those of a server's keys that this token may be signed with: by id where it names one, and by type."""
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
    """The claims of a token that the server has signed. `type` is the token's: the same keys sign several kinds."""

    def __init__(self, claims: JSONObject, *, type: str | None) -> None:  # noqa: A002
        super().__init__(claims)
        self.type = type

    def require_type(self, *types: str, what: str) -> None:
        """Raise `TokenRejected` unless the token names one of these types, or none (RFC 8725 3.11)."""
        if self.type is not None and self.type not in types:
            raise TokenRejected(f"{what}: its typ is that of another kind of token")


def parse_signed_jwt(text: str) -> SignedJWT:
    """Read the head of a token in compact form. Raises `TokenRejected` with the reason."""
    if len(text) > MAX_JWT or not text.isascii() or text.count(".") != 2:
        raise TokenRejected("the token: it is too long, or not a signed JWT in compact form")
    header = parse_json_object(_decoded(text.partition(".")[0]))
    if header is None:
        raise TokenRejected("the token: its header is not a JSON object")
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in _ALGORITHMS:
        raise TokenRejected("the token: its algorithm is not one of the asymmetric ones that are allowed")
    # `crit` demands that extensions be understood, and we know none. A key or an address of one in the header
    # (jwk, jku, x5c, x5u) is not looked at: the server's own keys are the only ones.
    if "crit" in header or "b64" in header:
        raise TokenRejected("the token: its header demands an extension")
    if key_id is not None and not isinstance(key_id, str):
        raise TokenRejected("the token: its key id is not text")
    kind: object = header.get("typ")
    named = kind.lower().removeprefix("application/") if isinstance(kind, str) else ""
    return SignedJWT(text=text, algorithm=algorithm, key_id=key_id, type=named if "typ" in header else None)


def verified_claims(token: SignedJWT, keys: Sequence[JSONObject]) -> VerifiedClaims:
    """The claims of a token that one of the server's keys has signed. Raises `TokenRejected` with the reason."""
    for key in token.keys(keys):
        kind, members = _KINDS[_ALGORITHMS[token.algorithm][0]]
        public = {name: key.get(name) for name in ("kty", *members)}
        if not all(isinstance(value, str) for value in public.values()) or len(public.get("n") or "x" * 999) < _MIN_RSA:
            continue
        try:
            payload = jws.deserialize_compact(token.text, kind.import_key(public), registry=_registry).payload
        except (JoseError, ValueError, TypeError):
            continue
        claims = parse_json_object(payload or b"")
        if claims is None:
            raise TokenRejected("the token: its claims are not a JSON object")
        return VerifiedClaims(claims, type=token.type)
    raise TokenRejected("the token: none of the server's keys has signed it")


def _decoded(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars="-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
