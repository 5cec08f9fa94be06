"""The exceptions of the picture mirror, `xwms_auth.accounts.pictures`.

XWMSError
└── PictureError                                                 the picture of a person was not stored
    ├── PictureRefused           picture_refused          502    it must not be fetched, or not be shown to anybody
    └── PictureUnavailable       picture_unavailable      503    it could not be obtained or kept now
"""

from typing import Literal

from ..base.errors import XWMSError

RefusalReason = Literal[
    "no_picture", "url", "address", "redirects", "too_large", "not_a_picture", "too_many_pixels", "broken"
]
UnavailableReason = Literal["timeout", "network", "status", "storage"]


class PictureError(XWMSError):
    """The picture was not stored, and nothing has changed: what it was to replace is still there.

    `reason` is a stable word that says why, for programs. `cause` names at most the host of the picture.
    """

    title = "The picture cannot be shown"
    detail = "The picture could not be taken over from XWMS. Everything else works without it."
    reason: RefusalReason | UnavailableReason


class PictureRefused(PictureError):
    """The URL, a redirect or the bytes are not what a picture may have. The same URL will be refused again."""

    code = "picture_refused"
    status = 502

    def __init__(self, reason: RefusalReason, cause: str) -> None:
        super().__init__(f"{reason}: {cause}")
        self.reason = reason


class PictureUnavailable(PictureError):
    """The server of the picture or the storage failed. Another try, at the next login for instance, may succeed.

    `upstream_status` is the HTTP status of the server, or None if that was not the reason.
    """

    code = "picture_unavailable"
    status = 503

    def __init__(self, reason: UnavailableReason, cause: str, *, upstream_status: int | None = None) -> None:
        super().__init__(f"{reason}: {cause}")
        self.reason = reason
        self.upstream_status = upstream_status
