"""The scopes that a client may request."""

from typing import Final

from flask import Response

from xwms_auth.sandbox.dashboard.page import Rule, Visit
from xwms_auth.sandbox.domain import approvals
from xwms_auth.sandbox.domain.accounts import Permission


def show(visit: Visit, client: int) -> Response:
    """All scopes, and which are enabled."""
    found = visit.client(client)
    return visit.show("scopes.html", client=found, scopes=approvals.SCOPES, enabled=approvals.scopes_of(found))


def change(visit: Visit, client: int) -> Response:
    """Enable the ticked ones."""
    approvals.enable_scopes(visit.client(client), visit.all("scope"))
    text = "The scopes were changed. People are asked for new ones at their next login."
    return visit.done(text, "scopes.show", client=client)


_PATH: Final = "/clients/<int:client>/scopes"

RULES: Final = (
    Rule(name="scopes.show", method="GET", path=_PATH, view=show),
    Rule(name="scopes.change", method="POST", path=_PATH, view=change, shows=show, needs=Permission.CHANGE_CLIENTS),
)
