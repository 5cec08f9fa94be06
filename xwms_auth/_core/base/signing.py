"""Signing and encryption of the values that a browser or a store keeps for us.

itsdangerous signs, with HMAC-SHA-256, a salt for each purpose and audience, and a list of keys of which the first signs
and all verify. Its timestamps are not used: times are fields of the values and are checked with the clock of the flow.
A value that fails verification is None, whatever the reason; there is no fallback.
"""

import base64
import hashlib
import hmac
import json
import os
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from itsdangerous import BadData, Serializer
from itsdangerous.encoding import base64_decode, base64_encode

from .models import Identity, Secret

MAX_SIGNED_TEXT = 8192
"""Characters. No text that we issue is longer, so a longer one is rejected without a signature check."""

_NONCE = 12
"""Bytes of an AES-GCM nonce. Random nonces are safe for 2^32 values under one key (NIST SP 800-38D 8.3)."""


class _CompactJSON:
    """JSON without spaces."""

    def dumps(self, value: Any) -> bytes:
        return base64_encode(_to_json(value))

    def loads(self, payload: bytes) -> Any:
        return json.loads(base64_decode(payload))


def _to_json(value: Any) -> bytes:
    """JSON in UTF-8, or b"" for a value that could not be read back, such as a lone surrogate or a NaN.

    It does not raise, because a traceback would lead through every frame that holds the value in clear text.
    """
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        return b""


def _require_written(written: bytes) -> bytes:
    if not written:
        raise ValueError("the value cannot be written as JSON in UTF-8")
    return written


class Sealed:
    """Encrypts and authenticates the values of one purpose with AES-256-GCM.

    For the records of a server store: read access to the store reveals no names, write access cannot forge a session.
    `audience` is as in `Signed`.
    """

    def __init__(self, keys: Sequence[Secret], *, purpose: str, audience: str) -> None:
        self._context = _salt(purpose, audience).encode()
        self._ciphers = [AESGCM(self._derive(key)) for key in keys]

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Sealed holds keys and cannot be pickled")

    def _derive(self, key: Secret) -> bytes:
        return HKDF(SHA256(), length=32, salt=None, info=self._context).derive(_bytes(key))

    def seal(self, value: Any, *, place: str = "") -> bytes:
        """Return the value sealed for one place, such as the key of a row. It cannot be opened for another place.

        Otherwise an attacker with write access to the store could copy another person's record over their own.
        """
        sealed = self.try_seal(value, place=place)
        del value  # a crash report shows the local variables of the frame that raises, and this may hold tokens
        return _require_written(sealed)

    def try_seal(self, value: Any, *, place: str = "") -> bytes:
        """Like `seal`, but returns b"" for a value that cannot be written, for callers that still hold the value."""
        plain, nonce = _to_json(value), os.urandom(_NONCE)
        return plain and nonce + self._ciphers[0].encrypt(nonce, plain, self._context + place.encode())

    def open(self, sealed: bytes, *, place: str = "") -> Any | None:
        """Return the value, or None unless it was sealed for this place with one of the current keys."""
        for cipher in self._ciphers:
            try:
                return json.loads(cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], self._context + place.encode()))
            except (InvalidTag, ValueError, RecursionError):
                continue
        return None

    def seal_text(self, value: Any, *, place: str) -> str:
        """Return the value sealed, as cookie-safe text."""
        sealed = self.try_seal(value, place=place)
        del value  # as in `seal`
        return base64_encode(_require_written(sealed)).decode()

    def open_text(self, text: str, *, place: str) -> Any | None:
        """Return the value, or None unless `seal_text` returned exactly this text for this place."""
        try:
            sealed = base64_decode(text) if len(text) <= MAX_SIGNED_TEXT else b""
        except (BadData, ValueError):
            return None
        # base64 skips stray characters and ignores spare bits, so altered copies of a valid text would be accepted.
        return self.open(sealed, place=place) if base64_encode(sealed).decode() == text else None


class _SealedJSON:
    """`Sealed` as the serializer of a `Signed`, so that names and addresses in a cookie are unreadable."""

    def __init__(self, sealed: Sealed) -> None:
        self._sealed = sealed

    def dumps(self, value: Any) -> bytes:
        return base64_encode(self._sealed.try_seal(value))

    def loads(self, payload: bytes) -> Any:
        value = self._sealed.open(base64_decode(payload))
        if value is None:
            raise ValueError("not sealed with a current key")
        return value


class Signed:
    """Signs the values of one purpose. With `sealed` they are encrypted too.

    `audience` (the client and the XWMS it belongs to) is part of the salt, so that a value of another application with
    the same key, or of another purpose, is not accepted.
    """

    def __init__(self, keys: Sequence[Secret], *, purpose: str, audience: str, sealed: bool = False) -> None:
        if not keys:
            raise ValueError("at least one key is needed")
        salt = _salt(purpose, audience)
        sealer = _SealedJSON(Sealed(keys, purpose=purpose, audience=audience)) if sealed else _CompactJSON()
        self._write = sealer.dumps
        self._serializer: Serializer[Any] = Serializer(
            # itsdangerous signs with the last key of its list, while ours has the newest first.
            # The salt is mixed into the keys once, here, instead of for every value.
            [hmac.digest(_bytes(key), salt.encode(), "sha256") for key in reversed(keys)],
            salt=salt,
            serializer=sealer,
            signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "none"},
        )

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Signed holds keys and cannot be pickled")

    def dumps(self, value: Any) -> str:
        """Return the value as cookie-safe text."""
        payload = self._write(value)
        del value  # as in `Sealed.seal`; `Serializer.dumps` would hold it in a frame of its own
        return self._serializer.make_signer().sign(_require_written(payload)).decode()

    def loads(self, text: str) -> Any | None:
        """Return the value, or None unless `dumps` returned exactly this text."""
        signature = text.rpartition(".")[2]
        try:
            # base64 skips stray characters and ignores spare bits, so altered copies of a valid text would be accepted.
            if len(text) > MAX_SIGNED_TEXT or base64_encode(base64_decode(signature)) != signature.encode():
                return None
            return self._serializer.loads(text)
        except (BadData, ValueError):
            return None


_SHAPE = re.compile(r"[A-Za-z0-9_-]{32,}\.[A-Za-z0-9_-]{43}")


def is_shaped(text: str) -> bool:
    """Whether the text has the form of one that a `Signed` issued, with whatever key."""
    return len(text) <= MAX_SIGNED_TEXT and _SHAPE.fullmatch(text) is not None


def _salt(purpose: str, audience: str) -> str:
    return f"xwms-auth/1/{purpose}/{audience}"


def _bytes(key: Secret) -> bytes:
    return key.reveal().encode("utf-8", "surrogatepass")


def digest(text: str) -> str:
    """The SHA-256 of a token, to compare it later without keeping it. 43 URL-safe characters."""
    raw = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def derived(seed: str, purpose: str) -> str:
    """256 bits for one purpose, derived from a secret seed, as 43 URL-safe characters. None reveals another."""
    raw = hmac.digest(seed.encode(), f"xwms-auth/1/{purpose}".encode(), "sha256")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def new_key() -> str:
    """256 random bits as 43 URL-safe characters."""
    return base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()


def identity_digest(identity: Identity) -> str:
    """The `digest` of a person's identity: the person's name in stores, and shortened in the log."""
    return digest(f"{identity.issuer}\n{identity.sub}")
