"""Fixtures: Chromium, the app beside a local XWMS on real sockets, and a person who visits it.

Chromium is started once per module, not once per run: while Playwright's sync API is active its event loop counts as
running in the main thread, and other tests could not run theirs.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.drivers import Chromium, Driver, Firefox, WebKit
from tests.browser.drivers import chromium as start_chromium
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
from tests.browser.visitor import CALLBACK, STEP_TIMEOUT, TAG, Place, Visitor
from xwms_auth import XWMSConfig
from xwms_auth.sandbox import SandboxServer, SandboxSettings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

# Every browser that is started from here on has it.
os.environ["FONTCONFIG_FILE"] = str(Path(__file__).with_name("fonts.conf"))


@pytest.fixture(scope="module")
def launch_options() -> dict[str, Any]:
    """How Chromium differs from Playwright's; a module may override it."""
    return {}


@pytest.fixture(scope="module")
def chromium(launch_options: dict[str, Any]) -> "Iterator[Browser]":
    """A real Chromium."""
    with start_chromium(**launch_options) as browser:
        yield browser


@pytest.fixture(scope="module")
def kept_context(chromium: "Browser") -> "BrowserContext":
    """One for the first visitor of each test, because a new window costs half of what a test does with it.

    An empty tab keeps the window open.
    """
    context = chromium.new_context(ignore_https_errors=True)
    context.new_page()
    return context


@pytest.fixture(scope="session")
def lasting_drivers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Driver]]:
    """Those that last for the whole run, each started when it is first asked for."""
    makers: dict[str, Callable[[], Driver]] = {
        "firefox": lambda: Firefox(tmp_path_factory.mktemp("profile")),
        "webkit": WebKit,
    }
    with ExitStack() as stack:
        yield _started_once(makers, stack)


@pytest.fixture(scope="module")
def drivers(lasting_drivers: Callable[[str], Driver]) -> Iterator[Callable[[str], Driver]]:
    """All browsers; Chromium for one module, see above."""
    with ExitStack() as stack:
        chromium_of_module = _started_once({"chromium": lambda: Chromium(stack.enter_context(start_chromium()))}, stack)
        yield lambda name: (chromium_of_module if name == "chromium" else lasting_drivers)(name)


def _started_once(makers: dict[str, Callable[[], Driver]], stack: ExitStack) -> Callable[[str], Driver]:
    started: dict[str, Driver] = {}

    def get(name: str) -> Driver:
        if name not in started:
            started[name] = makers[name]()
            stack.callback(started[name].close)
        return started[name]

    return get


@pytest.fixture(params=["chromium", "firefox", "webkit"])
def driver(request: pytest.FixtureRequest, drivers: Callable[[str], Driver]) -> Driver:
    """A browser that has not been anywhere yet."""
    made = drivers(request.param)
    made.forget()
    return made


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["same"])
def callback_token(request: pytest.FixtureRequest) -> str:
    """How the local XWMS makes the callback's token; a test may parametrize it."""
    token: str = request.param
    return token


@pytest.fixture(params=["flask-http", "starlette-https"])
def place(
    request: pytest.FixtureRequest, certificate: Certificate, callback_token: Any, caplog: pytest.LogCaptureFixture
) -> Iterator[Place]:
    """The app behind Flask over http and Starlette over https; a module may ask for the other pairs as well."""
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
            cookie_tag=TAG,
        )
        journal = stack.enter_context(serve_app(edge, config, sock, certificate if secure else None))
        yield Place(origin, secure, sandbox, journal, caplog)


@pytest.fixture
def make_visitor(chromium: "Browser", kept_context: "BrowserContext", place: Place) -> Iterator[Callable[..., Visitor]]:
    """Make a visitor whose browser knows nothing yet: `make_visitor(java_script_enabled=False)`.

    Every app has an origin of its own, so that cookies are all that a kept browser has to forget. Over TLS the server
    would end before the idle connections of one.
    """
    made: list[Visitor] = []

    def make(**options: Any) -> Visitor:
        used = any(visitor.context is kept_context for visitor in made)
        new = used or options or place.secure
        context = chromium.new_context(ignore_https_errors=True, **options) if new else kept_context
        context.set_default_timeout(STEP_TIMEOUT)
        visitor = Visitor(context, place)
        context.on("console", visitor.note_violation)
        made.append(visitor)
        return visitor

    yield make
    for visitor in made:
        if visitor.context is not kept_context:
            visitor.context.close()
            continue
        visitor.context.remove_listener("console", visitor.note_violation)
        visitor.context.clear_cookies()
        for page in visitor.context.pages[1:]:
            page.close()
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
