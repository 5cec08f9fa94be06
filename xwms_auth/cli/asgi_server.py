"""An ASGI app on a loopback port, with uvicorn.

Knows: how to keep the query, where the callback's token stands, out of the log.
Must not: know which app it serves.
"""

import logging
from typing import Any

import uvicorn


def serve_asgi(app: Any, *, port: int, grace_seconds: int) -> None:
    """Serve until a signal says stop; open connections are cut after ``grace_seconds``."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        proxy_headers=False,  # nothing stands in front
        timeout_graceful_shutdown=grace_seconds,
    )
    # After `Config`, which sets logging up. WebSocket handshakes are logged, with their query, by the second logger.
    logging.getLogger("uvicorn.access").addFilter(_without_query)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    uvicorn.Server(config).run()


def _without_query(record: logging.LogRecord) -> bool:
    """Cut the query out of uvicorn's five arguments: client, method, path with query, HTTP version, status."""
    if isinstance(record.args, tuple):
        record.args = tuple(each.partition("?")[0] if isinstance(each, str) else each for each in record.args)
    return True
