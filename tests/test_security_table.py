"""The table of attacks in docs/security.md is true: a row names the tests that name it, or says that it is open."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]

# How many attacks there are in each group.
GROUPS = {
    "LC": 17, "SF": 10, "RP": 12, "OR": 14, "RU": 8, "HP": 12, "CK": 18,
    "SL": 17, "SE": 14, "UT": 18, "DS": 10, "OC": 18, "LP": 10, "LO": 10, "SM": 25,
}  # fmt: skip
IDS = [f"{group}-{number:02}" for group, count in GROUPS.items() for number in range(1, count + 1)]

_ROW = re.compile(r"^\| ([A-Z]{2}-\d{2}) \| (.+) \| (.+) \|$", re.M)
ROWS = _ROW.findall((ROOT / "docs" / "security.md").read_text(encoding="utf-8"))


def files_by_id() -> dict[str, set[str]]:
    """Which test files each id stands in."""
    files: dict[str, set[str]] = {row: set() for row in IDS}
    for path in (ROOT / "tests").rglob("test_*.py"):
        for word in set(re.findall(r"\b[A-Z]{2}-\d{2}\b", path.read_text(encoding="utf-8"))) & files.keys():
            files[word].add(path.relative_to(ROOT).as_posix())
    return files


def test_the_table_has_every_attack_once():
    assert len(IDS) == 213
    assert [row for row, _, _ in ROWS] == IDS


def test_a_row_names_the_tests_that_name_it_or_says_that_it_is_open(subtests):
    files = files_by_id()
    for row, _, test in ROWS:
        with subtests.test(row):
            named = set(re.findall(r"`(tests/[^`]+)`", test))
            found = files[row]
            assert named == found, f"write: {'<br>'.join(f'`{path}`' for path in sorted(found)) or 'open: reason'}"
            assert named or re.fullmatch(r"open: .+", test)
