"""What is searched, or cannot be: streams of bytes, what unpacks them, and how much of it is enough."""

import bz2
import gzip
import io
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from typing import IO, Any, Final, NamedTuple, Protocol, TypeAlias

PIECE: Final = 1 << 20
"""Bytes that are read at once."""

_ROOM: Final = 1 << 30
_MOST_TIMES: Final = 100
"""What may come out of the archives in one file: a gigabyte, and a hundred times its size.

A few bytes can be made to unpack to so many that no disk and no patience is enough.
What only lies in an archive, as in a tar, is not counted: it is no more than the archive.
"""

_MOST_MEMORY: Final = 256 << 20
"""What xz may take. It takes 65 MiB for what `xz -9` writes, but a header can ask for gigabytes."""

_BZIP2: Final = re.compile(rb"BZh[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)")
"""With the start of the first block, or of the end: a text may begin with the letters."""

UNREADABLE: Final = (
    OSError, EOFError, RuntimeError, ValueError, OverflowError,
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, MemoryError,
)  # fmt: skip
"""What the readers of the standard library raise for a damaged or encrypted archive, or one that asks for too much."""

BLOCK: Final = 512
"""A header of tar, and what each content is filled up to."""


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

    def __init__(self, stream: "Readable", tell: Callable[[int], object], *, most: int = PIECE) -> None:
        super().__init__()
        self._stream = stream
        self._tell = tell
        self._most = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        most, least = min(len(buffer), self._most), min(len(buffer), BLOCK)
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


class Decoded(io.RawIOBase):
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


def decoded(start: bytes, stream: IO[bytes]) -> io.RawIOBase | io.BufferedIOBase | None:
    """What a compressed stream holds, or nothing if it is not one."""
    if start.startswith(b"\x1f\x8b\x08"):
        return gzip.GzipFile(fileobj=stream)
    if _BZIP2.match(start):
        return Decoded(stream, bz2.BZ2Decompressor(), bz2.BZ2Decompressor)
    xz = partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, _MOST_MEMORY)
    if start.startswith(b"\xfd7zXZ\x00"):
        return Decoded(stream, xz(), xz)
    if start.startswith(b"\x5d\0\0") and (start[5:13] == b"\xff" * 8 or start[9:13] == bytes(4)):
        # Almost anything can be taken for a second part of this format, and decoded to something else.
        return Decoded(stream, lzma.LZMADecompressor(lzma.FORMAT_ALONE, _MOST_MEMORY), xz)
    return None


Readable: TypeAlias = IO[bytes] | io.RawIOBase | io.BufferedIOBase


class Room:
    """How much may still come out of the archives in one file."""

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._left = _ROOM + _MOST_TIMES * size

    def gate(self, stream: "Readable", *, is_unpacked: bool, most: int = PIECE) -> Counted:
        """A stream of what is in an archive, which counts if it can be more than the archive."""
        return Counted(stream, self.unpacked if is_unpacked else _let, most=most)

    def unpacked(self, count: int) -> None:
        """So many bytes came out of an archive in it. Raises `TooMuch`."""
        self._left -= count
        if self._left < 0:
            raise TooMuch(Trouble(self._name, f"it unpacks to more than {_MOST_TIMES} times its size: unpack it first"))


def _let(_count: int) -> None:
    """Nothing is counted."""


class Refused(ValueError):
    """An archive that is not read, or not read further, and why: in words for people."""


def why(error: Exception) -> str:
    """Why something could not be read, in a few words."""
    if isinstance(error, Refused):
        return str(error)
    if isinstance(error, lzma.LZMAError) and "emory" in str(error):
        return f"it needs more than {_MOST_MEMORY >> 20} MiB of memory: decompress it first"
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    reason = error.strerror if isinstance(error, OSError) else None
    return reason or f"it is a damaged or encrypted archive ({type(error).__name__})"


class Limited(io.RawIOBase):
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
