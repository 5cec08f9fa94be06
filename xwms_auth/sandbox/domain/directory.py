"""The people a local XWMS knows, as rows: the ready-made ones, and whoever was typed in.

Knows: how a person is found and kept.
Must not: know clients or tokens.
"""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from xwms_auth.sandbox.db.schema import Person
from xwms_auth.sandbox.domain import people


def seed(session: Session) -> None:
    """Add the ready-made people who are not there yet; those that were changed stay as they are."""
    known = set(session.scalars(select(Person.sub).where(Person.listed)))
    for ready in people.PEOPLE:
        if ready.sub not in known:
            put(session, ready).listed = True


def listed(session: Session) -> Sequence[Person]:
    """The people that a sign-in page offers."""
    return session.scalars(select(Person).where(Person.listed).order_by(Person.id)).all()


def find(session: Session, sub: str) -> Person | None:
    """The person with this sub, or None; also for what can be no sub."""
    if not people.is_sub(sub):
        return None  # SQLite takes no lone surrogate, and JSON can hold one
    return session.scalar(select(Person).where(Person.sub == sub))


def find_or_add(session: Session, sub: str) -> Person:
    """The person with this sub; about one who is new only the sub is known."""
    return find(session, sub) or put(session, people.person_with(sub))


def put(session: Session, typed: people.Person) -> Person:
    """Keep what was said about a person: somebody new, or a change of somebody known, as when they move house."""
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
    """What `sign-token-verify` says about a person; `picture` is an absolute URL."""
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
