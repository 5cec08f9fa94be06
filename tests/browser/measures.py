"""What a program can measure of a page for people who enlarge text, use the keyboard or choose their colours.

axe-core says what can be read off a page; the rest is measured: what scrolls sideways, what is cut off, what the
keyboard cannot scroll, and which buttons are buttons by their colour only.

Knows: what every page has to be like.
Must not: know a page, or how a visitor gets to it.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from tests.tools.requires import missing

if TYPE_CHECKING:
    from playwright.sync_api import Page

AXE: Final = Path(__file__).with_name("node_modules") / "axe-core" / "axe.min.js"
DESK: Final = {"width": 1280, "height": 800}
PHONE: Final = {"width": 390, "height": 844}
SMALLEST: Final = {"width": 320, "height": 568}
"""A desk of 1280 pixels at a zoom of 400 % (WCAG 2.2, 1.4.10)."""

TAGS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

# Each size and each colour scheme once.
_LOOKS: Final[Sequence[tuple[dict[str, int], Literal["light", "dark"]]]] = ((DESK, "light"), (PHONE, "dark"))

# What is there for ears only is clipped. A field scrolls by itself.
_SCROLLED: Final = """() => {
    const named = each => each.tabIndex === 0 && each.role && (each.ariaLabel || each.getAttribute("aria-labelledby"))
    const found = []
    if (document.documentElement.scrollWidth > innerWidth)
        found.push(`scrolls sideways: ${document.documentElement.scrollWidth} px`)
    for (const each of document.querySelectorAll("body *:not(input, textarea, select)")) {
        const { overflowX, overflowY, clipPath } = getComputedStyle(each)
        if (!each.clientWidth || clipPath !== "none") continue
        const ways = []
        if (each.scrollWidth > each.clientWidth + 1) ways.push(overflowX)
        if (each.scrollHeight > each.clientHeight + 1) ways.push(overflowY)
        const start = each.outerHTML.slice(0, 90)
        if (each.getBoundingClientRect().left < -1) found.push(`begins outside: ${start}`)
        if (ways.some(way => /hidden|clip/.test(way))) found.push(`cut off: ${start}`)
        if (ways.some(way => /auto|scroll/.test(way)) && !named(each))
            found.push(`not named or not reached by the keyboard, but scrolls: ${start}`)
    }
    return found
}"""

# In forced colours nothing has a background of its own: a button has a border, or is underlined like a link.
_WITHOUT_BORDER: Final = """() => [...document.querySelectorAll("button, .button, input[type=submit]")]
    .filter(each => each.checkVisibility())
    .filter(each => {
        const { borderTopStyle, borderTopWidth, textDecorationLine } = getComputedStyle(each)
        return (borderTopStyle === "none" || borderTopWidth === "0px") && textDecorationLine !== "underline"
    })
    .map(each => `no border in forced colours: ${each.outerHTML.slice(0, 90)}`)"""


def axe_source() -> str:
    """axe-core as a script; the test is skipped where it is not installed."""
    if not AXE.exists():
        missing("axe-core (npm ci --prefix tests/browser)")
    return AXE.read_text(encoding="utf-8")


def violations(page: "Page", axe: str) -> list[str]:
    """What axe-core finds on the page as it is shown now."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe)
    options = json.dumps({"runOnly": TAGS, "resultTypes": ["violations"]})
    found: list[dict[str, Any]] = page.evaluate(f"axe.run({options}).then(found => found.violations)")
    return [f"{each['id']}: {json.dumps([node['html'] for node in each['nodes']])}" for each in found]


@dataclass(slots=True)
class Inspection:
    """Looks at one page after the other; `faults` is what was found.

    `pages` are the names of those that were tried, `paths` where they are.
    """

    axe: str
    pages: list[str] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    def look(self, page: "Page", name: str) -> None:
        """Every measure of the page that `page` shows; it looks as before afterwards."""
        self.pages.append(name)
        self.paths.add(urlsplit(page.url).path)
        self.faults += [f"{name}, {how}: {fault}" for how, fault in self._all(page)]

    def _all(self, page: "Page") -> Iterator[tuple[str, str]]:
        for size, colours in _LOOKS:
            page.set_viewport_size(size)
            page.emulate_media(color_scheme=colours)
            for fault in violations(page, self.axe):
                yield f"{size['width']} {colours}", fault
        page.emulate_media(color_scheme="light", forced_colors="active")
        for fault in page.evaluate(_WITHOUT_BORDER):
            yield "forced colours", fault
        page.emulate_media(forced_colors="none")
        for size, text in ((SMALLEST, 100), (PHONE, 100), (DESK, 100), (PHONE, 200), (DESK, 200)):
            page.set_viewport_size(size)
            page.evaluate(f"document.documentElement.style.fontSize = '{text}%'")
            for fault in page.evaluate(_SCROLLED):
                yield f"{size['width']} at {text} %", fault
        page.evaluate("document.documentElement.style.fontSize = ''")
