"""Where sessions live. The protocol that every store follows is `SessionStore` in `effects.py`.

Knows: which store a `session_store` option names.
Must not: know what a session means.
"""

from ..config import XWMSConfig
from ..effects import SessionStore
from ..tokens import Signed
from .cookie import CookieStore
from .memory import MemoryStore


def open_store(config: XWMSConfig, *, seal: Signed) -> SessionStore:
    """Return the store that the config names. `seal` is what the cookie store writes its sessions with."""
    if config.session_store == "memory://":
        return MemoryStore(lifetime=config.lifetime_seconds)
    return CookieStore(seal, issuer=config.issuer, lifetime=config.lifetime_seconds)
