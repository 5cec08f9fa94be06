"""The data that a local XWMS needs at its start: the predefined people, and the client of its settings.

Works on an empty and on an existing database. Never removes anything that was created in the dashboard.
"""

import secrets
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from xwms_auth.sandbox.db.database import CLIENT_PLAN
from xwms_auth.sandbox.db.schema import Account, Client, ClientSecret, Domain, RedirectURI
from xwms_auth.sandbox.domain import accounts, approvals, client_domains, client_secrets, clients, directory
from xwms_auth.sandbox.settings import SandboxSettings

LOCAL_ACCOUNT: Final = "Local account"
LOCAL_OWNER: Final = "Local developer"
COMMAND_LINE: Final = "Command line"
"""The label of the secret from the settings; the next start replaces it."""


def found(session: Session, settings: SandboxSettings, *, now: float) -> None:
    """Create or update the people, the client of the settings and its account."""
    directory.seed(session)
    client = clients.find(session, settings.client_id)
    if client is None:
        client = Client(
            account_id=_local_account(session, now=now).id,
            client_id=settings.client_id,
            name=_free_name(session, settings.client_id),
            enabled=True,
            created_at=now,
        )
        session.add(client)
    domain = next((known for known in client.domains if known.root_domain == settings.domain), None)
    if domain is None:
        # Without validation: an app's tests may use a domain that is not one.
        domain = client_domains.new_domain(client, settings.domain)
    registered = {known.uri for known in client.redirect_uris}
    client.redirect_uris.extend(
        RedirectURI(uri=uri, active=True) for uri in dict.fromkeys(settings.redirect_uris) if uri not in registered
    )
    _put_secret(client, settings.client_secret, domain, now=now)
    approvals.enable_scopes(client, {*approvals.scopes_of(client), *settings.scopes})


def _put_secret(client: Client, value: str, domain: Domain, *, now: float) -> None:
    secret = next((known for known in client.secrets if known.label == COMMAND_LINE), None)
    if secret is None:
        secret = ClientSecret(label=COMMAND_LINE, active=True, created_at=now, revision=1, domains=[domain])
        client.secrets.append(secret)
    elif domain not in secret.domains:
        secret.domains.append(domain)
    secret.digest = client_secrets.sha256_of(value)


def _local_account(session: Session, *, now: float) -> Account:
    account = session.scalar(select(Account).where(Account.name == LOCAL_ACCOUNT))
    if account is None:
        account = accounts.register(
            session, account_name=LOCAL_ACCOUNT, name=LOCAL_OWNER, email_address="developer@localhost", now=now
        ).account
        accounts.activate_plan(session, account, CLIENT_PLAN, now=now)
    return account


def _free_name(session: Session, client_id: str) -> str:
    names = select(Client.name).join(Account, Account.id == Client.account_id).where(Account.name == LOCAL_ACCOUNT)
    taken = set(session.scalars(names))
    wanted = ("Sandbox client", client_id, f"Client {client_id}")
    return next((name for name in wanted if name not in taken), f"{client_id} {secrets.token_hex(4)}")
