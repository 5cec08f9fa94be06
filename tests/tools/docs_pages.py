"""The pages of docs/ in the order of the navigation, and what is shown on them.

`python -m tests.tools.docs_pages` writes docs/llms.txt: a line for each page, from its title and description.
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
PAGES: Final = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
LLMS: Final = DOCS / "llms.txt"

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)(?P<options>[^\n`]*)\n(?P<code>.*?)^(?P=indent)```$", re.M | re.S
)
_REASON = re.compile(r"<!-- not run: (.+?) -->\n+ *$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block, with why it is not run if the page says so in a comment before it."""

    page: str
    line: int
    language: str
    code: str
    reason: str | None

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def file_name(self) -> str | None:
        """`app.py`, where the block begins with `# app.py`."""
        found = re.match(r"# (\w+\.py)\n", self.code)
        return found[1] if found else None


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        reason = _REASON.search(text[: found.start()])
        yield Block(
            page=page.name,
            line=text[: found.start()].count("\n") + 1,
            language=found["language"],
            code=textwrap.dedent(found["code"]),
            reason=reason[1] if reason else None,
        )


def all_blocks(*languages: str) -> list[Block]:
    return [block for page in PAGES for block in blocks_of(page) if block.language in languages]


def settings_of_site() -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    return settings


def sections() -> Iterator[tuple[str, list[str]]]:
    """The sections of the navigation, each with the names of its pages; a page of its own is a section of one."""
    for entry in settings_of_site()["nav"]:
        [(title, inside)] = entry.items()
        yield title, [inside] if isinstance(inside, str) else [name for page in inside for name in page.values()]


def front_matter(page: Path) -> dict[str, Any]:
    found = re.match(r"---\n(.*?)^---\n", page.read_text(encoding="utf-8"), re.M | re.S)
    values: dict[str, Any] = yaml.safe_load(found[1]) if found else {}
    return values


def title_of(page: Path) -> str:
    found = re.search(r"^# (.+)$", page.read_text(encoding="utf-8"), re.M)
    assert found, page.name
    return found[1]


def llms() -> str:
    """The text of llms.txt, as https://llmstxt.org describes it."""
    lines = [f"# {settings_of_site()['site_name']}", "", f"> {front_matter(DOCS / 'index.md')['description']}"]
    for title, names in sections():
        lines += ["", f"## {title}", ""]
        for name in names:
            page = DOCS / name
            address = page.with_suffix(".html").name
            lines.append(f"- [{title_of(page)}]({address}): {front_matter(page)['description']}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    LLMS.write_text(llms(), encoding="utf-8")
