"""Who is at the dashboard in a test: the local account's owner, a colleague who may less, somebody from elsewhere.

Knows: how each of them comes in, and how to read the tables they see.
Must not: look behind the pages.
"""

import html
import re
from dataclasses import dataclass
from typing import ClassVar

from werkzeug.test import TestResponse

from tests.sandbox.local_xwms import LocalXWMS
from tests.sandbox.office import Office

CLIENT = "/clients/1"  # the one that the sandbox was started with


@dataclass
class ClientPage:
    """One page of a client, with the client's owner in front of it; `section` is its path below the client's."""

    section: ClassVar[str]

    xwms: LocalXWMS
    office: Office
    number: int
    client_id: str
    secret: str

    @property
    def page(self) -> str:
        return f"/clients/{self.number}/{self.section}"

    def action(self, verb: str, nth: int = 0) -> str:
        """Where the nth form for this leads, below /dashboard."""
        found = [form.action for form in self.office.forms(self.page) if form.action.endswith(f"/{verb}")]
        return found[nth].removeprefix("/dashboard")

    def submit(self, verb: str, nth: int = 0, **fields: object) -> TestResponse:
        """Send the nth such form as it stands, with these fields changed."""
        return self.office.submit(self.page, self.action(verb, nth), **fields)


def owner(xwms: LocalXWMS) -> Office:
    """The owner of the account with the client that the sandbox was started with."""
    office = Office(xwms)
    office.enter("Local developer")
    return office


def colleague(xwms: LocalXWMS, name: str, *permissions: str) -> Office:
    """Another member of that account, who may do exactly this."""
    boss = owner(xwms)
    boss.post("/roles", role=f"As {name}", permission=list(permissions))
    boss.add_member(name, f"As {name}")
    office = Office(xwms)
    office.enter(name)
    return office


def stranger(xwms: LocalXWMS) -> tuple[Office, str]:
    """The owner of another account, and the path of their client, which runs at theirs.example."""
    office = Office(xwms)
    office.register("Elsewhere", "Stranger", "stranger@elsewhere.example")
    office.activate_plan()
    number, _, _ = office.create_client("Theirs", "theirs.example", "https://theirs.example/callback")
    return office, f"/clients/{number}"


def rows(answer: TestResponse) -> list[str]:
    """The lines of a page's table, as text."""
    assert answer.status_code == 200, answer.status_code
    body = answer.text.partition("<tbody>")[2].partition("</tbody>")[0]
    return [" ".join(html.unescape(re.sub(r"<[^>]*>", " ", row)).split()) for row in body.split("</tr>")[:-1]]


def log(office: Office, client: str = CLIENT) -> list[str]:
    """The lines of the client's API log, the latest first."""
    return rows(office.get(f"{client}/log"))
