"""The responses: the JSON envelope of the API, the pages, errors, and the headers of all of them."""

from collections.abc import Mapping
from typing import Final

from flask import Response, jsonify, render_template, request
from werkzeug.exceptions import HTTPException, default_exceptions

from xwms_auth.sandbox.domain.urls import API_PREFIX

OAUTH_CALLS: Final = ("/oauth/token", "/oauth/revoke", "/oauth/introspect", "/oauth/userinfo", "/oauth/jwks")
OAUTH_METADATA: Final = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")
"""The paths for programs besides the API; the other paths are for browsers."""

_CLOSED_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
_PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action "
)
_PAGE_TITLES: Final[Mapping[int, str]] = {
    400: "This request is not valid",
    403: "This is not allowed",
    404: "Page not found",
    410: "This sign-in has ended",
    421: "Not the address of this server",
    501: "OAuth 2.0 is not installed",
}


class Refusal(HTTPException):
    """An error response: an HTTP status and a message that may be shown to anybody.

    link: a URL that helps, from our own settings and never from a request, which an attacker may have written.
    """

    def __init__(self, status: int, message: str, *, link: str = "") -> None:
        super().__init__(message)
        self.code = status
        self.link = link

    @property
    def name(self) -> str:
        known = default_exceptions.get(self.code or 500)
        return known().name if known else "Refused"


def success(message: str, data: Mapping[str, object]) -> Response:
    """200 with the envelope of XWMS."""
    return jsonify(status="success", message=message, data=data)


def page(
    template: str, *, status: int = 200, form_target: str = "", scripts: bool = False, **context: object
) -> Response:
    """An HTML page. `form_target` is a CSP source, besides our own, to which a form may redirect.

    `scripts` allows our own scripts; every page works without them.
    """
    response = Response(render_template(f"sandbox/{template}", **context), status, mimetype="text/html")
    policy = f"{_PAGE_POLICY}'self' {form_target}".rstrip()
    response.headers["Content-Security-Policy"] = f"{policy}; script-src 'self'" if scripts else policy
    return response


def see_other(url: str) -> Response:
    """303 to an absolute URL, without a body, which would contain the token again."""
    response = Response(status=303)
    response.headers["Location"] = url
    return response


def on_error(error: HTTPException) -> Response:
    """Any HTTP error: in the envelope below /api/, as JSON for OAuth calls, and as a page elsewhere."""
    status = error.code or 500
    message = (error.description or error.name) if isinstance(error, Refusal) else f"{error.name}."
    link = error.link if isinstance(error, Refusal) else ""
    for_programs = f"{message} {link}".rstrip()
    if request.path == API_PREFIX or request.path.startswith(f"{API_PREFIX}/"):
        response = jsonify(status="error", message=for_programs, data={})
        response.status_code = status
    elif request.path in (*OAUTH_CALLS, *OAUTH_METADATA):
        response = jsonify(error="invalid_request" if status < 500 else "server_error", error_description=for_programs)
        response.status_code = status
    else:
        title = _PAGE_TITLES.get(status, error.name)
        response = page("message.html", status=status, title=title, message=message, link=link)
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response


def add_headers(response: Response) -> Response:
    """The headers of every response: no caching, no referrer, no content sniffing, no framing."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Content-Security-Policy", _CLOSED_POLICY)
    if response.direct_passthrough:
        _read_whole(response)
    return response


def _read_whole(response: Response) -> None:
    # Werkzeug's server leaves a file open if the browser goes away while it is sent.
    response.direct_passthrough = False
    response.get_data()
    response.close()
