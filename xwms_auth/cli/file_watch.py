"""Which file of a project has changed, found out by looking: no file system events, and nothing to install.

Only what an app is made of counts. A database or an upload that the app itself writes would restart it for ever.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_SUFFIXES: Final = (".py", ".html", ".htm", ".jinja", ".jinja2", ".j2", ".css", ".js", ".mjs", ".svg")
_TEMPLATE_FOLDER: Final = "templates"
"""Where every file counts, whatever it is called."""

_PRUNED: Final = {"node_modules", "site-packages", "__pycache__", "build", "dist"}

INTERVAL: Final = 0.3
"""Seconds between two looks, at least."""

SETTLED: Final = 0.1
"""Seconds without a further change after which a change is whole: editors and `git checkout` write in steps."""

_PATIENCE: Final = 2.0
"""Seconds that a change may take to be whole. An app that writes into its own folder is restarted all the same."""

_REST: Final = 10
"""How much longer than a look the pause after it is, so that a large folder does not keep a processor busy."""


class FileWatch:
    """The files below a folder, as they were at the last look."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen = dict(_files(folder))
        self._took = 0.0

    def changed(self) -> Path | None:
        """One file that was changed, added or removed since the last look, or None.

        It returns when nothing changes any more: an app that is started from half a file is only to be started again.
        """
        changed = self._look()
        if changed is not None:
            deadline = time.monotonic() + _PATIENCE
            time.sleep(SETTLED)
            while self._look() is not None and time.monotonic() < deadline:
                time.sleep(SETTLED)
        return changed

    def _look(self) -> Path | None:
        started = time.monotonic()
        now = dict(_files(self._folder))
        self._took = time.monotonic() - started
        before, self._seen = self._seen, now
        if now == before:
            return None
        changed = (path for path in {**before, **now} if before.get(path) != now.get(path))
        return Path(next(changed)).relative_to(self._folder)

    @property
    def pause(self) -> float:
        """Seconds until the next look is due."""
        return max(INTERVAL, _REST * self._took)


def _files(folder: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Each file that counts, with the time of its last change and its size. Links to folders are not followed."""
    for where, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if _is_ours(where, name)]
        in_templates = _TEMPLATE_FOLDER in Path(where).relative_to(folder).parts
        for name in files:
            if in_templates or name.endswith(_SUFFIXES):
                path = os.path.join(where, name)  # noqa: PTH118  many of them, each second
                try:
                    about = os.stat(path)  # noqa: PTH116  as above
                except OSError:
                    continue  # it has just been removed, or is a link to nowhere
                yield path, (about.st_mtime_ns, about.st_size)


def _is_ours(where: str, name: str) -> bool:
    is_pruned = name.startswith(".") or name in _PRUNED
    return not is_pruned and not Path(where, name, "pyvenv.cfg").exists()
