"""The sandbox's OAuth in a real Chromium: through sign-in and consent back to the app, with and without scripts."""

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.browser.servers import Elsewhere
from tests.browser.visitor import STEP_TIMEOUT
from xwms_auth.sandbox import SandboxServer, SandboxSettings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # RFC 7636, appendix B


@pytest.fixture
def app(elsewhere: Elsewhere) -> str:
    """The app's callback, at another origin than the sandbox."""
    elsewhere.pages["/callback"] = "<h1>Back at the app</h1>"
    return elsewhere.url("/callback", host="localhost")


@pytest.fixture
def sandbox(app: str) -> Iterator[SandboxServer]:
    settings = SandboxSettings(redirect_uris=(app,), scopes=("userinfo", "useraddresses"))
    with SandboxServer(settings, port=0) as running:
        yield running


@pytest.fixture(params=["scripts", "no-scripts"])
def page(request: pytest.FixtureRequest, chromium: "Browser", sandbox: SandboxServer, app: str) -> "Iterator[Page]":
    """A phone at the sign-in page; fails where a policy was violated."""
    context = chromium.new_context(
        viewport={"width": 390, "height": 844}, java_script_enabled=request.param == "scripts"
    )
    context.set_default_timeout(STEP_TIMEOUT)
    violations: list[str] = []
    context.on("console", lambda said: violations.append(said.text) if "Content Security" in said.text else None)
    opened = context.new_page()
    asked = {
        "response_type": "code",
        "client_id": "sandbox-client",
        "redirect_uri": app,
        "scope": "openid profile email offline_access userinfo useraddresses",
        "state": "a state",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    opened.goto(f"{sandbox.url}/oauth/authorize?{urlencode(asked)}")
    yield opened
    context.close()
    assert violations == []


def said(page: "Page", app: str) -> dict[str, list[str]]:
    """What the browser brought back to the app."""
    page.wait_for_url(f"{app}?**")
    assert page.get_by_role("heading", name="Back at the app").is_visible()
    return parse_qs(urlsplit(page.url).query)


def test_a_person_agrees_and_is_back_at_the_app_with_a_code(page, sandbox, app):
    page.get_by_role("button", name="Anna de Vries").first.click()
    assert page.get_by_role("listitem").count() == 6
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Allow").click()
    told = said(page, app)
    assert told.keys() == {"code", "state", "iss"}
    assert (told["state"], told["iss"]) == (["a state"], [sandbox.url])


@pytest.mark.parametrize(("page", "after_choosing"), [("scripts", True), ("no-scripts", False)], indirect=["page"])
def test_a_person_refuses_on_either_page_and_the_app_is_told(page, app, after_choosing):
    address = page.url
    if after_choosing:
        page.get_by_role("button", name="Anna de Vries").first.click()
    page.get_by_role("button", name="Cancel").click()
    assert said(page, app)["error"] == ["access_denied"]
    page.goto(address)
    assert page.get_by_text("This sign-in was answered").is_visible()
