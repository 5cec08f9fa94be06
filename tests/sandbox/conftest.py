"""A local XWMS for each test."""

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.sandbox.local_xwms import NOON, LocalXWMS, settings
from tests.sandbox.oauth_app import App
from tests.tools.clock import Clock
from xwms_auth.sandbox import SandboxServer, create_app


@pytest.fixture(scope="session")
def kept() -> Iterator[dict[str, list[tuple[LocalXWMS, sqlite3.Connection]]]]:
    """Local XWMSs that no test uses now, by their settings, each with a copy of its database as it was at first.

    To make one takes longer than most tests.
    """
    made: dict[str, list[tuple[LocalXWMS, sqlite3.Connection]]] = {}
    yield made
    for xwms, at_first in itertools.chain.from_iterable(made.values()):
        xwms.close()
        at_first.close()


def connection_of(xwms: LocalXWMS) -> sqlite3.Connection:
    """Its one connection, for a copy of everything it holds."""
    with xwms.work() as session:
        connection = session.connection().connection.driver_connection
    assert isinstance(connection, sqlite3.Connection)
    return connection


@pytest.fixture
def make_xwms(kept: dict[str, list[tuple[LocalXWMS, sqlite3.Connection]]]) -> Iterator[Callable[..., LocalXWMS]]:
    """Make one; those without a file of their own are used again by other tests, as new."""
    used: list[tuple[str, LocalXWMS, sqlite3.Connection]] = []
    with ExitStack() as opened:

        def make(*, public_url: str = "http://127.0.0.1:8800", any_host: bool = False, **changes: Any) -> LocalXWMS:
            key = repr((public_url, any_host, sorted(changes.items())))
            if kept.get(key):
                xwms, at_first = kept[key].pop()
                used.append((key, xwms, at_first))
                return LocalXWMS(xwms.app, xwms.clock)
            clock = Clock(NOON)
            app = create_app(settings(**changes), clock=clock, public_url=public_url, any_host=any_host)
            made = LocalXWMS(app, clock)
            if changes.keys() & {"database", "faults"}:
                opened.callback(made.close)
            else:
                at_first = sqlite3.connect(":memory:")
                connection_of(made).backup(at_first)
                used.append((key, made, at_first))
            return made

        yield make
    for key, xwms, at_first in used:
        xwms.app.extensions["xwms_sandbox"].faults.clear()
        xwms.clock.now = NOON
        at_first.backup(connection_of(xwms))
        kept.setdefault(key, []).append((xwms, at_first))


@pytest.fixture
def xwms(make_xwms) -> LocalXWMS:
    return make_xwms()


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def make_app(clock):
    """Start a local XWMS on a socket, with these settings, and an app that speaks OAuth to it."""
    with ExitStack() as opened:

        def make(**changes: Any) -> App:
            app = App(opened.enter_context(SandboxServer(settings(**changes), port=0, clock=clock)))
            opened.callback(app.close)
            return app

        yield make


@pytest.fixture
def app(make_app) -> App:
    return make_app()
