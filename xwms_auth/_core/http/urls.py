"""Strict parsing of the URLs a browser may be sent to: registered redirect URIs and XWMS's own pages.

Every check parses the string, validates each part, and compares the reassembled parts with the input. Nothing is
repaired: a URL that is only nearly right is refused, because open redirects arise where two programs repair a URL
differently (RFC 9700 4.1.3, 4.11; WHATWG URL versus RFC 3986).
"""

import ipaddress
from collections.abc import Collection
from dataclasses import field
from urllib.parse import urlsplit

from ..base.dataclass import dataclass
from .messages import MAX_LOCATION
from .next_url import MAX_NEXT

DEFAULT_PORTS = {"https": 443, "http": 80}

_LABEL = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_PATH = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()+,;=:@/")
_PRIVATE_SUFFIXES = (".local", ".internal", ".test", ".localhost")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedURL:
    """The checked parts of an absolute http(s) URL; `host` is lower-case, an IPv6 address is in brackets."""

    scheme: str
    host: str
    port: int | None
    path: str

    @property
    def netloc(self) -> str:
        """Host and port as in a Host header: the port only if it is not the scheme's default."""
        return self.host if self.port is None else f"{self.host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port as in an Origin header."""
        return f"{self.scheme}://{self.netloc}"

    @property
    def loopback(self) -> bool:
        """Whether the host is a loopback address or `localhost`."""
        return is_loopback(self.host)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedirectURI(ParsedURL):
    """A redirect URI as registered with XWMS. `uri` is sent byte for byte; `path` is our callback route."""

    uri: str
    secure: bool = field(init=False)
    """Whether cookies must be `Secure`. Computed once, since every request asks."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "secure", self.scheme == "https")

    @property
    def host_names(self) -> frozenset[str]:
        """The Host header values that match this URL: with and without the scheme's default port."""
        return frozenset((self.netloc,) if self.port else (self.netloc, f"{self.host}:{DEFAULT_PORTS[self.scheme]}"))


def parse_redirect_uri(value: str, *, allow_http: bool = False) -> RedirectURI:
    """Parse a redirect URI. Raises ValueError with the reason, which never quotes more than the faulty part.

    `allow_http` permits plain http for hosts that cannot be public; loopback always may use it.
    """
    url = parse_url(value)
    _check_http(url, allow_http=allow_http)
    if url.path == "":
        raise ValueError('has no path; write the callback path after the host, for instance "/xwms/validateToken"')
    _check_plain_path(url.path)
    if url.origin + url.path != value:  # pragma: no cover  should a check above ever repair what it parses
        raise ValueError("is not in normal form")
    return RedirectURI(scheme=url.scheme, host=url.host, port=url.port, path=url.path, uri=value)


def parse_api_url(value: str, *, allow_http: bool = False) -> ParsedURL:
    """Parse the API base URL. A missing trailing slash is added, since joining paths would drop the last segment."""
    url = parse_url(value)
    _check_http(url, allow_http=allow_http)
    path = url.path if url.path.endswith("/") else url.path + "/"
    _check_plain_path(path)
    return ParsedURL(scheme=url.scheme, host=url.host, port=url.port, path=path)


def parse_endpoint(value: object, *, allow_http: bool = False, secure: bool = False) -> ParsedURL:
    """Parse the URL of an OAuth 2.0 endpoint, which may have a query (RFC 6749 3.1) but no fragment.

    `allow_http` is as for a redirect URI; `secure` accepts https only. Raises ValueError with the reason.
    """
    if not isinstance(value, str) or len(value) > MAX_NEXT:
        raise ValueError("is not text, or is too long")
    plain, _, query = value.partition("?")
    if any(not "!" <= char <= "~" or char in '\\#"<>' for char in query):
        raise ValueError("has a fragment, or characters that are not allowed in its query")
    url = parse_url(plain)
    if secure and url.scheme != "https":
        raise ValueError("is not https")
    _check_http(url, allow_http=allow_http)
    return url


def parse_origin(value: str) -> ParsedURL:
    """Parse an origin: scheme, host and optional port, nothing else. Raises ValueError."""
    url = parse_url(value)
    if url.origin != value:
        raise ValueError("is not an origin such as https://login.example.org")
    _check_http(url, allow_http=False)
    return url


def parse_url(value: str) -> ParsedURL:
    """Parse an absolute http(s) URL without user info, query and fragment. Raises ValueError."""
    if any(not "!" <= char <= "~" for char in value):
        raise ValueError("has white space, control characters or non-ASCII characters")
    if "\\" in value or "*" in value:
        raise ValueError("has a backslash or a wildcard")
    if "?" in value or "#" in value:
        raise ValueError("has a query or a fragment; remove everything from ? or # on")
    scheme, separator, rest = value.partition("://")
    if not separator or scheme not in DEFAULT_PORTS:
        raise ValueError("is not an absolute URL that starts with https://")
    netloc, slash, path = rest.partition("/")
    if "@" in netloc:
        raise ValueError("has user information before the host")
    host, port = _split_port(netloc)
    _check_host(host)
    if port == DEFAULT_PORTS[scheme]:
        raise ValueError(f"names the port {port}, which is the default for {scheme}; leave it out")
    return ParsedURL(scheme=scheme, host=host, port=port, path=slash + path)


def _split_port(netloc: str) -> tuple[str, int | None]:
    host, colon, port = netloc.rpartition(":")
    if not colon or netloc.endswith("]"):
        return netloc, None
    # int() would accept "+80", "0080", "8_0" and digits of other scripts.
    if not (port.isascii() and port.isdigit()) or port.startswith("0") or len(port) > 5 or int(port) > 65535:
        raise ValueError("has an invalid port")
    return host, int(port)


def _check_host(host: str) -> None:
    if host.startswith("["):
        inner = host[1:-1]
        try:
            ip = ipaddress.IPv6Address(inner)
        except ValueError:
            raise ValueError("has an invalid IPv6 address") from None
        # An IPv4-mapped IPv6 address has several spellings, and libraries disagree about its meaning.
        if not host.endswith("]") or ip.ipv4_mapped or ip.scope_id or str(ip) != inner:
            raise ValueError("has an IPv6 address that is not in normal form")
        return
    labels = host.split(".")
    if not host or len(host) > 253 or any(not 1 <= len(label) <= 63 for label in labels):
        raise ValueError("has a host that is empty, too long or ends in a dot")
    if any(not _LABEL.issuperset(label) or label[0] == "-" or label[-1] == "-" for label in labels):
        raise ValueError("has a host that is not in lower case, or has characters that a host cannot have")
    # Browsers parse any host whose last label is a number as IPv4: 127.1, 0x7f.1 and 2130706433 are all loopback.
    if labels[-1].isdigit() or labels[-1].startswith("0x"):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise ValueError("has an IPv4 address that is not in normal form") from None


def is_loopback(host: str) -> bool:
    """Whether a checked host is `localhost`, in 127.0.0.0/8, or [::1]."""
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


def _check_http(url: ParsedURL, *, allow_http: bool) -> None:
    if url.scheme == "https" or url.loopback or (allow_http and _cannot_be_public(url.host)):
        return
    raise ValueError("uses plain http, which is allowed for localhost only; use https")


def _check_plain_path(path: str) -> None:
    """Check that every server, proxy and framework parses the path alike. Raises ValueError."""
    if "%" in path:
        raise ValueError("has percent-encoding in its path, which servers decode differently")
    if not path.startswith("/") or not _PATH.issuperset(path):
        raise ValueError("has characters that are not allowed in its path")
    segments = path.split("/")
    if "" in segments[1:-1] or any(segment in (".", "..") for segment in segments):
        raise ValueError("has empty or dot segments in its path")


def check_route_path(path: str) -> None:
    """Check the path of one of our own routes. Raises ValueError."""
    _check_plain_path(path)
    if path.endswith("/"):
        raise ValueError("must not be empty or end in a slash")


def is_below(path: str, prefix: str) -> bool:
    """Whether a path is this prefix, or continues it with a slash."""
    return path == prefix or path.startswith(prefix + "/")


def is_plain(path: str) -> bool:
    """Whether a server, a proxy and an application all read this path in the same way (path confusion)."""
    segments = [segment.partition(";")[0] for segment in path.split("/")]
    return "//" not in path and "\\" not in path and "%" not in path and not {".", ".."}.intersection(segments)


def login_url_fault(url: str, *, origins: Collection[str], api: ParsedURL) -> str | None:
    """Return why a browser may not be sent to this login page URL from XWMS, or None if it may.

    Without `origins`, the host must be the API's own or a subdomain of it, over https.
    If the API is on loopback, any port of the same host is allowed, also over plain http, for local development.
    """
    if any(not "!" <= char <= "~" or char in '\\"<>^`{|}' for char in url) or len(url) > MAX_LOCATION:
        return "it has characters that a URL cannot have, or is too long"
    try:
        parsed = parse_url(url.partition("#")[0].partition("?")[0])
    except ValueError as fault:
        return f"it {fault}"
    if origins:
        return None if parsed.origin in origins else "its origin is not one of login_origins"
    if api.loopback:
        return None if parsed.host == api.host else "its host is not the API's"
    if parsed.scheme not in ("https", api.scheme):
        return "it is not https"
    if parsed.host != api.host and not parsed.host.endswith("." + api.host):
        return "its host is neither the API's nor a subdomain of it"
    return None if parsed.port == api.port else "its port is not the API's"


def origin_of(url: str) -> str | None:
    """Return the origin of a URL from a Referer header, or None if it has none."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc}" if parts.scheme and parts.netloc else None
    except ValueError:
        return None
