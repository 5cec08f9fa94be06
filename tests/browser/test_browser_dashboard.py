"""A developer's first day in a real Chromium: account, client, credentials into an app, rotation, the client's end.

The app takes its client secret from a file, as in production, so that a new one needs no restart.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.servers import Edge, listener, port_of, serve_app
from tests.browser.visitor import CALLBACK, STEP_TIMEOUT
from xwms_auth import XWMSConfig
from xwms_auth.sandbox import SandboxServer, SandboxSettings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.browser


@dataclass
class Day:
    """The sandbox, the address the app will have, and the browser."""

    edge: Edge
    sandbox: SandboxServer
    origin: str
    sock: Any
    stack: ExitStack
    folder: Path
    context: "BrowserContext"
    scripts: bool
    violations: list[str]

    def open_dashboard(self) -> "Page":
        page = self.context.new_page()
        page.goto(f"{self.sandbox.url}/dashboard")
        return page

    def copied(self, page: "Page", name: str) -> str:
        """What the copy button gives; without JavaScript there is none, and a person marks the text."""
        value = page.locator(f"#{name}").inner_text()
        button = page.locator(f"[data-copies={name}]")
        button.wait_for(state="visible" if self.scripts else "hidden")  # the script runs when the page is read
        if self.scripts:
            button.click()
            assert page.evaluate("navigator.clipboard.readText()") == value
        return value

    def start_app(self, client_id: str, secret: str) -> None:
        (self.folder / "secret").write_text(secret)
        config = XWMSConfig.from_env(
            {
                "XWMS_CLIENT_ID": client_id,
                "XWMS_CLIENT_SECRET_FILE": str(self.folder / "secret"),
                "XWMS_DOMAIN": "localhost",
                "XWMS_REDIRECT_URI": self.origin + CALLBACK,
                "XWMS_API_URI": self.sandbox.api_url,
                "XWMS_SESSION_SECRET": "a-session-secret-for-the-browser-tests-long-enough",
                "XWMS_DEBUG": "1",
            }
        )
        self.stack.enter_context(serve_app(self.edge, config, self.sock, None))

    def log_in(self) -> "Page":
        """Log in to the app in a tab of its own."""
        page = self.context.new_page()
        page.goto(f"{self.origin}/private")
        page.get_by_role("button", name="Anna de Vries").first.click()
        page.wait_for_url(f"{self.origin}/private")
        assert page.locator("#who").inner_text() == "Anna de Vries"
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url(f"{self.origin}/")
        return page

    def fail_to_log_in(self, code: str, advice: str) -> None:
        """Ask for a protected page, and be told what is wrong."""
        page = self.context.new_page()
        page.goto(f"{self.origin}/private")
        text = page.locator("body").inner_text()
        assert code in text
        assert advice in text
        page.close()


@pytest.fixture(params=["starlette", "flask-without-scripts"])
def day(request: pytest.FixtureRequest, chromium: "Browser", tmp_path: Path) -> Iterator[Day]:
    edge, _, without = request.param.partition("-")
    with ExitStack() as stack:
        sock = stack.enter_context(listener())
        origin = f"http://localhost:{port_of(sock)}"
        settings = SandboxSettings(redirect_uris=("http://localhost:5000/xwms/validateToken",))
        sandbox = stack.enter_context(SandboxServer(settings, port=0))
        context = chromium.new_context(java_script_enabled=not without)
        context.set_default_timeout(STEP_TIMEOUT)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        violations: list[str] = []
        context.on(
            "console", lambda said: violations.append(said.text) if "ecurity policy" in said.text.lower() else None
        )
        yield Day(edge, sandbox, origin, sock, stack, tmp_path, context, not without, violations)
        context.close()
    assert violations == []


def test_from_an_account_to_a_deleted_client(day):
    page = day.open_dashboard()
    page.get_by_role("link", name="Register an account").click()
    page.get_by_label("Account").fill("Flower shop")
    page.get_by_label("Your name").fill("Ada Lovelace")
    page.get_by_label("E-mail address").fill("ada@shop.example")
    page.get_by_role("button", name="Register").click()
    page.get_by_role("button", name="Activate").click()

    page.get_by_role("link", name="New client").click()
    page.get_by_label("Name").fill("Shop")
    page.get_by_label("Domain").fill("localhost")
    page.get_by_role("textbox", name="Redirect URI").fill("localhost/xwms/validateToken")
    page.get_by_role("button", name="Create client").click()
    assert "This is not an absolute http or https URL" in page.locator("#redirect_uri-fault").inner_text()
    page.locator(".faults:focus").wait_for()  # without JavaScript too
    assert page.title().startswith("Error: New client")
    page.get_by_role("link", name="This is not an absolute http or https URL").click()
    page.locator("#redirect_uri:focus").wait_for()
    assert page.get_by_label("Name").input_value() == "Shop"
    page.get_by_role("textbox", name="Redirect URI").fill("https://shop.example/xwms/validateToken")
    page.get_by_role("button", name="Create client").click()

    client_id, secret = day.copied(page, "client-id"), day.copied(page, "client-secret")
    page.get_by_role("link", name="I have copied it").click()
    assert secret not in page.content()
    day.start_app(client_id, secret)
    day.fail_to_log_in("redirect_not_registered", day.origin + CALLBACK)

    page.get_by_role("link", name="Redirect URIs").click()
    page.get_by_role("textbox", name="Redirect URI").fill(day.origin + CALLBACK)
    page.get_by_role("button", name="Add").click()
    day.log_in()

    page.get_by_role("link", name="Secrets").click()
    page.get_by_role("link", name="Regenerate").click()
    page.get_by_role("button", name="Regenerate now").click()
    fresh = day.copied(page, "client-secret")
    assert fresh != secret
    day.fail_to_log_in("credentials_rejected", "Secrets")
    (day.folder / "secret").write_text(fresh)
    day.log_in()

    page.get_by_role("link", name="I have copied it").click()
    page.get_by_role("link", name="API log").click()
    assert "the client secret" in page.locator("main").inner_text().lower() or "none of this client" in page.content()
    page.get_by_role("link", name="Overview").click()
    page.get_by_role("button", name="Disable client").click()
    day.fail_to_log_in("client_disabled", "dashboard")
    page.get_by_role("button", name="Enable client").click()
    day.log_in()

    page.get_by_role("link", name="Delete client").click()
    page.get_by_label("Type the client's name").fill("Shop")
    page.get_by_role("button", name="Delete client").click()
    assert client_id not in page.locator("main").inner_text()
    day.fail_to_log_in("credentials_rejected", "Client")
