"""Parsing of `Accept-Language` (RFC 9110 12.5.4): which of our languages a visitor reads best.

Denial of service: the header is whatever a client sends, so its length and its members are limited, and it is read in
one pass. What is malformed anywhere counts as absent. The result is one of `LANGUAGES` and never a part of the header.
"""

import re
from typing import Final

from ..base.texts.sentences import DEFAULT_LANGUAGE, LANGUAGES, language_of

MAX_ACCEPT_LANGUAGE = 1000
"""Characters of the header. Browsers send fewer than a hundred, with every language of a reader's list."""

MAX_RANGES = 40
"""Members of the list."""

# RFC 4647 2.1 and RFC 9110 12.4.2. Each part has a longest length, so that no input takes long.
_RANGE: Final = re.compile(
    r"[ \t]*([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8}){0,8}|\*)"
    r"(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?[ \t]*"
)


def preferred_language(header: str | None) -> str:
    """The language that the header prefers, or English if it prefers none of ours.

    `pt-BR` stands for `pt`, and every `zh-…` for `zh`. Of two languages with the same weight the earlier one is taken.
    """
    if not header or len(header) > MAX_ACCEPT_LANGUAGE:
        return DEFAULT_LANGUAGE
    members = header.split(",")
    if len(members) > MAX_RANGES:
        return DEFAULT_LANGUAGE
    weights: dict[str, float] = {}
    for member in members:
        if not member.strip(" \t"):
            continue  # a list may have empty members (RFC 9110 5.6.1.2)
        match = _RANGE.fullmatch(member)
        if match is None:
            return DEFAULT_LANGUAGE
        language = "*" if match[1] == "*" else language_of(match[1])
        if language is not None:
            weights[language] = max(weights.get(language, 0.0), float(match[2] or 1))
    others = weights.pop("*", 0.0)
    # `*` is any language that is not named: English first.
    for language in (DEFAULT_LANGUAGE, *LANGUAGES):
        weights.setdefault(language, others)
    best = max(weights, key=weights.__getitem__)
    return best if weights[best] > 0 else DEFAULT_LANGUAGE
