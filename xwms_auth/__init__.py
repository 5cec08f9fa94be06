"""Login with XWMS for Flask and any ASGI app. Start at the README; the names here are the public ones.

Loads no framework and no HTTP library: `XWMSClient` and `AsyncXWMSClient` are imported when first used.
"""

from typing import TYPE_CHECKING

from .config import XWMSConfig
from .errors import (
    APIError,
    BadAnswer,
    ClientDisabled,
    ConfigError,
    CredentialsRejected,
    CrossSite,
    HostNotRegistered,
    LoginExpired,
    LoginNotStarted,
    LoginRequired,
    NotApproved,
    NotFound,
    RedirectNotRegistered,
    RequestRefused,
    RequestRejected,
    StoreUnavailable,
    Timeout,
    TokenMalformed,
    TokenMissing,
    TokenRejected,
    TooManyLogins,
    Unreachable,
    XWMSError,
)
from .models import Anonymous, Identity, User
from .resources import (
    Address,
    Country,
    Project,
    ProjectCategory,
    SocialProfile,
    StoredAddress,
    UserInfo,
)
from .secret import Secret

if TYPE_CHECKING:
    from .client import AsyncXWMSClient, XWMSClient

__version__ = "0.1.0"

__all__ = [
    "APIError",
    "Address",
    "Anonymous",
    "AsyncXWMSClient",
    "BadAnswer",
    "ClientDisabled",
    "ConfigError",
    "Country",
    "CredentialsRejected",
    "CrossSite",
    "HostNotRegistered",
    "Identity",
    "LoginExpired",
    "LoginNotStarted",
    "LoginRequired",
    "NotApproved",
    "NotFound",
    "Project",
    "ProjectCategory",
    "RedirectNotRegistered",
    "RequestRefused",
    "RequestRejected",
    "Secret",
    "SocialProfile",
    "StoreUnavailable",
    "StoredAddress",
    "Timeout",
    "TokenMalformed",
    "TokenMissing",
    "TokenRejected",
    "TooManyLogins",
    "Unreachable",
    "User",
    "UserInfo",
    "XWMSClient",
    "XWMSConfig",
    "XWMSError",
]


def __getattr__(name: str) -> object:
    if name in ("XWMSClient", "AsyncXWMSClient"):
        from . import client  # noqa: PLC0415  the HTTP library is loaded only by who uses it

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
