"""The application behind a real server on loopback, spoken to in bytes that no HTTP client would send.

Flask runs on Werkzeug's server or gunicorn, ASGI on uvicorn. Knows sockets and servers, nothing of the package.
"""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.tools.site import Site

PATIENCE = 20.0  # seconds for something that should come at once


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; status 0 where the server closed the connection without a word."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]

    @property
    def code(self) -> str | None:
        """The code of a problem document, or None."""
        if self.all("content-type") != ["application/problem+json"]:
            return None
        code: str = json.loads(self.body)["code"]
        return code


@dataclass(frozen=True, slots=True)
class Line:
    """A way to the server: each request has a connection of its own."""

    address: tuple[str, int]

    def send(self, data: bytes) -> Answer:
        """Send these bytes, and give what comes back until the server closes."""
        with socket.create_connection(self.address, PATIENCE) as peer:
            peer.sendall(data)
            received = b"".join(iter(lambda: _some(peer), b""))
        head, _, body = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        if not first.startswith("HTTP/"):
            return Answer(0, (), received)
        fields = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
        return Answer(int(first.split(" ")[1]), fields, body)

    def request(
        self,
        target: bytes,
        *headers: bytes,
        method: bytes = b"GET",
        hosts: Sequence[bytes] = (b"app.example",),
        version: bytes = b"HTTP/1.1",
        accept: bytes = b"application/json",
        body: bytes = b"",
    ) -> Answer:
        """One request that ends its connection; no Content-Length is added."""
        fields = [*(b"Host: " + host for host in hosts), b"Accept: " + accept, b"Connection: close", *headers]
        return self.send(b"\r\n".join([method + b" " + target + b" " + version, *fields, b"", b""]) + body)


def _some(peer: socket.socket) -> bytes:
    try:
        return peer.recv(65536)
    except ConnectionResetError:  # the server closed before it had read everything
        return b""


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


@contextmanager
def listening(site: Site, bound: socket.socket | None = None) -> Iterator[Line]:
    """Serve the site until the block ends: on a free port, or where a socket is bound already."""
    serve = _werkzeug if site.edge == "flask" else _uvicorn
    with bound or socket.create_server(("127.0.0.1", 0)) as own, serve(site.app, own) as line:
        yield line


@contextmanager
def _werkzeug(app: Any, bound: socket.socket) -> Iterator[Line]:
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet, fd=bound.fileno())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield Line(bound.getsockname())
    finally:
        server.shutdown()
        thread.join(PATIENCE)
        server.server_close()


@contextmanager
def _uvicorn(app: Any, bound: socket.socket) -> Iterator[Line]:
    # The socket listens before the server runs, so that nobody has to wait for the server.
    config = uvicorn.Config(app, http="h11", log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    try:
        yield Line(bound.getsockname())
    finally:
        server.should_exit = True
        thread.join(PATIENCE)


@contextmanager
def gunicorn(folder: Path, source: str) -> Iterator[Line]:
    """An application in a file, behind gunicorn, which believes a `SCRIPT_NAME` header that comes from loopback."""
    (folder / "mine.py").write_text(source)
    with socket.create_server(("127.0.0.1", 0)) as bound:
        command = [sys.executable, "-m", "gunicorn", "--bind", f"fd://{bound.fileno()}", "--log-level", "critical"]
        paths = f"{folder},{Path.cwd()}"
        command += ["--worker-tmp-dir", str(folder), "--pythonpath", paths, "mine:app"]
        with subprocess.Popen(command, pass_fds=[bound.fileno()], cwd=folder) as process:
            try:
                yield Line(bound.getsockname())
            finally:
                process.terminate()
