"""Encryption of the values that a browser or a store keeps for us and must not read: sessions and pending logins.

AES-256-GCM, which authenticates as well, so nothing is signed on top of it. The form of a sealed value:

    version   1 byte     of this form
    key id    2 bytes    which of the configured keys; with the version, the first four characters as text
    nonce    12 bytes    random for every value
    salt      6 bytes    which subkey of that key
    rest                 the value as JSON, encrypted, and the tag of 16 bytes

Random nonces are safe for 2^32 values under one key (NIST SP 800-38D 8.3). So each process derives a subkey of its own,
and a new one long before that. The purpose, the audience and the place of a value are authenticated with it.
A value that cannot be opened is None, whatever the reason; there is no fallback.
"""

import binascii
import hmac
import json
import os
import re
import threading
from collections.abc import Sequence
from typing import Any, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..models import Secret
from .digests import MAX_SIGNED_TEXT, key_bytes, require_written, salt_of, to_json

_VERSION = b"\x01"
_NONCE, _SALT, _TAG = 12, 6, 16
_HEAD = 3 + _NONCE + _SALT

MAX_PER_SUBKEY = 2**20
"""Values that a process seals with one subkey."""

MAX_SUBKEYS = 256
"""Subkeys of other processes that are kept, the newest ones. Deriving one costs two microseconds."""

# URL-safe base64 in one way only: of the usual alphabet's own characters none is left, and none is padding.
_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/!!!")
_FROM_BASE64 = bytes.maketrans(b"+/", b"-_")

# Version 1, and at least an empty value.
_SHAPE = re.compile(r"A[Q-Za-f](?:[A-Za-z0-9_-]{4}){12,}[A-Za-z0-9_-]{2}")

_parse = json.JSONDecoder().raw_decode


class Sealed:
    """Encrypts and authenticates the values of one purpose.

    `keys` are the session secrets, the newest first: it seals, and all open. `audience` (the client and the XWMS it
    belongs to) is part of the key, so that a value of another application with the same secret, or of another purpose,
    is not accepted.
    """

    def __init__(self, keys: Sequence[Secret], *, purpose: str, audience: str) -> None:
        if not keys:
            raise ValueError("at least one key is needed")
        self._context = salt_of(purpose, audience).encode()
        self._keys: dict[bytes, list[bytes]] = {}
        for key in keys:
            self._keys.setdefault(self._derive(key, b"key-id:", 2), []).append(self._derive(key, b"", 32))
        self._starts = frozenset(_to_text(_VERSION + key_id) for key_id in self._keys)
        self._lock = threading.Lock()
        self._subkeys: dict[bytes, AESGCM] = {}
        self._begin_subkey()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Sealed holds keys and cannot be pickled")

    def _derive(self, key: Secret, use: bytes, length: int) -> bytes:
        return HKDF(SHA256(), length=length, salt=None, info=use + self._context).derive(key_bytes(key))

    def seal(self, value: Any, *, place: str = "") -> bytes:
        """Return the value sealed for one place, such as the key of a row. It cannot be opened for another place.

        Otherwise an attacker with write access to the store could copy another person's record over their own.
        """
        sealed = self._try_seal(value, place)
        del value  # a crash report shows the local variables of the frame that raises, and this may hold tokens
        return require_written(sealed)

    def _try_seal(self, value: Any, place: str) -> bytes:
        """Like `seal`, but returns b"" for a value that cannot be written, for callers that still hold the value."""
        plain = to_json(value)
        if not plain:
            return b""
        plain += b"  "[: -(_HEAD + len(plain) + _TAG) % 3]  # so that the text has no spare bits
        if self._left <= 0 or self._process != os.getpid():  # a fork has the subkey of its parent, and so all others
            self._begin_subkey()
        self._left -= 1
        (name, cipher), nonce = self._own, os.urandom(_NONCE)
        head = _VERSION + name[:2] + nonce + name[2:]
        return head + cipher.encrypt(nonce, plain, self._context + place.encode())

    def _begin_subkey(self) -> None:
        key_id = next(iter(self._keys))
        salt = os.urandom(_SALT)
        self._own, self._left = (key_id + salt, _subkey(self._keys[key_id][0], salt)), MAX_PER_SUBKEY
        self._process = os.getpid()

    def open(self, sealed: bytes, *, place: str = "") -> Any | None:
        """Return the value, or None unless it was sealed for this place with one of the current keys."""
        if sealed[:1] != _VERSION:
            return None
        name = sealed[1:3] + sealed[3 + _NONCE : _HEAD]
        cipher = self._subkeys.get(name)
        if cipher is not None:
            return self._open_with(cipher, sealed, place)
        for key in self._keys.get(name[:2], ()):
            cipher = _subkey(key, name[2:])
            value = self._open_with(cipher, sealed, place)
            if value is not None:
                self._keep(name, cipher)
                return value
        return None

    def _open_with(self, cipher: AESGCM, sealed: bytes, place: str) -> Any | None:
        try:
            plain = cipher.decrypt(sealed[3 : 3 + _NONCE], sealed[_HEAD:], self._context + place.encode())
            return _parse(plain.decode())[0]
        except (InvalidTag, ValueError, RecursionError):
            return None

    def _keep(self, name: bytes, cipher: AESGCM) -> None:
        """Keep a subkey that has opened something: whoever makes names up fills no memory."""
        with self._lock:
            if len(self._subkeys) >= MAX_SUBKEYS:
                del self._subkeys[next(iter(self._subkeys))]
            self._subkeys[name] = cipher

    def seal_text(self, value: Any, *, place: str = "") -> str:
        """Return the value sealed, as cookie-safe text."""
        sealed = self._try_seal(value, place)
        del value  # as in `seal`
        return _to_text(require_written(sealed))

    def open_text(self, text: str, *, place: str = "") -> Any | None:
        """Return the value, or None unless `seal_text` returned exactly this text for this place."""
        if len(text) > MAX_SIGNED_TEXT or text[:4] not in self._starts:
            return None
        try:
            sealed = binascii.a2b_base64(text.encode("ascii").translate(_TO_BASE64), strict_mode=True)
        except ValueError:
            return None
        return self.open(sealed, place=place)

    def is_of_other_key(self, text: str) -> bool:
        """Whether the text has the form of one that was sealed with a key which is none of the current ones."""
        return text[:4] not in self._starts and len(text) <= MAX_SIGNED_TEXT and _SHAPE.fullmatch(text) is not None


def _subkey(key: bytes, salt: bytes) -> AESGCM:
    return AESGCM(hmac.digest(key, salt, "sha256"))


def _to_text(sealed: bytes) -> str:
    """As URL-safe base64 without padding. The length is a multiple of three, so there are no spare bits either."""
    return binascii.b2a_base64(sealed, newline=False).translate(_FROM_BASE64).decode()
