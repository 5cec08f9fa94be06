"""Runs a piece of Python in a process of its own: for forks, and for what must not happen to the tests' own process.

Knows: how to start one that imports this tree.
Must not: know what is tested.
"""

import os
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_alone(code: str, *arguments: str, before: Sequence[str] = ()) -> str:
    """What the code prints; it finds the arguments in `sys.argv[1:]`. `before` is a command that starts a command."""
    command = [*before, sys.executable, "-W", "error", "-c", textwrap.dedent(code), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
