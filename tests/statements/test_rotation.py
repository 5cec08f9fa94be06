"""S5: the client secret changes while people log in. With two secrets nobody notices, with one nobody after the update.

`python -m tests.statements.rotation`, a part of `make nightly`, does it with 400 logins for each door, flow and source.
"""

import logging
from pathlib import Path

import pytest

from tests.statements.rotation import rotate

CASES = [
    ("second", "flask", "sign-token", "callable"),
    ("second", "asgi", "oauth2", "async"),
    ("regenerate", "flask", "oauth2", "file"),
    ("regenerate", "asgi", "sign-token", "async"),
]


@pytest.mark.more_packages
@pytest.mark.parametrize(("way", "edge", "flow", "source"), CASES)
def test_s5_a_secret_is_replaced_under_load_and_no_login_fails_that_must_not(
    way: str, edge: str, flow: str, source: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    outcome = rotate(way, edge, flow, source, logins=24, folder=tmp_path)
    assert outcome.wrong == []
    assert set(outcome.pages) == {200}
    assert len(outcome.logins) >= 24
    assert caplog.text.count("client_secret_renewed") == 1
    # The test can fail: with one secret the logins between the two steps do.
    assert bool(outcome.failed) == (way == "regenerate")
