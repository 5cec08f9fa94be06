"""The small app in several processes behind one address, as a server with workers runs it.

A request goes to the next process in turn, whatever the connection it came over: no two requests of a login can count
on meeting the same memory.

Knows: processes, and just enough HTTP to send one request a connection.
Must not: know what the app does.
"""

import multiprocessing
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import cycle
from threading import Event, Thread
from typing import Any

from tests.browser.servers import WAIT, Edge, listener, port_of, serve_app
from xwms_auth import XWMSConfig

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.browser.servers"])


def _serve(edge: Edge, options: dict[str, Any], sock: socket.socket) -> None:
    """What one process does until it is told to end. On a busy machine a local XWMS is slow too."""
    with serve_app(edge, XWMSConfig(**{"max_slow_calls": 100, **options}), sock, None):
        Event().wait()


@contextmanager
def serve_processes(edge: Edge, options: dict[str, Any], sock: socket.socket, count: int) -> Iterator[None]:
    """The app at `sock`, in `count` processes; `options` are the config's."""
    with ExitStack() as stack:
        ports: list[int] = []
        for _ in range(count):
            own = stack.enter_context(listener())
            process = _CONTEXT.Process(target=_serve, args=(edge, options, own), daemon=True)
            process.start()
            stack.callback(process.close)
            stack.callback(process.join, WAIT)
            stack.callback(process.kill)
            ports.append(port_of(own))
        stack.enter_context(_forward(sock, ports))
        yield


@contextmanager
def _forward(sock: socket.socket, ports: list[int]) -> Iterator[None]:
    """Give each request that comes to `sock` to the next port."""
    turns = cycle(ports)

    def accept() -> None:
        while True:
            try:
                visitor, _ = sock.accept()
            except OSError:  # it was shut down
                return
            Thread(target=_carry, args=(visitor, turns), daemon=True).start()

    thread = Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield
    finally:
        sock.shutdown(socket.SHUT_RDWR)
        thread.join(WAIT)


def _carry(visitor: socket.socket, turns: Iterator[int]) -> None:
    """Carry one request there and its answer back. A browser that left, or a process that ended, is no fault here."""
    with visitor, suppress(OSError):
        with visitor.makefile("rb") as stream:
            head = b"".join(iter(lambda: _line(stream), b""))
            if not head:
                return  # a connection that the browser opened in case it needs one
            length = re.search(rb"(?im)^content-length: *(\d+)", head)
            body = stream.read(int(length[1])) if length else b""
        alone = re.sub(rb"(?im)^connection:.*\r\n", b"", head) + b"Connection: close\r\n\r\n"
        with socket.create_connection(("127.0.0.1", next(turns)), WAIT) as server:
            server.sendall(alone + body)
            while data := server.recv(65536):
                visitor.sendall(data)


def _line(stream: Any) -> bytes:
    """The next line of a request's head; nothing at its end."""
    line: bytes = stream.readline(65536)
    return b"" if line == b"\r\n" else line
