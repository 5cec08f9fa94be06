"""The application's own users: which of them a person of XWMS is, what the application is told, and their pictures.

The ready linkers load SQLAlchemy, and the mirror of pictures Pillow, when they are first used.
"""

from typing import TYPE_CHECKING

from .._core.accounts.errors import (
    AccountBlocked,
    AccountExists,
    LastIdentity,
    LinkedElsewhere,
    NoAccount,
    NobodyToLink,
)
from .._core.accounts.hooks import (
    AccountCreated,
    AccountLinked,
    EmailChanged,
    Event,
    Hooks,
    LoggedIn,
    LoggedOut,
    LoginRefused,
)
from .._core.accounts.linker import AppLogin, Linked, Linker, ProofNeeded

if TYPE_CHECKING:
    from .pictures import FolderStorage, PictureError, PictureMirror, PictureRefused, PictureStorage, PictureUnavailable
    from .sqlalchemy import AsyncSQLAlchemyLinker, LinkedIdentity, SQLAlchemyLinker, identities_of

__all__ = [
    "AccountBlocked",
    "AccountCreated",
    "AccountExists",
    "AccountLinked",
    "AppLogin",
    "AsyncSQLAlchemyLinker",
    "EmailChanged",
    "Event",
    "FolderStorage",
    "Hooks",
    "LastIdentity",
    "Linked",
    "LinkedElsewhere",
    "LinkedIdentity",
    "Linker",
    "LoggedIn",
    "LoggedOut",
    "LoginRefused",
    "NoAccount",
    "NobodyToLink",
    "PictureError",
    "PictureMirror",
    "PictureRefused",
    "PictureStorage",
    "PictureUnavailable",
    "ProofNeeded",
    "SQLAlchemyLinker",
    "identities_of",
]

_IN_SQLALCHEMY = ("AsyncSQLAlchemyLinker", "LinkedIdentity", "SQLAlchemyLinker", "identities_of")
_IN_PICTURES = (
    "FolderStorage",
    "PictureError",
    "PictureMirror",
    "PictureRefused",
    "PictureStorage",
    "PictureUnavailable",
)


def __getattr__(name: str) -> object:
    if name in _IN_SQLALCHEMY:
        from . import sqlalchemy  # noqa: PLC0415  loaded only by who uses it

        return getattr(sqlalchemy, name)
    if name in _IN_PICTURES:
        from . import pictures  # noqa: PLC0415  as above

        return getattr(pictures, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
