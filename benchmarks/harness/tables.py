"""Tables of Markdown from rows of results."""

from collections.abc import Callable
from typing import Any

from .results import Row, rows_of

NOT_MEASURED = "not measured"
WITH_BARE = ("instruction_count", "server_rate", "memory_cost")
"""The tables in which the bare route's own figure says something."""

Results = dict[str, Any]


def number(value: float | None) -> str:
    """Three digits that count, and separated thousands."""
    if value is None:
        return "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def spread(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None or low == high else f" ({number(low)} to {number(high)})"


def table(head: list[str], rows: list[list[str]], numbers: int) -> str:
    """A table of Markdown whose last `numbers` columns are figures."""
    rule = "|".join(["---"] * (len(head) - numbers) + ["--:"] * numbers)
    lines = [f"| {' | '.join(line)} |" for line in (head, *rows)]
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]])


def cell(value: Any) -> str:
    if isinstance(value, float):
        return number(value)
    return f"{value:,}" if isinstance(value, int) else "–" if value is None else str(value)


def columns(benchmark: str, names: dict[str, str], numbers: int, **where: Any) -> Callable[[Results], str]:
    """A table of these columns, under the names that they have on the page."""

    def made(results: Results) -> str:
        rows = rows_of(results, benchmark, **where)
        rows = [row for row in rows if row.get("subject") != "bare" or benchmark in WITH_BARE]
        lines = [[cell(row.get(name)) for name in names] for row in rows]
        return table(list(names.values()), lines, numbers) if lines else NOT_MEASURED

    return made


def pivot(
    benchmark: str, head: dict[str, str], column: Callable[[Row], str], *, value: str = "value", **where: Any
) -> Callable[[Results], str]:
    """A line for each combination of `head`, and a column for each answer of `column`: medians with their quartiles."""

    def made(results: Results) -> str:
        found: dict[tuple[str, ...], dict[str, str]] = {}
        names: dict[str, None] = {}
        for row in rows_of(results, benchmark, **where):
            names[column(row)] = None
            key = tuple(cell(row.get(name)) for name in head)
            found.setdefault(key, {})[column(row)] = number(row[value]) + spread(row.get("from"), row.get("to"))
        lines = [[*key, *(cells.get(name, "–") for name in names)] for key, cells in found.items()]
        return table([*head.values(), *names], lines, len(names)) if lines else NOT_MEASURED

    return made
