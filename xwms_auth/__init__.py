"""Login with XWMS for Flask and any ASGI app. Start at the README; the names here are the public ones.

Loads no framework and no HTTP library: the clients and the session managers are imported when first used.
"""

from typing import TYPE_CHECKING

from ._core.accounts.errors import AccountBlocked, AccountExists, LastIdentity, LinkedElsewhere, NoAccount, NobodyToLink
from ._core.base.bearer_errors import (
    BearerRefused,
    InsufficientScope,
    InvalidBearerRequest,
    InvalidToken,
    TokenRequired,
)
from ._core.base.errors import (
    APIError,
    BadAnswer,
    ClientDisabled,
    ClientUnknown,
    ClockSkew,
    ConfigError,
    CredentialsRejected,
    CrossSite,
    HostNotRegistered,
    InternalError,
    LoginExpired,
    LoginNotStarted,
    LoginRequired,
    LoginTooOld,
    NotAllowed,
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
    TooManyLoginsFromAddress,
    TooManyTokens,
    Unreachable,
    XWMSError,
)
from ._core.base.health import Health
from ._core.base.models import AccessToken, Anonymous, EndReason, Identity, Secret, User
from ._core.base.secret_in_response import SecretInResponse
from ._core.base.session import SessionInfo
from ._core.base.store_protocols import RevocationStore, SessionStore
from ._core.base.texts.page_content import PageContent
from ._core.config.config import XWMSConfig

if TYPE_CHECKING:
    from ._core.api.login_calls import ApiInfo, LoginTicket
    from ._core.api.resources import (
        Address,
        Country,
        Project,
        ProjectCategory,
        SocialProfile,
        StoredAddress,
        UserInfo,
    )
    from ._core.io.client import AsyncXWMSClient, XWMSClient
    from ._core.io.session_manager import AsyncXWMSSessions, XWMSSessions

__version__ = "0.1.0"

__all__ = [
    "APIError",
    "AccessToken",
    "AccountBlocked",
    "AccountExists",
    "Address",
    "Anonymous",
    "ApiInfo",
    "AsyncXWMSClient",
    "AsyncXWMSSessions",
    "BadAnswer",
    "BearerRefused",
    "ClientDisabled",
    "ClientUnknown",
    "ClockSkew",
    "ConfigError",
    "Country",
    "CredentialsRejected",
    "CrossSite",
    "EndReason",
    "Health",
    "HostNotRegistered",
    "Identity",
    "InsufficientScope",
    "InternalError",
    "InvalidBearerRequest",
    "InvalidToken",
    "LastIdentity",
    "LinkedElsewhere",
    "LoginExpired",
    "LoginNotStarted",
    "LoginRequired",
    "LoginTicket",
    "LoginTooOld",
    "NoAccount",
    "NobodyToLink",
    "NotAllowed",
    "NotApproved",
    "NotFound",
    "PageContent",
    "Project",
    "ProjectCategory",
    "RedirectNotRegistered",
    "RequestRefused",
    "RequestRejected",
    "RevocationStore",
    "Secret",
    "SecretInResponse",
    "SessionInfo",
    "SessionStore",
    "SocialProfile",
    "StoreUnavailable",
    "StoredAddress",
    "Timeout",
    "TokenMalformed",
    "TokenMissing",
    "TokenRejected",
    "TokenRequired",
    "TooManyLogins",
    "TooManyLoginsFromAddress",
    "TooManyTokens",
    "Unreachable",
    "User",
    "UserInfo",
    "XWMSClient",
    "XWMSConfig",
    "XWMSError",
    "XWMSSessions",
]


# Loaded when first used: what only the clients return.
_MESSAGES = ("ApiInfo", "LoginTicket")
_RESOURCES = ("Address", "Country", "Project", "ProjectCategory", "SocialProfile", "StoredAddress", "UserInfo")


def __getattr__(name: str) -> object:
    if name in ("XWMSClient", "AsyncXWMSClient"):
        from ._core.io import client  # noqa: PLC0415  the HTTP library is loaded only by who uses it

        return getattr(client, name)
    if name in _MESSAGES:
        from ._core.api import login_calls  # noqa: PLC0415  and so are the models of what only the clients return

        return getattr(login_calls, name)
    if name in _RESOURCES:
        from ._core.api import resources  # noqa: PLC0415

        return getattr(resources, name)
    if name in ("XWMSSessions", "AsyncXWMSSessions"):
        from ._core.io import session_manager  # noqa: PLC0415  and so is what sessions are kept in

        return getattr(session_manager, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
