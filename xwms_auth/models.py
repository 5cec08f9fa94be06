"""The nouns: who is signed in, and what XWMS said about them.

Knows: the shape of a person and of a session, and how to read them strictly from untrusted data.
Must not: know where the data came from or what it is used for.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self, TypeGuard, cast

from .output_only import output_only, require_text
from .template_attributes import missing
from .token_set import TokenSet

MAX_SUB = 255
"""Longest `sub` in characters: OpenID Connect Core 5.1 sets this bound, and a database column needs one."""

MAX_CLAIM = 1024
"""Longest optional claim in characters; a longer one is dropped, since the whole session must fit into a cookie."""

MAX_MOMENT = 253_402_300_799
"""Seconds since 1970: the end of the year 9999, beyond which no date can be made of a number."""

MAX_SCOPE = 8192
"""Characters of all scopes of a token together."""

# RFC 6749 3.3, and any number of U+0020, as some servers have them. Splitting at any white space would make two scopes
# of one that somebody else chose the name of.
_SCOPES = re.compile(r"[ !#-\[\]-~]*")


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


class Ending(StrEnum):
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
    Ending.IDLE: "You were signed out because you had not been here for a while.",
    Ending.LIFETIME: "You were signed out because your login was too long ago.",
    Ending.REVOKED: "You were signed out because this login was ended from somewhere else.",
    Ending.KEY_ROTATED: "You were signed out because this site changed its keys.",
    Ending.WITHDRAWN: "You were signed out because XWMS no longer lets this site know who you are.",
}


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class Anonymous(_InTemplates):
    """Nobody is signed in: `is_authenticated` is False, and the object itself is falsy.

    `signed_out` says why, where somebody was signed in before: `current_user.signed_out.detail` is a sentence for them.
    """

    signed_out: Ending | None = None

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


_NOBODY = {why: Anonymous(signed_out=why) for why in (None, *Ending)}


def anonymous(why: Ending | None) -> Anonymous:
    """Nobody; `why` is the reason where somebody was signed in before."""
    return _NOBODY[why]


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


def parse_sub(value: object) -> str:
    """Return the canonical `sub`; two spellings of one number must not be two people. Raises ValueError."""
    return parse_id(value, "sub")


def parse_id(value: object, name: str) -> str:
    """Return an id of XWMS's: 1 to 255 printable characters, or an integer as its decimal digits.

    XWMS has been seen to send digits, words and numbers, so nothing is rounded, trimmed or folded: two must not become
    one. `name` is the field's, for the reason. Raises ValueError.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        # Zero is what a careless cast makes of a word, so it is nobody.
        # Python refuses to print an integer beyond 4300 digits; its bits are asked first (a digit is at most 4).
        if value <= 0 or value.bit_length() > MAX_SUB * 4 or len(str(value)) > MAX_SUB:
            raise ValueError(f"{name} is a number out of range")
        return str(value)
    if not isinstance(value, str):
        raise ValueError(f"{name} is {type(value).__name__}, not a string")
    if not 1 <= len(value) <= MAX_SUB or not value.isprintable() or not value.strip():
        raise ValueError(f"{name} is empty, too long or not printable")
    return value


def parse_granted(value: object) -> tuple[str, ...]:
    """The scopes that a server says it granted, with U+0020 between two. Raises ValueError."""
    if not isinstance(value, str) or len(value) > MAX_SCOPE or _SCOPES.fullmatch(value) is None:
        raise ValueError("scope is not text, too long, or has characters that no scope has")
    return tuple(value.split())


def plain_text(value: object, *, most: int = MAX_CLAIM, lines: bool = False) -> str | None:
    """A claim as text, or None. Control characters and lone surrogates never leave this parser.

    `most` is in characters; `lines` lets line breaks and tabs through.
    """
    if not isinstance(value, str) or not 1 <= len(value) <= most:
        return None
    allowed = "\t\n\r" if lines else ""
    if any(
        (ord(char) < 0x20 and char not in allowed) or 0x7F <= ord(char) < 0xA0 or 0xD800 <= ord(char) < 0xE000
        for char in value
    ):
        return None
    return value


def plain_link(value: object) -> str | None:
    """An address of the web, or None. `javascript:` in somebody's profile must not become a link on somebody's page."""
    text = plain_text(value)
    return text if text is not None and text.lower().startswith(("https://", "http://")) else None


def parse_moment(value: object) -> datetime | None:
    """An ISO 8601 time, in UTC; one without a zone is UTC. None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def is_moment(value: object) -> TypeGuard[float]:
    """Whether this is a time as tokens have it: a number of seconds since 1970 that a date can be made of."""
    # Compared first of all: isfinite() and int() fail for what is huge, and a NaN is in no range.
    return isinstance(value, int | float) and not isinstance(value, bool) and -MAX_MOMENT <= value <= MAX_MOMENT


def parse_object(value: object) -> Mapping[str, Any] | None:
    """A JSON object, or None."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else None


def parse_objects(value: object, name: str, *, most: int) -> list[Mapping[str, Any]]:
    """The JSON objects in a list of at most that many. `name` is the field's, for the reason. Raises ValueError."""
    listed = cast("list[object]", value) if isinstance(value, list) else None
    if listed is None or len(listed) > most:
        raise ValueError(f"{name} is not a list, or longer than {most}")
    found = [entry for entry in map(parse_object, listed) if entry is not None]
    if len(found) != len(listed):
        raise ValueError(f"{name} holds something else than objects")
    return found


USER_FIELDS = tuple(field.name for field in fields(User))
