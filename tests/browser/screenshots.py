"""Pictures of every page a person sees: `python -m tests.browser.screenshots DIR`, from the repository's root.

The example Flask app beside a local XWMS, as `xwms-auth dev` runs them, and the sandbox with its dashboard: on the
width of a desk and of a phone, light and dark, and on a phone with text at 200 %.

Must not: judge; the pictures are for people.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from tests.browser.drivers import chromium
from tests.browser.every_page import (
    add_clients,
    sandbox_settings,
    tour_of_dashboard,
    tour_of_example,
    tour_of_many_clients,
    tour_of_roles,
    tour_of_sign_in,
)
from tests.browser.measures import DESK, PHONE
from tests.browser.servers import serve_elsewhere
from xwms_auth.sandbox import SandboxServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

REPOSITORY: Final = Path(__file__).parents[2]
DEV: Final = (sys.executable, "-c", "from xwms_auth.cli import main; main()", "dev", "app:app")
LOOKS: Final[tuple[tuple[dict[str, int], Literal["light", "dark"], int], ...]] = (
    (DESK, "light", 100),
    (DESK, "dark", 100),
    (PHONE, "light", 100),
    (PHONE, "dark", 100),
    (PHONE, "light", 200),
)


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


class Album:
    """The pictures of one tour, in a folder."""

    def __init__(self, folder: Path, tour: str) -> None:
        self._folder = folder
        self._tour = tour

    def keep(self, page: "Page", name: str) -> None:
        """One picture of the page in each look."""
        title = re.sub(r"\W+", "-", f"{self._tour} {name}").strip("-").lower()
        for size, colours, text in LOOKS:
            page.set_viewport_size(size)
            page.emulate_media(color_scheme=colours)
            page.evaluate(f"document.documentElement.style.fontSize = '{text}%'")
            page.screenshot(path=self._folder / f"{title}-{size['width']}-{colours}-{text}.png", full_page=True)
        page.evaluate("document.documentElement.style.fontSize = ''")


def take_pictures(browser: "Browser", origin: str, folder: Path) -> None:
    """Every page, in each look."""
    with serve_elsewhere() as elsewhere:
        elsewhere.pages["/"] = f'<a href="{origin}/xwms/auth?next=/tickets">A link</a>'
        tour_of_example(browser.new_page(), origin, elsewhere.url("/"), Album(folder, "app").keep)
    settings = sandbox_settings()
    with SandboxServer(settings, port=0) as server:
        tour_of_sign_in(browser.new_page(), server, settings, Album(folder, "sandbox").keep)
        tour_of_dashboard(browser.new_page(), server, Album(folder, "dashboard").keep)
        tour_of_roles(browser.new_page(), server, Album(folder, "dashboard").keep)
        with server.inside.database.work() as session:
            add_clients(session, 53)
        tour_of_many_clients(browser.new_page(), server, Album(folder, "dashboard").keep)


def main() -> None:
    """Take all pictures into the folder named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the pictures go; made if it is not there")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as scratch,
        example_app(Path(scratch) / "desk.sqlite3") as origin,
        chromium(args=["--host-resolver-rules=MAP xwms.example 127.0.0.1"]) as browser,
    ):
        take_pictures(browser, origin, folder)


if __name__ == "__main__":
    main()
