"""The protocols of stores: `SessionStore`, `RevocationStore`, and two optional ones.

`xwms_auth.testing` has their contracts as tests.
"""

from abc import abstractmethod
from collections.abc import Awaitable, Sequence
from typing import Any, Protocol, runtime_checkable

from .models import EndReason, Identity
from .session import Session

MAX_CLAIM_NAME = 64
"""Most characters of a name that a store has to be able to claim."""


@runtime_checkable
class SessionStore(Protocol):
    """Keeps sessions between requests. Methods may be sync or async, and raise `StoreUnavailable` if the store is down.

    A *handle* is what the session cookie contains: an opaque string that only the store understands.
    A session's *id* identifies it in lists; no handle can be derived from it. `now` and `until` are seconds since 1970.

    missing:    `load` returns None for a handle that the store has not issued, and no session is ever created under it
                (session fixation).
    malformed:  the same as missing. A store never raises for what a browser sent.
    expired:    the flow checks the idle and the absolute limit, in the same way for every store. A session is kept
                `until` some time after them, so that the user can be told why it ended; then it counts as missing.
    ended:      a session that was ended with a reason is deleted, and `load` returns the reason until that time.
                Nothing else of it is kept: no name, no address.
    down:       `StoreUnavailable`, never None: "unknown" must not look like "signed out".

    `xwms_auth.testing.store_contract` has all of this as tests, for a store of your own too.
    """

    def create(self, session: Session, *, until: int, now: int) -> str | Awaitable[str]:
        """Store a new session under a new handle that nobody can guess, and return the handle.

        The store may give the session an id other than the one it has.
        """
        ...

    def load(self, handle: str, *, now: int) -> Session | EndReason | None | Awaitable[Session | EndReason | None]:
        """Return the session of a handle, or the reason why it ended, or None."""
        ...

    def recall(self, handle: str, *, now: int) -> Session | None:
        """Return the session of a handle if it is known without I/O; otherwise None, which does not mean missing.

        Never async: this makes most requests of an active user cheap. A session that has ended is not returned.
        """
        ...

    def renew(self, handle: str, session: Session, *, until: int, now: int) -> str | None | Awaitable[str | None]:
        """Store the changes of a session *if it has not ended*, and return the handle to use from now on.

        None means that the session has ended meanwhile: a request in progress must not bring it back. The stored
        session may have changed since `session` was read, so the two are merged, as `models.latest` does it, and
        atomically for all who share the store.
        """
        ...

    def drop(self, handle: str, *, why: EndReason | None, now: int) -> None | Awaitable[None]:
        """End the session; without a reason nothing of it is kept. An unknown handle is not an error."""
        ...

    def list(self, identity: Identity, *, now: int) -> Sequence[Session] | Awaitable[Sequence[Session]]:
        """Return the person's sessions that have not ended. Raises `ConfigError` if the store cannot list them."""
        ...

    def revoke(self, session_id: str, *, now: int) -> bool | Awaitable[bool]:
        """End the session with this id, for the reason `EndReason.REVOKED`. True if there may have been one.

        This and the two methods below raise `ConfigError` if the store cannot end sessions of other browsers.
        """
        ...

    def revoke_all(self, identity: Identity, *, now: int) -> None | Awaitable[None]:
        """End all sessions of the person that were created up to `now`."""
        ...

    def revoke_client(self, *, now: int) -> None | Awaitable[None]:
        """End all sessions of everybody that were created up to `now`."""
        ...

    def claim(self, name: str, *, until: int, now: int) -> bool | Awaitable[bool]:
        """Claim a name: True for exactly one caller, until that time or until the name is released.

        A name has 1 to 64 characters of `A-Z a-z 0-9 - _ /`. It stands for something that may happen once (replay): a
        pending login that is used, a token that is redeemed, a refresh in progress, a logout token that was delivered.
        This is atomic for all who share the store.
        """
        ...

    def release(self, name: str) -> None | Awaitable[None]:
        """Release a name, after a call to XWMS of which no byte was sent. An unknown name is not an error."""
        ...


@runtime_checkable
class RevocationStore(Protocol):
    """Revokes sessions that are stored in cookies: sessions that were created up to a certain time are over.

    Every server store is one too. Async methods and `StoreUnavailable` are as in `SessionStore`.
    """

    def not_before(self, names: Sequence[str], *, now: int) -> Sequence[int] | Awaitable[Sequence[int]]:
        """Return for each name the time up to which its sessions are over, or 0 if it has none."""
        ...

    def forbid(self, name: str, *, upto: int, until: int, now: int) -> None | Awaitable[None]:
        """Set that time to `upto`, or to one second after the present one, whichever is later. Keep it `until` then."""
        ...

    def claim(self, name: str, *, until: int, now: int) -> bool | Awaitable[bool]:
        """As in `SessionStore`."""
        ...

    def release(self, name: str) -> None | Awaitable[None]:
        """As in `SessionStore`."""
        ...


class LoadsAtOnce:
    """A base class for a session store whose `load` may be sync and need no I/O. Optional.

    Without it, an ASGI application looks the session up for every request that brings a cookie, ahead of the
    application; with it, only when the application asks who is there.
    """

    loads_at_once: bool = True
    """Whether `load` returns at once, and never an awaitable."""


class KnownHandle:
    """A handle that a process has verified, and its session.

    What was found out about it may be noted here, with the times between which it holds, in seconds since 1970. Whoever
    notes it also reads it; the note is gone as soon as the session ends.
    """

    __slots__ = ("begin", "end", "is_new", "note", "session")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.begin = self.end = 0
        self.is_new = True
        self.note: Any = None


class FixedHandles(LoadsAtOnce):
    """A base class for a store in which the session of a handle never changes, such as that of cookies. Optional."""

    # Not an `ABC`: `isinstance` would take four times as long, and every request asks.
    @abstractmethod
    def find(self, handle: str) -> KnownHandle | EndReason | None:
        """As `load`, at once. The same object for the same handle, as long as it is remembered."""


@runtime_checkable
class KnowsClaims(Protocol):
    """A store that tells which names are claimed without claiming them. Optional.

    Without it, a name is claimed and released again to find out, and each process has to learn by itself what its
    callbacks look like.
    """

    def claimed(self, names: Sequence[str], *, now: int) -> Sequence[bool] | Awaitable[Sequence[bool]]:
        """Return for each name whether it is claimed."""
        ...


@runtime_checkable
class FindsLogins(Protocol):
    """A store that finds sessions by the `sid` of their tokens, the authorization server's id of a login. Optional.

    Without it a logout at the server that names the login and not the person ends nothing here, and is answered with
    400 (OpenID Connect Back-Channel Logout 2.4).
    """

    def list_login(self, sid: str, *, issuer: str, now: int) -> Sequence[Session] | Awaitable[Sequence[Session]]:
        """Return the sessions of this login at this issuer that have not ended."""
        ...


@runtime_checkable
class KeepsConnections(Protocol):
    """A store that keeps connections open while the application runs. Optional."""

    def keep_connections(self) -> None:
        """The application starts; `close` is called when it stops, in the same event loop."""
        ...

    def close(self) -> None | Awaitable[None]:
        """Close the connections. The store can be used again afterwards."""
        ...
