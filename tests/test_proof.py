"""The models of the login hold where they should, and give a trace where a rule is taken out or a risk remains.

A selection of the runs in proof/table.py, each of about a second; `make nightly` has all of them. What each switch
means stands at the head of the models in proof/.
"""

import pytest

from proof.table import TABLES, Run, check
from tests.tools.requires import program

QUICK = [pytest.param(run, id=run.switches) for _, runs in TABLES.values() for run in runs() if run.quick]


@pytest.mark.parametrize("run", QUICK)
def test_a_run_of_the_model_gives_what_it_should(run: Run):
    program("spin")
    program("tcc", "gcc")
    result, _ = check(run)
    assert result == run.expected, run.what


def test_every_table_of_the_models_has_a_run_that_can_fail():
    expected = {run.expected for _, runs in TABLES.values() for run in runs() if run.quick}
    assert expected == {"holds", "trace"}
