"""Serves a WSGI app on a loopback port with Werkzeug's development server, without reloader and debugger.

The log has no queries, which may contain the callback's token.
"""

from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server


class _QuietHandler(WSGIRequestHandler):
    """Logs paths without their query, and no part of a request that could not be parsed."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        path = getattr(self, "path", "").partition("?")[0]
        # %a, because a path may contain terminal control characters.
        self.log("info", "%a %s", f"{self.command} {path}", code)

    def log_error(self, format: str, *args: Any) -> None:  # noqa: A002  the signature of the base class
        self.log("error", "a request that is not HTTP, or is incomplete")


def serve_wsgi(app: Any, *, port: int) -> None:
    """Serve with a thread for each connection, until `SystemExit` or Ctrl-C."""
    make_server("127.0.0.1", port, app, threaded=True, request_handler=_QuietHandler).serve_forever()
