"""Lends an application that exists already the XWMS of a test: another context and clock, and its own back later."""

import os
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from .._core.adapters.clients import UnknownHost
from .._core.adapters.served_app import ServedApp
from .._core.base.crypto.digests import new_key
from .._core.base.effects import Steps
from .._core.base.memory.fair_limit import FairLimit
from .._core.config.config import XWMSConfig
from .._core.config.context import Context
from .._core.config.server.metadata import ENDPOINTS
from .._core.config.state import ProcessState
from .._core.http.messages import Request, Response
from .._core.http.urls import RedirectURI
from .clock import Clock
from .environment import CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, is_guarded

_REAL_TIME = time.time

_MANY = 1_000_000_000
"""Logins per second that an application under test may start: a test is no flood."""


def wired(config: XWMSConfig, origin: str, *, session_secret: str) -> XWMSConfig:
    """Return the same settings for the XWMS at this origin. The application keeps its paths, store, scopes and more.

    The session secret is another one in every test, so that a client that outlives its test is signed in no longer.
    """
    elsewhere: dict[str, Any] = dict.fromkeys(ENDPOINTS, "")
    return replace(
        config,
        client_id=config.client_id or CLIENT_ID,
        client_secret=CLIENT_SECRET,
        redirect_uris=config.redirect_uris or REDIRECT_URI,
        session_secret=session_secret,
        domain=config.domain or "localhost",
        api_url=f"{origin}/api/",
        issuer=origin,
        login_origins=(),
        discovery_url="",
        leak_guard=config.leak_guard or is_guarded(os.environ),
        **elsewhere,
    )


class Loan:
    """What a test has changed in one application; `give_back` undoes it."""

    def __init__(self, served: ServedApp, clock: Callable[[], float]) -> None:
        self._served = served
        # One that the application was given is its own.
        self._clock = clock if isinstance(served.clock, Clock) or served.clock is _REAL_TIME else served.clock
        self._before: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._limits: list[tuple[ProcessState, FairLimit]] = []

    def bind(self, context: Context) -> None:
        """Serve with this context, and with the clock of the test."""
        self._remember(self._served, *vars(self._served))
        if not is_unknown_host(self._served):
            self._served.bind(context, clock=self._clock)
        self.follow()

    def follow(self) -> None:
        """Serve with the clock of the test, for browsers that are clients of a test."""
        served = self._served
        self._remember(served, "clock", "serve_route")
        served.clock = self._clock
        served.serve_route = _as_by_browser(served.serve_route)
        state = served.context.state
        self._limits.append((state, state.login_starts))
        state.login_starts = FairLimit(rate=_MANY, burst=_MANY, reserve=0)
        sessions: Any = getattr(served, "sessions", None)  # not there yet while the application is set up
        if sessions is not None:
            self._remember(sessions, "_context", "_runtime", "_clock")
            sessions.bind(served.context, served.runtime, clock=self._clock)

    def _remember(self, one: object, *names: str) -> None:
        self._before.append((vars(one), {name: vars(one)[name] for name in names}))

    def give_back(self) -> None:
        """Undo everything."""
        for now, before in reversed(self._before):
            now.update(before)
        for state, limit in reversed(self._limits):
            state.login_starts = limit


_Serve = Callable[..., Steps[Response]]


def _as_by_browser(serve: _Serve) -> _Serve:
    """Let a POST without the headers that every browser sends count as sent by a form of the site itself."""

    def serving(context: Context, provider: Any, request: Request, **more: Any) -> Steps[Response]:
        headers, host = request.headers, request.header("host") or ""
        origin = headers.get("origin")
        if request.method == "POST" and "sec-fetch-site" not in headers and origin in (None, *_origins(host)):
            request = replace(request, headers={**headers, "sec-fetch-site": "same-origin"})
        return serve(context, provider, request, **more)

    return serving


def _origins(host: str) -> tuple[str, str]:
    return f"http://{host}", f"https://{host}"


class _ByHost(dict[str, RedirectURI]):
    """Redirect URIs by host, with one for all other hosts, if there is one."""

    otherwise: RedirectURI | None = None

    def get(self, host: str, default: Any = None) -> Any:
        return super().get(host, self.otherwise if default is None else default)


def fit(context: Context, origin: str, *, everywhere: bool = False) -> RedirectURI:
    """Return the redirect URI of this context for a browser at this origin; a context without one gets it.

    So cookies have the names and attributes of the browser's scheme, and its origin is the site's own. `everywhere`
    makes it the one for all hosts that have none of their own.
    """
    host = urlsplit(origin).netloc
    known = context.redirect_uri_for(host) or context.config.registered[0]
    uri = known
    if known.origin != origin:
        parts = urlsplit(origin)
        name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        uri = RedirectURI(scheme=parts.scheme, host=name, port=parts.port, path=known.path, uri=f"{origin}{known.path}")
    _set_uris(context, uri, everywhere=everywhere)
    return uri


def _set_uris(context: Context, uri: RedirectURI, *, everywhere: bool, hosts: Collection[str] = ()) -> None:
    by_host: Mapping[str, RedirectURI] = context.uris_by_host
    if not isinstance(by_host, _ByHost):
        by_host = _ByHost(by_host)
        by_host.otherwise = context.only_uri
    by_host.update(dict.fromkeys(hosts or uri.host_names, uri))
    if everywhere:
        by_host.otherwise = uri
    # A context is frozen for the package, and this one belongs to a test.
    object.__setattr__(context, "uris_by_host", by_host)
    object.__setattr__(context, "only_uri", None)
    object.__setattr__(context, "origins", context.origins | {uri.origin})


def forget_sessions(served: ServedApp) -> None:
    """Let no cookie of an application be good any more, because the test is over in which it was made.

    What it keeps in a database stays.
    """
    config = served.context.config
    is_kept = config.session_store not in ("cookie", "memory://") or config.revocation_store != ""
    if not (config.missing or is_unknown_host(served) or is_kept):
        Loan(served, _REAL_TIME).bind(Context.of(replace(config, session_secret=new_key())))


def fit_websockets(context: Context, uri: RedirectURI, host: str) -> RedirectURI:
    """Return the redirect URI for websockets at this host: that of a client there, or else the one that is given."""
    known = context.redirect_uri_for(host)
    if known is None or known.netloc != host:
        _set_uris(context, uri, everywhere=False, hosts=(host,))
        return uri
    return known


def is_unknown_host(served: ServedApp) -> bool:
    """Whether this serves the hosts at which no client is registered, in an application of several clients."""
    return isinstance(served.context, UnknownHost)


def secret_of(config: XWMSConfig) -> str:
    """The client secret of an application under test."""
    with suppress(Exception):
        return config.secret_source().reveal()
    return CLIENT_SECRET
