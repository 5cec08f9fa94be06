"""The list of equivalent mutants and the names of the security modules are those of today's source; the runner runs."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from coverage import CoverageData

from tests.mutation.equivalent import read_list, without_equivalents
from tests.mutation.modules import ROOT, SECURITY_MODULES, find_modules
from tests.mutation.mutants import mutants_of, names_of_exceptions

LISTED = read_list()

NOTICES = "tests/http/test_next_url.py::test_an_honest_next_becomes_exactly_its_location"
"""A test that notices some of the mutants that are drawn; the data file says that nobody runs the others."""


@pytest.mark.parametrize("file", sorted({one.file for one in LISTED}))
def test_each_equivalent_mutant_of_the_list_can_still_be_made(file: str) -> None:
    entries = [one for one in LISTED if one.file == file]
    [module], _ = find_modules([file])
    _, equivalent = without_equivalents(mutants_of(module, names_of_exceptions()), entries)
    gone = [one for one in entries if not any(one.is_of(mutant) for mutant in equivalent)]
    assert not gone, "these are no mutants any more: take them out of equivalent.toml"


def test_each_equivalent_mutant_is_listed_once_with_a_reason() -> None:
    assert [one for one, times in Counter(LISTED).items() if times > 1] == []
    assert [one for one in LISTED if not one.why.strip().endswith(".")] == []


def test_each_name_of_a_security_module_finds_one_file() -> None:
    modules, unknown = find_modules(SECURITY_MODULES)
    assert unknown == []
    assert all((ROOT / module.shown).is_file() for module in modules)


def test_the_runner_notices_what_the_tests_notice_and_ends_with_1_below_its_share(tmp_path: Path) -> None:
    [module], _ = find_modules(["next_url"])
    data = CoverageData(basename=str(tmp_path / "coverage"))
    data.set_context(f"{NOTICES}|run")
    data.add_lines({str(module.path): range(1, 36)})
    data.write()
    command = [sys.executable, "-m", "tests.mutation", "--coverage", str(tmp_path / "coverage")]
    command += ["--modules", "next_url", "--sample", "3", "--out", str(tmp_path / "verdicts")]
    ended = subprocess.run([*command, "--fail-under", "100"], cwd=ROOT, capture_output=True, text=True, check=False)
    verdicts = [json.loads(line) for line in (tmp_path / "verdicts").read_text().splitlines()]
    told = {one["status"]: one["detail"] for one in verdicts}
    assert told == {"killed": NOTICES, "survived": "not run"}, ended.stderr
    assert ended.returncode == 1, ended.stderr
