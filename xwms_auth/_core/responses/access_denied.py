"""The response when access to a page is denied: a redirect to the login, a 401, a 403, or an error (RFC 9110 15.5).

Never looks up a session itself.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from ..base.errors import ClockSkew, LoginRequired, LoginTooOld, NotAllowed, NotApproved, XWMSError
from ..base.models import EndReason
from ..base.session import AheadSession, Session
from ..config.config import XWMSConfig
from ..http.fetch_metadata import ClientKind, client_kind, follows_redirects
from ..http.messages import Request, Response
from ..http.next_url import MAX_NEXT
from .login_link import Pairs
from .login_requirement import ANY_LOGIN, MIN_FRESH, LoginRequirement
from .responses import Refusal, login_url, refusal


class Found(Protocol):
    """What is known about the session of a request, as in `SessionLookup`."""

    @property
    def session(self) -> Session | None: ...
    @property
    def ended(self) -> EndReason | None: ...
    @property
    def ahead(self) -> AheadSession | None: ...


def _needs_login(
    config: XWMSConfig, request: Request, found: Found, *, fresh: int | None = None, query: Pairs = ()
) -> Refusal:
    """Return the refusal that requests a login: a redirect, a 401, or an `HX-Redirect` for HTMX.

    With `fresh`, there is a session, but its login is older than `fresh` seconds. `query` is as in `login_url`.
    """
    url = login_url(config, _page_of(config, request), fresh=fresh, query=query)
    ended, ahead = found.ended, found.ahead
    if ahead is not None and ahead.is_second:
        error: XWMSError = ClockSkew(f"the session is {ahead.seconds} s ahead of this clock")
        return Refusal(error, refusal(config, request, error, url=url))
    cookies = () if ahead is None else (ahead.note,)
    if fresh is not None:
        error, ended = LoginTooOld(f"the login is older than {fresh} s"), None
    else:
        error = LoginRequired("there is no session" if ended is None else f"the session has ended: {ended}")
    if client_kind(request) is ClientKind.PERSON and follows_redirects(request):
        response = Response.redirect(302, url, cookies=cookies)
    else:
        response = refusal(config, request, error, cookies=cookies, url=url, ended=ended)
    return Refusal(error, replace(response, shorter=login_url(config, None, fresh=fresh, query=query)), url, ended)


def unless_signed_in(
    config: XWMSConfig,
    lookup: Callable[[], Found],
    request: Callable[[], Request],
    *,
    roles: Callable[[], frozenset[str]] = frozenset,
    requirement: LoginRequirement = ANY_LOGIN,
    query: Callable[[], Pairs] = tuple,
    now: int,
) -> Refusal | None:
    """Return None if the session meets the requirement, otherwise the refusal to send instead.

    `roles` returns those of the person, and `query` the parameters of a login for its URL. A failing store gives an
    error response of its own: "unknown" must not look like "signed out".
    """
    try:
        found = lookup()
        session = found.session
        if session is None:
            return _needs_login(config, request(), found, query=query())
        if not requirement.is_granted(session):
            no_tokens = "the session has no tokens, so its scopes are unknown; perhaps they did not fit into the cookie"
            not_granted = "a scope that the page requires was not granted at this login"
            return _refusal(config, request(), NotApproved(no_tokens if session.tokens is None else not_granted))
        if not requirement.is_met_by(session.user):
            verified = "verified" if session.user.email else "known"
            known = "another domain" if session.user.verified_email else f"no {verified} e-mail address"
            return _refusal(config, request(), NotAllowed(f"the person has {known}"))
        if requirement.roles and requirement.roles.isdisjoint(roles()):
            return _refusal(
                config, request(), NotAllowed(f"not one of the roles {' '.join(sorted(requirement.roles))}")
            )
        if not requirement.is_fresh(session, now):
            return _needs_login(config, request(), found, fresh=requirement.fresh, query=query())
    except XWMSError as error:
        return _refusal(config, request(), error)
    return None


def for_failure(config: XWMSConfig, request: Request, error: XWMSError, *, found: Found, now: int) -> Refusal:
    """Return the refusal for one of our errors that the application did not catch."""
    if not isinstance(error, LoginRequired):
        return _refusal(config, request, error)
    if found.session is None:
        return _needs_login(config, request, found)
    # Signed in, but without a usable token. Another login gives one, but not right after a login (redirect loop).
    if now - found.session.started_at > MIN_FRESH:
        return _needs_login(config, request, found, fresh=MIN_FRESH)
    return _refusal(config, request, error)


def without_account(config: XWMSConfig, request: Request, error: XWMSError, *, found: Found, cookie: str) -> Refusal:
    """Return the refusal for somebody whose account is blocked or gone. `cookie` deletes that of their session."""
    is_gone = isinstance(error, LoginRequired)
    refused = _needs_login(config, request, found) if is_gone else _refusal(config, request, error)
    response = refused.response
    return refused._replace(response=replace(response, cookies=(*response.cookies, cookie)))


def _refusal(config: XWMSConfig, request: Request, error: XWMSError) -> Refusal:
    return Refusal(error, refusal(config, request, error))


def _page_of(config: XWMSConfig, request: Request) -> str | None:
    """The page to return to after the login. For HTMX, which requests fragments, the page is in a header."""
    current = (request.header("hx-current-url") or "") if client_kind(request) is ClientKind.HTMX else ""
    for uri in config.registered:
        if current.startswith(uri.origin + "/"):
            return current.removeprefix(uri.origin)
    if any(current.startswith(f"{origin}/") for origin in config.trusted_origins):
        return current
    # A redirect cannot repeat a POST, and the page of its form is not known here. A target that is too long is left
    # out: a Location of ten kilobytes breaks in proxies.
    return request.target if request.method in ("GET", "HEAD") and len(request.target) <= MAX_NEXT else None
