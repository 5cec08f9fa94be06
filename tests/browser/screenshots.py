"""Pictures of every page a person sees: `python -m tests.browser.screenshots DIR`, from the repository's root.

The example Flask app beside a local XWMS, as `xwms-auth dev` runs them, on the width of a desk and of a phone.

Knows: what a visitor does to get to a page.
Must not: judge; the pictures are for people.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlencode

from tests.browser.servers import serve_elsewhere
from tests.browser.visitor import ARGUMENTS, CALLBACK
from xwms_auth import XWMSClient, XWMSConfig
from xwms_auth.sandbox import SandboxServer, SandboxSettings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

REPOSITORY: Final = Path(__file__).parents[2]
DEV: Final = (sys.executable, "-c", "from xwms_auth.cli import main; main()", "dev", "app:app")
WIDTHS: Final = {1280: 800, 390: 844}
AGENTS: Final = (
    "Mozilla/5.0 (Linux; Android 16; K) AppleWebKit/537.36 SamsungBrowser/29.0 Chrome/142.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 Version/18.6 Mobile Safari/604.1",
    "Somebody's own reader of pages",
)
"""The browsers that the visitor is logged in with as well."""


@contextmanager
def example_app(database: Path) -> Iterator[str]:
    """The example Flask app beside a local XWMS; gives its address."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("XWMS_")}
    environ |= {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1", "SUPPORT_DESK_DB": str(database)}
    process = subprocess.Popen(
        [*DEV, "--port", "0", "--sandbox-port", "0"],
        cwd=REPOSITORY / "examples" / "flask_app",
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield _address(process)
    finally:
        process.terminate()
        process.communicate(timeout=15)


def _address(process: subprocess.Popen[str]) -> str:
    """What the command tells a person to open."""
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.match(r"Open (http://localhost:\d+)/", line):
            return found[1]
    raise RuntimeError("the example app did not start; run `xwms-auth dev app:app` in its folder to see why")


def take_pictures(chromium: "Browser", origin: str, folder: Path) -> None:
    """Every page once per width, the app in dark as well."""
    for width, height in WIDTHS.items():
        take(chromium, origin, folder, width=width, height=height, colours="light")
        take(chromium, origin, folder, width=width, height=height, colours="dark")


def take(
    chromium: "Browser", origin: str, folder: Path, *, width: int, height: int, colours: Literal["light", "dark"]
) -> None:
    """One visitor's round."""
    context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=colours)
    page = context.new_page()

    def keep(name: str) -> None:
        page.screenshot(path=folder / f"{name}-{width}-{colours}.png", full_page=True)
        _say_if_too_wide(page, name, width)

    page.goto(f"{origin}/")
    keep("app-signed-out")
    page.goto(f"{origin}{CALLBACK}?token=a-token-of-nobody")
    keep("error")
    with serve_elsewhere() as elsewhere:
        elsewhere.pages["/"] = f'<a href="{origin}/xwms/auth?next=/tickets">A link</a>'
        page.goto(elsewhere.url("/"))
        page.get_by_role("link").click()
        page.wait_for_url(f"{origin}/xwms/auth?**")
        keep("confirm")
    page.goto(f"{origin}/tickets/new")
    keep("sandbox-sign-in")
    page.get_by_role("button", name="Anna de Vries").first.click()
    page.wait_for_url(f"{origin}/tickets/new")
    keep("app-new-ticket")
    page.get_by_label("Subject").fill(f"A question from a screen of {width} pixels")
    page.get_by_label("Message").fill("I would like to know how this looks.")
    page.get_by_role("button", name="Send").click()
    page.wait_for_url(f"{origin}/tickets/*")
    keep("app-ticket")
    page.goto(f"{origin}/")
    keep("app-signed-in")
    page.goto(f"{origin}/tickets")
    keep("app-tickets")
    take_devices(chromium, origin, page, keep)
    context.close()


def take_devices(chromium: "Browser", origin: str, page: "Page", keep: Callable[[str], None]) -> None:
    """Where the visitor of `page` is logged in; then what it says once another browser has ended that."""
    page.goto(f"{origin}/devices")
    keep("app-devices-one")
    others = [chromium.new_context(user_agent=agent) for agent in AGENTS]
    for context in others:
        tab = context.new_page()
        tab.goto(f"{origin}/devices")
        tab.get_by_role("button", name="Anna de Vries").first.click()
        tab.wait_for_url(f"{origin}/devices")
    page.goto(f"{origin}/devices")
    keep("app-devices")
    tab.get_by_role("button", name="Log out everywhere").click()
    tab.wait_for_url(f"{origin}/")
    page.goto(f"{origin}/")
    keep("app-signed-out-elsewhere")
    with serve_elsewhere() as elsewhere:
        elsewhere.pages["/"] = f'<a href="{origin}/xwms/auth?next=/tickets">A link</a>'
        page.goto(elsewhere.url("/"))
        page.get_by_role("link").click()
        page.wait_for_url(f"{origin}/xwms/auth?**")
        keep("confirm-signed-out")
    for context in others:
        context.close()


DASHBOARD: Final = {
    "clients": "/clients",
    "client-new": "/clients/new",
    "client": "/clients/{client}",
    "client-delete": "/clients/{client}/delete",
    "secrets": "/clients/{client}/secrets",
    "redirect-uris": "/clients/{client}/redirect-uris",
    "domains": "/clients/{client}/domains",
    "scopes": "/clients/{client}/scopes",
    "users": "/clients/{client}/users",
    "log": "/clients/{client}/log",
    "members": "/members",
    "roles": "/roles",
    "plan": "/plan",
    "people": "/people",
    "person": "/people/1",
    "faults": "/faults",
}


def take_dashboard(
    chromium: "Browser", folder: Path, *, width: int, height: int, colours: Literal["light", "dark"]
) -> None:
    """Every page of the sandbox's dashboard, with the demo account, and consent."""
    context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=colours)
    page = context.new_page()

    def keep(name: str) -> None:
        page.screenshot(path=folder / f"dashboard-{name}-{width}-{colours}.png", full_page=True)
        _say_if_too_wide(page, name, width)

    uri = "http://localhost:5000/xwms/validateToken"
    settings = SandboxSettings(redirect_uris=(uri,), scopes=("userinfo", "useraddresses"), seed=True)
    with SandboxServer(settings, port=0) as server:
        page.goto(f"{server.url}/")
        keep("front-page")
        page.goto(f"{server.url}/dashboard")
        keep("entrance")
        page.get_by_role("link", name="Register an account").click()
        page.get_by_label("E-mail address").fill("nobody@nowhere")
        keep("register")
        page.goto(f"{server.url}/dashboard")
        page.get_by_role("button", name="Olivia Owner").click()
        page.get_by_role("link", name="Web shop").click()
        client = page.url.rpartition("/")[2]
        for name, path in DASHBOARD.items():
            page.goto(f"{server.url}/dashboard{path.format(client=client)}")
            keep(name)
        page.goto(f"{server.url}/dashboard/clients/{client}/domains")
        page.get_by_role("link", name="bloom.example", exact=True).click()
        keep("domain")
        page.goto(f"{server.url}/dashboard/clients/{client}/redirect-uris")
        page.get_by_role("textbox", name="Redirect URI").fill("bloom.example/callback")
        page.get_by_role("button", name="Add").click()
        keep("redirect-uris-invalid")
        page.goto(f"{server.url}/dashboard/clients/{client}/secrets")
        page.get_by_role("link", name="Regenerate").first.click()
        keep("secret-regenerate")
        page.get_by_role("button", name="Regenerate now").click()
        keep("secret-once")
        config = XWMSConfig(
            client_id=settings.client_id,
            client_secret=settings.client_secret,
            domain=settings.domain,
            redirect_uris=uri,
            api_url=server.api_url,
            session_secret="a session secret, long enough for anybody",
        )
        with XWMSClient(config) as api:
            page.goto(api.sign_token(uri).url)
        page.get_by_role("button", name="Anna de Vries").first.click()
        keep("consent")
        asked = {
            "response_type": "code",
            "client_id": settings.client_id,
            "redirect_uri": uri,
            "scope": "openid profile email offline_access userinfo",
            "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            "code_challenge_method": "S256",
        }
        page.goto(f"{server.url}/oauth/authorize?{urlencode(asked)}")
        page.get_by_role("button", name="Anna de Vries").first.click()
        keep("consent-oauth")
        page.goto(f"{server.url}/oauth/authorize?{urlencode(asked | {'redirect_uri': 'https://elsewhere.example/'})}")
        keep("oauth-not-registered")
    context.close()


def _say_if_too_wide(page: "Page", name: str, width: int) -> None:
    needed = page.evaluate("document.documentElement.scrollWidth")
    if needed > width:
        print(f"{name} at {width}: the page is {needed} pixels wide and scrolls sideways", file=sys.stderr)  # noqa: T201


def main() -> None:
    """Take all pictures into the folder named on the command line."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the pictures go; made if it is not there")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as scratch,
        example_app(Path(scratch) / "desk.sqlite3") as origin,
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        take_pictures(chromium, origin, folder)
        for width, height in WIDTHS.items():
            take_dashboard(chromium, folder, width=width, height=height, colours="light")
            take_dashboard(chromium, folder, width=width, height=height, colours="dark")
        chromium.close()


if __name__ == "__main__":
    main()
