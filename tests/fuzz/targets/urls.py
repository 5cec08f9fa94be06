"""Redirect URIs of the settings, and the login page that XWMS names: what is accepted, beside the WHATWG parser."""

import re
from collections.abc import Callable
from functools import cache
from itertools import chain
from typing import Final

import ada_url

from tests.corpus.answers import API_URL, BAD_URLS, GOOD_URLS
from tests.corpus.redirect_uris import GOOD, NEAR_MISSES
from tests.fuzz.judges import tally
from tests.fuzz.lines import lines_of
from tests.fuzz.targets import Target
from xwms_auth._core.http.urls import RedirectURI, login_url_fault, parse_api_url, parse_redirect_uri

PIECES: Final = lines_of("pieces", "urls")

_LABEL: Final = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
_NAME: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_PATH: Final = re.compile(r"(/[A-Za-z0-9\-._~!$&'()+,;=:@]+)*/?")
LOOPBACK: Final = re.compile(r"localhost|127(\.(0|[1-9][0-9]{0,2})){3}|\[::1\]")


def redirect_uri(data: bytes) -> None:
    """Accepted is exactly an absolute https URL (http on loopback) in the normal form that browsers give it."""
    value = data.decode("utf-8", "replace")
    uri, refused = _redirect_uri(value)
    if uri is None:
        assert value not in refused or len(value) < 12, "the message quotes the value"
        assert not is_registered_form(value), (value, refused)
        tally["refused"] += 1
        return
    url = ada_url.URL(value)
    assert url.href == value == uri.uri, (value, url.href)
    assert url.origin == uri.origin, (value, url.origin)
    assert (url.pathname, url.search, url.hash, url.username, url.password) == (uri.path, "", "", "", ""), value
    assert is_registered_form(value), value
    assert uri.secure or LOOPBACK.fullmatch(uri.host), value
    tally["accepted"] += 1


def _redirect_uri(value: str) -> tuple[RedirectURI | None, str]:
    try:
        return parse_redirect_uri(value), ""
    except ValueError as refused:
        return None, str(refused)


def is_registered_form(value: str, *, allow_http: bool = False) -> bool:
    """The rule of docs/options.md, by way of the other parser. With `allow_http` every host may have http."""
    try:
        url = ada_url.URL(value)
    except ValueError:
        return False
    host = url.hostname
    if url.href != value or not value.isascii() or url.search or url.hash or url.protocol not in ("https:", "http:"):
        return False
    if "@" in value.split("/")[2] or value.endswith(("?", "#")):
        return False
    if url.protocol != "https:" and not (allow_http or LOOPBACK.fullmatch(host)):
        return False
    if not is_host(url):
        return False
    segments = url.pathname.split("/")
    return bool(_PATH.fullmatch(url.pathname)) and not {".", ".."}.intersection(segments)


def is_host(url: ada_url.URL) -> bool:
    """Whether host and port are ones that may be registered, if this is how the URL spells them."""
    name, port = url.hostname, url.port
    if len(name) > 253 or (port and not 1 <= int(port) <= 65535):
        return False
    # No top-level domain begins like a hexadecimal number; browsers read one as such only if all of it is.
    return _is_ipv6(name) or bool(_NAME.fullmatch(name) and not re.search(r"(^|\.)0x[^.]*$", name))


def _is_ipv6(host: str) -> bool:
    return host.startswith("[") and not re.match(r"\[::ffff:", host)


def _login_page(*, origins: tuple[str, ...] = ()) -> Callable[[str], bool]:
    api = parse_api_url(API_URL)
    return lambda url: login_url_fault(url, origins=origins, api=api) is None


_PAGES: Final = (
    (_login_page(), re.compile(r"https://([a-z0-9-]+\.)*xwms\.nl")),
    (_login_page(origins=("https://login.example",)), re.compile(r"https://login\.example")),
)


def login_page(data: bytes) -> None:
    """A login page that is accepted is on XWMS's host, or on a configured origin, for every browser."""
    value = data.decode("utf-8", "surrogatepass") if data.isascii() else data.decode("latin-1")
    for is_accepted, origin in _PAGES:
        if not is_accepted(value):
            tally["refused"] += 1
            continue
        url = ada_url.URL(value)
        assert origin.fullmatch(url.origin), (value, url.origin)
        assert (url.username, url.password, url.port) == ("", "", ""), value
        assert ada_url.URL(value, base="https://app.example/xwms/auth").href == url.href, value
        assert re.fullmatch(r"[\x21-\x7e]+", value), value
        tally["accepted"] += 1


@cache
def _uris() -> list[bytes]:
    return [value.encode("utf-8", "surrogatepass") for value in (*chain.from_iterable(NEAR_MISSES.values()), *GOOD)]


@cache
def _pages() -> list[bytes]:
    values = (*BAD_URLS, *GOOD_URLS, "https://login.example/sign", "https://login.example.evil.example/")
    return [value.encode("utf-8", "surrogatepass") for value in values if len(value) < 2500]


TARGETS: Final = (
    Target(run=redirect_uri, seeds=_uris, pieces=PIECES, longest=120, figure=500_000),
    Target(run=login_page, seeds=_pages, pieces=PIECES, longest=160, figure=200_000),
)
