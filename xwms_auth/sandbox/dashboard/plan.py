"""The plan of an account, without which it cannot create clients."""

from typing import Final

from flask import Response
from sqlalchemy import select

from xwms_auth.sandbox.dashboard.page import Rule, Visit
from xwms_auth.sandbox.db.schema import Plan
from xwms_auth.sandbox.domain import accounts
from xwms_auth.sandbox.domain.accounts import Permission


def show(visit: Visit) -> Response:
    """The plans, and the active one."""
    return visit.show("plan.html", plans=visit.db.scalars(select(Plan)).all())


def activate(visit: Visit) -> Response:
    """Activate a plan."""
    accounts.activate_plan(visit.db, visit.account, visit.form.get("plan", ""), now=visit.now)
    return visit.done("The plan is active. You can create clients now.", "clients.list")


def end(visit: Visit) -> Response:
    """End the plan; clients stay."""
    accounts.end_plan(visit.account)
    return visit.done("The plan has ended. Your clients keep working; new ones need a plan.", "plan.show")


RULES: Final = (
    Rule(name="plan.show", method="GET", path="/plan", view=show),
    Rule(name="plan.activate", method="POST", path="/plan", view=activate, needs=Permission.MANAGE_PLAN),
    Rule(name="plan.end", method="POST", path="/plan/end", view=end, needs=Permission.MANAGE_PLAN),
)
