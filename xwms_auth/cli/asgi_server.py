"""Serves an ASGI app on a loopback port with uvicorn. The log has no queries, which may contain a token."""

import logging
from typing import Any

import uvicorn

# uvicorn finds it by itself, and refuses websockets without it.
import websockets  # noqa: F401  # pyright: ignore[reportUnusedImport]

from xwms_auth._core.base.errors import ConfigError


def serve_asgi(app: Any, *, port: int, grace_seconds: int) -> None:
    """Serve until a signal ends the process; open connections are closed after ``grace_seconds``."""
    config = uvicorn.Config(
        _fails_on_config_error(app),
        host="127.0.0.1",
        port=port,
        proxy_headers=False,  # there is no proxy
        timeout_graceful_shutdown=grace_seconds,
    )
    # After `Config`, which sets up logging. The second logger logs WebSocket handshakes with their query.
    logging.getLogger("uvicorn.access").addFilter(_without_query)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    uvicorn.Server(config).run()


def _fails_on_config_error(app: Any) -> Any:
    """The app, but a `ConfigError` at startup becomes `lifespan.startup.failed`.

    Starlette creates middleware at the first call. uvicorn would take the exception for an app without lifespan
    support, and every request would be an error.
    """

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except ConfigError:
            # The middleware has logged each problem.
            if scope["type"] != "lifespan":
                raise
            await send({"type": "lifespan.startup.failed", "message": "The settings are wrong."})

    return wrapped


def _without_query(record: logging.LogRecord) -> bool:
    """Remove the query from uvicorn's five arguments: client, method, path with query, HTTP version, status."""
    if isinstance(record.args, tuple):
        record.args = tuple(each.partition("?")[0] if isinstance(each, str) else each for each in record.args)
    return True
