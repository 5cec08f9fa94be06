"""The files below folders."""

import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from xwms_auth.cli.scan.streams import Trouble, why


def files_in(paths: tuple[Path, ...], *, exclude: tuple[str, ...], with_git: bool) -> Iterator[Path | Trouble]:
    """Every file below the paths, without git's own, and without those that a pattern of ``exclude`` names.

    Links to files are followed, as servers and bundlers do; links to folders are not, because they may lead round.
    A folder that a link leads to is searched where it is, or else told.
    A repository without a ``.git`` is told, unless it is one of the paths ``with_git``: its objects are in packs.
    """
    roots = [os.path.realpath(path) for path in paths]
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        errors = list[OSError]()
        for where, folders, names in os.walk(path, onerror=errors.append):
            folders[:] = sorted(name for name in folders if name != ".git")
            is_bare = "HEAD" in names and {"objects", "refs"}.issubset(folders)
            if is_bare and not (with_git and Path(where) == path):
                yield Trouble(where, "it is a bare git repository: name it, with --git")
            for name in folders:
                found = Path(where, name)
                if _leads_out(found, roots) and not _is_named(found, exclude):
                    yield Trouble(str(found), "it is a link to a folder outside of what is searched: name that too")
            for name in sorted(names):
                found = Path(where, name)
                if _is_named(found, exclude):
                    continue
                try:
                    is_file = found.is_file()
                except OSError as error:
                    errors.append(error)
                else:
                    if is_file:
                        yield found
        yield from (Trouble(str(error.filename), why(error)) for error in errors)


def _is_named(path: Path, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(text, pattern) for pattern in patterns for text in (path.name, str(path)))


def _leads_out(folder: Path, roots: list[str]) -> bool:
    if not os.path.islink(folder):  # noqa: PTH114  its method fails where a path is too long
        return False
    target = Path(os.path.realpath(folder))
    within = [target.relative_to(root) for root in roots if target.is_relative_to(root)]
    return all(".git" in path.parts for path in within)
