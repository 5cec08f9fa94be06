"""What a secret looks like in a bundle, a page or a log: as it is, escaped, in hexadecimal, and in base64.

One layer of an encoding is found, with escapes mixed in any way. What was compressed has to be opened first.
"""

import base64
import re
from collections.abc import Iterator
from html.entities import html5
from typing import Final, NamedTuple

from ..models import Secret

_BREAK: Final = rb"(?:\\{1,4}[rn]|[\r\n\t ])*"
"""MIME and PEM break base64 into lines, which a string of a program writes as `\n`, and its source map as `\\n`."""

_NAMES: Final[dict[str, list[str]]] = {}
"""The names that HTML has for a character, with their semicolons."""
for _name, _character in html5.items():
    if _character.isascii() and _name.endswith(";"):
        _NAMES.setdefault(_character, []).append(_name)

_ESCAPES_PER_BYTE: Final = 24
"""Characters that one byte of a secret takes at most, as in `&amp;amp;#x0000002f;`."""


class Leak(NamedTuple):
    """Where a secret stands in data, and in which form."""

    start: int
    end: int
    form: str


class LeakPatterns:
    """Finds one secret in data. It holds the secret, and neither prints nor pickles it."""

    __slots__ = ("_escaped", "_others", "reach")

    reach: int
    """Bytes that the longest form can take: what a reader of pieces has to keep of the piece before."""

    def __init__(self, secret: Secret) -> None:
        value = secret.reveal().encode()
        self._escaped = re.compile(b"".join(_escapes_of(value)))
        self._others = (
            ("hex", re.compile(rb"[\s:-]?".join(b"%02x" % byte for byte in value), re.IGNORECASE)),
            ("base64", re.compile(b"|".join(_BREAK.join(map(_any_alphabet, core)) for core in _base64_of(value)))),
            (
                "UTF-16",
                re.compile(b"|".join(re.escape(value.decode().encode(f"utf-16-{order}")) for order in ("le", "be"))),
            ),
        )
        self.reach = len(value) * _ESCAPES_PER_BYTE

    def find(self, data: bytes) -> Iterator[Leak]:
        """Every place of the secret in ``data``, form by form."""
        for match in self._escaped.finditer(data):
            yield Leak(match.start(), match.end(), _escape_in(match[0]))
        for form, pattern in self._others:
            for match in pattern.finditer(data):
                yield Leak(match.start(), match.end(), form)

    def is_in(self, data: bytes) -> bool:
        """Whether the secret is in ``data``."""
        return next(self.find(data), None) is not None

    def __repr__(self) -> str:
        return "LeakPatterns()"

    def __reduce_ex__(self, protocol: object) -> str:
        raise TypeError("LeakPatterns cannot be pickled: they hold a secret")


def _escapes_of(value: bytes) -> Iterator[bytes]:
    """Patterns for the bytes of a value. A run of backslashes is one: it could be divided in too many ways."""
    for part in re.findall(rb"\\+|[^\\]", value, re.DOTALL):
        if (count := len(part)) == 1:
            yield _any_escape(part[0])
        else:
            yield rb"(?:\\{%d,%d}|%s{%d})" % (count, 4 * count, _any_escape(part[0], bare=False), count)


def _any_escape(byte: int, *, bare: bool = True) -> bytes:
    """A pattern for one byte as it is, and as URLs, JSON, JavaScript, HTML and quoted-printable may write it."""
    two, four = b"(?i:%02x)" % byte, b"(?i:%04x)" % byte
    entity = rb"&(?:amp;){0,2}"
    ways = [
        *([rb"\\{0,3}" + re.escape(bytes((byte,)))] if bare else ()),
        rb"%(?:25){0,2}" + two,
        rb"\\{1,4}(?:u" + four + rb"|u\{0{0,4}" + two + rb"\}|x" + two + rb"|0?%o(?![0-7]))" % byte,
        entity + rb"(?:#0{0,5}%d|#[xX]0{0,5}%s);?" % (byte, two),
        b"=" + two,
    ]
    ways += [entity + name.encode() for name in _NAMES.get(chr(byte), ())]
    return b"(?:" + b"|".join(ways) + b")"


def _escape_in(found: bytes) -> str:
    """Which escape, told by its signs. A secret that has such signs itself may be called escaped though it is not."""
    for form, sign in (("HTML", rb"&(?:amp;)*(?:#|[A-Za-z]+;)"), ("JSON", rb"\\"), ("URL", rb"%(?:25)*[0-9a-fA-F]{2}")):
        if re.search(sign, found):
            return f"{form}-escaped"
    return "plain" if b"=" not in found else "quoted-printable"


def _base64_of(value: bytes) -> Iterator[bytes]:
    """The characters that depend on the value alone, whatever stands before and after it: one for each alignment."""
    for before in range(3):
        bits = (before + len(value)) * 8
        encoded = base64.b64encode(bytes(before) + value)
        yield encoded[-(-before * 8 // 6) : bits // 6]


def _any_alphabet(character: int) -> bytes:
    """A character of base64, in the alphabet of URLs too, and escaped as `+` and `/` may be."""
    match character:
        case 0x2B:
            return rb"(?:[+-]|%(?:25)?2[bB]|\\u002[bB]|&#(?:43|x2[bB]);)"
        case 0x2F:
            return rb"(?:\\?/|_|%(?:25)?2[fF]|\\u002[fF]|&#(?:47|x2[fF]);)"
        case _:
            return bytes((character,))
