"""The secrets of a client: several, each with a label, an expiry and the domains it is for.

Knows: these pages, and how an expiry is typed and told.
Must not: show a secret, except in the answer to the form that made it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from flask import Response

from xwms_auth.sandbox.dashboard.clients import show_secret
from xwms_auth.sandbox.dashboard.desk import Rule, Visit
from xwms_auth.sandbox.dashboard.words import plain_time
from xwms_auth.sandbox.db.schema import ClientSecret
from xwms_auth.sandbox.domain import client_secrets, domains
from xwms_auth.sandbox.domain.accounts import Permission
from xwms_auth.sandbox.domain.problems import Invalid

_DAY: Final = timedelta(days=1)
_MOMENTS: Final = ("%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")  # as a datetime-local field sends them


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What the page tells of a secret. `until` says when it expires, in words; it is empty for never."""

    secret: ClientSecret
    state: Literal["active", "off", "expired"]
    until: str


def show(visit: Visit, client: int, **_secret: int) -> Response:
    """All of them, and the form for another one."""
    found = visit.client(client)
    again = "label" in visit.typed  # only the form for another one has a label
    return visit.show(
        "secrets.html",
        client=found,
        cards=[_card(secret, visit.now) for secret in found.secrets],
        sent=visit.typed if again else {},
        ticked=visit.all("domain") if again else [str(domain.id) for domain in found.domains],
    )


def add(visit: Visit, client: int) -> Response:
    """Make another one, and tell it."""
    found = visit.client(client)
    value = client_secrets.add_secret(
        found,
        label_text=visit.form.get("label", ""),
        domains=[domains.domain_of(found, domain) for domain in visit.numbers("domain")],
        expires_at=_expiry(visit.form.get("expires_at", "")),
        now=visit.now,
    )
    return show_secret(visit, found, found.secrets[-1], value)


def regenerate(visit: Visit, client: int, secret: int) -> Response:
    """Replace one's value, and tell the new one."""
    found = visit.client(client)
    chosen = client_secrets.secret_of(found, secret)
    value = client_secrets.regenerate(chosen, revision=visit.number("revision"), now=visit.now)
    return show_secret(visit, found, chosen, value)


def switch(visit: Visit, client: int, secret: int) -> Response:
    """Switch one off, or on again."""
    chosen = client_secrets.secret_of(visit.client(client), secret)
    chosen.active = visit.form.get("active") == "yes"
    said = "switched on" if chosen.active else "switched off: calls with it are refused"
    return visit.done(f"“{chosen.label}” is {said}.", "secrets.show", client=client)


def link(visit: Visit, client: int, secret: int) -> Response:
    """Say for which domains one is."""
    chosen = client_secrets.secret_of(visit.client(client), secret)
    client_secrets.link_domains(chosen, seen=visit.numbers("offered"), ticked=visit.numbers("domain"))
    said = "" if chosen.domains else " It is for none now, and calls with it are refused."
    return visit.done(f"The domains of “{chosen.label}” were changed.{said}", "secrets.show", client=client)


def remove(visit: Visit, client: int, secret: int) -> Response:
    """Take one away for good."""
    found = visit.client(client)
    chosen = client_secrets.secret_of(found, secret)
    client_secrets.remove_secret(found, chosen)
    said = f"“{chosen.label}” was removed. Calls with it are refused."
    return visit.done(said, "secrets.show", client=client)


def _card(secret: ClientSecret, now: float) -> Card:
    state: Literal["active", "off", "expired"] = "active" if secret.active else "off"
    if client_secrets.is_expired(secret, now):
        state = "expired"
    return Card(secret=secret, state=state, until=_until(secret.expires_at))


def _expiry(typed: str) -> float | None:
    """The moment at which a typed day is over, or a typed moment, both UTC; nothing typed is never."""
    text = typed.strip()
    if not text:
        return None
    try:
        return (_moment(text, "%Y-%m-%d") + _DAY).timestamp()
    except (ValueError, OverflowError):
        pass
    for form in _MOMENTS:
        try:
            return _moment(text, form).timestamp()
        except ValueError:
            continue
    raise Invalid(expires_at="Please give a date such as 2027-01-31, or none for a secret that does not expire.")


def _moment(text: str, form: str) -> datetime:
    return datetime.strptime(text, form).replace(tzinfo=UTC)


def _until(expires_at: float | None) -> str:
    """A day's end is told by that day: midnight, a moment later, would name the next one."""
    if expires_at is None:
        return ""
    moment = datetime.fromtimestamp(expires_at, UTC)
    if (moment.hour, moment.minute, moment.second) != (0, 0, 0):
        return plain_time(expires_at)
    return f"at the end of {moment - _DAY:%d %b %Y} UTC"


_PATH: Final = "/clients/<int:client>/secrets"
_ONE: Final = f"{_PATH}/<int:secret>"
_NEEDS: Final = Permission.MANAGE_SECRETS

RULES: Final = (
    Rule(name="secrets.show", method="GET", path=_PATH, view=show),
    Rule(name="secrets.add", method="POST", path=_PATH, view=add, shows=show, needs=_NEEDS),
    Rule(
        name="secrets.regenerate",
        method="POST",
        path=f"{_ONE}/regenerate",
        view=regenerate,
        shows=show,
        needs=_NEEDS,
    ),
    Rule(name="secrets.switch", method="POST", path=f"{_ONE}/active", view=switch, needs=_NEEDS),
    Rule(name="secrets.link", method="POST", path=f"{_ONE}/domains", view=link, needs=_NEEDS),
    Rule(
        name="secrets.remove",
        method="POST",
        path=f"{_ONE}/remove",
        view=remove,
        shows=show,
        needs=_NEEDS,
    ),
)
