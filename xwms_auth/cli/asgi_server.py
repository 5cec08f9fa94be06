"""An ASGI app on a loopback port, with uvicorn.

Knows: how to keep the query, where the callback's token stands, out of the log.
Must not: know which app it serves.
"""

import logging
from typing import Any

import uvicorn

from xwms_auth._core.base.errors import ConfigError


def serve_asgi(app: Any, *, port: int, grace_seconds: int) -> None:
    """Serve until a signal says stop; open connections are cut after ``grace_seconds``."""
    config = uvicorn.Config(
        _ends_where_settings_are_wrong(app),
        host="127.0.0.1",
        port=port,
        proxy_headers=False,  # nothing stands in front
        timeout_graceful_shutdown=grace_seconds,
    )
    # After `Config`, which sets logging up. WebSocket handshakes are logged, with their query, by the second logger.
    logging.getLogger("uvicorn.access").addFilter(_without_query)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    uvicorn.Server(config).run()


def _ends_where_settings_are_wrong(app: Any) -> Any:
    """The app, which says so in ASGI's own words if its middleware is made at the first call only, as Starlette's is.

    uvicorn would take the exception for an app without lifespan, and serve nothing but errors.
    """

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except ConfigError:
            # The middleware has logged each fault.
            if scope["type"] != "lifespan":
                raise
            await send({"type": "lifespan.startup.failed", "message": "The settings are wrong."})

    return watched


def _without_query(record: logging.LogRecord) -> bool:
    """Cut the query out of uvicorn's five arguments: client, method, path with query, HTTP version, status."""
    if isinstance(record.args, tuple):
        record.args = tuple(each.partition("?")[0] if isinstance(each, str) else each for each in record.args)
    return True
