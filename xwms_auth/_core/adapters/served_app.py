"""An application wrapped with the login: what all of its requests share, in WSGI and ASGI."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ..base import events
from ..base.effects import Runtime, Transport
from ..base.errors import ConfigError
from ..base.store_protocols import LoadsAtOnce, SessionStore
from ..config.context import Context
from ..http.urls import is_below
from ..io import in_process
from ..io.operation.health import HealthCheck
from ..io.operation.telemetry import Observed, observe_route, telemetry
from .application import ClientParts
from .clients import UnknownHost
from .guard_check import GuardCheck

if TYPE_CHECKING:
    from ..responses.leak_guard import LeakGuard


class ServedApp:
    """Context, provider, runtime and clock of one application, for one client.

    `connect` returns the transport and the store. Raises `ConfigError` if the library of the store is missing.
    """

    of_clients: "tuple[ServedApp, ...]" = ()
    """What serves each of several clients, if this serves all other hosts."""

    parts: ClientParts = ClientParts()
    """The application's own parts of a login."""

    def __init__(
        self,
        context: Context,
        connect: Callable[[Context], tuple[Transport, SessionStore]],
        clock: Callable[[], float],
    ) -> None:
        # Loaded when an application is set up: importing a door costs little, and no request waits for this.
        from ... import access_log  # noqa: PLC0415

        self._connect = connect
        self.selects_client = False
        """Whether requests are passed on to the applications of several clients. Then `is_prepared` stays False."""
        self._guards = GuardCheck()
        self._is_new = True
        self.bind(context, clock=clock)
        access_log.redact(self.context)
        in_process.announce(self, context.config.api.host)

    def bind(self, context: Context, *, clock: Callable[[], float]) -> None:
        """Serve with this context and this clock from now on.

        Called once, but for tests (`xwms_auth.testing`), which lend an application another context.
        """
        from ..login import routes  # noqa: PLC0415  as above
        from ..login.select import provider_of  # noqa: PLC0415

        config = context.config
        self.context = context
        self.provider = provider_of(self.context)
        self.serve_route = routes.serve
        """The steps that respond to a request for one of our routes."""
        self.transport, self.store = self._connect(self.context)
        self.runtime = Runtime(self.transport, self.store)
        self.health_check = HealthCheck(self.runtime, self.now)
        self._telemetry = telemetry()
        self.is_lazy = isinstance(self.store, LoadsAtOnce) and self.store.loads_at_once and not config.recheck_seconds
        """Whether a session is looked up without I/O, so that async code too can do so when it is asked for."""
        self.protects_all = context.protects_all
        self.own_paths = context.own_paths
        """The paths that may be one of our routes; `Context.is_own_route` decides by the host too."""
        prefix = config.path_prefix
        self.own_segments = tuple({path[path.rfind("/") :] for path in self.own_paths})
        """The ends of all paths that may be ours, or would be with another prefix."""
        self.twice = f"{prefix}{prefix}/" if prefix else "?"
        """How a path begins that has our prefix twice."""
        self.named = ""
        """The prefix that the server named last."""
        self._has_warned = False
        self.is_prepared = False
        """Whether `prepare` has nothing left to do. An attribute, because every request reads it."""
        self.leak_guard = _leak_guard_of(context)
        """What looks for secrets in all responses, for development and tests. With one, `is_prepared` stays False."""
        self.clock = context.state.clock = clock
        """Seconds since 1970."""

    def observed(self, path: str) -> Observed:
        """Return a context manager around the response of one of our routes, for telemetry."""
        config = self.context.config
        names = {config.login_path: "login_start", config.logout_path: "logout"}
        route = "callback" if path in config.callback_paths else names.get(path)
        return observe_route(self._telemetry, route, flow=config.flow)

    def health_checks(self) -> "list[HealthCheck]":
        """The checks of this client; at a host of none, of all clients."""
        return [one.health_check for one in self.of_clients or (self,)]

    def now(self) -> int:
        """Whole seconds since 1970."""
        return int(self.clock())

    def prepare(self, views: Callable[[], Iterable[object]], *, debug: Callable[[], bool]) -> None:
        """Check at the first request that all guards are in effect. `views` returns the routed functions."""
        if self._is_new:
            self._is_new = False
            from ... import access_log  # noqa: PLC0415  as above

            access_log.redact_coming(self.context)
        self._guards.check(views, debug=debug)
        self.is_prepared = self._guards.settled and not self.selects_client and self.leak_guard is None

    def look_for_prefix(self, path: str, *, named: str) -> None:
        """Log once if a path has another prefix than ours have. `named` is what the server names."""
        if named == self.named and (
            self._has_warned or not (path.endswith(self.own_segments) or path.startswith(self.twice))
        ):
            return
        self.named = named
        event: events.Event
        prefix, own, named = self.context.config.path_prefix, self.own_paths, named.rstrip("/")
        if prefix and prefix + path in own:
            event, hint = (
                "prefix_missing",
                f"a proxy strips {prefix}: let it keep that (gunicorn, uWSGI), or name it to the server (root_path)",
            )
        elif prefix and named and path.startswith(self.twice):
            event, hint = "prefix_twice", f"the server adds {prefix} and the proxy keeps it: only one of them may"
        elif named and is_below(path, named) and not any(is_below(one, named) for one in own):
            event, hint = (
                "prefix_not_registered",
                f"unless another application serves {self.context.config.login_path}, register a redirect URI below "
                f"{named}, or set XWMS_PATH_PREFIX",
            )
        else:
            return
        self._has_warned = True
        events.warning(event, path=path, hint=f"{hint}; see docs/sub-paths.md")

    def serves_same_client(self, other: "ServedApp") -> bool:
        """Whether an outer application has the same client and the same cookies. Then both share one request state.

        Two request states would be two sessions, and one of them would not notice that the other has ended.
        """
        ours, theirs = self.context, other.context
        return theirs.audience == ours.audience and theirs.https_names == ours.https_names

    def fault_in(self, outer: "ServedApp") -> ConfigError | None:
        """The error of a request that comes through an outer application of the same client, which serves its logins.

        A linker or a hook of this one would not be asked there.
        """
        ours, theirs = self.parts, outer.parts
        if ours.are_none or (ours.linker in (None, theirs.linker) and ours.hooks in (None, theirs.hooks)):
            return None
        return ConfigError(["linker= and hooks= of a nested application are never asked: give them to the outer one"])

    def runtime_in(self, outer: "ServedApp") -> Runtime:
        """Return the runtime inside another application of the same client: with that one's store of sessions."""
        return Runtime(self.transport, outer.store)


def _leak_guard_of(context: Context) -> "LeakGuard | None":
    configs = [one.config for one in context.clients] if isinstance(context, UnknownHost) else [context.config]
    if not any(config.leak_guard for config in configs):
        return None
    from ..responses.leak_guard import LeakGuard  # noqa: PLC0415  loaded where it is on

    return LeakGuard(configs)
