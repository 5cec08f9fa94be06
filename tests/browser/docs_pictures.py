"""The pictures of the front page of the documentation: `python -m tests.browser.docs_pictures`, from the root.

The sign-in page of the local XWMS beside the example Flask app after it, light and dark, as docs/images/login-*.webp.

Knows: what a visitor does to get there.
Must not: be run by a test; the pictures change only when the pages do.
"""

import tempfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser.screenshots import REPOSITORY, example_app
from tests.tools.requires import program

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FOLDER: Final = REPOSITORY / "docs" / "images"
SIZE: Final = (560, 470)
GAP: Final = 24
SCALE: Final = 1.5


def take(chromium: "Browser", origin: str, colours: Literal["light", "dark"]) -> tuple[bytes, bytes]:
    """The sign-in page, and the page that the person comes back to."""
    width, height = SIZE
    context = chromium.new_context(
        viewport={"width": width, "height": height}, color_scheme=colours, device_scale_factor=SCALE
    )
    page = context.new_page()
    page.goto(f"{origin}/tickets")
    page.get_by_role("button", name="Anna de Vries").first.wait_for()
    before = page.screenshot()
    page.get_by_role("button", name="Anna de Vries").first.click()
    page.wait_for_url(f"{origin}/tickets")
    after = page.screenshot()
    context.close()
    return before, after


def side_by_side(before: bytes, after: bytes, colours: str) -> Image.Image:
    """Both, with a line around each."""
    pictures = [Image.open(BytesIO(data)).convert("RGB") for data in (before, after)]
    width, height = pictures[0].size
    gap = round(GAP * SCALE)
    line = (208, 208, 214) if colours == "light" else (70, 72, 84)
    whole = Image.new("RGB", (2 * width + gap + 8, height + 4), (255, 255, 255) if colours == "light" else (14, 15, 20))
    for number, picture in enumerate(pictures):
        left = number * (width + gap + 4)
        whole.paste(line, (left, 0, left + width + 4, height + 4))
        whole.paste(picture, (left + 2, 2))
    return whole


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program("chromium-headless-shell"))
        for colours in ("light", "dark"):
            with example_app(Path(folder) / f"{colours}.sqlite3") as origin:
                picture = side_by_side(*take(chromium, origin, colours), colours)
                picture.save(FOLDER / f"login-{colours}.webp", quality=80, method=6)
        chromium.close()


if __name__ == "__main__":
    main()
