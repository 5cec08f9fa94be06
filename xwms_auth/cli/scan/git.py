"""Every object of a git repository, its settings and its names, and the folder that has its other files."""

import io
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from xwms_auth.cli.scan.streams import PIECE, Limited, Source, Trouble

_MOST_COMPLAINTS: Final = 10
"""Lines of git that are told: of a damaged pack it says the same of each object."""

_KEPT_VARIABLES: Final = ("GIT_CONFIG_", "GIT_EXEC_PATH", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM")
"""What may stay of git's own variables: `safe.directory` of a build, and where its programs are."""


class NoRepository(Exception):
    """There is no git repository, or no git; the text is one line."""


def git_objects(where: Path) -> Iterator[Source | Trouble]:
    """Every object of the repository, also those that no branch reaches any more: whoever has a clone may have them."""
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(  # noqa: S603  a folder that the user names
            [*_git(where), "cat-file", "--batch-all-objects", "--unordered", "--buffer", "--batch"],
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=_git_environ(),
        )
        with process:
            pipe = process.stdout
            if pipe is None:
                raise NoRepository("git cannot be read")
            while header := pipe.readline():
                name, kind, *sizes = header.split()
                if not sizes:
                    why = f"git says that it is {kind.decode()}: git fsck"
                    yield Trouble(f"object {name.decode()} in {where}", why)
                    continue
                size = sizes[0]
                body = Limited(pipe, int(size))
                yield Source(f"{kind.decode()} {name.decode()}", io.BufferedReader(body, PIECE), int(size))
                body.skip()
                pipe.read(1)
        complaints.seek(0)
        yield from _complaints(where, (line.decode(errors="replace") for line in complaints))
    if process.returncode:
        raise NoRepository(f"git could not read all objects of {where} (exit status {process.returncode})")


def _complaints(where: Path, lines: Iterable[str]) -> Iterator[Trouble]:
    """What git says of packs that it cannot read, or of others that it does not find. It goes on without them."""
    told = set[str]()
    for line in lines:
        if len(told) < _MOST_COMPLAINTS and (text := line.strip()) not in told:
            told.add(text)
            yield Trouble(str(where), f"git says: {text}")


def git_size(where: Path) -> int:
    """How many objects there are. Raises `NoRepository`."""
    if shutil.which("git") is None:
        raise NoRepository("--git needs the command git")
    command = [*_git(where), "count-objects", "-v"]
    answer = _asked(command)
    if answer.returncode:
        reason = next(iter(answer.stderr.splitlines()), "")
        if "not a git repository" in reason:
            raise NoRepository(f"{where} is not in a git repository")
        raise NoRepository(f"git cannot read {where}: {reason}")
    counts = dict(line.split(": ", 1) for line in answer.stdout.splitlines())
    return int(counts["count"]) + int(counts["in-pack"])


def git_folder(where: Path, *options: str) -> str:
    """The folder with the objects of the repository, which all its worktrees share. Raises `NoRepository`."""
    answer = _asked([*_git(where), *options, "rev-parse", "--git-common-dir"])
    if answer.returncode:
        raise NoRepository(f"{where} is not in a git repository")
    return os.path.realpath(_folder(where) / answer.stdout.rstrip("\n"))


def git_gaps(where: Path) -> Iterator[Trouble]:
    """What the repository leaves at its origin, or has lost, so that nothing of it can be searched here."""
    counts = _asked([*_git(where), "count-objects", "-v"])
    yield from _complaints(where, counts.stderr.splitlines())
    if "\ngarbage: 0\n" not in counts.stdout:
        yield Trouble(str(where), "it has packs without an index, or what a broken-off command left: git fsck, git gc")
    if _asked([*_git(where), "rev-parse", "--is-shallow-repository"]).stdout.strip() == "true":
        yield Trouble(str(where), "it is a shallow clone, without the older commits: git fetch --unshallow")
    if _asked([*_git(where), "config", "--get-regexp", r"^remote\..*\.promisor$"]).stdout:
        yield Trouble(str(where), "it is a partial clone, without all files: clone it without --filter")


def git_settings(where: Path) -> Iterator[Source | Trouble]:
    """What a repository has beside its objects: settings, such as the URL of an origin, and the names of branches."""
    for what, command in {
        "settings of git": ("config", "--local", "--includes", "--list"),
        "names of branches and tags": ("for-each-ref", "--format=%(refname)"),
    }.items():
        answer = _asked([*_git(where), *command])
        yield Source(f"{where} (its {what})", io.BytesIO(answer.stdout.encode()))
        if answer.returncode:
            yield Trouble(f"{where} (its {what})", f"git could not read them (exit status {answer.returncode})")


def git_places(where: Path, names: set[str]) -> dict[str, str]:
    """Where objects are found by people: the path of a file, with the newest commit that has it."""
    options = ("--all", "--reflog", "--format=%H", "--raw", "--no-abbrev", "--no-renames", "-m", "--root")
    no_files = ("--no-show-signature", "--no-mailmap", f"-O{os.devnull}")  # that its settings may name
    listing = _asked([*_git(where), "log", *no_files, *options]).stdout
    places: dict[str, str] = {}
    commit = ""
    for line in listing.splitlines():
        if line.startswith(":"):
            fields, _, path = line.partition("\t")
            name = fields.split()[3]
            if name in names:
                places.setdefault(name, f"{path} in commit {commit[:12]}")
        elif line:
            commit = line
    return places


def _git(where: Path) -> list[str]:
    return ["git", "--no-replace-objects", "-C", str(_folder(where))]


def _folder(where: Path) -> Path:
    return where if where.is_dir() else where.parent


def _git_environ() -> dict[str, str]:
    """Without what names another repository or its objects, as in a hook; and nothing is fetched from an origin."""
    others = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith(_KEPT_VARIABLES)
    }
    # Older versions know only the second. A repository may name any command to fetch with.
    return others | {"GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none", "LC_ALL": "C"}


def _asked(command: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603  git, in a folder that the user names
        command, capture_output=True, text=True, errors="replace", check=False, env=_git_environ()
    )
