"""The people of an XWMS inside the process: those of the sandbox, and those whom a test names."""

from collections.abc import Sequence
from enum import Enum
from typing import Final

from .._core.base.dataclass import dataclass
from ..sandbox.domain.people import PEOPLE, Person, is_sub, named_person


class Unset(Enum):
    """The default of an argument for which None means something."""

    UNSET = "as the sandbox has it"


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A person who logs in, and the scopes that they approve; None for all that the application asks for."""

    person: Person
    scopes: tuple[str, ...] | None


def person_of(sub: str, *, name: str | None, email: "str | Unset | None", verified: bool) -> Person:
    """The person with this sub, with what a test says of them. Raises ValueError if that is not possible.

    Somebody whom the sandbox does not know is named after the sub, and has an e-mail address at `example.com`.
    """
    if not isinstance(sub, str) or not is_sub(sub):
        raise ValueError("sub must be text of 1 to 255 printable characters")
    known = next((person for person in PEOPLE if person.sub == sub), None)
    if email is UNSET:
        plain = "".join(char if char.isascii() and (char.isalnum() or char in "-_") else "-" for char in sub.lower())
        email = known.email if known else f"{plain[:64]}@example.com"
    if known is not None and name is None:
        full, given, family = known.name, known.given_name, known.family_name
    else:
        typed = named_person(sub=sub, name=name or sub, email=None, email_verified=False)
        full, given, family = typed.name, typed.given_name, typed.family_name
    return Person(
        sub=sub, name=full, given_name=given, family_name=family, email=email, email_verified=verified and bool(email)
    )


def claims_of(person: Person, *, picture: str) -> dict[str, object]:
    """The claims of `sign-token-verify`."""
    return {
        "sub": person.sub,
        "name": person.name,
        "given_name": person.given_name,
        "family_name": person.family_name,
        "email": person.email,
        "email_verified": person.email_verified,
        "picture": picture,
    }


def approval_of(
    sub: str, *, name: str | None, email: "str | Unset | None", verified: bool, scopes: Sequence[str] | None
) -> Approval:
    """What a test says of a login."""
    if isinstance(scopes, str):
        scopes = scopes.split()
    person = person_of(sub, name=name, email=email, verified=verified)
    return Approval(person=person, scopes=None if scopes is None else tuple(scopes))
