"""Servers of pictures on loopback, and an internet that leads to them.

The mirror never goes to loopback, so the names and addresses in these tests are those of `Internet`: it answers lookups
from a table, and whatever public address the mirror connects to, loopback serves it.
"""

import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import httpcore2

from xwms_auth._core.io.picture_download import Network

PUBLIC = "93.184.215.14"
ALSO_PUBLIC = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"

Route = bytes | Callable[[socket.socket], None]


def reply(body: bytes = b"", status: int = 200, **headers: str) -> bytes:
    """A whole answer. Keywords are headers, with `_` for `-`; an empty value leaves the header out."""
    fields = {"Content_Type": "image/png", "Content_Length": str(len(body))} | headers
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items() if value]
    return "\r\n".join([f"HTTP/1.1 {status} Fine", *lines, "", ""]).encode("latin-1") + body


def redirect(location: str, status: int = 302) -> bytes:
    return reply(status=status, Location=location)


class PictureServer:
    """Answers each path with its bytes or by its function, and closes; `heads` are the requests as they arrived."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.routes: dict[str, Route] = {}
        self.heads: list[bytes] = []
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._socket.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(peer,), daemon=True))
                self._threads[-1].start()

    def _serve(self, peer: socket.socket) -> None:
        with suppress(OSError):
            try:
                if self._tls is not None:
                    peer = self._tls.wrap_socket(peer, server_side=True)
                head = b""
                while b"\r\n\r\n" not in head:
                    data = peer.recv(65536)
                    if not data:
                        return
                    head += data
                self.heads.append(head)
                route = self.routes[head.split()[1].decode()]
                if callable(route):
                    route(peer)
                else:
                    peer.sendall(route)
            finally:
                peer.close()

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join(5)


class Trap:
    """Listens on loopback. Nothing accepts, so whatever has connected is still waiting."""

    def __init__(self, family: socket.AddressFamily = socket.AF_INET) -> None:
        address = "127.0.0.1" if family == socket.AF_INET else "::1"
        self._socket = socket.create_server((address, 0), family=family)
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]

    @property
    def is_untouched(self) -> bool:
        try:
            self._socket.accept()[0].close()
        except BlockingIOError:
            return True
        return False

    def close(self) -> None:
        self._socket.close()


class Internet(Network):
    """`names` has the answers to the lookups of each name, one after the other; the last one stays."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.names: dict[str, list[list[str]]] = {"pictures.example": [[PUBLIC]]}
        self.lookups: list[str] = []
        self.connected: list[list[str]] = []
        self._port = port
        self._tls = tls

    def resolve(self, host: str, port: int, deadline: Any) -> Sequence[Any]:
        self.lookups.append(host)
        if host not in self.names:
            # As the system reads it, so that every notation of an address would reach what it means.
            try:
                return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
            except OSError as error:
                raise httpcore2.ConnectError(str(error)) from None
        answers = self.names[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [entry(address, port) for address in found]

    def connect(self, addresses: Sequence[Any], deadline: Any) -> socket.socket:
        self.connected.append([address[0] for *_, address in addresses])
        return super().connect([entry("127.0.0.1", self._port)], deadline)

    def tls_context(self) -> ssl.SSLContext:
        return self._tls or super().tls_context()


def entry(address: str, port: int) -> Any:
    """As `socket.getaddrinfo` gives it."""
    if ":" in address:
        return (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
