"""The clients of an account: the list, a new one, and the page of each with its name, its switch and its end.

Knows: these pages.
Must not: show a secret anywhere but in the answer that made it.
"""

import shlex
from typing import Final
from urllib.parse import urlsplit

from flask import Response, request
from sqlalchemy import func, select

from xwms_auth.sandbox.dashboard.desk import Rule, Visit
from xwms_auth.sandbox.db.schema import Approval, Client, ClientSecret, SignIn
from xwms_auth.sandbox.domain import clients
from xwms_auth.sandbox.domain.accounts import Permission
from xwms_auth.sandbox.domain.problems import Invalid

_PER_PAGE: Final = 100
_LONGEST_SEARCH: Final = 200  # characters; SQLite refuses very long patterns


def list_all(visit: Visit) -> Response:
    """The account's clients, each with its client ID.

    `?search=` is a part of a name or client ID. `?page=` counts from 1; one that does not exist is the nearest one that
    does, because a client may have been deleted meanwhile.
    """
    search = " ".join(request.args.get("search", "").split())[:_LONGEST_SEARCH]
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
    """Make a client, and tell its credentials in this one answer."""
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
    """The one page that tells a secret: the answer to the form that made it, and never a page of its own.

    Sending that form again makes no second one: names and labels are taken then, and revisions have moved on.
    """
    lines = _export_lines(client, secret, public_url=visit.desk.public_url)
    return visit.show("secret_once.html", client=client, secret=secret, value=value, created=created, variables=lines)


def _export_lines(client: Client, secret: ClientSecret, *, public_url: str) -> str:
    """Lines for a POSIX shell that point an app at this client; of several redirect URIs on a host the first active."""
    uris = {urlsplit(known.uri).netloc: known.uri for known in reversed(client.redirect_uris) if known.active}
    variables = {
        "XWMS_CLIENT_ID": client.client_id,
        "XWMS_DOMAIN": secret.domains[0].root_domain if secret.domains else "",
        "XWMS_REDIRECT_URI": " ".join(reversed(uris.values())),
        "XWMS_API_URI": f"{public_url}/api/",
        "XWMS_ISSUER": public_url,
    }
    lines = [f"export {name}={shlex.quote(text)}" for name, text in variables.items()]
    lines.insert(1, "export XWMS_CLIENT_SECRET=''  # paste the secret from above, which stands on this page once")
    return "\n".join([*lines, 'export XWMS_SESSION_SECRET="$(xwms-auth secret)"', "export XWMS_DEBUG=1"])


def show(visit: Visit, client: int) -> Response:
    """One client."""
    return visit.show("client.html", client=visit.client(client), issuer=visit.desk.public_url)


def rename(visit: Visit, client: int) -> Response:
    """Give it another name."""
    found = visit.client(client)
    clients.rename(visit.db, found, visit.form.get("name", ""))
    return visit.done("The name was changed. Nothing else was.", "clients.show", client=client)


def tell_logouts(visit: Visit, client: int) -> Response:
    """Set where the app is told that a login over OAuth has ended."""
    found = visit.client(client)
    clients.tell_logouts_to(found, visit.form.get("backchannel_logout_uri", ""))
    said = "The app is told of logouts there." if found.backchannel_logout_uri else "The app is not told of logouts."
    return visit.done(said, "clients.show", client=client)


def switch(visit: Visit, client: int) -> Response:
    """Disable it, or enable it again."""
    found = visit.client(client)
    found.enabled = visit.form.get("enabled") == "yes"
    said = "enabled" if found.enabled else "disabled: logins and API calls are refused, and nothing is deleted"
    return visit.done(f"The client is {said}.", "clients.show", client=client)


def show_delete(visit: Visit, client: int) -> Response:
    """What goes with it, and the question whether that is meant."""
    found = visit.client(client)
    users = select(func.count()).where(Approval.client_pk == found.id, Approval.revoked_at.is_(None))
    pending = select(func.count()).where(
        SignIn.client_pk == found.id, SignIn.spent_at.is_(None), SignIn.expires_at > visit.now
    )
    return visit.show(
        "client_delete.html", client=found, users=visit.db.scalar(users), pending=visit.db.scalar(pending)
    )


def delete(visit: Visit, client: int) -> Response:
    """Delete it, with its credentials and tokens, if its name was typed."""
    found = visit.client(client)
    if visit.form.get("name", "").strip() != found.name:
        raise Invalid(name="Please type the client's name, to be sure.")
    visit.db.delete(found)
    return visit.done(f"{found.name} was deleted. Its credentials and tokens work no more.", "clients.list")


def _number(said: str) -> int:
    return int(said) if said.isascii() and said.isdigit() and len(said) <= 18 else 1


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
