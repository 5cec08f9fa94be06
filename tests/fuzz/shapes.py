"""JSON that is still JSON: for each value that an engine makes, a document of the seeds with some members replaced.

Edits of bytes break the syntax of nearly every document, so that little of what comes after the parser is reached.
"""

import json
import random
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final
from zlib import crc32

_NUMBERS: Final = (0, 1, -1, 7, 17, 2**53, 10**300, 1e300, 0.5, -0.0, 1_900_000_000, 253_402_300_800)
_TEXTS: Final = ("", " ", "a", "1", "0", "true", "null", "\u0000", "\ud800", "\u00e9", "\u202e", "a" * 256, "a" * 1025)
_LINKS: Final = ("https://evil.example/", "http://127.0.0.1:9/a", "//a")
_LISTS: Final = ([], {}, [None], ["a"], [[]], [{}], {"a": 1}, {"": {}})
ODD: Final = tuple(map(json.dumps, (None, True, False, *_NUMBERS, *_TEXTS, "a\nb", *_LISTS, *_LINKS)))
"""As text, since what is put into a document may be changed there."""


def shaped(seeds: Callable[[], Sequence[bytes]]) -> Callable[[bytes], tuple[bytes, ...]]:
    """`Target.variants` for seeds that end in a line of JSON: the value itself, and another document."""

    @cache
    def documents() -> tuple[tuple[bytes, list[str]], ...]:
        """Documents by what stands before them: of one kind there may be many more than of another."""
        found: dict[bytes, list[str]] = {}
        for head, end, line in (seed.rpartition(b"\n") for seed in seeds()):
            if _is_document(line):
                found.setdefault(head + end, []).append(line.decode())
        return tuple(found.items())

    def variants(data: bytes) -> tuple[bytes, ...]:
        dice = random.Random(crc32(data))
        head, alike = dice.choice(documents())
        changed = json.loads(dice.choice(alike))
        for _ in range(dice.randint(1, 3)):
            _change(changed, dice)
        return data, head + json.dumps(changed).encode()

    return variants


def _is_document(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _change(document: dict[str, Any], dice: random.Random) -> None:
    """Replace, remove or move one member somewhere in the document."""
    places = list(_places(document))
    if not places:
        return
    parent, name = dice.choice(places)
    match dice.randint(0, 5):
        case 0:
            del parent[name]
        case 1:
            other, key = dice.choice(places)
            parent[name] = json.loads(json.dumps(other[key]))
        case 2:
            parent[name] = [parent[name]] * dice.randint(1, 3)
        case 3 if isinstance(parent[name], str):
            parent[name] = dice.choice((parent[name].upper(), parent[name] + " ", parent[name][:-1], [parent[name]]))
        case _:
            parent[name] = json.loads(dice.choice(ODD))


def _places(value: Any) -> "list[tuple[Any, Any]]":
    keys: Sequence[Any] = ()
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = range(len(value))
    return [(value, key) for key in keys] + [place for key in keys for place in _places(value[key])]
