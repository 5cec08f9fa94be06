"""The answers we give: redirects, pages, problem documents.

Knows: headers, media types, and which reader gets which form.
Must not: decide whether something is refused.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote

from ..base import events
from ..base.errors import ClientDisabled, LoginRequired, MethodNotAllowed, NotANavigation, XWMSError
from ..base.models import EndReason
from ..config.config import XWMSConfig
from ..http.fetch_metadata import ClientKind, client_kind
from ..http.messages import Request, Response
from . import developer_hints, pages

# Every answer of ours: never stored, never framed, and its address (which may hold a token) told to nobody.
COMMON = (
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)
NOTHING_LOADS = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def redirect(status: int, location: str, *, cookies: Sequence[str] = ()) -> Response:
    """Send the browser somewhere; the body is empty, so that nothing is reflected in it."""
    headers = (("Location", location), *COMMON, ("Content-Security-Policy", NOTHING_LOADS))
    return Response(status=status, headers=headers, cookies=tuple(cookies))


def page(
    status: int, made: pages.Page, *, cookies: Sequence[str] = (), extra: Sequence[tuple[str, str]] = ()
) -> Response:
    """Show a page of ours."""
    headers = (
        ("Content-Type", "text/html; charset=utf-8"),
        *COMMON,
        ("Content-Security-Policy", made.content_security_policy),
        *extra,
    )
    return Response(status=status, headers=headers, cookies=tuple(cookies), body=made.html)


def document(
    status: int,
    body: dict[str, object],
    *,
    media_type: str = "application/json",
    cookies: Sequence[str] = (),
    extra: Sequence[tuple[str, str]] = (),
) -> Response:
    """Give a program JSON."""
    headers = (("Content-Type", media_type), *COMMON, ("Content-Security-Policy", NOTHING_LOADS), *extra)
    return Response(status=status, headers=headers, cookies=tuple(cookies), body=json.dumps(body))


def login_url(config: XWMSConfig, target: str | None, *, fresh: int | None = None) -> str:
    """The address that starts a login and comes back to `target`, a path and query on this site.

    `fresh` is how old, in seconds, a login may be that makes another one needless; None for any.
    """
    asked = [f"next={quote(target, safe='/')}"] if target else []
    if fresh is not None:
        asked.append(f"fresh={fresh}")
    return f"{config.login_path}?{'&'.join(asked)}" if asked else config.login_path


def refusal(
    config: XWMSConfig,
    request: Request,
    error: XWMSError,
    *,
    cookies: Sequence[str] = (),
    url: str | None = None,
    ended: EndReason | None = None,
) -> Response:
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
    ended: EndReason | None,
) -> Response:
    url = url or config.login_path
    extra: list[tuple[str, str]] = []
    if error.retry_after is not None:
        extra.append(("Retry-After", str(error.retry_after)))
    if isinstance(error, MethodNotAllowed):
        extra.append(("Allow", error.allow))
    kind = client_kind(request)
    advised = developer_hints.hints_for(error, config, request) if config.debug or request.debug else ()
    if kind is ClientKind.PERSON:
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
    if kind is ClientKind.HTMX and isinstance(error, LoginRequired | NotANavigation):
        extra.append(("HX-Redirect", url))
    return document(error.status, body, media_type="application/problem+json", cookies=cookies, extra=extra)
