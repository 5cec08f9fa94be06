"""Strict parsing of the Cookie header, and building of Set-Cookie values.

Cookie tossing: frameworks repair what browsers send. Starlette strips a stray byte before a name, Werkzeug unquotes
values, and of two cookies with the same name one framework takes the first and the other the last. Each repair lets a
sibling subdomain replace a `__Host-` cookie with its own. So the raw header is parsed here, and nothing is repaired.
"""

from dataclasses import dataclass

MAX_SET_COOKIE = 4096
"""Bytes of a whole Set-Cookie value, attributes included. Browsers silently drop a larger cookie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieNames:
    """The names of our cookies, and whether they are for https. `login` is the prefix for those of pending logins."""

    session: str
    login: str
    secure: bool


# `__Host-` makes the browser refuse the cookie unless it is Secure, has Path=/ and no Domain (RFC 6265bis 4.1.3.2).
# WebKit drops such cookies on http://localhost, so plain http uses separate names, which are never read over https.
HTTPS = CookieNames(session="__Host-xwms_session", login="__Host-xwms_login_", secure=True)
HTTP = CookieNames(session="xwms_session", login="xwms_login_", secure=False)


def read_cookie(header: str, name: str) -> str | None:
    """Return the value of the cookie with this name, or None if there is no such cookie or more than one.

    Two cookies with the same name mean that somebody else set one of them, and nothing tells which.
    """
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


def fits(name: str, value: str) -> bool:
    """Whether the cookie is small enough for browsers to store it."""
    return len(set_cookie(name, value, secure=True, max_age=34_560_000)) <= MAX_SET_COOKIE
