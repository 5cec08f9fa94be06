"""Cache headers to add to an application's response that depends on the session or on a token (RFC 9111).

Never removes a header that the application has set.
"""

from collections.abc import Iterable

# A cache that knows one of the latter two ignores Cache-Control (RFC 9213).
_FOR_CACHES = frozenset(("cache-control", "cdn-cache-control", "surrogate-control"))


def may_set_cookie(headers: Iterable[tuple[str, str]]) -> bool:
    """Whether a cookie may be set on this response: not if the application lets shared caches store it.

    Session leak: a cache that ignores Vary would deliver the cookie to the next visitor (CVE-2025-48947).
    """
    values: dict[str, str] = {}
    for name, value in headers:
        if (known := name.lower()) in _FOR_CACHES:
            values[known] = f"{values.get(known, '')},{value.lower()}"
    return all("private" in value or "no-store" in value for value in values.values())


def is_streamed(headers: Iterable[tuple[str, str]]) -> bool:
    """Whether the body may still be produced after the headers are known, so that the session may yet be read.

    Server-sent events are not waited for: the first event may come after an hour.
    """
    values = {name.lower(): value.lower() for name, value in headers}
    return "content-length" not in values and not values.get("content-type", "").startswith("text/event-stream")


def headers_for_unknown_session(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers to add if the session could not be looked up: such a response must not be stored.

    Added even if the application allows caching, since the content was made for an unknown user.
    """
    present = {(name.lower(), value.lower()) for name, value in headers}
    required = (("Vary", "Cookie"), ("Cache-Control", "no-store"))
    return [(name, value) for name, value in required if (name.lower(), value.lower()) not in present]


def headers_for_session(
    headers: Iterable[tuple[str, str]], *, signed_in: bool, cookie: str | None
) -> list[tuple[str, str]]:
    """Return the headers to add if the session was read while the response was made.

    Session leak: a cache must not deliver one user's page to another (CVE-2023-30861). The response varies by cookie,
    and if a user is signed in and the application sets no Cache-Control, it is not stored at all.
    """
    vary = cached = False
    for name, value in headers:
        lower = name.lower()
        if lower == "vary":
            vary = vary or not {"*", "cookie"}.isdisjoint(part.strip().lower() for part in value.split(","))
        elif lower == "cache-control":
            cached = True
    added: list[tuple[str, str]] = []
    if not vary:
        added.append(("Vary", "Cookie"))
    if cookie is not None:
        added.append(("Set-Cookie", cookie))
    if signed_in and not cached:
        added.append(("Cache-Control", "private, no-store"))
    return added


def headers_for_token(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers to add if the response was made for an access token.

    It varies by token, and if the application sets no Cache-Control, it is not stored at all.
    """
    values: dict[str, str] = {}
    for name, value in headers:
        values[name.lower()] = f"{values.get(name.lower(), '')},{value}"
    vary = {part.strip().lower() for part in values.get("vary", "").split(",")}
    added: list[tuple[str, str]] = []
    if vary.isdisjoint({"*", "authorization"}):
        added.append(("Vary", "Authorization"))
    if "cache-control" not in values:
        added.append(("Cache-Control", "private, no-store"))
    return added
