"""What importing the package loads, and the shape of its files. Who may import whom stands in pyproject.toml."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import xwms_auth

PACKAGE = Path(xwms_auth.__file__).parent
MAX_ROOT = 16
MAX_LINES = 400


def loaded_by(statement: str) -> set[str]:
    """The modules a fresh interpreter has after a statement."""
    code = f"{statement}\nimport sys\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=PACKAGE.parent)
    return set(done.stdout.split())


HEAVY = set(
    """
    flask werkzeug jinja2 starlette fastapi pydantic click uvicorn httpx httpx2 httpcore2 anyio asyncio ssl authlib
    joserfc redis sqlite3 sqlalchemy cryptography itsdangerous logging http.client urllib.request email
    """.split()
)


def test_importing_the_package_loads_no_framework_and_no_http_library():
    assert loaded_by("import xwms_auth") & HEAVY == set()


def test_a_door_loads_no_other_doors_framework():
    assert (
        loaded_by("import xwms_auth.asgi") & {"flask", "starlette", "fastapi", "sqlite3", "redis", "authlib"} == set()
    )
    assert loaded_by("import xwms_auth.flask") & {"starlette", "fastapi", "sqlite3", "redis", "authlib"} == set()
    assert (
        loaded_by("import xwms_auth.wsgi") & {"flask", "werkzeug", "starlette", "fastapi", "sqlite3", "redis"} == set()
    )
    assert loaded_by("import xwms_auth.starlette") & {"flask", "werkzeug", "fastapi", "pydantic", "redis"} == set()


def test_every_public_name_can_be_had():
    for name in xwms_auth.__all__:
        assert getattr(xwms_auth, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        xwms_auth.nothing  # noqa: B018


def test_the_root_stays_short_and_no_file_gets_long_or_goes_without_saying_what_it_is_for():
    assert len([entry for entry in PACKAGE.iterdir() if entry.name != "__pycache__"]) <= MAX_ROOT
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= MAX_LINES, path
        assert ast.get_docstring(ast.parse(text)), path
