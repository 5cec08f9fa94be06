"""Makes a new, small image file out of bytes that somebody else chose.

Stored cross-site scripting: a file that a browser takes for a page of this site, because it is SVG or because it is an
image and HTML at the same time (a polyglot). What is stored here has been decoded to pixels and encoded anew, so it is
an image and nothing else, without metadata such as the place where a photograph was taken.

Needs Pillow, whose decoders are only given the four formats below, and only images whose size has been checked.
"""

from io import BytesIO
from typing import Any, NamedTuple, cast

try:
    from PIL import Image
except ModuleNotFoundError as missing:
    if missing.name != "PIL":
        raise
    raise ImportError("xwms_auth.accounts.pictures needs Pillow: pip install 'xwms-auth[pictures]'") from missing

from .._core.accounts.picture_errors import PictureRefused

MAX_SIDE = 16_384
"""Pixels of a side. Pillow keeps a pointer for each row: more than the pixels of a picture that is one of them wide."""

MAX_PIXELS_LIMIT = 89_478_485
"""Pixels from which on Pillow itself warns of a decompression bomb: the largest value of `max_pixels`."""

MAX_JPEG_SCANS = 100
"""Scans of a JPEG. Common progressive ones have about ten; each costs a pass over all pixels and can take 30 bytes."""

JPEG_QUALITY = 85
"""Of 100: beyond it files grow much faster than anybody sees."""

_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
}

_ORIENTATION = 0x0112
"""The tag of EXIF that says how to turn a photograph."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class EncodedPicture(NamedTuple):
    """A new image file. `extension` is without a dot."""

    data: bytes
    content_type: str
    extension: str


def encode_anew(data: bytes, *, max_pixels: int, side: int) -> EncodedPicture:
    """A JPEG or PNG of what these bytes show, upright, of the first frame, at most `side` pixels wide and high.

    `max_pixels` limits width times height before anything is decoded. Raises `PictureRefused`.
    """
    kind = _kind_of(data)
    if kind == "JPEG" and data.count(b"\xff\xda") > MAX_JPEG_SCANS:
        raise PictureRefused("broken", f"it is a JPEG with more than {MAX_JPEG_SCANS} scans")
    try:
        image = _decode(data, kind, max_pixels=max_pixels, side=side)
        # Without what Pillow remembers about the old file, parts of which it would write into the new one.
        clean = Image.new(image.mode, image.size)
        clean.paste(image)
        return _encode(clean, lossy=kind in ("JPEG", "WEBP") and image.mode == "RGB")
    except PictureRefused:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureRefused("too_many_pixels", "Pillow takes it for a decompression bomb") from None
    except Exception as fault:  # given broken bytes, a decoder of Pillow may raise almost anything
        raise PictureRefused("broken", f"it is not a complete {kind}: {type(fault).__name__}") from fault


def _kind_of(data: bytes) -> str:
    """The format, by the first bytes. What a server or a URL says of it is not asked."""
    for start, kind in _SIGNATURES.items():
        if data.startswith(start):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    raise PictureRefused("not_a_picture", "it is neither PNG, JPEG, GIF nor WebP")


def _decode(data: bytes, kind: str, *, max_pixels: int, side: int) -> Image.Image:
    with Image.open(BytesIO(data), formats=(kind,)) as opened:
        if opened.width * opened.height > max_pixels or max(opened.size) > MAX_SIDE:
            raise PictureRefused("too_many_pixels", f"it has more than {max_pixels} pixels")
        turn = _turn_of(opened)
        # A JPEG can be decoded at a half, a quarter or an eighth of its size. The other formats ignore this.
        opened.draft("RGB", (2 * side, 2 * side))
        shown = _with_eight_bits(opened)
        # Palettes, grey and CMYK too: reducing the size needs the colours themselves.
        image = shown.convert("RGBA" if shown.has_transparency_data else "RGB")
    image.thumbnail((side, side))
    return image if turn is None else image.transpose(turn)


def _with_eight_bits(image: Image.Image) -> Image.Image:
    """Of grey with sixteen bits Pillow would make white: it cuts off what is above 255."""
    if image.mode != "I;16":
        return image
    whole = cast("Any", image.convert("I"))  # the types of `point` are not complete
    return cast("Image.Image", whole.point(_upper_byte).convert("L"))


def _upper_byte(value: Any) -> Any:
    return value * (1 / 256)


def _turn_of(image: Image.Image) -> Image.Transpose | None:
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001  broken metadata, which is dropped anyway, is no reason to refuse a photograph
        return None


def _encode(image: Image.Image, *, lossy: bool) -> EncodedPicture:
    file = BytesIO()
    if lossy:
        image.save(file, "JPEG", quality=JPEG_QUALITY)
        return EncodedPicture(file.getvalue(), "image/jpeg", "jpg")
    image.save(file, "PNG")
    return EncodedPicture(file.getvalue(), "image/png", "png")
