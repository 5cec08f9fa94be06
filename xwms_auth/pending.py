"""Logins that this browser has started and not yet finished, in one signed cookie.

This cookie is what ties a callback to the browser that asked for it (RFC 6749 10.12, RFC 9700 4.7): a callback URL that
somebody made elsewhere and slipped into this browser finds no pending login here, or one with another proof.

Knows: what a pending login is.
Must not: hold a token in clear, or be the only thing that makes a login single-use (see `SessionStore.spend`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from .cookies import CookieNames, fits, read_cookie, set_cookie
from .redirects import RedirectURI
from .session import FUTURE_TOLERANCE
from .tokens import Signed, digest

MAX_LOGINS = 5
"""Tabs that may be logging in at once; beyond it the oldest is given up, so that the cookie stays a cookie."""

LIFETIME = 600
"""Seconds a person may take at XWMS."""

COOKIE_LIFETIME = 3600
"""Seconds the browser keeps the cookie: longer than a login may take, so that a late one is told so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingLogin:
    """One started login. Times are seconds since 1970."""

    id: str
    proof: str
    """What tells whether a callback is this login's: of what it is made, and how it is compared, is the provider's."""

    next: str
    uri_digest: str
    started_at: int
    expires_at: int
    here: bool
    """Whether it began on this site or was confirmed by a click, so that no other site can have prepared it."""

    fresh: int | None = None
    """How old, in seconds, the person's own login at XWMS may be, where the protocol can tell; None for any."""


@dataclass(slots=True, kw_only=True)
class PendingLogins:
    """One browser's pending logins at one redirect URI, oldest first; `changes()` says what to tell the browser."""

    names: CookieNames
    signed: Signed
    alive: list[PendingLogin]
    expired: list[PendingLogin]
    sent: bool
    """Whether the browser sent a cookie of this name at all."""

    _changed: bool = field(default=False, init=False)

    @classmethod
    def of(cls, header: str, *, names: CookieNames, signed: Signed, uri: RedirectURI, now: int) -> "PendingLogins":
        """Read the raw Cookie header. What is not ours, or not for this redirect URI, is as if it were not there."""
        value = read_cookie(header, names.login)
        logins = [login for login in _parse(signed.loads(value) if value else None) if _is_for(login, uri, now)]
        return cls(
            names=names,
            signed=signed,
            alive=[login for login in logins if now < login.expires_at],
            expired=[login for login in logins if now >= login.expires_at],
            sent=value is not None,
        )

    def add(self, login: PendingLogin) -> None:
        """Add a new login; the oldest ones make room."""
        self.alive.append(login)
        self.expired.clear()
        while len(self.alive) > 1 and (len(self.alive) > MAX_LOGINS or not fits(self.names.login, self._value())):
            del self.alive[0]
        self._changed = True

    def fits(self, login: PendingLogin) -> bool:
        """Whether a cookie with this login alone is small enough."""
        return fits(self.names.login, self.signed.dumps([_pack(login)]))

    def discard(self, *logins: PendingLogin) -> None:
        """Give logins up: used, failed, or contradicted."""
        self.alive = [login for login in self.alive if login not in logins]
        self.expired.clear()
        self._changed = True

    def _value(self) -> str:
        return self.signed.dumps([_pack(login) for login in self.alive])

    def changes(self) -> tuple[str, ...]:
        """The Set-Cookie values that bring the browser up to date: none if nothing changed."""
        if not self._changed:
            return ()
        value, age = (self._value(), COOKIE_LIFETIME) if self.alive else ("", 0)
        return (set_cookie(self.names.login, value, secure=self.names.secure, max_age=age),)


def _is_for(login: PendingLogin, uri: RedirectURI, now: int) -> bool:
    return login.uri_digest == uri_digest(uri) and login.started_at <= now + FUTURE_TOLERANCE


def uri_digest(uri: RedirectURI) -> str:
    """A short name for a redirect URI; a login that was started for one cannot end at another."""
    return digest(uri.uri)[:16]


def _pack(login: PendingLogin) -> list[Any]:
    moments = [login.started_at, login.expires_at]
    fresh = [] if login.fresh is None else [login.fresh]
    return [login.id, login.proof, login.next, login.uri_digest, *moments, login.here, *fresh]


def _parse(value: object) -> Sequence[PendingLogin]:
    if not isinstance(value, list):
        return ()
    logins: list[PendingLogin] = []
    for entry in cast("list[object]", value):
        # One that demands no fresh login leaves that part out.
        parts = [*cast("list[object]", entry), None][:8] if isinstance(entry, list) else None
        match parts:
            case [
                str(id_), str(proof), str(next_), str(uri), int(started_at), int(expires_at), bool(here),
                int() | None as fresh,
            ]:  # fmt: skip
                logins.append(
                    PendingLogin(
                        id=id_,
                        proof=proof,
                        next=next_,
                        uri_digest=uri,
                        started_at=started_at,
                        expires_at=expires_at,
                        here=here,
                        fresh=fresh,
                    )
                )
            case _:
                return ()
    return logins
