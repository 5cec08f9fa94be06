"""Clients: their names, secrets, redirect URIs and domains.

Knows: what a client is made of, and that a secret is told once, by the function that makes it.
Must not: keep a secret, or know HTTP or pages.
"""

import secrets
from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session, selectinload

from xwms_auth.sandbox.db.schema import Account, Client, RedirectURI
from xwms_auth.sandbox.domain.client_secrets import new_secret
from xwms_auth.sandbox.domain.domains import add_domain, part_of
from xwms_auth.sandbox.domain.problems import Invalid, Missing, label
from xwms_auth.sandbox.domain.urls import parse_http_url

FIRST_LABEL: Final = "Default"
MAX_URI: Final = 2000  # characters; browsers and proxies take no longer one


def create(
    session: Session, account: Account, *, name: str, root_domain: str, redirect_uri: str, now: float
) -> tuple[Client, str]:
    """Make a client with its first domain, redirect URI and secret; the secret is told here and nowhere else.

    Raises `Invalid`, also where the account has no plan.
    """
    if account.plan_key is None:
        raise Invalid(plan="Activate a plan first: without one there are no clients.")
    client = Client(
        account_id=account.id,
        client_id=f"xwms_{secrets.token_hex(12)}",
        name=_free_name(session, account.id, name),
        created_at=now,
    )
    session.add(client)
    domain = add_domain(client, root_domain)
    add_redirect_uri(client, redirect_uri)
    secret = new_secret(client, FIRST_LABEL, [domain], expires_at=None, now=now)
    session.flush()
    return client, secret


def find(session: Session, client_id: str) -> Client | None:
    """The client with this public id, or None."""
    return session.scalar(select(Client).where(Client.client_id == client_id))


def client_of(session: Session, account: Account, client_pk: int) -> Client:
    """The account's client with this key. Raises `Missing`."""
    client = session.get(Client, client_pk)
    if client is None or client.account_id != account.id:
        raise Missing(f"client {client_pk}")
    return client


def clients_of(
    session: Session, account: Account, *, search: str = "", limit: int, offset: int = 0
) -> Sequence[Client]:
    """Some of the account's clients, with their domains, in the order they were made.

    search: a part of the name or of the client ID, in capitals or not; "" finds all.
    """
    wanted = select(Client).where(*_found_by(account, search)).options(selectinload(Client.domains))
    return session.scalars(wanted.order_by(Client.id).limit(limit).offset(offset)).all()


def count_clients(session: Session, account: Account, *, search: str = "") -> int:
    """How many clients of the account `clients_of` finds."""
    return session.scalar(select(func.count()).select_from(Client).where(*_found_by(account, search))) or 0


def rename(session: Session, client: Client, name: str) -> None:
    """Give a client another name; nothing else changes. Raises `Invalid`."""
    if " ".join(name.split()) != client.name:
        client.name = _free_name(session, client.account_id, name)


def add_redirect_uri(client: Client, uri: str) -> RedirectURI:
    """Register a redirect URI, byte for byte as given. Raises `Invalid` with what is wrong with it."""
    check_redirect_uri(uri)
    for known in client.redirect_uris:
        if known.uri == uri:
            off = "" if known.active else ", and switched off: switch it on instead"
            raise Invalid(redirect_uri=f"This redirect URI is registered already{off}.")
    registered = RedirectURI(uri=uri, active=True)
    client.redirect_uris.append(registered)
    return registered


def check_redirect_uri(uri: str) -> None:
    """Raise `Invalid` with the reason why an address cannot be a redirect URI."""
    fault = ""
    if not uri:
        fault = "Please give the address that your app's callback has, such as https://app.example/xwms/validateToken."
    elif uri != uri.strip():
        fault = "There is a space before or after it, and redirect URIs are compared byte for byte."
    elif "*" in uri:
        fault = "A redirect URI cannot have wildcards: register each address by itself."
    elif len(uri) > MAX_URI:
        fault = f"A redirect URI may have {MAX_URI} characters at most."
    else:
        try:
            parts = parse_http_url(uri)
        except ValueError as reason:
            fault = f"This is {reason}."
        else:
            if parts.path == "":
                fault = "The path is missing: it has to end with a slash at least, as the browser will send it."
    if fault:
        raise Invalid(redirect_uri=fault)


def tell_logouts_to(client: Client, uri: str) -> None:
    """Register where the client is told that logins have ended; "" tells nobody. Raises `Invalid`."""
    if uri:
        try:
            check_redirect_uri(uri)
        except Invalid as fault:
            raise Invalid(backchannel_logout_uri=str(fault)) from None
    client.backchannel_logout_uri = uri or None


def redirect_uri_of(client: Client, uri_id: int) -> RedirectURI:
    """The client's redirect URI with this id. Raises `Missing`."""
    return part_of(client.redirect_uris, uri_id)


def redirect_uris_without_https(client: Client) -> list[RedirectURI]:
    """The active redirect URIs that a domain in live mode refuses."""
    return [known for known in client.redirect_uris if known.active and parse_http_url(known.uri).scheme != "https"]


def _found_by(account: Account, search: str) -> Sequence[ColumnElement[bool]]:
    part = or_(Client.name.icontains(search, autoescape=True), Client.client_id.icontains(search, autoescape=True))
    return (Client.account_id == account.id, *([part] if search else []))


def _free_name(session: Session, account_id: int, name: str) -> str:
    wanted = label(name, "name", what="the client a name", longest=80)
    if session.scalar(select(Client.id).where(Client.account_id == account_id, Client.name == wanted)):
        raise Invalid(name="A client of this account has this name already.")
    return wanted
