"""The clients of an account: the list, the form for a new one, and the page of each: rename, disable, delete.

A secret is shown only in the response to the form that created it.
"""

import shlex
from typing import Final
from urllib.parse import urlsplit

from flask import Response, request
from sqlalchemy import func, select

from xwms_auth.sandbox.dashboard.page import Dashboard, Rule, Visit
from xwms_auth.sandbox.db.schema import Approval, Client, ClientSecret
from xwms_auth.sandbox.domain import clients, sign_ins
from xwms_auth.sandbox.domain.accounts import Permission
from xwms_auth.sandbox.domain.problems import Invalid
from xwms_auth.sandbox.web.responses import OAUTH_METADATA

_PER_PAGE: Final = 25
_MAX_SEARCH: Final = 200  # characters; SQLite refuses very long patterns


def list_all(visit: Visit) -> Response:
    """The account's clients.

    `?search=` is a part of the name or client ID. `?page=` counts from 1; for one that does not exist, the nearest page
    is shown, because clients may have been deleted in the meantime.
    """
    search = " ".join(request.args.get("search", "").split())[:_MAX_SEARCH]
    total = clients.count_clients(visit.db, visit.account, search=search)
    pages = max(1, -(-total // _PER_PAGE))
    page = min(max(1, _number(request.args.get("page", ""))), pages)
    offset = (page - 1) * _PER_PAGE
    return visit.show(
        "clients.html",
        clients=clients.clients_of(visit.db, visit.account, search=search, limit=_PER_PAGE, offset=offset),
        search=search,
        total=total,
        first=offset + 1,
        page=page,
        pages=pages,
    )


def show_new(visit: Visit) -> Response:
    """The form for a new client."""
    return visit.show("client_new.html")


def create(visit: Visit) -> Response:
    """Create a client, and show its credentials once."""
    form = visit.form
    client, secret = clients.create(
        visit.db,
        visit.account,
        name=form.get("name", ""),
        root_domain=form.get("domain", ""),
        redirect_uri=form.get("redirect_uri", ""),
        now=visit.now,
    )
    return show_secret(visit, client, client.secrets[0], secret, created=True)


def show_secret(visit: Visit, client: Client, secret: ClientSecret, value: str, *, created: bool = False) -> Response:
    """The page that shows a secret: the response to the form that created it, without a URL of its own.

    Sending that form again creates no second secret: names and labels are then in use, and revisions have changed.
    """
    lines = _export_lines(client, secret, visit.dashboard)
    return visit.show("secret_once.html", client=client, secret=secret, value=value, created=created, variables=lines)


def _export_lines(client: Client, secret: ClientSecret, dashboard: Dashboard) -> str:
    """Lines for a POSIX shell with the variables of this client, with the first active redirect URI of each host."""
    uris = {urlsplit(known.uri).netloc: known.uri for known in reversed(client.redirect_uris) if known.active}
    variables = {
        "XWMS_CLIENT_ID": client.client_id,
        "XWMS_DOMAIN": secret.domains[0].root_domain if secret.domains else "",
        "XWMS_REDIRECT_URI": " ".join(reversed(uris.values())),
        "XWMS_API_URI": f"{dashboard.public_url}/api/",
        "XWMS_ISSUER": dashboard.issuer,
    }
    if dashboard.issuer != dashboard.public_url:
        variables["XWMS_DISCOVERY_URL"] = f"{dashboard.public_url}{OAUTH_METADATA[0]}"
    lines = [f"export {name}={shlex.quote(text)}" for name, text in variables.items()]
    lines.insert(1, "export XWMS_CLIENT_SECRET=''  # paste the secret from above, which is shown only once")
    return "\n".join([*lines, 'export XWMS_SESSION_SECRET="$(xwms-auth secret)"', "export XWMS_DEBUG=1"])


def show(visit: Visit, client: int) -> Response:
    """One client."""
    return visit.show("client.html", client=visit.client(client), issuer=visit.dashboard.issuer)


def rename(visit: Visit, client: int) -> Response:
    """Rename it."""
    found = visit.client(client)
    clients.rename(visit.db, found, visit.form.get("name", ""))
    return visit.done("The name was changed. Nothing else was.", "clients.show", client=client)


def tell_logouts(visit: Visit, client: int) -> Response:
    """Set the back-channel logout URI."""
    found = visit.client(client)
    clients.tell_logouts_to(found, visit.form.get("backchannel_logout_uri", ""))
    sent = "Logout tokens are sent there." if found.backchannel_logout_uri else "The app gets no logout tokens."
    return visit.done(sent, "clients.show", client=client)


def switch(visit: Visit, client: int) -> Response:
    """Disable or enable it."""
    found = visit.client(client)
    found.enabled = visit.form.get("enabled") == "yes"
    state = "enabled" if found.enabled else "disabled: logins and API calls are refused, and nothing is deleted"
    return visit.done(f"The client is {state}.", "clients.show", client=client)


def show_delete(visit: Visit, client: int) -> Response:
    """Ask for confirmation, and list what is deleted with it."""
    found = visit.client(client)
    users = select(func.count()).where(Approval.client_pk == found.id, Approval.revoked_at.is_(None))
    pending = sign_ins.count_pending(visit.db, found, now=visit.now)
    return visit.show("client_delete.html", client=found, users=visit.db.scalar(users), pending=pending)


def delete(visit: Visit, client: int) -> Response:
    """Delete it, with its credentials and tokens, if its name was typed."""
    found = visit.client(client)
    if visit.form.get("name", "").strip() != found.name:
        raise Invalid(name="Please type the client's name to confirm.")
    visit.db.delete(found)
    return visit.done(f"{found.name} was deleted. Its credentials and tokens no longer work.", "clients.list")


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 1


RULES: Final = (
    Rule(name="clients.list", method="GET", path="/clients", view=list_all),
    Rule(name="clients.show_new", method="GET", path="/clients/new", view=show_new, needs=Permission.CREATE_CLIENTS),
    Rule(
        name="clients.create",
        method="POST",
        path="/clients/new",
        view=create,
        shows=show_new,
        needs=Permission.CREATE_CLIENTS,
    ),
    Rule(name="clients.show", method="GET", path="/clients/<int:client>", view=show),
    Rule(
        name="clients.rename",
        method="POST",
        path="/clients/<int:client>/name",
        view=rename,
        shows=show,
        needs=Permission.CHANGE_CLIENTS,
    ),
    Rule(
        name="clients.tell_logouts",
        method="POST",
        path="/clients/<int:client>/backchannel-logout",
        view=tell_logouts,
        shows=show,
        needs=Permission.CHANGE_CLIENTS,
    ),
    Rule(
        name="clients.switch",
        method="POST",
        path="/clients/<int:client>/enabled",
        view=switch,
        needs=Permission.CHANGE_CLIENTS,
    ),
    Rule(
        name="clients.show_delete",
        method="GET",
        path="/clients/<int:client>/delete",
        view=show_delete,
        needs=Permission.DELETE_CLIENTS,
    ),
    Rule(
        name="clients.delete",
        method="POST",
        path="/clients/<int:client>/delete",
        view=delete,
        shows=show_delete,
        needs=Permission.DELETE_CLIENTS,
    ),
)
