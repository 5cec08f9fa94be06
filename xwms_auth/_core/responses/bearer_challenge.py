"""Parsing of `Authorization: Bearer` headers, and error responses with the `WWW-Authenticate` challenge (RFC 6750).

A token is accepted in this header only. In the URL it would reach logs, history and Referer (RFC 9700 4.3.2). Form
fields and cookies allow CSRF: another site can make a browser send them.
"""

import re
import string
from collections.abc import Sequence
from dataclasses import replace

from ..base import events
from ..base.bearer_errors import BearerRefused, InvalidBearerRequest, TokenRequired
from ..base.errors import XWMSError
from ..base.models import Secret
from ..base.strict_json import is_scope
from ..config.config import XWMSConfig
from ..http.messages import Request, Response
from . import responses

MAX_SCOPES = 1000
"""Characters of the scopes that a challenge names. They are a hint, which a longer list does without."""

MAX_BEARER = 16 * 1024
"""Characters of the Authorization header; servers rarely accept longer headers anyway."""

_TOKEN = f"{string.ascii_letters}{string.digits}-._~+/".encode()
"""The characters of a token, except the "=" that may follow them (RFC 6750 2.1)."""

# Repeated headers are joined by a comma, which no token contains.
_NAMES_BEARER = re.compile(r"(?:^|,)[ \t]*bearer(?:[ ,]|$)", re.IGNORECASE)


def bearer_token(authorization: str) -> Secret:
    """Return the access token in an `Authorization` header. Raises `TokenRequired` or `InvalidBearerRequest`.

    The values of a repeated header are joined by a comma; without one it is empty.
    """
    header = authorization.strip(" \t")
    # Scheme names are case-insensitive (RFC 9110 11.1).
    if len(header) <= MAX_BEARER and header[:7].lower() == "bearer " and header.isascii():
        token = header[7:].lstrip(" ")
        characters = token.encode().rstrip(b"=")
        if characters and not characters.translate(None, delete=_TOKEN):
            return Secret(token)
    if _NAMES_BEARER.search(header[:MAX_BEARER]):
        raise InvalidBearerRequest("the Authorization header does not have exactly one well-formed token")
    raise TokenRequired("there is no access token")


def parse_scopes(scopes: str | Sequence[str]) -> tuple[str, ...]:
    """Return the scopes that an endpoint requires; one string may list several. Raises ValueError if one is invalid."""
    names = tuple(scopes.split() if isinstance(scopes, str) else scopes)
    if not all(map(is_scope, names)):
        raise ValueError("a scope must be visible ASCII without spaces, quotes and backslashes")
    return names


def refusal(config: XWMSConfig, request: Request, error: XWMSError, *, scopes: Sequence[str]) -> Response:
    """Return a problem document (RFC 9457), with the challenge of RFC 6750 3 if the error is about the token.

    Never a page and never a login URL: a user's login would not help the API client.
    """
    events.refused(error, path=request.path)
    extra = [("Vary", "Authorization")]
    if isinstance(error, BearerRefused):
        extra.append(("WWW-Authenticate", _challenge(config, error, scopes)))
    if error.retry_after is not None:
        extra.append(("Retry-After", str(error.retry_after)))
    body: dict[str, object] = {
        "type": f"urn:xwms-auth:error:{error.code}",
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "detail": error.detail,
    }
    if hints := responses.hints_for(error, config, request):
        body["developer"] = list(hints)
    response = responses.document(error.status, body, media_type="application/problem+json", extra=extra)
    return replace(response, body="") if request.method == "HEAD" else response


def _challenge(config: XWMSConfig, error: BearerRefused, scopes: Sequence[str]) -> str:
    # A request without a token gets no error code, only the realm and the scopes (RFC 6750 3.1).
    realm = config.domain.replace("\\", "\\\\").replace('"', '\\"')
    # A scope contains no quote and no backslash, so it needs no escaping.
    scope = " ".join(scopes)
    params = {"realm": realm, "error": error.error, "scope": scope if len(scope) <= MAX_SCOPES else None}
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in params.items() if value)
