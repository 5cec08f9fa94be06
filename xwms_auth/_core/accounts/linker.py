"""The protocol of a `Linker`: which of the application's own users a person of XWMS is.

An *account* is a row of the application's. Its *key* is the primary key as text. A person is found by their identity,
the pair (issuer, sub), and by nothing else: an e-mail address leads to an account only after a proof (`ProofNeeded`).
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

from ..base.dataclass import dataclass
from ..base.models import Identity, User

A_co = TypeVar("A_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """The account of a person who logs in.

    `created` and `linked` tell whether this login has created the account, or linked the identity to one that was
    there. `email_before` is the address that the account had, if this login has changed it.
    """

    key: str
    created: bool = False
    linked: bool = False
    email_before: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofNeeded:
    """An account without an identity has the verified e-mail address of the person who logs in.

    Account takeover: an address proves nothing. The person has to log in to the account as they did until now
    (`AppLogin`); only then `Linker.link` is called.
    """

    key: str


@runtime_checkable
class Linker(Protocol[A_co]):
    """Finds, creates and links accounts. Methods may be sync or async; in ASGI a sync one runs in a thread.

    Every method is atomic for all processes: of several first logins of one person, one creates an account and the
    others find it. Raises `StoreUnavailable` if the database is down: "unknown" must not look like "has no account".
    `AccountBlocked` is raised for an account that the application has blocked.
    """

    def sign_in(self, user: User) -> Linked | ProofNeeded | Awaitable[Linked | ProofNeeded]:
        """Return the account of a person who has just logged in: found by their identity, or else created.

        Raises `NoAccount` if this person may not have a new one, and `AccountExists` if there is one that only another
        login leads to.
        """
        ...

    def link(self, user: User, key: str) -> Linked | Awaitable[Linked]:
        """Link the person's identity to this account, whose owner has been proven.

        Raises `LinkedElsewhere` if it is linked to another account: an identity never moves by itself.
        """
        ...

    def refresh(self, user: User) -> Linked | None | Awaitable[Linked | None]:
        """Bring the account of a person up to date, as `sign_in` does. None if there is none; nothing is created."""
        ...

    def find(self, identity: Identity) -> str | None | Awaitable[str | None]:
        """Return the key of the account with this identity, or None."""
        ...

    def load(self, identity: Identity, *, session: Any = None) -> A_co | None | Awaitable[A_co | None]:
        """Return the account with this identity, or None. `session` is one of the application's."""
        ...

    def key_of(self, account: object) -> str:
        """Return the key of an account, or of what already is a primary key. Raises TypeError for anything else."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AppLogin:
    """The login that the application has besides XWMS: with a password, for example.

    `url` is the path of its page. `next_parameter` is the query parameter in which that page takes a path to return to.
    `who` returns the account, or its primary key, of whoever is logged in by it, or None; sync or async. It is called
    with the request: Flask's, the `environ` of WSGI, the `scope` of ASGI, or the request of Starlette.
    """

    url: str
    who: Callable[[Any], object]
    next_parameter: str = "next"
