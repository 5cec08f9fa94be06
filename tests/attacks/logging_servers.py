"""Servers as people start them, each with the access log that it writes by itself, in a process of its own.

`SERVERS` has the command of each and the application that it gets; `log_of` gives all that the process wrote.
Knows servers, formats and sockets; of the package only how an application is set up.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.attacks.real_servers import Line
from tests.tools.site import CALLBACK
from xwms_auth.cli.app_process import wait_until_up
from xwms_auth.cli.ports import any_free

CLIENT_SECRET = "canary-client-secret-of-the-desk"

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
# As an application does it that was told to, after the package was set up; what exists already is switched off.
OWN_LOGGING = """
import logging.config
logging.config.dictConfig({{
    "version": 1,
    "disable_existing_loggers": {disable},
    "handlers": {{"out": {{"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}}}},
    "loggers": {{"{logger}": {{"handlers": ["out"], "level": "INFO"}}}},
}})
"""
MAKE_SERVER = """
import sys
from werkzeug.serving import make_server
make_server("127.0.0.1", 0, app, fd=int(sys.argv[1])).serve_forever()
"""
RUN_UVICORN = """
import sys, uvicorn
uvicorn.run(app, fd=int(sys.argv[1]), lifespan="off")
"""
GUNICORN_CONFIG = {
    "version": 1,
    "handlers": {"out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}},
    "root": {"handlers": ["out"], "level": "INFO"},
    "loggers": {"gunicorn.access": {"handlers": ["out"], "level": "INFO", "propagate": False}},
}
UVICORN_CONFIG = {
    "version": 1,
    "disable_existing_loggers": True,
    "formatters": {
        "own": {
            "()": "uvicorn.logging.AccessFormatter",
            "fmt": "%(client_addr)s %(request_line)s %(status_code)s",
            "use_colors": True,
        }
    },
    "handlers": {"out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "own"}},
    "loggers": {"uvicorn.access": {"handlers": ["out"], "level": "INFO", "propagate": False}},
}
# Everything that may hold an address, and headers that are not there.
ATOMS = '"%(r)s" %(s)s q=[%(q)s] "%(f)s" "%({referer}i)s" absent=%({X-Forwarded-For}i)s,%({x-session}o)s,%({NO_SUCH}e)s'
GUNICORN = [
    "-m", "gunicorn", "--bind", "fd://{fd}", "--access-logfile", "-", "--access-logformat",
    f"{ATOMS} %({{wsgi.url_scheme}}e)s %({{raw_uri}}e)s %({{query_string}}e)s",
]  # fmt: skip
HYPERCORN = [
    "-m", "hypercorn", "--bind", "fd://{fd}", "--access-logfile", "-", "--access-logformat",
    f"{ATOMS} %(R)s %(Uq)s %({{wsgi.url_scheme}}e)s",
]  # fmt: skip
GRANIAN = [
    "-m", "granian", "--port", "{port}", "--access-log", "--access-log-fmt",
    "%(method)s %(path)s?%(query_string)s q=[%(query_string)s] %(header{referer})s absent=%(header{x-forwarded-for})s",
]  # fmt: skip
UVICORN = ["-m", "uvicorn", "mine:app", "--fd", "{fd}", "--lifespan", "off"]


@dataclass(frozen=True, slots=True)
class Server:
    """A command, what it serves, and the logger it writes its lines to."""

    command: list[str]
    app: str
    logger: str
    atoms: bool = False
    """Whether it has a format in which a header can be missing."""


def braces(command: list[str]) -> list[str]:
    """A command whose only places are those of the file descriptor and the port."""
    return [
        part.replace("{", "{{").replace("}", "}}").replace("{{fd}}", "{fd}").replace("{{port}}", "{port}")
        for part in command
    ]


SERVERS = {
    "uvicorn": Server(UVICORN, ASGI, "uvicorn.access"),
    "uvicorn --reload": Server([*UVICORN, "--reload"], ASGI, "uvicorn.access"),
    "uvicorn --workers": Server([*UVICORN, "--workers", "2"], ASGI, "uvicorn.access"),
    "uvicorn --log-config": Server([*UVICORN, "--log-config", "logging.json"], ASGI, "uvicorn.access"),
    "uvicorn.run": Server(["mine.py", "{fd}"], ASGI + RUN_UVICORN, "uvicorn.access"),
    "uvicorn, own logging": Server(
        UVICORN, ASGI + OWN_LOGGING.format(logger="uvicorn.access", disable=True), "uvicorn.access"
    ),
    "gunicorn": Server([*GUNICORN, "mine:app"], WSGI, "gunicorn.access", atoms=True),
    "gunicorn --preload": Server([*GUNICORN, "--preload", "mine:app"], WSGI, "gunicorn.access", atoms=True),
    "gunicorn --threads": Server([*GUNICORN, "--threads", "2", "mine:app"], WSGI, "gunicorn.access", atoms=True),
    "gunicorn, own logging": Server(
        [*GUNICORN, "-c", "gunicorn_config.py", "mine:app"], WSGI, "gunicorn.access", atoms=True
    ),
    "gunicorn with uvicorn's workers": Server(
        [*GUNICORN, "-k", "uvicorn.workers.UvicornWorker", "mine:app"], ASGI, "uvicorn.access"
    ),
    "hypercorn": Server([*HYPERCORN, "mine:app"], ASGI, "hypercorn.access", atoms=True),
    "hypercorn, WSGI": Server([*HYPERCORN, "wsgi:mine:app"], WSGI, "hypercorn.access", atoms=True),
    "hypercorn, own logging": Server(
        [*HYPERCORN, "mine:app"], ASGI + OWN_LOGGING.format(logger="app", disable=True), "hypercorn.access", atoms=True
    ),
    "granian": Server([*GRANIAN, "--interface", "asgi", "mine:app"], ASGI, "granian.access", atoms=True),
    "granian, WSGI": Server([*GRANIAN, "--interface", "wsgi", "mine:app"], WSGI, "granian.access", atoms=True),
    "werkzeug": Server(["mine.py", "{fd}"], WSGI + MAKE_SERVER, "werkzeug"),
    "werkzeug, own logging": Server(
        ["mine.py", "{fd}"], WSGI + OWN_LOGGING.format(logger="app", disable=True) + MAKE_SERVER, "werkzeug"
    ),
    "flask run": Server(["-m", "flask", "--app", "mine", "run", "--port", "{port}"], WSGI, "werkzeug"),
    "flask run --debug": Server(
        ["-m", "flask", "--app", "mine", "run", "--debug", "--port", "{port}"],
        WSGI,
        "werkzeug",
    ),
}


def log_of(folder: Path, server: Server, visit: Callable[[Line], None], **environ: str) -> str:
    """All that a server and its children write while somebody visits."""
    (folder / "mine.py").write_text(server.app)
    (folder / "logging.json").write_text(json.dumps(UVICORN_CONFIG))
    (folder / "gunicorn_config.py").write_text(f"logconfig_dict = {GUNICORN_CONFIG!r}\n")
    environment = {
        **os.environ,
        "PYTHONPATH": f"{folder}:{Path.cwd()}",
        "PYTHONUNBUFFERED": "1",
        "XWMS_CLIENT_ID": "desk",
        "XWMS_CLIENT_SECRET": CLIENT_SECRET,
        "XWMS_REDIRECT_URI": f"https://app.example{CALLBACK}",
        "XWMS_SESSION_SECRET": "K3y-for-tests-0123456789-abcdefghij",
        **environ,
    }
    with socket.create_server(("127.0.0.1", 0)) as bound:
        own_port = "{port}" in server.command
        address = ("127.0.0.1", any_free()) if own_port else bound.getsockname()
        places = {"fd": bound.fileno(), "port": address[1]}
        command = [sys.executable, *(part.format(**places) for part in braces(server.command))]
        with subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            pass_fds=[bound.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            assert process.stdout is not None
            try:
                if own_port:
                    wait_until_up(process, port=address[1])
                visit(Line(address))
            finally:
                process.terminate()
                # Reading until the end waits for its children too: one that lives on is a failure of the run.
                log = process.stdout.read().decode()
            return log
