"""The URLs and host names that the local XWMS accepts: redirect URIs, its own URL, loopback names."""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlencode, urlsplit

# Letters, digits, dots and hyphens, or an IPv6 literal. Header and CSP injection: no character can end either early.
_HOST = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]")
_HOST_HEADER = re.compile(rf"({_HOST.pattern})(?::[0-9]{{1,5}})?", re.IGNORECASE)

API_PREFIX: Final = "/api"
"""Where the API is."""


def parse_http_url(url: str) -> SplitResult:
    """The parts of an absolute http(s) URL in printable ASCII, without userinfo and fragment.

    Raises ValueError with a sentence that quotes the URL.
    """
    if not url.isascii() or not url.isprintable() or any(c in url for c in ' \\"<>'):
        raise ValueError(f"not a URL in plain ASCII: {url!r}")
    try:
        parts = urlsplit(url)
        authority = _HOST_HEADER.fullmatch(parts.netloc)
        port_in_range = parts.port != 0
    except ValueError:
        raise ValueError(f"not a URL: {url!r}") from None
    if parts.scheme not in {"http", "https"} or authority is None or not port_in_range:
        raise ValueError(f"not an absolute http or https URL: {url!r}")
    if "#" in url:
        raise ValueError(f"a URL with a fragment: {url!r}")
    return parts


def parse_public_url(url: str) -> str:
    """The origin of a sandbox's own URL. Raises ValueError for one that has more than an origin."""
    origin = origin_of(parse_http_url(url).geturl())
    if url.removesuffix("/") != origin:
        raise ValueError(f"public_url is more than scheme, host and port: {url!r}")
    return origin


def origin_of(url: str) -> str:
    """Scheme and authority of a URL that `parse_http_url` accepted, such as `http://localhost:5000`."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def csp_source(url: str) -> str:
    """The Content-Security-Policy source for the origin of `url`.

    CSP cannot express an IPv6 address, so for one it is only the scheme.
    """
    parts = urlsplit(url)
    return f"{parts.scheme}:" if "[" in parts.netloc else origin_of(url)


def with_query(redirect_url: str, parameters: Mapping[str, str]) -> str:
    """The redirect URL, unchanged except for the parameters added to its query."""
    return f"{redirect_url}{'&' if '?' in redirect_url else '?'}{urlencode(parameters)}"


def host_name(header: str | None) -> str | None:
    """The lower-case name in a Host header without the port; None if it is missing or invalid."""
    match = _HOST_HEADER.fullmatch(header or "")
    return match.group(1).lower().strip("[]") if match else None


def is_loopback(name: str) -> bool:
    """Whether a host name (without brackets) always refers to this machine."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def is_address(name: str | None) -> bool:
    """Whether a host name (without brackets) is an IP address, which DNS cannot change."""
    try:
        return name is not None and bool(ip_address(name))
    except ValueError:
        return False
