"""The redirect URIs of a client: where its logins may end.

Knows: these pages.
Must not: judge an address; `clients.py` does, and says what is wrong with it.
"""

from typing import Final

from flask import Response

from xwms_auth.sandbox.dashboard.desk import Rule, Visit
from xwms_auth.sandbox.domain import clients
from xwms_auth.sandbox.domain.accounts import Permission


def show(visit: Visit, client: int) -> Response:
    """All of them, and the form for another one."""
    found = visit.client(client)
    return visit.show(
        "redirect_uris.html",
        client=found,
        live=[domain for domain in found.domains if domain.live],
        not_https=clients.redirect_uris_without_https(found),
    )


def add(visit: Visit, client: int) -> Response:
    """Register one."""
    found = visit.client(client)
    clients.add_redirect_uri(found, visit.form.get("redirect_uri", ""))
    return visit.done("The redirect URI was added.", "redirect_uris.show", client=client)


def switch(visit: Visit, client: int, uri: int) -> Response:
    """Switch one off, or on again."""
    found = clients.redirect_uri_of(visit.client(client), uri)
    found.active = visit.form.get("active") == "yes"
    said = "switched on" if found.active else "switched off: no login can end there"
    return visit.done(f"The redirect URI is {said}.", "redirect_uris.show", client=client)


def remove(visit: Visit, client: int, uri: int) -> Response:
    """Take one away."""
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
