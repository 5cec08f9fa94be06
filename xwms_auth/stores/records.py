"""What server stores have in common: how a session is written down, and under which name.

A store may be read or even written by somebody else: a backup, a forgotten port, a colleague. So the name is the
SHA-256 of the handle, which nobody can turn into a cookie (CVE-2019-16782), and the record is sealed to that name:
it shows nobody's address, it cannot be made without the session secret, and it cannot be copied to another name.

Knows: names and records.
Must not: know where they are kept.
"""

import re
from dataclasses import replace

from ..models import Ending, Identity, Session
from ..session import from_record, to_record
from ..tokens import Sealed, digest

_KEY = re.compile(r"[A-Za-z0-9_-]{43}")


def is_key(text: str) -> bool:
    """Whether this could be a key or a session id of ours: only such a one becomes part of a name in a store."""
    return _KEY.fullmatch(text) is not None


def person_name(identity: Identity) -> str:
    """The name of a person in a store."""
    return digest(f"{identity.issuer}\n{identity.sub}")


class Records:
    """Sessions as bytes for one place each, and back."""

    def __init__(self, seal: Sealed, *, issuer: str) -> None:
        self._seal = seal
        self._issuer = issuer

    def write(self, session: Session, *, key: str) -> bytes:
        """The session sealed for this key."""
        return self._seal.seal(to_record(session), place=key)

    def read(self, sealed: object, *, key: str) -> Session | Ending:
        """The session; one that no key of ours opens was sealed with a key that has since been removed.

        Whoever else writes to the store may put anything here: what is no bytes is no record either.
        """
        opened = self._seal.open(sealed, place=key) if isinstance(sealed, bytes) else None
        session = from_record(opened, issuer=self._issuer)
        return Ending.KEY_ROTATED if session is None else replace(session, id=key)


def ending_of(code: str) -> Ending:
    """The reason behind a code in a store; one of a newer version's is still an end."""
    try:
        return Ending(code)
    except ValueError:
        return Ending.REVOKED
