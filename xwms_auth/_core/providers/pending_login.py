"""Logins that this browser has started and not yet finished, each in a sealed cookie of its own.

These cookies are what ties a callback to the browser that asked for it (RFC 6749 10.12, RFC 9700 4.7): a callback URL
that somebody made elsewhere and slipped into this browser finds no pending login here, or one with another proof.
One for each, so that of eight tabs whose logins start at the same moment no answer overwrites another's.

Knows: what a pending login is, how many there may be, and which makes room.
Must not: hold a token in clear, or be the only thing that makes a login single-use (see `SessionStore.claim`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from ..base.lifetimes import FUTURE_TOLERANCE
from ..base.models import User, ever_smaller
from ..base.signing import Sealed, digest, new_key
from ..base.strict_json import parse_object
from ..http.cookies import CookieNames, read_cookies, set_cookie
from ..http.urls import RedirectURI

MAX_LOGINS = 10
"""Tabs that may be logging in at once."""

MAX_COOKIES = 3000
"""Bytes of all pending logins together in a Cookie header: servers take 8 kB of headers, and others need some too."""

LIFETIME = 600
"""Seconds a person may take at XWMS."""

MAX_COOKIE_FROM_ELSEWHERE = 600
"""Bytes of one that another site began, whose logins may start at the same moment and then know nothing of each other;
it keeps its way back only if there is room for that."""

MAX_WAITING = 1000
"""Bytes of one that waits for its person's word, and therefore holds the person."""

CONFIRMATION_LIFETIME = 180
"""Seconds a person has for their word. Meanwhile somebody may end their sessions, and this is none yet."""

COOKIE_LIFETIME = 3600
"""Seconds the browser keeps the cookie: longer than a login may take, so that a late one is told so."""

_ID = 16
"""Characters of a login's id, 96 random bits; half of them name its cookie."""


_KEY = re.compile(rf"[A-Za-z0-9_-]{{{_ID // 2}}}")


NO_PROOF = "-" * 43
"""As long as a proof is, for a login that has none yet."""


def new_login_id() -> str:
    """An id that no other pending login has."""
    return new_key()[:_ID]


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingLogin:
    """One started login. Times are seconds since 1970."""

    id: str
    proof: str = field(repr=False)
    """What tells whether a callback is this login's: of what it is made, and how it is compared, is the provider's."""

    next: str
    uri_digest: str
    started_at: int
    expires_at: int
    began_here: bool
    """Whether it began on this site or was confirmed by a click, so that no other site can have prepared it."""

    fresh: int | None = None
    """How old, in seconds, the person's own login at XWMS may be, where the protocol can tell; None for any."""

    person: User | None = None
    """Whom XWMS has confirmed, where that waits for the person's own word; None before."""

    @property
    def key(self) -> str:
        """What tells the login's cookie, and the page that asks for a word, from those of other tabs."""
        return self.id[: _ID // 2]


@dataclass(slots=True, kw_only=True)
class PendingLogins:
    """One browser's pending logins at one redirect URI, oldest first; `changes()` says what to tell the browser."""

    names: CookieNames
    sealed: Sealed
    alive: list[PendingLogin]
    unconfirmed: list[PendingLogin]
    """Those that wait for their person's word; no callback is theirs any more."""

    expired: list[PendingLogin]

    _set: dict[str, str] = field(default_factory=dict[str, str], init=False)

    @classmethod
    def of(cls, header: str, *, names: CookieNames, sealed: Sealed, uri: RedirectURI, now: int) -> "PendingLogins":
        """Read the raw Cookie header. What is not ours, or not for this redirect URI, is as if it were not there."""
        found = [
            login
            for key, value in read_cookies(header, names.login).items()
            if (login := _unpack(sealed.open_text(value, place=key))) is not None and _is_for(login, uri, now)
        ]
        found.sort(key=lambda login: login.started_at)
        living = [login for login in found if now < login.expires_at]
        return cls(
            names=names,
            sealed=sealed,
            alive=[login for login in living if login.person is None],
            unconfirmed=[login for login in living if login.person is not None],
            expired=[login for login in found if now >= login.expires_at],
        )

    def has_room(self, login: PendingLogin) -> bool:
        """Whether a new login of this size can be kept."""
        return self._in_the_way(login) is not None

    def add(self, login: PendingLogin) -> None:
        """Keep a new login for which there is room; the ones that are in its way go."""
        self.discard(*(self._in_the_way(login) or ()))
        self.alive.append(login)
        self._set[login.key] = self._value(login)

    def _in_the_way(self, login: PendingLogin) -> Sequence[PendingLogin] | None:
        """The logins that make room for a new one: the oldest that began elsewhere first.

        None if there is no room. One that begins elsewhere itself never takes the room of one's own: any page can open
        as many as it likes.
        """
        if not login.began_here and login.person is None and self._size(login) > MAX_COOKIE_FROM_ELSEWHERE:
            return None
        kept, gone = [one for one in (*self.unconfirmed, *self.alive) if one.id != login.id], list[PendingLogin]()
        sizes = {one.id: self._size(one) for one in (*kept, login)}
        while len(kept) >= MAX_LOGINS or sum(sizes.values()) > MAX_COOKIES:
            # One that waits for a word was brought here; the person has not said yet that it is theirs.
            elsewhere = [one for one in kept if not one.began_here or one.person is not None]
            if not kept or not (elsewhere or (login.began_here and login.person is None)):
                return None
            gone.append((elsewhere or kept)[0])
            kept.remove(gone[-1])
            del sizes[gone[-1].id]
        return gone

    def await_confirmation(self, login: PendingLogin, person: User, *, now: int) -> bool:
        """Keep the login until its person says that this is who they are; False, and it is over, if there is no room.

        What there is no room for of the person is left out, as in a session.
        """
        self.discard(login)
        for kept in ever_smaller(person):
            waiting = replace(login, proof="", person=kept, expires_at=now + CONFIRMATION_LIFETIME)
            gone = self._in_the_way(waiting) if self._size(waiting) <= MAX_WAITING else None
            if gone is not None:
                self.discard(*gone)
                self.unconfirmed.append(waiting)
                self._set[login.key] = self._value(waiting)
                return True
        return False

    def forget_expired(self) -> None:
        """Have the browser forget what is over."""
        self.discard(*self.expired)
        self.expired.clear()

    def discard(self, *logins: PendingLogin) -> None:
        """Give logins up: used, failed, or contradicted."""
        for login in logins:
            self.alive = [one for one in self.alive if one.id != login.id]
            self.unconfirmed = [one for one in self.unconfirmed if one.id != login.id]
            self._set[login.key] = ""

    def _value(self, login: PendingLogin) -> str:
        return self.sealed.seal_text(_pack(login), place=login.key)

    def _size(self, login: PendingLogin) -> int:
        return len(f"{self.names.login}{login.key}={self._value(login)}; ")

    def changes(self) -> tuple[str, ...]:
        """The Set-Cookie values that bring the browser up to date: none if nothing changed."""
        return tuple(
            set_cookie(self.names.login + key, value, secure=self.names.secure, max_age=COOKIE_LIFETIME if value else 0)
            for key, value in self._set.items()
        )


def forget_all(header: str, names: CookieNames) -> list[str]:
    """The Set-Cookie values with which a browser forgets every pending login that it sent."""
    keys = [key for key in read_cookies(header, names.login) if _KEY.fullmatch(key)]
    return [set_cookie(names.login + key, "", secure=names.secure, max_age=0) for key in keys]


def _is_for(login: PendingLogin, uri: RedirectURI, now: int) -> bool:
    return login.uri_digest == uri_digest(uri) and login.started_at <= now + FUTURE_TOLERANCE


def uri_digest(uri: RedirectURI) -> str:
    """A short name for a redirect URI; a login that was started for one cannot end at another."""
    return digest(uri.uri)[:8]


def _pack(login: PendingLogin) -> list[Any]:
    age = login.expires_at - login.started_at
    packed = [login.id, login.proof, login.next, login.uri_digest, login.started_at, age, login.began_here]
    if login.person is not None:
        return [*packed, login.fresh, login.person.claims()]
    return packed if login.fresh is None else [*packed, login.fresh]


def _unpack(value: object) -> PendingLogin | None:
    if not isinstance(value, list):
        return None
    # One that demands no fresh login, or waits for nobody's word, leaves these parts out.
    match [*cast("list[object]", value), None, None][:9]:
        case [
            str(id_), str(proof), str(next_), str(uri), int(started_at), int(age), bool(began_here),
            int() | None as fresh, claims,
        ]:  # fmt: skip
            try:
                person = _person(claims)
            except ValueError:
                return None
            return PendingLogin(
                id=id_,
                proof=proof,
                next=next_,
                uri_digest=uri,
                started_at=started_at,
                expires_at=started_at + age,
                began_here=began_here,
                fresh=fresh,
                person=person,
            )
        case _:
            return None


def _person(claims: object) -> User | None:
    found = parse_object(claims)
    return None if found is None else User.parse(found, issuer=str(found.get("issuer")))
