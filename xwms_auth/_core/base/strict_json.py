"""JSON from outside, read strictly: what is not exactly of the promised form is refused or left out.

Knows: the forms of ids, texts, times and scopes.
Must not: repair anything, since two readers that repair differently see two things."""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeGuard, cast

MAX_SUB = 255
"""Longest `sub` in characters: OpenID Connect Core 5.1 sets this bound, and a database column needs one."""


MAX_CLAIM = 1024
"""Longest optional claim in characters; a longer one is dropped, since the whole session must fit into a cookie."""


MAX_MOMENT = 253_402_300_799
"""Seconds since 1970: the end of the year 9999, beyond which no date can be made of a number."""


MAX_SCOPE = 8192
"""Characters of all scopes of a token together."""


# RFC 6749 3.3, and any number of U+0020, as some servers have them. Splitting at any white space would make two scopes
# of one that somebody else chose the name of.
_SCOPES = re.compile(r"[ !#-\[\]-~]*")


def parse_sub(value: object) -> str:
    """Return the canonical `sub`; two spellings of one number must not be two people. Raises ValueError."""
    return parse_id(value, "sub")


def parse_id(value: object, name: str) -> str:
    """Return an id of XWMS's: 1 to 255 printable characters, or an integer as its decimal digits.

    XWMS has been seen to send digits, words and numbers, so nothing is rounded, trimmed or folded: two must not become
    one. `name` is the field's, for the reason. Raises ValueError.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        # Zero is what a careless cast makes of a word, so it is nobody.
        # Python refuses to print an integer beyond 4300 digits; its bits are asked first (a digit is at most 4).
        if value <= 0 or value.bit_length() > MAX_SUB * 4 or len(str(value)) > MAX_SUB:
            raise ValueError(f"{name} is a number out of range")
        return str(value)
    if not isinstance(value, str):
        raise ValueError(f"{name} is {type(value).__name__}, not a string")
    if not 1 <= len(value) <= MAX_SUB or not value.isprintable() or not value.strip():
        raise ValueError(f"{name} is empty, too long or not printable")
    return value


def parse_granted(value: object) -> tuple[str, ...]:
    """The scopes that a server says it granted, with U+0020 between two. Raises ValueError."""
    if not isinstance(value, str) or len(value) > MAX_SCOPE or _SCOPES.fullmatch(value) is None:
        raise ValueError("scope is not text, too long, or has characters that no scope has")
    return tuple(value.split())


def plain_text(value: object, *, most: int = MAX_CLAIM, lines: bool = False) -> str | None:
    """A claim as text, or None. Control characters and lone surrogates never leave this parser.

    `most` is in characters; `lines` lets line breaks and tabs through.
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
    """An address of the web, or None. `javascript:` in somebody's profile must not become a link on somebody's page."""
    text = plain_text(value)
    return text if text is not None and text.lower().startswith(("https://", "http://")) else None


def parse_moment(value: object) -> datetime | None:
    """An ISO 8601 time, in UTC; one without a zone is UTC. None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def is_moment(value: object) -> TypeGuard[float]:
    """Whether this is a time as tokens have it: a number of seconds since 1970 that a date can be made of."""
    # Compared first of all: isfinite() and int() fail for what is huge, and a NaN is in no range.
    return isinstance(value, int | float) and not isinstance(value, bool) and -MAX_MOMENT <= value <= MAX_MOMENT


def parse_object(value: object) -> Mapping[str, Any] | None:
    """A JSON object, or None."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else None


def parse_objects(value: object, name: str, *, most: int) -> list[Mapping[str, Any]]:
    """The JSON objects in a list of at most that many. `name` is the field's, for the reason. Raises ValueError."""
    listed = cast("list[object]", value) if isinstance(value, list) else None
    if listed is None or len(listed) > most:
        raise ValueError(f"{name} is not a list, or longer than {most}")
    found = [entry for entry in map(parse_object, listed) if entry is not None]
    if len(found) != len(listed):
        raise ValueError(f"{name} holds something else than objects")
    return found


class JSONObject(dict[str, Any]):
    """A JSON object of XWMS's. A crash report that prints local variables must not print what may quote our headers."""

    def __repr__(self) -> str:
        return f"<{len(self)} fields>"


def parse_json_object(text: bytes) -> JSONObject | None:
    """Read JSON strictly: UTF-8, an object, no key twice, no number that is none. None for anything else."""
    try:
        # Decoded here because json.loads would guess UTF-16 and UTF-32 from the bytes.
        parsed: object = json.loads(
            text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
        )
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, JSONObject) else None


def _unique(pairs: list[tuple[str, Any]]) -> JSONObject:
    # Python keeps the last of two equal keys, others the first: an answer read in two ways is refused.
    made = JSONObject(pairs)
    if len(made) != len(pairs):
        raise ValueError("duplicate keys")
    return made


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number beyond what a float holds")
    return number
