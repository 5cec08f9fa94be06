"""The people of a local XWMS: predefined ones, each a case that an app must handle, and those a developer types in.

All of them are invented, with e-mail addresses at domains that are reserved for examples.
"""

from dataclasses import dataclass
from typing import Final

SUB_MAX: Final = 255  # the limit of OpenID Connect
NAME_MAX: Final = 200
EMAIL_MAX: Final = 254  # RFC 5321


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A person who can sign in. `sub` is the identity; the rest may change and need not be unique.

    birth_date is ISO 8601, country ISO 3166-1 alpha-2; socials are platform, username and URL.
    Without a picture it is the sandbox's own.
    """

    sub: str
    name: str
    given_name: str
    family_name: str | None
    email: str | None
    email_verified: bool
    note: str = ""
    birth_date: str | None = None
    gender: str | None = None
    second_email: str | None = None
    country: str | None = None
    socials: tuple[tuple[str, str, str], ...] = ()
    picture: str | None = None


PEOPLE: Final[tuple[Person, ...]] = (
    Person(
        sub="1001",
        name="Anna de Vries",
        given_name="Anna",
        family_name="de Vries",
        email="anna@example.com",
        email_verified=True,
        birth_date="1990-04-27",
        gender="female",
        second_email="anna.de.vries@example.org",
        country="NL",
        socials=(("github", "annadv", "https://github.example/annadv"),),
    ),
    Person(
        sub="xwms-user-1234",
        name="Bram Bakker",
        given_name="Bram",
        family_name="Bakker",
        email="bram@example.com",
        email_verified=False,
    ),
    Person(
        sub="1003",
        name="Suharti",
        given_name="Suharti",
        family_name=None,
        email="suharti@example.org",
        email_verified=True,
        note="No family name",
    ),
    Person(
        sub="1004",
        name="Noor Visser",
        given_name="Noor",
        family_name="Visser",
        email="visser@example.net",
        email_verified=True,
        note="Same e-mail as Daan",
    ),
    Person(
        sub="1005",
        name="Daan Visser",
        given_name="Daan",
        family_name="Visser",
        email="visser@example.net",
        email_verified=True,
        note="Same e-mail as Noor",
    ),
    Person(
        sub="xwms-user-mallory",
        name="Mallory",
        given_name="Mallory",
        family_name=None,
        email="anna@example.com",
        email_verified=False,
        note="Same e-mail as Anna",
    ),
    Person(
        # One more than a double can represent: a client that reads subs as numbers signs in another person.
        sub="9007199254740993",
        name="Zoë Müller",
        given_name="Zoë",
        family_name="Müller",
        email="zoe@example.org",
        email_verified=True,
        note="Very large number",
    ),
    Person(
        sub="xwms-user-5678",
        name="Þórunn-Élise Ñúñez-Çelikoğlu van der Wełnowska-Ångström",
        given_name="Þórunn-Élise",
        family_name="Ñúñez-Çelikoğlu van der Wełnowska-Ångström",
        email="thorunn-elise.nunez-celikoglu.van-der-welnowska-angstrom@example.org",
        email_verified=True,
        note="Long name",
    ),
)


def is_sub(value: str) -> bool:
    """Whether a string is a valid sub: 1 to `SUB_MAX` printable characters, without leading or trailing space."""
    return 0 < len(value) <= SUB_MAX and value.isprintable() and value == value.strip()


def person_with(sub: str) -> Person:
    """The predefined person with this sub, otherwise a person of whom only the sub is known."""
    return next((known for known in PEOPLE if known.sub == sub), None) or named_person(
        sub=sub, name=sub, email=None, email_verified=False
    )


def person_called(name: str) -> Person:
    """The predefined person with this sub, first name or name, in any case; otherwise one of whom this is the sub."""
    folded = name.strip().casefold()
    called = (known for known in PEOPLE if folded in {known.given_name.casefold(), known.name.casefold()})
    by_sub = next((known for known in PEOPLE if known.sub == name), None)
    return by_sub or next(called, None) or person_with(name)


def named_person(*, sub: str, name: str, email: str | None, email_verified: bool) -> Person:
    """A person whose given name is the first word of `name` and whose family name is the rest, if any."""
    given, _, family = name.partition(" ")
    return Person(
        sub=sub,
        name=name,
        given_name=given,
        family_name=family or None,
        email=email,
        email_verified=email_verified,
    )
