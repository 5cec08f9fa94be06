"""The app beside a local XWMS, for the drivers of all browsers, and what a person does there.

Knows: the app's routes and XWMS's sign-in page.
Must not: start a browser, or assert more than that each step of a story arrives.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from tests.browser.drivers import Driver, wait_for_url
from tests.browser.servers import Edge, Journal, listener, port_of, serve_app
from tests.browser.visitor import CALLBACK
from xwms_auth import XWMSConfig
from xwms_auth.sandbox import SandboxServer, SandboxSettings

LOGIN: Final = "/xwms/auth"
LOGOUT: Final = "/xwms/logout"
ANNA: Final = "Anna de Vries"
ANNAS_SUB: Final = "1001"


@dataclass(frozen=True, slots=True)
class House:
    """The app at its address, and the local XWMS that it logs people in with."""

    origin: str
    config: XWMSConfig
    xwms: str
    journal: Journal

    @property
    def sign_in_pages(self) -> str:
        """A regular expression for the addresses of XWMS's sign-in pages."""
        return re.escape(f"{self.xwms}/sign-in/")

    def at(self, path: str) -> str:
        """A regular expression for exactly this address of the app."""
        return re.escape(self.origin + path) + "$"


@contextmanager
def serve(
    edge: Edge,
    *,
    callback_token: Any,
    brought: Any = "same",
    auto_login: str | None = None,
    pages: Mapping[str, str] | None = None,
) -> Iterator[House]:
    """Serve both. `brought` is what the local XWMS brings back, `pages` are further ones of the app."""
    with listener() as sock:
        origin = f"http://localhost:{port_of(sock)}"
        settings = SandboxSettings(redirect_uris=(origin + CALLBACK,), callback_token=brought, auto_login=auto_login)
        with SandboxServer(settings, port=0) as sandbox:
            config = XWMSConfig(
                client_id=settings.client_id,
                client_secret=settings.client_secret,
                redirect_uris=origin + CALLBACK,
                api_url=sandbox.api_url,
                session_secret="a session secret for the browser tests, long enough",
                callback_token=callback_token,
            )
            with serve_app(edge, config, sock, None, pages) as journal:
                yield House(origin, config, sandbox.url, journal)


def text(driver: Driver, selector: str = "body") -> str:
    """What the page in front says there."""
    said: str = driver.run(f"document.querySelector('{selector}').innerText")
    return said


def pick_anna(driver: Driver, house: House) -> None:
    """On XWMS's sign-in page."""
    wait_for_url(driver, house.sign_in_pages)
    driver.click(f'button[value="{ANNAS_SUB}"]')


def choose_anna(driver: Driver, house: House, *, back_at: str) -> None:
    """On XWMS's sign-in page, and then home without a question."""
    pick_anna(driver, house)
    wait_for_url(driver, house.at(back_at))
    assert text(driver, "#who") == ANNA
