"""Signing of the values that a browser keeps for us and may read, such as the token of a form.

itsdangerous signs, with HMAC-SHA-256, a salt for each purpose and audience, and a list of keys of which the first signs
and all verify. Its timestamps are not used: times are fields of the values and are checked with the clock of the flow.
A value that fails verification is None, whatever the reason; there is no fallback.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any, NoReturn

from itsdangerous import BadData, Serializer
from itsdangerous.encoding import base64_decode, base64_encode

from ..models import Secret
from .digests import MAX_SIGNED_TEXT, key_bytes, require_written, salt_of, to_json


class _CompactJSON:
    """JSON without spaces; nothing for a value that cannot be written."""

    def dumps(self, value: Any) -> bytes:
        return base64_encode(to_json(value))

    def loads(self, payload: bytes) -> Any:
        return json.loads(base64_decode(payload))


class Signed:
    """Signs the values of one purpose, which anybody may read.

    `audience` (the client and the XWMS it belongs to) is part of the salt, so that a value of another application with
    the same key, or of another purpose, is not accepted.
    """

    def __init__(self, keys: Sequence[Secret], *, purpose: str, audience: str) -> None:
        if not keys:
            raise ValueError("at least one key is needed")
        salt = salt_of(purpose, audience)
        self._json = _CompactJSON()
        self._serializer: Serializer[Any] = Serializer(
            # itsdangerous signs with the last key of its list, while ours has the newest first.
            # The salt is mixed into the keys once, here, instead of for every value.
            [hmac.digest(key_bytes(key), salt.encode(), "sha256") for key in reversed(keys)],
            salt=salt,
            serializer=self._json,
            signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "none"},
        )

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Signed holds keys and cannot be pickled")

    def dumps(self, value: Any) -> str:
        """Return the value as cookie-safe text."""
        payload = self._json.dumps(value)
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
