"""A load generator of one thread: some connections, each with one request on its way at any time.

It does as little as it can, since it shares the machine with the server. And the processor time of a server's process.
"""

import os
import selectors
import socket
import time
from pathlib import Path

CONNECTIONS = 8


class Load:
    """Connections to one server, which stay open. A response is complete with `end`, its whole body."""

    def __init__(self, port: int, request: bytes, end: bytes, connections: int = CONNECTIONS) -> None:
        self._request, self._end = request, end
        self._selector = selectors.DefaultSelector()
        self._sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
        for one in self._sockets:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(one, selectors.EVENT_READ)

    def run(self, seconds: float) -> tuple[int, float]:
        """Return how many requests were answered, and how many seconds that took."""
        answered, waiting = 0, len(self._sockets)
        received = dict.fromkeys(self._sockets, b"")
        began = time.perf_counter()
        for one in self._sockets:
            one.sendall(self._request)
        while waiting:
            for key, _ in self._selector.select(10):
                connection: socket.socket = key.fileobj  # type: ignore[assignment]
                data = connection.recv(65536)
                received[connection] += data
                if not data:
                    raise ConnectionError(f"the server ended a connection: {received[connection]!r}")
                if not received[connection].endswith(self._end):
                    continue
                if not received[connection].startswith(b"HTTP/1.1 200 "):
                    raise ConnectionError(f"not the expected response: {received[connection]!r}")
                received[connection] = b""
                answered += 1
                if time.perf_counter() - began < seconds:
                    connection.sendall(self._request)
                else:
                    waiting -= 1
        return answered, time.perf_counter() - began

    def close(self) -> None:
        self._selector.close()
        for one in self._sockets:
            one.close()


def processes_of(pid: int) -> list[int]:
    """A process and those that it started, and so on."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of these processes: of their threads to the nanosecond where Linux keeps that."""
    total = 0.0
    for pid in pids:
        try:
            tasks = [task / "schedstat" for task in Path(f"/proc/{pid}/task").iterdir()]
            total += sum(int(task.read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9
        except OSError:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total
