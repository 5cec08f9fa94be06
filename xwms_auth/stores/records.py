"""The format of session records, shared by the server stores.

Others may be able to read or even write a store: through a backup, an open port, or as a colleague. So the key of a
record is the SHA-256 of the handle, which nobody can turn into a cookie (CVE-2019-16782), and the record is encrypted
and bound to that key: it reveals no addresses, cannot be forged without the session secret, and cannot be copied to
another key.
"""

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from .._core.base.crypto.digests import login_digest
from .._core.base.memory.expiring import RecentMap
from .._core.base.models import EndReason
from .._core.base.session import Session
from .._core.base.session_record import from_record, to_record

if TYPE_CHECKING:
    from .._core.base.crypto.sealing import Sealed

_KEY = r"[A-Za-z0-9_-]{43}"  # compiled when it is first used


def is_key(text: str) -> bool:
    """Whether this has the form of our keys and session ids. Nothing else may become part of a key in a store."""
    return re.fullmatch(_KEY, text) is not None


def login_of(session: Session) -> str | None:
    """The name, in a store, of the login at the authorization server that a session is from; None if it has none."""
    sid = None if session.tokens is None else session.tokens.sid
    return None if sid is None else login_digest(session.user.issuer, sid)


MAX_OPENED_BYTES = 8 * 1024 * 1024
"""Bytes of the records that are kept opened, about 5,000 of them."""

ENTRY_BYTES = 1400
"""Bytes of an opened record, beside the record itself."""


class Records:
    """Writes sessions as encrypted records, each bound to its key, and reads them.

    A record that was read before and has not changed is not opened again. The store is asked every time all the same,
    so a session ends at once: what is kept is only what a record says, and never whether there is one.
    """

    def __init__(self, seal: "Sealed", *, issuer: str) -> None:
        self._seal = seal
        self._issuer = issuer
        self._opened: RecentMap[tuple[bytes, Session]] = RecentMap(MAX_OPENED_BYTES)

    def write(self, session: Session, *, key: str) -> bytes:
        """The session as an encrypted record for this key."""
        return self._seal.seal(to_record(session), place=key)

    def read(self, sealed: object, *, key: str) -> Session | EndReason:
        """The session, or `KEY_ROTATED` for a record that no current key opens: its key has since been removed.

        Others who can write to the store may have put any value here; one that is not bytes is not a record.
        """
        if not isinstance(sealed, bytes):
            return EndReason.KEY_ROTATED
        known = self._opened.get(key)
        if known is not None and known[0] == sealed:
            return known[1]
        session = from_record(self._seal.open(sealed, place=key), issuer=self._issuer)
        if session is None:
            return EndReason.KEY_ROTATED
        session = replace(session, id=key)
        self._opened.put(key, (sealed, session), size=ENTRY_BYTES + len(sealed))
        return session


def ending_of(code: str) -> EndReason:
    """The reason for a code in a store. An unknown code, of a newer version, still means that the session ended."""
    try:
        return EndReason(code)
    except ValueError:
        return EndReason.REVOKED


@runtime_checkable
class OpenedForClient(Protocol):
    """A store in a config that is opened for one client, with the key for its records, before it is used."""

    def open_for(self, client: str, records: Records, *, is_async: bool) -> object:
        """Return the store. `client` is a short name that separates clients who share it."""
        ...
