"""Every value that we hand to a browser and want back unchanged: signed, or signed and sealed.

itsdangerous does the signing, with SHA-256, a salt per purpose and audience, and a list of keys of which the first
signs and all verify. Ages are not its business here: they are fields of the values, judged with the one clock.

Knows: keys, salts and encodings.
Must not: know what a value means. There is no fallback for a value that fails: it is None, whatever the reason.
"""

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Sequence
from typing import Any, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from itsdangerous import BadData, Serializer
from itsdangerous.encoding import base64_decode, base64_encode

from .secret import Secret

MAX_TOKEN = 8192
"""Characters. Nothing we ever issued is longer, so nothing longer is worth a signature check."""

_NONCE = 12
"""Bytes of an AES-GCM nonce. Random ones are safe for 2^32 values under one key (NIST SP 800-38D 8.3)."""


class _CompactJSON:
    """JSON without spaces; refuses to write what it cannot read back."""

    def dumps(self, value: Any) -> bytes:
        return base64_encode(json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False))

    def loads(self, payload: bytes) -> Any:
        return json.loads(base64_decode(payload))


class _SealedJSON(_CompactJSON):
    """The same, encrypted with AES-256-GCM, so that nobody reads names and addresses out of a cookie."""

    def __init__(self, keys: Sequence[Secret], purpose: str) -> None:
        self._purpose = purpose.encode()
        self._ciphers = [AESGCM(self._derive(key)) for key in keys]

    def _derive(self, key: Secret) -> bytes:
        return HKDF(SHA256(), length=32, salt=None, info=self._purpose).derive(
            key.reveal().encode("utf-8", "surrogatepass")
        )

    def dumps(self, value: Any) -> bytes:
        nonce = os.urandom(_NONCE)
        plain = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
        return base64_encode(nonce + self._ciphers[0].encrypt(nonce, plain, self._purpose))

    def loads(self, payload: bytes) -> Any:
        sealed = base64_decode(payload)
        for cipher in self._ciphers:
            try:
                return json.loads(cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], self._purpose))
            except InvalidTag:
                continue
        raise ValueError("sealed under no key of ours")


class Signed:
    """Values of one purpose. `sealed` makes them unreadable as well as unforgeable.

    `audience` (the client and the XWMS it belongs to) is part of the salt, so that two applications that share
    a key, or one application's two purposes, never take each other's values.
    """

    def __init__(self, keys: Sequence[Secret], *, purpose: str, audience: str, sealed: bool = False) -> None:
        if not keys:
            raise ValueError("at least one key is needed")
        salt = f"xwms-auth/1/{purpose}/{audience}"
        self._serializer: Serializer[Any] = Serializer(
            # itsdangerous signs with the last key of its list; ours puts the newest first.
            # The salt goes into the keys here, once, and not again for every value.
            [hmac.digest(_bytes(key), salt.encode(), "sha256") for key in reversed(keys)],
            salt=salt,
            serializer=_SealedJSON(keys, salt) if sealed else _CompactJSON(),
            signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "none"},
        )

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Signed holds keys and cannot be pickled")

    def dumps(self, value: Any) -> str:
        """Return the value as cookie-safe text."""
        made = self._serializer.dumps(value)
        return made.decode() if isinstance(made, bytes) else made

    def loads(self, text: str) -> Any | None:
        """Return the value, or None for anything that we did not issue exactly so."""
        signature = text.rpartition(".")[2]
        try:
            # base64 skips stray characters and ignores spare bits, which would let altered copies of a good value pass.
            if len(text) > MAX_TOKEN or base64_encode(base64_decode(signature)) != signature.encode():
                return None
            return self._serializer.loads(text)
        except (BadData, ValueError):
            return None


def _bytes(key: Secret) -> bytes:
    return key.reveal().encode("utf-8", "surrogatepass")


def digest(text: str) -> str:
    """The SHA-256 of a token, for comparing it later without keeping it. 43 URL-safe characters."""
    raw = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def derived(seed: str, purpose: str) -> str:
    """256 bits for one purpose out of a secret seed, as 43 URL-safe characters; they tell nothing about one another."""
    raw = hmac.digest(seed.encode(), f"xwms-auth/1/{purpose}".encode(), "sha256")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def new_key() -> str:
    """256 random bits as 43 URL-safe characters."""
    return base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()
