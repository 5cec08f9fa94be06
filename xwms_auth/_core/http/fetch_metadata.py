"""What kind of request is this, and may it do what it asks?

Fetch Metadata (the `Sec-Fetch-*` headers) is what a browser says about a request, and no page can forge it.
Every current browser sends it over https and to localhost. Measured in Chromium and Firefox: at the start of a login
`Sec-Fetch-Site` tells an honest start (same-origin, none) from one that another site caused (cross-site, same-site),
through a protected page's redirect too; `img`, `iframe` and prefetch reach every route and show in Dest, Mode, Purpose.

Knows: headers.
Must not: know paths, cookies or sessions.
"""

from collections.abc import Collection
from enum import Enum

from ..base.errors import CrossSite, NotANavigation
from .messages import Request
from .urls import Address, RedirectURI, login_url_fault, origin_of


class ClientKind(Enum):
    """Who reads the answer."""

    PERSON = "a browser that shows a page"
    PROGRAM = "fetch, XHR or an API client"
    HTMX = "HTMX, which swaps a part of a page"


def client_kind(request: Request) -> ClientKind:
    """Tell who reads the answer. A client that shows no sign of being a browser is a program."""
    if request.header("hx-request") == "true":
        return ClientKind.HTMX
    mode = request.header("sec-fetch-mode")
    if mode is not None:
        return ClientKind.PERSON if mode == "navigate" else ClientKind.PROGRAM
    # After Sec-Fetch-Mode, because Android's web view puts the app's name here when it navigates.
    if (request.header("x-requested-with") or "").lower() == "xmlhttprequest":
        return ClientKind.PROGRAM
    return ClientKind.PERSON if "text/html" in (request.header("accept") or "") else ClientKind.PROGRAM


def is_prefetch(request: Request) -> bool:
    """Whether the browser fetches this beforehand, without anybody having asked for it yet."""
    return "prefetch" in f"{request.header('sec-purpose')} {request.header('purpose')}"


def require_navigation(request: Request) -> None:
    """Refuse anything but a person's top-level navigation, where the browser says what it is."""
    mode, dest = request.header("sec-fetch-mode"), request.header("sec-fetch-dest")
    if not is_prefetch(request) and mode in (None, "navigate") and dest in (None, "document"):
        return
    cause = f"Sec-Fetch-Mode {mode}, Sec-Fetch-Dest {dest}, Sec-Purpose {request.header('sec-purpose')}"
    if request.header("sec-fetch-site") in ("cross-site", "same-site"):
        raise CrossSite(cause)
    raise NotANavigation(cause)


def began_here(request: Request, uri: RedirectURI) -> bool:
    """Whether a person began this login on our own site, or by typing or bookmarking its address.

    A page of ours that is opened by another site may go to the login by a script of its own (a single-page application
    does, and HTMX on `HX-Redirect`), which looks same-origin: what tells a person's hand is `Sec-Fetch-User`. Safari
    does not send that header, so there only a form counts as a hand.
    """
    site, user = request.header("sec-fetch-site"), request.header("sec-fetch-user")
    if request.method == "POST":
        # That it is our own form has been checked (`is_own_post`).
        return user == "?1" or not _tells_hands(request)
    if site is not None:
        return site == "none" or (site == "same-origin" and user == "?1")
    # No current browser is silent over https or to this machine. What is left are programs, which nobody deceives.
    referer = request.header("referer")
    return "mozilla/" not in _user_agent(request) and (referer is None or origin_of(referer) == uri.origin)


def _tells_hands(request: Request) -> bool:
    """Whether this browser sends `Sec-Fetch-User` when a person clicks: Chromium and Firefox do, on every platform
    where they bring their own engine.
    """
    agent = _user_agent(request)
    return request.header("sec-fetch-site") is not None and ("chrome/" in agent or "firefox/" in agent)


def _user_agent(request: Request) -> str:
    return (request.header("user-agent") or "").lower()


def is_own_post(request: Request, uri: RedirectURI) -> bool:
    """Whether a form on our own site sent this. Every browser says so in one of two headers; silence is a no.

    Under `Referrer-Policy: no-referrer` a form of our own has `Origin: null`, which is only believed
    when the browser itself calls the request same-origin.
    """
    site, origin = request.header("sec-fetch-site"), request.header("origin")
    if site is None:
        return origin == uri.origin
    if site != "same-origin":
        return False
    # The site may have been opened under another name than the redirect URI's, and is its own origin there too.
    return origin in (None, "null", uri.origin) or origin.partition("://")[2] == request.header("host")


def require_sent_by_xwms(request: Request, uri: RedirectURI, *, api: Address, login_origins: Collection[str]) -> None:
    """Refuse a callback that some page other than XWMS sent here, as far as headers tell.

    A sibling subdomain shows as same-site, a page of our own as same-origin; XWMS is neither, unless it lives there.
    Absent headers and `none` (an app or a mail handed the address over) pass: the pending login is what decides.
    """
    site, referer = request.header("sec-fetch-site"), request.header("referer")

    def is_xwms(origin: str) -> bool:
        return login_url_fault(origin, origins=login_origins, api=api) is None

    hosts = [api.host, *(origin.partition("://")[2].partition(":")[0] for origin in login_origins)]
    if site == "same-origin" and not is_xwms(uri.origin):
        raise CrossSite("the callback was opened by a page of this site")
    if site == "same-site" and not any(_same_site(uri.host, host) for host in hosts):
        raise CrossSite("the callback was opened by a sibling site")
    if referer is not None:
        origin = origin_of(referer)
        if origin is None or (origin != uri.origin and not is_xwms(origin)):
            raise CrossSite("the callback was opened by a page that is neither XWMS's nor ours")


def _same_site(one: str, other: str) -> bool:
    """Whether two hosts may count as one site. Errs towards yes: a public suffix list is not worth its upkeep here."""
    return one == other or one.split(".")[-2:] == other.split(".")[-2:]
