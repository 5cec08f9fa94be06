"""Approvals: the scopes that a client may request, and those that each person has approved."""

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session, joinedload

from xwms_auth.sandbox.db.schema import Approval, Client, ClientScope, Grant, Person, SignIn
from xwms_auth.sandbox.domain import grants
from xwms_auth.sandbox.domain.problems import Invalid, Missing

SCOPES: Final = {
    "userinfo": "Birth date, gender, second e-mail address, country and social profiles",
    "useraddresses": "Postal addresses: see, add, change and delete them",
}
"""The scopes that have to be enabled, and what they allow an app.

Name, e-mail address and picture are part of every login by sign-token.
"""

OPENID_SCOPES: Final = {
    "openid": "Know that it is you",
    "profile": "Name and picture",
    "email": "E-mail address",
    "offline_access": "Stay signed in while you are away",
}
"""The scopes that every client may request over OAuth (OpenID Connect Core, sections 5.4 and 11)."""


def scopes_of(client: Client) -> tuple[str, ...]:
    """The scopes that are enabled for the client, in the order of `SCOPES`."""
    enabled = {held.scope for held in client.scopes}
    return tuple(scope for scope in SCOPES if scope in enabled)


def enable_scopes(client: Client, scopes: Iterable[str]) -> None:
    """Allow the client these scopes and no others. Earlier approvals of other scopes are kept, without effect."""
    wanted = set(scopes)
    if unknown := wanted - set(SCOPES):
        raise Invalid(scope=f"The scope is not known: {min(unknown)[:40]}")
    kept = [held for held in client.scopes if held.scope in wanted]
    new = wanted - {held.scope for held in kept}
    client.scopes[:] = [*kept, *(ClientScope(scope=scope) for scope in sorted(new))]


def approval_of(session: Session, client: Client, person: Person) -> Approval | None:
    """The person's approval of the client, also a withdrawn one; None if there never was one."""
    return session.scalar(select(Approval).where(Approval.client_pk == client.id, Approval.person_id == person.id))


def to_ask(session: Session, client: Client, person: Person, *, wanted: Iterable[str] | None = None) -> tuple[str, ...]:
    """The scopes that the person has not approved yet and must be asked for at this login.

    wanted: the scopes that an OAuth login requests; None means all that are enabled for the client.
    """
    approval = approval_of(session, client, person)
    approved = set(approval.scopes) if approval is not None and approval.revoked_at is None else set[str]()
    return tuple(scope for scope in (scopes_of(client) if wanted is None else wanted) if scope not in approved)


def approve(
    session: Session, client: Client, person: Person, *, now: float, scopes: Iterable[str] | None = None
) -> None:
    """Record the person's approval of the client with these scopes; None means every scope enabled for it now."""
    approval = approval_of(session, client, person)
    if approval is None:
        approval = Approval(client_pk=client.id, person_id=person.id, since=now, scopes=[])
        session.add(approval)
    elif approval.revoked_at is not None:
        approval.since, approval.revoked_at, approval.scopes = now, None, []
    approval.scopes = sorted({*approval.scopes, *(scopes_of(client) if scopes is None else scopes)})
    approval.last_login_at = now


def users_of(session: Session, client: Client, *, limit: int, offset: int = 0) -> Sequence[Approval]:
    """The client's users, the latest first; also those with a withdrawn approval."""
    wanted = select(Approval).where(Approval.client_pk == client.id).options(joinedload(Approval.person))
    in_order = wanted.order_by(Approval.last_login_at.desc(), Approval.id)
    return session.scalars(in_order.limit(limit).offset(offset)).all()


def count_users(session: Session, client: Client) -> int:
    """The number of users of the client; also those with a withdrawn approval."""
    return session.scalar(select(func.count()).where(Approval.client_pk == client.id)) or 0


def user_of(session: Session, client: Client, approval_id: int) -> Approval:
    """The client's user with this id. Raises `Missing`."""
    approval = session.get(Approval, approval_id)
    if approval is None or approval.client_pk != client.id:
        raise Missing(f"user {approval_id}")
    return approval


def revoke(session: Session, approval: Approval, *, now: float) -> Sequence[Grant]:
    """Revoke a person's approval and all their tokens. Returns the OAuth logins that ended with it."""
    approval.revoked_at = approval.revoked_at or now
    session.execute(
        delete(SignIn).where(SignIn.client_pk == approval.client_pk, SignIn.person_id == approval.person_id)
    )
    return grants.end_all(session, approval, now=now)
