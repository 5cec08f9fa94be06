"""Accounts: their plan, their members, and the permissions of each member.

Privilege escalation: members can grant or remove only permissions that they have themselves, and only owners can grant
or remove the role of owners. Otherwise a member who may manage members could get every permission. An account always
keeps an owner.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from xwms_auth.sandbox.db.schema import Account, Member, Plan, Role, RolePermission
from xwms_auth.sandbox.domain.problems import Invalid, Missing, all_valid, email, label


class Permission(StrEnum):
    """The permissions of roles. Every member can see everything in the account except secrets."""

    MANAGE_PLAN = "plan.manage"
    MANAGE_MEMBERS = "members.manage"
    CREATE_CLIENTS = "clients.create"
    CHANGE_CLIENTS = "clients.change"
    MANAGE_SECRETS = "secrets.manage"
    DELETE_CLIENTS = "clients.delete"
    REVOKE_USERS = "users.revoke"


PERMISSIONS: Final = {
    Permission.MANAGE_PLAN: "Activate and end the plan",
    Permission.MANAGE_MEMBERS: "Add and remove members, and change roles",
    Permission.CREATE_CLIENTS: "Create clients",
    Permission.CHANGE_CLIENTS: "Rename, disable and enable clients, and change their redirect URIs, domains and scopes",
    Permission.MANAGE_SECRETS: "Add, regenerate and switch off client secrets",
    Permission.DELETE_CLIENTS: "Delete clients",
    Permission.REVOKE_USERS: "Revoke the access of client users",
}

OWNER: Final = "Owner"
_BUILT_IN: Final = {
    OWNER: tuple(Permission),
    "Developer": (Permission.CREATE_CLIENTS, Permission.CHANGE_CLIENTS, Permission.MANAGE_SECRETS),
    "Viewer": (),
}


def register(session: Session, *, account_name: str, name: str, email_address: str, now: float) -> Member:
    """Create an account with its first member, an owner. It has no plan yet. Raises `Invalid`."""
    free_name, member_name, member_email = all_valid(
        lambda: _free_account_name(session, account_name, of=email_address.strip().lower()),
        lambda: label(name, "name", what="your name"),
        lambda: email(email_address, "email"),
    )
    account = Account(name=free_name, created_at=now)
    for role_name, permissions in _BUILT_IN.items():
        account.roles.append(_role(role_name, permissions, built_in=True))
    owner = Member(account=account, role=account.roles[0], name=member_name, email=member_email, created_at=now)
    session.add(owner)
    session.flush()
    return owner


def activate_plan(session: Session, account: Account, plan_key: str, *, now: float) -> None:
    """Activate this plan for the account. Raises `Missing` for an unknown plan."""
    plan = session.get(Plan, plan_key)
    if plan is None:
        raise Missing(plan_key)
    if account.plan_key != plan.key:
        account.plan, account.plan_since = plan, now


def end_plan(account: Account) -> None:
    """End the plan: no client can be created then; existing clients keep working."""
    account.plan = account.plan_since = None


def may(member: Member, permission: Permission) -> bool:
    """Whether the member's role allows it."""
    return any(held.permission == permission for held in member.role.permissions)


def roles_that_may(account: Account, permission: Permission) -> list[Role]:
    """The roles of the account that have the permission; the owner's always does."""
    return [role for role in account.roles if any(held.permission == permission for held in role.permissions)]


def in_a_sentence(permission: Permission) -> str:
    """The description of a permission for use within a sentence: only the first letter becomes lower case."""
    text = PERMISSIONS[permission]
    return text[0].lower() + text[1:]


def may_grant(by: Member, role: Role) -> bool:
    """Whether this member may grant and remove the role: it allows no more than their own role."""
    return not _beyond(by, role, (held.permission for held in role.permissions))


def is_last_owner(session: Session, member: Member) -> bool:
    """Whether the member is the only owner of the account."""
    if not _is_owners(member.role):
        return False
    owners = select(func.count()).select_from(Member).where(Member.role_id == member.role_id)
    return session.scalar(owners) == 1


def add_member(session: Session, by: Member, *, name: str, email_address: str, role: Role, now: float) -> Member:
    """Add a person to the account of `by`, with a role that allows no more than theirs. Raises `Invalid`."""
    account = by.account
    member_name, address, _ = all_valid(
        lambda: label(name, "name", what="a name"),
        lambda: _free_address(session, account, email_address),
        lambda: _within(by, role),
    )
    member = Member(account=account, role=role, name=member_name, email=address, created_at=now)
    session.add(member)
    session.flush()
    return member


def member_of(session: Session, account: Account, member_id: int) -> Member:
    """The account's member with this id. Raises `Missing`."""
    member = session.get(Member, member_id)
    if member is None or member.account_id != account.id:
        raise Missing(f"member {member_id}")
    return member


def give_role(session: Session, by: Member, member: Member, role: Role) -> None:
    """Give a member another role. Raises `Invalid` if the account would be left without an owner.

    `by` can neither grant nor remove a permission that they do not have.
    """
    if role.id == member.role_id:
        return
    _within(by, role)
    _within(by, member.role)
    _keep_an_owner(session, member)
    member.role = role


def remove_member(session: Session, by: Member, member: Member) -> None:
    """Remove a member from the account, which signs them out.

    Raises `Invalid` for the last owner, and for a member with more permissions than `by`.
    """
    _within(by, member.role)
    _keep_an_owner(session, member)
    session.delete(member)


def role_of(session: Session, account: Account, role_id: int) -> Role:
    """The account's role with this id. Raises `Missing`."""
    role = session.get(Role, role_id)
    if role is None or role.account_id != account.id:
        raise Missing(f"role {role_id}")
    return role


def add_role(session: Session, by: Member, *, name: str, permissions: Iterable[str]) -> Role:
    """Create a role that allows no more than that of `by`. Raises `Invalid`."""
    account = by.account
    role = _role(" ".join(name.split()), _known(permissions), built_in=False)
    role.name, _ = all_valid(lambda: _free_role_name(account, role.name), lambda: _within(by, role, field="permission"))
    account.roles.append(role)
    session.flush()
    return role


def change_role(by: Member, role: Role, *, permissions: Iterable[str]) -> None:
    """Replace the permissions of a role; the old and the new ones must be within those of `by`. Raises `Invalid`."""
    if role.built_in:
        raise Invalid(role=f"The role {role.name} is built in and cannot be changed or removed.")
    wanted = _known(permissions)
    _within(by, role)
    _within(by, role, wanted)
    kept = [held for held in role.permissions if held.permission in wanted]
    new = set(wanted) - {held.permission for held in kept}
    role.permissions[:] = [*kept, *(RolePermission(permission=permission) for permission in sorted(new))]


def remove_role(session: Session, by: Member, role: Role) -> None:
    """Remove a role that nobody has. Raises `Invalid`."""
    if role.built_in:
        raise Invalid(role=f"The role {role.name} is built in and cannot be changed or removed.")
    _within(by, role)
    if session.scalar(select(func.count()).select_from(Member).where(Member.role_id == role.id)):
        raise Invalid(role=f"Members have the role {role.name}: give them another one first.")
    session.delete(role)


def _free_account_name(session: Session, account_name: str, *, of: str) -> str:
    wanted = label(account_name, "account", what="the account a name")
    if session.scalar(select(Account.id).join(Member).where(Account.name == wanted, Member.email == of)):
        raise Invalid(account="You already have an account with this name.")
    return wanted


def _free_address(session: Session, account: Account, email_address: str) -> str:
    address = email(email_address, "email")
    if session.scalar(select(Member.id).where(Member.account_id == account.id, Member.email == address)):
        raise Invalid(email="There is already a member with this e-mail address.")
    return address


def _free_role_name(account: Account, name: str) -> str:
    wanted = label(name, "role", what="the role a name", longest=40)
    if any(role.name.lower() == wanted.lower() for role in account.roles):
        raise Invalid(role="There is already a role with this name.")
    return wanted


def _within(by: Member, role: Role, permissions: Iterable[str] | None = None, *, field: str = "role") -> None:
    """Raise `Invalid` for this field unless `by` may grant the role, as it is or with these permissions."""
    held = permissions if permissions is not None else (each.permission for each in role.permissions)
    if beyond := _beyond(by, role, held):
        raise Invalid(**{field: f"The role {role.name} allows more than yours does: {beyond}."})


def _beyond(by: Member, role: Role, permissions: Iterable[str]) -> str:
    """The description of what a role with these permissions allows beyond the permissions of `by`, or ""."""
    missing = set(permissions) - {held.permission for held in by.role.permissions}
    if missing:
        return "; ".join(in_a_sentence(permission) for permission in PERMISSIONS if permission in missing)
    # A custom role with every permission does not make its members owners.
    return "only an owner can make somebody an owner" if _is_owners(role) and not _is_owners(by.role) else ""


def _is_owners(role: Role) -> bool:
    return role.built_in and role.name == OWNER


def _keep_an_owner(session: Session, member: Member) -> None:
    if is_last_owner(session, member):
        raise Invalid(role="An account needs an owner: make another member an owner first.")


def _known(permissions: Iterable[str]) -> tuple[Permission, ...]:
    try:
        return tuple(Permission(permission) for permission in permissions)
    except ValueError:
        raise Invalid(role="The permission is not known.") from None


def _role(name: str, permissions: Iterable[Permission], *, built_in: bool) -> Role:
    held = [RolePermission(permission=permission) for permission in sorted(set(permissions))]
    return Role(name=name, built_in=built_in, permissions=held)
