"""CORS for the routes that pages of trusted origins use by `fetch`: `me_path` and the logout.

Elsewhere no header of CORS is sent. The caller has compared the request's `Origin` exactly.
"""

import re
from dataclasses import replace

from ..http.messages import COMMON_HEADERS, NO_CONTENT_POLICY, Request, Response

_PREFLIGHT_AGE = "600"
"""Seconds that a browser may use the answer to a preflight. Chromium keeps none for longer than two hours."""

_HEADER_NAMES = re.compile(r"[A-Za-z0-9_-]+(?: ?, ?[A-Za-z0-9_-]+)*")
_MAX_HEADER_NAMES = 1000


def preflight(request: Request, method: str) -> Response | None:
    """Return the answer to a CORS preflight of a trusted origin for a route with this method; None if it is none."""
    if request.method != "OPTIONS" or request.header("access-control-request-method") is None:
        return None
    headers = [("Access-Control-Allow-Methods", method), ("Access-Control-Max-Age", _PREFLIGHT_AGE)]
    asked = request.header("access-control-request-headers") or ""
    # Whatever the page's library sends along: these routes read none that could do harm.
    if len(asked) <= _MAX_HEADER_NAMES and _HEADER_NAMES.fullmatch(asked):
        headers.append(("Access-Control-Allow-Headers", asked))
    headers += [*COMMON_HEADERS, ("Content-Security-Policy", NO_CONTENT_POLICY)]
    return readable(Response(status=200, headers=tuple(headers)), request)


def readable(response: Response, request: Request | None) -> Response:
    """Let the page of a trusted origin that sent this request read the response. None: it comes from elsewhere."""
    headers = [*response.headers, ("Vary", "Origin")]
    if request is not None:
        headers.append(("Access-Control-Allow-Origin", request.header("origin") or ""))
        headers.append(("Access-Control-Allow-Credentials", "true"))
    return replace(response, headers=tuple(headers))
