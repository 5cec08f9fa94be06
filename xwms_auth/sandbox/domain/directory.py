"""The people in the database of a local XWMS: the predefined ones, and those that were typed in."""

from collections.abc import Sequence

from sqlalchemy import case, select
from sqlalchemy.orm import Session

from xwms_auth.sandbox.db.schema import Person
from xwms_auth.sandbox.domain import people
from xwms_auth.sandbox.domain.problems import Missing


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


def everybody(session: Session, *, limit: int) -> Sequence[Person]:
    """The people who can sign in: the predefined ones first, then those who were typed in, the latest first."""
    latest = case((Person.listed, Person.id), else_=-Person.id)
    return session.scalars(select(Person).order_by(Person.listed.desc(), latest).limit(limit)).all()


def person_of(session: Session, person_id: int) -> Person:
    """The person with this id. Raises `Missing`."""
    person = session.get(Person, person_id)
    if person is None:
        raise Missing(f"person {person_id}")
    return person


def picture_of(person: Person | people.Person, *, own: str) -> str | None:
    """The URL of the person's picture, or None; `own` is that of the sandbox's own picture."""
    return own if person.picture is None else person.picture or None


def claims(person: Person, *, picture: str) -> dict[str, object]:
    """The claims of `sign-token-verify`; `picture` is the absolute URL of the sandbox's own picture."""
    return {
        "sub": person.sub,
        "name": person.name,
        "given_name": person.given_name,
        "family_name": person.family_name,
        "email": person.email,
        "email_verified": person.email_verified,
        "picture": picture_of(person, own=picture),
    }


def initials(name: str) -> str:
    """One or two capital letters for a list without pictures."""
    words = [word for word in name.split() if word[0].isalnum()] or ["?"]
    return "".join(word[0] for word in dict.fromkeys((words[0], words[-1]))).upper()
