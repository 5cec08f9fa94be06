"""The app's process as its parent sees it: start, wait until it answers, end.

Knows: processes and ports.
Must not: import the app, or change this process's environment.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Final

from xwms_auth.cli.app_process import GRACE_SECONDS

# Imports of a large app on a slow machine; a person sees its output meanwhile, or presses Ctrl-C.
START_SECONDS: Final = 60.0

_POLL_SECONDS: Final = 0.05


class AppFailed(Exception):
    """The app's process ended by itself, or never answered; the text is one line."""


@contextmanager
def app_process(target: str, *, port: int, environ: Mapping[str, str]) -> Generator[subprocess.Popen[bytes]]:
    """``module:app`` served on ``port`` in a process of its own, which ends with this block, or with this process."""
    process = subprocess.Popen(  # noqa: S603  our own interpreter and module; the target is an argument, not a command
        [sys.executable, "-m", "xwms_auth.cli.app_process", target, str(port)],
        env=dict(environ),
        stdin=subprocess.PIPE,  # nothing is ever written: it closes when we end, however we end
        stdout=2,  # standard output is the command's own; what the app prints goes where its log goes
        start_new_session=True,  # the terminal's Ctrl-C is for us; we tell the app
    )
    try:
        yield process
    finally:
        _end(process)


def wait_until_up(process: subprocess.Popen[bytes], *, port: int) -> None:
    """Return when somebody listens on ``port``. Errors: `AppFailed`."""
    deadline = time.monotonic() + START_SECONDS
    while not _answers(port):
        if time.monotonic() > deadline:
            raise AppFailed(f"the app did not answer on port {port} within {START_SECONDS:.0f} seconds")
        _raise_if_ended(process, seconds=_POLL_SECONDS)


def wait_until_ended(process: subprocess.Popen[bytes]) -> None:
    """Return never; an app that ends by itself has failed. Errors: `AppFailed`."""
    while True:
        _raise_if_ended(process, seconds=3600)


def _raise_if_ended(process: subprocess.Popen[bytes], *, seconds: float) -> None:
    try:
        status = process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return
    raise AppFailed(f"the app ended with exit status {status}")


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=GRACE_SECONDS + 1)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin is not None:
        process.stdin.close()
