"""`passive` for ASGI and WSGI applications: an endpoint that looks at the user without renewing the session."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from .request_state import current_request_state

E = TypeVar("E", bound=Callable[..., Any])


def passive(endpoint: E, /) -> E:
    """Let this endpoint look at the user without renewing the session, as for a page that polls.

    For functions, async or not, and for classes with a `dispatch` method; place it below the route decorator. What has
    changed in the session is saved nevertheless.
    """
    if inspect.isclass(endpoint):
        made: Any = endpoint
        made.dispatch = passive(made.dispatch)
        return cast("E", made)
    return cast("E", _async(endpoint) if inspect.iscoroutinefunction(endpoint) else _sync(endpoint))


def _async(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(endpoint)
    async def quiet(*args: Any, **kwargs: Any) -> Any:
        _set_passive()
        return await endpoint(*args, **kwargs)

    return quiet


def _sync(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(endpoint)
    def quiet(*args: Any, **kwargs: Any) -> Any:
        _set_passive()
        return endpoint(*args, **kwargs)

    return quiet


def _set_passive() -> None:
    # Outside of a request there is no session to renew.
    request_state = current_request_state.get(None)
    if request_state is not None:
        request_state.passive = True
