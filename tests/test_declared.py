"""What the package imports is declared in pyproject.toml, in the right extra; and docs/versions.md tells the floors."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import xwms_auth

PACKAGE = Path(xwms_auth.__file__).parent
PROJECT = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]

# The extras of a file besides the core: those of the first path that the file's begins with.
EXTRAS_OF = {
    "flask.py": {"flask"},
    "_core/adapters/asgi/starlette_": {"starlette"},
    "_core/adapters/flask/": {"flask"},
    "starlette.py": {"starlette"},
    "fastapi.py": {"fastapi"},
    "_core/oauth2/": {"oauth2"},
    "_core/io/operation/spans.py": {"opentelemetry"},
    "accounts/picture_": {"pictures"},
    "accounts/": {"sqlalchemy"},
    "stores/redis_": {"redis"},
    "stores/sqlalchemy": {"sqlalchemy"},
    "sandbox/oauth/": {"sandbox", "oauth2"},
    "sandbox/domain/signing.py": {"sandbox", "oauth2"},
    "sandbox/": {"sandbox"},
    "testing/faults.py": {"sandbox"},
    "cli/database.py": {"cli", "sqlalchemy"},
    "cli/wsgi_server.py": {"cli", "flask"},
    "cli/": {"cli"},
    "": set(),
}

# Imported only when these packages themselves call, or by tests; and what type checkers have.
BROUGHT_ALONG = {
    "_core/base/output_only.py": {"pydantic", "pydantic_core", "typing_extensions", "jinja2"},
    "testing/": {"pytest"},
    "": {"_typeshed"},
    "flask.py": {"_typeshed", "typing_extensions"},
    "wsgi.py": {"_typeshed", "typing_extensions"},
}


def names(requirements: Iterable[str]) -> set[str]:
    return {canonicalize_name(Requirement(each).name) for each in requirements}


def imported_by(path: Path) -> set[str]:
    """The top-level modules of other packages that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return {name.partition(".")[0] for name in found} - sys.stdlib_module_names - {"xwms_auth"}


FILES = {path.relative_to(PACKAGE).as_posix(): imported_by(path) for path in PACKAGE.rglob("*.py")}


def test_every_import_is_declared_in_the_extra_that_its_file_belongs_to():
    distributions = packages_distributions()
    for file, modules in FILES.items():
        extras = next(extras for start, extras in EXTRAS_OF.items() if file.startswith(start))
        declared = names(PROJECT["dependencies"]).union(*(names(EXTRAS[extra]) for extra in extras))
        known = set().union(*(modules for start, modules in BROUGHT_ALONG.items() if file.startswith(start)))
        for module in modules - known:
            assert {canonicalize_name(name) for name in distributions[module]} & declared, (file, module)


def test_what_is_declared_is_imported():
    distributions = packages_distributions()
    used = {canonicalize_name(name) for modules in FILES.values() for m in modules for name in distributions.get(m, ())}
    extras = set(EXTRAS) - {"all", "dev"}
    assert names(PROJECT["dependencies"]).union(*(names(EXTRAS[extra]) for extra in extras)) <= used
    # An API without an SDK does nothing: whoever wants telemetry installs both.
    assert Requirement(EXTRAS["all"][0]).extras == extras - {"opentelemetry"}


@pytest.mark.parametrize("where", ["core", *sorted(set(EXTRAS) - {"all", "dev"})])
def test_the_page_about_versions_has_the_floors(where):
    page = (PACKAGE.parent / "docs" / "versions.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `([^`]+)` +\| ([0-9.]+) ", page, re.MULTILINE))
    for each in map(Requirement, PROJECT["dependencies"] if where == "core" else EXTRAS[where]):
        assert str(each.specifier) == f">={told.get(each.name)}", each
