"""The secrets of a client, each with a label, an expiry and its client_domains.

A secret is shown only in the response to the form that created it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from flask import Response

from xwms_auth.sandbox.dashboard.clients import show_secret
from xwms_auth.sandbox.dashboard.page import Rule, Visit
from xwms_auth.sandbox.dashboard.time_formats import plain_time
from xwms_auth.sandbox.db.schema import ClientSecret
from xwms_auth.sandbox.domain import client_domains, client_secrets, sign_ins
from xwms_auth.sandbox.domain.accounts import Permission
from xwms_auth.sandbox.domain.problems import Invalid, all_valid

_DAY: Final = timedelta(days=1)
_TIME_FORMATS: Final = ("%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")  # as a datetime-local field sends them


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A secret on the page. `until` is the text of its expiry; empty for never."""

    secret: ClientSecret
    state: Literal["active", "off", "expired"]
    until: str


def show(visit: Visit, client: int, **_secret: int) -> Response:
    """All secrets, and the form for a new one."""
    found = visit.client(client)
    again = "label" in visit.typed  # only the form for a new one has a label
    return visit.show(
        "secrets.html",
        client=found,
        cards=[_card(secret, visit.now) for secret in found.secrets],
        sent=visit.typed if again else {},
        ticked=visit.all("domain") if again else [str(domain.id) for domain in found.domains],
    )


def add(visit: Visit, client: int) -> Response:
    """Create a secret and show it."""
    found, label, last_day = visit.client(client), visit.form.get("label", ""), visit.form.get("expires_at", "")
    domains = [client_domains.domain_of(found, domain) for domain in visit.numbers("domain")]
    _, expires_at = all_valid(
        lambda: client_secrets.free_label(found, label),
        lambda: client_secrets.in_the_future(_expiry(last_day), now=visit.now),
    )
    value = client_secrets.add_secret(found, label_text=label, domains=domains, expires_at=expires_at, now=visit.now)
    return show_secret(visit, found, found.secrets[-1], value)


def show_regenerate(visit: Visit, client: int, secret: int) -> Response:
    """Ask for confirmation, and say what ends."""
    found = visit.client(client)
    chosen = client_secrets.secret_of(found, secret)
    pending = sign_ins.count_pending(visit.db, found, now=visit.now)
    return visit.show("secret_regenerate.html", client=found, secret=chosen, pending=pending)


def regenerate(visit: Visit, client: int, secret: int) -> Response:
    """Replace the value of a secret and show the new one."""
    found = visit.client(client)
    chosen = client_secrets.secret_of(found, secret)
    value = client_secrets.regenerate(chosen, revision=visit.number("revision"), now=visit.now)
    return show_secret(visit, found, chosen, value)


def switch(visit: Visit, client: int, secret: int) -> Response:
    """Switch a secret off or on."""
    chosen = client_secrets.secret_of(visit.client(client), secret)
    chosen.active = visit.form.get("active") == "yes"
    state = "switched on" if chosen.active else "switched off: calls with it are refused"
    return visit.done(f"“{chosen.label}” is {state}.", "secrets.show", client=client)


def link(visit: Visit, client: int, secret: int) -> Response:
    """Change the domains of a secret."""
    chosen = client_secrets.secret_of(visit.client(client), secret)
    client_secrets.link_domains(chosen, seen=visit.numbers("offered"), ticked=visit.numbers("domain"))
    warning = "" if chosen.domains else " It has no domain now, and calls with it are refused."
    return visit.done(f"The domains of “{chosen.label}” were changed.{warning}", "secrets.show", client=client)


def remove(visit: Visit, client: int, secret: int) -> Response:
    """Remove a secret permanently."""
    found = visit.client(client)
    chosen = client_secrets.secret_of(found, secret)
    client_secrets.remove_secret(found, chosen)
    text = f"“{chosen.label}” was removed. Calls with it are refused."
    return visit.done(text, "secrets.show", client=client)


def _card(secret: ClientSecret, now: float) -> Card:
    state: Literal["active", "off", "expired"] = "active" if secret.active else "off"
    if client_secrets.is_expired(secret, now):
        state = "expired"
    return Card(secret=secret, state=state, until=_until(secret.expires_at))


def _expiry(typed: str) -> float | None:
    """The end of a day, or a time, both in UTC; None (never) for an empty field."""
    text = typed.strip()
    if not text:
        return None
    try:
        return (_parse_time(text, "%Y-%m-%d") + _DAY).timestamp()
    except (ValueError, OverflowError):
        pass
    for time_format in _TIME_FORMATS:
        try:
            return _parse_time(text, time_format).timestamp()
        except ValueError:
            continue
    raise Invalid(expires_at="Please enter a date such as 2027-01-31, or none for a secret that does not expire.")


def _parse_time(text: str, time_format: str) -> datetime:
    return datetime.strptime(text, time_format).replace(tzinfo=UTC)


def _until(expires_at: float | None) -> str:
    """The text of an expiry. Midnight is shown as the end of the day before."""
    if expires_at is None:
        return ""
    time = datetime.fromtimestamp(expires_at, UTC)
    if (time.hour, time.minute, time.second) != (0, 0, 0):
        return plain_time(expires_at)
    return f"at the end of {time - _DAY:%d %b %Y} UTC"


_PATH: Final = "/clients/<int:client>/secrets"
_SECRET_PATH: Final = f"{_PATH}/<int:secret>"
_NEEDS: Final = Permission.MANAGE_SECRETS

RULES: Final = (
    Rule(name="secrets.show", method="GET", path=_PATH, view=show),
    Rule(name="secrets.add", method="POST", path=_PATH, view=add, shows=show, needs=_NEEDS),
    Rule(
        name="secrets.show_regenerate",
        method="GET",
        path=f"{_SECRET_PATH}/regenerate",
        view=show_regenerate,
        needs=_NEEDS,
    ),
    Rule(
        name="secrets.regenerate",
        method="POST",
        path=f"{_SECRET_PATH}/regenerate",
        view=regenerate,
        shows=show_regenerate,
        needs=_NEEDS,
    ),
    Rule(name="secrets.switch", method="POST", path=f"{_SECRET_PATH}/active", view=switch, needs=_NEEDS),
    Rule(name="secrets.link", method="POST", path=f"{_SECRET_PATH}/domains", view=link, needs=_NEEDS),
    Rule(
        name="secrets.remove",
        method="POST",
        path=f"{_SECRET_PATH}/remove",
        view=remove,
        shows=show,
        needs=_NEEDS,
    ),
)
