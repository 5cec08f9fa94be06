"""One application with the login around it: what its requests share, whatever the server speaks.

Knows: the parts, and what has to be done before the first request.
Must not: touch WSGI or ASGI.
"""

from collections.abc import Callable, Iterable

from ... import access_log
from ..base.effects import Runtime, Transport
from ..base.store_protocols import SessionStore
from ..config.config import XWMSConfig
from ..config.context import Context
from ..login.select import provider_of
from .guards import GuardCheck


class ServedApp:
    """`clock` returns seconds since 1970. Raises `ConfigError` with every fault at once."""

    def __init__(
        self,
        config: XWMSConfig,
        connect: Callable[[Context], tuple[Transport, SessionStore]],
        clock: Callable[[], float],
    ) -> None:
        self.context = Context.of(config)
        self.provider = provider_of(self.context)
        self.transport, self.store = connect(self.context)
        self.runtime = Runtime(self.transport, self.store)
        self.protects_all = config.protect == "all"
        self._clock = clock
        self._own_paths = config.own_paths
        self._guards = GuardCheck()
        self._is_new = True
        access_log.redact(self.context)

    def now(self) -> int:
        """Whole seconds since 1970."""
        return int(self._clock())

    def clock(self) -> float:
        """Seconds since 1970."""
        return self._clock()

    def check_guards(self, views: Callable[[], Iterable[object]], *, debug: Callable[[], bool]) -> None:
        """Before the first request: are all guards in effect? `views` are the functions that are routed to."""
        if not self._guards.settled:
            self._guards.check(views, debug=debug)

    def may_be_own(self, path: str) -> bool:
        """Whether a path may be one of our routes; `Context.is_own_route` knows by the host too."""
        own = path in self._own_paths
        if own or self._is_new:
            # A server sets its access log up after the application, so each callback looks again.
            self._is_new = False
            access_log.redact_coming(self.context)
        return own

    def serves_same_client(self, other: "ServedApp") -> bool:
        """Whether another application around this one is of this client, and then serves both by the rules of both.

        Two request states would be two sessions, of which one knows nothing of the other's end.
        """
        return other.context.audience == self.context.audience

    def runtime_in(self, outer: "ServedApp | None") -> Runtime:
        """Our runtime; inside of another application of this client with its store, where the sessions are."""
        return self.runtime if outer is None else Runtime(self.transport, outer.store)
