"""The answers we give: redirects, pages, problem documents.

Knows: headers, media types, and which reader gets which form.
Must not: decide whether something is refused.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from urllib.parse import quote

from . import advice, pages
from ._core.base import events
from ._core.base.errors import (
    ClientDisabled,
    LoginRequired,
    LoginTooOld,
    MethodNotAllowed,
    NotANavigation,
    NotApproved,
    XWMSError,
)
from ._core.base.lifetimes import ANY_LOGIN, MIN_FRESH, Demand
from ._core.base.models import Ending, Session
from ._core.config.config import XWMSConfig
from ._core.http.fetch_metadata import Kind, kind_of
from ._core.http.messages import Answer, Request
from ._core.http.next_url import MAX_NEXT

# Every answer of ours: never stored, never framed, and its address (which may hold a token) told to nobody.
COMMON = (
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)
NOTHING_LOADS = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def redirect(status: int, location: str, *, cookies: Sequence[str] = ()) -> Answer:
    """Send the browser somewhere; the body is empty, so that nothing is reflected in it."""
    headers = (("Location", location), *COMMON, ("Content-Security-Policy", NOTHING_LOADS))
    return Answer(status=status, headers=headers, cookies=tuple(cookies))


def page(
    status: int, made: pages.Page, *, cookies: Sequence[str] = (), extra: Sequence[tuple[str, str]] = ()
) -> Answer:
    """Show a page of ours."""
    headers = (
        ("Content-Type", "text/html; charset=utf-8"),
        *COMMON,
        ("Content-Security-Policy", made.content_security_policy),
        *extra,
    )
    return Answer(status=status, headers=headers, cookies=tuple(cookies), body=made.html)


def document(
    status: int,
    body: dict[str, object],
    *,
    media_type: str = "application/json",
    cookies: Sequence[str] = (),
    extra: Sequence[tuple[str, str]] = (),
) -> Answer:
    """Give a program JSON."""
    headers = (("Content-Type", media_type), *COMMON, ("Content-Security-Policy", NOTHING_LOADS), *extra)
    return Answer(status=status, headers=headers, cookies=tuple(cookies), body=json.dumps(body))


def login_url(config: XWMSConfig, target: str | None, *, fresh: int | None = None) -> str:
    """The address that starts a login and comes back to `target`, a path and query on this site.

    `fresh` is how old, in seconds, a login may be that makes another one needless; None for any.
    """
    asked = [f"next={quote(target, safe='/')}"] if target else []
    if fresh is not None:
        asked.append(f"fresh={fresh}")
    return f"{config.login_path}?{'&'.join(asked)}" if asked else config.login_path


def needs_login(
    config: XWMSConfig, request: Request, *, ended: Ending | None = None, fresh: int | None = None
) -> Answer:
    """What somebody gets who is not signed in and should be: a redirect, a 401, or HTMX's way to redirect.

    `ended` is why they no longer are. With `fresh` they are, but their login is older than that.
    """
    url = login_url(config, _page_of(config, request), fresh=fresh)
    if kind_of(request) is Kind.PERSON:
        return redirect(302, url)
    if fresh is not None:
        return refusal(config, request, LoginTooOld(f"the login is older than {fresh} s"), url=url)
    cause = "nobody is signed in" if ended is None else f"the session has ended: {ended}"
    return refusal(config, request, LoginRequired(cause), url=url, ended=ended)


def unless_signed_in(
    config: XWMSConfig,
    visit: Callable[[], tuple[Session | None, Ending | None]],
    request: Callable[[], Request],
    *,
    demand: Demand = ANY_LOGIN,
    now: int,
) -> Answer | None:
    """What to answer instead of something that needs a person: None if there is one, with a login as it is demanded.

    A store that is down is its own answer: "cannot tell" must not look like "signed out".
    """
    try:
        session, ended = visit()
        if session is None:
            return needs_login(config, request(), ended=ended)
        if not demand.is_granted(session):
            lost = "this session has no tokens, so nobody knows its scopes: did they not fit into the cookie?"
            granted = "a scope that the page needs was not granted at this login"
            return refusal(config, request(), NotApproved(lost if session.tokens is None else granted))
        if not demand.is_fresh(session, now):
            return needs_login(config, request(), fresh=demand.fresh)
    except XWMSError as error:
        return refusal(config, request(), error)
    return None


def for_failure(
    config: XWMSConfig, request: Request, error: XWMSError, *, session: Session | None, ended: Ending | None, now: int
) -> Answer:
    """What to answer for an application that did not catch our own error."""
    if not isinstance(error, LoginRequired):
        return refusal(config, request, error)
    if session is None:
        return needs_login(config, request, ended=ended)
    # Signed in, but without a token that can be used. Another login gives one; not at once again, or in circles.
    if now - session.started_at > MIN_FRESH:
        return needs_login(config, request, fresh=MIN_FRESH)
    return refusal(config, request, error)


def _page_of(config: XWMSConfig, request: Request) -> str | None:
    """The page to come back to. HTMX asks for parts of a page and says in a header which page that is."""
    current = (request.header("hx-current-url") or "") if kind_of(request) is Kind.HTMX else ""
    for uri in config.registered:
        if current.startswith(uri.origin + "/"):
            return current.removeprefix(uri.origin)
    # A form that was posted cannot be posted again by a redirect; its page is where to go on, and we do not know it.
    # One that is too long to come back to is left out: a Location of ten kilobytes breaks in proxies.
    return request.target if request.method in ("GET", "HEAD") and len(request.target) <= MAX_NEXT else None


def refusal(
    config: XWMSConfig,
    request: Request,
    error: XWMSError,
    *,
    cookies: Sequence[str] = (),
    url: str | None = None,
    ended: Ending | None = None,
) -> Answer:
    """Tell somebody no: a page for a person, RFC 9457 for a program. `url` is where to start again.

    `ended` is why somebody who was signed in no longer is.
    """
    events.refused(error, path=request.path)
    answer = _told(config, request, error, cookies=cookies, url=url, ended=ended)
    return replace(answer, body="") if request.method == "HEAD" else answer


def _told(
    config: XWMSConfig,
    request: Request,
    error: XWMSError,
    *,
    cookies: Sequence[str],
    url: str | None,
    ended: Ending | None,
) -> Answer:
    url = url or config.login_path
    extra: list[tuple[str, str]] = []
    if error.retry_after is not None:
        extra.append(("Retry-After", str(error.retry_after)))
    if isinstance(error, MethodNotAllowed):
        extra.append(("Allow", error.allow))
    kind = kind_of(request)
    advised = advice.for_developer(error, config, request) if config.debug or request.debug else ()
    if kind is Kind.PERSON:
        # Starting again cannot help while the settings are wrong.
        hopeless = isinstance(error, MethodNotAllowed | ClientDisabled) or (error.status == 500)
        made = pages.error_page(
            title=error.title,
            detail=error.detail,
            code=error.code,
            action_url=None if hopeless else url,
            action_label="Log in" if isinstance(error, LoginRequired) else "Try again",
            home_url=config.after_logout,
            advice=advised,
        )
        return page(error.status, made, cookies=cookies, extra=extra)
    body: dict[str, object] = {
        "type": f"urn:xwms-auth:error:{error.code}",
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "detail": error.detail if ended is None else f"{ended.detail} {error.detail}",
    }
    if ended is not None:
        body["reason"] = ended
    if error.status == 401:
        body["login_url"] = url
    if advised:
        body["developer"] = list(advised)
    if kind is Kind.HTMX and isinstance(error, LoginRequired | NotANavigation):
        extra.append(("HX-Redirect", url))
    return document(error.status, body, media_type="application/problem+json", cookies=cookies, extra=extra)


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


def is_made_later(headers: Iterable[tuple[str, str]]) -> bool:
    """Whether an answer's body may still be made after its head was given, so that the session may yet be read.

    A stream of events is not waited for: its first event may come in an hour.
    """
    said = {name.lower(): value.lower() for name, value in headers}
    return "content-length" not in said and not said.get("content-type", "").startswith("text/event-stream")


def marks_of_doubt(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers to add to an application's own answer where nobody could be looked up: it is for now, and for here.

    Also where the application lets it be cached: what it shows was made for nobody who is known.
    """
    said = {(name.lower(), value.lower()) for name, value in headers}
    marks = (("Vary", "Cookie"), ("Cache-Control", "no-store"))
    return [(name, value) for name, value in marks if (name.lower(), value.lower()) not in said]


def marks_of_reading(
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
