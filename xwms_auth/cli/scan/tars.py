"""A tar read from front to back, in which nothing is passed over without a word."""

import io
import tarfile
from tarfile import HeaderError, ReadError, TarFile
from typing import IO, Final

from xwms_auth.cli.scan.streams import BLOCK

_LONGEST_NAME: Final = 1 << 20
"""Bytes of a name, or of the attributes, of one member of a tar, which are read at once."""

_LONGEST_HEADERS: Final = 4 << 20
"""Bytes of all that stands before the content of one member of a tar: names, attributes, and where a file has holes."""

_NO_MORE_MEMBERS: Final = (tarfile.EmptyHeaderError, tarfile.EOFHeaderError)  # type: ignore[attr-defined]
"""The regular ends of a tar: no byte more, or a block of zeros."""


class Member(tarfile.TarInfo):
    """A member of a tar. What stands before it, such as a long name, is read at once and so must not be too long."""

    @classmethod
    def fromtarfile(cls, tarfile: TarFile) -> "Member":
        """Raises an error for a broken header. `TarFile.next` takes most of them for the end of the archive."""
        try:
            return super().fromtarfile(tarfile)
        except _NO_MORE_MEMBERS:
            raise
        except HeaderError as error:
            raise ReadError(str(error)) from None

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "Member":
        found = super().frombuf(buf, encoding, errors)
        if found.size > _LONGEST_NAME and found.type in _BEFORE_A_MEMBER:
            raise tarfile.ReadError("the names of a member are too long")
        return found


_BEFORE_A_MEMBER: Final = (
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE
)  # fmt: skip


class Forward(io.RawIOBase):
    """A stream as `TarFile` reads it from front to back. It jumps over the fill of a block, and over no more.

    A header may say that a content is longer, or a hole is larger, than what is read of it.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__()
        self._stream = stream
        self._at = 0
        self.headers: int | None = _LONGEST_HEADERS
        """How many bytes may be read at most, while headers are read."""

    def begin_headers(self) -> None:
        """From now on the headers of the next member are read."""
        self.headers = _LONGEST_HEADERS

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
        if not 0 <= offset - self._at < BLOCK:
            raise tarfile.ReadError("a header leaves out a part")
        self._at += len(self._stream.read(offset - self._at))
        return self._at
