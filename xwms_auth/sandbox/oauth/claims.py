"""The claims of a person, by scope: the standard claims (OpenID Connect Core, section 5.4), and XWMS's own fields."""

from collections.abc import Mapping
from typing import Final

from xwms_auth.sandbox.db.schema import Person
from xwms_auth.sandbox.domain import people
from xwms_auth.sandbox.domain.directory import picture_of

_EXTRA_FIELDS: Final = ("birth_date", "gender", "second_email", "country", "socials")


def claims(person: Person | people.Person, scope: str, *, public_url: str) -> Mapping[str, object]:
    """`sub` and the claims that the scope allows; a claim without a value is left out (section 5.3.2)."""
    allowed = scope.split()
    values: dict[str, object] = {"sub": person.sub}
    if "profile" in allowed:
        values |= {
            "name": person.name,
            "given_name": person.given_name,
            "family_name": person.family_name,
            "picture": picture_of(person, own=f"{public_url}/static/person.png"),
        }
    if "email" in allowed and person.email is not None:
        values |= {"email": person.email, "email_verified": person.email_verified}
    return {name: value for name, value in values.items() if value not in {None, ""}}


def extra_fields(person: Person, scope: str) -> Mapping[str, object]:
    """The fields that the scope `userinfo` adds to a userinfo response, with the names of `get/user/info`."""
    return {name: getattr(person, name) for name in _EXTRA_FIELDS} if "userinfo" in scope.split() else {}
