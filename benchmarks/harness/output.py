"""What each benchmark prints: a table for people, or `{"rows": [...]}` for `run.py`, each row a flat object."""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--quick", action="store_true", help="a few rounds only: whether it works, not how fast")


def print_rows(rows: Sequence[Any], options: argparse.Namespace, show: Callable[[Any], None] | None = None) -> None:
    flat = [asdict(row) if is_dataclass(row) and not isinstance(row, type) else dict(row) for row in rows]
    if options.json:
        print(json.dumps({"rows": flat}, indent=2))
    elif show is not None:
        show(rows)
    else:
        print_table(flat)


def print_table(rows: list[dict[str, Any]]) -> None:
    """Columns as wide as their widest value, in the order of the first row's names."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, *([_text(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
