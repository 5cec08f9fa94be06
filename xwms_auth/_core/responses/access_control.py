"""What somebody gets who may not see a page: a login, a 401, a 403, or what went wrong (RFC 9110 15.5).

Knows: the order of the questions.
Must not: look a session up."""

from collections.abc import Callable

from ..base.errors import LoginRequired, LoginTooOld, NotApproved, XWMSError
from ..base.lifetimes import ANY_LOGIN, MIN_FRESH, LoginRequirement
from ..base.models import EndReason, Session
from ..config.config import XWMSConfig
from ..http.fetch_metadata import ClientKind, client_kind
from ..http.messages import Request, Response
from ..http.next_url import MAX_NEXT
from .responses import login_url, redirect, refusal


def needs_login(
    config: XWMSConfig, request: Request, *, ended: EndReason | None = None, fresh: int | None = None
) -> Response:
    """What somebody gets who is not signed in and should be: a redirect, a 401, or HTMX's way to redirect.

    `ended` is why they no longer are. With `fresh` they are, but their login is older than that.
    """
    url = login_url(config, _page_of(config, request), fresh=fresh)
    if client_kind(request) is ClientKind.PERSON:
        return redirect(302, url)
    if fresh is not None:
        return refusal(config, request, LoginTooOld(f"the login is older than {fresh} s"), url=url)
    cause = "nobody is signed in" if ended is None else f"the session has ended: {ended}"
    return refusal(config, request, LoginRequired(cause), url=url, ended=ended)


def unless_signed_in(
    config: XWMSConfig,
    visit: Callable[[], tuple[Session | None, EndReason | None]],
    request: Callable[[], Request],
    *,
    requirement: LoginRequirement = ANY_LOGIN,
    now: int,
) -> Response | None:
    """What to answer instead of something that needs a person: None if there is one, with a login as it is demanded.

    A store that is down is its own answer: "cannot tell" must not look like "signed out".
    """
    try:
        session, ended = visit()
        if session is None:
            return needs_login(config, request(), ended=ended)
        if not requirement.is_granted(session):
            lost = "this session has no tokens, so nobody knows its scopes: did they not fit into the cookie?"
            granted = "a scope that the page needs was not granted at this login"
            return refusal(config, request(), NotApproved(lost if session.tokens is None else granted))
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
    current = (request.header("hx-current-url") or "") if client_kind(request) is ClientKind.HTMX else ""
    for uri in config.registered:
        if current.startswith(uri.origin + "/"):
            return current.removeprefix(uri.origin)
    # A form that was posted cannot be posted again by a redirect; its page is where to go on, and we do not know it.
    # One that is too long to come back to is left out: a Location of ten kilobytes breaks in proxies.
    return request.target if request.method in ("GET", "HEAD") and len(request.target) <= MAX_NEXT else None
