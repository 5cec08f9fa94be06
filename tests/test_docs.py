"""The documentation cannot drift: what it lists is compared with the code, and what it shows is run.

Every ```python block must compile. One that binds `app` at its top level is a whole application: it is run with the
`XWMS_...` variables of a fake XWMS, and a person logs in.
"""

import ast
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import MISSING, fields
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import click
import httpx2
import pytest
from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.testclient import TestClient

from tests.tools.docs_pages import PAGES, ROOT, all_blocks
from tests.tools.fake_xwms import FakeXWMS
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, HTTPS_URI, LOGIN, LOGOUT, ME, PROGRAM
from xwms_auth import XWMSConfig, XWMSError
from xwms_auth._core.base.events import Event
from xwms_auth._core.config.env import ENVIRONMENT
from xwms_auth.accounts.pictures import PictureError
from xwms_auth.cli.commands import xwms_auth as command_line
from xwms_auth.cli.loading import interface_of
from xwms_auth.sandbox.faults.catalogue import FAULTS

SANDBOX = ROOT / "xwms_auth" / "sandbox"


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def documentation(name: str) -> str:
    return text_of(ROOT / "docs" / name)


def sections(text: str, level: int) -> dict[str, str]:
    """Heading to what stands below it, up to the next heading of the same or a higher level."""
    parts = re.split(rf"^(#{{1,{level}}}) (.+)$", without_code(text), flags=re.M)
    found = zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    return {title: body for marks, title, body in found if len(marks) == level}


def without_code(text: str) -> str:
    """The same without fenced blocks, in which `#` begins a comment."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


# --- what is listed ---


def default_in_words(value: object) -> str:
    match value:
        case timedelta():
            return f"`{value.total_seconds():.0f}` seconds"
        case float():
            return f"`{value:g}` seconds"
        case "" | ():
            return "none"
        case _ if value is MISSING:
            return "required"
        case _:
            return f"`{value}`"


def test_options_has_every_field_with_its_variables_and_its_default():
    told = sections(documentation("options.md"), 3)
    options = {field.name: field for field in fields(XWMSConfig) if field.init}
    assert set(told) == {f"`{name}`" for name in options}
    for name, field in options.items():
        body = told[f"`{name}`"]
        variables = set(re.findall(r"`(XWMS_\w+)`", next(line for line in body.splitlines() if "Environment:" in line)))
        file = {f"XWMS_{name.upper()}_FILE"} if name in ("client_secret", "session_secret") else set()
        assert variables == {*ENVIRONMENT.get(name, ())} | file, name
        default = next(line for line in body.splitlines() if line.startswith("- Default: "))
        assert default.removeprefix("- Default: ").startswith(default_in_words(field.default)), name


def codes_of(error: type[XWMSError]) -> Iterator[tuple[str, int]]:
    for kind in error.__subclasses__():
        if "code" in vars(kind):
            yield kind.code, kind.status
        yield from codes_of(kind)


def test_errors_has_every_code_with_its_status_and_nothing_else():
    told = sections(documentation("errors.md"), 3)
    assert issubclass(PictureError, XWMSError)  # from a module that `xwms_auth` does not load
    statuses = {title.strip("`"): re.findall(r"^Status: (\d+)$", body, re.M) for title, body in told.items()}
    assert statuses == {code: [str(status)] for code, status in codes_of(XWMSError)}


def test_commands_has_every_command_with_every_option_and_nothing_else():
    told = {title: body for title, body in sections(documentation("commands.md"), 2).items() if "xwms-auth" in title}
    assert {title.strip("`").split()[1] for title in told} == set(command_line.commands)
    for title, body in told.items():
        command = command_line.commands[title.strip("`").split()[1]]
        options = {name for option in command.params if isinstance(option, click.Option) for name in option.opts}
        assert set(re.findall(r"^\| `(--[a-z-]+)` \|", body, re.M)) == options, title


def test_operation_has_every_event_of_the_log_with_its_level():
    told = sections(documentation("operation.md"), 2)["Log events"]
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \| ((?:info|warning|error)(?:, (?:info|warning|error))*) \| \S", told, re.M)
    names = [name for cell, _ in rows for name in re.findall(r"`([a-z_]+)`", cell)]
    assert sorted(names) == sorted([*get_args(Event), "refused", "settings_wrong", "unexpected_error"])
    code = "".join(text_of(path) for path in (ROOT / "xwms_auth").rglob("*.py") if path.name != "events.py")
    own = re.findall(r'"(\w+)', text_of(ROOT / "xwms_auth" / "_core" / "base" / "events.py").partition("def info")[2])
    assert [name for name in names if f'"{name}"' not in code and name not in own] == []


def test_operation_has_every_span_metric_and_attribute():
    told = set(re.findall(r"`([a-z0-9_.]+)`", documentation("operation.md")))
    code = text_of(ROOT / "xwms_auth" / "_core" / "io" / "operation" / "spans.py")
    named = set(re.findall(r'"((?:xwms_auth|http|server|url|error)\.[a-z_.]+)"', code))
    assert len(named) == 10
    assert named <= told
    shown = {name for name in told if name.startswith("xwms_auth.") and name.count(".") == 1}
    spans = {f"xwms_auth.{name}" for name in ("login_start", "callback", "logout")}
    assert spans <= shown


def test_architecture_has_every_module_in_its_folder():
    told = {
        title.strip("`").removeprefix("xwms_auth/"): re.findall(r"^\| `(\w+\.py)` \| \S", body, re.M)
        for title, body in sections(documentation("architecture.md"), 3).items()
        if title.endswith("/`")
    }
    modules: dict[str, list[str]] = {}
    for path in (ROOT / "xwms_auth").rglob("*.py"):
        # What a folder is for, its heading says; an `__init__.py` with names in it is a module like others.
        folder = path.parent.relative_to(ROOT / "xwms_auth").as_posix()
        if path.name != "__init__.py" or folder in {".", "stores"}:
            modules.setdefault("" if folder == "." else f"{folder}/", []).append(path.name)
    assert {folder: sorted(names) for folder, names in told.items()} == {
        folder: sorted(names) for folder, names in modules.items()
    }


def test_mkdocs_has_every_page_in_its_navigation():
    listed = re.findall(r": ([a-z0-9-]+\.md)$", text_of(ROOT / "mkdocs.yml"), re.M)
    assert sorted(listed) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))


# --- what is linked ---


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", without_code(text_of(page)), re.M)
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title in titles}


def test_relative_links_lead_somewhere():
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\(([^)\s]+)\)", without_code(text_of(page))):
            if "://" in target or target.startswith("mailto:"):
                continue
            path, _, anchor = target.partition("#")
            linked = (page.parent / path) if path else page
            assert linked.exists(), (page.name, target)
            if anchor and linked.suffix == ".md":
                assert anchor in anchors(linked), (page.name, target)


NAMED_FROM = [ROOT, ROOT / "xwms_auth", ROOT / "xwms_auth" / "_core", SANDBOX]
"""The folders that a page may name files from."""

MADE = ("site/", "dist/", "build/", ".fuzz/")
"""The folders that commands make."""


def test_files_that_are_named_are_there():
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for named in re.findall(r"`([\w.-]+/[\w./-]*)`", without_code(text_of(page))):
            if named.endswith((".py", "/")) and not named.startswith(MADE):
                assert any((folder / named).exists() for folder in NAMED_FROM), (page.name, named)


# --- what is shown ---


def blocks() -> Iterator[tuple[str, str]]:
    """Every Python block that is run with where it stands, on its own line there so that a traceback finds it."""
    for block in all_blocks("python"):
        if not block.reason:
            yield block.where, "\n" * block.line + block.code


def binds_app(code: str) -> bool:
    names = (target for node in ast.parse(code).body if isinstance(node, ast.Assign) for target in node.targets)
    return any(isinstance(name, ast.Name) and name.id == "app" for name in names)


BLOCKS = list(blocks())
APPLICATIONS = [(where, code) for where, code in BLOCKS if binds_app(code)]


def test_python_in_the_documentation_compiles():
    assert BLOCKS
    for where, code in BLOCKS:
        compile(code, where, "exec")


def imports_of(code: str) -> Iterator[tuple[str, str]]:
    """Module and name of everything that is imported from this package."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "xwms_auth":
            yield from ((str(node.module), alias.name) for alias in node.names)


def test_what_the_documentation_imports_is_there_and_public():
    for where, code in BLOCKS:
        for module, name in imports_of(code):
            assert hasattr(import_module(module), name) or find_spec(f"{module}.{name}"), (where, module, name)
            assert "._core" not in module or where.startswith("writing-an-edge.md:"), (where, module, name)


def client_of(app: Any) -> httpx2.Client:
    if interface_of(app, target="app") == "wsgi":
        return httpx2.Client(transport=httpx2.WSGITransport(app), base_url="https://app.example")
    return TestClient(app, base_url="https://app.example", follow_redirects=False)


@pytest.fixture
def run_documented(make_fx, monkeypatch, tmp_path):
    """Run an application of the documentation; gives the application, a browser that visits it, and the fake XWMS."""
    engines: list[Any] = []
    running = ExitStack()

    def run(where: str, code: str) -> tuple[Any, httpx2.Client, FakeXWMS]:
        fx = make_fx()
        for name, value in fx.options(redirect_uris=HTTPS_URI).items():
            monkeypatch.setenv(ENVIRONMENT[name][0], value)
        monkeypatch.chdir(tmp_path)
        module = ModuleType("app")
        monkeypatch.setitem(sys.modules, "app", module)
        exec(compile(code, where, "exec"), vars(module))
        engines.append(vars(module).get("engine"))
        client = client_of(module.app)
        if isinstance(module.app, Starlette):
            running.enter_context(client)  # with its lifespan, as a server has it
        return module.app, client, fx

    with running:
        yield run
    for engine in engines:
        if isinstance(engine, Engine):
            engine.dispose()


def log_in(client: httpx2.Client, fx: FakeXWMS, login: str = LOGIN) -> httpx2.Response:
    """Log in as person 17; gives the response to the callback."""
    started = client.get(login, headers=FROM_HERE)
    token = fx.approve(started.headers["location"].rpartition("/")[2], sub="17", name="Anna <3")
    return client.get(CALLBACK, params={"token": token}, headers=FROM_ELSEWHERE)


OTHERS = [found for found in APPLICATIONS if not found[0].startswith("frameworks.md:")]


@pytest.mark.parametrize(("where", "code"), OTHERS, ids=[where for where, _ in OTHERS])
def test_applications_in_the_documentation_log_a_person_in(where, code, run_documented):
    _, client, fx = run_documented(where, code)
    back = log_in(client, fx)
    assert (back.status_code, back.headers["location"]) == (303, "/")
    assert client.get(ME, headers=PROGRAM).json()["user"]["sub"] == "17"


def test_the_edge_of_writing_an_edge_guards_its_page(run_documented):
    [(where, code)] = [found for found in APPLICATIONS if found[0].startswith("writing-an-edge.md:")]
    app, client, fx = run_documented(where, code)
    refused = client.get("/?page=2", headers=FROM_HERE)
    assert (refused.status_code, refused.headers["location"]) == (302, "/xwms/auth?next=/%3Fpage%3D2")
    assert client.get("/", headers=PROGRAM).status_code == 401

    assert log_in(client, fx, refused.headers["location"]).headers["location"] == "/?page=2"
    page = client.get("/?page=2", headers=FROM_HERE)
    assert (page.status_code, page.headers["vary"]) == (200, "Cookie")
    assert page.headers["cache-control"] == "private, no-store"
    assert "<p>Hello Anna &lt;3</p>" in page.text
    assert 'action="/xwms/logout"' in page.text
    assert "set-cookie" not in page.headers
    app.clock = lambda: time.time() + 3600
    assert client.get("/", headers=FROM_HERE).headers["set-cookie"].startswith("__Host-xwms_session_")

    left = client.post(LOGOUT, headers=FROM_HERE)
    assert (left.status_code, left.headers["location"]) == (303, "/")
    assert client.get("/", headers=FROM_HERE).status_code == 302


def test_the_page_of_each_framework_is_guarded_and_greets_the_person():
    command = [sys.executable, "-W", "ignore", "-m", "tests.framework_pages"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == 10
    assert [error for error in found.values() if error] == []


def test_the_documentation_shows_an_application_for_every_edge():
    shown = "\n".join(code for _, code in APPLICATIONS)
    assert [
        edge for edge in ("flask", "wsgi", "asgi", "starlette", "fastapi") if f"xwms_auth.{edge} import" not in shown
    ] == []


# --- the sandbox ---


def test_every_statement_has_its_row_and_its_test():
    told = re.findall(r"^\| (S\d+) \|.*\| `(test_\w+)` \|$", documentation("statements.md"), re.M)
    code = text_of(ROOT / "tests" / "statements" / "test_statements.py")
    assert [test for _, test in told] == re.findall(r"^def (test_s\d+_\w+)", code, re.M)
    assert [number for number, _ in told] == [f"S{number}" for number in range(1, 18)]
    assert all(test.startswith(f"test_{number.lower()}_") for number, test in told)


def test_the_sandbox_page_lists_every_fault_and_every_refusal():
    page = documentation("sandbox.md")
    assert set(re.findall(r"^\| `([\w-]+)` \|", sections(page, 2)["When things go wrong"], re.M)) == set(FAULTS)
    told = set(re.findall(r"\| \d{3} \| ([^|]+) \|", page))
    assert refused_with(SANDBOX / "domain" / "request_checks.py") <= told


def refused_with(path: Path) -> set[str]:
    """The messages that a file's `Refused(status, message, …)` and `_off(domain, message, …)` answer with."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text_of(path))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"Refused", "_off"}:
            texts = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            found.update(texts[:1])
    return found
