"""How a secured call is judged: client, domain, secret, the domain's switches, the redirect URI, the scope.

The order is XWMS's; each refusal has its own status and sentence, and a reason that only the client's own log tells.

Knows: whether a call may be made.
Must not: carry it out, or know HTTP beyond a status.
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
    """The call may not be made. `message` is the answer's; `reason` says more, to the client's owner."""

    def __init__(self, status: int, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.reason = reason or message


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a call says about itself in its headers, and the address it came from; "" and None where it says nothing."""

    client_id: str
    client_secret: str
    domain: str
    ip: str | None

    def __repr__(self) -> str:
        return f"Credentials(client_id={self.client_id!r}, domain={self.domain!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A client whose call may be made, and the domain it runs on."""

    client: Client
    domain: Domain


def judge(client: Client | None, said: Credentials, *, purpose: Purpose, now: float) -> Caller:
    """The caller, if everything but the scope is in order; `client` is the one of that id. Raises `Refused`."""
    known = enabled(client)
    domain = _domain(known, said.domain)
    secret = usable_secret(known, said.client_secret, now=now)
    check_domain(domain, secret, said.ip, purpose=purpose)
    return Caller(client=known, domain=domain)


def enabled(client: Client | None) -> Client:
    """The client, if it is one that may do anything at all. Raises `Refused`."""
    if client is None:
        raise Refused(401, "Invalid client credentials: the client ID is not known.")
    if not client.enabled:
        raise Refused(403, "The client is disabled.", "The client is disabled. Its overview has the switch.")
    return client


def usable_secret(client: Client, said: str, *, now: float) -> ClientSecret:
    """The client's secret with this value, if it may be used. Raises `Refused`."""
    secret = client_secrets.matching_secret(client, said)
    if secret is None:
        raise Refused(401, "Invalid client credentials: the client secret is wrong.", _no_such_secret(client, said))
    if not secret.active:
        raise Refused(401, "The client secret is not active.", f"The secret “{secret.label}” is switched off.")
    if client_secrets.is_expired(secret, now):
        raise Refused(401, "The client secret has expired.", f"The time of the secret “{secret.label}” is over.")
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
    """Raise `Refused` where the domain is switched off for this purpose."""
    if not domain.active:
        raise _off(domain, "The domain is not active.", "the switch “Active” is off.")
    if purpose == "login" and not domain.allow_login:
        raise _off(domain, "The domain may not be used for login.", "the switch “Allow login” is off.")
    if purpose == "api" and not domain.allow_api:
        raise _off(domain, "The domain may not be used for API calls.", "the switch “Allow API” is off.")


def check_address(domain: Domain, ip: str | None) -> None:
    """Raise `Refused` where the domain has a list of server addresses, and this one is not on it."""
    if domain.allowed_ips and not _is_listed(ip, domain.allowed_ips):
        reason = f"{ip} is not on the list of server addresses."
        raise _off(domain, "The server IP address is not allowed for this domain.", reason)


def check_redirect_url(caller: Caller, redirect_url: str) -> None:
    """Raise `Refused` unless a login may end there: registered byte for byte, active, and https where it is live."""
    registered = next((known for known in caller.client.redirect_uris if known.uri == redirect_url), None)
    if registered is None:
        raise Refused(422, "The redirect URL is not registered for this client.", _nearly(caller.client, redirect_url))
    if not registered.active:
        raise Refused(422, "The redirect URL is not active.", f"{registered.uri} is switched off.")
    if caller.domain.live and parse_http_url(registered.uri).scheme != "https":
        raise Refused(
            422,
            "A live domain needs an https redirect URL.",
            f"{caller.domain.root_domain} is in live mode, and {registered.uri} is not https.",
        )


def user(session: Session, caller: Caller, sub: str) -> Person:
    """The person, if they have approved the client. Raises `Refused`, in the same words for somebody unknown."""
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
    """Raise `Refused` where the scope is not enabled for the client, or not approved by the person."""
    if scope not in approvals.scopes_of(caller.client):
        raise Refused(403, f"The scope {scope} is not enabled for this client.")
    if not has_scope(session, caller, person, scope):
        raise Refused(403, f"The user has not approved the scope {scope}.")


def _domain(client: Client, said: str) -> Domain:
    for domain in client.domains:
        if said in {domain.root_domain, domain.domain_id}:
            return domain
    raise Refused(403, "The domain is not known for this client.", _no_such_domain(client, said))


def _off(domain: Domain, message: str, reason: str) -> Refused:
    return Refused(403, message, f"{domain.root_domain}: {reason}")


def _is_listed(ip: str | None, networks: list[str]) -> bool:
    try:
        address = ip_address(ip or "")
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped  # how a server that listens on IPv6 sees those who come over IPv4
    return any(address in ip_network(network) for network in networks)


def _no_such_domain(client: Client, said: str) -> str:
    """Why a call has no domain, where a common slip explains it."""
    if not said:
        return "The call has no X-Client-Domain."
    reason = "The call names a domain that this client has not got."
    bare = said.lower().partition("://")[2] or said.lower()
    host = bare.partition("/")[0].rpartition("@")[2].partition(":")[0]
    for domain in client.domains:
        root = domain.root_domain
        if host in {root, domain.domain_id}:
            return f"{reason} It has to be {root}, in lower case and without scheme, port or path."
        if host.endswith(f".{root}") or root.endswith(f".{host}"):
            return f"{reason} {root} does not stand for its subdomains or for a domain above it: add this one too."
    return reason


def _no_such_secret(client: Client, said: str) -> str:
    """Why a secret is wrong, where a common slip explains it. Says nothing of its value."""
    if not said:
        return "The call has no X-Client-Secret."
    if client_secrets.matching_secret(client, said.strip("\"' ")) is not None:
        return "The secret is right but for quotation marks around it."
    reason = "The secret is none of this client's secrets."
    if any(secret.revision > 1 for secret in client.secrets):
        return f"{reason} One was regenerated: the app may still have the old one."
    return reason


def _nearly(client: Client, asked: str) -> str:
    """Why an address is not one of the registered ones, where a common slip explains it."""
    for registered in client.redirect_uris:
        if registered.uri.rstrip("/") == asked.rstrip("/"):
            return "Only the slash at the end differs from a registered one; addresses are compared byte for byte."
        if registered.uri.lower() == asked.lower():
            return "Only upper and lower case differ from a registered one; addresses are compared byte for byte."
        if registered.uri.partition("://")[2] == asked.partition("://")[2]:
            return "Only http and https differ from a registered one."
        if registered.uri.replace("//127.0.0.1", "//localhost") == asked.replace("//127.0.0.1", "//localhost"):
            return "localhost and 127.0.0.1 are two hosts; only that differs from a registered one."
    return "It is none of the registered ones; addresses are compared byte for byte."
