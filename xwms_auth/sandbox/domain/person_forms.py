"""What is typed in about a person: at the sign-in page as somebody else, and in the dashboard as a change."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Final

from xwms_auth.sandbox.db.schema import Person as Row
from xwms_auth.sandbox.domain import countries
from xwms_auth.sandbox.domain.people import EMAIL_MAX, NAME_MAX, SUB_MAX, Person, is_sub, named_person
from xwms_auth.sandbox.domain.problems import Invalid, all_valid, as_field, label
from xwms_auth.sandbox.domain.urls import parse_http_url

_MAX_GENDER: Final = 40  # characters
_MAX_URL: Final = 2000  # characters
_MAX_SOCIALS: Final = 20


def parse_somebody_else(form: Mapping[str, str]) -> Person:
    """The person from the form: `sub`, and optionally `name`, `email` and `email_verified`. Raises `Invalid`."""
    sub, name, email = all_valid(
        lambda: _sub(form.get("sub", "")),
        lambda: _optional("name", form.get("name", ""), longest=NAME_MAX),
        lambda: _verifiable_email(form),
    )
    return named_person(sub=sub, name=name or sub, email=email, email_verified="email_verified" in form)


def change_person(person: Row, form: Mapping[str, str], *, today: date) -> None:
    """Change everything about a person but the sub, which is who they are. Raises `Invalid` with the errors of all.

    The fields are those of the table. `socials` is a line for each, with platform, user name and URL. An empty picture
    is the sandbox's own one, unless `no_picture` is sent too.
    """

    def typed(field: str) -> str:
        return form.get(field, "").strip()

    readers: dict[str, Callable[[], str | None]] = {
        "name": lambda: label(typed("name"), "name", what="a name", longest=NAME_MAX),
        "given_name": lambda: label(typed("given_name"), "given_name", what="a given name", longest=NAME_MAX),
        "family_name": lambda: _optional("family_name", typed("family_name"), longest=NAME_MAX),
        "email": lambda: _verifiable_email(form),
        "picture": lambda: "" if "no_picture" in form else _url("picture", typed("picture")),
        "birth_date": lambda: _birth_date(typed("birth_date"), today=today),
        "gender": lambda: _optional("gender", typed("gender"), longest=_MAX_GENDER),
        "second_email": lambda: _email("second_email", typed("second_email")),
        "country": lambda: _country(typed("country")),
    }
    texts, socials = all_valid(lambda: all_valid(*readers.values()), lambda: _socials(typed("socials")))
    for field, text in zip(readers, texts, strict=True):
        setattr(person, field, text)
    person.email_verified, person.socials = "email_verified" in form, socials


def written_socials(person: Row) -> str:
    """The social profiles of a person as `change_person` reads them."""
    return "\n".join(" ".join(known.values()) for known in person.socials)


def _sub(typed: str) -> str:
    sub = typed.strip()
    if not is_sub(sub):
        raise Invalid(sub=f"The sub needs 1 to {SUB_MAX} printable characters.")
    return sub


def _optional(field: str, typed: str, *, longest: int) -> str | None:
    text = " ".join(typed.split())
    if len(text) > longest or not typed.strip().isprintable():
        what = field.replace("_", " ")
        raise Invalid(**{field: f"The {what} may have at most {longest} printable characters."})
    return text or None


def _verifiable_email(form: Mapping[str, str]) -> str | None:
    email = _email("email", form.get("email", "").strip())
    if "email_verified" in form and email is None:
        raise Invalid(email="Without an e-mail address there is nothing to verify.")
    return email


def _email(field: str, email: str) -> str | None:
    local, at, domain = email.rpartition("@")
    fits = bool(local and at and domain) and len(email) <= EMAIL_MAX and email.isprintable() and " " not in email
    if email and not fits:
        raise Invalid(**{field: "That is not an e-mail address."})
    return email or None


def _url(field: str, url: str) -> str | None:
    if not url:
        return None
    if len(url) > _MAX_URL:
        raise Invalid(**{field: f"A URL may have at most {_MAX_URL} characters."})
    try:
        parse_http_url(url)
    except ValueError as reason:
        raise Invalid(**{field: f"This is {reason}."}) from None
    return url


def _birth_date(typed: str, *, today: date) -> str | None:
    try:
        born = date.fromisoformat(typed) if typed else None
    except ValueError:
        raise Invalid(birth_date="Please enter a date such as 1990-04-27, or none.") from None
    if born is not None and born > today:
        raise Invalid(birth_date="This day is in the future.")
    return None if born is None else born.isoformat()


def _country(typed: str) -> str | None:
    known = countries.find(typed) if typed else None
    if typed and known is None:
        raise Invalid(country="Please enter the two or three letters of a country, such as NL, or none.")
    return None if known is None else known.short_name


def _socials(typed: str) -> list[dict[str, str]]:
    lines = [line.split() for line in typed.splitlines() if line.strip()]
    if len(lines) > _MAX_SOCIALS:
        raise Invalid(socials=f"A person has at most {_MAX_SOCIALS} social profiles here.")
    for line in lines:
        if len(line) != 3 or not "".join(line).isprintable():
            raise Invalid(socials="Please enter a platform, a user name and a URL on each line, without other spaces.")
        with as_field("socials"):
            _url("socials", line[2])
    return [dict(zip(("platform", "username", "url"), line, strict=True)) for line in lines]
