"""Logins that this browser has started and not finished, each in a sealed cookie of its own.

Login CSRF: these cookies bind a callback to the browser that started the login (RFC 6749 10.12, RFC 9700 4.7). A
callback URL that was created elsewhere and opened in this browser finds no pending login here, or one with another
proof. Each login has its own cookie, so that when eight tabs start a login at the same moment, no response overwrites
the cookie of another.

Never holds a token in clear text. Replay: the cookies do not make a login single-use, since a browser can send an old
cookie again; `RedeemAttempt` does, by names that it claims in the store.
"""

import re
from collections.abc import Sequence
from dataclasses import field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

from ..base.crypto.digests import digest, new_key
from ..base.dataclass import dataclass
from ..base.effects import Steps, claim, release
from ..base.errors import StoreUnavailable
from ..base.models import User, ever_smaller
from ..base.session import FUTURE_TOLERANCE
from ..base.strict_json import parse_object
from ..base.texts.sentences import language_of
from ..http.messages import CookieNames, header_bytes, read_cookies, set_cookie
from ..http.urls import RedirectURI

if TYPE_CHECKING:
    from ..base.crypto.sealing import Sealed

MAX_LOGINS = 10
"""Logins that one browser may have pending at once, one for each tab."""

MAX_COOKIES = 3000
"""Bytes of all pending logins together in a Cookie header: servers accept 8 kB of headers, which others need too."""

LOGIN_LIFETIME = 600
"""Seconds that a person may take to log in at XWMS."""

MAX_COOKIE_FROM_ELSEWHERE = 600
"""Bytes of the cookie of a login that began elsewhere. Another site may start several at the same moment, and each is
then started without knowing of the others. The login keeps its `next` only if the cookie is within this limit."""

MAX_UNCONFIRMED_COOKIE = 1000
"""Bytes of the cookie of a login that waits for the person's confirmation, and therefore contains the person."""

MAX_LINKING_COOKIE = 2400
"""The same for one that is to be linked to an account, which no page of another site can begin. The longest `sub` and
the longest key of an account fit into it."""

CONFIRMATION_LIFETIME = 180
"""Seconds that a person has to confirm. It is short because ending all of the person's sessions meanwhile does not end
this login, which has no session yet."""

PROOF_LIFETIME = 600
"""Seconds that a person has to log in to the account that is to be linked, perhaps after looking up a password."""

COOKIE_LIFETIME = 3600
"""Seconds that the browser keeps the cookie: longer than a login may take, so that a late one gets `LoginExpired`."""

TOKEN_MEMORY = 3600
"""Seconds that the state of a token is remembered: longer than XWMS can be expected to let a person take."""

MAX_REJECTED = 3
"""Tokens that XWMS may reject before a pending login ends which they did not match exactly."""

MAX_SKEW = 86_400
"""Seconds. A login from further in the future is left out without a word: no two clocks differ by so much."""

_ID_LENGTH = 16
"""Characters of a login's id, 96 random bits. The first half of them names its cookie."""


_KEY_PATTERN = re.compile(rf"[A-Za-z0-9_-]{{{_ID_LENGTH // 2}}}")


NO_PROOF = "-" * 43
"""A placeholder as long as a proof, for a login that has none yet: whether its cookie fits is checked before."""


def new_login_id() -> str:
    """A new random id."""
    return new_key()[:_ID_LENGTH]


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingLogin:
    """One started login. Times are seconds since 1970."""

    id: str
    proof: str = field(repr=False)
    """What decides whether a callback belongs to this login. The provider defines its content and compares it."""

    next: str
    uri_digest: str
    started_at: int
    expires_at: int
    began_here: bool
    """Whether it began on this site or was confirmed by a click: no other site can have caused it (login CSRF)."""

    fresh: int | None = None
    """The maximum age in seconds of the person's login at XWMS, if the protocol can enforce it; None for any age."""

    person: User | None = None
    """The person that XWMS named, while the login waits for that person's confirmation; None before."""

    account: str | None = None
    """The key of the application's account that the person's identity is to be linked to; None for a plain login."""

    silent: bool | None = None
    """Whether the server was to show nothing to the person (`prompt=none`); None if it was not."""

    language: str | None = None
    """The language of our pages of this login, one of `LANGUAGES`; None for what the visitor's browser asks for."""

    @property
    def key(self) -> str:
        """Identifies the login's cookie and its confirmation page among those of other tabs."""
        return self.id[: _ID_LENGTH // 2]

    @property
    def confirmation_lifetime(self) -> int:
        """Seconds that the person has to confirm."""
        return CONFIRMATION_LIFETIME if self.account is None else PROOF_LIFETIME


@dataclass(slots=True, kw_only=True)
class PendingLogins:
    """One browser's pending logins for one redirect URI, oldest first; `changes()` returns the Set-Cookie values."""

    names: CookieNames
    sealer: "Sealed"
    alive: list[PendingLogin]
    unconfirmed: list[PendingLogin]
    """Logins that wait for the person's confirmation. No callback can belong to them any more."""

    expired: list[PendingLogin]

    ahead: int = 0
    """Seconds by which a login of this browser, which is left out, is from the future (clock skew); otherwise 0."""

    _cookie_values: dict[str, str] = field(default_factory=dict[str, str], init=False)
    _evicted: set[str] = field(default_factory=set[str], init=False)

    @classmethod
    def of(
        cls,
        header: str,
        *,
        names: CookieNames,
        sealer: "Sealed",
        uri: RedirectURI,
        valid_after: int = 0,
        now: int,
    ) -> "PendingLogins":
        """Read the raw Cookie header. Ignores cookies that are not ours or not for this redirect URI.

        A login that began before `valid_after` has expired, as a session has: one that waits for the person's
        confirmation would otherwise become a session all the same.
        """
        found = [
            login
            for key, value in read_cookies(header, names.login).items()
            if (login := _unpack(sealer.open_text(value, place=key))) is not None
            and login.uri_digest == uri_digest(uri)
        ]
        ahead = max((login.started_at - now for login in found), default=0)
        found = [login for login in found if login.started_at <= now + FUTURE_TOLERANCE]
        found.sort(key=lambda login: login.started_at)
        valid = [login for login in found if now < login.expires_at and login.started_at >= valid_after]
        return cls(
            names=names,
            sealer=sealer,
            alive=[login for login in valid if login.person is None],
            unconfirmed=[login for login in valid if login.person is not None],
            expired=[login for login in found if login not in valid],
            ahead=ahead if FUTURE_TOLERANCE < ahead <= MAX_SKEW else 0,
        )

    def has_room(self, login: PendingLogin) -> bool:
        """Whether a new login of this size fits."""
        return self._to_evict(login) is not None

    def add(self, login: PendingLogin) -> None:
        """Add a new login that `has_room`, and evict the logins that make room for it."""
        self._evict(self._to_evict(login) or ())
        self.alive.append(login)
        self._cookie_values[login.key] = self._sealed_value(login)

    def cost_of(self, login: PendingLogin) -> int:
        """Bytes of the headers that set the cookie of a new login and delete those that make room for it."""
        values = {login.key: self._sealed_value(login), **{one.key: "" for one in self._to_evict(login) or ()}}
        return header_bytes([("Set-Cookie", self._set_cookie(key, value)) for key, value in values.items()])

    def _evict(self, logins: Sequence[PendingLogin]) -> None:
        self.discard(*logins)
        self._evicted.update(login.key for login in logins)

    def _to_evict(self, login: PendingLogin) -> Sequence[PendingLogin] | None:
        """The logins to evict for a new one, those that began elsewhere first, the oldest of them first.

        None if there is no room. A login that begins elsewhere never evicts one that began here: any page can start
        as many as it likes.
        """
        if not login.began_here and login.person is None and self._cookie_size(login) > MAX_COOKIE_FROM_ELSEWHERE:
            return None
        kept, evicted = [*self.unconfirmed, *self.alive], list[PendingLogin]()
        sizes = {one.id: self._cookie_size(one) for one in (*kept, login)}
        while len(kept) >= MAX_LOGINS or sum(sizes.values()) > MAX_COOKIES:
            # The callback of a login that waits for confirmation may have been opened by an attacker, and the person
            # has not confirmed it yet: it counts as begun elsewhere. Not so one that is to be linked.
            elsewhere = [one for one in kept if not one.began_here or (one.person is not None and one.account is None)]
            if not kept or not (elsewhere or (login.began_here and login.person is None)):
                return None
            evicted.append((elsewhere or kept)[0])
            kept.remove(evicted[-1])
            del sizes[evicted[-1].id]
        return evicted

    def await_confirmation(self, login: PendingLogin, person: User, *, otherwise: str, now: int) -> bool:
        """Keep the login until the person confirms it. False if there is no room: the login is then discarded.

        What does not fit is left out: the picture, then `next`, for which `otherwise` stands, then the other optional
        claims, as in a session.
        """
        self.discard(login)
        smaller, expires_at = list(ever_smaller(person)), now + login.confirmation_lifetime
        for kept, target in [*((one, login.next) for one in smaller[:2]), *((one, otherwise) for one in smaller[1:])]:
            unconfirmed = replace(login, proof="", next=target, person=kept, expires_at=expires_at)
            limit = MAX_UNCONFIRMED_COOKIE if login.account is None else MAX_LINKING_COOKIE
            evicted = self._to_evict(unconfirmed) if self._cookie_size(unconfirmed) <= limit else None
            if evicted is not None:
                self._evict(evicted)
                self.unconfirmed.append(unconfirmed)
                self._cookie_values[login.key] = self._sealed_value(unconfirmed)
                return True
        return False

    def forget_expired(self) -> None:
        """Delete the cookies of expired logins."""
        self.discard(*self.expired)

    def discard(self, *logins: PendingLogin) -> None:
        """Discard logins that were used, have failed, or were contradicted."""
        for login in logins:
            self.alive = [one for one in self.alive if one.id != login.id]
            self.unconfirmed = [one for one in self.unconfirmed if one.id != login.id]
            self._cookie_values[login.key] = ""

    def _sealed_value(self, login: PendingLogin) -> str:
        return self.sealer.seal_text(_pack(login), place=login.key)

    def _cookie_size(self, login: PendingLogin) -> int:
        return len(f"{self.names.login}{login.key}={self._sealed_value(login)}; ")

    def changes(self) -> tuple[str, ...]:
        """The Set-Cookie values for new logins, and for those that make room for them in the next request."""
        changed = self._cookie_values.items()
        return tuple(self._set_cookie(key, value) for key, value in changed if value or key in self._evicted)

    def deletions(self) -> tuple[str, ...]:
        """The Set-Cookie values for logins that are over. They can wait: nothing can be done with such a login."""
        changed = self._cookie_values.items()
        return tuple(self._set_cookie(key, "") for key, value in changed if not value and key not in self._evicted)

    def _set_cookie(self, key: str, value: str) -> str:
        age = COOKIE_LIFETIME if value else 0
        return set_cookie(self.names.login + key, value, secure=self.names.secure, max_age=age)


def forget_all(header: str, names: CookieNames) -> list[str]:
    """The Set-Cookie values that delete every pending login that the browser sent."""
    keys = [key for key in read_cookies(header, names.login) if _KEY_PATTERN.fullmatch(key)]
    return [set_cookie(names.login + key, "", secure=names.secure, max_age=0) for key in keys]


def uri_digest(uri: RedirectURI) -> str:
    """A short digest of a redirect URI. A login that was started for one redirect URI cannot finish at another."""
    return digest(uri.uri)[:8]


def _pack(login: PendingLogin) -> list[Any]:
    lifetime = login.expires_at - login.started_at
    packed = [login.id, login.proof, login.next, login.uri_digest, login.started_at, lifetime, login.began_here]
    claims = None if login.person is None else login.person.claims()
    optional = [login.fresh, claims, login.account, login.silent, login.language]
    while optional and optional[-1] is None:
        optional.pop()
    return [*packed, *optional]


def _unpack(value: object) -> PendingLogin | None:
    if not isinstance(value, list):
        return None
    # `fresh` and what follows it are left out if there are none.
    match [*cast("list[object]", value), *[None] * 5][:12]:
        case [
            str(id_), str(proof), str(next_), str(uri), int(started_at), int(lifetime), bool(began_here),
            int() | None as fresh, claims, str() | None as account,
            bool() | None as silent, str() | None as language,
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
                expires_at=started_at + lifetime,
                began_here=began_here,
                fresh=fresh,
                person=person,
                account=account,
                silent=silent,
                language=None if language is None else language_of(language),
            )
        case _:
            return None


def _person(claims: object) -> User | None:
    found = parse_object(claims)
    return None if found is None else User.parse(found, issuer=str(found.get("issuer")))


def token_claim(kind: str, token: str) -> str:
    """The name in the store that records a fact about a token, without the token in clear text.

    `issued`: sign-token issued it for a login. `token`: the one try to redeem it was taken. `foreign`: it was issued,
    and came to a browser it does not belong to. `confirmed`: XWMS confirmed whose it was.
    """
    return f"{kind}/{digest(token)}"


class Taken(Enum):
    """What had been claimed already when a callback was to be redeemed."""

    PAIR = "this login with this credential: the callback is a copy of one that came before"
    LOGIN = "the login, with another credential"
    CREDENTIAL = "the credential, with another login or in another browser"


class RedeemAttempt:
    """One attempt to redeem a credential with a pending login: the names it claims, and when it releases them.

    Replay: only redeeming claims these names, in one store for all processes. So a login is used once and a token is
    tried once, and both are released only if the call was never sent.
    """

    def __init__(self, login: PendingLogin, credential: str, *, now: int) -> None:
        self._login_id = login.id
        # Another machine's clock may be behind, so that the login is valid there a little longer.
        self._until = login.expires_at + FUTURE_TOLERANCE
        self._now = now
        self._credential = token_claim("token", credential)
        # The pair first: it distinguishes a copy of a callback from somebody else's attempt. Then the scarcest first.
        self._names = (
            (Taken.PAIR, f"pair/{digest(f'{login.id} {credential}')}", self._until),
            (Taken.LOGIN, f"login/{login.id}", self._until),
            (Taken.CREDENTIAL, self._credential, now + TOKEN_MEMORY),
        )
        self._claimed: list[str] = []

    def begin(self) -> Steps[Taken | None]:
        """Claim all names and return None; or return the one that is taken, and claim none."""
        for kind, name, until in self._names:
            try:
                free = yield from claim(name, until=until, now=self._now)
            except StoreUnavailable:
                # The credential has not been sent, so reloading the page may work in a moment.
                yield from self.release_all()
                raise
            if not free:
                yield from self.release_all()
                return kind
            self._claimed.append(name)
        return None

    def release_all(self) -> Steps[None]:
        """Release all names: the credential was never sent."""
        while self._claimed:
            yield from release(self._claimed.pop())

    def release_login(self) -> Steps[None]:
        """Release the login, but not the credential, whose one try is over."""
        self._claimed.remove(self._credential)
        yield from self.release_all()

    def count_rejection(self) -> Steps[bool]:
        """Count a credential that XWMS rejected; True if the login may still be used with another one."""
        for number in range(1, MAX_REJECTED):
            if (yield from claim(f"refused/{self._login_id}/{number}", until=self._until, now=self._now)):
                return True
        return False
