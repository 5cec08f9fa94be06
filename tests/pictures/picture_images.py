"""Images for tests of the picture mirror, as bytes."""

import struct
import zlib
from io import BytesIO

from PIL import Image


def image(mode: str = "RGB", size: tuple[int, int] = (64, 32)) -> Image.Image:
    """Its left half is red, its right half blue, as far as the mode has colours."""
    made = Image.new("RGB", size, "red")
    made.paste("blue", (size[0] // 2, 0, *size))
    return made.convert(mode)


def encoded(made: Image.Image, kind: str, **options: object) -> bytes:
    file = BytesIO()
    made.save(file, kind, **options)
    return file.getvalue()


def png(size: tuple[int, int] = (64, 32)) -> bytes:
    return encoded(image(size=size), "PNG")


def png_that_claims(width: int, height: int) -> bytes:
    """Of a few hundred bytes, whatever it claims: a decompression bomb."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(10_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
