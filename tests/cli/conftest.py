"""The commands as a person runs them: separate processes, real sockets, a folder with an app in it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
COMMAND = (sys.executable, "-c", "from xwms_auth.cli import main; main()")

FLASK_APP = """
from flask import Flask
from xwms_auth.flask import XWMSAuth

app = Flask(__name__)
XWMSAuth(app)

def create_app():
    return app
"""

ASGI_APP = """
from starlette.applications import Starlette
from xwms_auth.asgi import XWMSAuthMiddleware

app = XWMSAuthMiddleware(Starlette())
"""

# Starlette makes its middleware at the first call, which is the server's "begin".
LAZY_APP = """
from starlette.applications import Starlette
from xwms_auth.starlette import XWMSAuthMiddleware

app = Starlette()
app.add_middleware(XWMSAuthMiddleware)
"""

# Says where it runs and what it was told, before any framework could have a say.
TELLING_APP = """
import json, os

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    variables = {name: value for name, value in os.environ.items() if name.startswith("XWMS_")}
    return [json.dumps({"pid": os.getpid(), "variables": variables}).encode()]
"""


@dataclass(frozen=True, slots=True)
class Running:
    """A command that is still running, and the lines it printed until it was ready."""

    process: subprocess.Popen[str]
    lines: tuple[str, ...]

    @property
    def address(self) -> str:
        """The first address in the last line."""
        found = re.search(r"http://[a-z0-9.]+:\d+", self.lines[-1])
        assert found is not None, self.lines
        return found[0]

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Send a signal; the exit status and what was printed on standard error."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project folder: `flask_one:app`, `asgi_one:app`, `lazy:app`, `telling:app`."""
    (tmp_path / "flask_one.py").write_text(FLASK_APP)
    (tmp_path / "asgi_one.py").write_text(ASGI_APP)
    (tmp_path / "lazy.py").write_text(LAZY_APP)
    (tmp_path / "telling.py").write_text(TELLING_APP)
    return tmp_path


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where what is kept for this user is."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def environ(home: Path) -> dict[str, str]:
    """The environment of a developer who knows nothing of XWMS yet."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("XWMS_")}
    at_home = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "APPDATA": str(home)}
    return mine | at_home | {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def run(folder: Path, environ: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command to its end."""

    def run_command(
        *arguments: str, command: Sequence[str] = COMMAND, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments],
            cwd=folder,
            env=environ | variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run_command


@pytest.fixture
def start(folder: Path, environ: dict[str, str]) -> Callable[..., AbstractContextManager[Running]]:
    """Run a command until it has printed a line that contains `ready`."""

    @contextmanager
    def start_command(*arguments: str, ready: str, **variables: str) -> Iterator[Running]:
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=folder,
            env=environ | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            lines: list[str] = []
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                if ready in line:
                    break
            else:
                pytest.fail(f"ended before it was ready: {process.communicate()[1]}")
            yield Running(process, tuple(lines))
        finally:
            process.kill()
            process.communicate()

    return start_command
