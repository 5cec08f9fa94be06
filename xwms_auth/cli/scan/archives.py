"""What archives hold.

Nothing is unpacked to a place, and nothing is held in memory whole: members of archives are read as streams.
"""

import io
import re
import shutil
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from itertools import chain
from typing import IO, Final, cast

from xwms_auth.cli.scan.streams import (
    BLOCK,
    PIECE,
    UNREADABLE,
    Counted,
    Limited,
    Readable,
    Refused,
    Room,
    Source,
    Trouble,
    decoded,
    why,
)
from xwms_auth.cli.scan.tars import Forward, Member

_MAX_DEPTH: Final = 6
"""Archives inside each other. An image is a tar of compressed tars, and packages lie in those."""

_ZIP_IN_MEMORY: Final = 32 << 20
"""Bytes of a zip file in a stream that are kept in memory; a larger one goes to a temporary file, which has no name."""

_LONGEST_DIRECTORY: Final = 32 << 20
"""Bytes of the directory of a zip file. In memory it takes ten times as many."""

_UNPACKED_AT_ONCE: Final = frozenset({zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA})
_LITTLE: Final = 4096
"""What `zipfile` reads at once of a member in these. It unpacks all of that: a megabyte can become 20 gigabytes."""

_LEFT_OUT: Final = "its directory leaves out the first members"

_TAR_MARK: Final = slice(257, 262)

_LZ4: Final = "compressed with LZ4: decompress it first (lz4 -d)"

_NOT_OPENED: Final = {
    # With what follows the letters, where a text may begin with these too.
    re.compile(mark, re.DOTALL): what
    for mark, what in {
        rb"\x28\xb5\x2f\xfd": "compressed with Zstandard: decompress it first (zstd -d)",
        rb"[\x50-\x5f]\x2a\x4d\x18": "compressed with Zstandard or LZ4: decompress it first (zstd -d)",
        rb"7z\xbc\xaf\x27\x1c": "compressed with 7-Zip: extract it first",
        rb"Rar!\x1a\x07": "compressed with RAR: extract it first",
        rb"\x04\x22\x4d\x18": _LZ4,
        rb"\x02\x21\x4c\x18": _LZ4,
        rb"LZIP[\x00\x01]": "compressed with lzip: decompress it first (lzip -d)",
        rb"\x89LZO": "compressed with lzop: decompress it first (lzop -d)",
        rb"\x1f\x9d": "compressed with compress: decompress it first (uncompress)",
        rb"hsqs.{24}\x04\x00": "a SquashFS: extract it first (unsquashfs)",
        rb"!<arch>\ndebian-binary": "a package of Debian: extract it first (dpkg-deb -R)",
        rb"\xed\xab\xee\xdb": "a package of RPM: extract it first (rpm2cpio)",
        rb"MSCF\x00{4}": "a Cabinet file: extract it first (cabextract)",
        rb"# v[23] git bundle\n": "a bundle of git: clone it, and search that with --git",
        rb"PACK\x00\x00\x00[\x02\x03]": "a pack of git: search its repository with --git",
    }.items()
}

_PROGRAM: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:#!|(?i:@echo off))|MZ|\x7fELF"
    rb"|\xfe\xed\xfa[\xce\xcf]|[\xce\xcf]\xfa\xed\xfe|\xca\xfe\xba[\xbe\xbf]"
)
"""Starts of what can have a zip file behind it: scripts, and programs of Windows, Linux and macOS."""

_MEMBER: Final = re.compile(rb"PK\x03\x04[\n-?]\x00..[\x00\x08\x09\x0c\x0e\x5d-\x63]\x00", re.DOTALL)
"""The start of a member of a zip: its mark, the version, flags, and how it is compressed."""

_GIT_STORE: Final = re.compile(
    r"(?:^|/)objects/(?:pack/pack-|[0-9a-f]{2}/[0-9a-f]{38})|\.git/(?:.*/)?objects/", re.IGNORECASE
)
"""What a git repository, or one of a submodule, has stored: compressed, and in packs."""


def opened(name: str, raw: Readable, size: int) -> Iterator[Source | Trouble]:
    """The stream, or what is in it if it is an archive. Each is to be read before the next is asked for.

    Raises `TooMuch`, as does reading.
    """
    room = Room(name, size)
    yield from _tried(name, _opened(name, room.gate(raw, is_unpacked=False), room, depth=0))


def _opened(name: str, raw: Counted, room: Room, *, depth: int) -> Iterator[Source | Trouble]:
    stream = io.BufferedReader(raw, PIECE)
    start = stream.peek(BLOCK)
    inner: Iterator[Source | Trouble] | None = None
    if (inside := decoded(start, stream)) is not None:
        inner = _opened(name, room.gate(inside, is_unpacked=True), room, depth=depth + 1)
    elif _is_tar(start):
        inner = _in_tar(name, stream, room, depth)
    elif _is_zip(start):
        inner = _in_zip(name, stream, room, depth)
    elif _PROGRAM.match(start):
        yield from _tried(name, _in_program(name, stream, room, depth))
        return
    if inner is not None and depth < _MAX_DEPTH:
        yield from _tried(name, inner)
    elif inner is not None:
        yield _too_deep(name)
    elif other := next((other for mark, other in _NOT_OPENED.items() if mark.match(start)), None):
        yield Trouble(name, f"it is {other}")
    else:
        yield Source(name, stream)


def _too_deep(name: str) -> Trouble:
    return Trouble(name, f"it is in more than {_MAX_DEPTH} archives inside each other: open the outer ones first")


def _is_in_git(path: str) -> bool:
    return _GIT_STORE.search(path.replace("\\", "/")) is not None


def _git_in(name: str) -> Trouble:
    return Trouble(name, "it has a git repository: unpack it, and search that with --git")


def _is_tar(start: bytes) -> bool:
    """By its mark, or by the checksum of its header: the oldest format has no mark."""
    if start[_TAR_MARK] == b"ustar":
        return True
    try:
        tarfile.TarInfo.frombuf(start[:BLOCK], "utf-8", "surrogateescape")
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


def _in_tar(name: str, stream: IO[bytes], room: Room, depth: int) -> Iterator[Source | Trouble]:
    forward = Forward(stream)
    has_git = False
    with tarfile.TarFile(fileobj=cast("IO[bytes]", forward), tarinfo=Member) as archive:
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
            forward.begin_headers()
    while rest := stream.read(PIECE):
        if rest.strip(b"\0"):
            raise Refused("something follows its end: cut it in two first")


def _names_in_tar(member: tarfile.TarInfo) -> Iterator[bytes]:
    texts = (member.name, member.linkname, member.uname, member.gname, *chain(*member.pax_headers.items()))
    return (text.encode(errors="surrogateescape") for text in texts)


def _names(name: str, room: Room, *texts: bytes) -> Source:
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
            raise Refused("its directory is too long: unpack it first")
        return super().read(size)


def _in_zip(name: str, stream: IO[bytes], room: Room, depth: int) -> Iterator[Source | Trouble]:
    with _Whole(max_size=_ZIP_IN_MEMORY) as whole:
        shutil.copyfileobj(stream, whole, PIECE)
        with zipfile.ZipFile(whole) as archive:
            yield from _before_members(name, whole, archive)
            yield from _members(name, archive, room, depth)


def _in_program(name: str, stream: IO[bytes], room: Room, depth: int) -> Iterator[Source | Trouble]:
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
            if isinstance(error, Refused) or _end_mark(whole) == b"PK\x05\x06":
                yield Trouble(name, why(error))
            return
        with archive:
            if _has_members(whole, _first_member(archive)):
                yield Trouble(name, _LEFT_OUT)
            yield from _tried(name, _members(name, archive, room, depth))


def _end_mark(whole: _Whole) -> bytes:
    whole.seek(-22, io.SEEK_END)
    return whole.read(4)


def _before_members(name: str, whole: _Whole, archive: zipfile.ZipFile) -> Iterator[Source | Trouble]:
    """What stands before the first member that the directory names: a signature, or another zip file."""
    before = _first_member(archive)
    whole.seek(0)
    mark = whole.read(4)
    whole.seek(0)
    yield Source(name, io.BufferedReader(Limited(whole, before), PIECE))
    if mark == b"PK\x03\x04" and (before or not archive.infolist()):
        yield Trouble(name, _LEFT_OUT)


def _first_member(archive: zipfile.ZipFile) -> int:
    """Where the first member begins that the directory names."""
    return min((member.header_offset for member in archive.infolist()), default=0)


def _has_members(whole: _Whole, end: int) -> bool:
    """Whether a member of a zip file begins before this place."""
    whole.seek(0)
    kept = b""
    while piece := whole.read(min(PIECE, end - whole.tell())):
        if _MEMBER.search(kept + piece):
            return True
        kept = piece[-9:]
    return False


def _members(name: str, archive: zipfile.ZipFile, room: Room, depth: int) -> Iterator[Source | Trouble]:
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
    name: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo, room: Room, depth: int, *, is_over: bool
) -> Iterator[Source | Trouble]:
    member.file_size = sys.maxsize  # the directory may say less than there is; its checksum tells whether all was read
    most = _LITTLE if member.compress_type in _UNPACKED_AT_ONCE else PIECE
    is_unpacked = is_over or member.compress_type != zipfile.ZIP_STORED
    with archive.open(member) as inner:
        yield from _opened(name, room.gate(inner, is_unpacked=is_unpacked, most=most), room, depth=depth + 1)
