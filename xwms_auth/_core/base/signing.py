"""Signing of the values that a browser keeps for us and may read, such as the token of a form.

itsdangerous signs, with HMAC-SHA-256, a salt for each purpose and audience, and a list of keys of which the first signs
and all verify. Its timestamps are not used: times are fields of the values and are checked with the clock of the flow.
A value that fails verification is None, whatever the reason; there is no fallback.
"""

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Sequence
from typing import Any, NoReturn

from itsdangerous import BadData, Serializer
from itsdangerous.encoding import base64_decode, base64_encode

from .models import Identity, Secret

MAX_SIGNED_TEXT = 8192
"""Characters. No text that we issue is longer, so a longer one is rejected without a signature check."""


class _CompactJSON:
    """How a payload is read. `Signed.dumps` writes it."""

    def dumps(self, value: Any) -> bytes:
        return base64_encode(to_json(value))

    def loads(self, payload: bytes) -> Any:
        return json.loads(base64_decode(payload))


def to_json(value: Any) -> bytes:
    """JSON in UTF-8, or b"" for a value that could not be read back, such as a lone surrogate or a NaN.

    It does not raise, because a traceback would lead through every frame that holds the value in clear text.
    """
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        return b""


def require_written(written: bytes) -> bytes:
    if not written:
        raise ValueError("the value cannot be written as JSON in UTF-8")
    return written


class Signed:
    """Signs the values of one purpose, which anybody may read.

    `audience` (the client and the XWMS it belongs to) is part of the salt, so that a value of another application with
    the same key, or of another purpose, is not accepted.
    """

    def __init__(self, keys: Sequence[Secret], *, purpose: str, audience: str) -> None:
        if not keys:
            raise ValueError("at least one key is needed")
        salt = salt_of(purpose, audience)
        self._serializer: Serializer[Any] = Serializer(
            # itsdangerous signs with the last key of its list, while ours has the newest first.
            # The salt is mixed into the keys once, here, instead of for every value.
            [hmac.digest(key_bytes(key), salt.encode(), "sha256") for key in reversed(keys)],
            salt=salt,
            serializer=_CompactJSON(),
            signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "none"},
        )

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Signed holds keys and cannot be pickled")

    def dumps(self, value: Any) -> str:
        """Return the value as cookie-safe text."""
        payload = base64_encode(to_json(value))
        del value  # as in `Sealed.seal`; `Serializer.dumps` would hold it in a frame of its own
        return self._serializer.make_signer().sign(require_written(payload)).decode()

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


def salt_of(purpose: str, audience: str) -> str:
    return f"xwms-auth/1/{purpose}/{audience}"


def key_bytes(key: Secret) -> bytes:
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
