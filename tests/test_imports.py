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


FRAMEWORKS = {"flask": "flask", "wsgi": "", "asgi": "", "starlette": "starlette.applications", "fastapi": "fastapi"}


@pytest.mark.parametrize("door", FRAMEWORKS)
def test_a_door_loads_no_http_library_and_no_openssl_of_its_own(door: str):
    """They take longer to import than all else: a transport loads them when it is used."""
    framework = FRAMEWORKS[door]
    loaded = loaded_by(f"import xwms_auth.{door}") - (loaded_by(f"import {framework}") if framework else set())
    assert loaded & {"httpcore2", "httpx2", "h11", "h2", "trio", "anyio", "asyncio", "ssl", "cryptography"} == set()
    assert loaded & {"truststore", "importlib.metadata", "xwms_auth._core.api.resources"} == set()


LIFESPAN = """
import asyncio, sys
from xwms_auth import XWMSConfig
from xwms_auth.asgi import XWMSAuthMiddleware

async def application(scope, receive, send):
    from xwms_auth._core.io.sockets import openssl_context
    assert "httpcore2" in sys.modules
    assert sys.platform in ("darwin", "win32") or openssl_context.cache_info().currsize == 1

config = XWMSConfig(
    client_id="id", client_secret="s", redirect_uris="https://app.example/cb",
    session_secret="K3y-for-tests-0123456789-abcdefghij",
)
middleware = XWMSAuthMiddleware(application, config)
assert "httpcore2" not in sys.modules
asyncio.run(middleware({"type": "lifespan"}, None, None))
"""


def test_the_start_of_an_asgi_application_loads_what_its_first_login_needs():
    """So that the first login does not stop the event loop for that long."""
    assert "httpcore2" in loaded_by(LIFESPAN)


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
