"""The models: secrets, users and tokens, and how to parse a user strictly from untrusted data.

Sessions are in `session`. Printing, logging, pickling or copying an object with a secret does not reveal it.
"""

import hmac
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, NoReturn, Self

from .dataclass import dataclass
from .output_only import missing, output_only
from .strict_json import parse_sub, plain_link, plain_text


class Secret:
    """A string that is masked wherever it is shown.

    The value is held in a closure, so that `vars()`, `asdict()`, a debugger's list of local variables and a crash
    report show only this object and its mask. `reveal()` is the only way to the value; grep for it to find every use.
    """

    __slots__ = ("_reveal",)

    def __init__(self, value: "str | Secret") -> None:
        plain = value.reveal() if isinstance(value, Secret) else value
        self._reveal: Callable[[], str] = lambda: plain

    def reveal(self) -> str:
        """Return the secret in clear text."""
        return self._reveal()

    def __call__(self) -> "Secret":
        """Return the secret itself: a fixed secret is its own source."""
        return self

    def __repr__(self) -> str:
        return "Secret('**********')"

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_bytes(self), _bytes(other))

    def __hash__(self) -> int:
        return hash((Secret, self.reveal()))

    def __bool__(self) -> bool:
        return bool(self.reveal())

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: object) -> "Secret":
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")


def _bytes(secret: Secret) -> bytes:
    # Python represents bytes of the environment that are not UTF-8 as lone surrogates.
    return secret.reveal().encode("utf-8", "surrogatepass")


@output_only
class Identity(NamedTuple):
    """The stable identity of a person: the key for an account, instead of the e-mail address."""

    issuer: str
    sub: str


class _InTemplates:
    __slots__ = ()

    if not TYPE_CHECKING:  # pragma: no branch  type checkers know the attributes without it

        def __getattr__(self, name: str) -> object:
            return missing(self, name)


def _require_text(one: object, *names: str) -> None:
    """Raise TypeError unless these fields are strings: a framework that cannot build one may pass None instead.

    A subclass of `str` becomes a plain one: what writes JSON, sessions or databases may know no other.
    """
    for name in names:
        value = getattr(one, name)
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a string")
        object.__setattr__(one, name, str(value))


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class User(_InTemplates):
    """A person who is signed in.

    `sub` is XWMS's stable id of the person, always a string; `issuer` is the XWMS that issued it.
    `email_verified` is True only if XWMS sent exactly `true`. `email` alone proves nothing: see `verified_email`.
    `picture` is an http or https URL. Optional claims are None if XWMS did not send them, or if they had to be dropped
    to fit into a cookie.
    No web framework builds one from a request: a parameter of an endpoint is refused, or comes from the session.
    """

    issuer: str
    sub: str
    name: str | None = None
    given_name: str | None = None
    family_name: str | None = None
    email: str | None = None
    email_verified: bool = False
    picture: str | None = None

    is_authenticated: ClassVar[Literal[True]] = True
    is_anonymous: ClassVar[Literal[False]] = False
    is_active: ClassVar[Literal[True]] = True
    signed_out: ClassVar[None] = None

    def __post_init__(self) -> None:
        if type(self.issuer) is not str or type(self.sub) is not str:
            _require_text(self, "issuer", "sub")

    @property
    def identity(self) -> Identity:
        """The pair (issuer, sub): the only reliable way to recognise a person."""
        return Identity(self.issuer, self.sub)

    def get_id(self) -> str:
        """The identity as one string: the issuer, a space, the sub. It is unique, since an issuer has no spaces.

        Named as in Flask-Login, for code that calls it; the format is stable.
        """
        return f"{self.issuer} {self.sub}"

    @property
    def verified_email(self) -> str | None:
        """The e-mail address if XWMS has verified it, otherwise None."""
        return self.email if self.email_verified else None

    @property
    def display_name(self) -> str:
        """The best available name to greet the person with, never empty. Escape it like any text."""
        parts = " ".join(part for part in (self.given_name, self.family_name) if part)
        return self.name or parts or self.email or self.sub

    def claims(self) -> dict[str, Any]:
        """The fields as a new dictionary, for JSON."""
        return asdict(self)

    @classmethod
    def parse(cls, data: Mapping[str, Any], *, issuer: str) -> Self:
        """Parse a person from XWMS's `data`; unknown claims are dropped. Raises ValueError if `sub` is not valid.

        Claims other than `sub` are optional: one of the wrong type is left out and does not stop the login.
        """
        person = {name: plain_text(data.get(name)) for name in OPTIONAL_CLAIMS}
        person["picture"] = plain_link(data.get("picture"))
        # Strictly `true`: the string "false" is truthy. Account takeover: an unverified address that counts as verified
        # may lead to somebody else's account.
        verified = data.get("email_verified") is True and person["email"] is not None
        return cls(issuer=issuer, sub=parse_sub(data.get("sub")), email_verified=verified, **person)


OPTIONAL_CLAIMS = ("picture", "family_name", "given_name", "name", "email")
"""The optional claims, in the order in which they are dropped when a cookie gets too large."""


def ever_smaller(user: User) -> Iterator[User]:
    """The person with fewer and fewer optional claims, down to none, for where space is limited."""
    for count in range(len(OPTIONAL_CLAIMS) + 1):
        dropped: dict[str, Any] = dict.fromkeys(OPTIONAL_CLAIMS[:count])
        if "email" in dropped:
            dropped["email_verified"] = False
        yield replace(user, **dropped)


def newer(known: User, current: User) -> User:
    """The known person, updated with current claims. Missing claims stay: without a scope some claims are null."""
    claims = {name: getattr(current, name) or getattr(known, name) for name in OPTIONAL_CLAIMS}
    verified = current.email_verified if current.email else known.email_verified
    return User(issuer=known.issuer, sub=known.sub, email_verified=verified, **claims)


class EndReason(StrEnum):
    """Why a session ended whose cookie this browser still has. The values are stable codes.

    A logout has no reason: the person who logs out knows why.
    """

    IDLE = "session_idle"
    LIFETIME = "session_lifetime"
    REVOKED = "session_revoked"
    KEY_ROTATED = "session_key_rotated"
    WITHDRAWN = "access_withdrawn"

    @property
    def detail(self) -> str:
        """A sentence for the user, in English."""
        return _ENDINGS[self]

    def detail_in(self, language: str) -> str:
        """The sentence in one of XWMS's ten languages: `nl`, or a tag such as `pt-BR`. In English for all others."""
        from .texts import sentences as texts  # noqa: PLC0415  loaded with the first text that is shown

        return texts.texts_in(texts.language_of(language) or texts.DEFAULT_LANGUAGE).signed_out[self]


_ENDINGS = {
    EndReason.IDLE: "You were signed out because you had not been here for a while.",
    EndReason.LIFETIME: "You were signed out because your login was too long ago.",
    EndReason.REVOKED: "You were signed out because this login was ended from somewhere else.",
    EndReason.KEY_ROTATED: "You were signed out because this site changed its keys.",
    EndReason.WITHDRAWN: "You were signed out because XWMS no longer tells this site who you are.",
}


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class Anonymous(_InTemplates):
    """Nobody is signed in: `is_authenticated` is False, and the object itself is falsy.

    `signed_out` is the reason if somebody was signed in before: `current_user.signed_out.detail` is for them to read,
    and `signed_out.detail_in(language)` in their language.
    """

    signed_out: EndReason | None = None

    issuer: None = None
    sub: None = None
    name: None = None
    given_name: None = None
    family_name: None = None
    email: None = None
    email_verified: bool = False
    picture: None = None

    is_authenticated: ClassVar[Literal[False]] = False
    is_anonymous: ClassVar[Literal[True]] = True
    is_active: ClassVar[Literal[False]] = False
    identity: ClassVar[None] = None
    verified_email: ClassVar[None] = None
    display_name: ClassVar[str] = ""

    def get_id(self) -> None:
        """None: there is no person."""

    def __bool__(self) -> Literal[False]:
        return False


_NOBODY = {why: Anonymous(signed_out=why) for why in (None, *EndReason)}


def anonymous(why: EndReason | None) -> Anonymous:
    """The `Anonymous` with this reason; None if nobody was signed in before."""
    return _NOBODY[why]


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSet:
    """A token response (RFC 6749 5.1).

    `scope` is what was granted, which may be less or more than was requested; `expires_at` is in seconds since 1970,
    or None if the server sent no lifetime. `id_token` is as received; after the login's checks it is kept with
    the option `id_token_hint` only.
    `sid` is the server's id of the login that the tokens belong to, for back-channel logout.
    `number` counts the refreshes since the login: of two sets of one session, the higher number is the newer one.
    """

    access_token: Secret
    refresh_token: Secret | None
    id_token: Secret | None
    scope: tuple[str, ...]
    expires_at: int | None
    sid: str | None = None
    number: int = 0


USER_FIELDS = tuple(field.name for field in fields(User))


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A validated access token.

    `client_id` is the client that the token was issued to, `sub` the person it acts for. `scopes` is what was granted.
    `expires_at` is in seconds since 1970, or None if the server did not say. `issuer` is the authorization server.
    `sub` is None if the client acts for itself (RFC 6749 4.4), and if an introspection response has only the `username`
    of the person, which is for people to read: it may change, and may be given to somebody else later.
    """

    issuer: str
    client_id: str
    sub: str | None
    scopes: tuple[str, ...]
    expires_at: int | None
    username: str | None = None

    def __post_init__(self) -> None:
        _require_text(self, "issuer", "client_id")

    @property
    def acts_for_itself(self) -> bool:
        """Whether the client acts for itself, and for no person, known or unknown."""
        return self.sub is None and self.username is None

    @property
    def identity(self) -> Identity | None:
        """The pair (issuer, sub), as in `User.identity`; None without a `sub`."""
        return None if self.sub is None else Identity(self.issuer, self.sub)
