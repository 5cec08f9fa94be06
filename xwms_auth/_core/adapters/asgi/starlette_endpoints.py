"""Guards around the classes of Starlette's endpoints. Loaded when one is guarded."""

import inspect
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, cast

from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.websockets import WebSocket

from ...http.preflight import has_own_options
from ...responses.responses import Refusal
from ..guard_check import note_guard
from .messages import POLICY_VIOLATION, Scope, is_cors_preflight
from .state import request_state_of

_DISPATCH = HTTPEndpoint.dispatch

Check = Callable[[Scope], Awaitable[Refusal | None]]
"""Checks a request: None if it is allowed, otherwise the refusal."""


def guard_class(endpoint: type[Any], check: Check, *, name: str) -> type[Any]:
    """Guard an endpoint's class, wherever it is routed. Raises TypeError for any other class."""
    if not issubclass(endpoint, HTTPEndpoint | WebSocketEndpoint):
        raise TypeError(f"{endpoint.__qualname__} is neither an HTTPEndpoint nor a WebSocketEndpoint")
    unguarded = cast("Callable[[Any], Awaitable[None]]", cast("Any", endpoint).dispatch)

    @wraps(unguarded)
    async def dispatch(self: Any) -> None:
        if is_cors_preflight(self.scope) and _answers_options(self):
            await _DISPATCH(self)
            return
        refused = await check(self.scope)
        if refused is None:
            await unguarded(self)
        elif isinstance(self, WebSocketEndpoint):
            await WebSocket(self.scope, self.receive, self.send).close(POLICY_VIOLATION, refused.code)
        else:
            await request_state_of(self.scope).send_refusal(refused, self.send)

    note_guard(unguarded, dispatch, name)
    endpoint.dispatch = dispatch  # type: ignore[method-assign]  # the class is guarded wherever it is routed
    return endpoint


def _answers_options(endpoint: object) -> bool:
    """Whether Starlette's own `dispatch` gives a preflight to an `options` method of this endpoint's class."""
    kind = type(endpoint)
    return issubclass(kind, HTTPEndpoint) and inspect.unwrap(kind.dispatch) is _DISPATCH and has_own_options(kind)
