"""A person with a real Chromium, and the app they visit.

Knows: how Chromium is started, what the app's and XWMS's pages offer a person.
Must not: start a server, or assert more than that each step of a story arrives.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.browser.servers import Journal
from xwms_auth.sandbox import SandboxServer

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Page

_OFF: Final = (
    # What Playwright switches off; naming others replaces its list.
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable",
    "LensOverlay",
    "MediaRouter",
    "PaintHolding",
    "ThirdPartyStoragePartitioning",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "OptimizationHints",
    "NetworkTimeServiceQuerying",
    "AimEnabled",
    "PreconnectToSearch",
    # Each window's own buttons are a page with a process, a sixth of what a new window costs.
    "InitialWebUI",
    "PreloadTopChromeWebUI",
    "WebUIOmniboxPopup",
    "WebUIReloadButton",
    "WebUIToolbar",
)
CHROMIUM: Final = ("chromium-headless-shell", "chromium")
"""The first costs half the time: it has no windows of its own to draw."""

ARGUMENTS: Final[Sequence[str]] = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--disable-features={','.join(_OFF)}",
]
STEP_TIMEOUT: Final = 15_000  # milliseconds one step of a story may take on a busy machine
CALLBACK: Final = "/xwms/validateToken"


TAG = "browser"
"""The `cookie_tag` of the apps that are visited."""


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
        return f"{'__Host-' if self.secure else ''}xwms_session_{TAG}"

    @property
    def login_prefix(self) -> str:
        return f"{'__Host-' if self.secure else ''}xwms_login_{TAG}_"

    def api_calls(self) -> list[str]:
        """The calls the local XWMS answered so far: `sign-token 200`."""
        lines = [record.getMessage() for record in self.log.records if record.name == "xwms_auth.sandbox"]
        return [line.partition("/api/")[2] for line in lines if "/api/" in line]


@dataclass  # with slots Playwright could not keep the listener
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

    def approve(self, page: "Page", sub: str = "1001") -> str:
        """Approve at XWMS without going back to the app; gives the callback's address, which nobody has opened yet."""
        answer = self.context.request.post(page.url, form={"person": sub}, max_redirects=0)
        return answer.headers["location"]

    def log_in(self, page: "Page", path: str = "/private", name: str = "Anna de Vries") -> str:
        """The whole story; gives the callback's address."""
        self.ask_to_log_in(page, path)
        callback = self.pick(page, name)
        assert (page.url, self.who(page)) == (self.place.origin + path, name)
        return callback

    def go_on(self, page: "Page") -> None:
        """Press the button of the confirmation page, as somebody does who sees it first and moves the mouse there."""
        button = page.get_by_role("button", name="Continue")
        # Playwright moves the mouse only once nothing lies over the button, and the cover waits for the mouse.
        button.hover(force=True)
        button.click()

    def log_out(self, page: "Page") -> None:
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url(f"{self.place.origin}/")

    def who(self, page: "Page") -> str:
        """Who the page says is there."""
        return page.locator("#who").inner_text()

    def note_violation(self, said: "ConsoleMessage") -> None:
        """Keep a line of Chromium's console if it speaks of Content-Security-Policy."""
        if "content security policy" in said.text.lower():
            self.violations.append(said.text)

    def cookies(self) -> dict[str, Any]:
        """The cookies of the app as Chromium keeps them, by name."""
        return {cookie["name"]: cookie for cookie in self.context.cookies()}
