"""Cookies made by hand, by somebody who has the key: what an older version, or a thief of the key, could bring.

Made with itsdangerous and cryptography alone, from the documented form (`docs/security.md`), so that no mistake is
shared with the package.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from itsdangerous import Signer

from tests.tools.site import Site

KEY = "K3y-for-tests-0123456789-abcdefghij"  # FakeXWMS.options()
LOGIN, SESSION = "login/sign-token", "session"
NONCE = b"0123456789ab"
SALT = b"my-own"


def salt_of(site: Site, purpose: str) -> str:
    return f"xwms-auth/1/{purpose}/{site.config.client_id}@{site.config.api_url}"


def base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def signed(site: Site, payload: bytes, purpose: str = LOGIN, *, key: str = KEY, **changes: Any) -> str:
    """Sign a payload as the package does; `changes` are for the signer."""
    options = {"salt": salt_of(site, purpose), "key_derivation": "hmac", "digest_method": hashlib.sha256}
    return Signer(key, **{**options, **changes}).sign(payload).decode("latin-1")


def login_cookie(site: Site, value: object, *, place: str = "a-login-", **changes: Any) -> str:
    """A whole cookie of a pending login, name and value, that holds any value."""
    sealed_value = sealed(site, json.dumps(value).encode(), LOGIN, place=place, **changes)
    return f"{site.login_prefix}{place}={sealed_value}"


def hkdf(key: str, info: bytes, length: int = 32) -> bytes:
    return HKDF(SHA256(), length=length, salt=None, info=info).derive(key.encode())


def subkey(key: bytes) -> bytes:
    return hmac.digest(key, SALT, "sha256")


def sealed(
    site: Site,
    plain: bytes,
    purpose: str = SESSION,
    *,
    key: str = KEY,
    place: str = "",
    version: bytes = b"\x01",
    key_id: bytes | None = None,
    derive: Callable[[bytes], bytes] = subkey,
    cipher: Callable[[bytes], Any] = AESGCM,
    context: bytes | None = None,
) -> str:
    """Encrypt as the package does: AES-256-GCM under a subkey of HKDF-SHA256's key, purpose and place as AAD."""
    info = salt_of(site, purpose).encode()
    head = version + (hkdf(key, b"key-id:" + info, 2) if key_id is None else key_id) + NONCE + SALT
    plain += b" " * (-(len(head) + len(plain) + 16) % 3)
    aad = info if context is None else context
    return base64url(head + cipher(derive(hkdf(key, info))).encrypt(NONCE, plain, aad + place.encode())).decode()


def session_cookie(site: Site, plain: bytes, **changes: Any) -> str:
    """A session cookie that holds any bytes."""
    return sealed(site, plain, SESSION, **changes)


def digest(text: str) -> str:
    return base64url(hashlib.sha256(text.encode()).digest()).decode()


def pending(site: Site, token: str, **changes: object) -> list[object]:
    """One pending login of this site for a token, in the order of the cookie's fields."""
    now = int(site.clock.now)
    uri = digest(site.config.registered[0].uri)[:8]
    entry: dict[str, object] = {"id": "a-login-of-mine-", "hash": digest(token), "next": "/hello", "uri": uri}
    entry |= {"started_at": now, "lasts": 600, "here": True}
    return list({**entry, **changes}.values())
