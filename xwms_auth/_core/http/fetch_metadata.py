"""Request checks based on Fetch Metadata (the `Sec-Fetch-*` headers), Origin and Referer.

No page can forge Fetch Metadata, and every current browser sends it over https and to localhost. Measured in Chromium
and Firefox: at the start of a login `Sec-Fetch-Site` distinguishes a start on our own site (same-origin, none) from one
caused by another site (cross-site, same-site), also through a protected page's redirect; `img`, `iframe` and prefetch
requests reach every route and are recognised by Dest, Mode and Purpose.

A service worker of the site that passes navigations on takes most of that away (docs/begun-here.md has what was
measured): see `is_by_worker`.
"""

from collections.abc import Collection
from enum import Enum

from ..base.errors import CrossSite, NotANavigation
from .messages import Request
from .urls import ParsedURL, RedirectURI, login_url_fault, origin_of

_TURBO_STREAM = "text/vnd.turbo-stream.html"


class ClientKind(Enum):
    """What consumes the response."""

    PERSON = "a browser that shows a page"
    PROGRAM = "fetch, XHR or an API client"
    HTMX = "HTMX, which swaps a part of a page"


def client_kind(request: Request) -> ClientKind:
    """Return what consumes the response. A client without any sign of a browser counts as a program."""
    if request.header("hx-request") == "true":
        return ClientKind.HTMX
    mode = request.header("sec-fetch-mode")
    if mode == "navigate" or _is_marked_as_navigation(request) or _is_by_page_library(request):
        return ClientKind.PERSON
    if mode is not None:
        return ClientKind.PROGRAM
    # Checked after Sec-Fetch-Mode, because Android's WebView sends the app's name here when it navigates.
    if (request.header("x-requested-with") or "").lower() == "xmlhttprequest":
        return ClientKind.PROGRAM
    return ClientKind.PERSON if "text/html" in (request.header("accept") or "") else ClientKind.PROGRAM


def is_by_worker(request: Request) -> bool:
    """Whether a service worker of this site has passed a navigation on, as `fetch(event.request)` does.

    The browser then no longer says whether the navigation was in a frame or at the top, nor whether a person acted.
    Who caused it is said truthfully by Chromium alone, and only where the worker did not build a new request: otherwise
    mode and site are `same-origin`, also for what another site caused.
    """
    mode, dest = request.header("sec-fetch-mode"), request.header("sec-fetch-dest")
    # No script can send mode `navigate`; one of this site can send mode `same-origin`, and usually does not mark it.
    return dest == "empty" and (mode == "navigate" or (mode == "same-origin" and _is_marked_as_navigation(request)))


def is_rebuilt_by_worker(request: Request) -> bool:
    """Whether the worker has built a new request, so that nothing tells which site caused it."""
    return is_by_worker(request) and request.header("sec-fetch-mode") == "same-origin"


def follows_redirects(request: Request) -> bool:
    """Whether a person's browser can follow a redirect here.

    It cannot where a service worker fetches the address of a page (mode `cors`): the worker follows the redirect
    itself, and browsers show no page that came so. Nor where Turbo or Unpoly fetch it: no script may follow a redirect
    to another origin.
    """
    return request.header("sec-fetch-mode") != "cors" and not _is_by_page_library(request)


def is_in_turbo_frame(request: Request) -> bool:
    """Whether Turbo fetched this for a part of its page."""
    return request.header("turbo-frame") is not None


def _is_by_page_library(request: Request) -> bool:
    """Whether Turbo or Unpoly fetched this and shows an answer only if it is HTML, whatever its status.

    What Turbo fetches for a link it opens as a page by itself if the answer is not HTML. Only scripts of this site can
    send these headers: other origins need CORS for them.
    """
    if is_in_turbo_frame(request) or request.header("x-up-target") is not None:
        return True
    # Turbo 7 sends no X-Turbo-Request-Id.
    is_by_turbo = request.header("x-turbo-request-id") is not None or _TURBO_STREAM in (request.header("accept") or "")
    return is_by_turbo and request.method not in ("GET", "HEAD")


def _is_marked_as_navigation(request: Request) -> bool:
    """Whether the request has the header that browsers add to navigations.

    It stays when a service worker passes the headers on. A script could add it, but only one of this site.
    """
    return request.header("upgrade-insecure-requests") == "1"


def is_passive(value: str | None, site: str | None) -> bool:
    """Whether a request with this `XWMS-Passive` and this `Sec-Fetch-Site` is no sign of an active person.

    With the header a script of the site looks without renewing the session. The worst that it can do is to let a
    session end early.
    """
    return value == "1" and site in (None, "same-origin")


def is_prefetch(request: Request) -> bool:
    """Whether the browser fetches this speculatively, before the user has navigated."""
    return "prefetch" in f"{request.header('sec-purpose')} {request.header('purpose')}"


def require_navigation(request: Request) -> None:
    """Raise unless this is a top-level navigation, or may be one (`is_by_worker`).

    Requests without Fetch Metadata pass.
    """
    mode, dest = request.header("sec-fetch-mode"), request.header("sec-fetch-dest")
    is_navigation = mode in (None, "navigate") and dest in (None, "document")
    if (is_navigation or is_by_worker(request)) and not is_prefetch(request):
        return
    cause = f"Sec-Fetch-Mode {mode}, Sec-Fetch-Dest {dest}, Sec-Purpose {request.header('sec-purpose')}"
    if request.header("sec-fetch-site") in ("cross-site", "same-site"):
        raise CrossSite(cause)
    raise NotANavigation(cause)


def began_here(request: Request, uri: RedirectURI) -> bool:
    """Whether the user began this login on our own site, or by typing the URL or opening a bookmark.

    Login CSRF: a page of ours that another site has opened may navigate to the login by script (a single-page
    application does, and HTMX on `HX-Redirect`), which looks same-origin. `Sec-Fetch-User` shows that the user acted.
    Safari does not send that header, so there only a form submission counts as the user's action.
    """
    if is_by_worker(request):
        return False
    site, user = request.header("sec-fetch-site"), request.header("sec-fetch-user")
    if request.method == "POST":
        # The caller has checked that it is our own form (`is_own_post`).
        return user == "?1" or not _sends_fetch_user(request)
    if site is not None:
        return site == "none" or (site == "same-origin" and user == "?1")
    # Every current browser sends Sec-Fetch-Site over https and to localhost. The rest are programs, which login CSRF
    # does not affect.
    referer = request.header("referer")
    return "mozilla/" not in _user_agent(request) and (referer is None or origin_of(referer) == uri.origin)


def _sends_fetch_user(request: Request) -> bool:
    """Whether this browser sends `Sec-Fetch-User` on a click.

    Chromium and Firefox do, on every platform where they use their own engine.
    """
    agent = _user_agent(request)
    return request.header("sec-fetch-site") is not None and ("chrome/" in agent or "firefox/" in agent)


def _user_agent(request: Request) -> str:
    return (request.header("user-agent") or "").lower()


def is_own_post(request: Request, uri: RedirectURI) -> bool:
    """Whether a form on our own site sent this POST (CSRF). Without Sec-Fetch-Site and Origin it counts as foreign.

    Under `Referrer-Policy: no-referrer` a form of our own has `Origin: null`, which is accepted only
    when Sec-Fetch-Site is same-origin. Through a service worker neither is proof: a rebuilt request has our own Origin,
    whoever posted it, and WebKit says `same-origin` of every POST.
    """
    site, origin = request.header("sec-fetch-site"), request.header("origin")
    if site is None:
        return origin == uri.origin
    if site != "same-origin" or is_rebuilt_by_worker(request):
        return False
    if is_by_worker(request) and origin in (None, "null"):
        return False
    # The site may be open under another host name than the redirect URI's; its own origin counts there too.
    return origin in (None, "null", uri.origin) or origin.partition("://")[2] == request.header("host")


def require_sent_by_xwms(request: Request, uri: RedirectURI, *, api: ParsedURL, login_origins: Collection[str]) -> None:
    """Raise `CrossSite` if the headers show that a page other than XWMS's opened the callback.

    A sibling subdomain appears as same-site, a page of our own as same-origin; XWMS is neither, unless it is hosted
    there. Absent headers and `none` (the URL was opened from an app or an e-mail) pass: the pending login decides.
    So does a request that a service worker has rebuilt, which always says `same-origin`.
    """
    site, referer = request.header("sec-fetch-site"), request.header("referer")

    def is_xwms(origin: str) -> bool:
        return login_url_fault(origin, origins=login_origins, api=api) is None

    hosts = [api.host, *(origin.partition("://")[2].partition(":")[0] for origin in login_origins)]
    if site == "same-origin" and not is_xwms(uri.origin) and not is_rebuilt_by_worker(request):
        raise CrossSite("the callback was opened by a page of this site")
    if site == "same-site" and not any(_same_site(uri.host, host) for host in hosts):
        raise CrossSite("the callback was opened by a sibling site")
    if referer is not None:
        origin = origin_of(referer)
        if origin is None or (origin != uri.origin and not is_xwms(origin)):
            raise CrossSite("the callback was opened by a page that is neither on XWMS nor on this site")


def _same_site(one: str, other: str) -> bool:
    """Whether two hosts may be same-site. Errs towards yes: a public suffix list is not worth maintaining here."""
    return one.split(".")[-2:] == other.split(".")[-2:]
