"""A Redis of a test's own: on a free port, with nothing kept, or with everything kept for one that restarts.

Knows: the program redis-server, or the one that `XWMS_AUTH_REDIS_SERVER` names, such as valkey-server.
Must not: touch a Redis that is there already.
"""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from tests.tools.requires import program
from xwms_auth.cli.ports import any_free, is_free

BUS = 10_000
"""How far above its port a member of a cluster listens for the others."""

OUTGOING = 32_768
"""The lowest port that the system gives to connections, which come and go."""


class RedisServer:
    """`url` is for the config, and with `unix` also `unix_url`.

    `stop`, `kill`, `pause` and `resume` are what happens to servers.
    """

    def __init__(
        self,
        folder: Path,
        *,
        password: str | None = None,
        durable: bool = False,
        cluster: bool = False,
        unix: bool = False,
    ) -> None:
        self._folder = folder
        self.port = _free_with_bus() if cluster else any_free()
        self._password = password
        self._options = ["--appendonly", "yes", "--appendfsync", "always"] if durable else ["--appendonly", "no"]
        if password:
            self._options += ["--requirepass", password]
        if cluster:
            self._options += ["--cluster-enabled", "yes"]
        if unix:
            self._options += ["--unixsocket", str(folder / "redis.sock")]
        self.unix_url = f"unix://{folder}/redis.sock"
        self.url = f"redis://{f':{password}@' if password else ''}127.0.0.1:{self.port}/0"
        self.client = redis.Redis.from_url(self.url)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        server = program(os.environ.get("XWMS_AUTH_REDIS_SERVER", "redis-server"))
        command = [server, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        place = ["--dir", str(self._folder), "--daemonize", "no", "--loglevel", "warning"]
        self._process = subprocess.Popen([*command, *place, *self._options], stdout=subprocess.DEVNULL)
        for _ in range(2000):
            assert self._process.poll() is None, "redis-server ended at once"
            try:
                self.client.ping()
            except (redis.ConnectionError, redis.BusyLoadingError):
                # Asked again at once: connecting is the waiting.
                with socket.socket() as probe:
                    probe.settimeout(0.01)
                    probe.connect_ex(("127.0.0.1", self.port))
                continue
            return
        raise AssertionError("redis-server does not answer")

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """Ends as an operator ends it."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends as a machine that fails."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                self._signal(number)
                self._signal(signal.SIGCONT)
            self._process.wait(20)
            self._process = None

    def close(self) -> None:
        self.client.close()
        self.kill()


def _free_with_bus() -> int:
    while (port := any_free()) + BUS >= OUTGOING or not is_free(port + BUS):
        pass
    return port


@contextmanager
def redis_server(folder: Path, **options: Any) -> Iterator[RedisServer]:
    """A running one; the options are `RedisServer`'s."""
    server = RedisServer(folder, **options)
    try:
        server.start()
        yield server
    finally:
        server.close()
