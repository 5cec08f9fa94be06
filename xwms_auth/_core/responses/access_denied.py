"""The response when access to a page is denied: a redirect to the login, a 401, a 403, or an error (RFC 9110 15.5).

Never looks up a session itself.
"""

from collections.abc import Callable

from ..base.errors import LoginRequired, LoginTooOld, NotApproved, XWMSError
from ..base.models import EndReason
from ..base.session import ANY_LOGIN, MIN_FRESH, LoginRequirement, Session
from ..config.config import XWMSConfig
from ..http.fetch_metadata import ClientKind, client_kind
from ..http.messages import Request, Response
from ..http.next_url import MAX_NEXT
from .responses import login_url, refusal


def needs_login(
    config: XWMSConfig, request: Request, *, ended: EndReason | None = None, fresh: int | None = None
) -> Response:
    """Return the response that requests a login: a redirect, a 401, or an `HX-Redirect` for HTMX.

    `ended` is why the session has ended. With `fresh`, there is a session, but its login is older than `fresh` seconds.
    """
    url = login_url(config, _page_of(config, request), fresh=fresh)
    if client_kind(request) is ClientKind.PERSON:
        return Response.redirect(302, url)
    if fresh is not None:
        return refusal(config, request, LoginTooOld(f"the login is older than {fresh} s"), url=url)
    cause = "there is no session" if ended is None else f"the session has ended: {ended}"
    return refusal(config, request, LoginRequired(cause), url=url, ended=ended)


def unless_signed_in(
    config: XWMSConfig,
    lookup: Callable[[], tuple[Session | None, EndReason | None]],
    request: Callable[[], Request],
    *,
    requirement: LoginRequirement = ANY_LOGIN,
    now: int,
) -> Response | None:
    """Return None if the session meets the requirement, otherwise the response to send instead.

    A failing store gives an error response of its own: "unknown" must not look like "signed out".
    """
    try:
        session, ended = lookup()
        if session is None:
            return needs_login(config, request(), ended=ended)
        if not requirement.is_granted(session):
            no_tokens = "the session has no tokens, so its scopes are unknown; perhaps they did not fit into the cookie"
            not_granted = "a scope that the page requires was not granted at this login"
            return refusal(config, request(), NotApproved(no_tokens if session.tokens is None else not_granted))
        if not requirement.is_fresh(session, now):
            return needs_login(config, request(), fresh=requirement.fresh)
    except XWMSError as error:
        return refusal(config, request(), error)
    return None


def for_failure(
    config: XWMSConfig,
    request: Request,
    error: XWMSError,
    *,
    session: Session | None,
    ended: EndReason | None,
    now: int,
) -> Response:
    """Return the response for one of our errors that the application did not catch."""
    if not isinstance(error, LoginRequired):
        return refusal(config, request, error)
    if session is None:
        return needs_login(config, request, ended=ended)
    # Signed in, but without a usable token. Another login gives one, but not right after a login (redirect loop).
    if now - session.started_at > MIN_FRESH:
        return needs_login(config, request, fresh=MIN_FRESH)
    return refusal(config, request, error)


def _page_of(config: XWMSConfig, request: Request) -> str | None:
    """The page to return to after the login. For HTMX, which requests fragments, the page is in a header."""
    current = (request.header("hx-current-url") or "") if client_kind(request) is ClientKind.HTMX else ""
    for uri in config.registered:
        if current.startswith(uri.origin + "/"):
            return current.removeprefix(uri.origin)
    # A redirect cannot repeat a POST, and the page of its form is not known here. A target that is too long is left
    # out: a Location of ten kilobytes breaks in proxies.
    return request.target if request.method in ("GET", "HEAD") and len(request.target) <= MAX_NEXT else None
