"""LP-03, RP-05: the access logs of real servers, with the filter that the package has for them, hold no token."""

import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.edges import CALLBACK
from xwms_auth.access_log import WithoutTokens

APP = """
import logging
from xwms_auth.access_log import WithoutTokens
logging.getLogger({logger!r}).addFilter(WithoutTokens())
"""
ASGI = """
from starlette.applications import Starlette
from xwms_auth.asgi import XWMSAuthMiddleware
app = XWMSAuthMiddleware(Starlette())
"""
WSGI = """
from flask import Flask
from xwms_auth.flask import XWMSAuth
app = Flask(__name__)
XWMSAuth(app)
"""
WERKZEUG = """
import sys
from werkzeug.serving import make_server
make_server("127.0.0.1", 0, app, fd=int(sys.argv[1])).serve_forever()
"""
TOKEN, CODE, STATE = "canary-token-0123456789", "canary-code-0123456789", "canary-state-0123456789"
SERVERS = {
    "uvicorn": ("uvicorn.access", ASGI, ["-m", "uvicorn", "mine:app", "--fd", "{fd}", "--lifespan", "off"]),
    "gunicorn": (
        "gunicorn.access",
        WSGI,
        ["-m", "gunicorn", "mine:app", "--bind", "fd://{fd}", "--access-logfile", "-"],
    ),
    "werkzeug": ("werkzeug", WSGI + WERKZEUG, ["mine.py", "{fd}"]),
}


def log_of(folder: Path, server: str, filtered: bool) -> str:
    """What a real server writes about two callbacks and a page."""
    logger, app, command = SERVERS[server]
    (folder / "mine.py").write_text((APP.format(logger=logger) if filtered else "") + app)
    environ = {
        **os.environ,
        "PYTHONPATH": f"{folder}:{Path.cwd()}",
        "XWMS_CLIENT_ID": "desk",
        "XWMS_CLIENT_SECRET": "s3cret-of-the-desk",
        "XWMS_REDIRECT_URI": f"https://app.example{CALLBACK}",
        "XWMS_SESSION_SECRET": "K3y-for-tests-0123456789-abcdefghij",
    }
    with socket.create_server(("127.0.0.1", 0)) as bound:
        started = [sys.executable, *(part.format(fd=bound.fileno()) for part in command)]
        output = subprocess.PIPE, subprocess.STDOUT
        with subprocess.Popen(
            started, cwd=folder, env=environ, pass_fds=[bound.fileno()], stdout=output[0], stderr=output[1], text=True
        ) as process:
            with httpx2.Client(base_url=f"http://127.0.0.1:{bound.getsockname()[1]}", timeout=30) as client:
                for query in (f"token={TOKEN}", f"code={CODE}&state={STATE}", "page=3&q=a+b"):
                    client.get(f"{CALLBACK}?{query}")
            process.terminate()
            return process.communicate(timeout=30)[0]


@pytest.mark.parametrize("server", SERVERS)
def test_lp_03_the_access_log_has_the_callback_and_not_its_token(tmp_path, server):
    """LP-03, RP-05"""
    log = log_of(tmp_path, server, filtered=True)
    assert [secret for secret in (TOKEN, CODE, STATE) if secret in log] == []
    assert log.count(CALLBACK) >= 3
    assert f"{CALLBACK}?token=…" in log
    assert f"{CALLBACK}?code=…&state=…" in log
    assert f"{CALLBACK}?page=3&q=a+b" in log, "whatever else is in a query stays"


@pytest.mark.parametrize("server", SERVERS)
def test_without_the_filter_it_would_be_there(tmp_path, server):
    """So that the test above is about something."""
    assert TOKEN in log_of(tmp_path, server, filtered=False)


@pytest.mark.parametrize("args", [(), (7, None), ({"r": 7},), None, ("?token",), ("%s",)])
def test_a_record_that_it_does_not_know_passes_through(args):
    record = logging.LogRecord("any", logging.INFO, __file__, 1, "message", args, None)
    assert WithoutTokens().filter(record) is True
