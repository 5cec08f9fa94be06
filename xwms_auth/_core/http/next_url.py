"""Open redirects: which `next` URLs are allowed after a login or a logout (docs/security.md).

Never repairs a URL: open redirects arise where two programs repair one differently.
"""

from collections.abc import Collection, Iterable
from urllib.parse import quote, unquote

MAX_NEXT = 2048
"""Longest `next` in characters, after the smallest URL limit that is still in use."""

MAX_DECODING_ROUNDS = 5
"""No legitimate path is percent-encoded five times over."""

_LOCATION_SAFE = "/?#[]@!$&'()*+,;=:%-._~"


def safe_next(value: str | None, *, own_paths: Collection[str], origins: Iterable[str] = ()) -> str | None:
    """Return `next`, ready for a Location header, or None if it is not allowed: a path on this site, or on `origins`.

    docs/security.md specifies the rule. The result is ASCII, begins with exactly one slash or with one of the origins
    and exactly one slash, and is a fixed point: passing it to this function again returns it unchanged.
    """
    if value is None or not 1 <= len(value) <= MAX_NEXT or value != value.strip():
        return None
    # An origin up to and with the slash that ends it: nothing is left to parse, so no other host can begin like it.
    origin = next((origin for origin in origins if value.startswith(f"{origin}/")), "")
    value = value[len(origin) :]
    if any(_is_control(char) or char == "\\" or "\ud800" <= char <= "\udfff" for char in value):
        return None
    path = value.partition("#")[0].partition("?")[0]
    for _ in range(MAX_DECODING_ROUNDS + 1):
        if not _is_allowed_path(path, own_paths):
            return None
        try:
            decoded = unquote(path, errors="strict")
        except UnicodeDecodeError:
            return None
        if decoded == path:
            location = quote(value, safe=_LOCATION_SAFE)
            # Checked again after quoting: the bytes that are sent count, not the bytes that were received.
            is_safe = location.isascii() and location[0] == "/" and location[1:2] not in ("/", "\\")
            return origin + location if is_safe and len(origin) + len(location) <= MAX_NEXT else None
        path = decoded
    return None


def _is_control(char: str) -> bool:
    return char < " " or "\x7f" <= char <= "\x9f"


def _is_allowed_path(path: str, own_paths: Collection[str]) -> bool:
    if not path.startswith("/") or "//" in path or "\\" in path or any(map(_is_control, path)):
        return False
    # Path traversal: some servers cut a segment at ";", so "..;x" means "..".
    if any(segment.partition(";")[0] in (".", "..") for segment in path.split("/")):
        return False
    plain = path.partition(";")[0].rstrip("/").casefold()
    return all(plain != own.rstrip("/").casefold() for own in own_paths)
