"""Clients: their names, secrets, redirect URIs and domains.

Knows: what a client is made of, and that a secret is told once, by the function that makes it.
Must not: keep a secret, or know HTTP or pages.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from typing import Final, TypeVar

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session, selectinload

from xwms_auth.sandbox.data.schema import Account, Client, ClientSecret, Domain, RedirectURI
from xwms_auth.sandbox.problems import Invalid, Missing, label
from xwms_auth.sandbox.urls import parse_http_url

FIRST_LABEL: Final = "Default"
MAX_SECRETS: Final = 20  # per client: a call is compared with each
MAX_URI: Final = 2000  # characters; browsers and proxies take no longer one

_Part = TypeVar("_Part", ClientSecret, RedirectURI, Domain)
_HOST: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*"
)


def sha256_of(secret: str) -> bytes:
    """The digest under which a secret or a token is kept; never fails, whatever a header may hold."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


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
    secret = _add_secret(client, FIRST_LABEL, [domain], expires_at=None, now=now)
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


def add_secret(
    client: Client, *, label_text: str, domains: Iterable[Domain], expires_at: float | None, now: float
) -> str:
    """Make another secret for these domains, and tell it; `expires_at` None is never. Raises `Invalid`."""
    if expires_at is not None and expires_at <= now:
        raise Invalid(expires_at="That is in the past.")
    return _add_secret(
        client,
        label(label_text, "label", what="the secret a label", longest=40),
        domains,
        expires_at=expires_at,
        now=now,
    )


def regenerate(secret: ClientSecret, *, revision: int, now: float) -> str:
    """Replace a secret's value, and tell the new one; the old one stops working at once.

    `revision` is the one that was seen by whoever asks: a form that is sent twice regenerates once. Raises `Invalid`,
    also for a secret whose time is over: a new value would be refused like the old one.
    """
    if revision != secret.revision:
        raise Invalid(
            secret=f"“{secret.label}” has been regenerated meanwhile."
            " If you have not seen the new secret, regenerate it once more."
        )
    if is_expired(secret, now):
        raise Invalid(secret=f"“{secret.label}” has expired, and its time stays over: add another secret instead.")
    value = _fresh()
    secret.digest, secret.revision, secret.created_at = sha256_of(value), secret.revision + 1, now
    return value


def secret_of(client: Client, secret_id: int) -> ClientSecret:
    """The client's secret with this id. Raises `Missing`."""
    return _part(client.secrets, secret_id)


def link_domains(secret: ClientSecret, *, seen: Iterable[int], ticked: Iterable[int]) -> None:
    """Link the secret to the ticked domains, and unlink it from those that were seen and not ticked; both are ids.

    A domain that was not seen, because it is newer than the form, stays as it is. Raises `Missing`.
    """
    wanted = {domain_of(secret.client, domain_id).id for domain_id in ticked}
    unwanted = set(seen) - wanted
    for domain in secret.client.domains:
        _link(secret, domain, wanted=domain.id in wanted, unwanted=domain.id in unwanted)


def remove_secret(client: Client, secret: ClientSecret) -> None:
    """Remove a secret for good. Raises `Invalid` for the last one."""
    if len(client.secrets) == 1:
        raise Invalid(secret="A client keeps one secret at least: regenerate it, or switch it off.")
    client.secrets.remove(secret)


def matching_secret(client: Client, value: str) -> ClientSecret | None:
    """The client's secret with this value, active or not; compared in a time that does not tell how much was right."""
    digest = sha256_of(value)
    found: ClientSecret | None = None
    for secret in client.secrets:
        if hmac.compare_digest(secret.digest, digest):
            found = secret
    return found


def is_expired(secret: ClientSecret, now: float) -> bool:
    """Whether the secret's time is over."""
    return secret.expires_at is not None and secret.expires_at <= now


def is_usable(secret: ClientSecret, now: float) -> bool:
    """Whether calls may be made with the secret: it is switched on, and its time is not over."""
    return secret.active and not is_expired(secret, now)


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
    return _part(client.redirect_uris, uri_id)


def add_domain(client: Client, root_domain: str) -> Domain:
    """Add a domain with all its switches on, in test mode. Raises `Invalid`."""
    root = root_domain.strip().lower()
    if _HOST.fullmatch(root) is None:
        raise Invalid(domain="Please give a domain without scheme, port and path, such as app.example.")
    if any(known.root_domain == root for known in client.domains):
        raise Invalid(domain="This client has this domain already.")
    return new_domain(client, root)


def new_domain(client: Client, root_domain: str) -> Domain:
    """The same for what is known to be a domain, or is meant to be one as it is written."""
    domain = Domain(
        root_domain=root_domain,
        domain_id=f"dom_{secrets.token_hex(8)}",
        active=True,
        allow_login=True,
        allow_api=True,
        live=False,
        allowed_ips=[],
    )
    client.domains.append(domain)
    return domain


def domain_for(client: Client, redirect_uri: str) -> Domain:
    """The domain that a login over OAuth counts for; its calls name none.

    It is the one of the redirect URI's host, else the nearest domain above that host, else the client's first.
    """
    host = (parse_http_url(redirect_uri).hostname or "").rstrip(".")
    near = [known for known in client.domains if f".{host}".endswith(f".{known.root_domain.lower()}")]
    return max(near, key=lambda known: len(known.root_domain), default=client.domains[0])


def redirect_uris_without_https(client: Client) -> list[RedirectURI]:
    """The active redirect URIs that a domain in live mode refuses."""
    return [known for known in client.redirect_uris if known.active and parse_http_url(known.uri).scheme != "https"]


def secrets_for(domain: Domain) -> list[ClientSecret]:
    """The secrets that are linked to the domain; those that are switched off or expired included."""
    return [secret for secret in domain.client.secrets if domain in secret.domains]


def link_secrets(domain: Domain, *, seen: Iterable[int], ticked: Iterable[int]) -> None:
    """Link the ticked secrets to the domain, and unlink those that were seen and not ticked; both are ids.

    A secret that was not seen, because it is newer than the form, stays as it is. Raises `Missing`.
    """
    wanted = {secret_of(domain.client, secret_id).id for secret_id in ticked}
    unwanted = set(seen) - wanted
    for secret in domain.client.secrets:
        _link(secret, domain, wanted=secret.id in wanted, unwanted=secret.id in unwanted)


def domain_of(client: Client, domain_id: int) -> Domain:
    """The client's domain with this id. Raises `Missing`."""
    return _part(client.domains, domain_id)


def remove_domain(client: Client, domain: Domain) -> None:
    """Remove a domain, and with it every secret's link to it. Raises `Invalid` for the last one."""
    if len(client.domains) == 1:
        raise Invalid(domain="A client keeps one domain at least: switch it off instead.")
    client.domains.remove(domain)


def change_domain(
    domain: Domain, *, active: bool, allow_login: bool, allow_api: bool, live: bool, allowed_ips: str, fallback_uri: str
) -> None:
    """Set a domain's switches; `allowed_ips` are addresses or networks, separated by white space. Raises `Invalid`."""
    networks: list[str] = []
    for written in allowed_ips.replace(",", " ").split():
        try:
            network = ip_network(written, strict=False)
        except ValueError:
            raise Invalid(allowed_ips=f"This is not an IP address or network: {written[:60]}") from None
        networks.append(str(network.network_address if network.num_addresses == 1 else network))
    fallback = fallback_uri.strip()
    if fallback:
        try:
            parse_http_url(fallback)
        except ValueError as reason:
            raise Invalid(fallback_uri=f"This is {reason}.") from None
    domain.active, domain.allow_login, domain.allow_api, domain.live = active, allow_login, allow_api, live
    domain.allowed_ips, domain.fallback_uri = list(dict.fromkeys(networks)), fallback or None


def _add_secret(client: Client, text: str, domains: Iterable[Domain], *, expires_at: float | None, now: float) -> str:
    if any(known.label.lower() == text.lower() for known in client.secrets):
        raise Invalid(label="This client has a secret with this label already: regenerate that one, or take another.")
    if len(client.secrets) >= MAX_SECRETS:
        raise Invalid(label=f"A client has at most {MAX_SECRETS} secrets: remove one first.")
    value = _fresh()
    client.secrets.append(
        ClientSecret(
            label=text,
            digest=sha256_of(value),
            active=True,
            expires_at=expires_at,
            created_at=now,
            revision=1,
            domains=list(domains),
        )
    )
    return value


def _part(parts: Iterable[_Part], part_id: int) -> _Part:
    for part in parts:
        if part.id == part_id:
            return part
    raise Missing(f"id {part_id}")


def _link(secret: ClientSecret, domain: Domain, *, wanted: bool, unwanted: bool) -> None:
    if wanted and domain not in secret.domains:
        secret.domains.append(domain)
    elif unwanted and domain in secret.domains:
        secret.domains.remove(domain)


def _found_by(account: Account, search: str) -> Sequence[ColumnElement[bool]]:
    part = or_(Client.name.icontains(search, autoescape=True), Client.client_id.icontains(search, autoescape=True))
    return (Client.account_id == account.id, *([part] if search else []))


def _free_name(session: Session, account_id: int, name: str) -> str:
    wanted = label(name, "name", what="the client a name", longest=80)
    if session.scalar(select(Client.id).where(Client.account_id == account_id, Client.name == wanted)):
        raise Invalid(name="A client of this account has this name already.")
    return wanted


def _fresh() -> str:
    return secrets.token_urlsafe(32)
