"""What `xwms-auth scan` reads: files, what archives among them hold, and every object of a git repository.

Nothing is unpacked to a place, and nothing is held in memory whole: members of archives are read as streams.
"""

import bz2
import gzip
import io
import lzma
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from functools import partial
from itertools import chain
from pathlib import Path
from tarfile import HeaderError, ReadError, TarFile
from typing import IO, Any, Final, NamedTuple, Protocol, TypeAlias, cast

PIECE: Final = 1 << 20
"""Bytes that are read at once."""

_MAX_DEPTH: Final = 6
"""Archives inside each other. An image is a tar of compressed tars, and packages lie in those."""

_ZIP_IN_MEMORY: Final = 32 << 20
"""Bytes of a zip file in a stream that are kept in memory; a larger one goes to a temporary file, which has no name."""

_LONGEST_DIRECTORY: Final = 32 << 20
"""Bytes of the directory of a zip file. In memory it takes ten times as many."""

_UNPACKED_AT_ONCE: Final = frozenset({zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA})
_LITTLE: Final = 4096
"""What `zipfile` reads at once of a member in these. It unpacks all of that: a megabyte can become 20 gigabytes."""

_ROOM: Final = 1 << 30
_MOST_TIMES: Final = 100
"""What may come out of the archives in one file: a gigabyte, and a hundred times its size.

A few bytes can be made to unpack to so many that no disk and no patience is enough.
What only lies in an archive, as in a tar, is not counted: it is no more than the archive.
"""

_LONGEST_NAME: Final = 1 << 20
"""Bytes of a name, or of the attributes, of one member of a tar, which are read at once."""

_LONGEST_HEADERS: Final = 4 << 20
"""Bytes of all that stands before the content of one member of a tar: names, attributes, and where a file has holes."""

_BLOCK: Final = 512
"""A header of tar, and what each content is filled up to."""

_TAR_MARK: Final = slice(257, 262)

_NO_MORE_MEMBERS: Final = (tarfile.EmptyHeaderError, tarfile.EOFHeaderError)  # type: ignore[attr-defined]
"""The regular ends of a tar: no byte more, or a block of zeros."""

_NOT_OPENED: Final = (
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard: decompress it first (zstd -d)"),
    *(
        (bytes((start, 0x2A, 0x4D, 0x18)), "compressed with Zstandard or LZ4: decompress it first (zstd -d)")
        for start in range(0x50, 0x60)
    ),
    (b"7z\xbc\xaf\x27\x1c", "compressed with 7-Zip: extract it first"),
    (b"Rar!\x1a\x07", "compressed with RAR: extract it first"),
    (b"\x04\x22\x4d\x18", "compressed with LZ4: decompress it first (lz4 -d)"),
    (b"\x02\x21\x4c\x18", "compressed with LZ4: decompress it first (lz4 -d)"),
    (b"LZIP", "compressed with lzip: decompress it first (lzip -d)"),
    (b"\x89LZO", "compressed with lzop: decompress it first (lzop -d)"),
    (b"\x1f\x9d", "compressed with compress: decompress it first (uncompress)"),
    (b"hsqs", "a SquashFS: extract it first (unsquashfs)"),
    (b"!<arch>\ndebian-binary", "a package of Debian: extract it first (dpkg-deb -R)"),
    (b"\xed\xab\xee\xdb", "a package of RPM: extract it first (rpm2cpio)"),
    (b"MSCF", "a Cabinet file: extract it first (cabextract)"),
    (b"# v2 git bundle", "a bundle of git: clone it, and search that with --git"),
    (b"# v3 git bundle", "a bundle of git: clone it, and search that with --git"),
)

_MOST_MEMORY: Final = 256 << 20
"""What xz may take. It takes 65 MiB for what `xz -9` writes, but a header can ask for gigabytes."""

_PROGRAMS: Final = (b"#!", b"MZ", b"\x7fELF")
"""Starts of what can have a zip file behind it: scripts, and programs of Windows and Linux."""

UNREADABLE: Final = (
    OSError, EOFError, RuntimeError, ValueError, OverflowError,
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, MemoryError,
)  # fmt: skip
"""What the readers of the standard library raise for a damaged or encrypted archive, or one that asks for too much."""


class Source(NamedTuple):
    """Something to search: its name for people, its bytes, and how many these are, where that is known before."""

    name: str
    stream: IO[bytes]
    size: int = 0


class Trouble(NamedTuple):
    """Something that could not be read, and why."""

    name: str
    why: str


class TooMuch(Exception):
    """So much comes out of the archives in a file that reading goes no further. The trouble is the argument."""


class Counted(io.RawIOBase):
    """A stream that tells how many bytes were read of it, each time."""

    def __init__(self, stream: "_Readable", tell: Callable[[int], object], *, most: int = PIECE) -> None:
        super().__init__()
        self._stream = stream
        self._tell = tell
        self._most = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        most, least = min(len(buffer), self._most), min(len(buffer), _BLOCK)
        found = self._stream.read(most) or b""
        # What it is shows in its first block, and a part of what is compressed may be shorter.
        while 0 < len(found) < least and (more := self._stream.read(most - len(found))):
            found += more
        buffer[: len(found)] = found
        self._tell(len(found))
        return len(found)


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Decoded(io.RawIOBase):
    """What bzip2 or xz holds, in all its parts. The readers of Python leave out what they cannot decode behind one."""

    def __init__(self, stream: IO[bytes], first: _Decoder, others: Callable[[], _Decoder]) -> None:
        super().__init__()
        self._stream = stream
        self._decoder = first
        self._new_decoder = others
        self._next = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        found = b""
        while not found:
            if self._decoder.eof and not self._goes_on():
                return 0
            data = self._next or self._stream.read(PIECE) if self._decoder.needs_input else b""
            if self._decoder.needs_input and not data:
                raise EOFError("it ends too early")
            self._next = b""
            found = self._decoder.decompress(data, len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def _goes_on(self) -> bool:
        """Whether something follows but zeros, which may fill up a file. It has to be one more part."""
        rest = self._decoder.unused_data or self._stream.read(PIECE)
        while rest and not (rest := rest.lstrip(b"\0")):
            rest = self._stream.read(PIECE)
        self._next = rest
        if rest:
            self._decoder = self._new_decoder()
        return bool(rest)


_Readable: TypeAlias = IO[bytes] | io.RawIOBase | io.BufferedIOBase


class _Room:
    """How much may still come out of the archives in one file."""

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._left = _ROOM + _MOST_TIMES * size

    def gate(self, stream: "_Readable", *, is_unpacked: bool, most: int = PIECE) -> Counted:
        """A stream of what is in an archive, which counts if it can be more than the archive."""
        return Counted(stream, self.unpacked if is_unpacked else _let, most=most)

    def unpacked(self, count: int) -> None:
        """So many bytes came out of an archive in it. Raises `TooMuch`."""
        self._left -= count
        if self._left < 0:
            raise TooMuch(Trouble(self._name, f"it unpacks to more than {_MOST_TIMES} times its size: unpack it first"))


def _let(_count: int) -> None:
    """Nothing is counted."""


class _Refused(ValueError):
    """An archive that is not read, or not read further, and why: in words for people."""


class _Member(tarfile.TarInfo):
    """A member of a tar. What stands before it, such as a long name, is read at once and so must not be too long."""

    @classmethod
    def fromtarfile(cls, tarfile: TarFile) -> "_Member":
        """Raises an error for a broken header. `TarFile.next` takes most of them for the end of the archive."""
        try:
            return super().fromtarfile(tarfile)
        except _NO_MORE_MEMBERS:
            raise
        except HeaderError as error:
            raise ReadError(str(error)) from None

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Member":
        found = super().frombuf(buf, encoding, errors)
        if found.size > _LONGEST_NAME and found.type in _BEFORE_A_MEMBER:
            raise tarfile.ReadError("the names of a member are too long")
        return found


_BEFORE_A_MEMBER: Final = (
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE
)  # fmt: skip


class _Forward(io.RawIOBase):
    """A stream as `TarFile` reads it from front to back. It jumps over the fill of a block, and over no more.

    A header may say that a content is longer, or a hole is larger, than what is read of it.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__()
        self._stream = stream
        self._at = 0
        self.headers: int | None = _LONGEST_HEADERS
        """How many bytes may be read at most, while headers are read."""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        found = self._stream.read(size)
        self._at += len(found)
        if self.headers is not None:
            self.headers -= len(found)
            if self.headers < 0:
                raise tarfile.ReadError("the names of a member are too long")
        return found

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if not 0 <= offset - self._at < _BLOCK:
            raise tarfile.ReadError("a header leaves out a part")
        self._at += len(self._stream.read(offset - self._at))
        return self._at


def why(error: Exception) -> str:
    """Why something could not be read, in a few words."""
    if isinstance(error, _Refused):
        return str(error)
    if isinstance(error, lzma.LZMAError) and "emory" in str(error):
        return f"it needs more than {_MOST_MEMORY >> 20} MiB of memory: decompress it first"
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    reason = error.strerror if isinstance(error, OSError) else None
    return reason or f"it is a damaged or encrypted archive ({type(error).__name__})"


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


def opened(name: str, raw: _Readable, size: int) -> Iterator[Source | Trouble]:
    """The stream, or what is in it if it is an archive. Each is to be read before the next is asked for.

    Raises `TooMuch`, as does reading.
    """
    room = _Room(name, size)
    yield from _tried(name, _opened(name, room.gate(raw, is_unpacked=False), room, depth=0))


def _opened(name: str, raw: Counted, room: _Room, *, depth: int) -> Iterator[Source | Trouble]:
    stream = io.BufferedReader(raw, PIECE)
    start = stream.peek(_BLOCK)
    inner: Iterator[Source | Trouble] | None = None
    if (decoded := _decoded(start, stream)) is not None:
        inner = _opened(name, room.gate(decoded, is_unpacked=True), room, depth=depth + 1)
    elif _is_tar(start):
        inner = _in_tar(name, stream, room, depth)
    elif _is_zip(start):
        inner = _in_zip(name, stream, room, depth)
    elif start.startswith(_PROGRAMS):
        yield from _tried(name, _in_program(name, stream, room, depth))
        return
    if inner is not None and depth < _MAX_DEPTH:
        yield from _tried(name, inner)
    elif inner is not None:
        yield _too_deep(name)
    elif other := next((other for mark, other in _NOT_OPENED if start.startswith(mark)), None):
        yield Trouble(name, f"it is {other}")
    else:
        yield Source(name, stream)


def _too_deep(name: str) -> Trouble:
    return Trouble(name, f"it is in more than {_MAX_DEPTH} archives inside each other: open the outer ones first")


def _is_in_git(path: str) -> bool:
    """Whether it is what a git repository, or one of a submodule, has stored: compressed, and in packs."""
    return "/objects/" in "/" + path.partition(".git/")[2]


def _git_in(name: str) -> Trouble:
    return Trouble(name, "it has a git repository: unpack it, and search that with --git")


def _decoded(start: bytes, stream: IO[bytes]) -> io.RawIOBase | io.BufferedIOBase | None:
    """What a compressed stream holds, or nothing if it is not one."""
    if start.startswith(b"\x1f\x8b\x08"):
        return gzip.GzipFile(fileobj=stream)
    if start.startswith(b"BZh"):
        return _Decoded(stream, bz2.BZ2Decompressor(), bz2.BZ2Decompressor)
    xz = partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, _MOST_MEMORY)
    if start.startswith(b"\xfd7zXZ\x00"):
        return _Decoded(stream, xz(), xz)
    if start.startswith(b"\x5d\0\0") and (start[5:13] == b"\xff" * 8 or start[9:13] == bytes(4)):
        # Almost anything can be taken for a second part of this format, and decoded to something else.
        return _Decoded(stream, lzma.LZMADecompressor(lzma.FORMAT_ALONE, _MOST_MEMORY), xz)
    return None


def _is_tar(start: bytes) -> bool:
    """By its mark, or by the checksum of its header: the oldest format has no mark."""
    if start[_TAR_MARK] == b"ustar":
        return True
    try:
        tarfile.TarInfo.frombuf(start[:_BLOCK], "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError):
        return False
    return True


def _is_zip(start: bytes) -> bool:
    """Also one in parts that became one part, an empty one, and one behind the signature of a browser's extension."""
    return start.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08", b"PK00PK", b"Cr24"))


def _tried(name: str, inner: Iterator[Source | Trouble]) -> Iterator[Source | Trouble]:
    try:
        yield from inner
    except UNREADABLE as error:
        yield Trouble(name, why(error))


def _in_tar(name: str, stream: IO[bytes], room: _Room, depth: int) -> Iterator[Source | Trouble]:
    forward = _Forward(stream)
    has_git = False
    with tarfile.TarFile(fileobj=cast("IO[bytes]", forward), tarinfo=_Member) as archive:
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # it would keep them all
            forward.headers = None
            if not has_git and _is_in_git(member.name):
                has_git = True
                yield _git_in(name)
            # Also one of a type that nobody knows: tar unpacks it as a file.
            inner = None if member.islnk() or member.issym() else archive.extractfile(member)
            if inner is not None:
                counted = room.gate(inner, is_unpacked=member.issparse())
                yield from _opened(f"{name}!{member.name}", counted, room, depth=depth + 1)
                _read_on(counted)
            yield _names(f"{name}!{member.name}", room, *_names_in_tar(member))
            forward.headers = _LONGEST_HEADERS
    while rest := stream.read(PIECE):
        if rest.strip(b"\0"):
            raise _Refused("something follows its end: cut it in two first")


def _names_in_tar(member: tarfile.TarInfo) -> Iterator[bytes]:
    texts = (member.name, member.linkname, member.uname, member.gname, *chain(*member.pax_headers.items()))
    return (text.encode(errors="surrogateescape") for text in texts)


def _names(name: str, room: _Room, *texts: bytes) -> Source:
    """What stands beside the content of a member. It counts: attributes of a whole tar are those of each member."""
    text = b"\n".join(texts)
    room.unpacked(len(text))
    return Source(f"{name} (its name)", io.BytesIO(text))


def _read_on(stream: Counted) -> None:
    """Read what was not wanted of a member, such as one that is damaged, so that the next one can be read."""
    while stream.read(PIECE):
        pass


class _Whole(tempfile.SpooledTemporaryFile[bytes]):
    """A zip file at one place, since its directory is at its end. `ZipFile` reads that with one call."""

    def read(self, size: int = -1, /) -> bytes:
        if size > _LONGEST_DIRECTORY:
            raise _Refused("its directory is too long: unpack it first")
        return super().read(size)


def _in_zip(name: str, stream: IO[bytes], room: _Room, depth: int) -> Iterator[Source | Trouble]:
    with _Whole(max_size=_ZIP_IN_MEMORY) as whole:
        shutil.copyfileobj(stream, whole, PIECE)
        with zipfile.ZipFile(whole) as archive:
            yield from _before_members(name, whole, archive)
            yield from _members(name, archive, room, depth)


def _in_program(name: str, stream: IO[bytes], room: _Room, depth: int) -> Iterator[Source | Trouble]:
    """The program, and the members of a zip file behind it: an application of Python, or one that unpacks itself."""
    with _Whole(max_size=_ZIP_IN_MEMORY) as whole:
        shutil.copyfileobj(stream, whole, PIECE)
        whole.seek(0)
        yield Source(name, whole)
        if not zipfile.is_zipfile(whole):
            return
        if depth >= _MAX_DEPTH:
            yield _too_deep(name)
            return
        try:
            archive = zipfile.ZipFile(whole)
        except UNREADABLE as error:
            # Libraries that read zip files have the mark of their end somewhere. Here it is where it belongs.
            if isinstance(error, _Refused) or _end_mark(whole) == b"PK\x05\x06":
                yield Trouble(name, why(error))
            return
        with archive:
            yield from _tried(name, _members(name, archive, room, depth))


def _end_mark(whole: _Whole) -> bytes:
    whole.seek(-22, io.SEEK_END)
    return whole.read(4)


def _before_members(name: str, whole: _Whole, archive: zipfile.ZipFile) -> Iterator[Source | Trouble]:
    """What stands before the first member that the directory names: a signature, or another zip file."""
    before = min((member.header_offset for member in archive.infolist()), default=0)
    whole.seek(0)
    mark = whole.read(4)
    whole.seek(0)
    yield Source(name, io.BufferedReader(_Limited(whole, before), PIECE))
    if mark == b"PK\x03\x04" and (before or not archive.infolist()):
        yield Trouble(name, "its directory leaves out the first members")


def _members(name: str, archive: zipfile.ZipFile, room: _Room, depth: int) -> Iterator[Source | Trouble]:
    yield Source(f"{name} (its comment)", io.BytesIO(archive.comment))
    if any(_is_in_git(member.orig_filename) for member in archive.infolist()):
        yield _git_in(name)
    # Members can lie over each other, and are then more than the archive although they are stored as they are.
    is_over = sum(member.compress_size for member in archive.infolist()) > archive.start_dir
    for member in archive.infolist():
        # `filename` ends at a NUL, and `is_dir` fails for a name that is empty.
        member_name = f"{name}!{member.orig_filename}"
        if member.file_size or member.compress_size or not member.orig_filename.endswith("/"):
            inner = _in_member(member_name, archive, member, room, depth, is_over=is_over)
            yield from _tried(member_name, inner)
        name_in = member.orig_filename.encode(errors="surrogateescape")
        yield _names(member_name, room, name_in, member.comment, member.extra)


def _in_member(
    name: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo, room: _Room, depth: int, *, is_over: bool
) -> Iterator[Source | Trouble]:
    member.file_size = sys.maxsize  # the directory may say less than there is; its checksum tells whether all was read
    most = _LITTLE if member.compress_type in _UNPACKED_AT_ONCE else PIECE
    is_unpacked = is_over or member.compress_type != zipfile.ZIP_STORED
    with archive.open(member) as inner:
        yield from _opened(name, room.gate(inner, is_unpacked=is_unpacked, most=most), room, depth=depth + 1)


# --- git ---


class NoRepository(Exception):
    """There is no git repository, or no git; the text is one line."""


def git_objects(where: Path) -> Iterator[Source | Trouble]:
    """Every object of the repository, also those that no branch reaches any more: whoever has a clone may have them."""
    process = subprocess.Popen(  # noqa: S603  a folder that the user names
        [*_git(where), "cat-file", "--batch-all-objects", "--unordered", "--buffer", "--batch"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_git_environ(),
    )
    with process:
        pipe = process.stdout
        if pipe is None:
            raise NoRepository("git cannot be read")
        while header := pipe.readline():
            name, kind, *sizes = header.split()
            if not sizes:
                yield Trouble(f"object {name.decode()} in {where}", f"git says that it is {kind.decode()}: git fsck")
                continue
            size = sizes[0]
            body = _Limited(pipe, int(size))
            yield Source(f"{kind.decode()} {name.decode()}", io.BufferedReader(body, PIECE), int(size))
            body.skip()
            pipe.read(1)
    if process.returncode:
        raise NoRepository(f"git could not read all objects of {where} (exit status {process.returncode})")


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


def git_gaps(where: Path) -> Iterator[Trouble]:
    """What the repository leaves at its origin, so that nothing of it can be searched here."""
    if _asked([*_git(where), "rev-parse", "--is-shallow-repository"]).stdout.strip() == "true":
        yield Trouble(str(where), "it is a shallow clone, without the older commits: git fetch --unshallow")
    if _asked([*_git(where), "config", "--get-regexp", r"^remote\..*\.promisor$"]).stdout:
        yield Trouble(str(where), "it is a partial clone, without all files: clone it without --filter")


def git_settings(where: Path) -> Iterator[Source | Trouble]:
    """What a repository has beside its objects: settings, such as the URL of an origin, and the names of branches."""
    for what, command in {
        "settings of git": ("config", "--local", "--list"),
        "names of branches and tags": ("for-each-ref", "--format=%(refname)"),
    }.items():
        answer = _asked([*_git(where), *command])
        yield Source(f"{where} (its {what})", io.BytesIO(answer.stdout.encode()))
        if answer.returncode:
            yield Trouble(f"{where} (its {what})", f"git could not read them (exit status {answer.returncode})")


def git_places(where: Path, names: set[str]) -> dict[str, str]:
    """Where objects are found by people: the path of a file, with the newest commit that has it."""
    options = ("--all", "--reflog", "--format=%H", "--raw", "--no-abbrev", "--no-renames", "-m", "--root")
    listing = _asked([*_git(where), "log", "--no-show-signature", *options]).stdout
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


def _git_environ() -> dict[str, str]:
    """Without what names another repository, as in a hook; and nothing is fetched from an origin."""
    named = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_PREFIX")
    others = {name: value for name, value in os.environ.items() if name not in named}
    # Older versions know only the second. A repository may name any command to fetch with.
    return others | {"GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none", "LC_ALL": "C"}


def _asked(command: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603  git, in a folder that the user names
        command, capture_output=True, text=True, errors="replace", check=False, env=_git_environ()
    )


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
