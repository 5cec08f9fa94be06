"""`xwms-auth doctor` as tests ask it, and an application at a real port for it to look at."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from click.testing import CliRunner
from werkzeug.serving import WSGIRequestHandler, make_server

from xwms_auth.cli.commands import xwms_auth

SESSION_SECRET = "Zk3rT9qLw8VbN2xHs7PdYf5MgJ4cRa6E-test"

Found = dict[str, Any]


class _Quiet(WSGIRequestHandler):
    def log(self, *args: object) -> None:
        """Say nothing: an XWMS of a test has tokens in the addresses that it is asked for."""


@contextmanager
def served(app: Any) -> Iterator[int]:
    """A WSGI application at a real port."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def doctor(variables: dict[str, str | None], *arguments: str) -> tuple[int, list[Found]]:
    names = dict.fromkeys(["XWMS_FLOW", "XWMS_DEBUG", "WEB_CONCURRENCY", "GUNICORN_CMD_ARGS"])
    result = CliRunner().invoke(xwms_auth, ["doctor", "--json", *arguments], env=names | variables)
    assert SESSION_SECRET not in result.output
    document = json.loads(result.stdout)
    assert document["ok"] == (result.exit_code == 0)
    return result.exit_code, document["findings"]


def of(findings: list[Found], state: str) -> dict[str, Found]:
    return {found["subject"]: found for found in findings if found["state"] == state}
