"""The refusals of an API call without a valid access token, below those of `errors.py`.

RequestRefused
└── BearerRefused
    ├── TokenRequired              token_required          401
    ├── InvalidBearerRequest       invalid_bearer_request  400
    ├── InvalidToken               invalid_token           401    expired, revoked, or not intended for this API
    └── InsufficientScope          insufficient_scope      403
"""

from typing import ClassVar

from .errors import RequestRefused


class BearerRefused(RequestRefused):
    """An API call without a valid access token. `error` is the error code of RFC 6750 3.1, if there is one."""

    error: ClassVar[str | None] = None


class TokenRequired(BearerRefused):
    """The API call has no access token."""

    code = "token_required"
    status = 401
    title = "An access token is required"
    detail = "Send an access token in the header Authorization: Bearer."


class InvalidBearerRequest(BearerRefused):
    """The `Authorization` header of the API call has several tokens, or a malformed one."""

    code = "invalid_bearer_request"
    error = "invalid_request"
    title = "The access token is not sent correctly"
    detail = "Send one header Authorization: Bearer, with one access token."


class InvalidToken(BearerRefused):
    """The access token is unknown, expired, revoked, or not intended for this API: one response for all of them."""

    code = "invalid_token"
    status = 401
    error = "invalid_token"
    title = "The access token cannot be used"
    detail = "The access token is unknown, expired, revoked or not intended for this API. Get a new one."


class InsufficientScope(BearerRefused):
    """The access token is valid, but does not have the required scope."""

    code = "insufficient_scope"
    status = 403
    error = "insufficient_scope"
    title = "The access token does not allow this"
    detail = "The access token has not been granted the required scope."
