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

WITH_A_FILE = """
    import os, sys
    from pathlib import Path
    from tests.stores.conftest import opened
    from xwms_auth import StoreUnavailable
    from xwms_auth.testing.store_contract import DAY, NOW, session

    def open_one():
        return opened(session_store=f"sqlite:///{sys.argv[1]}")

    def create(store, sub="1001"):
        return store.create(session(sub), until=NOW + DAY, now=NOW)

    def told(ask, *values, **named):
        try:
            found = ask(*values, **named, now=NOW)
        except StoreUnavailable:
            return "down"
        return found.user.sub if hasattr(found, "user") else found

    def in_children(count, work):
        children = []
        for number in range(count):
            pid = os.fork()
            if pid == 0:
                try:
                    work(number)
                except BaseException as error:
                    sys.stderr.write(repr(error))
                    os._exit(1)
                os._exit(0)
            children.append(pid)
        assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * count
"""
"""What such a piece begins with to open the SQLite file that its first argument names."""


def run_alone(code: str, *arguments: str, before: Sequence[str] = ()) -> str:
    """What the code prints; it finds the arguments in `sys.argv[1:]`. `before` is a command that starts a command."""
    command = [*before, sys.executable, "-W", "error", "-c", textwrap.dedent(code), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
