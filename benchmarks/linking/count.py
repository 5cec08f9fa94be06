"""Counts the lines that link people in each program beside this file, and prints them as a table in Markdown.

    python benchmarks/linking/count.py

They are between `# --- linking` and `# --- end`. Blank lines, comments, docstrings and imports do not count. A line
that is there anyway counts if linking has changed it.
"""

import ast
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
BEGIN, END = "# --- linking", "# --- end"


class Program(NamedTuple):
    file: str
    what: str
    by_hand: str
    """What these lines do, because what the program is made with does not do it by itself."""
    lacks: str
    """What is not done in spite of them."""


PROGRAMS = (
    Program(
        "by_hand_flask.py",
        "the login alone, on Flask",
        "all of it",
        "pages refuse a blocked person, the login does not; of two sessions the older brings its name back",
    ),
    Program(
        "with_linker_flask.py",
        "`SQLAlchemyLinker`, on Flask",
        "the linker, and the column that says who is blocked",
        "between logins the row is brought up to date only where `refresh_profile` is called",
    ),
    Program(
        "with_linker_fastapi.py", "`AsyncSQLAlchemyLinker`, on FastAPI", "the same, and the dependency", "the same"
    ),
    Program(
        "fastapi_users_app.py",
        "fastapi-users",
        "one row for first logins at once, only verified addresses, name and address at later logins",
        "nobody logs in without a verified address, or at first with one that another user has",
    ),
    Program(
        "flask_security_app.py",
        "Flask-Security",
        "finding by `sub`, creating, one row for first logins at once, only verified addresses, name and address",
        "as with fastapi-users; one identity for each user, of one issuer",
    ),
)


class Count(NamedTuple):
    linking: int
    all: int


def count(source: str) -> Count:
    """The lines of a program that link people, and all of its lines. Raises ValueError if a block is not closed."""
    ignored = _docstrings_and_imports(source)
    inside, linking, total = False, 0, 0
    for number, line in enumerate(source.splitlines(), start=1):
        text = line.strip()
        if text in (BEGIN, END):
            if inside is (text == BEGIN):
                raise ValueError(f"line {number}: {text!r} without its other half")
            inside = not inside
        elif text and not text.startswith("#") and number not in ignored:
            total += 1
            linking += inside
    if inside:
        raise ValueError(f"the last {BEGIN!r} has no end")
    return Count(linking, total)


def _docstrings_and_imports(source: str) -> set[int]:
    found: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, ast.stmt) and (is_docstring or isinstance(node, ast.Import | ast.ImportFrom)):
            found.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return found


def main() -> None:
    print("| program | lines that link people | all lines | what they do, since nothing else does | still missing |")
    print("|---|---|---|---|---|")
    for program in PROGRAMS:
        linking, total = count((HERE / program.file).read_text(encoding="utf-8"))
        print(f"| {program.what} | {linking} | {total} | {program.by_hand} | {program.lacks} |")


if __name__ == "__main__":
    main()
