"""The people in the database of a local XWMS: the predefined ones, and those that were typed in."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from xwms_auth.sandbox.db.schema import Person
from xwms_auth.sandbox.domain import people


def seed(session: Session) -> None:
    """Add the predefined people that are missing; changed ones are kept."""
    known = set(session.scalars(select(Person.sub).where(Person.listed)))
    for ready in people.PEOPLE:
        if ready.sub not in known:
            put(session, ready).listed = True


def listed(session: Session) -> Sequence[Person]:
    """The people that the sign-in page offers."""
    return session.scalars(select(Person).where(Person.listed).order_by(Person.id)).all()


def find(session: Session, sub: str) -> Person | None:
    """The person with this sub, or None; also None for an invalid sub."""
    if not people.is_sub(sub):
        return None  # JSON can contain a lone surrogate, which SQLite refuses
    return session.scalar(select(Person).where(Person.sub == sub))


def find_or_add(session: Session, sub: str) -> Person:
    """The person with this sub; a new one has no other claims."""
    return find(session, sub) or put(session, people.person_with(sub))


def put(session: Session, typed: people.Person) -> Person:
    """Add a person, or update one with the same sub."""
    row = find(session, typed.sub)
    if row is None:
        row = Person(sub=typed.sub, socials=[])
        session.add(row)
        row.note = typed.note
        row.birth_date, row.gender = typed.birth_date, typed.gender
        row.second_email, row.country = typed.second_email, typed.country
        row.socials = [dict(zip(("platform", "username", "url"), social, strict=True)) for social in typed.socials]
    row.name, row.given_name, row.family_name = typed.name, typed.given_name, typed.family_name
    row.email, row.email_verified = typed.email, typed.email_verified
    session.flush()
    return row


def claims(person: Person, *, picture: str) -> dict[str, object]:
    """The claims of `sign-token-verify`; `picture` is an absolute URL."""
    return {
        "sub": person.sub,
        "name": person.name,
        "given_name": person.given_name,
        "family_name": person.family_name,
        "email": person.email,
        "email_verified": person.email_verified,
        "picture": picture,
    }


def initials(name: str) -> str:
    """One or two capital letters for a list without pictures."""
    words = [word for word in name.split() if word[0].isalnum()] or ["?"]
    return "".join(word[0] for word in dict.fromkeys((words[0], words[-1]))).upper()
