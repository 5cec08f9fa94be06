"""What `xwms-auth scan` reads: files, what archives among them hold, and every object of a git repository.

Nothing is unpacked to a place, and nothing is held in memory whole: members of archives are read as streams.
"""

import bz2
import gzip
import io
import lzma
import os
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

PIECE: Final = 1 << 20
"""Bytes that are read at once."""

_MAX_DEPTH: Final = 6
"""Archives inside each other. An image is a tar of compressed tars, and packages lie in those."""

_ZIP_IN_MEMORY: Final = 32 << 20
"""Bytes of a zip file in a stream that are kept in memory; a larger one goes to a temporary file, which has no name."""

_TAR_MARK: Final = slice(257, 262)
_LONGEST_START: Final = 262


_OPENERS: Final[tuple[tuple[bytes, Callable[[IO[bytes]], io.BufferedIOBase]], ...]] = (
    (b"\x1f\x8b\x08", lambda raw: gzip.GzipFile(fileobj=raw)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\x00", lzma.LZMAFile),
)

UNREADABLE: Final = (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError)
"""What the readers of the standard library raise for a damaged or encrypted archive."""


class Source(NamedTuple):
    """Something to search: its name for people, and its bytes."""

    name: str
    stream: IO[bytes]


class Trouble(NamedTuple):
    """Something that could not be read, and why."""

    name: str
    why: str


def files_in(paths: tuple[Path, ...], *, exclude: tuple[str, ...]) -> Iterator[Path]:
    """Every file below the paths, without git's own, and without those that a pattern of ``exclude`` names.

    Links to files are followed, as servers and bundlers do; links to folders are not, because they may lead round.
    """
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for where, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if name != ".git")
            for name in sorted(names):
                found = Path(where, name)
                if found.is_file() and not any(
                    fnmatch(text, pattern) for pattern in exclude for text in (name, str(found))
                ):
                    yield found


def opened(
    name: str, raw: io.RawIOBase | io.BufferedIOBase | IO[bytes], *, depth: int = 0
) -> Iterator[Source | Trouble]:
    """The stream, or what is in it if it is an archive. Each is to be read before the next is asked for."""
    stream = io.BufferedReader(cast("io.RawIOBase", raw), PIECE)
    start = stream.peek(_LONGEST_START)
    inner: Iterator[Source | Trouble] | None = None
    if depth < _MAX_DEPTH:
        opener = next((opener for mark, opener in _OPENERS if start.startswith(mark)), None)
        if opener is not None:
            inner = opened(name, opener(stream), depth=depth + 1)
        elif start[_TAR_MARK] == b"ustar":
            inner = _in_tar(name, stream, depth)
        elif start.startswith(b"PK\x03\x04"):
            inner = _in_zip(name, stream, depth)
    if inner is not None:
        yield from _tried(name, inner)
    elif start.startswith(b"\x28\xb5\x2f\xfd"):
        yield Trouble(name, "it is compressed with Zstandard: decompress it first (zstd -d)")
    else:
        yield Source(name, stream)


def _tried(name: str, inner: Iterator[Source | Trouble]) -> Iterator[Source | Trouble]:
    try:
        yield from inner
    except UNREADABLE as error:
        yield Trouble(name, f"it is a damaged or encrypted archive ({type(error).__name__})")


def _in_tar(name: str, stream: IO[bytes], depth: int) -> Iterator[Source | Trouble]:
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            inner = archive.extractfile(member) if member.isreg() else None
            if inner is not None:
                yield from opened(f"{name}!{member.name}", inner, depth=depth + 1)
            text = "\n".join((member.name, member.linkname, *member.pax_headers.values()))
            yield Source(f"{name}!{member.name} (its name)", io.BytesIO(text.encode(errors="surrogateescape")))


def _in_zip(name: str, stream: IO[bytes], depth: int) -> Iterator[Source | Trouble]:
    with tempfile.SpooledTemporaryFile(max_size=_ZIP_IN_MEMORY) as whole:
        shutil.copyfileobj(stream, whole, PIECE)
        with zipfile.ZipFile(whole) as archive:
            for member in archive.infolist():
                if not member.is_dir():
                    with archive.open(member) as inner:
                        yield from opened(f"{name}!{member.filename}", inner, depth=depth + 1)
                text = member.filename.encode(errors="surrogateescape") + b"\n" + member.comment
                yield Source(f"{name}!{member.filename} (its name)", io.BytesIO(text))


# --- git ---


class NoRepository(Exception):
    """There is no git repository, or no git; the text is one line."""


def git_objects(where: Path) -> Iterator[Source]:
    """Every object of the repository, also those that no branch reaches any more: whoever has a clone may have them."""
    process = subprocess.Popen(  # noqa: S603  a folder that the user names
        [*_git(where), "cat-file", "--batch-all-objects", "--unordered", "--buffer", "--batch"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        pipe = process.stdout
        if pipe is None:
            raise NoRepository("git cannot be read")
        while header := pipe.readline():
            name, kind, size = header.split()
            body = _Limited(pipe, int(size))
            yield Source(f"{kind.decode()} {name.decode()}", io.BufferedReader(body, PIECE))
            body.skip()
            pipe.read(1)
    if process.returncode:
        raise NoRepository(f"git could not read all objects of {where} (exit status {process.returncode})")


def git_size(where: Path) -> int:
    """How many objects there are. Raises `NoRepository`."""
    if shutil.which("git") is None:
        raise NoRepository("--git needs the command git")
    command = [*_git(where), "count-objects", "-v"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  as above
    if answer.returncode:
        raise NoRepository(f"{where} is not in a git repository")
    counts = dict(line.split(": ", 1) for line in answer.stdout.splitlines())
    return int(counts["count"]) + int(counts["in-pack"])


def git_places(where: Path, names: set[str]) -> dict[str, str]:
    """Where objects are found by people: the path of a file, with the newest commit that has it."""
    listing = subprocess.run(  # noqa: S603  as above
        [
            *_git(where),
            "log",
            "--all",
            "--reflog",
            "--format=%H",
            "--raw",
            "--no-abbrev",
            "--no-renames",
            "-m",
            "--root",
        ],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    ).stdout
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
    folder = where if where.is_dir() else where.parent
    return ["git", "--no-replace-objects", "-C", str(folder)]


class _Limited(io.RawIOBase):
    """The next bytes of a stream, so many."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        super().__init__()
        self._stream = stream
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        found = self._stream.read(min(len(buffer), self._left))
        buffer[: len(found)] = found
        self._left -= len(found)
        return len(found)

    def skip(self) -> None:
        """Read what nobody wanted to read, also when it is closed."""
        while self._left and (found := self._stream.read(min(self._left, PIECE))):
            self._left -= len(found)
