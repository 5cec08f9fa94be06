"""The framework-independent `Request` and `Response` that the adapters exchange with the login."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request for one of our routes, or for a page that requires login.

    `path` is the whole decoded path as the browser sees it (a mounted app's prefix included).
    `target` is path and query as sent, still percent-encoded: `next` is built from it.
    `headers` has lower-case names; the values of a repeated header are joined by ", " (RFC 9110 5.2).
    `cookie` is the raw Cookie header. `form` holds the fields of a small urlencoded body.
    `debug` is whether the application itself is in debug mode, so that error responses may include developer hints.
    """

    method: str
    path: str
    query: str = ""
    target: str = "/"
    scheme: str = "http"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    cookie: str = ""
    form: Mapping[str, str] = field(default_factory=dict[str, str])
    debug: bool = False

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
    """An HTTP response. `cookies` are whole Set-Cookie values; `body` is text, sent as UTF-8."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    cookies: tuple[str, ...] = ()
    body: str = ""

    @classmethod
    def redirect(cls, status: int, location: str, *, cookies: Sequence[str] = ()) -> Self:
        """Return a redirect. The body is empty, so that nothing is reflected in it (XSS)."""
        headers = (("Location", location), *COMMON_HEADERS, ("Content-Security-Policy", NO_CONTENT_POLICY))
        return cls(status=status, headers=headers, cookies=tuple(cookies))

    def header_list(self) -> list[tuple[str, str]]:
        """All headers, including Set-Cookie and Content-Length."""
        return [
            *self.headers,
            *(("Set-Cookie", cookie) for cookie in self.cookies),
            ("Content-Length", str(len(self.body.encode()))),
        ]
