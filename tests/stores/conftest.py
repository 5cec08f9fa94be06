"""The stores of these tests, by name, each opened the way the package opens it."""

from typing import Any

from xwms_auth import XWMSConfig
from xwms_auth._core.base.store_protocols import SessionStore
from xwms_auth._core.config.context import Context
from xwms_auth.stores import open_store

KEY, OTHER_KEY = "K3y-for-tests-0123456789-abcdefghij", "0th3r-key-of-tests-0123456789-abcdefg"


def site_with(**options: Any) -> Context:
    usual = {
        "client_id": "desk",
        "client_secret": "s3cret-of-the-desk",
        "redirect_uris": "https://app.example/xwms/validateToken",
        "api_url": "https://xwms.example/api/",
        "session_secret": KEY,
    }
    return Context.of(XWMSConfig(**{**usual, **options}))


def opened(*, is_async: bool = False, **options: Any) -> SessionStore:
    """A store as an edge opens it."""
    return open_store(site_with(**options), is_async=is_async)
