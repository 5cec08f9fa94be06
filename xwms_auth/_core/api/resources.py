"""The resources of XWMS's API: countries, projects, user data and addresses, parsed strictly from untrusted data.

Field names are XWMS's own. Links are http or https only, so that they can be shown, and text holds no control
characters. Escape both in HTML like any other text.
"""

from collections.abc import Mapping
from dataclasses import asdict, field, fields
from datetime import date, datetime, time
from typing import Any, Self

from ..base.dataclass import dataclass
from ..base.models import USER_FIELDS, User
from ..base.output_only import output_only
from ..base.strict_json import parse_id, parse_moment, parse_object, parse_objects, plain_link, plain_text

MAX_DESCRIPTION = 16 * 1024
"""Longest description of a project in characters; a longer one is dropped."""

MAX_LISTED = 100
"""Most social profiles of a user and most categories of a project. No legitimate one has more."""


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class Country:
    """A country. `short_name` is ISO 3166-1 alpha-2 in capitals, `iso_alpha3` alpha-3.

    The fields after `is_eu_member` are set by `countries()` only. A field is None if XWMS did not send it.
    """

    id: str
    short_name: str
    name: str
    phonecode: str | None = None
    is_eu_member: bool | None = None
    capital: str | None = None
    iso_alpha3: str | None = None
    region: str | None = None
    timezone: str | None = None
    currency_code: str | None = None

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """Parse a country. Raises ValueError without an id, a name or a two-letter code."""
        short_name = _country_code(data.get("short_name"))
        if short_name is None or len(short_name) != 2:
            raise ValueError("short_name is not a country code")
        return cls(
            id=parse_id(data.get("id"), "id"),
            short_name=short_name,
            name=_required(data, "name"),
            phonecode=_text(data.get("phonecode")),
            is_eu_member=_flag(data.get("is_eu_member")),
            capital=_text(data.get("capital")),
            iso_alpha3=_country_code(data.get("iso_alpha3")),
            region=_text(data.get("region")),
            timezone=_text(data.get("timezone")),
            currency_code=_text(data.get("currency_code")),
        )


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectCategory:
    """A category of projects."""

    id: str
    name: str

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """Parse a category. Raises ValueError without an id or a name."""
        return cls(id=parse_id(data.get("id"), "id"), name=_required(data, "name"))


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A public project. `published_at` is in UTC; `description` may have line breaks."""

    id: str
    title: str
    description: str | None = None
    image: str | None = None
    link: str | None = None
    is_new: bool = False
    direct_redirect: bool = False
    published_at: datetime | None = None
    categories: tuple[ProjectCategory, ...] = ()

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """Parse a project. Raises ValueError without an id or a title, or if a category is invalid."""
        return cls(
            id=parse_id(data.get("id"), "id"),
            title=_required(data, "title"),
            description=plain_text(data.get("description"), most=MAX_DESCRIPTION, lines=True),
            image=plain_link(data.get("image")),
            link=plain_link(data.get("link")),
            is_new=_flag(data.get("is_new")) or False,
            direct_redirect=_flag(data.get("direct_redirect")) or False,
            published_at=parse_moment(data.get("published_at")),
            categories=tuple(map(ProjectCategory.parse, _objects(data, "categories"))),
        )


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class SocialProfile:
    """A user's account on another platform. Self-reported and not verified."""

    platform: str
    username: str | None = None
    url: str | None = None

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """Parse a profile. Raises ValueError without a platform."""
        return cls(
            platform=_required(data, "platform"),
            username=plain_text(data.get("username")),
            url=plain_link(data.get("url")),
        )


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class UserInfo(User):
    """A user's current data at XWMS: a `User`, and what the scope `userinfo` adds (None or empty without it).

    It can be fetched while the user is not logged in. `second_email` is not verified. `country` is as XWMS sent it.
    """

    birth_date: date | None = None
    gender: str | None = None
    second_email: str | None = None
    country: str | None = None
    socials: tuple[SocialProfile, ...] = ()

    def claims(self) -> dict[str, Any]:
        """The fields as a new dictionary, for JSON; `birth_date` as `YYYY-MM-DD`."""
        return {**asdict(self), "birth_date": None if self.birth_date is None else self.birth_date.isoformat()}

    @classmethod
    def parse(cls, data: Mapping[str, Any], *, issuer: str) -> Self:
        """Parse a user; invalid optional fields are left out. Raises ValueError if `sub` or `socials` is invalid."""
        user, country = User.parse(data, issuer=issuer), parse_object(data.get("country"))
        return cls(
            **{name: getattr(user, name) for name in USER_FIELDS},
            birth_date=_date(data.get("birth_date")),
            gender=plain_text(data.get("gender")),
            second_email=plain_text(data.get("second_email")),
            country=plain_text(data.get("country") if country is None else country.get("short_name")),
            socials=tuple(map(SocialProfile.parse, _objects(data, "socials"))),
        )


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An address to send to XWMS. All fields are text; XWMS decides which of them are required.

    A field that is None is not sent, so an update leaves it as it is. An empty string is sent and clears the field.
    `country` is an ISO 3166-1 code of two or three letters; it is converted to upper case, and anything else raises
    ValueError. `access_code` opens a door, so it is left out of the repr.
    """

    type: str | None = None
    name: str | None = None
    company_name: str | None = None
    firstname: str | None = None
    lastname: str | None = None
    phone: str | None = None
    email: str | None = None
    tax_nr: str | None = None
    registration_nr: str | None = None
    access_code: str | None = field(default=None, repr=False)
    postal_code: str | None = None
    house_number: str | None = None
    street: str | None = None
    city: str | None = None
    country: str | None = None

    def __post_init__(self) -> None:
        code = _country_code(self.country)
        if self.country is not None and code is None:
            raise ValueError("country must be a code of two or three letters, as in ISO 3166-1")
        object.__setattr__(self, "country", code)


ADDRESS_FIELDS = tuple(field.name for field in fields(Address))
"""The fields of an address that are sent."""


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAddress(Address):
    """An address stored at XWMS, with its `id`. `country_details` is XWMS's data about its country.

    It is an `Address`, so it can be modified and sent back: `update(stored.id, replace(stored, city="Delft"))`.
    """

    id: str
    country_details: Country | None = None

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """Parse an address. Raises ValueError without a valid id, or if the country is an object but not a country."""
        country = parse_object(data.get("country"))
        details = None if country is None else Country.parse(country)
        texts = {name: _text(data.get(name)) for name in ADDRESS_FIELDS}
        texts["country"] = _country_code(data.get("country")) if details is None else details.short_name
        return cls(id=parse_id(data.get("id"), "id"), country_details=details, **texts)


def _country_code(value: object) -> str | None:
    # Checked before the conversion to upper case: the upper case of "ß" is "SS".
    is_code = isinstance(value, str) and len(value) in (2, 3) and value.isascii() and value.isalpha()
    return value.upper() if is_code and isinstance(value, str) else None


def _required(data: Mapping[str, Any], name: str) -> str:
    text = plain_text(data.get(name))
    if text is None:
        raise ValueError(f"{name} is missing, too long or not plain text")
    return text


def _text(value: object) -> str | None:
    """Text, or an integer as text: house numbers and telephone codes are often sent as numbers."""
    return plain_text(str(value) if isinstance(value, int) and not isinstance(value, bool) else value)


def _flag(value: object) -> bool | None:
    # PHP sends booleans as its database stores them, which may be 0 or 1.
    return bool(value) if isinstance(value, int) and value in (0, 1) else None


def _date(value: object) -> date | None:
    """The date of a date, or of a time at midnight.

    Any other time may be midnight in another time zone, and a wrong date is worse than none.
    """
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment.date() if moment.time() == time() else None


def _objects(data: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The objects in the list under this name; an empty list if it is missing or null."""
    return [] if data.get(name) is None else parse_objects(data[name], name, most=MAX_LISTED)
