"""The framework-independent `Request` and `Response` that the adapters exchange with the login, and their cookies.

Cookie tossing: frameworks repair what browsers send. Starlette strips a stray byte before a name, Werkzeug unquotes
values, and of two cookies with the same name one framework takes the first and the other the last. Each repair lets a
sibling subdomain replace a `__Host-` cookie with its own. So the raw header is parsed here, and nothing is repaired.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from hashlib import sha256
from typing import Self
from urllib.parse import parse_qsl

from ..base.dataclass import dataclass
from ..base.errors import XWMSError

MAX_QUERY_FIELDS = 64
"""Most query or form fields that are parsed. No legitimate request to our routes has as many."""

MAX_FORM = 64 * 1024
"""Most bytes of a form that one of our routes reads. Our forms have one short field."""

# On every response of ours: never stored, never framed, and its URL (which may hold a token) is never sent as Referer.
COMMON_HEADERS = (
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)
NO_CONTENT_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


MAX_HEADERS = 3500
"""Bytes of all headers that we add to one response. nginx gives an upstream 4 kB for its whole head by default, the
server's own headers included, and answers 502 if that is too little."""

MAX_SESSION_COOKIE = 2800
"""Bytes of the header that sets a session cookie: what is left beside the other headers of a finished login."""

MAX_LOCATION = 1800
"""Characters of an address elsewhere that people are sent to, with a pending login beside it in the same response."""

MAX_TARGET = 300
"""Characters of the paths that a response leads to where there is no room for the one that was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request for one of our routes, or for a page that requires login.

    `path` is the whole decoded path as the browser sees it (a mounted app's prefix included).
    `target` is path and query as sent, still percent-encoded: `next` is built from it.
    `headers` has lower-case names; the values of a repeated header are joined by ", " (RFC 9110 5.2).
    `cookie` is the raw Cookie header. `form` holds the fields of a small urlencoded body.
    `address` is the client's as the server tells it, and may be anything: for `source_of` only.
    `debug` is whether the application itself is in debug mode, so that error responses may include developer hints.
    `bare` returns the WSGI environment or the ASGI scope without the query, for a page of the application's own.
    """

    method: str
    path: str
    query: str = ""
    target: str = "/"
    scheme: str = "http"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    cookie: str = ""
    form: Mapping[str, str] = field(default_factory=dict[str, str])
    address: object = field(default=None, repr=False)
    debug: bool = False
    bare: Callable[[], object] | None = field(default=None, repr=False, compare=False)

    def header(self, name: str) -> str | None:
        """The header's value, or None. `name` is lower-case."""
        return self.headers.get(name)

    def parameters(self, name: str) -> list[str]:
        """Every value of a query parameter, in order. A query that cannot be parsed has none."""
        return [value for key, value in parse_form(self.query) if key == name]


def is_form(content_type: str) -> bool:
    """Whether the Content-Type of a request is that of an urlencoded form."""
    return content_type.partition(";")[0].strip(" \t").lower() == "application/x-www-form-urlencoded"


def parse_form(text: str) -> list[tuple[str, str]]:
    """Parse urlencoded pairs. Bytes that are not UTF-8 become lone surrogates, which every check refuses."""
    try:
        return parse_qsl(text, keep_blank_values=True, errors="surrogateescape", max_num_fields=MAX_QUERY_FIELDS)
    except ValueError:
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An HTTP response. `cookies` are whole Set-Cookie values; `body` is text, sent as UTF-8.

    `deferrable` are cookies that a later response may set as well, and `shorter` is where to lead if there is no room
    for the URL that was asked for: so the headers fit `MAX_HEADERS`. `error` is what the response refuses, if
    anything, and `logged_in` whether a login has finished with it.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    cookies: tuple[str, ...] = ()
    deferrable: tuple[str, ...] = ()
    shorter: str | None = None
    body: str = ""
    error: XWMSError | None = field(default=None, repr=False, compare=False)
    logged_in: bool = field(default=False, repr=False, compare=False)

    @classmethod
    def redirect(
        cls,
        status: int,
        location: str,
        *,
        cookies: Sequence[str] = (),
        deferrable: Sequence[str] = (),
        shorter: str | None = None,
    ) -> Self:
        """Return a redirect. The body is empty, so that nothing is reflected in it (XSS)."""
        headers = (("Location", location), *COMMON_HEADERS, ("Content-Security-Policy", NO_CONTENT_POLICY))
        return cls(
            status=status, headers=headers, cookies=tuple(cookies), deferrable=tuple(deferrable), shorter=shorter
        )

    def header_list(self, *, reserved: int = 0) -> list[tuple[str, str]]:
        """All headers, including Set-Cookie and Content-Length. `reserved` are bytes to leave for others."""
        headers = [*self.headers, ("Content-Length", str(len(self.body.encode())))]
        cookies = [("Set-Cookie", cookie) for cookie in self.cookies]
        room = MAX_HEADERS - reserved - header_bytes(cookies)
        if self.shorter is not None and header_bytes(headers) > room:
            headers = [(name, self.shorter if name in _LEADING else value) for name, value in headers]
        room -= header_bytes(headers)
        for cookie in self.deferrable:
            deferrable = ("Set-Cookie", cookie)
            room -= header_bytes([deferrable])
            if room < 0:
                break
            headers.append(deferrable)
        return headers + cookies


_LEADING = ("Location", "HX-Redirect")


def header_bytes(headers: Iterable[tuple[str, str]]) -> int:
    """Bytes of these headers in a response of HTTP/1.1."""
    return sum(len(name) + len(value) + len(": \r\n") for name, value in headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieNames:
    """The names of our cookies, and whether they are for https. `login` is the prefix for those of pending logins.

    `ahead` notes that a session was refused because it is from the future. It protects nothing.
    """

    session: str
    login: str
    ahead: str
    secure: bool

    @classmethod
    def of(cls, tag: str, *, secure: bool) -> Self:
        """The names with the tag of a client, so that two clients on one host do not overwrite each other's cookies.

        `__Host-` makes the browser refuse the cookie unless it is Secure, has Path=/ and no Domain (RFC 6265bis
        4.1.3.2). WebKit drops such cookies on http://localhost, so plain http uses separate names, which are never
        read over https.
        """
        start = "__Host-xwms_" if secure else "xwms_"
        return cls(
            session=f"{start}session_{tag}", login=f"{start}login_{tag}_", ahead=f"{start}ahead_{tag}", secure=secure
        )


MAX_COOKIE_TAG = 16
"""Characters of the tag in the cookies' names."""


def cookie_tag_of(client: str) -> str:
    """The tag of a client that has none of its own: different where one could not read the other's cookies anyway."""
    return sha256(client.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def read_cookie(header: str, name: str) -> str | None:
    """Return the value of the cookie with this name, or None if there is no such cookie or more than one.

    Two cookies with the same name mean that somebody else set one of them, and nothing tells which.
    """
    parts = header.split(name)
    if len(parts) == 1:
        return None
    if len(parts) == 2 and parts[1][:1] == "=" and parts[0][-2:] in ("; ", ""):  # as browsers send it
        return parts[1][1:].partition(";")[0].rstrip(" \t")
    found = None
    at = header.find(name)
    while at >= 0:
        end = at + len(name)
        if header[end : end + 1] == "=" and _begins_a_cookie(header, at):
            if found is not None:
                return None
            stop = header.find(";", end)
            found = header[end + 1 : stop if stop >= 0 else None].rstrip(" \t")
        at = header.find(name, end)
    return found


def _begins_a_cookie(header: str, at: int) -> bool:
    """Whether only spaces and tabs separate this position from the start or a semicolon.

    Any other white space is part of a name.
    """
    at -= 1
    while at >= 0 and header[at] in " \t":
        at -= 1
    return at < 0 or header[at] == ";"


def read_cookies(header: str, prefix: str) -> dict[str, str]:
    """Return the cookies whose names have this prefix, keyed by the rest of the name. Duplicates are left out."""
    found: dict[str, str] = {}
    duplicates: set[str] = set()
    for part in header.split(";"):
        name, separator, value = part.strip(" \t").partition("=")
        if separator and name.startswith(prefix):
            suffix = name[len(prefix) :]
            if suffix in found:
                duplicates.add(suffix)
            found[suffix] = value
    return {suffix: value for suffix, value in found.items() if suffix not in duplicates}


def set_cookie(name: str, value: str, *, secure: bool, max_age: int) -> str:
    """Return a Set-Cookie value. `max_age` is in seconds; 0 deletes a cookie that was set with the same attributes."""
    attributes = f"; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax"
    return f"{name}={value}{attributes}{'; Secure' if secure else ''}"


def fits(handle: str) -> bool:
    """Whether the header that sets a session cookie with this value is small enough, whatever its tag is."""
    name = CookieNames.of("t" * MAX_COOKIE_TAG, secure=True).session
    cookie = set_cookie(name, handle, secure=True, max_age=34_560_000)
    return header_bytes([("Set-Cookie", cookie)]) <= MAX_SESSION_COOKIE
