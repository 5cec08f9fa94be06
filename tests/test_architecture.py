"""The shape of the package: who may import whom, and what importing it costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import xwms_auth

PACKAGE = Path(xwms_auth.__file__).parent

# Left never imports right. Every file of the package stands in exactly one room; a new file must be given one here.
LAYERS = {
    "values": {
        "errors", "secret", "models", "resources", "messages", "effects", "token_set", "access_token",
        "output_only", "template_attributes",
    },
    "policy": {
        "options", "judge", "config", "redirects", "tokens", "cookies", "session", "pending", "budget", "browser",
        "guards", "device", "refusals", "envelope", "wire", "resource_wire", "pages", "advice", "answers", "audit",
        "marks", "metadata", "oauth2_wire", "signed_jwt", "id_token", "site", "widgets",
        "authorization", "token_claims", "known_tokens", "refreshed", "unrevoked",
    },
    "flow": {
        "calls", "claims", "visits", "ending", "provider", "sign_token", "discovery", "revocation", "oauth2",
        "providers", "access", "recheck", "callback", "logout_token", "backchannel", "bearer",
        "token_validation", "flow",
    },
    "I/O": {"drive", "framing", "network", "transport", "client", "sessions", "stores"},
    "edges": {
        "flask", "flask_bearer", "wsgi_messages", "wsgi_seat", "asgi", "asgi_messages", "asgi_seat", "asgi_bearer",
        "access_log",
        "starlette", "fastapi", "sandbox", "cli", "testing", "__main__",
    },
}  # fmt: skip
ORDER = list(LAYERS)


def modules() -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if name != "__init__":
            found.setdefault(name, []).append(path)
    return found


def layer_of(name: str) -> str:
    return next(layer for layer, names in LAYERS.items() if name in names)


def own_imports(path: Path) -> set[str]:
    """The top-level modules of the package that a file imports, wherever in the file."""
    depth = len(path.relative_to(PACKAGE).parts) - 1
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == depth + 1:
            names = [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
            found.update(names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("xwms_auth."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found.update(alias.name.split(".")[1] for alias in node.names if alias.name.startswith("xwms_auth."))
    return found


def test_every_file_stands_in_exactly_one_room():
    placed = [name for names in LAYERS.values() for name in names]
    assert sorted(placed) == sorted(modules())


@pytest.mark.parametrize("name", sorted(modules()))
def test_no_file_imports_from_a_room_to_its_right(name):
    allowed = set(ORDER[: ORDER.index(layer_of(name)) + 1])
    for path in modules()[name]:
        for imported in own_imports(path) - {name}:
            assert layer_of(imported) in allowed, f"{path.name} ({layer_of(name)}) imports {imported}"


@pytest.mark.parametrize("name", sorted(modules()))
def test_no_file_is_longer_than_400_lines_and_each_says_what_it_knows(name):
    for path in modules()[name]:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 400, path
        assert ast.get_docstring(ast.parse(text)), path


# The sandbox has rooms of its own, and stands alone: what it shares with the package is HTTP.
SANDBOX = {
    "data": {"problems", "urls", "people", "data"},
    "system": {
        "accounts", "clients", "approvals", "directory", "sign_ins", "address_book", "api_log", "countries",
        "judgement", "faults", "settings", "founding", "demo", "authorizations", "grants", "signing",
    },
    "web": {"answers", "asking", "api", "pages", "oauth", "dashboard", "spoiled", "app", "server"},
}  # fmt: skip


def sandbox_imports(path: Path) -> set[str]:
    return {
        name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [f"{node.module}.{alias.name}" for alias in node.names]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        )
    }  # fmt: skip


def test_the_sandbox_has_rooms_too_and_only_the_last_one_knows_http():
    room_of = {name: room for room, names in SANDBOX.items() for name in names}
    folder = PACKAGE / "sandbox"
    for path in folder.rglob("*.py"):
        name = path.relative_to(folder).parts[0].removesuffix(".py")
        if name == "__init__":
            continue
        imported = sandbox_imports(path)
        allowed = list(SANDBOX)[: list(SANDBOX).index(room_of[name]) + 1]
        for module in imported:
            parts = module.split(".")
            if parts[0] == "xwms_auth":
                assert parts[1] == "sandbox", f"{path.name} imports {module}"
                # A package re-exports; what follows `sandbox` is a module, or the name of one.
                target = parts[2] if parts[2] in room_of else None
                assert target is None or room_of[target] in allowed, f"{path.name} imports {module}"
            if name != "oauth":
                assert parts[0] != "authlib", f"{path.name} imports {module}"
            if room_of[name] != "web":
                assert parts[0] not in {"flask", "werkzeug", "flask_wtf", "wtforms"}, f"{path.name} imports {module}"


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


def test_an_edge_loads_no_other_edges_framework():
    assert (
        loaded_by("import xwms_auth.asgi") & {"flask", "starlette", "fastapi", "sqlite3", "redis", "authlib"} == set()
    )
    assert loaded_by("import xwms_auth.flask") & {"starlette", "fastapi", "sqlite3", "redis", "authlib"} == set()
    assert loaded_by("import xwms_auth.starlette") & {"flask", "werkzeug", "fastapi", "pydantic", "redis"} == set()


def test_every_public_name_can_be_had():
    for name in xwms_auth.__all__:
        assert getattr(xwms_auth, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        xwms_auth.nothing  # noqa: B018
