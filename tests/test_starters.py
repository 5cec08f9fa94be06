"""`xwms-auth new`: each starter runs, tests itself and type-checks, as it is made in an empty folder."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from click.testing import CliRunner

from xwms_auth.cli.commands import xwms_auth
from xwms_auth.cli.starter import COPIED, KINDS

ROOT = Path(__file__).parents[1]


@pytest.fixture
def starter(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(xwms_auth, ["new", request.param, "my-desk"])
    assert done.exit_code == 0, done.output
    assert "xwms-auth dev app:app" in done.output
    return tmp_path / "my-desk"


def run(folder: Path, *command: str) -> str:
    """Run a Python module there, in an environment without settings; give what it prints."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("XWMS_", "PYTEST", "COV"))}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={**environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_what_was_installed_from_a_folder_is_installed_from_there_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = urlsplit(json.loads(distribution("xwms-auth").read_text("direct_url.json") or '{"url": ""}')["url"])
    done = CliRunner().invoke(xwms_auth, ["new", "flask", "my-desk"])
    *before, last = [line.strip() for line in done.output.splitlines() if "pip install" in line]
    assert last == "pip install -e '.[dev]'"
    first = [["pip", "install", f"{url2pathname(source.path)}[flask,cli,sandbox]"]] if source.scheme == "file" else []
    assert [shlex.split(one) for one in before] == first


@pytest.mark.parametrize("starter", KINDS, indirect=True)
def test_a_starter_tests_itself(starter):
    # The plugin by name: the environment of this suite may have been installed before there was an entry point.
    told = run(
        starter, "pytest", "-q", "-p", "xwms_auth.testing.plugin", "-p", "no:xwms_auth", "-p", "no:cacheprovider"
    )
    assert " passed" in told
    assert "skipped" not in told


@pytest.mark.parametrize("starter", KINDS, indirect=True)
def test_a_starter_type_checks(starter, tmp_path):
    assert "Success" in run(starter, "mypy", "--cache-dir", str(ROOT / ".mypy_cache"))


@pytest.mark.parametrize("starter", KINDS, indirect=True)
def test_a_starter_runs_and_logs_a_person_in(starter):
    assert "Signed in: Anna de Vries" in run(starter, "xwms_auth", "dev", "app:app", "--check", "--port", "0")


@pytest.mark.parametrize("starter", KINDS, indirect=True)
def test_a_starter_has_what_a_project_needs_and_nothing_of_ours(starter):
    files = {path.relative_to(starter).as_posix() for path in starter.rglob("*") if path.is_file()}
    assert files > {
        "app.py",
        "requirements.txt",
        "pyproject.toml",
        "README.md",
        ".env.example",
        ".gitignore",
        "Dockerfile",
    }
    assert "tests/test_app.py" in files
    assert not [file for file in files if "sqlite" in file or "pycache" in file]
    assert len((starter / "README.md").read_text(encoding="utf-8").splitlines()) <= 12
    copied = {
        line.split()[1] for line in (starter / "Dockerfile").read_text(encoding="utf-8").splitlines() if "COPY" in line
    }
    assert copied <= {"requirements.txt", "app.py", "templates", "static"}
    assert all((starter / part).exists() for part in copied)


@pytest.mark.parametrize("starter", KINDS, indirect=True)
def test_what_goes_into_production_is_without_the_sandbox_and_the_commands(starter):
    in_production = (starter / "requirements.txt").read_text(encoding="utf-8")
    assert re.search(r"^xwms-auth\[\w+(,sqlalchemy)?\]$", in_production, re.M)
    project = tomllib.loads((starter / "pyproject.toml").read_text(encoding="utf-8"))
    assert "xwms-auth[cli,sandbox]" in project["project"]["optional-dependencies"]["dev"]


def test_the_wheel_brings_along_what_is_copied():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included == {
        f"examples/{kind}_app/{part}": f"xwms_auth/cli/starters/{kind}/{part}"
        for kind in KINDS
        for part in COPIED
        if (ROOT / "examples" / f"{kind}_app" / part).exists()
    }


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/tmp/x", "-x", "1desk", "a b", "désk", "x" + "\n"])
def test_what_is_no_name_is_told(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(xwms_auth, ["new", "flask", "--", name])
    assert done.exit_code == 1
    assert "is no name for a project" in done.output
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "desk").mkdir()
    (tmp_path / "desk" / "mine").write_text("kept", encoding="utf-8")
    done = CliRunner().invoke(xwms_auth, ["new", "flask", "desk"])
    assert done.exit_code == 1
    assert "nothing is overwritten" in done.output
    assert [path.name for path in (tmp_path / "desk").iterdir()] == ["mine"]
