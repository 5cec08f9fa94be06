"""A WSGI app on a loopback port, with Werkzeug's development server.

Knows: how to keep the query, where the callback's token stands, out of the log.
Must not: know which app it serves, or start a reloader or a debugger.
"""

from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server


class _QuietHandler(WSGIRequestHandler):
    """Logs paths without their query, and nothing of a request that could not be parsed."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        path = getattr(self, "path", "").partition("?")[0]
        # %a: a path may hold the terminal's control characters.
        self.log("info", "%a %s", f"{self.command} {path}", code)

    def log_error(self, format: str, *args: Any) -> None:  # noqa: A002  the base's signature
        self.log("error", "a request that is not HTTP, or that never ended")


def serve_wsgi(app: Any, *, port: int) -> None:
    """Serve, a thread for each connection, until `SystemExit` or Ctrl-C."""
    make_server("127.0.0.1", port, app, threaded=True, request_handler=_QuietHandler).serve_forever()
