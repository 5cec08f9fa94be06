"""Signing in to the dashboard: choose a member, register an account, sign out. There are no passwords."""

from typing import Final

from flask import Response
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from xwms_auth.sandbox.dashboard.page import Rule, Visit, to
from xwms_auth.sandbox.db.schema import Member
from xwms_auth.sandbox.domain import accounts
from xwms_auth.sandbox.domain.problems import Missing

_MAX_MEMBERS: Final = 100  # to choose from


def show(visit: Visit) -> Response:
    """The members to choose from. A signed-in member is redirected to the clients."""
    if visit.member is not None and not visit.problems:
        return to("clients.list")
    members = visit.db.scalars(
        select(Member).options(joinedload(Member.account)).order_by(Member.id).limit(_MAX_MEMBERS)
    ).all()
    return visit.show("entrance.html", members=members)


def enter(visit: Visit) -> Response:
    """Sign in as the chosen member."""
    member = visit.db.get(Member, visit.number("member"))
    if member is None:
        raise Missing("member")
    visit.sign_in(member)
    return to("clients.list")


def leave(visit: Visit) -> Response:
    """Sign out."""
    visit.sign_out()
    return to("entrance.show")


def show_register(visit: Visit) -> Response:
    """The form for a new account."""
    return visit.show("register.html")


def register(visit: Visit) -> Response:
    """Create the account, sign in as its owner, and redirect to the plan."""
    form = visit.form
    owner = accounts.register(
        visit.db,
        account_name=form.get("account", ""),
        name=form.get("name", ""),
        email_address=form.get("email", ""),
        now=visit.now,
    )
    visit.sign_in(owner)
    return visit.done(f"Welcome, {owner.name}. Your account is ready.", "plan.show")


RULES: Final = (
    Rule(name="entrance.show", method="GET", path="", view=show, open=True),
    Rule(name="entrance.enter", method="POST", path="/enter", view=enter, open=True),
    Rule(name="entrance.leave", method="POST", path="/leave", view=leave, open=True),
    Rule(name="entrance.show_register", method="GET", path="/register", view=show_register, open=True),
    Rule(name="entrance.register", method="POST", path="/register", view=register, shows=show_register, open=True),
)
