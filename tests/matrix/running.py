"""The processes of a cell: started in a session of their own, watched while they start, ended with all they started."""

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2

from tests.matrix.story import Failed

START_SECONDS = 60.0
# Below what the system and `xwms_auth.cli.ports` hand out; from anywhere, because two runs may go on at once.
_PORTS = iter(range(random.randrange(10_000, 17_000), 20_000))


def next_port() -> int:
    """A free port that no other cell of this run gets."""
    for port in _PORTS:
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError("no port is free")


@contextmanager
def process(
    argv: Sequence[str], *, log: Path, environ: Mapping[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        started = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=output, stderr=output, env=dict(environ), cwd=folder,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield started
    finally:
        _end(started)


def _end(started: subprocess.Popen[bytes]) -> None:
    """End it and what it started. The group is its own, because it was started in a new session."""
    with suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        started.wait(3)
    with suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    if started.stdin is not None:
        started.stdin.close()  # `xwms-auth dev` ends its application when this closes


def wait_until_answering(client: httpx2.Client, url: str, processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Return when the public page is there. Raises `Failed`."""
    deadline = time.monotonic() + START_SECONDS
    last = "nothing"
    while time.monotonic() < deadline:
        for started in processes:
            _raise_if_ended(started)
        try:
            response = client.get(url)
        except httpx2.HTTPError as error:
            last = f"{type(error).__name__} {error}"
        else:
            last = f"{response.status_code} {response.text[:120]}"
            if response.status_code == 200:
                return
            if response.status_code not in {502, 503, 504}:
                break
    raise Failed(f"the public page: {last}")


def _raise_if_ended(started: subprocess.Popen[bytes]) -> None:
    """The wait for this is also the pause between two tries."""
    with suppress(subprocess.TimeoutExpired):
        status = started.wait(0.05)
        raise Failed(f"{Path(str(started.args[0])).name} ended with {status} while it started")
