"""The members of an account, each with their role. `domain/accounts.py` decides who may grant which role."""

from typing import Final

from flask import Response

from xwms_auth.sandbox.dashboard.page import Rule, Visit, to
from xwms_auth.sandbox.domain import accounts
from xwms_auth.sandbox.domain.accounts import Permission
from xwms_auth.sandbox.domain.problems import as_field


def list_all(visit: Visit, **_member: int) -> Response:
    """The members, and the form for a new one; a member whose role the visitor may not remove cannot be changed."""
    me, everybody, roles = visit.current_member, visit.account.members, visit.account.roles
    return visit.show(
        "members.html",
        members=everybody,
        beyond={member.id for member in everybody if not accounts.may_grant(me, member.role)},
        last_owner=next((member.id for member in everybody if accounts.is_last_owner(visit.db, member)), None),
        roles=[role for role in roles if accounts.may_grant(me, role)],
        least=min(roles, key=lambda role: len(role.permissions)),
    )


def add(visit: Visit) -> Response:
    """Add a member."""
    form = visit.form
    role = accounts.role_of(visit.db, visit.account, visit.number("role"))
    member = accounts.add_member(
        visit.db,
        visit.current_member,
        name=form.get("name", ""),
        email_address=form.get("email", ""),
        role=role,
        now=visit.now,
    )
    return visit.done(f"{member.name} is now a member.", "members.list")


def give_role(visit: Visit, member: int) -> Response:
    """Give a member another role."""
    chosen = accounts.member_of(visit.db, visit.account, member)
    role = accounts.role_of(visit.db, visit.account, visit.number("role"))
    with as_field(f"role-{member}"):
        accounts.give_role(visit.db, visit.current_member, chosen, role)
    return visit.done(f"{chosen.name} now has the role {role.name}.", "members.list")


def remove(visit: Visit, member: int) -> Response:
    """Remove a member from the account, which signs them out at once."""
    chosen = accounts.member_of(visit.db, visit.account, member)
    with as_field(f"role-{member}"):
        accounts.remove_member(visit.db, visit.current_member, chosen)
    if chosen is visit.member:
        visit.sign_out()
        return to("entrance.show")
    return visit.done(f"{chosen.name} is no longer a member, and is signed out.", "members.list")


_MEMBER_PATH: Final = "/members/<int:member>"
_NEEDS: Final = Permission.MANAGE_MEMBERS

RULES: Final = (
    Rule(name="members.list", method="GET", path="/members", view=list_all),
    Rule(name="members.add", method="POST", path="/members", view=add, shows=list_all, needs=_NEEDS),
    Rule(
        name="members.give_role",
        method="POST",
        path=f"{_MEMBER_PATH}/role",
        view=give_role,
        shows=list_all,
        needs=_NEEDS,
    ),
    Rule(
        name="members.remove", method="POST", path=f"{_MEMBER_PATH}/remove", view=remove, shows=list_all, needs=_NEEDS
    ),
)
