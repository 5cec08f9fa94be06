"""Which ports of this machine are free.

Knows: sockets.
Must not: know what will be served on them.
"""

import os
import secrets
import socket
from typing import Final

# Below what Linux (32768), macOS and Windows (49152) use for outgoing connections, above where services live.
_LOWEST: Final = 20_000
_COUNT: Final = 10_000
_TRIES: Final = 100


def is_free(port: int, *, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen at ``host`` and ``port`` and be the one that is reached there."""
    if port == 0:
        return True
    # macOS lets one bind 127.0.0.1 beside a server on all addresses (AirPlay, port 5000), which then answers on ::1.
    if host == "127.0.0.1" and _answers("localhost", port=port):
        return False
    try:
        _bind(host, port=port).close()
    except OSError:
        return False
    return True


def any_free() -> int:
    """A port nobody listens on now. Errors: `OSError` where none is found.

    Not the system's own choice: it takes from the ports it also gives to outgoing connections, and one of those could
    have it before the app's process, which still has to start, does.
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
            # As servers do: a connection of a minute ago does not keep the port. On Windows this option means theft.
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((host, port))
        # Two sockets with that option may both bind; only one may listen.
        server.listen(1)
    except OSError:
        server.close()
        raise
    return server
