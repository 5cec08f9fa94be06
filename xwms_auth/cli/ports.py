"""Finding free ports on this machine."""

import os
import secrets
import socket
from typing import Final

# Below the ports for outgoing connections of Linux (32768), macOS and Windows (49152), and above those of services.
_LOWEST: Final = 20_000
_COUNT: Final = 10_000
_TRIES: Final = 100


def is_free(port: int, *, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen at ``host`` and ``port``, and clients would reach it there."""
    if port == 0:
        return True
    # macOS allows binding 127.0.0.1 next to a server on all addresses (AirPlay, port 5000), which then answers on ::1.
    if host == "127.0.0.1" and _answers("localhost", port=port):
        return False
    try:
        _bind(host, port=port).close()
    except OSError:
        return False
    return True


def any_free() -> int:
    """A port that nobody listens on. Raises `OSError` if none is found.

    It is not chosen by the operating system, which uses the range of outgoing connections: one of those could take the
    port before the app's process has started.
    """
    for _ in range(_TRIES):
        port = _LOWEST + secrets.randbelow(_COUNT)
        if is_free(port):
            return port
    raise OSError(f"none of {_TRIES} ports is free")


def _answers(host: str, *, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=0.2).close()
    except OSError:
        return False
    return True


def _bind(host: str, *, port: int) -> socket.socket:
    server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        if os.name == "posix":
            # As servers do, so that a recently closed connection does not block the port. On Windows this option would
            # allow taking over the port of another process.
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((host, port))
        # Two sockets with that option can both bind, but only one can listen.
        server.listen(1)
    except OSError:
        server.close()
        raise
    return server
