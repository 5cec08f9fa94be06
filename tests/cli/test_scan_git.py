"""`xwms-auth scan --git` on repositories that are damaged, redirected, inside each other, or hide something."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.cli.scanning import SECRET, scan


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


# --- what a repository has beside its objects ---


@pytest.mark.parametrize(
    "file",
    [
        *("FETCH_HEAD", "COMMIT_EDITMSG", "description", "hooks/pre-push", "info/exclude", "logs/refs/heads/gone"),
        *("lfs/objects/aa/bb", "config.worktree", "objects/info/note", "modules/part/config", "worktrees/other/HEAD"),
    ],
)
def test_the_files_of_git_are_searched_with_git_alone(clean: Path, file: str):
    (clean / ".git" / file).parent.mkdir(parents=True, exist_ok=True)
    (clean / ".git" / file).write_text(f"a {SECRET}\n")
    assert scan(clean).exit_code == 0
    assert f"{clean / '.git' / file}:1:3: the client secret, plain" in scan("--git", clean).stdout
    assert scan("--git", clean, "--exclude", f"*/.git/{file}").exit_code == 0


def test_a_comment_and_an_included_file_of_the_settings_are_searched(clean: Path):
    with (clean / ".git" / "config").open("a") as file:
        file.write(f"# {SECRET}\n")
    assert f"{clean / '.git' / 'config'}:" in scan("--git", clean).stdout
    git(clean, "config", "include.path", "../../shared")
    (clean.parent / "shared").write_text(f'[remote "other"]\n\turl = https://a:{SECRET}@example.com/\n')
    assert f"{clean} (its settings of git):" in scan("--git", clean).stdout


def test_the_name_of_a_file_that_is_only_in_the_index_is_found(clean: Path):
    (clean / SECRET).touch()
    git(clean, "add", "--all")
    (clean / SECRET).unlink()
    assert f"{clean / '.git' / 'index'}:" in scan("--git", clean).stdout


def test_a_bare_repository_named_with_git_is_searched_once(leaking: Path, tmp_path: Path):
    bare = tmp_path / "bare"
    git(tmp_path, "clone", "--quiet", "--bare", str(leaking), str(bare))
    (bare / "description").write_text(SECRET)
    result = scan("--git", bare)
    assert result.stdout.count("description:1:1: ") == 1
    assert "not searched" not in result.output
    (bare / "description").write_text("")
    git(bare, "gc", "--quiet")
    assert scan("--git", bare).stdout.count("the client secret") == 1


def test_two_paths_in_one_repository_search_it_once(leaking: Path):
    (leaking / "part").mkdir()
    (leaking / "part" / "a.js").write_text("clean")
    assert scan("--git", leaking, leaking / "part").stdout.count("app.js in commit") == 1


# --- repositories inside each other ---


def test_a_repository_below_the_path_is_told_until_it_is_named_too(clean: Path):
    (clean / "vendor").mkdir()
    inner = made(clean / "vendor" / "lib", SECRET, "clean")
    assert scan(clean).exit_code == 0
    assert is_told(scan("--git", clean), inner, "it is a git repository of its own")
    result = scan("--git", clean, inner)
    assert "not searched" not in result.output
    assert "app.js in commit" in result.stdout
    assert scan("--git", clean, "--exclude", "*/vendor/*").exit_code == 0


def test_a_folder_that_is_only_called_git_is_told(clean: Path):
    (clean / "part" / ".git").mkdir(parents=True)
    (clean / "part" / ".git" / "app.js").write_text(SECRET)
    assert is_told(scan("--git", clean), clean / "part", "it is a git repository of its own")


def test_a_submodule_is_told_until_it_is_named_too(leaking: Path, clean: Path):
    git(clean, "submodule", "--quiet", "add", str(leaking), "part")
    assert is_told(scan("--git", clean), clean / "part", "it is a git repository of its own")
    result = scan("--git", clean, clean / "part")
    assert "not searched" not in result.output
    assert result.stdout.count("app.js in commit") == 1
    shutil.rmtree(clean / "part")
    assert is_told(scan("--git", clean), clean / ".git" / "modules" / "part", "it is a bare git repository")


def test_a_worktree_below_the_path_is_of_the_same_repository(clean: Path):
    git(clean, "worktree", "add", "--quiet", "other")
    assert scan("--git", clean).exit_code == 0
