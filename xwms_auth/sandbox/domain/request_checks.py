"""The checks of a secured call: client, domain, secret, the domain's switches, the redirect URI, the scope.

The order is XWMS's. Each refusal has its own status and message, and a reason that appears in the client's log only.
"""

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Literal

from sqlalchemy.orm import Session

from xwms_auth.sandbox.db.schema import Client, ClientSecret, Domain, Person
from xwms_auth.sandbox.domain import approvals, client_secrets, directory
from xwms_auth.sandbox.domain.urls import parse_http_url

Purpose = Literal["login", "api"]


class Refused(Exception):
    """The call is refused. `message` is in the response; `reason` has details for the client's owner."""

    def __init__(self, status: int, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.reason = reason or message


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The headers of a call that identify the client, and the IP address of its sender; "" and None if missing."""

    client_id: str
    client_secret: str
    domain: str
    ip: str | None

    def __repr__(self) -> str:
        return f"Credentials(client_id={self.client_id!r}, domain={self.domain!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A client that has passed the checks, and the domain of its call."""

    client: Client
    domain: Domain


def check_call(client: Client | None, credentials: Credentials, *, purpose: Purpose, now: float) -> Caller:
    """Check everything except the scope; `client` is the one with the id in `credentials`. Raises `Refused`."""
    known = enabled(client)
    domain = _domain(known, credentials.domain)
    secret = usable_secret(known, credentials.client_secret, now=now)
    check_domain(domain, secret, credentials.ip, purpose=purpose)
    return Caller(client=known, domain=domain)


def enabled(client: Client | None) -> Client:
    """The client, if it exists and is enabled. Raises `Refused`."""
    if client is None:
        raise Refused(401, "Invalid client credentials: the client ID is not known.")
    if not client.enabled:
        raise Refused(403, "The client is disabled.", "The client is disabled. Its overview has the switch.")
    return client


def usable_secret(client: Client, value: str, *, now: float) -> ClientSecret:
    """The client's secret with this value, if it may be used. Raises `Refused`."""
    secret = client_secrets.matching_secret(client, value)
    if secret is None:
        raise Refused(401, "Invalid client credentials: the client secret is wrong.", _no_such_secret(client, value))
    if not secret.active:
        raise Refused(401, "The client secret is not active.", f"The secret “{secret.label}” is switched off.")
    if client_secrets.is_expired(secret, now):
        raise Refused(401, "The client secret has expired.", f"The secret “{secret.label}” has expired.")
    return secret


def check_domain(domain: Domain, secret: ClientSecret, ip: str | None, *, purpose: Purpose) -> None:
    """Raise `Refused` unless a server at this address may call for the domain, with this secret."""
    if domain not in secret.domains:
        raise Refused(
            403,
            "The domain is not allowed for this client secret.",
            f"The secret “{secret.label}” is not linked to {domain.root_domain}. The domain's page has a box to tick.",
        )
    check_switches(domain, purpose=purpose)
    check_address(domain, ip)


def check_switches(domain: Domain, *, purpose: Purpose) -> None:
    """Raise `Refused` if the domain is switched off for this purpose."""
    if not domain.active:
        raise _off(domain, "The domain is not active.", "the switch “Active” is off.")
    if purpose == "login" and not domain.allow_login:
        raise _off(domain, "The domain is not enabled for login.", "the switch “Allow login” is off.")
    if purpose == "api" and not domain.allow_api:
        raise _off(domain, "The domain is not enabled for API calls.", "the switch “Allow API” is off.")


def check_address(domain: Domain, ip: str | None) -> None:
    """Raise `Refused` if the domain has a list of server addresses without this one."""
    if domain.allowed_ips and not _is_listed(ip, domain.allowed_ips):
        reason = f"{ip} is not on the list of server addresses."
        raise _off(domain, "The server IP address is not allowed for this domain.", reason)


def check_redirect_url(caller: Caller, redirect_url: str) -> None:
    """Raise `Refused` unless the URL is registered byte for byte, active, and https for a live domain."""
    registered = next((known for known in caller.client.redirect_uris if known.uri == redirect_url), None)
    if registered is None:
        reason = _not_registered(caller.client, redirect_url)
        raise Refused(422, "The redirect URL is not registered for this client.", reason)
    if not registered.active:
        raise Refused(422, "The redirect URL is not active.", f"{registered.uri} is switched off.")
    if caller.domain.live and parse_http_url(registered.uri).scheme != "https":
        raise Refused(
            422,
            "A live domain needs an https redirect URL.",
            f"{caller.domain.root_domain} is in live mode, and {registered.uri} is not https.",
        )


def user(session: Session, caller: Caller, sub: str) -> Person:
    """The person, if they have approved the client. Raises `Refused`, with the same message for an unknown person."""
    person = directory.find(session, sub)
    approval = approvals.approval_of(session, caller.client, person) if person else None
    if person is None or approval is None or approval.revoked_at is not None:
        if person is None:
            reason = "Nobody has this sub."
        elif approval is None:
            reason = "This person has never logged in here."
        else:
            reason = "The approval was revoked. The person has to log in again."
        raise Refused(403, "The user has not approved this client.", reason)
    return person


def has_scope(session: Session, caller: Caller, person: Person, scope: str) -> bool:
    """Whether the scope is enabled for the client and approved by the person."""
    approval = approvals.approval_of(session, caller.client, person)
    return scope in approvals.scopes_of(caller.client) and approval is not None and scope in approval.scopes


def require_scope(session: Session, caller: Caller, person: Person, scope: str) -> None:
    """Raise `Refused` unless the scope is enabled for the client and approved by the person."""
    if scope not in approvals.scopes_of(caller.client):
        raise Refused(403, f"The scope {scope} is not enabled for this client.")
    if not has_scope(session, caller, person, scope):
        raise Refused(403, f"The user has not approved the scope {scope}.")


def _domain(client: Client, name: str) -> Domain:
    for domain in client.domains:
        if name in {domain.root_domain, domain.domain_id}:
            return domain
    raise Refused(403, "The domain is not known for this client.", _no_such_domain(client, name))


def _off(domain: Domain, message: str, reason: str) -> Refused:
    return Refused(403, message, f"{domain.root_domain}: {reason}")


def _is_listed(ip: str | None, networks: list[str]) -> bool:
    try:
        address = ip_address(ip or "")
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped  # how a server that listens on IPv6 sees IPv4 clients
    return any(address in ip_network(network) for network in networks)


def _no_such_domain(client: Client, name: str) -> str:
    """Why the domain of a call is not known, with a hint for common mistakes."""
    if not name:
        return "The call has no X-Client-Domain."
    reason = "The call names a domain that this client does not have."
    bare = name.lower().partition("://")[2] or name.lower()
    host = bare.partition("/")[0].rpartition("@")[2].partition(":")[0]
    for domain in client.domains:
        root = domain.root_domain
        if host in {root, domain.domain_id}:
            return f"{reason} It has to be {root}, in lower case and without scheme, port or path."
        if host.endswith(f".{root}") or root.endswith(f".{host}"):
            return f"{reason} {root} does not include its subdomains or parent domains: add this one too."
    return reason


def _no_such_secret(client: Client, value: str) -> str:
    """Why a secret is wrong, with a hint for common mistakes. Does not reveal its value."""
    if not value:
        return "The call has no X-Client-Secret."
    if client_secrets.matching_secret(client, value.strip("\"' ")) is not None:
        return "The secret is correct except for quotation marks around it."
    reason = "The secret is none of this client's secrets."
    if any(secret.revision > 1 for secret in client.secrets):
        return f"{reason} One was regenerated: the app may still have the old one."
    return reason


def _not_registered(client: Client, url: str) -> str:
    """Why a URL is not one of the registered ones, with a hint for common mistakes."""
    for registered in client.redirect_uris:
        if registered.uri.rstrip("/") == url.rstrip("/"):
            return "Only the slash at the end differs from a registered one; URLs are compared byte for byte."
        if registered.uri.lower() == url.lower():
            return "Only upper and lower case differ from a registered one; URLs are compared byte for byte."
        if registered.uri.partition("://")[2] == url.partition("://")[2]:
            return "Only http and https differ from a registered one."
        if registered.uri.replace("//127.0.0.1", "//localhost") == url.replace("//127.0.0.1", "//localhost"):
            return "localhost and 127.0.0.1 are two hosts; only that differs from a registered one."
    return "It is none of the registered ones; URLs are compared byte for byte."
