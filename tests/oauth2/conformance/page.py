"""The two tables of docs/conformance.md, made of the rows; `python -m tests.oauth2.conformance.page` writes them."""

from collections.abc import Iterable
from pathlib import Path

from tests.oauth2.conformance.rows import LEFT_OUT, PREFIX, ROWS

PAGE = Path(__file__).parents[3] / "docs" / "conformance.md"
BEGIN, END = "<!-- {} -->", "<!-- end of {} -->"


def replayed() -> str:
    return _table(
        ("Module", "Plans", "The provider …", "The profile demands", "Here"),
        (
            (f"`{row.title}`", row.plans, row.does, row.demands, f"differs: {row.differs}" if row.differs else row.here)
            for row in ROWS
        ),
    )


def left_out() -> str:
    return _table(("Module", "Why"), ((f"`{PREFIX}{name}`", why) for name, why in LEFT_OUT.items()))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def written_into(page: str) -> str:
    """The page with these tables between its marks."""
    for name, table in (("replayed", replayed()), ("left out", left_out())):
        before, _, rest = page.partition(BEGIN.format(name))
        _, _, after = rest.partition(END.format(name))
        page = f"{before}{BEGIN.format(name)}\n\n{table}\n\n{END.format(name)}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(written_into(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
