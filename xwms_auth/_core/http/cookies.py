"""Cookies, read strictly and written in one form.

Frameworks repair what browsers send: Starlette strips a stray byte before a name, Werkzeug unquotes values, one takes
the first of two equal names and the other the last. Each repair lets a sibling subdomain put its own cookie in the
place of a `__Host-` one. So the raw header is read here, and nothing is repaired.

Knows: names, attributes and sizes.
Must not: know what a value means.
"""

from dataclasses import dataclass

MAX_SET_COOKIE = 4096
"""Bytes of a whole Set-Cookie line, attributes included. Browsers drop a larger cookie without a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieNames:
    """Our cookies, and whether they are for https. `login` begins the name of each pending login's own."""

    session: str
    login: str
    secure: bool


# `__Host-` makes the browser refuse the cookie unless it is Secure, has Path=/ and no Domain (RFC 6265bis 4.1.3.2).
# WebKit drops such cookies on http://localhost, so plain http has names of its own, which https never reads.
HTTPS = CookieNames(session="__Host-xwms_session", login="__Host-xwms_login_", secure=True)
HTTP = CookieNames(session="xwms_session", login="xwms_login_", secure=False)


def read_cookie(header: str, name: str) -> str | None:
    """Return the value of the one cookie of this name, or None if there is none, or more than one.

    Two cookies of one name mean that somebody else set one of them, and no rule tells which.
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
    """Whether only a semicolon, spaces and tabs stand before this place. Other white space is part of a name."""
    at -= 1
    while at >= 0 and header[at] in " \t":
        at -= 1
    return at < 0 or header[at] == ";"


def read_cookies(header: str, prefix: str) -> dict[str, str]:
    """Return the cookies whose names begin so, by the rest of the name; of a name that comes twice, none."""
    found: dict[str, str] = {}
    twice: set[str] = set()
    for part in header.split(";"):
        name, sign, value = part.strip(" \t").partition("=")
        if sign and name.startswith(prefix):
            rest = name[len(prefix) :]
            if rest in found:
                twice.add(rest)
            found[rest] = value
    return {rest: value for rest, value in found.items() if rest not in twice}


def set_cookie(name: str, value: str, *, secure: bool, max_age: int) -> str:
    """Return a Set-Cookie value. `max_age` is in seconds; 0 deletes the cookie, with the attributes it was set with."""
    attributes = f"; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax"
    return f"{name}={value}{attributes}{'; Secure' if secure else ''}"


def fits(name: str, value: str) -> bool:
    """Whether a browser will keep a cookie of this size."""
    return len(set_cookie(name, value, secure=True, max_age=34_560_000)) <= MAX_SET_COOKIE
