"""What a secret looks like in a bundle, a page or a log: as it is, escaped, in hexadecimal, and in base64.

One layer of an encoding is found, with escapes mixed in any way, and JSON in base64. What was compressed has to be
opened first.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator
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

_ESCAPED: Final = "escaped"

_ENOUGH: Final = 8
"""Parts of a secret after which whatever follows may be the rest of it, until it has been read."""


class Leak(NamedTuple):
    """Where a secret stands in data, and in which form."""

    start: int
    end: int
    form: str


class _Form(NamedTuple):
    """One way to write the secret. `begun` is a pattern for the start of it at the end of data, and never fails."""

    name: str
    whole: "re.Pattern[bytes]"
    begun: bytes


class LeakPatterns:
    """Finds one secret in data. It holds the secret, and neither prints nor pickles it."""

    __slots__ = ("_begun", "_forms", "reach")

    reach: int
    """Bytes that the longest form can take: what a reader of pieces has to keep of the piece before."""

    def __init__(self, secret: Secret, *, encoding: str = "utf-8") -> None:
        value = secret.reveal().encode(encoding, "surrogatepass")
        utf16 = [
            value.decode(encoding, "surrogatepass").encode(f"utf-16-{end}", "surrogatepass") for end in ("le", "be")
        ]
        longest_run = max(map(len, re.findall(rb"\\+", value)), default=0)
        cut_escape = rb"(?:[%%\\&=][!-~]{0,%d})?" % (_ESCAPES_PER_BYTE * max(1, longest_run))
        self._forms = (
            _form(_ESCAPED, _escapes_of(value), cut=cut_escape),
            _form("hex", (b"%02x" % byte for byte in value), gap=rb"[\s:-]?", cut=rb"[0-9a-f]?", flags=re.IGNORECASE),
            *(
                _form("base64", map(_any_alphabet, core), gap=_BREAK, cut=cut_escape)
                for text in dict.fromkeys((value, _in_json(value)))
                for core in _base64_of(text)
            ),
            *(_form("UTF-16", (re.escape(bytes((byte,))) for byte in text)) for text in utf16),
        )
        self._begun: tuple[re.Pattern[bytes], ...] = ()
        self.reach = len(value) * _ESCAPES_PER_BYTE

    def find(self, data: bytes) -> Iterator[Leak]:
        """Every place of the secret in ``data``, form by form."""
        for name, whole, _ in self._forms:
            for match in whole.finditer(data):
                yield Leak(match.start(), match.end(), _escape_in(match[0]) if name is _ESCAPED else name)

    def begun_in(self, data: bytes) -> int:
        """How many bytes at the end of ``data`` may be the beginning of the secret, in any form."""
        if not self._begun:
            self._begun = tuple(re.compile(form.begun, form.whole.flags) for form in self._forms)
        first = max(0, len(data) - self.reach)
        starts = [match.start() for begun in self._begun if (match := begun.search(data, first)) is not None]
        return len(data) - min(starts, default=first)

    def is_in(self, data: bytes) -> bool:
        """Whether the secret is in ``data``."""
        return next(self.find(data), None) is not None

    def __repr__(self) -> str:
        return "LeakPatterns()"

    def __reduce_ex__(self, protocol: object) -> str:
        raise TypeError("LeakPatterns cannot be pickled: they hold a secret")


def _form(name: str, parts: Iterable[bytes], *, gap: bytes = b"", cut: bytes = b"", flags: int = 0) -> _Form:
    """A form of patterns that follow each other. `gap` may stand between two, and `cut` is one that has only begun."""
    parts = list(parts)
    begun = cut if len(parts) <= _ENOUGH else rb"[\s\S]*"
    for part in reversed(parts[:_ENOUGH]):
        begun = b"(?:" + part + gap + begun + b"|" + cut + b")"
    return _Form(name, re.compile(gap.join(parts), flags), begun + rb"\Z")


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
    entity, itself = rb"&(?:amp;){0,2}", re.escape(bytes((byte,)))
    # Each begins with a character that is given, so that most places of the data are left at once.
    ways = [
        *([itself, rb"\\\\{0,2}" + itself] if bare else ()),
        rb"%(?:25){0,2}" + two,
        rb"\\\\{0,3}(?:u" + four + rb"|u\{0{0,4}" + two + rb"\}|x" + two + rb"|0?%o(?![0-7]))" % byte,
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


def _in_json(value: bytes) -> bytes:
    """The value as JSON has it: a source map inside a script is JSON in base64."""
    return json.dumps(value.decode("latin-1"), ensure_ascii=False)[1:-1].encode("latin-1")


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
            return rb"(?:\+|-|%(?:25)?2[bB]|\\u002[bB]|&#(?:43|x2[bB]);)"
        case 0x2F:
            return rb"(?:/|\\/|_|%(?:25)?2[fF]|\\u002[fF]|&#(?:47|x2[fF]);)"
        case _:
            return bytes((character,))
