"""What signing, encryption and stores share: hashes of tokens, random keys, and JSON as it is signed."""

import base64
import hashlib
import hmac
import json
import os
from typing import Any

from ..models import Identity, Secret

MAX_SIGNED_TEXT = 8192
"""Characters. No text that we issue is longer, so a longer one is rejected without a signature check."""


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
    raw = hmac.digest(seed.encode("utf-8", "surrogatepass"), f"xwms-auth/1/{purpose}".encode(), "sha256")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def new_key() -> str:
    """256 random bits as 43 URL-safe characters."""
    return base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()


def login_digest(issuer: str, sid: str) -> str:
    """The `digest` of a login at an authorization server: its name in stores."""
    return digest(f"login\n{issuer}\n{sid}")


def identity_digest(identity: Identity) -> str:
    """The `digest` of a person's identity: the person's name in stores."""
    return digest(f"{identity.issuer}\n{identity.sub}")
