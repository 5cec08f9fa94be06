"""The countries as XWMS lists them, from two maintained packages instead of a list of our own.

ISO 3166-1 codes, capital, calling code, currency and time zone are from countryinfo; membership of the European Union
is from python-stdnum, which needs it for VAT numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from countryinfo import all_countries
from stdnum.eu.vat import MEMBER_STATES

_NOT_A_COUNTRY = "xi"  # Northern Ireland has a VAT prefix of its own
_WITHDRAWN = "CS"  # Serbia and Montenegro, until 2006; countryinfo still lists it


@dataclass(frozen=True, slots=True, kw_only=True)
class Country:
    """A country. `id` is its ISO 3166-1 number, `short_name` the alpha-2 code, `phonecode` as +31; None is unknown."""

    id: int
    short_name: str
    iso_alpha3: str
    name: str
    phonecode: str | None
    is_eu_member: bool
    capital: str | None
    region: str | None
    timezone: str | None
    currency_code: str | None

    def row(self) -> dict[str, object]:
        """All fields, as in `global/countries`."""
        return {name: getattr(self, name) for name in self.__slots__}

    def brief(self) -> dict[str, object]:
        """The fields for the country of an address."""
        return {name: getattr(self, name) for name in ("id", "short_name", "name", "phonecode", "is_eu_member")}


@cache
def countries() -> tuple[Country, ...]:
    """Every country with an ISO 3166-1 code, sorted by alpha-2 code."""
    union = {code.upper() for code in MEMBER_STATES if code != _NOT_A_COUNTRY}
    found: dict[str, Country] = {}
    for entry in all_countries():
        info = entry.info()
        codes = info.get("ISO") or {}
        alpha2, alpha3, number = codes.get("alpha2"), codes.get("alpha3"), codes.get("numeric")
        if not (alpha2 and alpha3 and number) or alpha2 == _WITHDRAWN:
            continue
        found[alpha2] = Country(
            id=int(number),
            short_name=alpha2,
            iso_alpha3=alpha3,
            name=str(info["name"]),
            phonecode=_phonecode(_first(info.get("callingCodes")) or ""),
            is_eu_member=alpha2 in union,
            capital=info.get("capital") or None,
            region=info.get("region") or None,
            timezone=_first(info.get("timezoneNames")),
            currency_code=_first(info.get("currencies")),
        )
    return tuple(found[code] for code in sorted(found))


@cache
def _by_code() -> Mapping[str, Country]:
    return {code: country for country in countries() for code in (country.short_name, country.iso_alpha3)}


def find(code: str) -> Country | None:
    """The country with this alpha-2 or alpha-3 code, case-insensitive; None if there is none."""
    return _by_code().get(code.strip().upper()) if code.isascii() else None  # upper() turns a dotless i into I


def _phonecode(code: str) -> str | None:
    digits = "".join(character for character in code if character.isdigit())  # Jamaica's is 1-876
    return f"+{digits}" if digits else None


def _first(values: list[str] | None) -> str | None:
    return values[0] if values else None
