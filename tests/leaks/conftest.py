"""Fixtures of the tests of the leak guard."""

import logging
from typing import Any

import pytest

from tests.leaks.guarded import DOORS, FORMS, SECRETS


@pytest.fixture(params=DOORS)
def served(request: pytest.FixtureRequest) -> Any:
    return DOORS[request.param]


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.DEBUG, "xwms_auth")
    yield caplog
    for secret in SECRETS.values():
        for form in FORMS.values():
            assert form(secret).decode("latin-1") not in caplog.text
