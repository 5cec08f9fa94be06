"""Who calls an API: the access token of a request, or what to answer instead (RFC 6750).

Nothing here looks at the session, and nothing of the session's looks here: a cookie opens no API, which other sites
could then call in a visitor's name, and a token signs nobody in.

Knows: the order of the checks.
Must not: know a framework, or how a token is checked.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ..base.effects import Steps
from ..base.errors import InsufficientScope, XWMSError
from ..base.models import AccessToken
from ..config.context import Context
from ..http.messages import Request, Response
from ..responses.bearer_challenge import bearer_token, refusal

NEEDS_TOKEN = "_xwms_needs_token"
"""The attribute of a view or an endpoint that says so."""


class Refusal(NamedTuple):
    """What to answer instead: `code` is for a websocket, which has no answer."""

    code: str
    answer: Response


def authenticate(
    context: Context, request: Request, *, scopes: Sequence[str], now: int
) -> Steps[AccessToken | Refusal]:
    """The token of this request, good and with all these scopes, or why there is none."""
    try:
        return (yield from _access_token(context, request, scopes, now=now))
    except XWMSError as error:
        return Refusal(error.code, refusal(context.config, request, error, scopes=scopes))


def _access_token(context: Context, request: Request, scopes: Sequence[str], *, now: int) -> Steps[AccessToken]:
    context.config.require_tokens()
    from .token_validation import validate  # noqa: PLC0415  Authlib is loaded only by who uses it

    token = yield from validate(context, bearer_token(request), now=now)
    if missing := set(scopes).difference(token.scopes):
        raise InsufficientScope(f"{len(missing)} of the scopes that are needed were not granted")
    return token
