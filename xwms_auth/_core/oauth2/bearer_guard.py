"""Authentication of API requests by access token (RFC 6750).

CSRF: never looks at the session. A cookie gives no access to an API, which other sites could then call on behalf of a
visitor; and a token signs nobody in.
"""

from collections.abc import Callable, Sequence
from functools import cache

from ..base.bearer_errors import InsufficientScope
from ..base.effects import Steps
from ..base.errors import XWMSError
from ..base.models import AccessToken
from ..config.context import Context
from ..http.messages import Request
from ..responses.bearer_challenge import bearer_token, refusal
from ..responses.responses import Refusal

NEEDS_TOKEN = "_xwms_needs_token"
"""The attribute that marks a view or an endpoint as needing an access token."""


def authenticate(
    context: Context, authorization: str, request: Callable[[], Request], *, scopes: Sequence[str], now: int
) -> Steps[AccessToken | Refusal]:
    """Return the access token of a request if it is valid and has all these scopes; otherwise a `Refusal`.

    `authorization` is the header of this name, and `request` returns the whole request, for a refusal.
    """
    try:
        context.require_settings()
        context.config.require_tokens()
        token = yield from _validation()(context, bearer_token(authorization), now=now)
        if missing := set(scopes).difference(token.scopes):
            raise InsufficientScope(f"{len(missing)} of the required scopes were not granted")
    except XWMSError as error:
        return Refusal(error, refusal(context.config, request(), error, scopes=scopes))
    return token


@cache
def _validation() -> Callable[..., Steps[AccessToken]]:
    from .token_validation import validate  # noqa: PLC0415  Authlib is imported only where it is used

    return validate
