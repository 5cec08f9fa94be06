"""Whose request it is, by the address that the server tells: what rate limits count.

Spoofing: no header is read here. Anybody can send `X-Forwarded-For`; which one to believe only the server or ProxyFix
knows, once its operator has said which proxies there are, and then the address here is the one that it found.
"""

import ipaddress
from functools import cache

from ..base.memory.fair_limit import UNKNOWN, Source

MAX_ADDRESS = 64
"""Characters. The longest IPv6 address, with a zone and a port, has fewer."""

_V4_NETWORK, _V6_SOURCE, _V6_NETWORK = 24, 64, 48
"""Prefix lengths. A host in IPv6 has a /64 to choose its addresses from, and a site mostly a /48."""


def source_of(address: object) -> Source:
    """The source of a request with this address, as `REMOTE_ADDR` or the ASGI scope has it; `UNKNOWN` if it is none.

    An IPv4 address is one, however it is written. In IPv6 a /64 is. A port or a zone, which some proxies leave at
    the address, does not matter.
    """
    if not isinstance(address, str) or len(address) > MAX_ADDRESS:
        return UNKNOWN
    try:
        found = ipaddress.ip_address(_bare(address))
    except ValueError:
        return UNKNOWN
    if isinstance(found, ipaddress.IPv6Address):
        found = _v4_in(found) or found
    if isinstance(found, ipaddress.IPv4Address):
        name, network = str(found), _prefix(found, _V4_NETWORK)
    else:
        name, network = _prefix(found, _V6_SOURCE), _prefix(found, _V6_NETWORK)
    return Source(name=name, network=network, may_be_many=_is_internal(found))


def _bare(address: str) -> str:
    """The address without a port. A zone stays, and is in no `Source`: a client in IPv6 is named by its network."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address


def _v4_in(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address of a client that a socket for both, or a translator in front of the server, shows in IPv6."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if int(address) >> 32 == _NAT64 >> 32:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.sixtofour


_NAT64 = int(ipaddress.IPv6Address("64:ff9b::"))
"""A /96 with the IPv4 address in the last 32 bits (RFC 6052)."""


def _prefix(address: ipaddress.IPv4Address | ipaddress.IPv6Address, length: int) -> str:
    kept = address.max_prefixlen - length
    return f"{type(address)(int(address) >> kept << kept)}/{length}"


def _is_internal(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return any(address in network for network in _internal())


@cache
def _internal() -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """Where a proxy stands that tells nothing of its visitors: an address here may be everybody's."""
    networks = (
        "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16",
        "::1/128", "fc00::/7", "fe80::/10",
    )  # fmt: skip
    return tuple(map(ipaddress.ip_network, networks))
