"""The applications of a test: which there are, which one is meant, and that they ask the XWMS of the test."""

import gc
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary, WeakSet

from .._core.adapters.served_app import ServedApp
from .._core.config.config import XWMSConfig
from .._core.config.context import Context
from .._core.http.urls import RedirectURI
from .._core.io import in_process
from . import lending
from .clients import everything_in
from .lending import Loan
from .server import Server

_made_in_tests: "WeakSet[ServedApp]" = WeakSet()
"""Applications that were set up while a test had an XWMS. Some outlive their test."""


class NoSuchClient(Exception):
    """None of the clients of an application is at this host."""


class Applications:
    """The applications that ask this XWMS, from `begin` to `end`.

    One that has its settings, and was made during the test, keeps its context. Any other that somebody logs in to is
    lent a new one, which remembers nothing of another test. One with the client of the environment (`client_id`) was
    made from variables that lead elsewhere, and is lent it at once: no test asks the real XWMS by accident.
    """

    def __init__(self, server: Server, host: str, *, client_id: str, session_secret: str) -> None:
        self._server, self._host, self._client_id = server, host, client_id
        self._session_secret = session_secret
        self._loans: dict[ServedApp, Loan] = {}
        # Those that this test has made, or named.
        self._own: WeakSet[ServedApp] = WeakSet()
        # Those that were made while no test had an XWMS: at import, or by a fixture that comes first.
        self._imported: WeakSet[ServedApp] = WeakSet()
        # Those of them that ask an XWMS elsewhere.
        self._from_environment: WeakSet[ServedApp] = WeakSet()
        # Those of earlier tests.
        self._earlier: WeakSet[ServedApp] = WeakSet()
        self._behind: WeakKeyDictionary[Any, list[ServedApp]] = WeakKeyDictionary()

    def begin(self) -> None:
        """Reach those that were there before, whether the test uses them or not."""
        for served in list(in_process.applications):
            if isinstance(served, ServedApp):
                config = served.context.config
                if config.client_id == self._client_id and not in_process.is_local(config.api.host):
                    self._from_environment.add(served)
        self._reach()

    def _reach(self) -> None:
        for known, before in ((in_process.applications, self._imported), (_made_in_tests, self._earlier)):
            for served in list(known):
                if isinstance(served, ServedApp) and served.context.config.api.host == self._host:
                    before.add(served)
                    self._follow(served)
        for served in [one for one in self._from_environment if one not in self._loans]:
            self._imported.add(served)
            self._lend(served)

    def end(self) -> None:
        """Give all of them back what is theirs, and forget who is signed in."""
        with ExitStack() as ending:  # each, whatever fails
            for served in [one for one in self._own if one in _made_in_tests]:
                ending.callback(lending.forget_sessions, served)
            for loan in self._loans.values():
                ending.callback(loan.give_back)
            self._loans.clear()

    def announce(self, served: object) -> None:
        """Note an application that is set up now, with the settings of this XWMS."""
        if isinstance(served, ServedApp):
            self._follow(served)
            self._own.add(served)
            _made_in_tests.add(served)

    def forget(self, served: ServedApp) -> None:
        """Leave one out that is no application of the test."""
        self._own.discard(served)
        _made_in_tests.discard(served)

    def register(self, config: XWMSConfig, *more: RedirectURI) -> None:
        """Let XWMS know the client with these settings."""
        if not config.missing:
            self._server.register(
                config.client_id,
                secret=lending.secret_of(config),
                domain=config.domain,
                redirect_uris=[uri.uri for uri in (*config.registered, *more)],
                fresh_tokens=config.callback_token == "fresh",
            )

    def fit(self, served: ServedApp, origin: str, *, everywhere: bool = False) -> RedirectURI:
        """Return the application's redirect URI for a browser at this origin, as `lending.fit` says."""
        uri = lending.fit(served.context, origin, everywhere=everywhere)
        self.register(served.context.config, uri)
        return uri

    def join(self, roots: tuple[object, ...]) -> list[ServedApp]:
        """Join what is behind these objects, and return it, the outermost first."""
        first = next((root for root in roots if root is not None), None)
        is_kept = first is not None and type(first).__weakrefoffset__ != 0 and type(first).__hash__ is not None
        behind = self._behind.get(first) if is_kept else None
        if not behind:
            behind = [one for one in everything_in(roots) if isinstance(one, ServedApp)]
            if behind and is_kept:
                self._behind[first] = behind
        for served in behind:
            self._use(served)
        return behind

    def find(self, roots: tuple[object, ...], origin: str) -> ServedApp | None:
        """The application behind these objects, or if there is none, the only one of the test; None without any.

        Of several clients in one application, that of the host of this origin. Raises `NoSuchClient` if none has it,
        and ValueError where it is open which application is meant.
        """
        host = urlsplit(origin).netloc
        if joined := self.join(roots):
            candidates, at_host = _of_host(joined, host)
            if at_host or len(candidates) == len(joined):
                return (at_host or candidates)[0]
            raise NoSuchClient(f"none of the application's clients is at {host}: give base_url")
        for is_last_try in (False, True):
            for known in (self._own, self._imported, self._earlier):
                candidates, at_host = _of_host(known, host)
                found = at_host or candidates
                if len({_client_of(served) for served in found}) == 1:
                    for served in found:  # all of them take the cookie of one
                        self._use(served)
                    return found[0]
                if found and is_last_try:
                    raise ValueError("the test has several applications: say which one, with app=")
                if found:
                    break
            else:
                return None
            del candidates, at_host, found
            self._sweep()
        return None

    def _sweep(self) -> None:
        """Leave out what an earlier test has left for the garbage collector."""
        self._let_go()
        gc.collect()
        self._reach()

    def _let_go(self) -> None:
        for served in {*self._imported, *self._earlier} - {*self._own}:
            if (loan := self._loans.pop(served, None)) is not None:
                loan.give_back()

    def _use(self, served: ServedApp) -> None:
        """Let an application serve for this test, with a context of its own if it was there before."""
        if served not in self._own:
            self._lend(served)
            self._own.add(served)

    def _lend(self, served: ServedApp) -> None:
        if (loan := self._loans.pop(served, None)) is not None:
            loan.give_back()
        loan = self._loans[served] = Loan(served, self._server.clock)
        config = lending.wired(served.context.config, self._server.origin, session_secret=self._session_secret)
        loan.bind(served.context if lending.is_unknown_host(served) else Context.of(config))
        self.register(config)

    def _follow(self, served: ServedApp) -> None:
        """Let an application that has the settings of this XWMS follow its clock."""
        if served not in self._loans:
            loan = self._loans[served] = Loan(served, self._server.clock)
            loan.follow()
            self.register(served.context.config)


def _of_host(known: Iterable[ServedApp], host: str) -> tuple[list[ServedApp], list[ServedApp]]:
    """Those that serve a client, and those of them that have a redirect URI on this host."""
    candidates = [served for served in known if not lending.is_unknown_host(served)]
    return candidates, [served for served in candidates if host in dict(served.context.uris_by_host)]


def _client_of(served: ServedApp) -> tuple[str, str, int]:
    """What two applications share for which the same cookie is good."""
    store = 0 if served.context.config.session_store == "cookie" else id(served.store)
    return served.context.audience, served.context.https_names.session, store
