"""The programs of benchmarks/first_login: ours do what they are counted for, and the page has the counts of all."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MEASURE = ROOT / "benchmarks" / "first_login" / "measure.py"


def measure(*options: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(MEASURE), *options],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("folder", ["xwms_flask", "xwms_fastapi", "xwms_starlette"])
def test_a_program_of_ours_logs_in_and_out_and_tests_itself(folder):
    (row,) = json.loads(measure("--quick", "--json", "--only", folder))["rows"]
    assert (row["commands"], row["settings"], row["the test logs in"]) == (2, 0, "yes, all of it")
    assert row["application lines"] <= 5
    assert row["test lines"] <= 1 + 3  # with its `def`


def test_the_page_has_the_counts_of_the_programs():
    measure("--check")
