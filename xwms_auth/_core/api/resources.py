"""What the rest of XWMS's API speaks of: countries, projects, what XWMS knows about a person, and their addresses.

Names of fields are XWMS's own. Everything came over a network: links lead to http or https only, so that they can be
shown, and text holds no control characters. Escape both in HTML like any text.

Knows: the shapes, and how to read them strictly from untrusted data.
Must not: know how they are asked for.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import date, datetime, time
from typing import Any, Self

from ..base.model_guards import output_only
from ..base.models import USER_FIELDS, User
from ..base.strict_json import parse_id, parse_moment, parse_object, parse_objects, plain_link, plain_text

MAX_DESCRIPTION = 16 * 1024
"""Longest description of a project in characters; a longer one is dropped."""

MAX_LISTED = 100
"""Most social profiles of a person and most categories of a project. More than that is nobody's."""


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class Country:
    """A country. `short_name` is ISO 3166-1 alpha-2 in capitals, `iso_alpha3` alpha-3.

    The fields after `is_eu_member` come with `countries()` only. None where XWMS did not say.
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
        """Read a country. Raises ValueError without id, name, or a code of two letters."""
        short_name = _country_code(data.get("short_name"))
        if short_name is None or len(short_name) != 2:
            raise ValueError("short_name is not a country code")
        return cls(
            id=parse_id(data.get("id"), "id"),
            short_name=short_name,
            name=_required(data, "name"),
            phonecode=_written(data.get("phonecode")),
            is_eu_member=_flag(data.get("is_eu_member")),
            capital=_written(data.get("capital")),
            iso_alpha3=_country_code(data.get("iso_alpha3")),
            region=_written(data.get("region")),
            timezone=_written(data.get("timezone")),
            currency_code=_written(data.get("currency_code")),
        )


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectCategory:
    """What kind of project something is."""

    id: str
    name: str

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """Read a category. Raises ValueError without id or name."""
        return cls(id=parse_id(data.get("id"), "id"), name=_required(data, "name"))


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project that XWMS shows. `published_at` is in UTC; `description` may have line breaks."""

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
        """Read a project. Raises ValueError without id or title, or if a category is unreadable."""
        return cls(
            id=parse_id(data.get("id"), "id"),
            title=_required(data, "title"),
            description=plain_text(data.get("description"), most=MAX_DESCRIPTION, lines=True),
            image=plain_link(data.get("image")),
            link=plain_link(data.get("link")),
            is_new=_flag(data.get("is_new")) or False,
            direct_redirect=_flag(data.get("direct_redirect")) or False,
            published_at=parse_moment(data.get("published_at")),
            categories=tuple(map(ProjectCategory.parse, _listed(data, "categories"))),
        )


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class SocialProfile:
    """An account of a person's elsewhere. They typed it in themselves: it proves nothing."""

    platform: str
    username: str | None = None
    url: str | None = None

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """Read a profile. Raises ValueError without a platform."""
        return cls(
            platform=_required(data, "platform"),
            username=plain_text(data.get("username")),
            url=plain_link(data.get("url")),
        )


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class UserInfo(User):
    """What XWMS knows about a person now: a `User`, and what the scope `userinfo` adds, None or empty without it.

    Nobody needs to be signed in for this to be asked. `second_email` is not verified. `country` is as XWMS gave it.
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
        """Read a person; what is unreadable is left out. Raises ValueError when `sub` or `socials` is not usable."""
        user, country = User.parse(data, issuer=issuer), parse_object(data.get("country"))
        return cls(
            **{name: getattr(user, name) for name in USER_FIELDS},
            birth_date=_day(data.get("birth_date")),
            gender=plain_text(data.get("gender")),
            second_email=plain_text(data.get("second_email")),
            country=plain_text(data.get("country") if country is None else country.get("short_name")),
            socials=tuple(map(SocialProfile.parse, _listed(data, "socials"))),
        )


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An address as it is sent to XWMS. All fields are text; which of them XWMS demands is for XWMS to say.

    A field that is None is not sent, so an update leaves it as it is. An empty string is sent, and empties the field.
    `country` is ISO 3166-1, two or three letters; it is put into capitals, and anything else is a ValueError.
    `access_code` opens a door, so it is in no repr.
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
"""What an address consists of when it is sent."""


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAddress(Address):
    """An address as XWMS keeps it, under its `id`. `country_details` is what XWMS says about its country.

    It is an `Address`, so it can be changed and sent back: `update(stored.id, replace(stored, city="Delft"))`.
    """

    id: str
    country_details: Country | None = None

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """Read an address. Raises ValueError without a usable id, or if the country is an object but not a country."""
        given = parse_object(data.get("country"))
        details = None if given is None else Country.parse(given)
        texts = {name: _written(data.get(name)) for name in ADDRESS_FIELDS}
        texts["country"] = _country_code(data.get("country")) if details is None else details.short_name
        return cls(id=parse_id(data.get("id"), "id"), country_details=details, **texts)


def _country_code(value: object) -> str | None:
    # Letters are judged before they are made capitals: the capital of "ß" is "SS".
    is_code = isinstance(value, str) and len(value) in (2, 3) and value.isascii() and value.isalpha()
    return value.upper() if is_code and isinstance(value, str) else None


def _required(data: Mapping[str, Any], name: str) -> str:
    text = plain_text(data.get(name))
    if text is None:
        raise ValueError(f"{name} is missing, too long or not plain text")
    return text


def _written(value: object) -> str | None:
    """Text, or a number that stands for text: house numbers and telephone codes are often sent as numbers."""
    return plain_text(str(value) if isinstance(value, int) and not isinstance(value, bool) else value)


def _flag(value: object) -> bool | None:
    # PHP sends what its database holds, which may be 0 or 1.
    return bool(value) if isinstance(value, int) and value in (0, 1) else None


def _day(value: object) -> date | None:
    """A date, or a time at midnight. Any other time may be a midnight elsewhere, and a wrong day is worse than none."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment.date() if moment.time() == time() else None


def _listed(data: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The objects listed under a name; none where there is nothing."""
    return [] if data.get(name) is None else parse_objects(data[name], name, most=MAX_LISTED)
