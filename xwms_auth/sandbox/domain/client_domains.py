"""The domains of a client: their switches and allowed server addresses."""

import re
import secrets
from collections.abc import Iterable
from ipaddress import ip_network
from typing import Final, TypeVar

from xwms_auth.sandbox.db.schema import Client, ClientSecret, Domain, RedirectURI
from xwms_auth.sandbox.domain.problems import Invalid, Missing, all_valid
from xwms_auth.sandbox.domain.urls import parse_http_url

Part = TypeVar("Part", ClientSecret, RedirectURI, Domain)


_HOST: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*"
)


def add_domain(client: Client, root_domain: str) -> Domain:
    """Add a domain with all its switches on, in test mode. Raises `Invalid`."""
    root = check_root_domain(root_domain)
    if any(known.root_domain == root for known in client.domains):
        raise Invalid(domain="This client already has this domain.")
    return new_domain(client, root)


def check_root_domain(root_domain: str) -> str:
    """The domain in its normal form. Raises `Invalid`."""
    root = root_domain.strip().lower()
    if _HOST.fullmatch(root) is None:
        raise Invalid(domain="Please enter a domain without scheme, port and path, such as app.example.")
    return root


def new_domain(client: Client, root_domain: str) -> Domain:
    """The same without validation."""
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
    """The domain of an OAuth login, whose calls do not name one.

    It is the host of the redirect URI, or the longest parent domain of it, or the client's first domain.
    """
    host = (parse_http_url(redirect_uri).hostname or "").rstrip(".")
    matching = [known for known in client.domains if f".{host}".endswith(f".{known.root_domain.lower()}")]
    return max(matching, key=lambda known: len(known.root_domain), default=client.domains[0])


def domain_of(client: Client, domain_id: int) -> Domain:
    """The client's domain with this id. Raises `Missing`."""
    return part_of(client.domains, domain_id)


def remove_domain(client: Client, domain: Domain) -> None:
    """Remove a domain and the links of secrets to it. Raises `Invalid` for the last one."""
    if len(client.domains) == 1:
        raise Invalid(domain="A client needs at least one domain: switch it off instead.")
    client.domains.remove(domain)


def change_domain(
    domain: Domain, *, active: bool, allow_login: bool, allow_api: bool, live: bool, allowed_ips: str, fallback_uri: str
) -> None:
    """Set a domain's switches; `allowed_ips` are addresses or networks, separated by white space. Raises `Invalid`."""
    networks, fallback = all_valid(lambda: _networks(allowed_ips), lambda: _fallback(fallback_uri))
    domain.active, domain.allow_login, domain.allow_api, domain.live = active, allow_login, allow_api, live
    domain.allowed_ips, domain.fallback_uri = networks, fallback


def _networks(allowed_ips: str) -> list[str]:
    networks: list[str] = []
    wrong: list[str] = []
    for written in allowed_ips.replace(",", " ").split():
        try:
            network = ip_network(written, strict=False)
        except ValueError:
            wrong.append(written[:60])
        else:
            networks.append(str(network.network_address if network.num_addresses == 1 else network))
    if wrong:
        what = "This is not an IP address or network" if len(wrong) == 1 else "These are not IP addresses or networks"
        raise Invalid(allowed_ips=f"{what}: {', '.join(wrong)}")
    return list(dict.fromkeys(networks))


def _fallback(fallback_uri: str) -> str | None:
    fallback = fallback_uri.strip()
    if not fallback:
        return None
    try:
        parse_http_url(fallback)
    except ValueError as reason:
        raise Invalid(fallback_uri=f"This is {reason}.") from None
    return fallback


def part_of(parts: Iterable[Part], part_id: int) -> Part:
    for part in parts:
        if part.id == part_id:
            return part
    raise Missing(f"id {part_id}")
