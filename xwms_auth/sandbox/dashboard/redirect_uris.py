"""The redirect URIs of a client. `domain/clients.py` validates them."""

from typing import Final

from flask import Response

from xwms_auth.sandbox.dashboard.page import Rule, Visit
from xwms_auth.sandbox.domain import clients
from xwms_auth.sandbox.domain.accounts import Permission


def show(visit: Visit, client: int) -> Response:
    """All redirect URIs, and the form for a new one."""
    found = visit.client(client)
    return visit.show(
        "redirect_uris.html",
        client=found,
        live=[domain for domain in found.domains if domain.live],
        not_https=clients.redirect_uris_without_https(found),
    )


def add(visit: Visit, client: int) -> Response:
    """Register a redirect URI."""
    found = visit.client(client)
    clients.add_redirect_uri(found, visit.form.get("redirect_uri", ""))
    return visit.done("The redirect URI was added.", "redirect_uris.show", client=client)


def switch(visit: Visit, client: int, uri: int) -> Response:
    """Switch a redirect URI off or on."""
    found = clients.redirect_uri_of(visit.client(client), uri)
    found.active = visit.form.get("active") == "yes"
    state = "switched on" if found.active else "switched off: logins cannot use it"
    return visit.done(f"The redirect URI is {state}.", "redirect_uris.show", client=client)


def remove(visit: Visit, client: int, uri: int) -> Response:
    """Remove a redirect URI."""
    found = visit.client(client)
    found.redirect_uris.remove(clients.redirect_uri_of(found, uri))
    return visit.done("The redirect URI was removed.", "redirect_uris.show", client=client)


_PATH: Final = "/clients/<int:client>/redirect-uris"
_NEEDS: Final = Permission.CHANGE_CLIENTS

RULES: Final = (
    Rule(name="redirect_uris.show", method="GET", path=_PATH, view=show),
    Rule(name="redirect_uris.add", method="POST", path=_PATH, view=add, shows=show, needs=_NEEDS),
    Rule(name="redirect_uris.switch", method="POST", path=f"{_PATH}/<int:uri>/active", view=switch, needs=_NEEDS),
    Rule(name="redirect_uris.remove", method="POST", path=f"{_PATH}/<int:uri>/remove", view=remove, needs=_NEEDS),
)
