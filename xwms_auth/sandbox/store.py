"""What a local XWMS remembers: clients and their tokens, in memory, for one process.

Knows no HTTP, no settings and no clock: the time is an argument, in seconds since the epoch.
Whatever replaces it must keep each method atomic, because single use depends on it.
"""

import hashlib
import hmac
from dataclasses import dataclass, replace
from threading import Lock
from typing import Final, Protocol, TypeVar

from xwms_auth.sandbox.people import Person

MAX_TOKENS: Final = 10_000  # a few megabytes; the oldest give way, so a runaway script cannot fill the memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """An application that may ask people to sign in. Of its secret only the SHA-256 is kept."""

    client_id: str
    secret_sha256: bytes
    domain: str
    redirect_uris: frozenset[str]
    enabled: bool = True

    def has_secret(self, secret: str) -> bool:
        """Whether this is the client's secret, in a time that does not tell how much of it was right."""
        return hmac.compare_digest(self.secret_sha256, sha256_of(secret))


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """A login that an app asked for; `approved` once somebody has chosen who they are."""

    client_id: str
    redirect_url: str
    expires_at: float
    approved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grant:
    """What a redeemable token is worth."""

    client_id: str
    person: Person
    expires_at: float


class _Expiring(Protocol):
    @property
    def expires_at(self) -> float: ...


_E = TypeVar("_E", bound=_Expiring)


def sha256_of(secret: str) -> bytes:
    """The digest under which a secret is kept; never fails, whatever a header may hold."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


class MemoryStore:
    """Clients, sign-ins and redeemable tokens behind one lock."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._clients: dict[str, Client] = {}
        self._sign_ins: dict[str, SignIn] = {}
        self._grants: dict[str, _Grant] = {}

    def put_client(self, client: Client) -> None:
        """Add a client, or replace the one with the same id."""
        with self._lock:
            self._clients[client.client_id] = client

    def client(self, client_id: str) -> Client | None:
        """The client with this id; None when there is none."""
        with self._lock:
            return self._clients.get(client_id)

    def clients(self) -> tuple[Client, ...]:
        """Every client, in the order they were added."""
        with self._lock:
            return tuple(self._clients.values())

    def begin(self, token: str, sign_in: SignIn, *, now: float) -> None:
        """Remember a sign-in under its token, and forget those that are over."""
        with self._lock:
            _make_room(self._sign_ins, now)
            self._sign_ins[token] = sign_in

    def sign_in(self, token: str) -> SignIn | None:
        """The sign-in with this token, approved or expired ones included; None when it is unknown or swept away."""
        with self._lock:
            return self._sign_ins.get(token)

    def approve(self, token: str, person: Person, *, callback_token: str, now: float) -> bool:
        """Make `callback_token` redeemable for `person`, once; False when the sign-in is unknown, over or taken."""
        with self._lock:
            sign_in = self._sign_ins.get(token)
            if sign_in is None or sign_in.approved or sign_in.expires_at <= now:
                return False
            self._sign_ins[token] = replace(sign_in, approved=True)
            _make_room(self._grants, now)
            self._grants[callback_token] = _Grant(
                client_id=sign_in.client_id, person=person, expires_at=sign_in.expires_at
            )
            return True

    def redeem(self, token: str, *, client_id: str, now: float) -> Person | None:
        """Spend a token of this client; None when it is unknown, unapproved, expired, spent, or another client's."""
        with self._lock:
            grant = self._grants.get(token)
            if grant is None or grant.client_id != client_id:
                return None
            del self._grants[token]
            return grant.person if grant.expires_at > now else None


def _make_room(entries: dict[str, _E], now: float) -> None:
    for token in [token for token, entry in entries.items() if entry.expires_at <= now]:
        del entries[token]
    while len(entries) >= MAX_TOKENS:
        del entries[next(iter(entries))]
