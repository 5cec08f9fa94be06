"""Values that are kept as lines of small files: each a JSON string whose characters are the bytes of the value.

`seeds/` has seeds, `pieces/` what the engines put in between, `found/TARGET.txt` what once contradicted an oracle.
"""

import json
from functools import cache
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent


@cache
def lines_of(folder: str, name: str) -> tuple[bytes, ...]:
    """The values in a file; none if there is no such file."""
    path = HERE / folder / f"{name}.txt"
    lines = path.read_text(encoding="ascii").splitlines() if path.is_file() else []
    return tuple(json.loads(line).encode("latin-1") for line in lines)


def found_before(name: str) -> tuple[bytes, ...]:
    """What the engines have found for this target."""
    return lines_of("found", name)
