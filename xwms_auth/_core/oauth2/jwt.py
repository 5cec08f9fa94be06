"""Signed JSON Web Tokens of an authorization server (RFC 7515, 7519, 8725).

Algorithm confusion: joserfc verifies, but the algorithm and the key are chosen here, never by the token. A token may
name `none`, or HS256 with the public key as the secret, or contain its own key or the URL of one: each has led to
vulnerabilities (CVE-2026-28802, CVE-2024-37568, CVE-2026-27962).
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import field
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

_MIN_RSA = 342
"""Characters of the modulus of a 2048-bit key in base64url; shorter keys are not used (NIST SP 800-131A)."""

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


class _Allowed(jws.JWSRegistry):
    """joserfc's registry with our list of algorithms; unknown header parameters are allowed."""

    max_header_length = 4096

    def get_alg(self, name: str) -> Any:
        # joserfc's own method warns about the name EdDSA, but providers have not switched to that of RFC 9864 yet.
        if name not in _ALGORITHMS:
            raise ValueError("the algorithm is not allowed")
        return self.algorithms[name]


_registry = _Allowed(strict_check_header=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedJWT:
    """A token whose header has been parsed but whose signature has not been verified: nothing in it is trusted yet."""

    text: str = field(repr=False)
    algorithm: str
    key_id: str | None
    type: str | None
    """The `typ` header, in lower case and without `application/` (RFC 7515 4.1.9).

    None if there is no such header, and empty if its value is not text.
    """

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
    header = parse_json_object(_decoded(text.partition(".")[0]))
    if header is None:
        raise TokenRejected("the token: its header is not a JSON object")
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in _ALGORITHMS:
        raise TokenRejected("the token: its algorithm is not one of the allowed asymmetric ones")
    # `crit` requires extensions to be understood, and none is supported. A key or the URL of one in the header
    # (jwk, jku, x5c, x5u) is ignored: only the server's own keys are used.
    if "crit" in header or "b64" in header:
        raise TokenRejected("the token: its header requires an extension")
    if key_id is not None and not isinstance(key_id, str):
        raise TokenRejected("the token: its key id is not text")
    kind: object = header.get("typ")
    name = kind.lower().removeprefix("application/") if isinstance(kind, str) else ""
    return SignedJWT(text=text, algorithm=algorithm, key_id=key_id, type=name if "typ" in header else None)


def verified_claims(token: SignedJWT, keys: Sequence[JSONObject]) -> VerifiedClaims:
    """Verify the signature with the server's keys and return the claims. Raises `TokenRejected` with the reason."""
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
    raise TokenRejected("the token: its signature matches none of the server's keys")


def _decoded(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars="-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
