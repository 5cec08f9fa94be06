"""Clients: their names and redirect URIs. A secret is returned once, by the function that creates it."""

import secrets
from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session, selectinload

from xwms_auth.sandbox.db.schema import Account, Client, RedirectURI
from xwms_auth.sandbox.domain.client_domains import check_root_domain, new_domain, part_of
from xwms_auth.sandbox.domain.client_secrets import new_secret
from xwms_auth.sandbox.domain.problems import Invalid, Missing, all_valid, as_field, label
from xwms_auth.sandbox.domain.urls import parse_http_url

FIRST_LABEL: Final = "Default"
MAX_URI: Final = 2000  # characters; browsers and proxies accept no longer one


def create(
    session: Session, account: Account, *, name: str, root_domain: str, redirect_uri: str, now: float
) -> tuple[Client, str]:
    """Create a client with its first domain, redirect URI and secret; the secret is returned here only.

    Raises `Invalid`, also if the account has no plan.
    """
    if account.plan_key is None:
        raise Invalid(plan="Activate a plan first: clients need a plan.")
    free_name, root, _ = all_valid(
        lambda: _free_name(session, account.id, name),
        lambda: check_root_domain(root_domain),
        lambda: check_redirect_uri(redirect_uri),
    )
    client = Client(account_id=account.id, client_id=f"xwms_{secrets.token_hex(12)}", name=free_name, created_at=now)
    session.add(client)
    domain = new_domain(client, root)
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
    """A page of the account's clients, with their domains, in the order of creation.

    search: a part of the name or of the client ID, case-insensitive; "" finds all.
    """
    wanted = select(Client).where(*_found_by(account, search)).options(selectinload(Client.domains))
    return session.scalars(wanted.order_by(Client.id).limit(limit).offset(offset)).all()


def count_clients(session: Session, account: Account, *, search: str = "") -> int:
    """The number of clients that `clients_of` finds."""
    return session.scalar(select(func.count()).select_from(Client).where(*_found_by(account, search))) or 0


def rename(session: Session, client: Client, name: str) -> None:
    """Rename a client; nothing else changes. Raises `Invalid`."""
    if " ".join(name.split()) != client.name:
        client.name = _free_name(session, client.account_id, name)


def add_redirect_uri(client: Client, uri: str) -> RedirectURI:
    """Register a redirect URI exactly as given. Raises `Invalid` with the reason."""
    check_redirect_uri(uri)
    for known in client.redirect_uris:
        if known.uri == uri:
            off = "" if known.active else ", but switched off: switch it on instead"
            raise Invalid(redirect_uri=f"This redirect URI is already registered{off}.")
    registered = RedirectURI(uri=uri, active=True)
    client.redirect_uris.append(registered)
    return registered


def check_redirect_uri(uri: str) -> None:
    """Raise `Invalid` with the reason why a URL cannot be a redirect URI."""
    problem = ""
    if not uri:
        problem = "Please enter the URL of your app's callback, such as https://app.example/xwms/validateToken."
    elif uri != uri.strip():
        problem = "There is a space before or after it, and redirect URIs are compared byte for byte."
    elif "*" in uri:
        problem = "A redirect URI cannot have wildcards: register each URL by itself."
    elif len(uri) > MAX_URI:
        problem = f"A redirect URI may have at most {MAX_URI} characters."
    else:
        try:
            parts = parse_http_url(uri)
        except ValueError as reason:
            problem = f"This is {reason}."
        else:
            if parts.path == "":
                problem = "The path is missing: it needs at least a slash, as the browser will send it."
    if problem:
        raise Invalid(redirect_uri=problem)


def tell_logouts_to(client: Client, uri: str) -> None:
    """Set the back-channel logout URI of a client; "" removes it. Raises `Invalid`."""
    if uri:
        with as_field("backchannel_logout_uri"):
            check_redirect_uri(uri)
    client.backchannel_logout_uri = uri or None


def redirect_uri_of(client: Client, uri_id: int) -> RedirectURI:
    """The client's redirect URI with this id. Raises `Missing`."""
    return part_of(client.redirect_uris, uri_id)


def redirect_uris_without_https(client: Client) -> list[RedirectURI]:
    """The active redirect URIs that are not https, which a domain in live mode refuses."""
    return [known for known in client.redirect_uris if known.active and parse_http_url(known.uri).scheme != "https"]


def _found_by(account: Account, search: str) -> Sequence[ColumnElement[bool]]:
    part = or_(Client.name.icontains(search, autoescape=True), Client.client_id.icontains(search, autoescape=True))
    return (Client.account_id == account.id, *([part] if search else []))


def _free_name(session: Session, account_id: int, name: str) -> str:
    wanted = label(name, "name", what="the client a name", longest=80)
    if session.scalar(select(Client.id).where(Client.account_id == account_id, Client.name == wanted)):
        raise Invalid(name="This account already has a client with this name.")
    return wanted
