"""The command `new`: a project to start from, made of the files of one of the three examples.

Overwrites nothing. What it writes runs, tests itself and type-checks as it is.
"""

import json
import re
import shlex
import shutil
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

import click

KINDS: Final = ("flask", "starlette", "fastapi")
COPIED: Final = ("app.py", "requirements.txt", "templates", "static", "tests")
"""What is taken of an example, as far as it has it."""

_DEVELOPMENT: Final = re.compile(r",(?:sandbox|cli)\b")
"""The extras of an example's requirements that do not belong into production."""

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_][A-Za-z0-9]+)*")
_GUNICORN: Final = '"gunicorn", "--bind", "0.0.0.0:8000", "--workers", "2", "--threads", "8", "--preload", "app:app"'
_UVICORN: Final = '"uvicorn", "app:app", "--host", "0.0.0.0", "--port", "8000", "--no-access-log"'
_SERVED: Final = {
    "flask": ("gunicorn", _GUNICORN),
    "starlette": ("uvicorn", _UVICORN),
    "fastapi": ("uvicorn", _UVICORN),
}
_DATABASES: Final = {
    "flask": "SUPPORT_DESK_DB=/data/support-desk.sqlite3",
    "starlette": "SUPPORT_DESK_DB=/data/support-desk.sqlite3",
    "fastapi": (
        "DATABASE_URL=sqlite+aiosqlite:////data/support-desk.sqlite3 "
        "XWMS_SESSION_STORE=sqlite:////data/sessions.sqlite3"
    ),
}

_PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{name}"
version = "0.1.0"
requires-python = ">=3.11"
dynamic = ["dependencies"]

[project.optional-dependencies]
dev = ["xwms-auth[cli,sandbox]", {client}"mypy>=1.15", "pytest>=8"]

[tool.setuptools]
py-modules = ["app"]

[tool.setuptools.dynamic]
dependencies = {{ file = ["requirements.txt"] }}

[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["."]

[tool.mypy]
strict = true
files = ["app.py", "tests"]
"""

_README = """\
# {name}

Log in with XWMS on {title}.

    pip install -e '.[dev]'
    xwms-auth dev app:app              # the app beside a local XWMS: no account, no network
    pytest && mypy

To go live, set the variables of `.env.example`; nothing else changes.
`Dockerfile` builds an image for production.
"""

_ENVIRONMENT = """\
# From the Clients section of the XWMS dashboard.
XWMS_CLIENT_ID=
XWMS_CLIENT_SECRET=
# Exactly as it is registered there.
XWMS_REDIRECT_URI=https://{host}.example/xwms/validateToken
# Made once, by: xwms-auth secret
XWMS_SESSION_SECRET=
"""

_DOCKERFILE = """\
FROM python:3.13-slim
RUN useradd --create-home --uid 1000 app && install -d -o app /data
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt {server}
COPY app.py .
{copies}
USER app
ENV {database}
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/', timeout=3)"]
CMD [{command}]
"""

_IGNORED = """\
.env
xwms.env
.venv/
*.egg-info/
__pycache__/
*.sqlite3*
"""


@click.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("name")
def new(*, kind: str, name: str) -> None:
    """Make a project to start from, in a folder called NAME."""
    if _NAME.fullmatch(name) is None:
        raise click.ClickException(f"{name!r} is no name for a project: letters, digits, and - or _ between them")
    folder = Path.cwd() / name
    if folder.exists() or folder.is_symlink():
        raise click.ClickException(f"{name} is there already, and nothing is overwritten: choose another name")
    write_starter(kind, name, folder)
    source = _from()
    own = f"  pip install {shlex.quote(f'{source}[{kind},cli,sandbox]')}\n" if source else ""
    click.echo(f"Made {name}. Next:\n  cd {name}\n{own}  pip install -e '.[dev]'\n  xwms-auth dev app:app")


def _from() -> str:
    """Where this package was installed from, if that is a folder or a file of this machine (PEP 610).

    An environment of the project's own could not get it from an index.
    """
    try:
        told = distribution("xwms-auth").read_text("direct_url.json")
    except PackageNotFoundError:
        return ""
    url = urlsplit(json.loads(told)["url"] if told else "")
    return url2pathname(url.path) if url.scheme == "file" else ""


def write_starter(kind: str, name: str, folder: Path) -> None:
    """Write the project into a folder that is not there yet."""
    example = _example(kind)
    folder.mkdir(parents=True)
    for part in COPIED:
        source = example / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3*"))
        elif source.exists():
            shutil.copyfile(source, folder / part)
    server, command = _SERVED[kind]
    copies = "\n".join(f"COPY {part} {part}" for part in ("templates", "static") if (folder / part).exists())
    title = {"flask": "Flask", "starlette": "Starlette", "fastapi": "FastAPI"}[kind]
    written = {
        "requirements.txt": _DEVELOPMENT.sub("", (example / "requirements.txt").read_text(encoding="utf-8")),
        "pyproject.toml": _PYPROJECT.format(name=name, client="" if kind == "flask" else '"httpx>=0.27", '),
        "README.md": _README.format(name=name, title=title),
        ".env.example": _ENVIRONMENT.format(host=name.replace("_", "-").lower()),
        ".gitignore": _IGNORED,
        "Dockerfile": _DOCKERFILE.format(server=server, copies=copies, database=_DATABASES[kind], command=command),
    }
    for file, text in written.items():
        (folder / file).write_text(text, encoding="utf-8")


def _example(kind: str) -> Path:
    """The folder of an example: in the installed package, or beside it in a clone."""
    installed = Path(__file__).with_name("starters") / kind
    cloned = Path(__file__).parents[2] / "examples" / f"{kind}_app"
    found = next((place for place in (installed, cloned) if (place / "app.py").exists()), None)
    if found is None:
        raise click.ClickException("this installation has no starters: install the package again")
    return found
