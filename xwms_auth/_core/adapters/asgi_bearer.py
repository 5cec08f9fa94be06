"""Access tokens for APIs in ASGI applications: the token of a request, and whether an application needs tokens at all.

Knows: seats.
Must not: import a framework, look at a session, or decide whether a token is good.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from ..base.models import AccessToken, Identity
from ..io.runner import arun
from ..oauth2.bearer_guard import NEEDS_TOKEN, Refusal, authenticate
from .asgi_state import ASGIRequestState, current_request_state, request_state_of

MAX_NESTED = 32
"""Applications inside one another that are looked at, outermost first."""


async def check_token(request_state: ASGIRequestState, *, scopes: Sequence[str]) -> Refusal | None:
    """See to it that the request has a good token, and put it on the seat; what to answer if it has none."""
    served = request_state.served
    steps = authenticate(served.context, request_state.request(), scopes=scopes, now=served.now())
    found = await arun(steps, served.runtime)
    if isinstance(found, Refusal):
        return found
    request_state.token = found
    return None


def needs_tokens(app: object) -> bool:
    """Whether an endpoint of this application is known to need access tokens."""
    for _ in range(MAX_NESTED):
        if getattr(app, NEEDS_TOKEN, False) or any(map(_is_marked, _parts(app, "routes"))):
            return True
        app = _nested(app)
    return False


def endpoints_of(app: object) -> Iterator[object]:
    """The endpoints of this application's routes, and of what is mounted in it."""
    for _ in range(MAX_NESTED):
        for route in _parts(app, "routes"):
            endpoint: object = getattr(route, "endpoint", None)
            yield from endpoints_of(route) if endpoint is None else (endpoint,)
        app = _nested(app)


def _is_marked(route: object) -> bool:
    if getattr(getattr(route, "endpoint", None), NEEDS_TOKEN, False) or _depends(getattr(route, "dependant", None)):
        return True
    return needs_tokens(route)  # a mounted application


def _depends(dependant: object) -> bool:
    """FastAPI's dependencies, which have dependencies."""
    return getattr(getattr(dependant, "call", None), NEEDS_TOKEN, False) or any(
        map(_depends, _parts(dependant, "dependencies"))
    )


def _nested(app: object) -> object:
    """What is in there by itself: an application in a middleware, or a router that FastAPI includes by reference."""
    return getattr(app, "app", None) or getattr(app, "original_router", None)


def _parts(whole: object, name: str) -> Iterable[object]:
    found: object = getattr(whole, name, None)
    return cast("list[object]", found) if isinstance(found, list) else ()


def token_of(request_state: ASGIRequestState) -> AccessToken:
    """The token on the seat."""
    if request_state.token is None:
        raise RuntimeError("there is no token: the endpoint is without token_required")
    return request_state.token


class CurrentTokenProxy:
    """`current_token`: the token of the request being served; `current_token(request)` gives a plain object."""

    __slots__ = ()

    @property
    def _token(self) -> AccessToken:
        request_state = current_request_state.get(None)
        # A task that outlives the request it was started in must not go on with that request's token.
        if request_state is None or request_state.over:
            raise RuntimeError("current_token is used outside a request, or without XWMSAuthMiddleware")
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

    def __call__(self, connection: Any) -> AccessToken:
        """The token of this request or websocket: a plain object that may be kept."""
        return token_of(request_state_of(connection.scope))
