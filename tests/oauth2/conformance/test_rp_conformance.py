"""The modules of the conformance suite for relying parties, replayed at the login, callback and logout routes."""

import pytest

from tests.oauth2.conformance.page import PAGE, written_into
from tests.oauth2.conformance.rows import LEFT_OUT, ROWS, Row
from tests.oauth2.conformance.stage import Stage
from tests.oauth2.fake_as import FakeAS


def param(row: Row) -> object:
    """A row that differs has to fail: it becomes a failure of its own when it passes."""
    marks = [pytest.mark.xfail(reason=row.differs, strict=True, raises=AssertionError)] if row.differs else []
    return pytest.param(row, id=row.title, marks=marks)


@pytest.mark.parametrize("row", [param(row) for row in ROWS])
def test_a_module_ends_as_its_profile_demands(edge: str, server: FakeAS, row: Row):
    assert row.play(Stage(edge, server)) == row.here


def test_each_module_is_there_once():
    names = [row.name for row in ROWS] + list(LEFT_OUT)
    assert len(names) == len(set(names))


def test_the_page_shows_every_row():
    page = PAGE.read_text(encoding="utf-8")
    assert page == written_into(page), "python -m tests.oauth2.conformance.page"
