"""Where a person may go on to after a login or a logout: the rule for `next` (docs/security.md).

Knows: which paths stay on this site.
Must not: repair an address. Two programs that repair it differently are how open redirects are made."""

from collections.abc import Collection
from urllib.parse import quote, unquote

MAX_NEXT = 2048
"""Longest `next` in characters, as long as the oldest limit on an address that anyone still keeps."""


MAX_DECODING_ROUNDS = 5
"""No honest path is percent-encoded five times over."""


_LOCATION_SAFE = "/?#[]@!$&'()*+,;=:%-._~"


def safe_next(value: str | None, *, own_paths: Collection[str]) -> str | None:
    """Return the place on this site that `next` names, ready for a Location header, or None.

    The rule is written out in docs/security.md. The result is ASCII, begins with exactly one slash, and is
    a fixed point: giving it to this function again returns it unchanged.
    """
    if value is None or not 1 <= len(value) <= MAX_NEXT or value != value.strip():
        return None
    if any(_is_control(char) or char == "\\" or "\ud800" <= char <= "\udfff" for char in value):
        return None
    path = value.partition("#")[0].partition("?")[0]
    for _ in range(MAX_DECODING_ROUNDS + 1):
        if not _is_own_ground(path, own_paths):
            return None
        try:
            decoded = unquote(path, errors="strict")
        except UnicodeDecodeError:
            return None
        if decoded == path:
            location = quote(value, safe=_LOCATION_SAFE)
            # Judged once more as what it has become: the bytes that leave are what counts, not the bytes that came.
            good = location.isascii() and location[0] == "/" and location[1:2] not in ("/", "\\")
            return location if good and len(location) <= MAX_NEXT else None
        path = decoded
    return None


def _is_control(char: str) -> bool:
    return char < " " or "\x7f" <= char <= "\x9f"


def _is_own_ground(path: str, own_paths: Collection[str]) -> bool:
    if not path.startswith("/") or "//" in path or "\\" in path or any(map(_is_control, path)):
        return False
    # Some servers cut a segment at ";", so "..;x" climbs as ".." does.
    if any(segment.partition(";")[0] in (".", "..") for segment in path.split("/")):
        return False
    plain = path.partition(";")[0].rstrip("/").casefold()
    return all(plain != own.rstrip("/").casefold() for own in own_paths)
