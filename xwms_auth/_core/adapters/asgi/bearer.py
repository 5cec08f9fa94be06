"""Access tokens in ASGI applications: the token of a request, and whether an application needs tokens at all.

Never looks at a session.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from ...base.effects import arun
from ...base.models import AccessToken, Identity
from ...oauth2.bearer_guard import NEEDS_TOKEN, authenticate
from ...responses.responses import Refusal
from ..current_user import OutsideRequest
from ..request_state import current_request_state
from .messages import Scope
from .state import ASGIRequestState, request_state_of

_LENGTH = len(b"authorization")

MAX_NESTED = 32
"""Most nested applications that are searched, from the outermost."""


async def check_token(request_state: ASGIRequestState, *, scopes: Sequence[str]) -> Refusal | None:
    """Authenticate the request by its access token, which is kept in its state. Return None, or why it is refused."""
    served = request_state.served
    authorization, now = _authorization(request_state.scope), served.now()
    steps = authenticate(served.context, authorization, request_state.request, scopes=scopes, now=now)
    result = await arun(steps, served.runtime)
    if isinstance(result, Refusal):
        return result
    request_state.token = result
    return None


def _authorization(scope: Scope) -> str:
    """Return the `Authorization` header, with the values of a repeated one joined as in `Request`."""
    values = [value for name, value in scope["headers"] if len(name) == _LENGTH and name.lower() == b"authorization"]
    return b", ".join(values).decode("latin-1")


def needs_tokens(app: object) -> bool:
    """Whether any endpoint of this application is known to need an access token."""
    for _ in range(MAX_NESTED):
        if getattr(app, NEEDS_TOKEN, False) or any(map(_route_needs_token, _list_of(app, "routes"))):
            return True
        app = _nested(app)
    return False


def endpoints_of(app: object) -> Iterator[object]:
    """Yield the endpoints of this application's routes, mounted applications included."""
    return (route.endpoint for route in routes_of(app))


def routes_of(app: object) -> Iterator[Any]:
    """Yield the routes of this application that have an endpoint, mounted applications included."""
    for _ in range(MAX_NESTED):
        for route in _list_of(app, "routes"):
            yield from routes_of(route) if getattr(route, "endpoint", None) is None else (route,)
        app = _nested(app)


def _route_needs_token(route: object) -> bool:
    dependant: object = getattr(route, "dependant", None)
    if getattr(getattr(route, "endpoint", None), NEEDS_TOKEN, False) or _dependency_needs_token(dependant):
        return True
    return needs_tokens(route)  # a mounted application


def _dependency_needs_token(dependant: object) -> bool:
    """Whether this dependency of FastAPI, or one of its own dependencies, needs a token."""
    return getattr(getattr(dependant, "call", None), NEEDS_TOKEN, False) or any(
        map(_dependency_needs_token, _list_of(dependant, "dependencies"))
    )


def _nested(app: object) -> object:
    """Return the application inside a middleware, or the router that FastAPI includes by reference."""
    return getattr(app, "app", None) or getattr(app, "original_router", None)


def _list_of(owner: object, name: str) -> Iterable[object]:
    value: object = getattr(owner, name, None)
    return cast("list[object]", value) if isinstance(value, list) else ()


def token_of(request_state: ASGIRequestState) -> AccessToken:
    """Return the access token of a request. Raises `RuntimeError` if no guard has authenticated it."""
    if request_state.token is None:
        raise OutsideRequest("current_token is used in an endpoint without token_required")
    return request_state.token


class CurrentTokenProxy:
    """`current_token`: the access token of the current request; `current_token(request)` returns a plain object."""

    __slots__ = ()

    @property
    def _token(self) -> AccessToken:
        request_state = current_request_state.get(None)
        # A task that outlives its request must not keep using the token of that request.
        if not isinstance(request_state, ASGIRequestState) or request_state.finished:
            raise OutsideRequest("current_token is used outside a request, or without XWMSAuthMiddleware")
        return token_of(request_state)

    @property
    def issuer(self) -> str:
        return self._token.issuer

    @property
    def client_id(self) -> str:
        return self._token.client_id

    @property
    def sub(self) -> str | None:
        return self._token.sub

    @property
    def scopes(self) -> tuple[str, ...]:
        return self._token.scopes

    @property
    def expires_at(self) -> int | None:
        return self._token.expires_at

    @property
    def identity(self) -> Identity | None:
        return self._token.identity

    def __bool__(self) -> bool:
        """Whether there is a token."""
        try:
            return bool(self._token)
        except OutsideRequest:
            return False

    def __call__(self, connection: Any) -> AccessToken:
        """Return the token of this request or websocket, as a plain object that may be kept."""
        return token_of(request_state_of(connection.scope))
