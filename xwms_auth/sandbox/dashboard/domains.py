"""The domains of a client: their switches, server addresses and secrets. Linking a secret needs its own permission.

`domain/client_domains.py` validates them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from flask import Response

from xwms_auth.sandbox.dashboard.page import Rule, Visit
from xwms_auth.sandbox.db.schema import Client, ClientSecret, Domain
from xwms_auth.sandbox.domain import client_domains, client_secrets, clients
from xwms_auth.sandbox.domain.accounts import Permission


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A tick box for a secret that can be linked to a domain. `state` is why it cannot be used now, or empty."""

    secret: ClientSecret
    ticked: bool
    state: str


def list_all(visit: Visit, client: int) -> Response:
    """All domains with their switches, and the form for a new one."""
    found = visit.client(client)
    first = next((secret for secret in found.secrets if client_secrets.is_usable(secret, visit.now)), None)
    return visit.show(
        "domains.html",
        client=found,
        secrets_of={domain.id: client_secrets.secrets_for(domain) for domain in found.domains},
        choices=_choices(visit, found, [] if first is None else [first], again=bool(visit.typed)),
    )


def add(visit: Visit, client: int) -> Response:
    """Add a domain, linked to the ticked secrets."""
    found = visit.client(client)
    domain = client_domains.add_domain(found, visit.form.get("domain", ""))
    visit.db.flush()
    _link(visit, domain)
    warning = (
        ""
        if client_secrets.secrets_for(domain)
        else " It is not linked to a secret: until it is, calls from it are refused."
    )
    return visit.done(f"{domain.root_domain} was added.{warning}", "domains.show", client=client, domain=domain.id)


def show(visit: Visit, client: int, domain: int) -> Response:
    """One domain: its switches, its servers and its secrets."""
    found = visit.client(client)
    chosen = client_domains.domain_of(found, domain)
    return visit.show(
        "domain.html",
        client=found,
        domain=chosen,
        # The form that removes a domain has no secrets.
        choices=_choices(visit, found, client_secrets.secrets_for(chosen), again="allowed_ips" in visit.typed),
        not_https=clients.redirect_uris_without_https(found),
    )


def change(visit: Visit, client: int, domain: int) -> Response:
    """Set the switches, the server addresses and the fallback URI, and link the ticked secrets."""
    form = visit.form
    chosen = client_domains.domain_of(visit.client(client), domain)
    client_domains.change_domain(
        chosen,
        active=form.get("active") == "yes",
        allow_login=form.get("allow_login") == "yes",
        allow_api=form.get("allow_api") == "yes",
        live=form.get("live") == "yes",
        allowed_ips=form.get("allowed_ips", ""),
        fallback_uri=form.get("fallback_uri", ""),
    )
    _link(visit, chosen)
    return visit.done(f"{chosen.root_domain} was changed.", "domains.show", client=client, domain=domain)


def remove(visit: Visit, client: int, domain: int) -> Response:
    """Remove a domain, with its pending logins."""
    found = visit.client(client)
    removed = client_domains.domain_of(found, domain)
    client_domains.remove_domain(found, removed)
    return visit.done(f"{removed.root_domain} was removed. Calls from it are refused.", "domains.list", client=client)


def _choices(visit: Visit, client: Client, linked: Sequence[ClientSecret], *, again: bool) -> list[Choice]:
    """A tick box for each secret: with its current value, or with the submitted one if the form is shown again."""

    def choice(secret: ClientSecret) -> Choice:
        state = ""
        if not secret.active:
            state = "switched off"
        elif client_secrets.is_expired(secret, visit.now):
            state = "expired"
        ticked = str(secret.id) in visit.all("secret") if again else secret in linked
        return Choice(secret=secret, ticked=ticked, state=state)

    return [choice(secret) for secret in client.secrets]


def _link(visit: Visit, domain: Domain) -> None:
    """Apply the tick boxes. A form without them, for members without the permission, changes no link."""
    if not visit.all("offered") and not visit.all("secret"):
        return
    visit.require(Permission.MANAGE_SECRETS)
    client_secrets.link_secrets(domain, seen=visit.numbers("offered"), ticked=visit.numbers("secret"))


_PATH: Final = "/clients/<int:client>/domains"
_DOMAIN_PATH: Final = f"{_PATH}/<int:domain>"
_NEEDS: Final = Permission.CHANGE_CLIENTS

RULES: Final = (
    Rule(name="domains.list", method="GET", path=_PATH, view=list_all),
    Rule(name="domains.add", method="POST", path=_PATH, view=add, shows=list_all, needs=_NEEDS),
    Rule(name="domains.show", method="GET", path=_DOMAIN_PATH, view=show),
    Rule(name="domains.change", method="POST", path=_DOMAIN_PATH, view=change, shows=show, needs=_NEEDS),
    Rule(name="domains.remove", method="POST", path=f"{_DOMAIN_PATH}/remove", view=remove, shows=show, needs=_NEEDS),
)
