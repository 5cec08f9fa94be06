"""What a test needs beside Python: a skip with a reason where it is missing, a failure where it must not be missing.

Knows: `XWMS_AUTH_REQUIRE_ALL`.
Must not: install or start anything.
"""

import os
import shutil
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """End this test because `what` is not here: a failure if `XWMS_AUTH_REQUIRE_ALL=1`, otherwise a skip."""
    if os.environ.get("XWMS_AUTH_REQUIRE_ALL") == "1":
        pytest.fail(f"{what} is missing, and XWMS_AUTH_REQUIRE_ALL=1 forbids to skip", pytrace=False)
    pytest.skip(f"{what} is missing")


def program(*names: str) -> str:
    """The path of the first of these programs that is installed; `missing` if none is."""
    found = next(filter(None, map(shutil.which, names)), None)
    return found or missing(f"the program {' or '.join(names)}")
