"""A local XWMS for each test."""

from contextlib import ExitStack
from typing import Any

import pytest
from local_xwms import Clock, LocalXWMS, settings
from oauth_app import App

from xwms_auth.sandbox import SandboxServer, create_app


@pytest.fixture
def make_xwms():
    with ExitStack() as opened:

        def make(*, public_url: str = "http://127.0.0.1:8800", any_host: bool = False, **changes: Any) -> LocalXWMS:
            clock = Clock()
            app = create_app(settings(**changes), clock=clock, public_url=public_url, any_host=any_host)
            made = LocalXWMS(app, clock)
            opened.callback(made.close)
            return made

        yield make


@pytest.fixture
def xwms(make_xwms) -> LocalXWMS:
    return make_xwms()


@pytest.fixture
def clock() -> Clock:
    return Clock()


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
