"""What a store has to be: `SessionStore`, `RevocationStore`, and what it may be besides.

`xwms_auth.testing` holds both as tests.

Knows: the methods and their promises.
Must not: know any store."""

from collections.abc import Awaitable, Sequence
from typing import Protocol, runtime_checkable

from .models import EndReason, Identity, Session

MAX_CLAIM_NAME = 64
"""Characters of a name that a store can be asked to claim."""


@runtime_checkable
class SessionStore(Protocol):
    """Where sessions live between requests. A method may be plain or async; all raise `StoreUnavailable` when down.

    A *handle* is what the browser's session cookie holds: an opaque string that only the store understands.
    A session's *id* names it in lists; nobody can make a handle of it. `now` and `until` are seconds since 1970.

    missing:    `load` returns None for a handle it never gave out; nothing is ever created under it.
    malformed:  the same as missing. A store never raises for what a browser sent.
    expired:    the idle and absolute limits are judged by the flow, for every store alike. A session is kept `until`
                some time after them, so that its person can be told why; from then on it is the same as missing.
    ended:      a session that was ended with a reason is gone for good, and `load` returns the reason until that time.
                Nothing else of it is kept: no name, no address.
    down:       `StoreUnavailable`, never None: "cannot tell" must not look like "signed out".

    `xwms_auth.testing.store_contract` holds all of this as tests, for a store of your own too.
    """

    def create(self, session: Session, *, until: int, now: int) -> str | Awaitable[str]:
        """Keep a new session under a new handle nobody can guess, and return the handle.

        The store may give the session another id than the one it comes with.
        """
        ...

    def load(self, handle: str, *, now: int) -> Session | EndReason | None | Awaitable[Session | EndReason | None]:
        """Return the session behind the handle, or why it ended, or None."""
        ...

    def recall(self, handle: str, *, now: int) -> Session | None:
        """Return the session behind the handle if that needs no looking up, otherwise None, which says nothing.

        Never async: it is what makes most requests of a busy person cheap. A session that has ended is not recalled.
        """
        ...

    def renew(self, handle: str, session: Session, *, until: int, now: int) -> str | None | Awaitable[str | None]:
        """Keep what is new about the session *if it is still there*; return the handle to use now.

        None means that the session has ended meanwhile: a request in flight must not bring it back. What is kept may
        have changed since `session` was read, so the two are made one, at once for all who share the store:
        `models.latest` says how.
        """
        ...

    def drop(self, handle: str, *, why: EndReason | None, now: int) -> None | Awaitable[None]:
        """End the session; without a reason nothing of it stays. Unknown handles are fine."""
        ...

    def list(self, identity: Identity, *, now: int) -> Sequence[Session] | Awaitable[Sequence[Session]]:
        """Return the person's sessions that have not ended. `ConfigError` where the store has no list."""
        ...

    def revoke(self, session_id: str, *, now: int) -> bool | Awaitable[bool]:
        """End the session of this id with `EndReason.REVOKED`. True if there may have been one.

        This and the two below raise `ConfigError` where the store cannot end a session elsewhere.
        """
        ...

    def revoke_all(self, identity: Identity, *, now: int) -> None | Awaitable[None]:
        """End every session of the person that began up to now."""
        ...

    def revoke_client(self, *, now: int) -> None | Awaitable[None]:
        """End every session of everybody that began up to now."""
        ...

    def claim(self, name: str, *, until: int, now: int) -> bool | Awaitable[bool]:
        """Take a name: True for exactly one caller, until that time or until it is released.

        Names are 1 to 64 characters of `A-Z a-z 0-9 - _ /`. They stand for whatever may happen once: a pending login
        that is used, a token that is tried, a refresh that is under way, a logout token that was delivered.
        Wherever the store is shared this is atomic for everybody who shares it.
        """
        ...

    def release(self, name: str) -> None | Awaitable[None]:
        """Give a name back, after a call to XWMS of which no byte was sent. Unknown names are fine."""
        ...


@runtime_checkable
class RevocationStore(Protocol):
    """What sessions that live in their own cookies need a server for: times from before which they no longer count.

    Every server store is one too. Down and async are as in `SessionStore`.
    """

    def not_before(self, names: Sequence[str], *, now: int) -> Sequence[int] | Awaitable[Sequence[int]]:
        """Return for each name the time up to which sessions of that name are over; 0 where there is none."""
        ...

    def forbid(self, name: str, *, upto: int, until: int, now: int) -> None | Awaitable[None]:
        """Set that time to `upto`, or to one second after the one it has, whichever is later. Kept `until` then."""
        ...

    def claim(self, name: str, *, until: int, now: int) -> bool | Awaitable[bool]:
        """As in `SessionStore`."""
        ...

    def release(self, name: str) -> None | Awaitable[None]:
        """As in `SessionStore`."""
        ...


@runtime_checkable
class KnowsClaims(Protocol):
    """A store that tells which names are claimed without claiming them. Optional for a store.

    Without it a name is claimed and released again to find out, and each process learns for itself what its callbacks
    look like.
    """

    def claimed(self, names: Sequence[str], *, now: int) -> Sequence[bool] | Awaitable[Sequence[bool]]:
        """Return for each name whether somebody has claimed it."""
        ...


@runtime_checkable
class KeepsConnections(Protocol):
    """A store with connections to keep while the application lives, and to close when it ends. Optional for a store."""

    def keep_connections(self) -> None:
        """The application begins, and `close` will be called when it ends, in the same event loop."""
        ...

    def close(self) -> None | Awaitable[None]:
        """The application ends. The store can be used again afterwards."""
        ...
