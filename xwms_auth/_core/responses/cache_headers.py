"""What an application's response has to say to caches if it depends on the session or on a token (RFC 9111).

What the response says, and what has to ride on it:

                                    nothing                  a renewal              a changed session, or guarded
    `private`, `no-store`           as it is                 with the cookie        with the cookie
    `public`, `s-maxage`, or a      as it is                 as it is: no cookie    made `private`, with the cookie
      header for one kind of cache
    other directives                as it is                 `private` is added, with the cookie
    no Cache-Control                `private, no-store` if somebody is signed in, with the cookie

`Vary: Cookie` is added in each case, and `Vary: Accept-Language` by itself (`for_language`).
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")

Headers = Iterable[tuple[str, str]]

# A comma inside a quoted string separates nothing (RFC 9110 5.6.4).
_QUOTED = r'"(?:[^"\\]|\\.)*(?:"|$)'
_DIRECTIVES = rf'(?:[^",]|{_QUOTED})+'  # patterns, compiled when they are first used

# Exactly these: `private="set-cookie"` is about one header only (RFC 9111 5.2.2.7).
_NOT_SHARED = frozenset(("private", "no-store"))
_SHARED = frozenset(("public", "s-maxage"))


class Edit(NamedTuple):
    """The changes to the headers of a response: the places of those to leave out, and those to append."""

    dropped: frozenset[int]
    added: list[tuple[str, str]]

    def kept(self, headers: Iterable[T]) -> list[T]:
        """The headers that stay, in whatever form the application has given them."""
        return [header for place, header in enumerate(headers) if place not in self.dropped]

    def applied(self, headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """The headers with the changes, as a new list."""
        return [*(self.kept(headers) if self.dropped else headers), *self.added]


def is_shared(headers: Headers) -> bool:
    """Whether the application lets shared caches keep this response. A renewed session then does not ride on it.

    Session leak: a cache that ignores Vary would deliver the cookie to the next visitor (CVE-2025-48947).
    """
    directives: list[str] = []
    for name, value in headers:
        lower = name.lower()
        if lower == "cache-control":
            directives += _directives(value)
        elif _lets_a_cache_keep(lower, value):
            return True
    return _NOT_SHARED.isdisjoint(directives) and any(map(_says_shared, directives))


def is_streamed(headers: Headers) -> bool:
    """Whether the headers wait for the first piece of the body, since producing it may read the session.

    Server-sent events are not waited for: the first event may come after an hour.
    """
    for name, value in headers:
        if name.lower() == "content-type" and value.lower().startswith("text/event-stream"):
            return False
    return True


def for_unknown_session(headers: Headers) -> Edit:
    """The changes if the session could not be looked up: such a response must not be stored.

    Even if the application allows caching, since the content was made for an unknown user.
    """
    return _edit(headers, vary="Cookie", unless=frozenset(("no-store",)), otherwise="no-store", alone="no-store")


def for_session(
    headers: Sequence[tuple[str, str]], *, signed_in: bool, guarded: bool = False, cookie: str | None = None
) -> Edit:
    """The changes if the session was read while the response was made: see the table above.

    Session leak: a cache must not deliver one user's page to another (CVE-2023-30861). `guarded` means that the
    response is for people who are signed in only; `cookie` is the Set-Cookie value that has to ride on it.
    """
    if cookie is None and not concern_caches(headers):
        return _USUAL_EDITS[guarded or signed_in]
    if guarded or cookie is not None:
        edit = _edit(headers, vary="Cookie", unless=_NOT_SHARED, otherwise="private", alone="private, no-store")
        if cookie is not None:
            edit.added.append(("Set-Cookie", cookie))
        return edit
    return _edit(headers, vary="Cookie", alone="private, no-store" if signed_in else None)


def for_language(headers: Headers) -> Edit:
    """The changes if a text in the response is in the language that the visitor's browser asks for."""
    return _edit(headers, vary="Accept-Language", alone=None)


def concern_caches(headers: Sequence[tuple[str, str]]) -> bool:
    """Whether some header of a response concerns caches already. Most have none, and then the changes are the same."""
    for name, _ in headers:  # noqa: SIM110  a generator takes longer, and this is done for every response
        if name not in _PLAIN_NAMES and name.lower().endswith(NAME_ENDINGS):
            return True
    return False


def for_token(headers: Sequence[tuple[str, str]]) -> Edit:
    """The changes if the response was made for an access token: it varies by token and is never shared."""
    for name, _ in headers:
        if name.lower().endswith(NAME_ENDINGS):
            return _for_token(headers)
    return _USUAL_TOKEN_EDIT


def _for_token(headers: Headers) -> Edit:
    return _edit(headers, vary="Authorization", unless=_NOT_SHARED, otherwise="private", alone="private, no-store")


def _edit(
    headers: Headers,
    *,
    vary: str,
    unless: frozenset[str] = frozenset(),
    otherwise: str | None = None,
    alone: str | None,
) -> Edit:
    """Add `vary`, and `alone` if there is no Cache-Control. With `otherwise`, take the response from shared caches.

    That adds the directive `otherwise`, unless one of those in `unless` is there.
    """
    varies, directives, places, dropped = False, list[str](), set[int](), set[int]()
    for place, (name, value) in enumerate(headers):
        lower = name.lower()
        if lower == "vary":
            varies = varies or not {"*", vary.lower()}.isdisjoint(part.strip().lower() for part in value.split(","))
        elif lower == "cache-control":
            directives += re.findall(_DIRECTIVES, value)
            places.add(place)
        elif otherwise is not None and _lets_a_cache_keep(lower, value):
            dropped.add(place)
    added = [] if varies else [("Vary", vary)]
    directives = [stripped for directive in directives if (stripped := directive.strip())]
    if not directives:
        if alone is not None:
            dropped |= places
            added.append(("Cache-Control", alone))
    elif otherwise is not None:
        kept = [directive for directive in directives if not _says_shared(directive)]
        missing = unless.isdisjoint(map(str.lower, kept))
        if missing or len(kept) < len(directives):
            # In one header, and first: some caches read one line only, and a quoted string may never end.
            dropped |= places
            added.append(("Cache-Control", ", ".join([otherwise, *kept] if missing else kept)))
    return Edit(frozenset(dropped), added)


def _directives(value: str) -> Sequence[str]:
    return [directive.strip().lower() for directive in re.findall(_DIRECTIVES, value)]


def _says_shared(directive: str) -> bool:
    """Also where a semicolon or a space stands for the comma, as in `public; max-age=60`: some caches accept that."""
    words = re.split(r"[;\s]+", re.sub(_QUOTED, "", directive.lower()))
    return not _SHARED.isdisjoint(word.partition("=")[0] for word in words)


def _lets_a_cache_keep(name: str, value: str) -> bool:
    """Whether this is a header for one kind of cache that allows it to keep the response.

    A cache that knows such a header ignores Cache-Control (RFC 9213, `CDN-Cache-Control` and others of that ending).
    """
    if name == "x-accel-expires":
        return value.strip() != "0"
    if name not in ("surrogate-control", "edge-control") and not (
        name.endswith("cache-control") and name != "cache-control"
    ):
        return False
    return _NOT_SHARED.isdisjoint(_directives(value))


_PLAIN_NAMES = frozenset(("Content-Type", "Content-Length"))
"""Names that most responses have and that do not concern caches."""

NAME_ENDINGS = ("vary", "-control", "x-accel-expires")
"""The endings of the names of all headers that concern caches."""

_USUAL_EDITS = {
    private: _edit((), vary="Cookie", alone="private, no-store" if private else None) for private in (True, False)
}
_USUAL_TOKEN_EDIT = _for_token(())
