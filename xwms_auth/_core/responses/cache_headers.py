"""The headers that an application's own response needs when it depends on who is looking (RFC 9111).

Knows: Vary, Cache-Control and its cousins.
Must not: take away a header that the application set."""

from collections.abc import Iterable

# To a cache that knows one of the latter it outranks the first (RFC 9213).
_FOR_CACHES = frozenset(("cache-control", "cdn-cache-control", "surrogate-control"))


def may_set_cookie(headers: Iterable[tuple[str, str]]) -> bool:
    """Whether a cookie may ride on this answer: not on one that the application lets shared caches keep.

    A cache that ignores Vary would hand the session to the next visitor (CVE-2025-48947).
    """
    said: dict[str, str] = {}
    for name, value in headers:
        if (known := name.lower()) in _FOR_CACHES:
            said[known] = f"{said.get(known, '')},{value.lower()}"
    return all("private" in value or "no-store" in value for value in said.values())


def is_streamed(headers: Iterable[tuple[str, str]]) -> bool:
    """Whether an answer's body may still be made after its head was given, so that the session may yet be read.

    A stream of events is not waited for: its first event may come in an hour.
    """
    said = {name.lower(): value.lower() for name, value in headers}
    return "content-length" not in said and not said.get("content-type", "").startswith("text/event-stream")


def headers_for_unknown_session(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers to add to an application's own answer where nobody could be looked up: it is for now, and for here.

    Also where the application lets it be cached: what it shows was made for nobody who is known.
    """
    said = {(name.lower(), value.lower()) for name, value in headers}
    marks = (("Vary", "Cookie"), ("Cache-Control", "no-store"))
    return [(name, value) for name, value in marks if (name.lower(), value.lower()) not in said]


def headers_for_session(
    headers: Iterable[tuple[str, str]], *, signed_in: bool, cookie: str | None
) -> list[tuple[str, str]]:
    """The headers to add to an application's answer during which the session was read.

    A cache must not give one person's page to another (CVE-2023-30861): the answer varies by cookie, and where somebody
    is signed in and the application itself says nothing about caching, it is not stored at all.
    """
    vary = cached = False
    for name, value in headers:
        lower = name.lower()
        if lower == "vary":
            vary = vary or not {"*", "cookie"}.isdisjoint(part.strip().lower() for part in value.split(","))
        elif lower == "cache-control":
            cached = True
    marks: list[tuple[str, str]] = []
    if not vary:
        marks.append(("Vary", "Cookie"))
    if cookie is not None:
        marks.append(("Set-Cookie", cookie))
    if signed_in and not cached:
        marks.append(("Cache-Control", "private, no-store"))
    return marks


def headers_for_token(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers to add to an application's answer that was made for a token.

    A cache keeps it for nobody else, and where the application itself says nothing about caching, for nobody at all.
    """
    said: dict[str, str] = {}
    for name, value in headers:
        said[name.lower()] = f"{said.get(name.lower(), '')},{value}"
    vary = {part.strip().lower() for part in said.get("vary", "").split(",")}
    marks: list[tuple[str, str]] = []
    if vary.isdisjoint({"*", "authorization"}):
        marks.append(("Vary", "Authorization"))
    if "cache-control" not in said:
        marks.append(("Cache-Control", "private, no-store"))
    return marks
