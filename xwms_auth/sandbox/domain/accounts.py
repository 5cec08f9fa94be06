"""Accounts: their plan, their members, and what each member may do.

Nobody can hand out, or take away, more than they hold themself, and only an owner can do that with the role of
owners: whoever may manage members could get everything otherwise.

Knows: the order account, plan, client; the permissions; that an account never loses its last owner.
Must not: know HTTP or pages.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from xwms_auth.sandbox.db.schema import Account, Member, Plan, Role, RolePermission
from xwms_auth.sandbox.domain.problems import Invalid, Missing, email, label


class Permission(StrEnum):
    """What a role may allow. Every member may look at everything of the account that is not a secret."""

    MANAGE_PLAN = "plan.manage"
    MANAGE_MEMBERS = "members.manage"
    CREATE_CLIENTS = "clients.create"
    CHANGE_CLIENTS = "clients.change"
    MANAGE_SECRETS = "secrets.manage"
    DELETE_CLIENTS = "clients.delete"
    REVOKE_USERS = "users.revoke"


PERMISSIONS: Final = {
    Permission.MANAGE_PLAN: "Activate and end the plan",
    Permission.MANAGE_MEMBERS: "Add and remove members, change roles",
    Permission.CREATE_CLIENTS: "Create clients",
    Permission.CHANGE_CLIENTS: "Rename, disable and enable clients; redirect URIs, domains and scopes",
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
    """Make an account with its first member, who owns it. It has no plan yet. Raises `Invalid`."""
    account = Account(name=label(account_name, "account", what="the account a name"), created_at=now)
    member_name = label(name, "name", what="your name")
    member_email = email(email_address, "email")
    if session.scalar(
        select(Account.id).join(Member).where(Account.name == account.name, Member.email == member_email)
    ):
        raise Invalid(account="You have an account with this name already.")
    for role_name, permissions in _BUILT_IN.items():
        account.roles.append(_role(role_name, permissions, built_in=True))
    owner = Member(account=account, role=account.roles[0], name=member_name, email=member_email, created_at=now)
    session.add(owner)
    session.flush()
    return owner


def activate_plan(session: Session, account: Account, plan_key: str, *, now: float) -> None:
    """Give the account this plan, unless it has it. Raises `Missing` for an unknown one."""
    plan = session.get(Plan, plan_key)
    if plan is None:
        raise Missing(plan_key)
    if account.plan_key != plan.key:
        account.plan, account.plan_since = plan, now


def end_plan(account: Account) -> None:
    """Take the plan away: no client can be created then; those that are there go on working."""
    account.plan = account.plan_since = None


def may(member: Member, permission: Permission) -> bool:
    """Whether the member's role allows it."""
    return any(held.permission == permission for held in member.role.permissions)


def in_a_sentence(permission: Permission) -> str:
    """What the permission allows, as the end of a sentence: without a capital letter, but with those of URI."""
    says = PERMISSIONS[permission]
    return says[0].lower() + says[1:]


def may_grant(by: Member, role: Role) -> bool:
    """Whether this member may give the role to others, and take it from them: it allows no more than their own."""
    return not _beyond(by, role, (held.permission for held in role.permissions))


def is_last_owner(session: Session, member: Member) -> bool:
    """Whether nobody else of the account is its owner."""
    if not _is_owners(member.role):
        return False
    owners = select(func.count()).select_from(Member).where(Member.role_id == member.role_id)
    return session.scalar(owners) == 1


def add_member(session: Session, by: Member, *, name: str, email_address: str, role: Role, now: float) -> Member:
    """Add a person to the account of `by`, with a role that allows no more than theirs. Raises `Invalid`."""
    account = by.account
    address = email(email_address, "email")
    if session.scalar(select(Member.id).where(Member.account_id == account.id, Member.email == address)):
        raise Invalid(email="Somebody with this e-mail address is a member already.")
    _within(by, role)
    member = Member(account=account, role=role, name=label(name, "name", what="a name"), email=address, created_at=now)
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
    """Give a member another role. Raises `Invalid` where the account would have no owner left.

    `by` can neither give away nor take away more than they may do themself.
    """
    if role.id == member.role_id:
        return
    _within(by, role)
    _within(by, member.role)
    _keep_an_owner(session, member)
    member.role = role


def remove_member(session: Session, by: Member, member: Member) -> None:
    """Take a member out of the account, who is signed out with it.

    Raises `Invalid` for the last owner, and for one who may do more than `by`.
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
    """Make a role that allows no more than that of `by`. Raises `Invalid`."""
    account = by.account
    role_name = label(name, "role", what="the role a name", longest=40)
    if any(role.name.lower() == role_name.lower() for role in account.roles):
        raise Invalid(role="There is a role with this name already.")
    role = _role(role_name, _known(permissions), built_in=False)
    _within(by, role)
    account.roles.append(role)
    session.flush()
    return role


def change_role(by: Member, role: Role, *, permissions: Iterable[str]) -> None:
    """Replace what a role allows, before and after no more than `by` may do. Raises `Invalid`."""
    if role.built_in:
        raise Invalid(role=f"The role {role.name} is built in, and stays as it is.")
    wanted = _known(permissions)
    _within(by, role)
    _within(by, role, wanted)
    kept = [held for held in role.permissions if held.permission in wanted]
    new = set(wanted) - {held.permission for held in kept}
    role.permissions[:] = [*kept, *(RolePermission(permission=permission) for permission in sorted(new))]


def remove_role(session: Session, by: Member, role: Role) -> None:
    """Remove a role that nobody has. Raises `Invalid`."""
    if role.built_in:
        raise Invalid(role=f"The role {role.name} is built in, and stays as it is.")
    _within(by, role)
    if session.scalar(select(func.count()).select_from(Member).where(Member.role_id == role.id)):
        raise Invalid(role=f"Members have the role {role.name}: give them another one first.")
    session.delete(role)


def _within(by: Member, role: Role, permissions: Iterable[str] | None = None) -> None:
    """Raise `Invalid` where `by` may not grant the role, as it is or with these permissions."""
    held = permissions if permissions is not None else (each.permission for each in role.permissions)
    if beyond := _beyond(by, role, held):
        raise Invalid(role=f"The role {role.name} allows more than yours does: {beyond}.")


def _beyond(by: Member, role: Role, permissions: Iterable[str]) -> str:
    """What a role with these permissions allows beyond what `by` may do, in words; empty for nothing."""
    missing = set(permissions) - {held.permission for held in by.role.permissions}
    if missing:
        return "; ".join(in_a_sentence(permission) for permission in PERMISSIONS if permission in missing)
    # A role of somebody's own making may have come to allow everything; it does not make them an owner.
    return "only an owner makes owners" if _is_owners(role) and not _is_owners(by.role) else ""


def _is_owners(role: Role) -> bool:
    return role.built_in and role.name == OWNER


def _keep_an_owner(session: Session, member: Member) -> None:
    if is_last_owner(session, member):
        raise Invalid(role="An account needs an owner: make somebody else one first.")


def _known(permissions: Iterable[str]) -> tuple[Permission, ...]:
    try:
        return tuple(Permission(permission) for permission in permissions)
    except ValueError:
        raise Invalid(role="That permission is not known.") from None


def _role(name: str, permissions: Iterable[Permission], *, built_in: bool) -> Role:
    held = [RolePermission(permission=permission) for permission in sorted(set(permissions))]
    return Role(name=name, built_in=built_in, permissions=held)
