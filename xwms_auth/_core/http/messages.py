"""What the edges and the flow say to each other: a `Request` in, an `Response` out.

Knows: the parts of a request that the login looks at, as text, and the parts of an answer.
Must not: know a framework, or judge anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

MAX_QUERY_FIELDS = 64
"""More parameters than any honest request to our routes has; the parser stops there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request for one of our routes, or for a page that needs a person.

    `path` is the whole decoded path as the browser sees it (a mounted app's prefix included).
    `target` is path and query as sent, still percent-encoded: what `next` is made from.
    `headers` has lower-case names; a header that was sent twice has its values joined by ", " as HTTP allows.
    `cookie` is the raw Cookie header. `form` holds the fields of a small urlencoded body.
    `debug` says that the application itself is in debug mode, so that a refusal may tell a developer what to change.
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


def parse_form(text: str) -> list[tuple[str, str]]:
    """Read urlencoded pairs. Bytes that are not UTF-8 become lone surrogates, which every check refuses."""
    try:
        return parse_qsl(text, keep_blank_values=True, errors="surrogateescape", max_num_fields=MAX_QUERY_FIELDS)
    except ValueError:
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An HTTP answer. `cookies` are whole Set-Cookie values; `body` is text in UTF-8."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    cookies: tuple[str, ...] = ()
    body: str = ""

    def header_list(self) -> list[tuple[str, str]]:
        """All headers, those that set cookies and the content length included."""
        return [
            *self.headers,
            *(("Set-Cookie", cookie) for cookie in self.cookies),
            ("Content-Length", str(len(self.body.encode()))),
        ]
