"""The roles of an account: named sets of permissions. `domain/accounts.py` decides who may grant which."""

from collections import Counter
from typing import Final

from flask import Response

from xwms_auth.sandbox.dashboard.page import Rule, Visit
from xwms_auth.sandbox.domain import accounts
from xwms_auth.sandbox.domain.accounts import PERMISSIONS, Permission
from xwms_auth.sandbox.domain.problems import as_field


def list_all(visit: Visit, role: int | None = None) -> Response:
    """The roles, and the form for a new one. `role` is the one whose form is shown again with the submitted values."""
    me, roles = visit.current_member, visit.account.roles
    return visit.show(
        "roles.html",
        roles=roles,
        permissions=PERMISSIONS,
        mine={permission for permission in PERMISSIONS if accounts.may(me, permission)},
        changeable={known.id for known in roles if not known.built_in and accounts.may_grant(me, known)},
        used=Counter(member.role_id for member in visit.account.members),
        again=role,
        ticked=visit.all("permission"),
    )


def add(visit: Visit) -> Response:
    """Create a role."""
    role = accounts.add_role(
        visit.db, visit.current_member, name=visit.form.get("role", ""), permissions=visit.all("permission")
    )
    return visit.done(f"The role {role.name} was created.", "roles.list")


def change(visit: Visit, role: int) -> Response:
    """Replace the permissions of a role."""
    chosen = accounts.role_of(visit.db, visit.account, role)
    with as_field(f"role-{role}"):
        accounts.change_role(visit.current_member, chosen, permissions=visit.all("permission"))
    return visit.done(f"The role {chosen.name} was changed.", "roles.list")


def remove(visit: Visit, role: int) -> Response:
    """Remove a role that nobody has."""
    chosen = accounts.role_of(visit.db, visit.account, role)
    with as_field(f"role-{role}"):
        accounts.remove_role(visit.db, visit.current_member, chosen)
    return visit.done(f"The role {chosen.name} was removed.", "roles.list")


def _show_unchanged(visit: Visit, **_role: int) -> Response:
    return list_all(visit)


_ROLE_PATH: Final = "/roles/<int:role>"
_NEEDS: Final = Permission.MANAGE_MEMBERS

RULES: Final = (
    Rule(name="roles.list", method="GET", path="/roles", view=list_all),
    Rule(name="roles.add", method="POST", path="/roles", view=add, shows=list_all, needs=_NEEDS),
    Rule(name="roles.change", method="POST", path=_ROLE_PATH, view=change, shows=list_all, needs=_NEEDS),
    Rule(
        name="roles.remove",
        method="POST",
        path=f"{_ROLE_PATH}/remove",
        view=remove,
        shows=_show_unchanged,
        needs=_NEEDS,
    ),
)
