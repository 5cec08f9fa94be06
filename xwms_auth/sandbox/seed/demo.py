"""A demo account: a company with a team, two clients and some users, so that every page has something to show.

The names are invented, at domains reserved for examples. The secrets are not shown: to use one of the clients,
regenerate a secret in the dashboard.
"""

from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from xwms_auth.sandbox.db.database import CLIENT_PLAN
from xwms_auth.sandbox.db.schema import Account
from xwms_auth.sandbox.domain import accounts, api_log, approvals, client_domains, client_secrets, clients, directory
from xwms_auth.sandbox.domain.accounts import Permission

DEMO_ACCOUNT: Final = "Bloom flower shop"
_DAY: Final = 86_400.0


def seed_demo(session: Session, *, now: float) -> None:
    """Add the demo account if it does not exist."""
    if session.scalar(select(Account.id).where(Account.name == DEMO_ACCOUNT)):
        return
    owner = accounts.register(
        session, account_name=DEMO_ACCOUNT, name="Olivia Owner", email_address="olivia@bloom.example", now=now
    )
    account = owner.account
    accounts.activate_plan(session, account, CLIENT_PLAN, now=now - 90 * _DAY)
    accounts.add_role(session, owner, name="Support", permissions=[Permission.REVOKE_USERS])
    roles = {role.name: role for role in account.roles}
    for name, address, role in (
        ("Dewi Developer", "dewi@bloom.example", "Developer"),
        ("Sam Support", "sam@bloom.example", "Support"),
        ("Vera Viewer", "vera@bloom.example", "Viewer"),
    ):
        accounts.add_member(session, owner, name=name, email_address=address, role=roles[role], now=now)

    shop, _ = clients.create(
        session,
        account,
        name="Web shop",
        root_domain="bloom.example",
        redirect_uri="https://bloom.example/xwms/validateToken",
        now=now - 80 * _DAY,
    )
    clients.add_redirect_uri(shop, "https://staging.bloom.example/xwms/validateToken")
    clients.add_redirect_uri(shop, "http://localhost:5000/xwms/validateToken").active = False
    live = shop.domains[0]
    live.live = True
    staging = client_domains.add_domain(shop, "staging.bloom.example")
    client_secrets.add_secret(shop, label_text="Staging", domains=[staging], expires_at=now + 30 * _DAY, now=now)
    approvals.enable_scopes(shop, ["userinfo", "useraddresses"])

    back_office, _ = clients.create(
        session,
        account,
        name="Back office",
        root_domain="office.bloom.example",
        redirect_uri="https://office.bloom.example/xwms/validateToken",
        now=now - 10 * _DAY,
    )
    back_office.enabled = False
    session.flush()

    for days, person in enumerate(directory.listed(session)[:4], start=1):
        approvals.approve(session, shop, person, now=now - days * _DAY)
    session.flush()
    approvals.revoke(session, approvals.users_of(session, shop, limit=4)[-1], now=now)
    for minutes, endpoint, domain, status, reason in (
        (9, "sign-token", "bloom.example", 200, ""),
        (8, "sign-token-verify", "bloom.example", 200, ""),
        (5, "sign-token", "www.bloom.example", 403, "The call names a domain that this client does not have."),
        (2, "user/address", "bloom.example", 403, "The user has not approved the scope useraddresses."),
    ):
        api_log.note(
            session,
            at=now - minutes * 60,
            client=shop,
            method="POST",
            endpoint=endpoint,
            domain=domain,
            ip="192.0.2.10",
            status=status,
            reason=reason,
        )
