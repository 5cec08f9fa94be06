"""The header `Authorization: Bearer` of an API call, and how a call without a good token is refused (RFC 6750).

One header is the one place where a token may be. In the address it would reach logs, history and Referer, and a form's
field is what another site can make a browser send (RFC 9700 4.3.2); a cookie travels whether anybody meant it or not.

Knows: the header's form, the challenge, and what an answer needs that was made for one token.
Must not: know whether a token is good, or look anywhere but in the header.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from ..base import events
from ..base.errors import BearerRefused, InvalidBearerRequest, TokenRequired, XWMSError
from ..base.secrets import Secret
from ..config.config import XWMSConfig
from ..http.messages import Request, Response
from . import developer_hints, responses

MAX_BEARER = 16 * 1024
"""Characters of a token; servers take no more than that in a header anyway."""

# RFC 6750 2.1; the name of a scheme has no case (RFC 9110 11.1).
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)
# Two headers come as one that is joined by a comma, and no token has one.
_NAMES_BEARER = re.compile(r"(?:^|,)[ \t]*bearer(?:[ ,]|$)", re.IGNORECASE)
# RFC 6749 3.3, which is also why a scope can stand between quotes as it is.
_SCOPE = re.compile(r"[!#-\[\]-~]+")


def bearer_token(request: Request) -> Secret:
    """The one token that the call brings. Raises `TokenRequired` or `InvalidBearerRequest`."""
    header = (request.header("authorization") or "").strip(" \t")
    found = _BEARER.fullmatch(header) if len(header) <= MAX_BEARER else None
    if found is not None:
        return Secret(found[1])
    if _NAMES_BEARER.search(header[:MAX_BEARER]):
        raise InvalidBearerRequest("the header Authorization has not exactly one token of a possible form")
    raise TokenRequired("there is no access token")


def parse_scopes(scopes: str | Sequence[str]) -> tuple[str, ...]:
    """The scopes that an endpoint asks for; one string may name several. Raises ValueError for what is no scope."""
    names = tuple(scopes.split() if isinstance(scopes, str) else scopes)
    if not all(isinstance(name, str) and _SCOPE.fullmatch(name) for name in names):
        raise ValueError("a scope is visible ASCII without spaces, quotes and backslashes")
    return names


def refusal(config: XWMSConfig, request: Request, error: XWMSError, *, scopes: Sequence[str]) -> Response:
    """Tell a program no: RFC 9457, and where it is about the token the challenge of RFC 6750 3.

    Never a page and never an address to log in at: a person's login would not help the program.
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
    if (config.debug or request.debug) and (advised := developer_hints.hints_for(error, config, request)):
        body["developer"] = list(advised)
    answer = responses.document(error.status, body, media_type="application/problem+json", extra=extra)
    return replace(answer, body="") if request.method == "HEAD" else answer


def _challenge(config: XWMSConfig, error: BearerRefused, scopes: Sequence[str]) -> str:
    # Who shows no token is told no error, only that one is needed and for what (RFC 6750 3.1).
    realm = config.domain.replace("\\", "\\\\").replace('"', '\\"')
    told = {"realm": realm, "error": error.error, "scope": " ".join(scopes)}
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in told.items() if value)
