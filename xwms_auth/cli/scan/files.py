"""The files below folders."""

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from xwms_auth.cli.scan.git import NoRepository, git_folder
from xwms_auth.cli.scan.streams import Trouble, why

_GIT_STORES: Final = re.compile("[0-9a-f]{2}|pack")
"""The folders below `objects` with what git itself has to read."""

_PIPES_OF_SHELLS: Final = ("/dev/fd/", "/proc/self/fd/", "/dev/stdin")
"""What the output of another command is called, as in `scan <(command)`. Any other pipe may have nobody who writes."""


def files_in(
    paths: tuple[Path, ...], *, exclude: tuple[str, ...], git_folders: Collection[str]
) -> Iterator[Path | Trouble]:
    """Every file below the paths, without git's own, and without those that a pattern of ``exclude`` names.

    Links to files are followed, as servers and bundlers do; links to folders are not, because they may lead round.
    A folder that a link leads to is searched where it is, or else told.
    A repository without a ``.git`` is told, and with ``git_folders``, those that git searches, also one with it.
    """
    files = _Files([os.path.realpath(path) for path in paths], exclude, git_folders)
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112  its method fails where a path is too long
            yield from files.below(path)
        elif not files.is_left_out(path):
            is_file = os.path.isfile(path) or str(path).startswith(_PIPES_OF_SHELLS)  # noqa: PTH113  as above
            yield path if is_file else Trouble(str(path), "it is neither a file nor a folder")


@dataclass(frozen=True, slots=True)
class _Files:
    """What is left out of a search, or told, below several folders."""

    roots: list[str]
    exclude: tuple[str, ...]
    git_folders: Collection[str]

    def below(self, path: Path) -> Iterator[Path | Trouble]:
        errors = list[OSError]()
        for where, folders, names in _walk(str(path), errors):
            yield from self._repositories(where, folders, names)
            for found in (Path(where, name) for name in folders):
                if self._leads_out(found) and not self.is_left_out(found):
                    yield Trouble(str(found), "it is a link to a folder outside of what is searched: name that too")
            for found in (Path(where, name) for name in names):
                try:
                    if not self.is_left_out(found) and found.is_file():
                        yield found
                except OSError as error:
                    errors.append(error)
        yield from (Trouble(str(error.filename), why(error)) for error in errors)

    def _repositories(self, where: str, folders: list[str], names: list[str]) -> Iterator[Trouble]:
        """Tell of repositories that are not searched, and take out of the lists what git searches, or may."""
        has_git = ".git" in (*folders, *names)
        if has_git and self.git_folders and not self.is_left_out(Path(where, ".git")):
            yield from _other_repository(where, self.git_folders)
        folders[:] = [name for name in folders if name != ".git"]
        names[:] = [name for name in names if name != ".git"]
        if where.endswith(f"{os.sep}objects") and _is_bare(os.path.dirname(where)):  # noqa: PTH120
            folders[:] = [name for name in folders if not _GIT_STORES.fullmatch(name)]
        if _is_bare(where):
            if (real := os.path.realpath(where)) not in self.git_folders:
                yield Trouble(where, "it is a bare git repository: name it, with --git")
            elif real not in self.roots:  # git searches it under another path
                folders.clear()
                names.clear()

    def is_left_out(self, path: Path) -> bool:
        return any(fnmatch(text, pattern) for pattern in self.exclude for text in (path.name, str(path)))

    def _leads_out(self, folder: Path) -> bool:
        if not os.path.islink(folder):  # noqa: PTH114  its method fails where a path is too long
            return False
        target = Path(os.path.realpath(folder))
        within = [target.relative_to(root) for root in self.roots if target.is_relative_to(root)]
        return all(".git" in path.parts for path in within)


def _is_bare(folder: str) -> bool:
    return all(os.path.exists(os.path.join(folder, name)) for name in ("HEAD", "objects", "refs"))  # noqa: PTH110, PTH118


def _walk(top: str, errors: list[OSError]) -> Iterator[tuple[str, list[str], list[str]]]:
    """As `os.walk`, which fails where folders lie a thousand deep. It goes into those that are left in the list."""
    left = [top]
    while left:
        where = left.pop()
        try:
            all_names = sorted(os.listdir(where))  # noqa: PTH208
        except OSError as error:
            errors.append(error)
            continue
        folders = [name for name in all_names if os.path.isdir(os.path.join(where, name))]  # noqa: PTH112, PTH118
        others = set(all_names).difference(folders)
        yield where, folders, [name for name in all_names if name in others]
        inner = (os.path.join(where, name) for name in reversed(folders))  # noqa: PTH118
        left += [folder for folder in inner if not os.path.islink(folder)]  # noqa: PTH114  as below


def _other_repository(where: str, git_folders: Collection[str]) -> Iterator[Trouble]:
    try:
        is_searched = git_folder(Path(where), "--git-dir=.git") in git_folders
    except NoRepository:
        is_searched = False
    if not is_searched:
        yield Trouble(where, "it is a git repository of its own: name it too, or leave out its .git with --exclude")
