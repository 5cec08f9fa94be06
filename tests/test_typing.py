"""Programs as users write them must type-check, and mistakes must not."""

import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent / "typing"
ROOT = HERE.parent.parent


def errors_of_mypy(*paths: Path) -> list[set[int]]:
    """The lines with an error in each file, of one run over all of them."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", f"--cache-dir={os.devnull}"]
    done = subprocess.run([*command, *map(str, paths)], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return [{int(line) for line in re.findall(rf"{re.escape(path.name)}:(\d+): error", done.stdout)} for path in paths]


def marked(path: Path) -> set[int]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return {number for number, line in enumerate(lines, 1) if "# error" in line and not line.startswith('"""')}


def test_programs_as_users_write_them_type_check_and_mistakes_are_found_and_nothing_else():
    mistakes = HERE / "must_fail" / "mistakes.py"
    assert errors_of_mypy(HERE / "programs.py", mistakes) == [set(), marked(mistakes)]
