"""Postal addresses of people: their fields, which are required, and the form of a country."""

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from xwms_auth.sandbox.db.schema import Address, Person
from xwms_auth.sandbox.domain import countries
from xwms_auth.sandbox.domain.problems import Invalid, Missing

FIELDS: Final = (
    *("type", "name", "company_name", "firstname", "lastname", "phone", "email", "tax_nr", "registration_nr"),
    *("access_code", "postal_code", "house_number", "street", "city"),
)
REQUIRED: Final = ("street", "city")  # XWMS documents none; without these and a country nothing can be delivered
MAX_ADDRESSES: Final = 100  # of one person
_MAX_FIELD: Final = 255  # characters


def addresses_of(session: Session, person: Person) -> Sequence[Address]:
    """The person's addresses, in the order they were added."""
    return session.scalars(select(Address).where(Address.person_id == person.id).order_by(Address.id)).all()


def address_of(session: Session, person: Person, address_id: int) -> Address:
    """The person's address with this id. Raises `Missing`."""
    address = session.get(Address, address_id)
    if address is None or address.person_id != person.id:
        raise Missing(f"address {address_id}")
    return address


def add(session: Session, person: Person, data: Mapping[str, object]) -> Address:
    """Add an address. Raises `Invalid`."""
    fields, country = _parse(data)
    if country is None:
        raise Invalid(country="The country field is required.")
    if len(addresses_of(session, person)) >= MAX_ADDRESSES:
        raise Invalid(address=f"A user has at most {MAX_ADDRESSES} addresses.")
    address = Address(person_id=person.id, country=country, fields=_complete(fields))
    session.add(address)
    session.flush()
    return address


def change(address: Address, data: Mapping[str, object]) -> None:
    """Change the given fields only. Raises `Invalid`."""
    fields, country = _parse(data)
    address.fields = _complete({**address.fields, **fields})
    address.country = country or address.country


def row(address: Address) -> dict[str, object]:
    """An address in the form of the API."""
    country = countries.find(address.country)
    return {
        "id": address.id,
        **{field: address.fields.get(field) for field in FIELDS},
        "country": None if country is None else country.brief(),
    }


def _parse(data: Mapping[str, object]) -> tuple[dict[str, str | None], str | None]:
    if unknown := set(data) - {*FIELDS, "country", "id"}:
        raise Invalid(address=f"The address field {min(unknown)[:40]} is not known.")
    fields: dict[str, str | None] = {}
    for field in FIELDS:
        if field not in data:
            continue
        value = data[field]
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)  # a house number is often sent as a number
        if value is not None and not isinstance(value, str):
            raise Invalid(**{field: f"The {field} field must be a string."})
        if value is not None and (len(value) > _MAX_FIELD or not value.isprintable()):
            raise Invalid(**{field: f"The {field} field may have at most {_MAX_FIELD} printable characters."})
        fields[field] = (value or "").strip() or None
    if data.get("country") is None:
        return fields, None
    country = countries.find(str(data["country"]))
    if country is None:
        raise Invalid(country="The country is not known: send its ISO 3166-1 code of two or three letters.")
    return fields, country.short_name


def _complete(fields: Mapping[str, str | None]) -> dict[str, str | None]:
    for field in REQUIRED:
        if not fields.get(field):
            raise Invalid(**{field: f"The {field} field is required."})
    return dict(fields)
