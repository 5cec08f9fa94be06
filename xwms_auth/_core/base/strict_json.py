"""A strict reader of JSON from outside: a value that does not have the documented form is refused or left out.

Never repairs a value: two parsers that repair differently would see two different values.
"""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeGuard, cast

MAX_SUB = 255
"""Characters of a `sub`: the limit of OpenID Connect Core 5.1, and database columns need one."""


MAX_CLAIM = 1024
"""Characters of an optional claim; a longer one is dropped, since the whole session must fit into a cookie."""


MAX_MOMENT = 253_402_300_799
"""Seconds since 1970: the end of the year 9999, the last that `datetime` can represent."""


MAX_SCOPE = 8192
"""Characters of all scopes of a token together."""


# RFC 6749 3.3: visible ASCII except the double quote and the backslash.
_SCOPE = re.compile(r"[!#-\[\]-~]+")


def parse_sub(value: object) -> str:
    """Return the canonical `sub`: two spellings of one number must not become two people. Raises ValueError."""
    return parse_id(value, "sub")


def parse_id(value: object, name: str) -> str:
    """Return an id of XWMS: 1 to 255 printable characters, or an integer as its decimal digits.

    XWMS has been seen to send digits, words and numbers. Nothing is rounded, trimmed or case-folded, so that two ids
    cannot become one. `name` is the name of the field, for the error message. Raises ValueError.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        # Zero is refused: a careless cast turns a word into 0.
        if not 0 < value < 10**MAX_SUB:
            raise ValueError(f"{name} is a number out of range")
        return str(value)
    if not isinstance(value, str):
        raise ValueError(f"{name} is {type(value).__name__}, not a string")
    if len(value) > MAX_SUB or not value.isprintable() or not value.strip():
        raise ValueError(f"{name} is empty, too long or not printable")
    return value


def is_scope(value: object) -> TypeGuard[str]:
    """Whether this is one scope (RFC 6749 3.3), which can be quoted in a header without escaping."""
    return isinstance(value, str) and _SCOPE.fullmatch(value) is not None


def parse_granted(value: object) -> tuple[str, ...]:
    """The scopes that a server says it granted: separated by U+0020, or in a list. Raises ValueError."""
    if isinstance(value, list):
        # Several servers send a list, in JWTs above all. An entry is one scope, and is not split.
        entries = cast("list[object]", value)
        scopes = tuple(entry for entry in entries if is_scope(entry))
        if len(scopes) == len(entries) and len(" ".join(scopes)) <= MAX_SCOPE:
            return scopes
    elif isinstance(value, str) and len(value) <= MAX_SCOPE:
        # Some servers send several spaces. Other white space does not separate: that could turn one scope, whose name
        # somebody else chose, into two.
        scopes = tuple(scope for scope in value.split(" ") if scope)
        if all(map(is_scope, scopes)):
            return scopes
    raise ValueError("scope is neither text nor a list of texts, is too long, or has characters that no scope has")


def plain_text(value: object, *, most: int = MAX_CLAIM, lines: bool = False) -> str | None:
    """A claim as text, or None. Text with control characters or lone surrogates is refused.

    `most` is in characters; `lines` allows line breaks and tabs.
    """
    if not isinstance(value, str) or not 1 <= len(value) <= most:
        return None
    allowed = "\t\n\r" if lines else ""
    if any(
        (ord(char) < 0x20 and char not in allowed) or 0x7F <= ord(char) < 0xA0 or 0xD800 <= ord(char) < 0xE000
        for char in value
    ):
        return None
    return value


def plain_link(value: object) -> str | None:
    """An http or https URL, or None. Stored XSS: a `javascript:` URL in a profile must not become a link on a page."""
    text = plain_text(value)
    return text if text is not None and text.lower().startswith(("https://", "http://")) else None


def parse_moment(value: object) -> datetime | None:
    """An ISO 8601 time, in UTC; a time without a zone is UTC. None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def is_moment(value: object) -> TypeGuard[float]:
    """Whether this is a NumericDate (RFC 7519 2): a number of seconds since 1970 that `datetime` can represent."""
    # A comparison instead of isfinite() or int(), which fail for huge numbers; a NaN is in no range.
    return isinstance(value, int | float) and not isinstance(value, bool) and -MAX_MOMENT <= value <= MAX_MOMENT


def parse_object(value: object) -> Mapping[str, Any] | None:
    """A JSON object, or None."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else None


def parse_objects(value: object, name: str, *, most: int) -> list[Mapping[str, Any]]:
    """The JSON objects in a list of at most `most`. `name` is for the error message. Raises ValueError."""
    entries = cast("list[object]", value) if isinstance(value, list) else None
    if entries is None or len(entries) > most:
        raise ValueError(f"{name} is not a list, or has more than {most} entries")
    objects = [entry for entry in map(parse_object, entries) if entry is not None]
    if len(objects) != len(entries):
        raise ValueError(f"{name} has an entry that is not an object")
    return objects


class JSONObject(dict[str, Any]):
    """A JSON object of XWMS. Its `repr` hides the content, which may quote our headers, from crash reports."""

    def __repr__(self) -> str:
        return f"<{len(self)} fields>"


def _unique(pairs: list[tuple[str, Any]]) -> JSONObject:
    # Python keeps the last of two equal keys, other parsers the first, so the document would be ambiguous.
    result = JSONObject(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate keys")
    return result


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("the number is out of the range of a float")
    return number


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
"""Made once: `json.loads` with these options would make one for each document."""


def parse_json_object(text: bytes) -> JSONObject | None:
    """Parse JSON strictly: UTF-8, an object, no duplicate keys, no NaN or Infinity. None for anything else."""
    try:
        # Decoded here because `json.loads` would also detect UTF-16 and UTF-32.
        parsed: object = _decoder.decode(text.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, JSONObject) else None
