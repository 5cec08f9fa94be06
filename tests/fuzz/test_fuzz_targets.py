"""A short, seeded run of every fuzz target: its seeds, what was found before, and some edits of them by Hypothesis.

The long run is `make fuzz`; docs/fuzzing.md has its figures.
"""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings

from tests.fuzz.__main__ import targets
from tests.fuzz.engines import inputs
from tests.fuzz.judges import documented, stays_here
from tests.fuzz.lines import found_before

KNOWN = targets()
SEEDS, EDITS = 60, 25  # of each target: some seconds in all


@pytest.mark.parametrize("name", KNOWN)
def test_no_seed_and_no_edit_of_one_contradicts_the_oracle(name):
    target = KNOWN[name]
    found = list(dict.fromkeys(target.seeds()))
    for data in found[:: max(1, len(found) // SEEDS)]:
        target.run(data)

    @seed(20_261_128)
    @settings(max_examples=EDITS, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(inputs(target))
    def run(data: bytes) -> None:
        target.run(data)

    run()


@pytest.mark.parametrize("name", KNOWN)
def test_what_was_found_once_is_not_found_again(name):
    for data in found_before(name):
        KNOWN[name].run(data)


def test_every_file_of_findings_belongs_to_a_target():
    names = {path.stem for path in Path(__file__).with_name("found").glob("*.txt")}
    assert names <= set(KNOWN)


@pytest.mark.parametrize(
    "location",
    [
        "//evil.example",
        "/\\evil.example",
        "http:evil.example",
        "\t//evil.example",
        "/\t/evil.example",
        "\\\\evil.example",
    ],
)
def test_the_judge_of_a_location_knows_what_browsers_do(location):
    assert not stays_here(location)
    assert stays_here("/a?b=//evil.example#//evil.example")


def test_the_judge_of_errors_knows_every_documented_code():
    assert len(documented()) >= 30
    assert json.loads(json.dumps(documented()))["xwms_bad_answer"] == 502
