"""Real applications of nine ASGI frameworks answer the same with the middleware around them.

Knows: nothing but the frameworks' public names, in frameworks.py.
Must not: look inside the package.
"""

import json
import subprocess
import sys

import pytest

from tests.asgi_door.frameworks import FRAMEWORKS, differences

OF_ONE_PROCESS = ("django", "sanic", "nicegui")  # they change the process that they are in
OUR_EXTRAS = ("starlette", "fastapi")


@pytest.mark.parametrize(
    "name",
    [
        *OUR_EXTRAS,
        *(
            pytest.param(name, marks=pytest.mark.more_packages)
            for name in FRAMEWORKS
            if name not in (*OUR_EXTRAS, *OF_ONE_PROCESS)
        ),
    ],
)
def test_sm_05_an_application_answers_as_it_does_alone(name):
    """SM-05"""
    found = differences(name)
    assert found["differences"] == []
    assert found["answers"] > 30


@pytest.mark.more_packages
@pytest.mark.parametrize("name", OF_ONE_PROCESS)
def test_sm_05_so_does_one_that_wants_a_process_of_its_own(name):
    """SM-05"""
    command = [sys.executable, "-W", "ignore", "-m", "tests.asgi_door.frameworks", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)[name]
    assert found["differences"] == []
    assert found["answers"] > 30
