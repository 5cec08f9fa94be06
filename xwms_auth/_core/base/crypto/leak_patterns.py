"""What a secret looks like in a bundle, a page or a log: as it is, escaped, in hexadecimal, and in base64.

Escapes are found mixed in any way, and one inside the other as templates, JSON and addresses have them. In base64 and
in UTF-16 the whole secret is written in one way, such as JSON. What was compressed has to be opened first.
"""

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from html.entities import html5
from posixpath import commonprefix
from typing import Final, NamedTuple
from urllib.parse import quote_plus

from ..models import Secret

_BREAK: Final = rb"(?:\\{1,4}[rn]|[\r\n\t ])*"
"""MIME and PEM break base64 into lines, which a string of a program writes as `\n`, and its source map as `\\n`."""

_NAMES: Final[dict[str, list[str]]] = {}
"""The names that HTML has for a character, without their semicolons."""
for _name, _character in html5.items():
    if len(_character) == 1 and _character < "\u0100" and _name.endswith(";"):
        _NAMES.setdefault(_character, []).append(_name[:-1])

_PERCENT: Final = rb"%(?:25){0,2}"
_HASH: Final = rb"(?:#|" + _PERCENT + rb"23)"
_SEMICOLON: Final = rb"(?:;|" + _PERCENT + rb"3[bB])"
"""What an entity of HTML has, also where it is part of an address."""

_SLASHED: Final = b"\"'/"
"""What JSON writes behind a backslash."""

_IN_SCRIPT: Final = {ord(character): f"\\u{ord(character):04x}" for character in "<>&'"}
"""What JSON that stands in a page has in place of these."""

_ESCAPES_PER_BYTE: Final = 52
"""Characters that one byte of a secret takes at most, as in `%252526amp%25253B%25252300047%25253B`."""

_ESCAPED: Final = "escaped"

_MOST_SLASHES: Final = 3
"""Backslashes before a character: one, as JSON in a string of JSON has it."""

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

    __slots__ = ("_begun", "_forms", "_plain", "reach")

    reach: int
    """Bytes that the longest form can take: what a reader of pieces has to keep of the piece before."""

    def __init__(self, secret: Secret) -> None:
        text = secret.reveal()
        value = text.encode("utf-8", "surrogatepass")
        # Files and keys of bytes, as Flask's may be, have a character up to U+00FF as one byte.
        self._plain = (value, text.encode("latin-1")) if not text.isascii() and max(text) < "\u0100" else (value,)
        spelt = tuple(dict.fromkeys(_spellings(text)))
        in_base64 = (*self._plain, _utf16(text, "le"), *(one.encode("utf-8", "surrogatepass") for one in spelt))
        longest_run = max(map(len, re.findall(rb"\\+", value)), default=0)
        cut_escape = rb"(?:[%%\\&=%s][!-%s]{0,%d})?" % (
            *((b"", b"~") if text.isascii() else (b"\x80-\xff", b"\xff")),
            _ESCAPES_PER_BYTE * max(1, longest_run),
        )
        self._forms = (
            _form(_ESCAPED, _escapes_of(text), cut=cut_escape),
            *(
                _form("hex", (b"%02x" % byte for byte in one), gap=rb"[\s:-]?", cut=rb"[0-9a-f]?", flags=re.IGNORECASE)
                for one in self._plain
            ),
            *(
                _in_base64(cores, cut=cut_escape)
                for cores in _by_start(core for one in in_base64 for core in _base64_of(one))
            ),
            *(
                _form("UTF-16", (re.escape(bytes((byte,))) for byte in _utf16(one, end)))
                for one in spelt
                for end in ("le", "be")
            ),
        )
        self._begun: tuple[re.Pattern[bytes], ...] = ()
        self.reach = len(value) * _ESCAPES_PER_BYTE

    def find(self, data: bytes) -> Iterator[Leak]:
        """Every place of the secret in ``data``, form by form."""
        for name, whole, _ in self._forms:
            for match in whole.finditer(data):
                yield Leak(match.start(), match.end(), self._escape_in(match[0]) if name is _ESCAPED else name)

    def _escape_in(self, found: bytes) -> str:
        """Which escape, told by its signs: they may also be those of the secret itself."""
        if found in self._plain:
            return "plain"
        for form, sign in _SIGNS.items():
            if re.search(sign, found):
                return f"{form}-escaped"
        return "quoted-printable" if b"=" in found else "URL-escaped"

    def begun_in(self, data: bytes) -> int:
        """How many bytes at the end of ``data`` may be the beginning of the secret, in any form."""
        if not self._begun:
            self._begun = tuple(re.compile(form.begun + rb"\Z", form.whole.flags) for form in self._forms)
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
    return _Form(name, re.compile(gap.join(parts), flags), _begun(parts, gap, cut))


def _begun(parts: list[bytes], gap: bytes, cut: bytes, *, behind: bytes = b"") -> bytes:
    """A pattern for the start of these, cut off anywhere, or for all of them and the start of what is behind."""
    begun = (behind or cut) if len(parts) <= _ENOUGH else rb"[\s\S]*"
    for part in reversed(parts[:_ENOUGH]):
        begun = b"(?:" + part + gap + begun + b"|" + cut + b")"
    return begun


def _in_base64(cores: list[bytes], *, cut: bytes) -> _Form:
    """One form of texts in base64 that begin alike: data are searched for that once."""
    first, *others = ([*map(_any_alphabet, core)] for core in cores)
    if not others:
        return _form("base64", first, gap=_BREAK, cut=cut)
    alike = len(commonprefix(cores))
    ends = [parts[alike:] for parts in (first, *others)]
    whole = _BREAK.join([*first[:alike], b"(?:" + b"|".join(map(_BREAK.join, ends)) + b")"])
    behind = b"(?:" + b"|".join(_begun(end, _BREAK, cut) for end in ends) + b")"
    return _Form("base64", re.compile(whole), _begun(first[:alike], _BREAK, cut, behind=behind))


def _by_start(texts: Iterable[bytes]) -> Iterable[list[bytes]]:
    """The texts in groups, by their first character, each once."""
    groups: dict[bytes, list[bytes]] = {}
    for text in dict.fromkeys(texts):
        groups.setdefault(text[:1], []).append(text)
    return groups.values()


_SIGNS: Final = {
    "HTML": rb"(?:&|\\u0026|%(?:25)*26)(?:amp(?:;|%(?:25)*3[bB]))*(?:#|%(?:25)*23|[A-Za-z]+(?:;|%(?:25)*3[bB]))",
    "JSON": rb"\\",
    "URL": rb"%(?:25)*[0-9a-fA-F]{2}",
}


def _escapes_of(text: str) -> Iterator[bytes]:
    """Patterns for the characters of a text. A run of backslashes is one: it could be divided in too many ways."""
    most = _MOST_SLASHES
    for part in re.findall(r"\\+|[^\\]", text, re.DOTALL):
        if part[0] == "\\":
            # Those that belong to the character behind it too, which then has none of its own.
            least, most = len(part), 4 * len(part) + _MOST_SLASHES
            escaped = _any_escape(0x5C, bare=False)
            yield rb"(?:\\{%d,%d}|%s{%d,%d})" % (least, most, escaped, least, most)
            most = 0
        else:
            yield _any_escape(ord(part), slashes=most) if part.isascii() else _beyond_ascii(part, most)
            most = _MOST_SLASHES


def _beyond_ascii(character: str, slashes: int) -> bytes:
    """A pattern for a character of several bytes: each of them, the one of Latin-1, or its number."""
    ways = [b"".join(_any_escape(byte, slashes=slashes) for byte in character.encode("utf-8", "surrogatepass"))]
    if (number := ord(character)) < 0x100:
        ways.append(_any_escape(number, slashes=slashes))
    else:
        units = re.findall("....", _utf16(character, "be").hex())
        ways.append(b"".join(rb"(?:\\{1,4}|(?:%s5[cC]){1,3})u(?i:%s)" % (_PERCENT, unit.encode()) for unit in units))
        ways.append(rb"&(?:amp;){0,2}#(?:0{0,5}%d|[xX]0{0,5}(?i:%x));?" % (number, number))
    return b"(?:" + b"|".join(ways) + b")"


def _any_escape(byte: int, *, bare: bool = True, slashes: int = _MOST_SLASHES) -> bytes:
    """A pattern for one byte as it is, and as URLs, JSON, JavaScript, HTML and quoted-printable may write it.

    Not `bare`: only as these write it. Before it may stand as many backslashes as `slashes`.
    """
    two, four = b"(?i:%02x)" % byte, b"(?i:%04x)" % byte
    itself, escaped_slash = re.escape(bytes((byte,))), _PERCENT + b"5[cC]"
    names = [_HASH + rb"(?:0{0,5}%d|[xX]0{0,5}%s)" % (byte, two) + _SEMICOLON + b"?"]
    names += [name.encode() + _SEMICOLON for name in _NAMES.get(chr(byte), ())]
    entity = rb"(?:amp" + _SEMICOLON + rb"){0,2}(?:" + b"|".join(names) + b")"
    # Each begins with a character that is given, so that most places of the data are left at once.
    ways = [_PERCENT + two, b"&" + entity, b"=" + two]
    ways.append(
        rb"\\\\{0,%d}(?:u%s|u\{0{0,4}%s\}|x%s|0?%o(?![0-7]))" % (slashes, four, two, two, byte),
    )
    if bare:
        ways.insert(0, itself)
    if bare and slashes:
        ways.append(rb"\\\\{0,%d}(?:%s|&%s)" % (slashes - 1, itself, entity))
    if not bytes((byte,)).isalnum():  # or else it needs no escape, and none of an escape
        ways += [_PERCENT + b"26" + entity, rb"\\\\{0,%d}u0026%s" % (slashes, entity)]
        if bare and slashes and byte not in b"%\\":
            behind = [b"u" + four, *((itself, _PERCENT + two) if byte in _SLASHED else ())]
            ways.append(escaped_slash + b"(?:" + escaped_slash + b"){0,2}(?:" + b"|".join(behind) + b")")
    if byte == ord(" "):  # of a form
        ways += [rb"\+", _PERCENT + b"2[bB]"]
    return b"(?:" + b"|".join(ways) + b")"


def _spellings(text: str) -> Iterator[str]:
    """The whole text as programs write it before they encode it: a source map in a script is JSON in base64."""
    yield text
    for is_ascii in (False, True):
        in_json = json.dumps(text, ensure_ascii=is_ascii)[1:-1]
        yield from (in_json, in_json.replace("/", "\\/"), in_json.translate(_IN_SCRIPT), json.dumps(in_json)[1:-1])
    yield quote_plus(text, errors="surrogatepass")  # the `Authorization` of a client (RFC 6749 2.3.1)
    yield html.escape(text)


def _utf16(text: str, end: str) -> bytes:
    return text.encode(f"utf-16-{end}", "surrogatepass")


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
            return b"(?:-|" + _any_escape(character) + b")"
        case 0x2F:
            return b"(?:_|" + _any_escape(character) + b")"
        case _:
            return bytes((character,))


def masked(data: bytes, patterns: Iterable[LeakPatterns]) -> bytes:
    """The data with `***` in place of the secrets. One may be part of another, and then nothing of that is left."""
    places = sorted((leak.start, leak.end) for one in patterns for leak in one.find(data))
    shown, at = b"", 0
    for start, end in places:
        if end > at:
            shown += data[at:start] + (b"***" if start >= at else b"")
            at = end
    return shown + data[at:]
