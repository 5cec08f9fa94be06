"""Spans and metrics of OpenTelemetry, where its API is installed; otherwise nothing, at no cost.

Whether it is, is decided once, when an application or a client is set up. Without an SDK the API does nothing.

Privacy: no span and no metric has a token, a query, a name, an address or an identifier of a person.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ...base import events
from ...base.effects import UpstreamResponse
from ...base.errors import APIError
from ...base.unexpected import place_of
from ...http.messages import Response

if TYPE_CHECKING:
    from .spans import Telemetry

NoteResponse = Callable[[Response], None]
NoteOutcome = Callable[[UpstreamResponse | APIError], None]

Observed = AbstractContextManager[NoteResponse]
ObservedCall = AbstractContextManager[NoteOutcome]


@cache
def telemetry() -> "Telemetry | None":
    """Return the telemetry of this process; None without the package `opentelemetry-api`."""
    try:
        if find_spec("opentelemetry") is None or find_spec("opentelemetry.metrics") is None:
            return None
        from .spans import Telemetry  # noqa: PLC0415  see above

        return Telemetry()
    except Exception as error:  # noqa: BLE001  an old version must not keep people from logging in
        events.warning("telemetry_off", cause=f"{type(error).__name__} {place_of(error)}")
        return None


def observe_route(found: "Telemetry | None", route: str | None, *, flow: str) -> Observed:
    """Return a context manager around the response of one of our routes. It gives what takes the response."""
    return _ROUTE if found is None or route is None else found.route(route, flow=flow)


def observe_call(found: "Telemetry | None", method: str, url: str) -> ObservedCall:
    """Return a context manager around one call to XWMS. It gives what takes its outcome."""
    return _CALL if found is None else found.call(method, url)


def _ignore(_: object) -> None:
    pass


_ROUTE: Observed = nullcontext(_ignore)
_CALL: ObservedCall = nullcontext(_ignore)
