"""Where a browser may be sent: registered redirect URIs, XWMS's own pages, and `next`.

Every judgement takes a string apart, checks each part, and compares what the parts make when put together again with
what came in. Nothing is repaired: an address that is only nearly right is refused, because two programs that
repair it differently are how open redirects are made (RFC 9700 4.1.3, 4.11; WHATWG URL against RFC 3986).

Knows: the form of addresses.
Must not: look at a request.
"""

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from .next_url import MAX_NEXT

DEFAULT_PORTS = {"https": 443, "http": 80}

_LABEL = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_PATH = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()+,;=:@/")
_PRIVATE_SUFFIXES = (".local", ".internal", ".test", ".localhost")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """The checked parts of an absolute http(s) address; `host` is lower-case, an IPv6 address in brackets."""

    scheme: str
    host: str
    port: int | None
    path: str

    @property
    def netloc(self) -> str:
        """Host and port as a Host header has them: the port only if it is not the scheme's own."""
        return self.host if self.port is None else f"{self.host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port as an Origin header has them."""
        return f"{self.scheme}://{self.netloc}"

    @property
    def loopback(self) -> bool:
        """Whether the host is this machine and nothing else."""
        return is_loopback(self.host)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedirectURI(Address):
    """A redirect URI as registered with XWMS. `uri` is sent byte for byte; `path` is our callback route."""

    uri: str

    @property
    def secure(self) -> bool:
        """Whether cookies must be `Secure`."""
        return self.scheme == "https"

    @property
    def host_names(self) -> frozenset[str]:
        """What a Host header may say that means this address: with or without the scheme's own port."""
        return frozenset((self.netloc,) if self.port else (self.netloc, f"{self.host}:{DEFAULT_PORTS[self.scheme]}"))


def parse_redirect_uri(value: str, *, allow_http: bool = False) -> RedirectURI:
    """Read a redirect URI. Raises ValueError with the reason, which never quotes more than the fault.

    `allow_http` lets plain http through for hosts that cannot be public; loopback needs no such permission.
    """
    address = parse_address(value)
    _check_http(address, allow_http=allow_http)
    if address.path == "":
        raise ValueError('has no path; write the callback path after the host, for instance "/xwms/validateToken"')
    _check_plain_path(address.path)
    if address.origin + address.path != value:
        raise ValueError("is not in normal form")
    return RedirectURI(scheme=address.scheme, host=address.host, port=address.port, path=address.path, uri=value)


def parse_api_url(value: str, *, allow_http: bool = False) -> Address:
    """Read the API base. A missing last slash is added, since joining paths to it would drop the last part."""
    address = parse_address(value)
    _check_http(address, allow_http=allow_http)
    path = address.path if address.path.endswith("/") else address.path + "/"
    _check_plain_path(path)
    return Address(scheme=address.scheme, host=address.host, port=address.port, path=path)


def parse_endpoint(value: object, *, allow_http: bool = False, secure: bool = False) -> Address:
    """Read the address of an OAuth 2.0 endpoint, which may have a query (RFC 6749 3.1) but no fragment.

    `allow_http` is as for a redirect URI; `secure` takes https only. Raises ValueError with the reason.
    """
    if not isinstance(value, str) or len(value) > MAX_NEXT:
        raise ValueError("is not text, or too long")
    plain, _, query = value.partition("?")
    if any(not "!" <= char <= "~" or char in '\\#"<>' for char in query):
        raise ValueError("has a fragment, or characters in its query that must not be there")
    address = parse_address(plain)
    if secure and address.scheme != "https":
        raise ValueError("is not https")
    _check_http(address, allow_http=allow_http)
    return address


def parse_origin(value: str) -> Address:
    """Read an origin: scheme, host and perhaps a port, nothing else. Raises ValueError."""
    address = parse_address(value)
    if address.path or address.origin != value:
        raise ValueError("is not an origin such as https://login.example.org")
    _check_http(address, allow_http=False)
    return address


def parse_address(value: str) -> Address:
    """Take an absolute http(s) address without user info, query and fragment apart. Raises ValueError."""
    if any(not "!" <= char <= "~" for char in value):
        raise ValueError("has white space, control characters or characters other than ASCII")
    if "\\" in value or "*" in value:
        raise ValueError("has a backslash or a wildcard")
    if "?" in value or "#" in value:
        raise ValueError("has a query or a fragment; remove everything from ? or # on")
    scheme, separator, rest = value.partition("://")
    if not separator or scheme not in DEFAULT_PORTS:
        raise ValueError("is not an absolute address that starts with https://")
    netloc, slash, path = rest.partition("/")
    if "@" in netloc:
        raise ValueError("has user information before the host")
    host, port = _split_port(netloc)
    _check_host(host)
    if port == DEFAULT_PORTS[scheme]:
        raise ValueError(f"names the port {port}, which {scheme} has anyway; leave it out")
    return Address(scheme=scheme, host=host, port=port, path=slash + path)


def _split_port(netloc: str) -> tuple[str, int | None]:
    host, colon, port = netloc.rpartition(":")
    if not colon or netloc.endswith("]"):
        return netloc, None
    # int() would take "+80", "0080", "8_0" and digits of other scripts.
    if not (port.isascii() and port.isdigit()) or port.startswith("0") or len(port) > 5 or int(port) > 65535:
        raise ValueError("has an impossible port")
    return host, int(port)


def _check_host(host: str) -> None:
    if host.startswith("["):
        inner = host[1:-1]
        try:
            ip = ipaddress.IPv6Address(inner)
        except ValueError:
            raise ValueError("has an impossible IPv6 address") from None
        # An IPv4 address in IPv6 clothes has several spellings and a different meaning to every library.
        if not host.endswith("]") or ip.ipv4_mapped or ip.scope_id or str(ip) != inner:
            raise ValueError("has an IPv6 address that is not in normal form")
        return
    labels = host.split(".")
    if not host or len(host) > 253 or any(not 1 <= len(label) <= 63 for label in labels):
        raise ValueError("has an empty, too long or dot-ended host")
    if any(not _LABEL.issuperset(label) or label[0] == "-" or label[-1] == "-" for label in labels):
        raise ValueError("has a host that is not in lower case, or that has characters a host cannot have")
    # Browsers read any host whose last label is a number as IPv4: 127.1, 0x7f.1 and 2130706433 are all this machine.
    if labels[-1].isdigit() or labels[-1].startswith("0x"):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise ValueError("has an IPv4 address that is not in normal form") from None


def is_loopback(host: str) -> bool:
    """Whether a checked host is this machine: `localhost`, 127.0.0.0/8 or [::1]. Look-alikes are not."""
    if host in ("localhost", "[::1]"):
        return True
    try:
        return ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        return False


def _cannot_be_public(host: str) -> bool:
    if ("." not in host and ":" not in host) or host.endswith(_PRIVATE_SUFFIXES):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_private
    except ValueError:
        return False


def _check_http(address: Address, *, allow_http: bool) -> None:
    if address.scheme == "https" or address.loopback or (allow_http and _cannot_be_public(address.host)):
        return
    raise ValueError("uses plain http, which is only for this machine itself (localhost); use https")


def _check_plain_path(path: str) -> None:
    """A path that every server, proxy and framework reads alike."""
    if "%" in path:
        raise ValueError("has percent-encoding in its path, which servers decode differently")
    if not path.startswith("/") or not _PATH.issuperset(path):
        raise ValueError("has characters in its path that must not be there")
    segments = path.split("/")
    if "" in segments[1:-1] or any(segment in (".", "..") for segment in segments):
        raise ValueError("has empty or dot segments in its path")


def check_route_path(path: str) -> None:
    """Check the path of one of our own routes. Raises ValueError."""
    _check_plain_path(path)
    if path == "/" or path.endswith("/"):
        raise ValueError("must have a name and no slash at its end")


def login_url_fault(url: str, *, origins: Collection[str], api: Address) -> str | None:
    """Say why a browser may not be sent to the address XWMS gave for its login page, or None.

    Without `origins` it may be the API's own host or a subdomain of it, over https.
    On loopback it may be any port of the same host, plain http too, because that is a developer's machine.
    """
    if any(not "!" <= char <= "~" or char in '\\"<>^`{|}' for char in url) or len(url) > 4 * MAX_NEXT:
        return "it has characters that an address cannot have, or is too long"
    try:
        address = parse_address(url.partition("#")[0].partition("?")[0])
    except ValueError as fault:
        return f"it {fault}"
    if origins:
        return None if address.origin in origins else "its origin is not one of login_origins"
    if api.loopback:
        return None if address.host == api.host else "its host is not the API's"
    if address.scheme not in ("https", api.scheme):
        return "it is not https"
    if address.host != api.host and not address.host.endswith("." + api.host):
        return "its host is neither the API's nor a subdomain of it"
    return None if address.port == api.port else "its port is not the API's"


def origin_of(url: str) -> str | None:
    """The origin of an address from a Referer header, or None where there is none to trust."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc}" if parts.scheme and parts.netloc else None
    except ValueError:
        return None
