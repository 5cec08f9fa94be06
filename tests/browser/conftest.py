"""Fixtures: Chromium, the app beside a local XWMS on real sockets, and a person who visits it.

Chromium is started once per module, not once per run: while Playwright's sync API is active its event loop counts as
running in the main thread, and other tests could not run theirs.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.servers import (
    Certificate,
    Edge,
    Elsewhere,
    Journal,
    listener,
    port_of,
    self_signed,
    serve_app,
    serve_elsewhere,
)
from tests.requires import missing, program
from xwms_auth import XWMSConfig
from xwms_auth.sandbox import SandboxServer, SandboxSettings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
STEP_TIMEOUT = 15_000  # milliseconds one step of a story may take on a busy machine
CALLBACK = "/xwms/validateToken"


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


@dataclass(frozen=True, slots=True)
class Place:
    """The app at its origin, and the local XWMS it logs people in with."""

    origin: str
    secure: bool
    sandbox: SandboxServer
    journal: Journal
    log: pytest.LogCaptureFixture

    @property
    def session_cookie(self) -> str:
        return "__Host-xwms_session" if self.secure else "xwms_session"

    @property
    def login_cookie(self) -> str:
        return "__Host-xwms_login" if self.secure else "xwms_login"

    def api_calls(self) -> list[str]:
        """The calls the local XWMS answered so far: `sign-token 200`."""
        lines = [record.getMessage() for record in self.log.records if record.name == "xwms_auth.sandbox"]
        return [line.partition("/api/")[2] for line in lines if "/api/" in line]


@dataclass(slots=True)
class Visitor:
    """A person with a browser of their own."""

    context: "BrowserContext"
    place: Place
    violations: list[str] = field(default_factory=list)
    """What Chromium's console said about Content-Security-Policy."""

    def tab(self) -> "Page":
        return self.context.new_page()

    def ask_to_log_in(self, page: "Page", path: str = "/private") -> None:
        """Open a protected page and be sent to XWMS."""
        page.goto(self.place.origin + path)
        assert page.url.startswith(f"{self.place.sandbox.url}/sign-in/"), page.url

    def pick(self, page: "Page", name: str = "Anna de Vries") -> str:
        """Pick a person on XWMS's sign-in page; gives the callback's address, which only the network saw."""
        callback = f"{self.place.origin}{CALLBACK}?"
        with page.expect_request(lambda request: request.url.startswith(callback)) as seen:
            page.get_by_role("button", name=name).first.click()
        page.wait_for_load_state()
        return seen.value.url

    def log_in(self, page: "Page", path: str = "/private", name: str = "Anna de Vries") -> str:
        """The whole story; gives the callback's address."""
        self.ask_to_log_in(page, path)
        callback = self.pick(page, name)
        assert (page.url, self.who(page)) == (self.place.origin + path, name)
        return callback

    def log_out(self, page: "Page") -> None:
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url(f"{self.place.origin}/")

    def who(self, page: "Page") -> str:
        """Who the page says is there."""
        return page.locator("#who").inner_text()

    def cookies(self) -> dict[str, Any]:
        """The cookies of the app as Chromium keeps them, by name."""
        return {cookie["name"]: cookie for cookie in self.context.cookies()}


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
        context.on("console", lambda said: _note_violation(visitor, said.text))
        made.append(visitor)
        return visitor

    yield make
    for visitor in made:
        visitor.context.close()
    assert [visitor.violations for visitor in made] == [[] for _ in made]


def _note_violation(visitor: Visitor, text: str) -> None:
    if "content security policy" in text.lower():
        visitor.violations.append(text)


@pytest.fixture
def visitor(make_visitor: Callable[..., Visitor]) -> Visitor:
    """Somebody who has not been here yet."""
    return make_visitor()


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    """Another site, which does not mean well."""
    with serve_elsewhere() as server:
        yield server
