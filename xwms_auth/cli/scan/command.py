"""The command `scan`: looks for the client secret where browsers, images and clones would get it."""

import io
import os
import string
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

import click

from xwms_auth._core.base.crypto.leak_patterns import LeakPatterns, masked
from xwms_auth._core.base.models import Secret
from xwms_auth._core.config.secret_sources import header_fault
from xwms_auth.cli.scan.archives import opened
from xwms_auth.cli.scan.files import files_in
from xwms_auth.cli.scan.git import NoRepository, git_folder, git_gaps, git_objects, git_places, git_settings, git_size
from xwms_auth.cli.scan.streams import PIECE, UNREADABLE, Counted, Source, TooMuch, Trouble, why
from xwms_auth.cli.terminal import Failure, note, printable, style

_VARIABLES: Final = {"XWMS_CLIENT_SECRET": "client secret", "XWMS_SESSION_SECRET": "session secret"}

_INVISIBLE: Final = string.whitespace + "\0\u00a0\u200b\ufeff"
"""What editors and copying leave at the ends of a secret."""

_LONGEST_NAME: Final = 300
"""Characters of a name that are printed. Members of archives may have names of megabytes."""

_MOST_PLACES: Final = 100
"""Places of a secret in one file, or member, that are told."""

_MIN_LENGTH: Final = 12
"""Characters below which a text is found by chance, once its escapes and base64 are looked for too."""


@click.command(short_help="Find the client secret in built files.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(readable=False, path_type=Path), metavar="PATH...")
@click.option("--git", "with_git", is_flag=True, help="Search the git repository at each PATH too, every object of it.")
@click.option(
    "--exclude",
    metavar="PATTERN",
    multiple=True,
    help="Files to leave out, named or found, as in '*.env'; may be repeated.",
)
def scan(*, paths: tuple[Path, ...], with_git: bool, exclude: tuple[str, ...]) -> None:
    """Find the secrets of XWMS_CLIENT_SECRET and XWMS_SESSION_SECRET (or of their _FILE) in files and folders.

    They are found as they are, escaped for URLs, JSON, JavaScript and HTML, in hexadecimal and in base64; archives and
    images (docker save) are opened. Exits with 1 if one is found, or if something could not be read.
    """
    report = _Report(list(_secrets(os.environ)))
    for path in paths:
        if not os.path.lexists(path):  # click's own message would show a secret in it
            raise click.BadParameter(f"Path '{report.shown(str(path))}' does not exist.", param_hint="'PATH...'")
    try:
        sizes = {path: git_size(path) for path in paths} if with_git else {}
        repositories = {git_folder(path): path for path in sizes}  # each once, if several paths are in it
    except NoRepository as error:
        raise Failure(report.shown(str(error))) from None
    sizes = {path: sizes[path] for path in repositories.values()}
    files = list[Path]()
    for found in files_in(paths, exclude=exclude, git_folders=repositories):
        if isinstance(found, Trouble):
            report.tell_trouble(found)
        else:
            files.append(found)
    with _bar("Searching files", sum(map(_size, files))) as advance:
        for file in files:
            report.search_file(file, advance)
    for folder, path in repositories.items():
        with _bar(f"Searching git in {report.shown(str(path))}", sizes[path]) as advance:
            report.search_git(path, advance)
        if folder not in map(os.path.realpath, paths):
            for found in files_in((_as_named(folder, path),), exclude=exclude, git_folders=repositories):
                report.search_found(found)
    what = _counted(len(files), "file") + (f" and {_counted(sum(sizes.values()), 'git object')}" if with_git else "")
    if not files and not any(sizes.values()) and not report.troubles:
        report.tell_trouble(Trouble(", ".join(map(str, paths)), "there is nothing in it to search"))
    raise SystemExit(report.tell(what))


def _as_named(git_folder: str, path: Path) -> Path:
    """The folder of git as it is called below the path, where it is there."""
    usual = path / ".git"
    return usual if os.path.realpath(usual) == git_folder else Path(git_folder)


def _size(file: Path) -> int:
    with suppress(OSError):  # it has just been removed, or is in a folder that nobody may enter
        return file.stat().st_size
    return 0


@dataclass(slots=True)
class _Report:
    """What has been found, and where nothing could be searched."""

    secrets: "list[tuple[str, LeakPatterns]]"
    found: list[str] = field(default_factory=list[str])
    troubles: set[Trouble] = field(default_factory=set[Trouble])

    def search_file(self, file: Path, advance: Callable[[int], object]) -> None:
        """Search a file, or what is in it, and its name."""
        try:
            with file.open("rb") as raw:
                self.found += self._hits(opened(str(file), Counted(raw, advance), os.fstat(raw.fileno()).st_size))
        except UNREADABLE as error:
            self.tell_trouble(Trouble(str(file), why(error)))
        self.found += self._hits([Source(f"{file} (its name)", io.BytesIO(os.fsencode(file)))])

    def search_found(self, found: Path | Trouble) -> None:
        """Search a file of git, or tell why it is not searched."""
        if isinstance(found, Trouble):
            self.tell_trouble(found)
        else:
            self.search_file(found, lambda _count: None)

    def search_git(self, where: Path, advance: Callable[[int], object]) -> None:
        """Search all objects of a repository, and tell of files in which commit they are."""
        hits: dict[str, list[str]] = {}
        try:
            self.found += self._hits(git_settings(where))
            for source in git_objects(where):
                if isinstance(source, Trouble):
                    self.tell_trouble(source)
                    continue
                kind, _, name = source.name.partition(" ")
                sources = opened(source.name, source.stream, source.size) if kind == "blob" else [source]
                if found := self._hits(sources):
                    hits[name] = found
                advance(1)
            for gap in git_gaps(where):
                self.tell_trouble(gap)
        except NoRepository as error:
            self.tell_trouble(Trouble(str(where), str(error)))
        except MemoryError as error:
            self.tell_trouble(Trouble(str(where), why(error)))
        places = dict[str, str]()
        if hits:
            with suppress(MemoryError):  # the log may be too long; what was found is told without it
                places = git_places(where, set(hits))
        for name, found in hits.items():
            place = f" ({self.shown(places[name])})" if name in places else ""
            self.found += [f"{self.shown(str(where))}: {line}{place}" for line in found]

    def _hits(self, sources: Iterable[Source | Trouble]) -> list[str]:
        found: list[str] = []
        try:
            for source in sources:
                if isinstance(source, Trouble):
                    self.tell_trouble(source)
                else:
                    self._search(source, found)
        except TooMuch as error:
            self.tell_trouble(*error.args)
        return found

    def _search(self, source: Source, found: list[str]) -> None:
        name = ""
        try:
            for leak in _leaks(source.stream, self.secrets):
                name = name or self.shown(source.name)
                found.append(f"{name}:{leak}")
        except UNREADABLE as error:
            self.tell_trouble(Trouble(source.name, why(error)))

    def shown(self, name: str) -> str:
        """A name as it may be printed: the secret itself may be in it, and what moves the cursor of a terminal."""
        data = masked(name.encode(errors="backslashreplace"), (patterns for _, patterns in self.secrets))
        text = printable(data.decode(errors="replace"))
        half = _LONGEST_NAME // 2
        return text if len(text) <= _LONGEST_NAME else f"{text[:half]}…{text[-half:]}"

    def tell_trouble(self, trouble: Trouble) -> None:
        """Say what could not be searched. It may be where the secret is."""
        if trouble in self.troubles:
            return
        self.troubles.add(trouble)
        note(f"not searched: {self.shown(trouble.name)}: {self.shown(trouble.why)}")

    def tell(self, what: str) -> int:
        """Print the findings, and return the exit status."""
        for line in self.found:
            _say(line)
        if self.found:
            _say(f"{style('Found', fg='red')} {_counted(len(self.found), 'time')}, in a search of {what}.")
            _say("Whoever has these files has it. First make it worthless: regenerate a client secret at XWMS,")
            _say("replace a session secret by one of `xwms-auth secret`. Then take it out of the files.")
        elif self.troubles:
            _say(f"Nothing found in {what}, but {len(self.troubles)} could not be searched.")
        else:
            _say(f"Nothing found in {what}.")
        return 1 if self.found or self.troubles else 0


def _say(line: str) -> None:
    """Print a line, with escapes for what the terminal, or the file of the output, has no characters for."""
    if sys.stdout is not None:  # it is closed
        encoding = sys.stdout.encoding or "utf-8"
        click.echo(line.encode(encoding, "backslashreplace").decode(encoding))


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _secrets(environ: Mapping[str, str]) -> Iterator[tuple[str, LeakPatterns]]:
    """The secrets to look for, under the names of their settings. Raises `Failure` if there is none."""
    values: dict[str, str] = {}
    for variable, what in _VARIABLES.items():
        text = environ.get(variable, "")
        if file := environ.get(f"{variable}_FILE"):
            try:
                text += "\n" + Path(file).read_text(encoding="utf-8-sig")  # editors of Windows begin files with a mark
            except (OSError, ValueError):
                raise Failure(f"{variable}_FILE cannot be read") from None
        # A client secret may have spaces; session secrets are separated by them.
        parts = text.splitlines() if variable == "XWMS_CLIENT_SECRET" else text.split()
        parts = [part.strip(_INVISIBLE) for part in parts]
        for part in filter(None, parts):
            if variable == "XWMS_CLIENT_SECRET" and (fault := header_fault(Secret(part))):
                raise Failure(f"a secret of {variable} {fault}, so that nothing can be logged in with it: correct it")
            values[part] = what
    if not values:
        raise Failure("there is no secret to look for: set XWMS_CLIENT_SECRET or XWMS_CLIENT_SECRET_FILE")
    for value, what in values.items():
        if len(value) < _MIN_LENGTH:
            note(f"the {what} is so short that some of what is found may be chance")
        yield what, LeakPatterns(Secret(value))


def _leaks(stream: IO[bytes], secrets: "list[tuple[str, LeakPatterns]]") -> Iterator[str]:
    """What is found in a stream: at which line and column, which secret, and in which form."""
    reach = max(patterns.reach for _, patterns in secrets)
    left = dict.fromkeys(range(len(secrets)), _MOST_PLACES)
    kept, line, column = b"", 1, 1
    told: set[tuple[int, int]] = set()
    begins = 0
    while left and (piece := stream.read(PIECE)):
        data = kept + piece
        for number in list(left):
            what, patterns = secrets[number]
            for leak in patterns.find(data):
                # What was kept of the piece before has been searched before.
                if (number, begins + leak.start) in told:
                    continue
                told.add((number, begins + leak.start))
                if not left[number]:
                    del left[number]
                    yield f" the {what}, more than {_MOST_PLACES} times"
                    break
                left[number] -= 1
                yield f"{_place(data, leak.start, line, column)}: the {what}, {leak.form}"
        kept = data[-reach:]
        gone = data[: len(data) - len(kept)]
        begins += len(gone)
        if newlines := gone.count(b"\n"):
            line, column = line + newlines, len(gone) - gone.rfind(b"\n")
        else:
            column += len(gone)


def _place(data: bytes, start: int, line: int, column: int) -> str:
    newlines = data.count(b"\n", 0, start)
    if newlines:
        line, column, start = line + newlines, 0, start - data.rfind(b"\n", 0, start)
    return f"{line}:{column + start}"


@contextmanager
def _bar(label: str, length: int) -> Generator[Callable[[int], object]]:
    """A progress bar where somebody looks on."""
    if not sys.stderr.isatty():
        yield lambda _count: None
        return
    with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield bar.update
