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
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from itsdangerous import BadData, Serializer
from itsdangerous.encoding import base64_decode, base64_encode

from .secrets import Secret

MAX_TOKEN = 8192
"""Characters. Nothing we ever issued is longer, so nothing longer is worth a signature check."""

_NONCE = 12
"""Bytes of an AES-GCM nonce. Random ones are safe for 2^32 values under one key (NIST SP 800-38D 8.3)."""


class _CompactJSON:
    """JSON without spaces."""

    def dumps(self, value: Any) -> bytes:
        return base64_encode(_written(value))

    def loads(self, payload: bytes) -> Any:
        return json.loads(base64_decode(payload))


def _written(value: Any) -> bytes:
    """JSON in UTF-8, or nothing for what could not be read back: a lone surrogate, a number that is none.

    Nothing instead of an error, whose traceback would lead through every frame that holds the value in clear.
    """
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        return b""


def _something(made: bytes) -> bytes:
    if not made:
        raise ValueError("a value that cannot be written as JSON in UTF-8")
    return made


class Sealed:
    """Values of one purpose, encrypted and authenticated with AES-256-GCM: unreadable, and unforgeable, by themselves.

    For what a server store keeps: whoever reads the store learns nobody's name, and whoever writes to it makes nobody.
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
        """Return the value sealed for one place, such as the key of a row; moved to another place it cannot be opened.

        Otherwise somebody who can write to a store could copy another person's record over their own.
        """
        sealed = self.seal_or_nothing(value, place=place)
        del value  # a crash report shows the locals of the frame that raises, and this may hold tokens
        return _something(sealed)

    def seal_or_nothing(self, value: Any, *, place: str = "") -> bytes:
        """The same, but nothing for a value that cannot be written: for callers that hold the value themselves."""
        plain, nonce = _written(value), os.urandom(_NONCE)
        return plain and nonce + self._ciphers[0].encrypt(nonce, plain, self._context + place.encode())

    def open(self, sealed: bytes, *, place: str = "") -> Any | None:
        """Return the value, or None for anything that we did not seal so, for this place, under a key we still have."""
        for cipher in self._ciphers:
            try:
                return json.loads(cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], self._context + place.encode()))
            except (InvalidTag, ValueError, RecursionError):
                continue
        return None

    def seal_text(self, value: Any, *, place: str) -> str:
        """Return the value sealed, as cookie-safe text."""
        sealed = self.seal_or_nothing(value, place=place)
        del value  # as in `seal`
        return base64_encode(_something(sealed)).decode()

    def open_text(self, text: str, *, place: str) -> Any | None:
        """Return the value, or None for anything that `seal_text` did not make, to the letter, for this place."""
        try:
            sealed = base64_decode(text) if len(text) <= MAX_TOKEN else b""
        except (BadData, ValueError):
            return None
        # base64 skips stray characters and ignores spare bits, which would let altered copies of a good value pass.
        return self.open(sealed, place=place) if base64_encode(sealed).decode() == text else None


class _SealedJSON:
    """`Sealed` as the serializer of a `Signed`, so that nobody reads names and addresses out of a cookie."""

    def __init__(self, sealed: Sealed) -> None:
        self._sealed = sealed

    def dumps(self, value: Any) -> bytes:
        return base64_encode(self._sealed.seal_or_nothing(value))

    def loads(self, payload: bytes) -> Any:
        value = self._sealed.open(base64_decode(payload))
        if value is None:
            raise ValueError("sealed under no key of ours")
        return value


class Signed:
    """Values of one purpose. `sealed` makes them unreadable as well as unforgeable.

    `audience` (the client and the XWMS it belongs to) is part of the salt, so that two applications that share
    a key, or one application's two purposes, never take each other's values.
    """

    def __init__(self, keys: Sequence[Secret], *, purpose: str, audience: str, sealed: bool = False) -> None:
        if not keys:
            raise ValueError("at least one key is needed")
        salt = _salt(purpose, audience)
        sealer = _SealedJSON(Sealed(keys, purpose=purpose, audience=audience)) if sealed else _CompactJSON()
        self._write = sealer.dumps
        self._serializer: Serializer[Any] = Serializer(
            # itsdangerous signs with the last key of its list; ours puts the newest first.
            # The salt goes into the keys here, once, and not again for every value.
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
        del value  # as in `Sealed.seal`; the library's own way would hold it in a frame of its own
        return self._serializer.make_signer().sign(_something(payload)).decode()

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


_SHAPE = re.compile(r"[A-Za-z0-9_-]{32,}\.[A-Za-z0-9_-]{43}")


def is_shaped(text: str) -> bool:
    """Whether this looks like something a `Signed` issued, under a key of ours or of anybody's."""
    return len(text) <= MAX_TOKEN and _SHAPE.fullmatch(text) is not None


def _salt(purpose: str, audience: str) -> str:
    return f"xwms-auth/1/{purpose}/{audience}"


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
