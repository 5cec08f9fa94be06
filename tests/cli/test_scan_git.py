"""`xwms-auth scan --git` on repositories that are damaged, redirected, inside each other, or hide something."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from xwms_auth.cli.commands import xwms_auth

SECRET = "q7Zt9vK3dWeXm1uRbPq4"


def scan(*arguments: str | Path, **variables: str | None) -> Result:
    environ = {"XWMS_SESSION_SECRET": None, "XWMS_CLIENT_SECRET_FILE": None, "XWMS_CLIENT_SECRET": SECRET} | variables
    result = CliRunner().invoke(xwms_auth, ["scan", *map(str, arguments)], env=environ)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert SECRET not in result.output
    return result


def git(where: Path, *arguments: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    who += ("-c", "protocol.file.allow=always")
    return subprocess.run(["git", *who, *arguments], cwd=where, check=True, capture_output=True, text=True).stdout


def commit(where: Path, content: str) -> None:
    (where / "app.js").write_text(content)
    git(where, "add", "--all")
    git(where, "commit", "--quiet", "--message", "work")


def made(where: Path, *contents: str) -> Path:
    where.mkdir()
    git(where, "init", "--quiet")
    for content in contents:
        commit(where, content)
    return where


@pytest.fixture
def leaking(tmp_path: Path) -> Path:
    """A repository whose first commit had the secret."""
    return made(tmp_path / "leaking", SECRET, "clean")


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    return made(tmp_path / "clean", "clean")


def is_told(result: Result, where: Path, why: str) -> bool:
    return result.exit_code == 1 and f"not searched: {where}: {why}" in result.output


# --- packs ---


def without_index(index: Path) -> None:
    index.unlink()


def with_empty_index(index: Path) -> None:
    index.write_bytes(b"")


def with_other_index(index: Path) -> None:
    index.write_bytes(b"AAAA" + index.read_bytes()[4:])


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (without_index, "it has packs without an index"),
        (with_empty_index, "git says: "),
        (with_other_index, "git says: "),
    ],
)
def test_a_pack_that_git_does_not_read_is_told(leaking: Path, clean: Path, damage: Callable[[Path], None], why: str):
    git(leaking, "gc", "--quiet")
    packs = clean / ".git" / "objects" / "pack"
    for file in (leaking / ".git" / "objects" / "pack").iterdir():
        shutil.copy(file, packs)
    index = next(packs.glob("*.idx"))
    index.chmod(0o600)
    damage(index)
    result = scan("--git", clean)
    assert is_told(result, clean, why)
    assert result.output.count("not searched") <= 11


def test_objects_that_another_repository_had_are_told(leaking: Path, tmp_path: Path):
    git(tmp_path, "clone", "--quiet", "--shared", str(leaking), "borrower")
    assert "app.js in commit" in scan("--git", tmp_path / "borrower").stdout
    shutil.rmtree(leaking)
    assert is_told(scan("--git", tmp_path / "borrower"), tmp_path / "borrower", "git says: ")


# --- variables and settings that lead elsewhere ---


@pytest.mark.parametrize("variable", ["GIT_OBJECT_DIRECTORY", "GIT_DIR", "GIT_COMMON_DIR"])
def test_no_variable_leads_to_other_objects(leaking: Path, clean: Path, variable: str):
    other = clean / ".git" / ("objects" if variable == "GIT_OBJECT_DIRECTORY" else "")
    assert "app.js in commit" in scan("--git", leaking, **{variable: str(other)}).stdout


def test_a_trace_of_git_is_not_told(clean: Path):
    assert scan("--git", clean, GIT_TRACE="1").exit_code == 0


def test_what_a_build_allows_git_stays(clean: Path):
    variables = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.bare", "GIT_CONFIG_VALUE_0": "nonsense"}
    assert "git cannot read" in scan("--git", clean, **variables).output


@pytest.mark.parametrize("setting", ["mailmap.file", "diff.orderFile"])
def test_a_setting_that_names_an_endless_file_does_not_hang(leaking: Path, setting: str):
    git(leaking, "config", setting, "/dev/zero")
    assert "app.js in commit" in scan("--git", leaking).stdout
