"""Which IP addresses are on the public internet, for requests to a URL that somebody else chose.

Server-side request forgery (SSRF, CWE-918): a URL names a server that only this machine can reach, such as a database
on loopback, a router of the internal network, or the metadata service of a cloud, which gives out credentials.

The lists are those of IANA's registries of special-purpose addresses, and not `ipaddress.is_global`, whose answers
differ between the Python versions that this package supports. IPv6 is the other way round: one range is public.
"""

import ipaddress

_NOT_PUBLIC_V4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network; Linux takes 0.0.0.0 for loopback
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT; a metadata service is at 100.100.100.200
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a public address at which a cloud's own service answers its virtual machines
        "169.254.0.0/16",  # link-local; most metadata services are at 169.254.169.254
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; a metadata service is at 192.0.0.192
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112, the nearest server for reverse lookups of private addresses
        "192.52.193.0/24",  # multicast tunnels, the nearest relay
        "192.88.99.0/24",  # 6to4, the nearest relay
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)

# Outside of it are loopback, unspecified, IPv4-mapped and IPv4-compatible addresses, unique local ones (a metadata
# service is at fd00:ec2::254), link-local, site-local and multicast.
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, among them Teredo, which has an IPv4 address inside
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which has an IPv4 address inside
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)

# A network without IPv4 reaches it under this prefix (RFC 6052); the IPv4 address is in the last 32 bits.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether this is an address of one machine on the public internet, and in the form that has one meaning.

    False for everything else: names, other notations of an address, and addresses with a zone.
    """
    if "%" in address:
        return False
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv4Address):
        return _is_public_v4(found)
    if found in _NAT64:
        return _is_public_v4(ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF))
    return found in _GLOBAL_UNICAST and not any(found in network for network in _NOT_PUBLIC_V6)


def _is_public_v4(address: ipaddress.IPv4Address) -> bool:
    return not any(address in network for network in _NOT_PUBLIC_V4)
