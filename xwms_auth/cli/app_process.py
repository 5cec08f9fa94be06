"""The app's process, seen from its parent: start it, wait until it listens, stop it.

The parent does not import the app and does not change its own environment.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from xwms_auth.cli.file_watch import FileWatch
from xwms_auth.cli.serve_app import GRACE_SECONDS

# Enough for the imports of a large app on a slow machine. The user sees its output meanwhile and can press Ctrl-C.
START_SECONDS: Final = 60.0

_POLL_SECONDS: Final = 0.05


class AppFailed(Exception):
    """The app's process ended by itself, or never listened; the text is one line."""


@contextmanager
def app_process(target: str, *, port: int, environ: Mapping[str, str]) -> Generator[subprocess.Popen[bytes]]:
    """Serve ``module:app`` on ``port`` in a process that ends with this block, or with this process."""
    process = subprocess.Popen(  # noqa: S603  our own interpreter and module; the target is an argument, not a command
        [sys.executable, "-m", "xwms_auth.cli.serve_app", target, str(port)],
        env=dict(environ),
        stdin=subprocess.PIPE,  # never written to: it closes when this process ends, whatever the reason
        stdout=2,  # standard output is for the command; the app's output goes to standard error, like its log
        start_new_session=True,  # Ctrl-C in the terminal reaches only this process, which then stops the app
    )
    try:
        yield process
    finally:
        _end(process)


def wait_until_up(process: subprocess.Popen[bytes], *, port: int) -> None:
    """Return when the app listens on ``port``. Raises `AppFailed`."""
    deadline = time.monotonic() + START_SECONDS
    while not _is_listening(port):
        if time.monotonic() > deadline:
            raise AppFailed(f"the app did not listen on port {port} within {START_SECONDS:.0f} seconds")
        _raise_if_ended(process, seconds=_POLL_SECONDS)


def wait_until_ended(process: subprocess.Popen[bytes]) -> None:
    """Never returns: raises `AppFailed` when the app ends by itself."""
    while True:
        _raise_if_ended(process, seconds=3600)


def wait_for_change(
    process: subprocess.Popen[bytes], files: FileWatch, *, when_ended: Callable[[AppFailed], None]
) -> Path:
    """Return the file that has changed. The app may end meanwhile, which is told once."""
    is_told = process.poll() is not None
    while (changed := files.changed()) is None:
        if is_told:
            time.sleep(files.pause)
            continue
        try:
            _raise_if_ended(process, seconds=files.pause)
        except AppFailed as fault:
            is_told = True
            when_ended(fault)
    return changed


def _raise_if_ended(process: subprocess.Popen[bytes], *, seconds: float) -> None:
    try:
        status = process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return
    raise AppFailed(f"the app ended with exit status {status}")


def _is_listening(port: int) -> bool:
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
