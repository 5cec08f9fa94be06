"""The roles of an account: names for sets of permissions.

Knows: this page.
Must not: decide which permissions may be handed out; `accounts.py` does.
"""

from collections import Counter
from typing import Final

from flask import Response

from xwms_auth.sandbox.dashboard.desk import Rule, Visit
from xwms_auth.sandbox.domain import accounts
from xwms_auth.sandbox.domain.accounts import PERMISSIONS, Permission


def list_all(visit: Visit, role: int | None = None) -> Response:
    """The roles, and the form for another one. `role` is the one whose form is shown again with what was ticked."""
    me, roles = visit.somebody, visit.account.roles
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
    """Make a role."""
    role = accounts.add_role(
        visit.db, visit.somebody, name=visit.form.get("role", ""), permissions=visit.all("permission")
    )
    return visit.done(f"The role {role.name} was made.", "roles.list")


def change(visit: Visit, role: int) -> Response:
    """Replace what a role allows."""
    chosen = accounts.role_of(visit.db, visit.account, role)
    accounts.change_role(visit.somebody, chosen, permissions=visit.all("permission"))
    return visit.done(f"The role {chosen.name} was changed.", "roles.list")


def remove(visit: Visit, role: int) -> Response:
    """Take a role away that nobody has."""
    chosen = accounts.role_of(visit.db, visit.account, role)
    accounts.remove_role(visit.db, visit.somebody, chosen)
    return visit.done(f"The role {chosen.name} was removed.", "roles.list")


def _show_unchanged(visit: Visit, **_role: int) -> Response:
    return list_all(visit)


_ROLE: Final = "/roles/<int:role>"
_NEEDS: Final = Permission.MANAGE_MEMBERS

RULES: Final = (
    Rule(name="roles.list", method="GET", path="/roles", view=list_all),
    Rule(name="roles.add", method="POST", path="/roles", view=add, shows=list_all, needs=_NEEDS),
    Rule(name="roles.change", method="POST", path=_ROLE, view=change, shows=list_all, needs=_NEEDS),
    Rule(name="roles.remove", method="POST", path=f"{_ROLE}/remove", view=remove, shows=_show_unchanged, needs=_NEEDS),
)
