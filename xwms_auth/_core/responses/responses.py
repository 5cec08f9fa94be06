"""The responses of our own routes: pages and problem documents. Redirects: `Response.redirect`."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, quote_plus

from ..base import events
from ..base.errors import ClientDisabled, LoginRequired, MethodNotAllowed, NotAllowed, NotANavigation, XWMSError
from ..base.models import EndReason
from ..config.config import XWMSConfig
from ..http.fetch_metadata import ClientKind, client_kind, follows_redirects, is_in_turbo_frame
from ..http.messages import COMMON_HEADERS, NO_CONTENT_POLICY, Request, Response
from .presentation import BY_LANGUAGE, presentation_of

if TYPE_CHECKING:
    from .pages import Page


class Refusal(NamedTuple):
    """A refused request: why, and its response. `login_url` is where to log in, if a login would help."""

    error: XWMSError
    response: Response
    login_url: str | None = None
    ended: EndReason | None = None

    @property
    def code(self) -> str:
        """The error code, for a websocket, which gets no response."""
        return self.error.code

    @property
    def problem(self) -> dict[str, object] | None:
        """The problem document (RFC 9457) for the application, if a login would help."""
        return None if self.login_url is None else problem_of(self.error, url=self.login_url, ended=self.ended)


def page(
    status: int,
    content: "Page",
    *,
    cookies: Sequence[str] = (),
    extra: Sequence[tuple[str, str]] = (),
) -> Response:
    """Return one of our own pages."""
    headers = (
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Language", content.language),
        *COMMON_HEADERS,
        ("Content-Security-Policy", content.content_security_policy),
        *((BY_LANGUAGE,) if content.varies else ()),
        *extra,
    )
    return Response(status=status, headers=headers, cookies=tuple(cookies), body=content.html)


def document(
    status: int,
    body: dict[str, object],
    *,
    media_type: str = "application/json",
    cookies: Sequence[str] = (),
    extra: Sequence[tuple[str, str]] = (),
) -> Response:
    """Return a JSON response."""
    headers = (("Content-Type", media_type), *COMMON_HEADERS, ("Content-Security-Policy", NO_CONTENT_POLICY), *extra)
    return Response(status=status, headers=headers, cookies=tuple(cookies), body=json.dumps(body))


def asset(text: str, media_type: str, *, varies: bool | None = None) -> Response:
    """Return a stylesheet or a script that never changes at its address, so that browsers and caches may keep it.

    One that may change says with `varies` whether it depends on `Accept-Language`, and is kept for an hour.
    """
    kept = "public, max-age=31536000, immutable" if varies is None else "public, max-age=3600"
    headers = (
        ("Content-Type", f"{media_type}; charset=utf-8"),
        ("Cache-Control", kept),
        *((BY_LANGUAGE,) if varies else ()),
        *(header for header in COMMON_HEADERS if header[0] != "Cache-Control"),
        ("Content-Security-Policy", NO_CONTENT_POLICY),
    )
    return Response(status=200, headers=headers, body=text)


def login_url(
    config: XWMSConfig, target: str | None, *, fresh: int | None = None, query: Sequence[tuple[str, str]] = ()
) -> str:
    """Return the URL that starts a login and returns to `target`, a path and query on this site.

    `fresh` is the maximum age in seconds of an existing login that makes another one unnecessary; None for any age.
    `query` has the parameters of `login_link.login_query`.
    """
    params = [f"next={quote(target, safe='/')}"] if target else []
    if fresh is not None:
        params.append(f"fresh={fresh}")
    params += [f"{name}={quote_plus(value)}" for name, value in query]
    return f"{config.login_path}?{'&'.join(params)}" if params else config.login_path


def refusal(
    config: XWMSConfig,
    request: Request,
    error: XWMSError,
    *,
    cookies: Sequence[str] = (),
    deferrable: Sequence[str] = (),
    url: str | None = None,
    ended: EndReason | None = None,
    logout_token: str | None = None,
) -> Response:
    """Return an error response: a page for a browser, a problem document (RFC 9457) for a program.

    `cookies` and `deferrable` are as in `Response`. `url` is where to start again; `ended` is why the session has
    ended. With a `logout_token` the page asks whether to log out.
    """
    events.refused(error, path=request.path)
    response = _error_response(config, request, error, cookies=cookies, url=url, ended=ended, logout_token=logout_token)
    response = replace(response, deferrable=tuple(deferrable), shorter=config.login_path, error=error)
    return replace(response, body="") if request.method == "HEAD" else response


def hints_for(error: XWMSError, config: XWMSConfig, request: Request) -> tuple[str, ...]:
    """What a developer is told about an error in debug mode."""
    if not (config.debug or request.debug):
        return ()
    from .hints import developer_hints  # noqa: PLC0415  loaded only in debug mode

    return developer_hints.hints_for(error, config, request)


def _error_response(
    config: XWMSConfig,
    request: Request,
    error: XWMSError,
    *,
    cookies: Sequence[str],
    url: str | None,
    ended: EndReason | None,
    logout_token: str | None,
) -> Response:
    url = config.logout_path if logout_token is not None else (url or config.login_path)
    extra: list[tuple[str, str]] = []
    if error.retry_after is not None:
        extra.append(("Retry-After", str(error.retry_after)))
    if isinstance(error, MethodNotAllowed):
        extra.append(("Allow", error.allow))
    kind = client_kind(request)
    hints = hints_for(error, config, request)
    if kind is ClientKind.PERSON:
        # Starting again cannot help while the configuration, the person or the account is the same.
        is_permanent = isinstance(error, MethodNotAllowed | ClientDisabled | NotAllowed) or error.status in (409, 500)
        look = presentation_of(config, request)
        texts = look.texts
        label = texts.pages.log_in if isinstance(error, LoginRequired) else texts.pages.try_again
        # Where a service worker or a library is in the way, the way on is a form that both leave to the browser.
        by_form = isinstance(error, NotANavigation) or not follows_redirects(request)
        from . import pages  # noqa: PLC0415  loaded with the first page that is shown

        content = pages.error_page(
            title=texts.title_of(error),
            detail=texts.detail_of(error),
            code=error.code,
            action_url=None if is_permanent else url,
            action_label=label if logout_token is None else texts.pages.log_out,
            home_url=config.after_logout,
            form_token=logout_token if logout_token is not None else ("" if by_form else None),
            in_frame=is_in_turbo_frame(request),
            hints=hints,
            look=look,
        )
        return page(error.status, content, cookies=cookies, extra=extra)
    body = problem_of(error, url=url, ended=ended)
    if hints:
        body["developer"] = list(hints)
    if kind is ClientKind.HTMX and isinstance(error, LoginRequired | NotANavigation):
        extra.append(("HX-Redirect", url))
    return document(error.status, body, media_type="application/problem+json", cookies=cookies, extra=extra)


def problem_of(error: XWMSError, *, url: str, ended: EndReason | None = None) -> dict[str, object]:
    """Return the problem document (RFC 9457) of an error. `url` is where to log in, for errors that a login mends."""
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
    return body
