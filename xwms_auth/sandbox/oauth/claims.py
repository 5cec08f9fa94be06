"""What an app learns about a person, by scope.

Knows: the standard claims (OpenID Connect Core, section 5.4), and XWMS's own fields for its own scope.
Must not: know tokens.
"""

from collections.abc import Mapping
from typing import Final

from xwms_auth.sandbox.db.schema import Person

_EXTRA: Final = ("birth_date", "gender", "second_email", "country", "socials")


def claims(person: Person, scope: str, *, public_url: str) -> Mapping[str, object]:
    """`sub`, and what the scope allows beside it; a claim without a value is left out, as section 5.3.2 wants it."""
    allowed = scope.split()
    said: dict[str, object] = {"sub": person.sub}
    if "profile" in allowed:
        said |= {
            "name": person.name,
            "given_name": person.given_name,
            "family_name": person.family_name,
            "picture": f"{public_url}/static/person.png",
        }
    if "email" in allowed and person.email is not None:
        said |= {"email": person.email, "email_verified": person.email_verified}
    return {name: value for name, value in said.items() if value not in {None, ""}}


def extra_fields(person: Person, scope: str) -> Mapping[str, object]:
    """What the scope `userinfo` adds to an answer of the userinfo endpoint, under the names of `get/user/info`."""
    return {name: getattr(person, name) for name in _EXTRA} if "userinfo" in scope.split() else {}
