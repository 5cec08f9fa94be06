"""Fixtures: Chromium, the app beside a local XWMS on real sockets, and a person who visits it.

Chromium is started once per module, not once per run: while Playwright's sync API is active its event loop counts as
running in the main thread, and other tests could not run theirs.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.servers import (
    Certificate,
    Edge,
    Elsewhere,
    listener,
    port_of,
    self_signed,
    serve_app,
    serve_elsewhere,
)
from tests.browser.visitor import ARGUMENTS, CALLBACK, STEP_TIMEOUT, Place, Visitor
from tests.requires import missing, program
from xwms_auth import XWMSConfig
from xwms_auth.sandbox import SandboxServer, SandboxSettings

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def launch_options() -> dict[str, Any]:
    """How Chromium differs from Playwright's; a module may override it."""
    return {}


@pytest.fixture(scope="module")
def chromium(launch_options: dict[str, Any]) -> "Iterator[Browser]":
    """A real Chromium."""
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415
    except ImportError:
        missing("the package playwright")
    path = program("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS, **launch_options)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["same"])
def callback_token(request: pytest.FixtureRequest) -> str:
    """How the local XWMS makes the callback's token; a test may parametrize it."""
    token: str = request.param
    return token


@pytest.fixture(params=["flask-http", "flask-https", "starlette-http", "starlette-https"])
def place(
    request: pytest.FixtureRequest, certificate: Certificate, callback_token: Any, caplog: pytest.LogCaptureFixture
) -> Iterator[Place]:
    """The app behind Flask and Starlette, over http and https. Each test runs on all four."""
    caplog.set_level("INFO", "xwms_auth.sandbox")
    edge: Edge
    edge, _, scheme = request.param.partition("-")
    secure = scheme == "https"
    with ExitStack() as stack:
        sock = stack.enter_context(listener())
        origin = f"{scheme}://localhost:{port_of(sock)}"
        settings = SandboxSettings(redirect_uris=(origin + CALLBACK,), callback_token=callback_token)
        sandbox = stack.enter_context(SandboxServer(settings, port=0))
        config = XWMSConfig(
            client_id=settings.client_id,
            client_secret=settings.client_secret,
            redirect_uris=origin + CALLBACK,
            api_url=sandbox.api_url,
            session_secret="a session secret for the browser tests, long enough",
        )
        journal = stack.enter_context(serve_app(edge, config, sock, certificate if secure else None))
        yield Place(origin, secure, sandbox, journal, caplog)


@pytest.fixture
def make_visitor(chromium: "Browser", place: Place) -> Iterator[Callable[..., Visitor]]:
    """Make a visitor with a fresh browser: `make_visitor(java_script_enabled=False)`."""
    made: list[Visitor] = []

    def make(**options: Any) -> Visitor:
        context = chromium.new_context(ignore_https_errors=True, **options)
        context.set_default_timeout(STEP_TIMEOUT)
        visitor = Visitor(context, place)
        context.on("console", lambda said: visitor.note_violation(said.text))
        made.append(visitor)
        return visitor

    yield make
    for visitor in made:
        visitor.context.close()
    assert [visitor.violations for visitor in made] == [[] for _ in made]


@pytest.fixture
def visitor(make_visitor: Callable[..., Visitor]) -> Visitor:
    """Somebody who has not been here yet."""
    return make_visitor()


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    """Another site, which does not mean well."""
    with serve_elsewhere() as server:
        yield server
