"""The nouns: who is signed in, and what XWMS said about them.

Knows: the shape of a person and of a session, and how to read them strictly from untrusted data.
Must not: know where the data came from or what it is used for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

from .model_guards import missing, output_only, require_text
from .secrets import Secret
from .strict_json import parse_sub, plain_link, plain_text


@output_only
class Identity(NamedTuple):
    """Who somebody is: the pair to key an account by. Never the e-mail address."""

    issuer: str
    sub: str


class _InTemplates:
    __slots__ = ()

    if not TYPE_CHECKING:  # which knows the attributes without it

        def __getattr__(self, name: str) -> object:
            return missing(self, name)


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class User(_InTemplates):
    """A person who is signed in.

    `sub` is XWMS's stable id for the person, always a string; `issuer` is the XWMS it came from.
    `email_verified` is True only if XWMS said exactly `true`. `email` alone proves nothing: see `verified_email`.
    `picture` is an http or https address. Optional claims are None when XWMS did not give them, or when they had to be
    dropped to fit a cookie.
    No web framework reads one from a request: as a parameter of an endpoint it is refused, or comes from the session.
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
        require_text(self, "issuer", "sub")

    @property
    def identity(self) -> Identity:
        """The pair (issuer, sub): the only thing to recognise a person by."""
        return Identity(self.issuer, self.sub)

    def get_id(self) -> str:
        """The identity as one text: the issuer, a space, the sub. An issuer has no spaces, so no two people share one.

        Named as in Flask-Login, for what calls it; its format is stable.
        """
        return f"{self.issuer} {self.sub}"

    @property
    def verified_email(self) -> str | None:
        """The e-mail address if XWMS has verified it, otherwise None."""
        return self.email if self.email_verified else None

    @property
    def display_name(self) -> str:
        """A name to greet the person with: the best there is, never empty. Escape it like any text."""
        parts = " ".join(part for part in (self.given_name, self.family_name) if part)
        return self.name or parts or self.email or self.sub

    def claims(self) -> dict[str, Any]:
        """The fields as a new dictionary, for JSON."""
        return asdict(self)

    @classmethod
    def parse(cls, data: Mapping[str, Any], *, issuer: str) -> Self:
        """Read a person from XWMS's `data`; unknown claims are dropped. Raises ValueError when `sub` is not usable.

        Claims other than `sub` are decoration: one of the wrong type is left out and does not stop the login.
        """
        person = {name: plain_text(data.get(name)) for name in OPTIONAL_CLAIMS}
        person["picture"] = plain_link(data.get("picture"))
        # Strictly `true`: the string "false" is truthy, and an unverified address taken for a verified one
        # is somebody else's account.
        verified = data.get("email_verified") is True and person["email"] is not None
        return cls(issuer=issuer, sub=parse_sub(data.get("sub")), email_verified=verified, **person)


OPTIONAL_CLAIMS = ("picture", "family_name", "given_name", "name", "email")
"""The claims a session can do without, in the order in which they are dropped when a cookie gets too large."""


def ever_smaller(user: User) -> Iterator[User]:
    """The person with ever fewer optional claims, down to none: for where there may be no room for all."""
    for count in range(len(OPTIONAL_CLAIMS) + 1):
        dropped: dict[str, Any] = dict.fromkeys(OPTIONAL_CLAIMS[:count])
        if "email" in dropped:
            dropped["email_verified"] = False
        yield replace(user, **dropped)


def newer(known: User, told: User) -> User:
    """The person as XWMS tells it now. What it does not tell stays: without a scope some claims are null."""
    claims = {name: getattr(told, name) or getattr(known, name) for name in OPTIONAL_CLAIMS}
    verified = told.email_verified if told.email else known.email_verified
    return User(issuer=known.issuer, sub=known.sub, email_verified=verified, **claims)


class EndReason(StrEnum):
    """Why a session has ended that this browser still has the cookie of. The values are stable codes.

    A logout is none of them: whoever logs out knows why.
    """

    IDLE = "session_idle"
    LIFETIME = "session_lifetime"
    REVOKED = "session_revoked"
    KEY_ROTATED = "session_key_rotated"
    WITHDRAWN = "access_withdrawn"

    @property
    def detail(self) -> str:
        """A sentence for the person."""
        return _ENDINGS[self]


_ENDINGS = {
    EndReason.IDLE: "You were signed out because you had not been here for a while.",
    EndReason.LIFETIME: "You were signed out because your login was too long ago.",
    EndReason.REVOKED: "You were signed out because this login was ended from somewhere else.",
    EndReason.KEY_ROTATED: "You were signed out because this site changed its keys.",
    EndReason.WITHDRAWN: "You were signed out because XWMS no longer lets this site know who you are.",
}


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class Anonymous(_InTemplates):
    """Nobody is signed in: `is_authenticated` is False, and the object itself is falsy.

    `signed_out` says why, where somebody was signed in before: `current_user.signed_out.detail` is a sentence for them.
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
        """Nobody has no id."""

    def __bool__(self) -> Literal[False]:
        return False


_NOBODY = {why: Anonymous(signed_out=why) for why in (None, *EndReason)}


def anonymous(why: EndReason | None) -> Anonymous:
    """Nobody; `why` is the reason where somebody was signed in before."""
    return _NOBODY[why]


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSet:
    """One answer of a token endpoint.

    `scope` is what was granted, which may be less or more than was asked for; `expires_at` is in seconds since 1970,
    or None if the server gave no lifetime. `id_token` is as it came; it is read at the login and not kept.
    `sid` is the server's name for the login that the tokens belong to, for a logout that begins there.
    `number` counts the refreshes since the login: of two sets of one session, the higher is the newer.
    """

    access_token: Secret
    refresh_token: Secret | None
    id_token: Secret | None
    scope: tuple[str, ...]
    expires_at: int | None
    sid: str | None = None
    number: int = 0


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One login of one person in one browser. Times are seconds since 1970, UTC.

    `id` is random and cannot be turned into the cookie; it names the session in lists and binds the logout form to it.
    `started_at` is the login: it counts towards the absolute lifetime, and never moves.
    `seen_at` counts towards the idle limit.
    `checked_at` is when XWMS last confirmed the person: at the login, or at a re-check.
    `counts_from` is later than every revocation that came before the login; a later one ends the session.
    `device` is a name to recognise the browser by, such as "Firefox on Linux".
    `tokens` are what an authorization server gave for the person; XWMS's own login has none.
    `proved_at` is when the person proved there who they are, by this machine's clock: a server that knows them may
    begin a login without asking. 0 where it does not say, None where logins are not told of it at all.
    """

    id: str
    user: User
    started_at: int
    seen_at: int
    checked_at: int = 0
    counts_from: int = 0
    device: str | None = None
    tokens: TokenSet | None = None
    proved_at: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "checked_at", max(self.checked_at, self.started_at))
        object.__setattr__(self, "counts_from", max(self.counts_from, self.started_at))


def latest(kept: Session, brought: Session) -> Session:
    """One session of two versions: the one that is kept, and one that a request read a while ago and has changed.

    Nothing older comes back: a page that only says that somebody was here must not undo a refresh of the tokens, which
    may be worth one use, or a name that has been confirmed meanwhile.
    """
    told = kept if kept.checked_at > brought.checked_at else brought
    tokens = [session.tokens for session in (brought, kept) if session.tokens is not None]
    return replace(
        brought,
        seen_at=max(kept.seen_at, brought.seen_at),
        user=told.user,
        checked_at=told.checked_at,
        tokens=max(tokens, key=lambda one: one.number, default=None),
    )


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """A session as an application may show it to its person. Times are in UTC.

    `seen_at` is exact to the renewal interval: a twentieth of the idle limit, ten minutes at the most.
    `is_current` is True for the session of the request that is being served.
    """

    id: str
    started_at: datetime
    seen_at: datetime
    device: str | None
    is_current: bool

    @classmethod
    def of(cls, session: Session, *, is_current: bool) -> Self:
        """What may be shown of a session."""
        started_at, seen_at = (datetime.fromtimestamp(at, UTC) for at in (session.started_at, session.seen_at))
        return cls(id=session.id, started_at=started_at, seen_at=seen_at, device=session.device, is_current=is_current)


USER_FIELDS = tuple(field.name for field in fields(User))


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """Who may do what.

    `client_id` is the client that brings the token, `sub` the person it acts for: None where it acts for itself
    (RFC 6749 4.4). `scopes` is what was granted. `expires_at` is in seconds since 1970, or None if the server did
    not say. `issuer` is the authorization server.
    """

    issuer: str
    client_id: str
    sub: str | None
    scopes: tuple[str, ...]
    expires_at: int | None

    def __post_init__(self) -> None:
        require_text(self, "issuer", "client_id")

    @property
    def identity(self) -> Identity | None:
        """The pair (issuer, sub), as a signed-in person has it; None where the client acts for itself."""
        return None if self.sub is None else Identity(self.issuer, self.sub)
