"""The results of a run as Markdown."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from tests.matrix.runner import Result

BEGIN, END = "<!-- table -->", "<!-- end of table -->"


def counts(results: Sequence[Result]) -> str:
    words = ("green", "red", "not to be had")
    return ", ".join(f"{sum(result.word == word for result in results)} {word}" for word in words)


def table(results: Sequence[Result]) -> str:
    """A section for each group, with a line for each cell."""
    parts: list[str] = []
    for group, found in groupby(results, lambda result: result.cell.group):
        parts += [f"### {group}", "", *_rows(list(found)), ""]
    return "\n".join(parts)


def _rows(results: Sequence[Result]) -> Iterable[str]:
    yield f"{counts(results)}."
    yield ""
    yield "| Cell | Application | Server | Store | Result |"
    yield "|---|---|---|---|---|"
    for result in results:
        cell = result.cell
        said = f"{result.word}: {_plain(result.reason)}" if result.reason else result.word
        app = cell.app.replace("_", " ", 1)
        yield f"| {cell.name} | {app} | {cell.server} | {cell.store} | {said} |"


def _plain(reason: str) -> str:
    """A reason without what differs from machine to machine, and without what Markdown would read."""
    reason = re.sub(r"(file://)?/[\w./-]*/", "", reason)
    return re.sub(r"[|`<>*_]", " ", reason)[:160].strip()


def written_into(page: str, results: Sequence[Result]) -> str:
    """The page with this table in place of the one between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{counts(results)}.\n\n{table(results)}\n{END}{after}"
