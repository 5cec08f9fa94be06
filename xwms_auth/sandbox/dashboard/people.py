"""The people of the sandbox: what an app is told about each. They belong to no account: any member may change them.

Anybody could do the same at the sign-in page, as "Somebody else".
"""

from datetime import UTC, datetime
from typing import Final

from flask import Response

from xwms_auth.sandbox.dashboard.page import Rule, Visit
from xwms_auth.sandbox.domain import directory
from xwms_auth.sandbox.domain.person_forms import change_person, written_socials

_MAX_PEOPLE: Final = 200


def list_all(visit: Visit) -> Response:
    """The people who can sign in, those of the sign-in page first."""
    return visit.show("people.html", people=directory.everybody(visit.db, limit=_MAX_PEOPLE), most=_MAX_PEOPLE)


def show(visit: Visit, person: int) -> Response:
    """The form for one person."""
    found = directory.person_of(visit.db, person)
    return visit.show("person.html", person=found, socials=written_socials(found))


def change(visit: Visit, person: int) -> Response:
    """Change a person, for the next login and the next call about them."""
    found = directory.person_of(visit.db, person)
    change_person(found, visit.form, today=datetime.fromtimestamp(visit.now, UTC).date())
    return visit.done(f"{found.name} was changed. Apps see it at the next login.", "people.show", person=person)


_PERSON_PATH: Final = "/people/<int:person>"

RULES: Final = (
    Rule(name="people.list", method="GET", path="/people", view=list_all),
    Rule(name="people.show", method="GET", path=_PERSON_PATH, view=show),
    Rule(name="people.change", method="POST", path=_PERSON_PATH, view=change, shows=show),
)
